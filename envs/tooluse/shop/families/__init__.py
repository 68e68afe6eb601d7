"""What people ask for in the shop, by theme."""

__all__: list[str] = []
