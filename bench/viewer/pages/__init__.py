"""The pages of the viewer, one module each; `listed` says at which addresses they are."""

__all__: list[str] = []
