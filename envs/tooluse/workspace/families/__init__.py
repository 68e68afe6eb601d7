"""What people ask for in the workspace, by theme."""

__all__: list[str] = []
