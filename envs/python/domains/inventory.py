"""A warehouse: one list, then a database with joins, movements and orders, and at level 5 products made of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction

from agentrl.envs.python.answers import any_order, day, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_after_moves",
    "ask_dearest_supplier",
    "ask_first_low",
    "ask_lacking",
    "ask_product_cost",
    "ask_shelf_worth",
    "ask_short",
    "ask_supplier_need",
    "ask_supplier_worth",
    "ask_taken",
    "ask_worth",
    "world",
]

_PRODUCTS_LOADER = """
products = json.load(open("products.json"))
"""


def world(draw: Draw) -> World:
    """Draw a stock; with suppliers from level 2 on, with moves from 3, with orders from 4, with products at 5."""
    level = draw.level
    num_parts = (10, 40, 40, 40, 60)[level - 1]
    kinds, looks = draw.some("items", 12), draw.some("adjectives", 12)
    names = draw.shuffled([f"{look.lower()} {kind}" for look in looks for kind in kinds])[:num_parts]
    price = {name: draw.whole(20, 20_000) for name in names}
    if level == 1:
        rows: list[Row] = [
            {"part": name, "shelf": draw.whole(1, 3), "count": draw.whole(3, 90), "price": 25 * draw.whole(2, 200)}
            for name in draw.some("items", size(draw))
        ]
        columns = {"part": "text", "shelf": "whole", "count": "whole", "price": "money"}
        return World(
            tables=(Table(name="stock", columns=columns, rows=rows, file=f"stock.{draw.pick(('csv', 'json'))}"),)
        )
    suppliers = draw.some("surnames", 9)
    parts: list[Row] = [{"part": name, "supplier": draw.pick(suppliers), "price": price[name]} for name in names]
    stock: list[Row] = [
        {
            "part": draw.pick(names) if at >= num_parts else names[at],
            "shelf": draw.whole(10, 99),
            "count": draw.whole(1, 90),
        }
        for at in range(draw.whole(220, 320))
    ]
    tables = [
        Table(
            name="parts",
            columns={"part": "text", "supplier": "text", "price": "money"},
            rows=parts,
            file="warehouse.db",
            about="one row for each part, with the price of one piece.",
        ),
        Table(
            name="stock",
            columns={"part": "text", "shelf": "whole", "count": "whole"},
            rows=draw.shuffled(stock),
            file="warehouse.db",
            about="how many pieces lie on a shelf; a part may lie on several.",
        ),
    ]
    if level > 2:
        tables.append(_moves(draw, names))
    if level > 3:
        tables.append(_orders(draw, names, stock))
    return World(tables=tuple(tables), papers=(_products(draw, names),) if level == 5 else ())


def _moves(draw: Draw, names: Sequence[str]) -> Table:
    start = draw.day()
    rows: list[Row] = [
        {
            "id": f"M{1000 + index}",
            "day": start + timedelta(days=draw.whole(0, 75)),
            "part": draw.pick(names),
            "change": draw.whole(1, 25) if draw.chance(0.55) else -draw.whole(1, 22),
        }
        for index in range(size(draw))
    ]
    return Table(
        name="moves",
        columns={"id": "id", "day": "day", "part": "text", "change": "whole"},
        rows=rows,
        file=f"moves.{draw.pick(('csv', 'tsv', 'jsonl'))}",
        dirty=True,
        about="what came (change above 0) or went (below 0) after the stock in the database had been counted.",
    )


def _orders(draw: Draw, names: Sequence[str], stock: Sequence[Row]) -> Table:
    lying = grouped(stock, lambda row: str(row["part"]), lambda row: int(row["count"]))
    rows: list[Row] = []
    for name in names:
        wanted = sum(lying[name]) * draw.whole(60, 130) // 100
        pieces = sorted(draw.whole(0, wanted) for _ in range(draw.whole(4, 9)))
        for low, high in zip([0, *pieces], [*pieces, wanted], strict=True):
            if high > low:
                rows.append({"id": "", "part": name, "wanted": high - low})
    rows = [{**row, "id": f"O{5000 + at}"} for at, row in enumerate(draw.shuffled(rows))]
    return Table(
        name="orders",
        columns={"id": "id", "part": "text", "wanted": "whole"},
        rows=rows,
        file=f"orders.{draw.pick(('json', 'txt'))}",
        dirty=True,
        about="open orders: how many pieces of a part are wanted.",
    )


def _products(draw: Draw, names: Sequence[str]) -> Paper:
    """Draw products: each is made of parts and of products before it."""
    titles = [
        f"{adjective} {noun}"
        for adjective, noun in zip(draw.some("adjectives", 14), draw.some("nouns", 14), strict=True)
    ]
    needs: dict[str, dict[str, int]] = {}
    for at, title in enumerate(titles):
        own = {name: draw.whole(1, 6) for name in draw.shuffled(names)[: draw.whole(2, 5)]}
        if at > 3:
            own |= {draw.pick(titles[:at]): draw.whole(1, 3) for _ in range(2)}
        needs[title] = own
    rows: list[Row] = [{"product": title} for title in titles]
    for row in rows:
        row["needs"] = needs

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {"product": title, "made_of": [{"of": name, "pieces": pieces} for name, pieces in needs[title].items()]}
            for title in draw.shuffled(titles)
        ]
        return {"products.json": pretty(nested)}

    about = (
        "products.json: what each product is made of: parts of the warehouse, and other products, which are made too."
    )
    return Paper(name="products", rows=rows, files=files, loader=_PRODUCTS_LOADER, about=about)


def ask_worth(draw: Draw, world: World) -> Case:
    """Ask what the whole stock is worth."""
    exact = Fraction(sum(row["count"] * row["price"] for row in world["stock"]), 100)
    return Case(params={}, answer=number(exact, 2), exact=exact)


def ask_shelf_worth(draw: Draw, world: World) -> Case | None:
    """Ask what a shelf is worth; None where a single part lies on it."""
    shelf = draw.pick(world["stock"])["shelf"]
    found = [row["count"] * row["price"] for row in world["stock"] if row["shelf"] == shelf]
    exact = Fraction(sum(found), 100)
    return Case(params={"shelf": shelf}, answer=number(exact, 2), exact=exact) if len(found) > 1 else None


def ask_supplier_worth(draw: Draw, world: World) -> Case:
    """Ask what the parts of a supplier in stock are worth."""
    parts = {row["part"]: row for row in world["parts"]}
    supplier = draw.pick(world["parts"])["supplier"]
    rows = [row for row in world["stock"] if parts[row["part"]]["supplier"] == supplier]
    exact = Fraction(sum(row["count"] * parts[row["part"]]["price"] for row in rows), 100)
    return Case(params={"supplier": supplier}, answer=number(exact, 2), exact=exact)


def ask_dearest_supplier(draw: Draw, world: World) -> Case | None:
    """Ask whose parts on some shelves are worth the most; None where two suppliers are near."""
    parts = {row["part"]: row for row in world["parts"]}
    low = 10 * draw.whole(1, 6)
    rows = [row for row in world["stock"] if low <= row["shelf"] < low + 30]
    worth = grouped(
        rows,
        lambda row: str(parts[row["part"]]["supplier"]),
        lambda row: int(row["count"] * parts[row["part"]]["price"]),
    )
    best = top({supplier: sum(values) for supplier, values in worth.items()})
    return Case(params={"low": low, "high": low + 29}, answer=text(best)) if best else None


def ask_after_moves(draw: Draw, world: World) -> Case:
    """Ask how many pieces of a part are left after all moves; the number may be below 0."""
    part = draw.pick(world["parts"])["part"]
    lying = sum(row["count"] for row in world["stock"] if row["part"] == part)
    return Case(
        params={"part": part},
        answer=number(lying + sum(row["change"] for row in world["moves"] if row["part"] == part)),
    )


def ask_taken(draw: Draw, world: World) -> Case | None:
    """Ask how many pieces of a supplier's parts went out in a month; None where a single move would tell."""
    supplier = {row["part"]: row["supplier"] for row in world["parts"]}
    row = draw.pick(world["moves"])
    params = {"supplier": supplier[row["part"]], "month": f"{row['day']:%Y-%m}"}
    found = [
        -each["change"]
        for each in world["moves"]
        if each["change"] < 0
        and supplier[each["part"]] == params["supplier"]
        and f"{each['day']:%Y-%m}" == params["month"]
    ]
    return Case(params=params, answer=number(sum(found))) if len(found) > 1 else None


def ask_first_low(draw: Draw, world: World) -> Case | None:
    """Ask on which day a part first ended below a limit; None where it never did."""
    part = draw.pick(world["parts"])["part"]
    lying = sum(row["count"] for row in world["stock"] if row["part"] == part)
    changes = grouped(
        (row for row in world["moves"] if row["part"] == part), lambda r: r["day"], lambda r: int(r["change"])
    )
    limit = lying - draw.whole(5, 40)
    for each in sorted(changes):
        lying += sum(changes[each])
        if lying < limit:
            return Case(params={"part": part, "limit": limit}, answer=day(each))
    return None


def ask_short(draw: Draw, world: World) -> Case | None:
    """Ask which parts of a supplier are too few for their orders; None for one or all of them."""
    supplier = draw.pick(world["parts"])["supplier"]
    lying = grouped(world["stock"], lambda row: str(row["part"]), lambda row: int(row["count"]))
    moved = grouped(world["moves"], lambda row: str(row["part"]), lambda row: int(row["change"]))
    wanted = grouped(world["orders"], lambda row: str(row["part"]), lambda row: int(row["wanted"]))
    mine = [row["part"] for row in world["parts"] if row["supplier"] == supplier]
    found = [part for part in mine if sum(wanted.get(part, [])) > sum(lying[part]) + sum(moved.get(part, []))]
    return Case(params={"supplier": supplier}, answer=any_order(found)) if 1 < len(found) < len(mine) else None


def _needed(needs: Mapping[str, Mapping[str, int]], product: str) -> dict[str, int]:
    """Return the parts that one piece of a product is made of in the end."""
    found: dict[str, int] = {}
    for name, pieces in needs[product].items():
        inner = _needed(needs, name) if name in needs else {name: 1}
        for part, each in inner.items():
            found[part] = found.get(part, 0) + pieces * each
    return found


def ask_product_cost(draw: Draw, world: World) -> Case | None:
    """Ask what the parts of a product cost, those of the products inside it included."""
    price = {row["part"]: row["price"] for row in world["parts"]}
    row = draw.pick(world["products"][5:])
    exact = Fraction(sum(price[part] * pieces for part, pieces in _needed(row["needs"], row["product"]).items()), 100)
    return Case(params={"product": row["product"]}, answer=number(exact, 2), exact=exact)


def ask_supplier_need(draw: Draw, world: World) -> Case | None:
    """Ask how many pieces of a supplier's parts go into a batch of a product, products inside it included."""
    supplier = {row["part"]: row["supplier"] for row in world["parts"]}
    row, pieces = draw.pick(world["products"][5:]), draw.whole(6, 40)
    needed = _needed(row["needs"], row["product"])
    chosen = supplier[draw.pick(sorted(needed))]
    total = pieces * sum(each for part, each in needed.items() if supplier[part] == chosen)
    return Case(params={"product": row["product"], "pieces": pieces, "supplier": chosen}, answer=number(total))


def ask_lacking(draw: Draw, world: World) -> Case | None:
    """Ask which parts are too few for a batch of a product after all moves; None for one, nine or more, or all."""
    lying = grouped(world["stock"], lambda row: str(row["part"]), lambda row: int(row["count"]))
    moved = grouped(world["moves"], lambda row: str(row["part"]), lambda row: int(row["change"]))
    row, pieces = draw.pick(world["products"][5:]), 5 * draw.whole(4, 30)
    needed = _needed(row["needs"], row["product"])
    short = [part for part, each in needed.items() if pieces * each > sum(lying[part]) + sum(moved.get(part, []))]
    if not 1 < len(short) < min(9, len(needed)):
        return None
    return Case(params={"product": row["product"], "pieces": pieces}, answer=any_order(short))
