"""What people ask a travel desk for, by theme."""

__all__: list[str] = []
