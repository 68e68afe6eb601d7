"""The families of tasks, a module for each kind of work."""

__all__: list[str] = []
