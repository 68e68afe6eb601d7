"""Tasks on a shop: look up, put into the cart, order, return."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from agentrl.envs.browse.case import Case, Kind, changed
from agentrl.envs.browse.site import Rows, slug
from agentrl.envs.browse.sites.shop import Shop, made, money
from agentrl.envs.browse.view import Script, View, answered, click, select, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS", "Buyer", "best", "cheapest", "find_product", "order_all", "ordered", "put_into_cart"]

Steps = Generator[str, View, View]
Buyer = dict[str, str]


def find_product(view: View, name: str) -> Steps:
    """Search for a product and open its page."""
    view = yield type_in(view.ref("searchbox", "Search"), name, submit=True)
    return (yield click(view.ref("link", name)))


def put_into_cart(view: View, name: str, option: str, amount: int) -> Steps:
    """Find a product and put it into the cart."""
    view = yield from find_product(view, name)
    view = yield select(view.ref("combobox", "Colour"), option)
    if amount != 1:
        view = yield type_in(view.ref("spinbutton", "Amount"), str(amount))
    return (yield click(view.ref("button", "Add to cart")))


def order_all(view: View, buyer: Buyer) -> Steps:
    """Order what is in the cart."""
    view = yield click(view.ref("link", "Check out"))
    for label in ("Name", "Street", "City", "Voucher"):
        if buyer[label.lower()]:
            view = yield type_in(view.ref("textbox", label), buyer[label.lower()])
    view = yield click(view.ref("radio", buyer["shipping"]))
    return (yield click(view.ref("button", "Place the order")))


def buyer_of(draw: Draw, voucher: str = "") -> Buyer:
    """Draw somebody who orders."""
    (name,) = draw.people(1)
    street = f"{draw.whole(1, 99)} {draw.one('words').capitalize()} Street"
    return {
        "name": name, "street": street, "city": draw.one("cities"), "shipping": draw.pick(("Standard", "Express")),
        "voucher": voucher,
    }  # fmt: skip


def ordered(shop: Shop, items: list[tuple[str, str, int]], buyer: Buyer) -> dict[str, Rows]:
    """Return the wanted state: one order more."""
    full = sum(shop.rows["products"][slug(name)]["price"] * amount for name, _, amount in items)
    voucher = shop.rows["vouchers"].get(buyer["voucher"])
    total = full * (100 - (voucher["percent"] if voucher else 0)) // 100
    row = {"items": sorted(list(each) for each in items), "total": total, "state": "placed", **buyer}
    return changed(shop, lambda rows: rows["orders"].update({"+1": row}))


def cheapest(shop: Shop, category: str, option: str = "") -> dict[str, Any] | None:
    """Return the cheapest product of a category that is in stock, and comes in a colour where one is given."""
    found = [
        each
        for each in shop.rows["products"].values()
        if each["category"] == category and each["stock"] > 0 and (not option or option in each["options"])
    ]
    return min(found, key=lambda each: each["price"]) if len(found) > 1 else None


def best(shop: Shop, category: str, most: int) -> dict[str, Any] | None:
    """Return the best rated product of a category in stock that costs at most so much; None where two are."""
    found = sorted(
        (
            each
            for each in shop.rows["products"].values()
            if each["category"] == category and each["stock"] > 0 and each["price"] <= most
        ),
        key=lambda each: -each["rating"],
    )
    return found[0] if len(found) > 1 and found[0]["rating"] > found[1]["rating"] else None


def first_found(view: View, category: str, option: str) -> Steps:
    """Open the first product of a category that the filter leaves, sorted by price."""
    view = yield click(view.ref("link", category))
    view = yield click(view.ref("checkbox", "In stock"))
    if option:
        view = yield select(view.ref("combobox", "Colour"), option)
    view = yield select(view.ref("combobox", "Sort"), "Price")
    view = yield click(view.ref("button", "Apply"))
    return (yield click(next(each.ref for each in view.all("link") if " | " in each.line)))


def _stocked(draw: Draw, shop: Shop) -> dict[str, Any]:
    return draw.pick([each for each in shop.rows["products"].values() if each["stock"] > 2] or [_refill(draw, shop)])


def _refill(draw: Draw, shop: Shop) -> dict[str, Any]:
    product: dict[str, Any] = draw.pick(list(shop.rows["products"].values()))
    product["stock"] = 9
    return product


def add_to_cart(draw: Draw) -> Case:
    """Put some of one product, in one colour, into the cart."""
    shop = made(draw, num=12)
    product = _stocked(draw, shop)
    option, amount = draw.pick(product["options"]), draw.whole(1, 3)

    def solve(view: View) -> Script:
        yield from put_into_cart(view, product["name"], option, amount)
        yield answered()

    row = {"product": product["name"], "option": option, "amount": amount}
    ask = draw.say("Put {} {} in {} into the cart.", "Add {} of the {} ({}) to the cart.")
    return Case(
        ask=ask.format(amount, product["name"], option), sites={"shop": shop}, start="shop", solve=solve,
        wanted=changed(shop, lambda rows: rows["cart"].update({"+1": row})),
    )  # fmt: skip


def product_model(draw: Draw) -> Case:
    """Say the model of a product, which stands in a tab of its page."""
    shop = made(draw, num=15)
    product = draw.pick(list(shop.rows["products"].values()))

    def solve(view: View) -> Script:
        view = yield from find_product(view, product["name"])
        view = yield click(view.ref("tab", "Details"))
        yield answered(view.after("Model: "))

    ask = draw.say("Which model is the {}?", "Answer with the model of the {}.").format(product["name"])
    return Case(ask=ask, sites={"shop": shop}, start="shop", solve=solve, answer=product["code"])


def order_owner(draw: Draw) -> Case:
    """Say the address of an earlier order."""
    shop = made(draw, num=9, orders=14)
    key = draw.pick(list(shop.rows["orders"]))
    row = shop.rows["orders"][key]

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Orders"))
        while not view.has("link", key):
            view = yield click(view.ref("link", "Page 2"))
        view = yield click(view.ref("link", key))
        yield answered(view.after("For ").split(", ")[1])

    ask = draw.say("To which street does order {} go?", "Answer with the street of order {}.").format(key)
    return Case(ask=ask, sites={"shop": shop}, start="shop", solve=solve, answer=row["street"])


def order_cheapest(draw: Draw) -> Case:
    """Order the cheapest product of a category that is in stock and comes in a colour."""
    while True:
        shop = made(draw, num=33)
        category = draw.pick(shop.categories)
        option = draw.pick(sorted({each for row in shop.rows["products"].values() for each in row["options"]}))
        product = cheapest(shop, category, option)
        if product is not None:
            break
    buyer = buyer_of(draw)

    def solve(view: View) -> Script:
        view = yield from first_found(view, category, option)
        view = yield select(view.ref("combobox", "Colour"), option)
        view = yield click(view.ref("button", "Add to cart"))
        yield from order_all(view, buyer)
        yield answered()

    ask = draw.say(
        "Order the cheapest of the {0} in stock that come in {1}, in that colour, for {name}, {street}, {city}, "
        "{shipping} shipping.",
        "{name}, {street}, {city}, wants one {1} product of {0}: order the cheapest in stock, shipping {shipping}.",
    )
    return Case(
        ask=ask.format(category, option, **buyer), sites={"shop": shop}, start="shop", solve=solve,
        wanted=ordered(shop, [(product["name"], option, 1)], buyer),
    )  # fmt: skip


def order_with_voucher(draw: Draw) -> Case:
    """Order something with the voucher that saves most, which the help page tells."""
    while True:
        shop = made(draw, num=24)
        product = _stocked(draw, shop)
        amount = draw.whole(1, 3)
        full = product["price"] * amount
        percents = {code: each["percent"] for code, each in shop.rows["vouchers"].items() if each["least"] <= full}
        top = sorted(percents.values())
        if top and top.count(top[-1]) == 1:
            break
    voucher = max(percents, key=lambda code: percents[code])
    option, buyer = draw.pick(product["options"]), buyer_of(draw, voucher)

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Help"))
        lines = [each.strip().removeprefix("- ") for each in view.lines if " percent off orders of at least " in each]
        view = yield from put_into_cart(view, product["name"], option, amount)
        total = float(view.after("Total: "))
        fit = [each.split() for each in lines if float(each.split()[-1]) <= total]
        code = max(fit, key=lambda words: int(words[1]))[0].rstrip(":")
        yield from order_all(view, {**buyer, "voucher": code})
        yield answered()

    ask = draw.say(
        "Order {1} of the {0} in {2} for {name}, {street}, {city}, {shipping} shipping, with the voucher that saves "
        "most.",
        "Find the voucher that takes most off, and order {1} times {0} ({2}) with it: {name}, {street}, {city}, "
        "{shipping}.",
    )
    return Case(
        ask=ask.format(product["name"], amount, option, **buyer), sites={"shop": shop}, start="shop", solve=solve,
        wanted=ordered(shop, [(product["name"], option, amount)], buyer),
    )  # fmt: skip


def best_in_budget(draw: Draw) -> Case:
    """Put the best rated product of a category that costs at most so much into the cart."""
    while True:
        shop = made(draw, num=36)
        category, most = draw.pick(shop.categories), 100 * draw.whole(60, 250)
        product = best(shop, category, most)
        if product is not None:
            break
    option = draw.pick(product["options"])

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", category))
        view = yield click(view.ref("checkbox", "In stock"))
        view = yield select(view.ref("combobox", "Sort"), "Rating")
        view = yield click(view.ref("button", "Apply"))
        while True:
            fit = [
                each
                for each in view.all("link")
                if " | " in each.line and float(each.line.split(" | ")[1]) <= most / 100
            ]
            if fit:
                break
            view = yield click(view.ref("link", _next_page(view)))
        view = yield click(fit[0].ref)
        view = yield select(view.ref("combobox", "Colour"), option)
        yield click(view.ref("button", "Add to cart"))
        yield answered()

    row = {"product": product["name"], "option": option, "amount": 1}
    ask = draw.say(
        "Put the best rated of the {} in stock that cost at most {} into the cart, one in {}.",
        "Which of the {} in stock up to {} is rated best? Put one in {} into the cart.",
    )
    return Case(
        ask=ask.format(category, money(most), option), sites={"shop": shop}, start="shop", solve=solve,
        wanted=changed(shop, lambda rows: rows["cart"].update({"+1": row})),
    )  # fmt: skip


def _next_page(view: View) -> str:
    line = next(each for each in view.lines if "Page 1" in each and "link" in each)
    now = next(number for number in range(1, 30) if f'"Page {number}"' not in line)
    return f"Page {now + 1}"


def return_item(draw: Draw) -> Case:
    """Ask for the return of one item of an earlier order."""
    shop = made(draw, num=18, orders=22)
    key = draw.pick(list(shop.rows["orders"]))
    order = shop.rows["orders"][key]
    name, option, _ = draw.pick(order["items"])
    reason = draw.pick(("Damaged", "Wrong size", "No longer needed"))

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Orders"))
        page = 1
        while not view.has("link", near=f"| {order['name']} |"):
            page += 1
            view = yield click(view.ref("link", f"Page {page}"))
        view = yield click(view.ref("link", near=f"| {order['name']} |"))
        view = yield click(view.ref("button", "Return something"))
        view = yield select(view.ref("combobox", "Item"), f"{name} ({option})")
        view = yield select(view.ref("combobox", "Reason"), reason)
        yield click(view.ref("button", "Ask for the return"))
        yield answered()

    row = {"order": key, "product": name, "option": option, "reason": reason}
    ask = draw.say("{} returns the {} in {}: {}.", "Ask for the return of {}'s {} ({}), reason: {}.")
    return Case(
        ask=ask.format(order["name"], name, option, reason.lower()), sites={"shop": shop}, start="shop", solve=solve,
        wanted=changed(shop, lambda rows: rows["returns"].update({"+1": row})),
    )  # fmt: skip


def order_basket(draw: Draw) -> Case:
    """Order three products, each under a condition of its own, with the voucher that saves most."""
    while True:
        shop = made(draw, num=48, categories=4)
        first, second, third = draw.shuffled(shop.categories)[:3]
        low, top = cheapest(shop, first), best(shop, second, 20_000)
        one = draw.pick([each for each in shop.rows["products"].values() if each["category"] == third])
        if low is None or top is None or one["stock"] < 3:
            continue
        items = [(low["name"], draw.pick(low["options"]), 1), (top["name"], draw.pick(top["options"]), 1)]
        items.append((one["name"], draw.pick(one["options"]), draw.whole(2, 3)))
        full = sum(shop.rows["products"][slug(name)]["price"] * amount for name, _, amount in items)
        fit = {code: each["percent"] for code, each in shop.rows["vouchers"].items() if each["least"] <= full}
        if fit and list(fit.values()).count(max(fit.values())) == 1:
            break
    buyer = buyer_of(draw, max(fit, key=lambda code: fit[code]))

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Help"))
        lines = [each.strip().removeprefix("- ") for each in view.lines if " percent off orders of at least " in each]
        view = yield from first_found(view, first, "")
        view = yield select(view.ref("combobox", "Colour"), items[0][1])
        view = yield click(view.ref("button", "Add to cart"))
        view = yield click(view.ref("link", second))
        view = yield click(view.ref("checkbox", "In stock"))
        view = yield select(view.ref("combobox", "Sort"), "Rating")
        view = yield click(view.ref("button", "Apply"))
        while not (
            hits := [
                each for each in view.all("link") if " | " in each.line and float(each.line.split(" | ")[1]) <= 200
            ]
        ):
            view = yield click(view.ref("link", _next_page(view)))
        view = yield click(hits[0].ref)
        view = yield select(view.ref("combobox", "Colour"), items[1][1])
        view = yield click(view.ref("button", "Add to cart"))
        view = yield from put_into_cart(view, *items[2])
        total = float(view.after("Total: "))
        codes = [each.split() for each in lines if float(each.split()[-1]) <= total]
        code = max(codes, key=lambda words: int(words[1]))[0].rstrip(":")
        yield from order_all(view, {**buyer, "voucher": code})
        yield answered()

    ask = draw.say(
        "One order for {name}, {street}, {city}, {shipping} shipping: the cheapest of the {first} in stock, in {0}; "
        "the best rated of the {second} in stock up to 200.00, in {1}; and {count} of the {third} in {2}. Use the "
        "voucher that saves most.",
        "Order together: {count} x {third} ({2}), the cheapest of the {first} in stock ({0}), and that of the "
        "{second} in stock for at most 200.00 that is rated best ({1}). Ship {shipping} to {name}, {street}, {city}; "
        "take the best voucher.",
    ).format(
        *(item[1] for item in items), first=first, second=second, third=items[2][0], count=items[2][2], **buyer
    )  # fmt: skip
    return Case(ask=ask, sites={"shop": shop}, start="shop", solve=solve, wanted=ordered(shop, items, buyer))


KINDS = (
    Kind(name="add-to-cart", levels=(3,), make=add_to_cart),
    Kind(name="product-model", levels=(3,), make=product_model),
    Kind(name="order-street", levels=(3,), make=order_owner),
    Kind(name="order-cheapest", levels=(4,), make=order_cheapest),
    Kind(name="order-with-voucher", levels=(4,), make=order_with_voucher),
    Kind(name="best-in-budget", levels=(4,), make=best_in_budget),
    Kind(name="return-item", levels=(4,), make=return_item),
    Kind(name="order-basket", levels=(5,), make=order_basket),
)
"""Every kind of this file."""
