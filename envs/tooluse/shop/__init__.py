"""A shop: customers, products, orders, payments, returns and exchanges."""

__all__: list[str] = []
