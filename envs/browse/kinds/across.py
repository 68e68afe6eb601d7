"""Tasks over two sites: what is to be done on one of them stands on the other."""

from __future__ import annotations

from agentrl.envs.browse.case import Case, Kind, changed
from agentrl.envs.browse.kinds.admin import listed, open_account
from agentrl.envs.browse.kinds.forum import find_thread
from agentrl.envs.browse.kinds.shop import buyer_of, find_product, order_all, ordered, put_into_cart
from agentrl.envs.browse.kinds.wiki import open_article
from agentrl.envs.browse.site import Rows, slug
from agentrl.envs.browse.sites import admin, forum, shop, wiki
from agentrl.envs.browse.sites.forum import ME
from agentrl.envs.browse.view import Script, View, answered, click, goto, select, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS"]


def order_for_thread(draw: Draw) -> Case:
    """Order what a thread asks for, and reply with the number of the order."""
    store, board = shop.made(draw, num=30), forum.made(draw, threads=18, posts=3)
    product = draw.pick([each for each in store.rows["products"].values() if each["stock"] > 2])
    option, amount, buyer = draw.pick(product["options"]), draw.whole(1, 3), buyer_of(draw)
    key, thread = draw.pick(list(board.rows["threads"].items()))
    post = next(each for each in board.rows["posts"].values() if each["thread"] == key)
    wish = f"We need {amount} x {product['name']} in {option}"
    post["text"] = f"{wish}, for {buyer['name']}, {buyer['street']}, {buyer['city']}, {buyer['shipping']} shipping."
    total = shop.money(product["price"] * amount)

    def solve(view: View) -> Script:
        view = yield from find_thread(view, thread["title"])
        first, name, street, city, shipping = view.after("We need ").rstrip(".").replace(", for ", ", ").split(", ")
        count, _, rest = first.partition(" x ")
        what, _, colour = rest.rpartition(" in ")
        asked = {"name": name, "street": street, "city": city, "shipping": shipping.split()[0], "voucher": ""}
        view = yield goto("shop/")
        view = yield from put_into_cart(view, what, colour, int(count))
        view = yield from order_all(view, asked)
        paid = view.after("Total: ")
        view = yield goto("forum/")
        view = yield from find_thread(view, thread["title"])
        view = yield type_in(view.ref("textbox", "Your reply"), f"Ordered for {paid}")
        yield click(view.ref("button", "Post reply"))
        yield answered()

    row = {"thread": key, "author": ME, "text": f"Ordered for {total}", "likes": 0}
    ask = draw.say(
        'Order at shop/ what the thread {} asks for, then reply there with "Ordered for T", where T is the total.',
        'The thread {} has a wish: fulfil it at shop/ and reply "Ordered for T" with the total of the order.',
    )
    return Case(
        ask=ask.format(thread["title"]), sites={"forum": board, "shop": store}, start="forum", solve=solve,
        wanted={
            **ordered(store, [(product["name"], option, amount)], buyer),
            **changed(board, lambda rows: rows["posts"].update({"+1": row})),
        },
    )  # fmt: skip


def apply_policy(draw: Draw) -> Case:
    """Deactivate the accounts of a team that a policy of the wiki says are too old, but for owners."""
    while True:
        office, pages = admin.made(draw, accounts=26), wiki.made(draw, towns=8, rivers=2)
        team, day = draw.pick(list(office.teams)), draw.day().isoformat()
        keys = [
            key
            for key, row in office.rows["accounts"].items()
            if row["team"] == team and row["active"] and row["role"] != "Owner" and row["seen"] < day
        ]
        if 1 < len(keys) < 6:
            break
    title = f"Accounts of {team}"
    wiki.add_article(pages, title, "Owners are never deactivated.", f"Deactivate who was not seen since: {day}")

    def solve(view: View) -> Script:
        view = yield from open_article(view, title)
        since = view.after("not seen since: ")
        view = yield goto("admin/")
        rows, view = yield from listed(view, Team=team)
        for name in [row[0] for row in rows if row[3] == "active" and row[1] != "Owner" and row[4] < since]:
            view = yield from open_account(view, name)
            view = yield click(view.ref("checkbox", "Active"))
            view = yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        for key in keys:
            rows["accounts"][key]["active"] = False

    ask = draw.say(
        "Apply the policy {} of wiki/ to that team at admin/.",
        "At admin/, do with the team what the article {} of wiki/ says.",
    )
    return Case(
        ask=ask.format(title), sites={"wiki": pages, "admin": office}, start="wiki", solve=solve,
        wanted=changed(office, change),
    )  # fmt: skip


def return_by_policy(draw: Draw) -> Case:
    """Ask for the return of all items of an order, with the reason that a policy gives for each kind of product."""
    while True:
        store, pages = shop.made(draw, num=30, orders=24), wiki.made(draw, towns=8, rivers=2)
        key = draw.pick(list(store.rows["orders"]))
        order = store.rows["orders"][key]
        if len(order["items"]) > 1:
            break
    reasons = {each: draw.pick(("Damaged", "Wrong size", "No longer needed")) for each in store.categories}
    title = "Return reasons"
    wiki.add_article(pages, title, *(f"{each}: {reason}" for each, reason in reasons.items()))

    def solve(view: View) -> Script:
        view = yield from open_article(view, title)
        told = dict(line.strip().split(": ") for line in view.lines if line.strip().split(": ")[0] in reasons)
        view = yield goto(f"shop/orders/{key}")
        rows = [row for row in view.rows() if len(row) == 4 and row[0] != "Product"]
        for name, colour, _, _ in rows:
            view = yield click(view.ref("button", "Return something"))
            view = yield select(view.ref("combobox", "Item"), f"{name} ({colour})")
            view = yield select(view.ref("combobox", "Reason"), told[f"{name.split()[-1]}s"])
            view = yield click(view.ref("button", "Ask for the return"))
        yield answered()

    def change(rows: Rows) -> None:
        for index, (name, option, _) in enumerate(order["items"]):
            reason = reasons[store.rows["products"][slug(name)]["category"]]
            rows["returns"][f"+{index + 1}"] = {"order": key, "product": name, "option": option, "reason": reason}

    ask = draw.say(
        "Return all items of the order {} at shop/, each for the reason that the article {} of wiki/ gives for its "
        "category.",
        "Everything in order {} goes back (shop/). The reasons, by category, stand in the article {} of wiki/.",
    )
    return Case(
        ask=ask.format(key, title), sites={"wiki": pages, "shop": store}, start="wiki", solve=solve,
        wanted=changed(store, change),
    )  # fmt: skip


def two_shops(draw: Draw) -> Case:
    """Order a product in that of two shops where it costs less, shipping included in neither."""
    left, right = shop.made(draw, num=30, name="north"), shop.made(draw, num=30, name="south")
    product = draw.pick([each for each in left.rows["products"].values() if each["stock"] > 2])
    name, key = product["name"], slug(product["name"])
    price = product["price"] + draw.pick((-1, 1)) * draw.whole(5, 300)
    right.rows["products"][key] = {**product, "price": max(100, price), "options": list(product["options"])}
    cheap = left if left.rows["products"][key]["price"] < right.rows["products"][key]["price"] else right
    option, amount, buyer = draw.pick(product["options"]), draw.whole(1, 2), buyer_of(draw)

    def solve(view: View) -> Script:
        prices = {}
        for name_of_shop in ("north", "south"):
            view = yield goto(f"{name_of_shop}/")
            view = yield from find_product(view, name)
            prices[name_of_shop] = float(view.after("Price: "))
        view = yield goto(f"{min(prices, key=lambda each: prices[each])}/")
        view = yield from put_into_cart(view, name, option, amount)
        yield from order_all(view, buyer)
        yield answered()

    ask = draw.say(
        "Two shops, north/ and south/, sell the {0}. Order {1} in {2} where it is cheaper, for {name}, {street}, "
        "{city}, {shipping} shipping.",
        "Compare the price of the {0} at north/ and south/, and order {1} ({2}) at the cheaper shop: {name}, "
        "{street}, {city}, {shipping}.",
    )
    return Case(
        ask=ask.format(name, amount, option, **buyer), sites={"north": left, "south": right}, start="north",
        solve=solve, wanted=ordered(cheap, [(name, option, amount)], buyer),
    )  # fmt: skip


KINDS = (
    Kind(name="two-shops", levels=(5,), make=two_shops),
    Kind(name="order-for-thread", levels=(5,), make=order_for_thread),
    Kind(name="apply-policy", levels=(5,), make=apply_policy),
    Kind(name="return-by-policy", levels=(5,), make=return_by_policy),
)
"""Every kind of this file."""
