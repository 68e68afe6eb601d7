"""What samples from a model. Import from the modules, so that one engine does not load the libraries of another."""

__all__: list[str] = []
