"""Sales of a chain of shops: one table, then also its shops, and at level 5 the suppliers of what it sells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction

from agentrl.envs.python.answers import day, in_order, number, text
from agentrl.envs.python.family import Case, Family, Row, World, grouped, mean, ranked, size, top
from agentrl.envs.python.files import Paper, Table
from agentrl.envs.python.words import Draw

__all__ = ["FAMILIES"]

_ITEMS_LOADER = """
items = {}
for group in json.load(open("items.json"))["groups"]:
    for each in group["items"]:
        items[each["item"]] = {"group": group["name"], "cost": each["cost"], "supplier": each["supplier"]["name"]}
"""


def _world(draw: Draw) -> World:
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
        return {"items.json": json.dumps(nested, indent=1).encode()}

    about = "items.json: what is sold, by groups; cost is what the shop pays its supplier for one unit."
    return Paper(name="items", rows=rows, files=files, loader=_ITEMS_LOADER, about=about)


def _cents(row: Row) -> int:
    return int(row["units"] * row["price"])


def _units(draw: Draw, world: World) -> Case | None:
    row = draw.pick(world["sales"])
    if draw.level == 1:
        params = {"item": row["item"]}
        fitting = [each for each in world["sales"] if each["item"] == row["item"]]
    else:
        params = {"item": row["item"], "shop": row["shop"]}
        fitting = [each for each in world["sales"] if each["item"] == row["item"] and each["shop"] == row["shop"]]
    return Case(params=params, answer=number(sum(each["units"] for each in fitting))) if len(fitting) > 1 else None


def _shop_units(draw: Draw, world: World) -> Case:
    shop = draw.pick(world["sales"])["shop"]
    return Case(params={"shop": shop}, answer=number(sum(r["units"] for r in world["sales"] if r["shop"] == shop)))


def _revenue(draw: Draw, world: World) -> Case:
    row = draw.pick(world["sales"])
    params = {"shop": row["shop"], "month": f"{row['day']:%Y-%m}"}
    fitting = [r for r in world["sales"] if r["shop"] == row["shop"] and f"{r['day']:%Y-%m}" == params["month"]]
    exact = Fraction(sum(map(_cents, fitting)), 100)
    return Case(params=params, answer=number(exact, 2), exact=exact)


def _best_item(draw: Draw, world: World) -> Case | None:
    shop = draw.pick(world["sales"])["shop"]
    totals = grouped(
        (r for r in world["sales"] if r["shop"] == shop), lambda r: str(r["item"]), lambda r: int(r["units"])
    )
    best = top({item: sum(values) for item, values in totals.items()})
    return Case(params={"shop": shop}, answer=text(best)) if best else None


def _best_day(draw: Draw, world: World) -> Case | None:
    totals = grouped(world["sales"], lambda r: r["day"], _cents)
    best = top({each: sum(values) for each, values in totals.items()})
    return Case(params={}, answer=day(best)) if best else None


def _top_shops(draw: Draw, world: World) -> Case | None:
    totals = grouped(world["sales"], lambda r: str(r["shop"]), _cents)
    best = ranked({shop: sum(values) for shop, values in totals.items()}, 3)
    return Case(params={}, answer=in_order(best)) if best else None


def _region_mean(draw: Draw, world: World) -> Case | None:
    regions = {row["shop"]: row["region"] for row in world["shops"]}
    region = draw.pick(world["shops"])["region"]
    fitting = [_cents(row) for row in world["sales"] if regions[row["shop"]] == region]
    if not fitting:
        return None
    exact = mean(fitting) / 100
    return Case(params={"region": region}, answer=number(exact, 2), exact=exact)


def _best_manager(draw: Draw, world: World) -> Case | None:
    managers = {row["shop"]: str(row["manager"]) for row in world["shops"]}
    month = f"{draw.pick(world['sales'])['day']:%Y-%m}"
    rows = [row for row in world["sales"] if f"{row['day']:%Y-%m}" == month]
    totals = grouped(rows, lambda r: managers[r["shop"]], _cents)
    best = top({manager: mean(values) for manager, values in totals.items()})
    return Case(params={"month": month}, answer=text(best)) if best else None


def _profit(draw: Draw, world: World) -> Case | None:
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


def _weekend_share(draw: Draw, world: World) -> Case | None:
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


FAMILIES = (
    Family(
        name="sales-units-of-item",
        levels=(1,),
        world=_world,
        ask=_units,
        train=("How many units of $item were sold in all?", "Add up the units of $item."),
        test=(
            "What is the total number of units sold of $item?",
            "Count all units of $item that went over the counter.",
        ),
        cell='print(sum(r["units"] for r in sales if r["item"] == $item))',
    ),
    Family(
        name="sales-units-of-shop",
        levels=(1,),
        world=_world,
        ask=_shop_units,
        train=("How many units did the shop $shop sell in all?", "Add up the units sold in $shop."),
        test=("What is the total of the units that $shop sold?", "Take all sales of $shop: how many units are that?"),
        cell='print(sum(r["units"] for r in sales if r["shop"] == $shop))',
    ),
    Family(
        name="sales-units-at-shop",
        levels=(2, 3),
        world=_world,
        ask=_units,
        train=("How many units of $item did the shop $shop sell?", "Add up the units of $item sold in $shop."),
        test=(
            "Of $item, how many units went out in $shop?",
            "What is the number of units of $item for the shop $shop?",
        ),
        cell='print(sum(r["units"] for r in sales if r["item"] == $item and r["shop"] == $shop))',
    ),
    Family(
        name="sales-revenue-of-month",
        levels=(2, 3),
        world=_world,
        ask=_revenue,
        train=(
            "What was the revenue (units times price) of the shop $shop in the month $month?",
            "How much money did $shop take in $month? A sale is worth units times price.",
        ),
        test=(
            "Work out what the sales of $shop in $month were worth, each being price times units.",
            "Multiply units and price of each sale: what did $shop earn in $month?",
        ),
        cell="""
found = [r["units"] * r["price"] for r in sales if r["shop"] == $shop and r["day"].startswith($month)]
print(round(sum(found), 2))""",
    ),
    Family(
        name="sales-best-item",
        levels=(2, 3),
        world=_world,
        ask=_best_item,
        train=("Of which item did the shop $shop sell the most units?", "Which item has the most units sold in $shop?"),
        test=("What item leads in $shop, by units?", "Counted in units, name the item that $shop sold best."),
        cell="""
units = {}
for r in sales:
    if r["shop"] == $shop:
        units[r["item"]] = units.get(r["item"], 0) + r["units"]
print(max(units, key=units.get))""",
    ),
    Family(
        name="sales-best-day",
        levels=(3, 4),
        world=_world,
        ask=_best_day,
        train=(
            "On which day was the revenue (units times price) of all shops together the highest?",
            "Which day brought the most money, a sale being worth units times price?",
        ),
        test=(
            "Find the day with the greatest total of units times price.",
            "When did all shops together take the most, if a sale brings price times units?",
        ),
        cell="""
taken = {}
for r in sales:
    taken[r["day"]] = taken.get(r["day"], 0) + r["units"] * r["price"]
print(max(taken, key=taken.get))""",
    ),
    Family(
        name="sales-top-shops",
        levels=(3, 4),
        world=_world,
        ask=_top_shops,
        train=(
            "Which three shops have the highest revenue (units times price), the highest first?",
            "Name the three shops with the most revenue, largest first; a sale is worth units times price.",
        ),
        test=(
            "What are the top three shops by the sum of units times price, from the best down?",
            "Rank the shops by what they took (price times units) and give the first three.",
        ),
        cell="""
taken = {}
for r in sales:
    taken[r["shop"]] = taken.get(r["shop"], 0) + r["units"] * r["price"]
print(", ".join(sorted(taken, key=taken.get, reverse=True)[:3]))""",
    ),
    Family(
        name="sales-mean-of-region",
        levels=(4,),
        world=_world,
        ask=_region_mean,
        train=(
            "What is the mean value (units times price) of a sale in the shops of the region $region?",
            "Over all sales in the region $region, what is one worth on average, as units times price?",
        ),
        test=(
            "Take the sales of the $region region: what is the average of price times units?",
            "How much does an average sale bring (units by price) in shops that belong to $region?",
        ),
        cell="""
region = {s["shop"]: s["region"] for s in shops}
found = [r["units"] * r["price"] for r in sales if region[r["shop"]] == $region]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="sales-best-manager",
        levels=(4, 5),
        world=_world,
        ask=_best_manager,
        train=(
            "In the shops of which manager was the mean value (units times price) of a sale the highest in $month?",
            "Name the manager in whose shops a sale of $month was worth the most on average, as units times price.",
        ),
        test=(
            "Whose shops had the largest average of price times units in $month? Name the manager.",
            "Who manages the shops with the greatest mean sale of $month, if a sale brings units by price?",
        ),
        cell="""
manager = {s["shop"]: s["manager"] for s in shops}
values = {}
for r in sales:
    if r["day"].startswith($month):
        values.setdefault(manager[r["shop"]], []).append(r["units"] * r["price"])
print(max(values, key=lambda name: sum(values[name]) / len(values[name])))""",
    ),
    Family(
        name="sales-profit-of-supplier",
        levels=(5,),
        world=_world,
        ask=_profit,
        train=(
            "What was the profit on items of the supplier $supplier in shops of the region $region? A unit's "
            "profit is its price less its cost.",
            "In the region $region, how much profit (price less cost, for each unit) came from items that "
            "$supplier supplies?",
        ),
        test=(
            "Each unit earns its price minus its cost: what did the items from $supplier earn in the $region region?",
            "Sum up units by (price minus cost) for what $supplier delivers, over the shops in $region.",
        ),
        cell="""
region = {s["shop"]: s["region"] for s in shops}
profit = 0
for r in sales:
    item = items[r["item"]]
    if item["supplier"] == $supplier and region[r["shop"]] == $region:
        profit += r["units"] * (r["price"] - item["cost"])
print(round(profit, 2))""",
    ),
    Family(
        name="sales-share-of-weekends",
        levels=(5,),
        world=_world,
        ask=_weekend_share,
        train=(
            "Of the revenue (units times price) from items of the group $group in the shops of the manager "
            "$manager, how many percent came in on Saturdays and Sundays?",
            "In $manager's shops, which percentage of the revenue (units times price) of the group $group was "
            "made at weekends?",
        ),
        test=(
            "What part, in percent, of the takings (price times units) with the group $group in shops that "
            "$manager manages falls on a Saturday or Sunday?",
            "Consider the items of the group $group in $manager's shops: weekends bring how many percent of all "
            "units by price?",
        ),
        cell="""
from datetime import date
manager = {s["shop"]: s["manager"] for s in shops}
all_days = weekend = 0
for r in sales:
    if items[r["item"]]["group"] == $group and manager[r["shop"]] == $manager:
        all_days += r["units"] * r["price"]
        if date.fromisoformat(r["day"]).weekday() > 4:
            weekend += r["units"] * r["price"]
print(round(100 * weekend / all_days, 2))""",
    ),
)
