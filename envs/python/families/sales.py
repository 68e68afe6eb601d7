"""What is asked of sales: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import sales as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

FAMILIES = (
    Family(
        name="sales-units-of-item",
        levels=(1,),
        world=data.world,
        ask=data.ask_units,
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
        world=data.world,
        ask=data.ask_shop_units,
        train=("How many units did the shop $shop sell in all?", "Add up the units sold in $shop."),
        test=("What is the total of the units that $shop sold?", "Take all sales of $shop: how many units are that?"),
        cell='print(sum(r["units"] for r in sales if r["shop"] == $shop))',
    ),
    Family(
        name="sales-units-at-shop",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_units,
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
        world=data.world,
        ask=data.ask_revenue,
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
        world=data.world,
        ask=data.ask_best_item,
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
        world=data.world,
        ask=data.ask_best_day,
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
        world=data.world,
        ask=data.ask_top_shops,
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
        world=data.world,
        ask=data.ask_region_mean,
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
        world=data.world,
        ask=data.ask_best_manager,
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
        world=data.world,
        ask=data.ask_profit,
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
        world=data.world,
        ask=data.ask_weekend_share,
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
