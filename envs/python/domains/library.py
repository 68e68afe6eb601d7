"""A library: a list of books, then nested shelves, loans inside of the books, members, and at level 5 fines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from agentrl.envs.python.answers import day, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_author_pages",
    "ask_fullest_day",
    "ask_longest_author",
    "ask_longest_out",
    "ask_mean_age",
    "ask_mean_since",
    "ask_member_days",
    "ask_town_author",
    "ask_town_fines",
    "ask_worst_member",
    "world",
]

_BOOKS_LOADER = """
books = [b for s in json.load(open("library.json"))["shelves"] for b in s["books"]]
"""
_LOANS_LOADER = """
books, loans = [], {}
for shelf in json.load(open("library.json"))["shelves"]:
    for book in shelf["books"]:
        books.append(book)
        for loan in book["loans"]:
            if loan["back"]:
                loans[loan["id"]] = {**loan, "title": book["title"], "author": book["author"]}
loans = list(loans.values())
from datetime import date
def days(loan):
    return (date.fromisoformat(loan["back"]) - date.fromisoformat(loan["out"])).days
"""
_RULES_LOADER = """
rules = {rule["kind"]: rule for rule in json.load(open("rules.json"))["kinds"]}
"""


def world(draw: Draw) -> World:
    """Draw books; from level 3 on with loans, from level 4 on with members, at level 5 with rules for fines."""
    level = draw.level
    authors = draw.some("surnames", (4, 14, 14, 16, 20)[level - 1])
    titles = [f"{look} {noun}" for look in draw.some("adjectives", 18) for noun in draw.some("nouns", 18)]
    num_books = size(draw) if level < 3 else (70, 100, 180)[level - 3]
    books: list[Row] = [
        {"title": title, "author": draw.pick(authors), "year": draw.whole(1950, 2020), "pages": draw.whole(60, 900)}
        for title in draw.shuffled(titles)[:num_books]
    ]
    columns = {"title": "text", "author": "text", "year": "whole", "pages": "whole"}
    if level == 1:
        ending = draw.pick(("csv", "json"))
        return World(tables=(Table(name="books", columns=columns, rows=books, file=f"books.{ending}"),))
    if level == 2:
        return World(papers=(_shelves(draw, books, None),))
    names = [f"{first} {last}" for first in draw.some("names", 9) for last in draw.some("surnames", 8)]
    members = draw.shuffled(names)[: (12, 30, 50)[level - 3]]
    loans = _loans(draw, books, members)
    papers = [_shelves(draw, books, loans), Paper(name="loans", rows=loans, files=lambda draw: {}, loader="")]
    if level == 3:
        return World(papers=tuple(papers))
    towns = draw.some("places", 6)
    kinds = [name.lower() for name in draw.some("nouns", 4)]
    people: list[Row] = [
        {
            "member": name,
            "town": draw.pick(towns),
            "kind": draw.pick(kinds),
            "born": date(draw.whole(1940, 2005), 1, 1) + timedelta(days=draw.whole(0, 364)),
        }
        for name in members
    ]
    table = Table(
        name="members",
        columns={"member": "text", "town": "text", "kind": "text", "born": "day"},
        rows=people,
        file="members.db" if level == 5 or draw.chance(0.5) else "members.csv",
        about="one row for each member.",
    )
    if level == 5:
        papers.append(_rules(draw, kinds))
    return World(tables=(table,), papers=tuple(papers))


def _loans(draw: Draw, books: Sequence[Row], members: Sequence[str]) -> list[Row]:
    start = draw.day()
    rows: list[Row] = []
    for index in range(size(draw)):
        book, out = draw.pick(books), start + timedelta(days=draw.whole(0, 250))
        back = out + timedelta(days=draw.whole(1, 60))
        row = {"id": f"L{1000 + index}", "member": draw.pick(members), "out": out, "back": back}
        rows.append({**row, "title": book["title"], "author": book["author"], "days": (back - out).days})
    return rows


def _shelves(draw: Draw, books: Sequence[Row], loans: Sequence[Row] | None) -> Paper:
    rooms = draw.some("rooms", 8)
    places = {book["title"]: draw.pick(rooms) for book in books}
    lent = grouped(loans or [], lambda loan: str(loan["title"]), lambda loan: Fraction(int(loan["id"][1:])))
    by_number = {int(loan["id"][1:]): loan for loan in loans or []}

    def shown(draw: Draw, title: str) -> list[dict[str, Any]]:
        found = [by_number[int(each)] for each in lent.get(title, [])]
        written = [
            {"id": loan["id"], "member": loan["member"], "out": f"{loan['out']}", "back": f"{loan['back']}"}
            for loan in found
        ]
        if written and draw.chance(0.2):
            written.append(dict(draw.pick(written)))
        if written and draw.chance(0.3):
            written.append({**draw.pick(written), "id": f"open-{title[:4]}{draw.whole(100, 999)}", "back": None})
        return written

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = []
        for room in rooms:
            inside = [dict(book) for book in books if places[book["title"]] == room]
            if loans is not None:
                inside = [{**book, "loans": shown(draw, book["title"])} for book in inside]
            nested.append({"shelf": room, "books": inside})
        return {"library.json": pretty({"shelves": nested})}

    about = (
        "library.json: shelves with their books, each with its loans. A loan that is entered twice has the same id and "
        "counts once; one whose back is null has not ended and does not count. The days of a loan are those from out "
        "to back: from the 1st to the 3rd are 2."
    )
    loader = _BOOKS_LOADER if loans is None else _LOANS_LOADER
    named = "library.json (shelves, each with shelf and books; a book has title, author, year, pages)"
    return Paper(name="books", rows=books, files=files, loader=loader, shown=named, about=about)


def _rules(draw: Draw, kinds: Sequence[str]) -> Paper:
    rows: list[Row] = [
        {"kind": kind, "free": draw.whole(10, 30), "fine": 5 * draw.whole(2, 19), "most": 100 * draw.whole(5, 15)}
        for kind in kinds
    ]

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {
                "kind": row["kind"],
                "free_days": row["free"],
                "fine": {"each_day": row["fine"] / 100, "at_most": row["most"] / 100},
            }
            for row in rows
        ]
        return {"rules.json": pretty({"kinds": nested})}

    about = (
        "rules.json: by the kind of member, how many days of a loan are free, the fine for each day after those, and "
        "the most that one loan can cost."
    )
    return Paper(name="rules", rows=rows, files=files, loader=_RULES_LOADER, about=about)


def ask_author_pages(draw: Draw, world: World) -> Case | None:
    """Ask for the pages of an author's books; None where a single book would tell."""
    author = draw.pick(world["books"])["author"]
    found = [row["pages"] for row in world["books"] if row["author"] == author]
    return Case(params={"author": author}, answer=number(sum(found))) if len(found) > 1 else None


def ask_mean_since(draw: Draw, world: World) -> Case | None:
    """Ask for the mean pages of books from a year on; None for fewer than three."""
    year = draw.whole(1960, 2005)
    found = [row["pages"] for row in world["books"] if row["year"] >= year]
    if len(found) < 3:
        return None
    exact = mean(found)
    return Case(params={"year": year}, answer=number(exact, 2), exact=exact)


def ask_longest_author(draw: Draw, world: World) -> Case | None:
    """Ask whose books of twenty years are the longest on average; None where two authors are near."""
    year = draw.whole(1955, 2000)
    rows = [row for row in world["books"] if year <= row["year"] < year + 20]
    best = top(
        {name: mean(v) for name, v in grouped(rows, lambda r: str(r["author"]), lambda r: int(r["pages"])).items()}
    )
    return Case(params={"year": year, "last": year + 19}, answer=text(best)) if best else None


def ask_member_days(draw: Draw, world: World) -> Case:
    """Ask how many days a member's loans last in all."""
    member = draw.pick(world["loans"])["member"]
    found = [row["days"] for row in world["loans"] if row["member"] == member]
    return Case(params={"member": member}, answer=number(sum(found)))


def ask_longest_out(draw: Draw, world: World) -> Case | None:
    """Ask which book of an author was out the longest in all; None where two books are near."""
    author = draw.pick(world["books"])["author"]
    rows = [row for row in world["loans"] if row["author"] == author]
    best = top({t: sum(v) for t, v in grouped(rows, lambda r: str(r["title"]), lambda r: int(r["days"])).items()})
    return Case(params={"author": author}, answer=text(best)) if best else None


def ask_town_author(draw: Draw, world: World) -> Case | None:
    """Ask whose books the members of a town kept the longest in all; None where two authors are near."""
    town_of = {row["member"]: row["town"] for row in world["members"]}
    town = draw.pick(world["members"])["town"]
    rows = [row for row in world["loans"] if town_of[row["member"]] == town]
    best = top({a: sum(v) for a, v in grouped(rows, lambda r: str(r["author"]), lambda r: int(r["days"])).items()})
    return Case(params={"town": town}, answer=text(best)) if best else None


def ask_fullest_day(draw: Draw, world: World) -> Case | None:
    """Ask when most loans to a kind of member were running; None where two days have as many."""
    kind_of = {row["member"]: row["kind"] for row in world["members"]}
    kind = draw.pick(world["members"])["kind"]
    out: dict[date, int] = {}
    for row in world["loans"]:
        if kind_of[row["member"]] == kind:
            for at in range(row["days"]):
                each = row["out"] + timedelta(days=at)
                out[each] = out.get(each, 0) + 1
    best = top(out)
    return Case(params={"kind": kind}, answer=day(best)) if best else None


def _fines(world: World) -> list[Row]:
    rules = {row["kind"]: row for row in world["rules"]}
    members = {row["member"]: row for row in world["members"]}
    found = []
    for loan in world["loans"]:
        rule = rules[members[loan["member"]]["kind"]]
        fine = min(rule["most"], rule["fine"] * max(0, loan["days"] - rule["free"]))
        found.append({**loan, **members[loan["member"]], "fine": fine})
    return found


def ask_town_fines(draw: Draw, world: World) -> Case:
    """Ask for the fines of one kind of member in a town; they may be 0."""
    row = draw.pick(world["members"])
    params = {"town": row["town"], "kind": row["kind"]}
    found = [each["fine"] for each in _fines(world) if each["town"] == row["town"] and each["kind"] == row["kind"]]
    exact = Fraction(sum(found), 100)
    return Case(params=params, answer=number(exact, 2), exact=exact)


def ask_worst_member(draw: Draw, world: World) -> Case | None:
    """Ask who in a town owes the most, one author's books left out; None where two members are near."""
    author = draw.pick(world["books"])["author"]
    rows = [row for row in _fines(world) if row["author"] != author]
    town = draw.pick(rows)["town"]
    fines = grouped((r for r in rows if r["town"] == town), lambda r: str(r["member"]), lambda r: int(r["fine"]))
    best = top({member: sum(values) for member, values in fines.items()})
    return Case(params={"author": author, "town": town}, answer=text(best)) if best else None


def ask_mean_age(draw: Draw, world: World) -> Case | None:
    """Ask how old borrowers of an author's books were on average at long loans; None for fewer than four loans."""
    born = {row["member"]: row["born"] for row in world["members"]}
    author, limit = draw.pick(world["books"])["author"], draw.whole(10, 35)
    ages = [
        row["out"].year
        - born[row["member"]].year
        - ((row["out"].month, row["out"].day) < (born[row["member"]].month, born[row["member"]].day))
        for row in world["loans"]
        if row["author"] == author and row["days"] > limit
    ]
    if len(ages) < 4:
        return None
    exact = mean(ages)
    return Case(params={"author": author, "limit": limit}, answer=number(exact, 2), exact=exact)
