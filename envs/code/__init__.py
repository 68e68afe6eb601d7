"""Programming tasks, graded in a sandbox."""

__all__: list[str] = []
