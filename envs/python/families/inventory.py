"""What is asked of a warehouse: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import inventory as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_NOW = """
now = {}
for r in stock:
    now[r["part"]] = now.get(r["part"], 0) + r["count"]
for r in moves:
    now[r["part"]] += r["change"]
"""
_NEEDED = """
made_of = {p["product"]: p["made_of"] for p in products}
def needed(name, pieces=1):
    if name not in made_of:
        return {name: pieces}
    total = {}
    for each in made_of[name]:
        for part, number in needed(each["of"], pieces * each["pieces"]).items():
            total[part] = total.get(part, 0) + number
    return total
"""
FAMILIES = (
    Family(
        name="stock-worth",
        levels=(1,),
        world=data.world,
        ask=data.ask_worth,
        train=("What are all parts worth together (count times price)?", "Add up count times price over all parts."),
        test=(
            "Find the total of price times count.",
            "How much is the whole stock worth, each part being price by count?",
        ),
        cell='print(round(sum(r["count"] * r["price"] for r in stock), 2))',
    ),
    Family(
        name="stock-worth-of-shelf",
        levels=(1,),
        world=data.world,
        ask=data.ask_shelf_worth,
        train=(
            "What are the parts on shelf $shelf worth (count times price)?",
            "Add up count times price for shelf $shelf.",
        ),
        test=(
            "How much is everything on shelf $shelf worth, as price by count?",
            "On shelf $shelf, what is the total of price times count?",
        ),
        cell='print(round(sum(r["count"] * r["price"] for r in stock if r["shelf"] == $shelf), 2))',
    ),
    Family(
        name="stock-worth-of-supplier",
        levels=(2,),
        world=data.world,
        ask=data.ask_supplier_worth,
        train=(
            "What is the stock of all parts of the supplier $supplier worth (count times price)?",
            "How much, as count times price, is in stock of the parts that $supplier supplies?",
        ),
        test=(
            "Join stock and parts: what is the total of price times count for the supplier $supplier?",
            "Find what all pieces of $supplier that lie on the shelves are worth together.",
        ),
        cell="""
part = {p["part"]: p for p in parts}
found = [r["count"] * part[r["part"]]["price"] for r in stock if part[r["part"]]["supplier"] == $supplier]
print(round(sum(found), 2))""",
    ),
    Family(
        name="stock-dearest-supplier",
        levels=(2,),
        world=data.world,
        ask=data.ask_dearest_supplier,
        train=(
            "On the shelves $low to $high, which supplier's parts are worth the most (count times price in stock)?",
            "Whose parts on the shelves from $low to $high have the highest total of count times price in stock?",
        ),
        test=(
            "Name the supplier with the greatest worth, price by count, on shelves numbered $low through $high.",
            "Going through shelves $low through $high of the stock, which supplier leads by price times count?",
        ),
        cell="""
part = {p["part"]: p for p in parts}
worth = {}
for r in stock:
    if $low <= r["shelf"] <= $high:
        p = part[r["part"]]
        worth[p["supplier"]] = worth.get(p["supplier"], 0) + r["count"] * p["price"]
print(max(worth, key=worth.get))""",
    ),
    Family(
        name="stock-after-moves",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_after_moves,
        train=(
            "How many pieces of $part are there after all the moves?",
            "Starting from the stock, how many pieces of $part remain when all moves are done?",
        ),
        test=(
            "What is the number of pieces of $part once every move is counted?",
            "Count the $part: what lies on the shelves, and all that came and went.",
        ),
        cell=_NOW + "print(now[$part])",
    ),
    Family(
        name="stock-taken-in-month",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_taken,
        train=(
            "How many pieces of parts of the supplier $supplier went out in $month?",
            "Add up the pieces that left in $month (changes below 0) for parts of $supplier.",
        ),
        test=(
            "In $month, what number of pieces supplied by $supplier was taken out?",
            "Of all that $supplier supplies, how many pieces left the warehouse in $month?",
        ),
        cell="""
supplier = {p["part"]: p["supplier"] for p in parts}
found = [r for r in moves if supplier[r["part"]] == $supplier and r["day"].startswith($month)]
print(sum(-r["change"] for r in found if r["change"] < 0))""",
    ),
    Family(
        name="stock-first-low",
        levels=(4,),
        world=data.world,
        ask=data.ask_first_low,
        train=(
            "On which day were there for the first time fewer than $limit pieces of $part at the end of the day?",
            "By the moves, at the end of which day did the number of $part first fall below $limit?",
        ),
        test=(
            "Find the earliest day that ends with less than $limit pieces of $part.",
            "When, counted at the close of each day, are under $limit pieces of $part left for the first time?",
        ),
        cell="""
left = sum(r["count"] for r in stock if r["part"] == $part)
days = {}
for r in moves:
    if r["part"] == $part:
        days[r["day"]] = days.get(r["day"], 0) + r["change"]
for day_, change in sorted(days.items()):
    left += change
    if left < $limit:
        print(day_)
        break""",
    ),
    Family(
        name="stock-short",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_short,
        train=(
            "Of which parts of the supplier $supplier are more pieces wanted by orders than there are after all moves?",
            "After all moves, which parts of $supplier are too few for their orders?",
        ),
        test=(
            "For what parts of $supplier do the orders exceed the pieces that are left once every move is counted?",
            "Name the parts of supplier $supplier whose orders cannot all be filled, moves included.",
        ),
        cell=_NOW
        + """
wanted = {}
for r in orders:
    wanted[r["part"]] = wanted.get(r["part"], 0) + r["wanted"]
mine = [p["part"] for p in parts if p["supplier"] == $supplier]
print(", ".join(part for part in mine if wanted.get(part, 0) > now[part]))""",
    ),
    Family(
        name="stock-cost-of-product",
        levels=(5,),
        world=data.world,
        ask=data.ask_product_cost,
        train=(
            "What do the parts for one piece of the product $product cost?",
            "Add up the prices of all parts that one $product is made of in the end.",
        ),
        test=(
            "Find the price of everything that goes into one $product, down to its parts.",
            "How much must be paid for the parts of a single $product?",
        ),
        cell=_NEEDED
        + """
price = {p["part"]: p["price"] for p in parts}
print(round(sum(price[part] * number for part, number in needed($product).items()), 2))""",
    ),
    Family(
        name="stock-need-of-supplier",
        levels=(5,),
        world=data.world,
        ask=data.ask_supplier_need,
        train=(
            "How many pieces of parts of the supplier $supplier go into $pieces pieces of the product $product?",
            "To make $pieces of $product, how many pieces must come from $supplier in all?",
        ),
        test=(
            "What number of pieces supplied by $supplier does a batch of $pieces times $product take?",
            "Making $product $pieces times uses how many parts of supplier $supplier?",
        ),
        cell=_NEEDED
        + """
supplier = {p["part"]: p["supplier"] for p in parts}
print(sum(number for part, number in needed($product, $pieces).items() if supplier[part] == $supplier))""",
    ),
    Family(
        name="stock-lacking",
        levels=(5,),
        world=data.world,
        ask=data.ask_lacking,
        train=(
            "Which parts are too few after all moves to make $pieces pieces of the product $product?",
            "To make $pieces of $product, of which parts are there not enough pieces, moves counted?",
        ),
        test=(
            "A batch of $pieces times $product is to be made: what parts run short, once every move is counted?",
            "Name the parts that the warehouse lacks, all moves included, for making $product $pieces times.",
        ),
        cell=_NOW
        + _NEEDED
        + """
print(", ".join(part for part, number in needed($product, $pieces).items() if number > now[part]))""",
    ),
)
