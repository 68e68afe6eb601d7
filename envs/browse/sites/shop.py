"""A shop: products with options, filters and pages, a cart, vouchers, orders and returns."""

from __future__ import annotations

from typing import Any, ClassVar

from agentrl.envs.browse.site import Request, Response, Site, page_of, slug
from agentrl.envs.browse.words import Draw

__all__ = ["PAGE", "Shop", "made", "money"]

PAGE = 8  # products of a page
_MOST = 20  # rows that a visitor may add to a table
_SHIPPING = ("Standard", "Express")
_REASONS = ("Damaged", "Wrong size", "No longer needed")


def money(cents: int) -> str:
    """Write an amount of money.

    >>> money(1250)
    '12.50'
    """
    return f"{cents // 100}.{cents % 100:02d}"


class Shop(Site):
    """A shop; prices are in cents.

    Tables: products, cart, vouchers, orders, returns.
    """

    routes: ClassVar = (
        ("GET", "/", "home"),
        ("GET", "/c/([a-z0-9-]+)", "category"),
        ("GET", "/search", "search"),
        ("GET", "/p/([a-z0-9-]+)", "product"),
        ("POST", "/p/([a-z0-9-]+)/add", "put"),
        ("GET", "/cart", "cart"),
        ("POST", "/cart/([+0-9]+)/remove", "remove"),
        ("GET", "/checkout", "checkout"),
        ("POST", "/checkout", "order"),
        ("GET", "/orders", "orders"),
        ("GET", "/orders/([+0-9]+)", "one_order"),
        ("POST", "/orders/([+0-9]+)/return", "give_back"),
        ("GET", "/help", "help"),
    )

    @property
    def categories(self) -> list[str]:
        """Their names, in the order of the menu."""
        return list(dict.fromkeys(each["category"] for each in self.rows["products"].values()))

    def home(self, request: Request) -> Response:
        """Show the categories."""
        return self.show("home")

    def category(self, request: Request, name: str) -> Response:
        """Show the products of a category, filtered and sorted as the query says, page by page."""
        title = next((each for each in self.categories if slug(each) == name), None)
        if title is None:
            return self.lost()
        found = [(key, each) for key, each in self.rows["products"].items() if each["category"] == title]
        return self._list(request, title, f"/c/{name}", found)

    def search(self, request: Request) -> Response:
        """Show the products whose names hold all words of the query."""
        words = request.value("q").lower().split()
        found = [
            (key, each)
            for key, each in self.rows["products"].items()
            if words and all(word in each["name"].lower() for word in words)
        ]
        return self._list(request, f"Results for {request.value('q')}", "/search", found)

    def product(self, request: Request, key: str) -> Response:
        """Show a product."""
        found = self.rows["products"].get(key)
        return self.show("product", key=key, product=found) if found else self.lost()

    def put(self, request: Request, key: str) -> Response:
        """Put a product into the cart."""
        found, amount, option = self.rows["products"].get(key), request.value("amount"), request.value("option")
        if found is None or len(self.rows["cart"]) >= _MOST:
            return self.lost()
        if option not in found["options"] or not amount.isdecimal() or not 1 <= int(amount[:4]) <= 99:
            self.tell("Choose an option and an amount from 1 to 99.")
            return self.to(f"/p/{key}")
        if found["stock"] < int(amount):
            self.tell(f"There are only {found['stock']} of it in stock.")
            return self.to(f"/p/{key}")
        same = [
            each for each in self.rows["cart"].values() if (each["product"], each["option"]) == (found["name"], option)
        ]
        if same:
            same[0]["amount"] = min(99, same[0]["amount"] + int(amount))
        else:
            self.add("cart", product=found["name"], option=option, amount=int(amount))
        self.tell(f"{found['name']} ({option}) is in the cart.")
        return self.to("/cart")

    def cart(self, request: Request) -> Response:
        """Show the cart."""
        return self.show("cart", lines=self._lines(), total=self._total())

    def remove(self, request: Request, key: str) -> Response:
        """Take something out of the cart."""
        left = [row for each, row in self.rows["cart"].items() if each != key]
        self.rows["cart"] = {f"+{index + 1}": row for index, row in enumerate(left)}
        return self.to("/cart")

    def checkout(self, request: Request) -> Response:
        """Show the form of an order."""
        return self.show("checkout", errors=(), given={}, total=self._total())

    def order(self, request: Request) -> Response:
        """Place an order, or say what is wrong with the form."""
        given = {name: request.value(name)[:100] for name in ("name", "street", "city", "shipping", "voucher")}
        errors = [f"{name.capitalize()} is missing." for name in ("name", "street", "city") if not given[name]]
        if given["shipping"] not in _SHIPPING:
            errors.append("Choose a shipping.")
        voucher = self.rows["vouchers"].get(given["voucher"])
        if given["voucher"] and voucher is None:
            errors.append("There is no such voucher.")
        if voucher is not None and self._total() < voucher["least"]:
            errors.append(f"This voucher needs an order of at least {money(voucher['least'])}.")
        if not self.rows["cart"] or len(self.rows["orders"]) > 40:
            errors.append("The cart is empty.")
        if errors:
            return self.show("checkout", errors=errors, given=given, total=self._total())
        items = sorted([each["product"], each["option"], each["amount"]] for each in self.rows["cart"].values())
        total = self._total() * (100 - (voucher["percent"] if voucher else 0)) // 100
        key = self.add("orders", items=items, total=total, state="placed", **given)
        self.rows["cart"] = {}
        self.tell("Thank you, the order was placed.")
        return self.to(f"/orders/{key}")

    def orders(self, request: Request) -> Response:
        """Show all orders."""
        shown, number, num = page_of(list(self.rows["orders"].items()), request, PAGE)
        return self.show("orders", orders=shown, number=number, num=num, path="/orders")

    def one_order(self, request: Request, key: str) -> Response:
        """Show an order."""
        found = self.rows["orders"].get(key)
        if found is None:
            return self.lost()
        back = {(each["product"], each["option"]) for each in self.rows["returns"].values() if each["order"] == key}
        return self.show("order", key=key, order=found, back=back, reasons=_REASONS)

    def give_back(self, request: Request, key: str) -> Response:
        """Ask for the return of an item of an order."""
        found, item, reason = self.rows["orders"].get(key), request.value("item"), request.value("reason")
        known = {f"{name} ({option})": (name, option) for name, option, _ in found["items"]} if found else {}
        if found is None or item not in known or reason not in _REASONS or len(self.rows["returns"]) >= _MOST:
            self.tell("Choose an item and a reason.")
            return self.to(f"/orders/{key}")
        name, option = known[item]
        self.add("returns", order=key, product=name, option=option, reason=reason)
        self.tell(f"The return of {item} was noted.")
        return self.to(f"/orders/{key}")

    def help(self, request: Request) -> Response:
        """Show what holds for vouchers."""
        return self.show("help", vouchers=self.rows["vouchers"])

    def show(self, view: str, **values: Any) -> Response:
        """Render a view of the shop's template."""
        return self.page("shop.html", view=view, money=money, cart=self.rows["cart"], **values)

    def _list(self, request: Request, title: str, path: str, found: list[tuple[str, dict[str, Any]]]) -> Response:
        if request.value("stock"):
            found = [each for each in found if each[1]["stock"] > 0]
        if request.value("option"):
            found = [each for each in found if request.value("option") in each[1]["options"]]
        order = request.value("sort")
        if order in ("price", "rating"):
            found = sorted(found, key=lambda each: -each[1]["rating"] if order == "rating" else each[1]["price"])
        options = sorted({option for each in self.rows["products"].values() for option in each["options"]})
        shown, number, num = page_of(found, request, PAGE)
        kept = {name: request.value(name) for name in ("q", "stock", "option", "sort") if request.value(name)}
        return self.show(
            "list",
            heading=title,
            path=path,
            found=shown,
            number=number,
            num=num,
            kept=kept,
            options=options,
            count=len(found),
        )

    def _lines(self) -> list[tuple[str, dict[str, Any], int]]:
        prices = {each["name"]: each["price"] for each in self.rows["products"].values()}
        return [(key, each, prices[each["product"]] * each["amount"]) for key, each in self.rows["cart"].items()]

    def _total(self) -> int:
        return sum(price for _, _, price in self._lines())


def made(draw: Draw, *, num: int, name: str = "shop", categories: int = 3, orders: int = 0) -> Shop:
    """Return a shop with products of the draw.

    Args:
        draw: Where all comes from.
        num: How many products.
        name: Of the site.
        categories: How many.
        orders: How many orders were placed before.
    """
    things = draw.some("things", categories)
    # Every style beside one thing at most once; a thing is a category.
    per = -(-num // categories)
    styles = {thing: draw.some("styles", per) for thing in things}
    colours = [each.capitalize() for each in draw.some("colours", 6)]
    prices = draw.numbers(per * categories, 500, 30_000)
    products: dict[str, dict[str, Any]] = {}
    for index in range(num):
        thing = things[index % categories]
        title = f"{styles[thing][index // categories]} {thing}"
        products[slug(title)] = {
            "name": title,
            "category": f"{thing}s",
            "price": prices[index],
            "stock": draw.pick((0, 3, 7, 12, 25)),
            "rating": draw.whole(10, 50) / 10,
            "options": draw.shuffled(colours)[: draw.whole(2, 4)],
            "code": draw.code(),
            "warranty": draw.whole(6, 60),
        }
    vouchers = {
        f"{draw.one('words').upper()}{draw.whole(10, 99)}": {
            "percent": draw.pick((5, 10, 20, 25)),
            "least": 100 * least,
        }
        for least in draw.shuffled((0, 40, 120))
    }
    rows: dict[str, dict[str, dict[str, Any]]] = {
        "products": products, "cart": {}, "vouchers": vouchers, "orders": {}, "returns": {},
    }  # fmt: skip
    people = draw.people(max(1, orders))
    for index in range(orders):
        items = [
            [each["name"], draw.pick(each["options"]), draw.whole(1, 3)]
            for each in draw.shuffled(list(products.values()))[: draw.whole(1, 3)]
        ]
        total = sum(products[slug(item[0])]["price"] * item[2] for item in items)
        day = draw.day().isoformat()
        rows["orders"][str(1001 + index)] = {
            "items": sorted(items), "total": total, "state": draw.pick(("shipped", "delivered")), "day": day,
            "name": people[index], "street": f"{draw.whole(1, 99)} {draw.one('words').capitalize()} Street",
            "city": draw.one("cities"), "shipping": draw.pick(_SHIPPING), "voucher": "",
        }  # fmt: skip
    return Shop(name, f"{draw.one('styles')} Store", rows)
