"""Sales of a chain of shops: one table, then also its shops, and at level 5 the suppliers of what it sells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction

from agentrl.envs.python.answers import day, in_order, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, ranked, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_best_day",
    "ask_best_item",
    "ask_best_manager",
    "ask_profit",
    "ask_region_mean",
    "ask_revenue",
    "ask_shop_units",
    "ask_top_shops",
    "ask_units",
    "ask_weekend_share",
    "world",
]

_ITEMS_LOADER = """
items = {}
for group in json.load(open("items.json"))["groups"]:
    for each in group["items"]:
        items[each["item"]] = {"group": group["name"], "cost": each["cost"], "supplier": each["supplier"]["name"]}
"""


def world(draw: Draw) -> World:
    """Draw sales; from level 4 on with shops, at level 5 with what the items cost and who supplies them."""
    level = draw.level
    num_shops = (3, 6, 7, 9, 12)[level - 1]
    names, items = draw.some("places", num_shops), draw.some("items", (3, 8, 10, 12, 18)[level - 1])
    prices = {item: draw.whole(150, 9_000 if level < 3 else 190_000) for item in items}
    start = draw.day()
    rows: list[Row] = []
    for index in range(size(draw)):
        item = draw.pick(items)
        row = {"id": f"S{1000 + index}", "day": start + timedelta(days=draw.whole(0, 75)), "shop": draw.pick(names)}
        rows.append({**row, "item": item, "units": draw.whole(2, 40), "price": prices[item] + 5 * draw.whole(0, 60)})
    columns = {"shop": "name", "item": "text", "units": "whole"}
    if level > 1:
        columns = {"day": "day", **columns, "price": "money"}
    if level > 2:
        columns = {"id": "id", **columns}
    ending = draw.pick(("csv", "json") if level == 1 else ("csv", "tsv", "txt", "jsonl"))
    about = "one row for each sale; price is the price of one unit."
    sales = Table(name="sales", columns=columns, rows=rows, file=f"sales.{ending}", dirty=level > 2, about=about)
    if level < 4:
        return World(tables=(sales,))
    shops = _shops(draw, names, "shops.db" if level == 5 or draw.chance(0.5) else "shops.json")
    return World(tables=(sales, shops), papers=(_items(draw, items, prices),) if level == 5 else ())


def _shops(draw: Draw, names: list[str], file: str) -> Table:
    regions = draw.some("surnames", 4)
    managers = draw.some("names", max(4, len(names) * 2 // 3))
    rows: list[Row] = [
        {"shop": name, "manager": draw.pick(managers), "region": draw.pick(regions), "size": draw.whole(80, 900)}
        for name in names
    ]
    columns = {"shop": "name", "manager": "name", "region": "name", "size": "whole"}
    return Table(name="shops", columns=columns, rows=rows, file=file, about="one row for each shop.")


def _items(draw: Draw, items: list[str], prices: Mapping[str, int]) -> Paper:
    groups, suppliers = draw.some("adjectives", 4), draw.some("surnames", 12)[4:10]
    rows: list[Row] = [
        {
            "item": item,
            "group": draw.pick(groups),
            "cost": prices[item] * draw.whole(40, 90) // 100,
            "supplier": draw.pick(suppliers),
        }
        for item in items
    ]

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = {
            "groups": [
                {
                    "name": group,
                    "items": [
                        {"item": row["item"], "cost": row["cost"] / 100, "supplier": {"name": row["supplier"]}}
                        for row in rows
                        if row["group"] == group
                    ],
                }
                for group in groups
            ]
        }
        return {"items.json": pretty(nested)}

    about = "items.json: what is sold, by groups; cost is what the shop pays its supplier for one unit."
    return Paper(name="items", rows=rows, files=files, loader=_ITEMS_LOADER, about=about)


def _cents(row: Row) -> int:
    return int(row["units"] * row["price"])


def ask_units(draw: Draw, world: World) -> Case | None:
    """Ask for the units of an item, above level 1 in one shop; None where a single sale would tell."""
    row = draw.pick(world["sales"])
    if draw.level == 1:
        params = {"item": row["item"]}
        fitting = [each for each in world["sales"] if each["item"] == row["item"]]
    else:
        params = {"item": row["item"], "shop": row["shop"]}
        fitting = [each for each in world["sales"] if each["item"] == row["item"] and each["shop"] == row["shop"]]
    return Case(params=params, answer=number(sum(each["units"] for each in fitting))) if len(fitting) > 1 else None


def ask_shop_units(draw: Draw, world: World) -> Case:
    """Ask for the units that a shop sold."""
    shop = draw.pick(world["sales"])["shop"]
    return Case(params={"shop": shop}, answer=number(sum(r["units"] for r in world["sales"] if r["shop"] == shop)))


def ask_revenue(draw: Draw, world: World) -> Case:
    """Ask for the revenue of a shop in a month."""
    row = draw.pick(world["sales"])
    params = {"shop": row["shop"], "month": f"{row['day']:%Y-%m}"}
    fitting = [r for r in world["sales"] if r["shop"] == row["shop"] and f"{r['day']:%Y-%m}" == params["month"]]
    exact = Fraction(sum(map(_cents, fitting)), 100)
    return Case(params=params, answer=number(exact, 2), exact=exact)


def ask_best_item(draw: Draw, world: World) -> Case | None:
    """Ask of which item a shop sold the most units; None where two items are near."""
    shop = draw.pick(world["sales"])["shop"]
    totals = grouped(
        (r for r in world["sales"] if r["shop"] == shop), lambda r: str(r["item"]), lambda r: int(r["units"])
    )
    best = top({item: sum(values) for item, values in totals.items()})
    return Case(params={"shop": shop}, answer=text(best)) if best else None


def ask_best_day(draw: Draw, world: World) -> Case | None:
    """Ask for the day of the highest revenue; None where two days are near."""
    totals = grouped(world["sales"], lambda r: r["day"], _cents)
    best = top({each: sum(values) for each, values in totals.items()})
    return Case(params={}, answer=day(best)) if best else None


def ask_top_shops(draw: Draw, world: World) -> Case | None:
    """Ask for the three shops of the highest revenue, highest first; None where two of the first four are near."""
    totals = grouped(world["sales"], lambda r: str(r["shop"]), _cents)
    best = ranked({shop: sum(values) for shop, values in totals.items()}, 3)
    return Case(params={}, answer=in_order(best)) if best else None


def ask_region_mean(draw: Draw, world: World) -> Case | None:
    """Ask for the mean value of a sale in a region; None where it has no sale."""
    regions = {row["shop"]: row["region"] for row in world["shops"]}
    region = draw.pick(world["shops"])["region"]
    fitting = [_cents(row) for row in world["sales"] if regions[row["shop"]] == region]
    if not fitting:
        return None
    exact = mean(fitting) / 100
    return Case(params={"region": region}, answer=number(exact, 2), exact=exact)


def ask_best_manager(draw: Draw, world: World) -> Case | None:
    """Ask in whose shops a sale of a month was worth the most on average; None where two managers are near."""
    managers = {row["shop"]: str(row["manager"]) for row in world["shops"]}
    month = f"{draw.pick(world['sales'])['day']:%Y-%m}"
    rows = [row for row in world["sales"] if f"{row['day']:%Y-%m}" == month]
    totals = grouped(rows, lambda r: managers[r["shop"]], _cents)
    best = top({manager: mean(values) for manager, values in totals.items()})
    return Case(params={"month": month}, answer=text(best)) if best else None


def ask_profit(draw: Draw, world: World) -> Case | None:
    """Ask for the profit on a supplier's items in a region; None for fewer than four sales."""
    regions = {row["shop"]: row["region"] for row in world["shops"]}
    items = {row["item"]: row for row in world["items"]}
    params = {"supplier": draw.pick(world["items"])["supplier"], "region": draw.pick(world["shops"])["region"]}
    fitting = [
        row["units"] * (row["price"] - items[row["item"]]["cost"])
        for row in world["sales"]
        if items[row["item"]]["supplier"] == params["supplier"] and regions[row["shop"]] == params["region"]
    ]
    exact = Fraction(sum(fitting), 100)
    return Case(params=params, answer=number(exact, 2), exact=exact) if len(fitting) > 3 else None


def ask_weekend_share(draw: Draw, world: World) -> Case | None:
    """Ask which share of a group's revenue under a manager fell on weekends; None for fewer than five sales."""
    managers = {row["shop"]: row["manager"] for row in world["shops"]}
    groups = {row["item"]: row["group"] for row in world["items"]}
    params = {"group": draw.pick(world["items"])["group"], "manager": draw.pick(world["shops"])["manager"]}
    fitting = [
        row
        for row in world["sales"]
        if groups[row["item"]] == params["group"] and managers[row["shop"]] == params["manager"]
    ]
    if len(fitting) < 5:
        return None
    exact = Fraction(100 * sum(_cents(row) for row in fitting if row["day"].weekday() > 4), sum(map(_cents, fitting)))
    return Case(params=params, answer=number(exact, 2), exact=exact)
