"""Documents of plain text: notes, then letters with drafts and copies, people, and at level 5 several currencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from agentrl.envs.python.answers import any_order, day, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_balance",
    "ask_giver",
    "ask_into_town",
    "ask_last_about",
    "ask_most_for",
    "ask_never_wrote",
    "ask_paid_by",
    "ask_paid_for",
    "ask_sent_by",
    "ask_town_worth",
    "ask_trade_debt",
    "world",
]

_NOTES_LOADER = """
notes = []
for line in open("notes.txt"):
    found = re.match(r"(\\w+) paid (\\d+) crowns for (\\w+)", line)
    if found:
        notes.append({"who": found[1], "crowns": int(found[2]), "item": found[3]})
"""
_LETTERS_LOADER = """
import glob
from datetime import datetime
letters = {}
for path in glob.glob("letters*.txt"):
    for sheet in open(path).read().split("=====\\n"):
        if "Status: draft" in sheet or not sheet.strip():
            continue
        head, body = sheet.split("\\n\\n", 1)
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        found = re.search(r"(\\d[\\d,]*) (crowns|florins|ducats) for (\\w+)", " ".join(body.split()))
        letters[fields["Number"]] = {
            "sender": fields["From"],
            "to": fields["To"],
            "day": datetime.strptime(fields["Date"], "%d %B %Y").date().isoformat(),
            "amount": int(found[1].replace(",", "")),
            "currency": found[2],
            "item": found[3],
        }
letters = list(letters.values())
"""
_RATES_LOADER = """
rates = {m["month"]: m["crowns"] for y in json.load(open("rates.json"))["years"] for m in y["months"]}
"""
_REMARKS = (
    "The rain has not stopped for {} days, and the road is bad.",
    "My brother counted {} swallows over the roof yesterday.",
    "We still have {} jars of honey from last year.",
    "It took me {} hours to find your last letter again.",
    "The mill has been standing still for {} weeks.",
)
_PAYMENTS = (
    "With this I send you {} {} for {}, as we agreed.",
    "I have paid your neighbour {} {} for {} on your account.",
    "You will find {} {} for {} in the small box.",
    "Please take these {} {} for {} and give me a receipt.",
)


def world(draw: Draw) -> World:
    """Draw payments told in notes; in letters from level 3 on, with people's towns from 4, in three currencies at 5."""
    level = draw.level
    items = draw.some("items", (4, 10, 10, 12, 14)[level - 1])
    if level < 3:
        people = draw.some("names", 4 if level == 1 else 12)
        rows: list[Row] = [
            {"who": draw.pick(people), "crowns": draw.whole(6, 90 if level == 1 else 900), "item": draw.pick(items)}
            for _ in range(size(draw))
        ]
        return World(papers=(_notes(rows, level),))
    names = [f"{first} {last}" for first in draw.some("names", 9) for last in draw.some("surnames", 9)]
    people = draw.shuffled(names)[: (10, 18, 30)[level - 3]]
    moment = draw.day()
    letters: list[Row] = []
    for index in range(size(draw) // (3 if level < 5 else 2)):
        moment += timedelta(days=draw.whole(0, 2))
        sender, to = draw.shuffled(people)[:2]
        row = {"number": f"{1000 + index}", "sender": sender, "to": to, "day": moment, "item": draw.pick(items)}
        currency = draw.pick(("crowns", "florins", "ducats")) if level == 5 else "crowns"
        letters.append({**row, "amount": draw.whole(6, 2400), "currency": currency})
    papers = [_letters(letters, level)]
    if level == 3:
        return World(papers=tuple(papers))
    towns, trades = draw.some("places", 6), draw.some("rooms", 9)
    known: list[Row] = [{"person": name, "town": draw.pick(towns), "trade": draw.pick(trades)} for name in people]
    if level == 5:
        papers.append(_rates(draw, letters))
    table = Table(
        name="people",
        columns={"person": "text", "town": "text", "trade": "text"},
        rows=known,
        file="people.db" if level == 5 or draw.chance(0.5) else "people.csv",
        about="where each person lives, and where each one works.",
    )
    return World(tables=(table,), papers=tuple(papers))


def _notes(rows: Sequence[Row], level: int) -> Paper:
    def files(draw: Draw) -> Mapping[str, bytes]:
        lines = []
        for row in rows:
            if level > 1 and draw.chance(0.2):
                lines.append(draw.pick(_REMARKS).format(draw.whole(2, 40)))
            lines.append(f"{row['who']} paid {row['crowns']} crowns for {row['item']}.")
        return {"notes.txt": "".join(f"{line}\n" for line in lines).encode()}

    shown = "notes.txt (lines such as: NAME paid NUMBER crowns for THINGS.)"
    return Paper(name="notes", rows=rows, files=files, loader=_NOTES_LOADER, shown=shown)


def _letters(rows: Sequence[Row], level: int) -> Paper:
    def sheet(draw: Draw, row: Row, status: str) -> str:
        amount = f"{row['amount']:,}" if draw.chance(0.5) else f"{row['amount']}"
        remarks = [draw.pick(_REMARKS).format(draw.whole(2, 40)) for _ in range(draw.whole(1, 2))]
        words = [*remarks, draw.pick(_PAYMENTS).format(amount, row["currency"], row["item"])]
        head = f"Number: {row['number']}\nFrom: {row['sender']}\nTo: {row['to']}\n"
        head += f"Date: {row['day'].day} {row['day']:%B %Y}\nStatus: {status}\n"
        name, end = row["to"].split()[0], row["sender"].split()[0]
        middle = "\n".join(draw.shuffled(words))
        return f"{head}\nDear {name},\n{middle}\nYours,\n{end}\n"

    def files(draw: Draw) -> Mapping[str, bytes]:
        sheets = []
        for at, row in enumerate(rows):
            written = sheet(draw, row, "sent")
            sheets.append(written)
            if draw.chance(0.06):
                sheets.append(written)
            if draw.chance(0.06):
                wrong = {**row, "number": f"{9000 + at}", "amount": draw.whole(6, 2400)}
                sheets.append(sheet(draw, wrong, "draft"))
        parts = 1 if level < 5 else 4
        cuts = [len(sheets) * part // parts for part in range(parts + 1)]
        names = ["letters.txt"] if parts == 1 else [f"letters-{part + 1}.txt" for part in range(parts)]
        return {
            name: "=====\n".join(sheets[low:high]).encode()
            for name, (low, high) in zip(names, pairwise(cuts), strict=True)
        }

    about = (
        f"letters{'-*' if level == 5 else ''}.txt: letters, parted by lines of =====. In each, a sum of money is "
        "handed over for something: it comes from the sender and goes to the receiver. Letters whose status is draft "
        "were never sent and do not count. A letter that was copied twice has the same number and counts once."
    )
    return Paper(name="letters", rows=rows, files=files, loader=_LETTERS_LOADER, about=about)


def _rates(draw: Draw, letters: Sequence[Row]) -> Paper:
    months = sorted({f"{row['day']:%Y-%m}" for row in letters})
    rows: list[Row] = [
        {"month": month, "crowns": 100, "florins": draw.whole(110, 290), "ducats": draw.whole(300, 900)}
        for month in months
    ]

    def files(draw: Draw) -> Mapping[str, bytes]:
        years = [
            {
                "year": int(year),
                "months": [
                    {
                        "month": row["month"],
                        "crowns": {"florins": row["florins"] / 100, "ducats": row["ducats"] / 100, "crowns": 1},
                    }
                    for row in rows
                    if row["month"].startswith(year)
                ],
            }
            for year in sorted({month[:4] for month in months})
        ]
        return {"rates.json": pretty({"years": years})}

    about = "rates.json: by the month of a letter, how many crowns one florin, ducat or crown is worth."
    return Paper(name="rates", rows=rows, files=files, loader=_RATES_LOADER, about=about)


def ask_paid_by(draw: Draw, world: World) -> Case | None:
    """Ask what a person paid in all; None where a single note would tell."""
    who = draw.pick(world["notes"])["who"]
    found = [row["crowns"] for row in world["notes"] if row["who"] == who]
    return Case(params={"who": who}, answer=number(sum(found))) if len(found) > 1 else None


def ask_paid_for(draw: Draw, world: World) -> Case | None:
    """Ask what was paid for a thing in all; None where a single note would tell."""
    item = draw.pick(world["notes"])["item"]
    found = [row["crowns"] for row in world["notes"] if row["item"] == item]
    return Case(params={"item": item}, answer=number(sum(found))) if len(found) > 1 else None


def ask_most_for(draw: Draw, world: World) -> Case | None:
    """Ask who paid the most, one thing left out; None where two people are near."""
    item = draw.pick(world["notes"])["item"]
    rows = [row for row in world["notes"] if row["item"] != item]
    best = top({who: sum(v) for who, v in grouped(rows, lambda r: str(r["who"]), lambda r: int(r["crowns"])).items()})
    return Case(params={"item": item}, answer=text(best)) if best else None


def ask_sent_by(draw: Draw, world: World) -> Case | None:
    """Ask what a sender sent in a year; None where a single letter would tell."""
    row = draw.pick(world["letters"])
    params = {"sender": row["sender"], "year": str(row["day"].year)}
    found = [r["amount"] for r in world["letters"] if r["sender"] == row["sender"] and r["day"].year == row["day"].year]
    return Case(params=params, answer=number(sum(found))) if len(found) > 1 else None


def ask_last_about(draw: Draw, world: World) -> Case | None:
    """Ask when a sender last sent money for a thing; None where a single letter would tell."""
    row = draw.pick(world["letters"])
    days = [r["day"] for r in world["letters"] if r["sender"] == row["sender"] and r["item"] == row["item"]]
    return Case(params={"sender": row["sender"], "item": row["item"]}, answer=day(max(days))) if len(days) > 1 else None


def ask_balance(draw: Draw, world: World) -> Case:
    """Ask for what a person received less what the same person sent, with its sign."""
    name = draw.pick(world["letters"])["to"]
    got = sum(row["amount"] for row in world["letters"] if row["to"] == name)
    return Case(
        params={"name": name},
        answer=number(got - sum(row["amount"] for row in world["letters"] if row["sender"] == name)),
    )


def ask_into_town(draw: Draw, world: World) -> Case | None:
    """Ask what came into a town from outside; None for fewer than three letters."""
    town = {row["person"]: row["town"] for row in world["people"]}
    chosen = draw.pick(world["people"])["town"]
    rows = [row for row in world["letters"] if town[row["to"]] == chosen and town[row["sender"]] != chosen]
    return Case(params={"town": chosen}, answer=number(sum(row["amount"] for row in rows))) if len(rows) > 2 else None


def ask_never_wrote(draw: Draw, world: World) -> Case | None:
    """Ask who sent nothing for a thing in a year; None for fewer than two people or more than eight."""
    item, year = draw.pick(world["letters"])["item"], draw.pick(world["letters"])["day"].year
    wrote = {row["sender"] for row in world["letters"] if row["item"] == item and row["day"].year == year}
    found = [row["person"] for row in world["people"] if row["person"] not in wrote]
    return Case(params={"item": item, "year": str(year)}, answer=any_order(found)) if 1 < len(found) < 9 else None


def _crowns(world: World) -> list[Row]:
    """Return the letters with what they hold in hundredths of crowns."""
    rates = {row["month"]: row for row in world["rates"]}
    return [{**row, "worth": row["amount"] * rates[f"{row['day']:%Y-%m}"][row["currency"]]} for row in world["letters"]]


def ask_town_worth(draw: Draw, world: World) -> Case | None:
    """Ask what went from one town to another, in crowns; None for fewer than three letters, or one town twice."""
    town = {row["person"]: row["town"] for row in world["people"]}
    a, b = draw.pick(world["people"])["town"], draw.pick(world["people"])["town"]
    found = [row["worth"] for row in _crowns(world) if town[row["sender"]] == a and town[row["to"]] == b]
    exact = Fraction(sum(found), 100)
    return Case(params={"a": a, "b": b}, answer=number(exact, 2), exact=exact) if len(found) > 2 and a != b else None


def ask_giver(draw: Draw, world: World) -> Case | None:
    """Ask who sent the most for a thing in a year, in crowns; None for few letters, or where two are near."""
    item, year = draw.pick(world["letters"])["item"], draw.pick(world["letters"])["day"].year
    rows = [row for row in _crowns(world) if row["item"] == item and row["day"].year == year]
    best = top({who: sum(v) for who, v in grouped(rows, lambda r: str(r["sender"]), lambda r: int(r["worth"])).items()})
    return Case(params={"item": item, "year": str(year)}, answer=text(best)) if best and len(rows) > 5 else None


def ask_trade_debt(draw: Draw, world: World) -> Case:
    """Ask for what people of a trade received less what they sent, in crowns and with its sign."""
    trade = {row["person"]: row["trade"] for row in world["people"]}
    chosen = draw.pick(world["people"])["trade"]
    got = sum(row["worth"] for row in _crowns(world) if trade[row["to"]] == chosen)
    gave = sum(row["worth"] for row in _crowns(world) if trade[row["sender"]] == chosen)
    exact = Fraction(got - gave, 100)
    return Case(params={"trade": chosen}, answer=number(exact, 2), exact=exact)
