"""Travel booking: flights, bookings and hotels behind tools. The domain stands in `domain.py`."""

__all__: list[str] = []
