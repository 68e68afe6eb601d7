"""The shop's tools. They check what an API checks, not what the policy says: that is left to whoever calls them.

Amounts are text with two decimals, as they are read and told; `_cents` and `_money` go between text and whole cents.
"""

from __future__ import annotations

from typing import Any

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.tables import Tables

__all__ = ["ShopTools"]

_SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE addresses (id TEXT PRIMARY KEY, customer TEXT, street TEXT, city TEXT, postcode TEXT);
CREATE TABLE payments (id TEXT PRIMARY KEY, customer TEXT, kind TEXT, balance TEXT);
CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT, category TEXT);
CREATE TABLE variants (id TEXT PRIMARY KEY, product TEXT, color TEXT, size TEXT, price TEXT, stock INTEGER);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, address TEXT, payment TEXT, coupon TEXT, status TEXT,
                     placed TEXT, promised TEXT, total TEXT);
CREATE TABLE items (id TEXT PRIMARY KEY, order_id TEXT, variant TEXT, quantity INTEGER, price TEXT, final_sale INTEGER,
                    state TEXT);
CREATE TABLE shipments (tracking TEXT PRIMARY KEY, order_id TEXT, shipped TEXT, delivered TEXT);
CREATE TABLE coupons (id TEXT PRIMARY KEY, percent INTEGER, minimum TEXT, last_day TEXT);
CREATE TABLE refunds (id TEXT PRIMARY KEY, order_id TEXT, payment TEXT, amount TEXT, day TEXT);
CREATE TABLE returns (id TEXT PRIMARY KEY, item TEXT, day TEXT, reason TEXT);
CREATE TABLE exchanges (id TEXT PRIMARY KEY, item TEXT, old TEXT, new TEXT, payment TEXT, day TEXT);
CREATE TABLE credits (id TEXT PRIMARY KEY, order_id TEXT, amount TEXT, day TEXT);
"""


class ShopTools(Tables):
    """What the service desk of a shop can look up and do."""

    schema = _SCHEMA
    volatile = {"returns": ("reason",)}  # noqa: RUF012

    # -- reading -------------------------------------------------------------------------------------------------

    def find_customer(self, email: str = "", name: str = "") -> list[dict[str, Any]]:
        """Find customers by email or by name."""
        if not email and not name:
            raise ToolError("give an email or a name")
        column, value = ("email", email) if email else ("name", name)
        found = self._rows(f"SELECT * FROM customers WHERE lower({column}) = lower(?) ORDER BY id", value.strip())
        if not found:
            raise ToolError(f"there is no customer with {column} {value!r}")
        return found

    def get_customer(self, customer: str) -> dict[str, Any]:
        """Read a customer: addresses and payment methods."""
        found = self._customer(customer)
        query = "SELECT id, street, city, postcode FROM addresses WHERE customer = ? ORDER BY id"
        found["addresses"] = self._rows(query, customer)
        query = "SELECT id, kind, balance FROM payments WHERE customer = ? ORDER BY id"
        found["payments"] = [_filled(each) for each in self._rows(query, customer)]
        return found

    def list_orders(self, customer: str) -> list[dict[str, Any]]:
        """List a customer's orders, the newest first."""
        self._customer(customer)
        query = "SELECT id, status, placed, total FROM orders WHERE customer = ? ORDER BY placed DESC, id"
        orders = self._rows(query, customer)
        for order in orders:
            order["items"] = ", ".join(item["name"] for item in self._items(order["id"]))
        return orders

    def get_order(self, order: str) -> dict[str, Any]:
        """Read an order: items, status, payment, address, coupon, total."""
        found = self._order(order)
        del found["promised"]
        return {**_filled(found), "items": [_filled(item) for item in self._items(order)]}

    def track_order(self, order: str) -> dict[str, Any]:
        """Read an order's shipment: tracking code and days."""
        found = self._order(order)
        parcels = self._rows("SELECT tracking, shipped, delivered FROM shipments WHERE order_id = ?", order)
        return {"order": order, "promised": found["promised"], **(_filled(parcels[0]) if parcels else {})}

    def search_products(self, text: str = "", category: str = "", max_price: float = 0) -> list[dict[str, Any]]:
        """Search products by a part of the name, by category, by price.

        Args:
            text: A part of the name.
            category: clothing, home, office or outdoor.
            max_price: Of the cheapest variant; 0 is no limit.
        """
        query = "SELECT * FROM products WHERE instr(lower(name), lower(?)) AND (? = '' OR category = ?) ORDER BY id"
        found = []
        for product in self._rows(query, text, category, category.lower()):
            prices = [_cents(each["price"]) for each in self._variants(product["id"])]
            if not max_price or min(prices) <= round(max_price * 100):
                found.append({**product, "from": _money(min(prices))})
        return found

    def get_product(self, product: str) -> dict[str, Any]:
        """Read a product: its variants with price and stock."""
        found = self._one(f"product {product!r}", "SELECT * FROM products WHERE id = ?", product)
        return {**found, "variants": self._variants(product)}

    def get_coupon(self, coupon: str) -> dict[str, Any]:
        """Read a coupon: percent, minimum total, last day."""
        return self._one(f"coupon {coupon!r}", "SELECT * FROM coupons WHERE id = ?", coupon)

    def get_payment(self, payment: str) -> dict[str, Any]:
        """Read a payment method: owner, kind, balance."""
        return _filled(self._payment(payment))

    # -- writing -------------------------------------------------------------------------------------------------

    def cancel_order(self, order: str) -> str:
        """Cancel an order and refund what was paid."""
        found = self._open_order(order)

        def work() -> None:
            self._db.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (order,))
            for item in self._rows("SELECT * FROM items WHERE order_id = ? AND state = 'ordered'", order):
                self._take_back(item, "cancelled")
            self._refund(order, found["payment"], _cents(found["total"]))

        self._write(work)
        return f"order {order} is cancelled; {found['total']} refunded to {found['payment']}"

    def remove_item(self, order: str, variant: str) -> str:
        """Take one item out of an order and refund it."""
        found = self._open_order(order)
        item = self._item(order, variant, "ordered")
        if len(self._rows("SELECT id FROM items WHERE order_id = ? AND state = 'ordered'", order)) == 1:
            raise ToolError(f"{variant} is the only item of order {order}; use cancel_order")
        amount = self._worth(found, item)

        def work() -> None:
            self._take_back(item, "cancelled")
            total = _money(_cents(found["total"]) - amount)
            self._db.execute("UPDATE orders SET total = ? WHERE id = ?", (total, order))
            self._refund(order, found["payment"], amount)

        self._write(work)
        return f"{variant} is out of order {order}; {_money(amount)} refunded to {found['payment']}"

    def change_address(self, order: str, address: str) -> str:
        """Send an order to another address of the customer."""
        found = self._open_order(order)
        owner = self._one(f"address {address!r}", "SELECT customer FROM addresses WHERE id = ?", address)["customer"]
        if owner != found["customer"]:
            raise ToolError(f"address {address} does not belong to {found['customer']}, whose order this is")
        if address == found["address"]:
            raise ToolError(f"order {order} goes to {address} already")
        self._db.execute("UPDATE orders SET address = ? WHERE id = ?", (address, order))
        return f"order {order} goes to {address}"

    def add_address(self, customer: str, street: str, city: str, postcode: str) -> str:
        """Add an address to a customer; gives its code."""
        self._customer(customer)
        values = [" ".join(each.split()) for each in (street, city, postcode)]
        if not all(values):
            raise ToolError("street, city and postcode must not be empty")
        known = "SELECT id FROM addresses WHERE customer = ? AND street = ? AND city = ? AND postcode = ?"
        old = self._rows(known, customer, *values)
        if old:
            raise ToolError(f"the customer has this address already: {old[0]['id']}")
        new = self._next("addresses", "ADDRESS")
        self._db.execute("INSERT INTO addresses VALUES (?, ?, ?, ?, ?)", (new, customer, *values))
        return new

    def change_payment(self, order: str, payment: str) -> str:
        """Pay an order that is not shipped by another method of the customer."""
        found = self._pending(order)
        if payment == found["payment"]:
            raise ToolError(f"order {order} is paid by {payment} already")
        total = _cents(found["total"])
        self._may_pay(payment, found["customer"], total)

        def work() -> None:
            self._book(found["payment"], total)
            self._book(payment, -total)
            self._db.execute("UPDATE orders SET payment = ? WHERE id = ?", (payment, order))

        self._write(work)
        return f"order {order} is paid by {payment}"

    def apply_coupon(self, order: str, coupon: str) -> str:
        """Put a coupon on an order that is not shipped, in place of one that is there."""
        found = self._pending(order)
        percent = self.get_coupon(coupon)["percent"]
        if found["coupon"] == coupon:
            raise ToolError(f"coupon {coupon} is on order {order} already")
        items = self._rows("SELECT * FROM items WHERE order_id = ? AND state = 'ordered'", order)
        full = sum(_cents(item["price"]) * item["quantity"] for item in items)
        total = full * (100 - percent) // 100

        def work() -> None:
            self._db.execute("UPDATE orders SET coupon = ?, total = ? WHERE id = ?", (coupon, _money(total), order))
            self._book(found["payment"], _cents(found["total"]) - total)

        self._write(work)
        return f"coupon {coupon} is on order {order}; the total is {_money(total)}"

    def return_item(self, order: str, variant: str, refund_to: str, reason: str = "") -> str:
        """Take back an item of a delivered order and refund it.

        Args:
            order: Its code.
            variant: The item's.
            refund_to: A payment method of the customer.
            reason: Anything.
        """
        found = self._delivered(order)
        item = self._item(order, variant, "ordered")
        self._may_pay(refund_to, found["customer"], 0)
        amount = self._worth(found, item)

        def work() -> None:
            self._take_back(item, "returned")
            new = self._next("returns", "RETURN")
            self._db.execute("INSERT INTO returns VALUES (?, ?, ?, ?)", (new, item["id"], self._today, reason))
            self._refund(order, refund_to, amount)

        self._write(work)
        return f"{variant} of order {order} is returned; {_money(amount)} refunded to {refund_to}"

    def exchange_item(self, order: str, variant: str, new_variant: str, payment: str = "") -> str:
        """Exchange an item of a delivered order for another variant.

        Args:
            order: Its code.
            variant: The item's.
            new_variant: What the customer gets.
            payment: For the difference in price; the order's where it is left out.
        """
        found = self._delivered(order)
        item = self._item(order, variant, "ordered")
        new = self._variant(new_variant)
        if new_variant == variant:
            raise ToolError(f"the item is {variant} already")
        if any(each["variant"] == new_variant for each in self._items(order)):
            raise ToolError(f"order {order} holds {new_variant} already")
        quantity = item["quantity"]
        self._in_stock(new, quantity)
        payment = payment or found["payment"]
        difference = (_cents(new["price"]) - _cents(item["price"])) * quantity
        self._may_pay(payment, found["customer"], difference)

        def work() -> None:
            self._db.execute("UPDATE variants SET stock = stock + ? WHERE id = ?", (quantity, variant))
            self._db.execute("UPDATE variants SET stock = stock - ? WHERE id = ?", (quantity, new_variant))
            query = "UPDATE items SET variant = ?, price = ?, state = 'exchanged' WHERE id = ?"
            self._db.execute(query, (new_variant, new["price"], item["id"]))
            values = (self._next("exchanges", "EXCHANGE"), item["id"], variant, new_variant, payment, self._today)
            self._db.execute("INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?)", values)
            self._book(payment, -difference)

        self._write(work)
        paid = f"{_money(abs(difference))} {'charged' if difference > 0 else 'refunded'} to {payment}"
        return f"{variant} of order {order} is exchanged for {new_variant}; {paid}"

    def place_order(self, customer: str, variant: str, quantity: int, address: str, payment: str) -> str:
        """Order a variant for a customer; gives the order's code."""
        self._customer(customer)
        found = self._variant(variant)
        if not 1 <= quantity <= 99:
            raise ToolError(f"quantity must be 1 to 99, got {quantity}")
        self._in_stock(found, quantity)
        owner = self._one(f"address {address!r}", "SELECT customer FROM addresses WHERE id = ?", address)["customer"]
        if owner != customer:
            raise ToolError(f"address {address} does not belong to {customer}")
        total = _cents(found["price"]) * quantity
        self._may_pay(payment, customer, total)
        new = self._next("orders", "ORDER")

        def work() -> None:
            values = (new, customer, address, payment, "", "pending", self._today, "", _money(total))
            self._db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            item = (f"{new}/1", new, variant, quantity, found["price"], 0, "ordered")
            self._db.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", item)
            self._db.execute("UPDATE variants SET stock = stock - ? WHERE id = ?", (quantity, variant))
            self._book(payment, -total)

        self._write(work)
        return f"{new} is placed; {_money(total)} charged to {payment}"

    def give_credit(self, order: str, amount: float) -> str:
        """Credit an amount to the balance of an order's customer."""
        found = self._order(order)
        cents = round(amount * 100)
        if not 0 < cents <= 10_000:
            raise ToolError(f"amount must be more than 0 and at most 100, got {amount}")
        if self._rows("SELECT id FROM credits WHERE order_id = ?", order):
            raise ToolError(f"there is a credit for order {order} already")
        query = "SELECT id FROM payments WHERE customer = ? AND kind = 'balance'"
        account = self._one("balance of the customer", query, found["customer"])["id"]

        def work() -> None:
            values = (self._next("credits", "CREDIT"), order, _money(cents), self._today)
            self._db.execute("INSERT INTO credits VALUES (?, ?, ?, ?)", values)
            self._book(account, cents)

        self._write(work)
        return f"{_money(cents)} credited to {account} for order {order}"

    # -- what they share -----------------------------------------------------------------------------------------

    def _customer(self, customer: str) -> dict[str, Any]:
        return self._one(f"customer {customer!r}", "SELECT * FROM customers WHERE id = ?", customer)

    def _order(self, order: str) -> dict[str, Any]:
        return self._one(f"order {order!r}", "SELECT * FROM orders WHERE id = ?", order)

    def _open_order(self, order: str) -> dict[str, Any]:
        found = self._order(order)
        if found["status"] not in ("pending", "shipped"):
            raise ToolError(f"order {order} is {found['status']}; it must be pending or shipped")
        return found

    def _pending(self, order: str) -> dict[str, Any]:
        found = self._order(order)
        if found["status"] != "pending":
            raise ToolError(f"order {order} is {found['status']}; it must be pending")
        return found

    def _delivered(self, order: str) -> dict[str, Any]:
        found = self._order(order)
        if found["status"] != "delivered":
            raise ToolError(f"order {order} is {found['status']}; it must be delivered")
        return found

    def _payment(self, payment: str) -> dict[str, Any]:
        return self._one(f"payment method {payment!r}", "SELECT * FROM payments WHERE id = ?", payment)

    def _variant(self, variant: str) -> dict[str, Any]:
        return self._one(f"variant {variant!r}", "SELECT * FROM variants WHERE id = ?", variant)

    def _variants(self, product: str) -> list[dict[str, Any]]:
        return self._rows("SELECT id, color, size, price, stock FROM variants WHERE product = ? ORDER BY id", product)

    def _items(self, order: str) -> list[dict[str, Any]]:
        found = self._rows(
            "SELECT variant, name, color, size, quantity, items.price, final_sale, state FROM items "
            "JOIN variants ON variants.id = variant JOIN products ON products.id = product "
            "WHERE order_id = ? ORDER BY items.id",
            order,
        )
        return [{**item, "final_sale": "yes" if item["final_sale"] else ""} for item in found]

    def _item(self, order: str, variant: str, state: str) -> dict[str, Any]:
        query = "SELECT * FROM items WHERE order_id = ? AND variant = ?"
        found = self._one(f"item {variant!r} in order {order}", query, order, variant)
        if found["state"] != state:
            raise ToolError(f"item {variant} of order {order} was {found['state']} before")
        return found

    def _worth(self, order: dict[str, Any], item: dict[str, Any]) -> int:
        """Return what was paid for an item, its order's coupon counted."""
        percent = self.get_coupon(order["coupon"])["percent"] if order["coupon"] else 0
        full: int = _cents(item["price"]) * item["quantity"]
        return full * (100 - percent) // 100

    def _in_stock(self, variant: dict[str, Any], quantity: int) -> None:
        if variant["stock"] < quantity:
            raise ToolError(f"there are {variant['stock']} of {variant['id']} in stock, not {quantity}")

    def _may_pay(self, payment: str, customer: str, cents: int) -> None:
        found = self._payment(payment)
        if found["customer"] != customer:
            raise ToolError(f"payment method {payment} does not belong to {customer}")
        if found["balance"] and _cents(found["balance"]) < cents:
            raise ToolError(f"there is {found['balance']} on {payment}, not {_money(cents)}")

    def _book(self, payment: str, cents: int) -> None:
        """Add to what is on a gift card or a balance; a card has no balance here."""
        balance = self._payment(payment)["balance"]
        if balance:
            new = _money(_cents(balance) + cents)
            self._db.execute("UPDATE payments SET balance = ? WHERE id = ?", (new, payment))

    def _refund(self, order: str, payment: str, cents: int) -> None:
        new = self._next("refunds", "REFUND")
        self._db.execute(
            "INSERT INTO refunds VALUES (?, ?, ?, ?, ?)", (new, order, payment, _money(cents), self._today)
        )
        self._book(payment, cents)

    def _take_back(self, item: dict[str, Any], state: str) -> None:
        self._db.execute("UPDATE items SET state = ? WHERE id = ?", (state, item["id"]))
        self._db.execute("UPDATE variants SET stock = stock + ? WHERE id = ?", (item["quantity"], item["variant"]))


def _cents(amount: str) -> int:
    return round(float(amount) * 100)


def _money(cents: int) -> str:
    return f"{cents / 100:.2f}"


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty."""
    return {name: value for name, value in row.items() if value != ""}
