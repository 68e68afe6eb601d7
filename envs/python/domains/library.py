"""A library: a list of books, then nested shelves, loans inside of the books, members, and at level 5 rules for fines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from agentrl.envs.python.answers import day, number, text
from agentrl.envs.python.family import Case, Family, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table
from agentrl.envs.python.words import Draw

__all__ = ["FAMILIES"]

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


def _world(draw: Draw) -> World:
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
        return {"library.json": json.dumps({"shelves": nested}, indent=1).encode()}

    about = (
        "library.json: shelves with their books, each with its loans. A loan that is entered twice has the same id and "
        "counts once; one whose back is null has not ended and does not count. The days of a loan are those from out to "
        "back: from the 1st to the 3rd are 2."
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
        return {"rules.json": json.dumps({"kinds": nested}, indent=1).encode()}

    about = (
        "rules.json: by the kind of member, how many days of a loan are free, the fine for each day after those, and the "
        "most that one loan can cost."
    )
    return Paper(name="rules", rows=rows, files=files, loader=_RULES_LOADER, about=about)


def _author_pages(draw: Draw, world: World) -> Case | None:
    author = draw.pick(world["books"])["author"]
    found = [row["pages"] for row in world["books"] if row["author"] == author]
    return Case(params={"author": author}, answer=number(sum(found))) if len(found) > 1 else None


def _mean_since(draw: Draw, world: World) -> Case | None:
    year = draw.whole(1960, 2005)
    found = [row["pages"] for row in world["books"] if row["year"] >= year]
    if len(found) < 3:
        return None
    exact = mean(found)
    return Case(params={"year": year}, answer=number(exact, 2), exact=exact)


def _longest_author(draw: Draw, world: World) -> Case | None:
    year = draw.whole(1955, 2000)
    rows = [row for row in world["books"] if year <= row["year"] < year + 20]
    best = top(
        {name: mean(v) for name, v in grouped(rows, lambda r: str(r["author"]), lambda r: int(r["pages"])).items()}
    )
    return Case(params={"year": year, "last": year + 19}, answer=text(best)) if best else None


def _member_days(draw: Draw, world: World) -> Case:
    member = draw.pick(world["loans"])["member"]
    found = [row["days"] for row in world["loans"] if row["member"] == member]
    return Case(params={"member": member}, answer=number(sum(found)))


def _longest_out(draw: Draw, world: World) -> Case | None:
    author = draw.pick(world["books"])["author"]
    rows = [row for row in world["loans"] if row["author"] == author]
    best = top({t: sum(v) for t, v in grouped(rows, lambda r: str(r["title"]), lambda r: int(r["days"])).items()})
    return Case(params={"author": author}, answer=text(best)) if best else None


def _town_author(draw: Draw, world: World) -> Case | None:
    town_of = {row["member"]: row["town"] for row in world["members"]}
    town = draw.pick(world["members"])["town"]
    rows = [row for row in world["loans"] if town_of[row["member"]] == town]
    best = top({a: sum(v) for a, v in grouped(rows, lambda r: str(r["author"]), lambda r: int(r["days"])).items()})
    return Case(params={"town": town}, answer=text(best)) if best else None


def _fullest_day(draw: Draw, world: World) -> Case | None:
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


def _town_fines(draw: Draw, world: World) -> Case:
    row = draw.pick(world["members"])
    params = {"town": row["town"], "kind": row["kind"]}
    found = [each["fine"] for each in _fines(world) if each["town"] == row["town"] and each["kind"] == row["kind"]]
    exact = Fraction(sum(found), 100)
    return Case(params=params, answer=number(exact, 2), exact=exact)


def _worst_member(draw: Draw, world: World) -> Case | None:
    author = draw.pick(world["books"])["author"]
    rows = [row for row in _fines(world) if row["author"] != author]
    town = draw.pick(rows)["town"]
    fines = grouped((r for r in rows if r["town"] == town), lambda r: str(r["member"]), lambda r: int(r["fine"]))
    best = top({member: sum(values) for member, values in fines.items()})
    return Case(params={"author": author, "town": town}, answer=text(best)) if best else None


def _mean_age(draw: Draw, world: World) -> Case | None:
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


_FINE = """
member = {m["member"]: m for m in members}
def fine(loan):
    rule = rules[member[loan["member"]]["kind"]]
    return min(rule["fine"]["at_most"], rule["fine"]["each_day"] * max(0, days(loan) - rule["free_days"]))
"""

FAMILIES = (
    Family(
        name="books-pages-of-author",
        levels=(1, 2),
        world=_world,
        ask=_author_pages,
        train=("How many pages do the books of $author have in all?", "Add up the pages of all books by $author."),
        test=(
            "What is the total of pages written by $author?",
            "Sum the pages over the books whose author is $author.",
        ),
        cell='print(sum(b["pages"] for b in books if b["author"] == $author))',
    ),
    Family(
        name="books-mean-since",
        levels=(1, 2),
        world=_world,
        ask=_mean_since,
        train=(
            "What is the mean number of pages of the books from $year or later?",
            "How many pages does a book from $year or later have on average?",
        ),
        test=(
            "Take the books that are not older than $year: what do their pages average to?",
            "Find the average pages of all books whose year is at least $year.",
        ),
        cell="""
found = [b["pages"] for b in books if b["year"] >= $year]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="books-longest-author",
        levels=(2,),
        world=_world,
        ask=_longest_author,
        train=(
            "Whose books from the years $year to $last have the most pages on average?",
            "Of the books from $year to $last, which author's have the highest mean of pages?",
        ),
        test=(
            "Among books of the years $year through $last, name the author with the greatest average of pages.",
            "By mean of pages, which author leads in the years $year through $last?",
        ),
        cell="""
pages = {}
for b in books:
    if $year <= b["year"] <= $last:
        pages.setdefault(b["author"], []).append(b["pages"])
print(max(pages, key=lambda author: sum(pages[author]) / len(pages[author])))""",
    ),
    Family(
        name="loans-days-of-member",
        levels=(3,),
        world=_world,
        ask=_member_days,
        train=("How many days do the loans of $member last in all?", "Add up the days of all loans of $member."),
        test=(
            "For how many days, summed over all loans, did $member keep books?",
            "What is the total of days over the loans that $member made?",
        ),
        cell='print(sum(days(loan) for loan in loans if loan["member"] == $member))',
    ),
    Family(
        name="loans-longest-out",
        levels=(3, 4),
        world=_world,
        ask=_longest_out,
        train=(
            "Which book by $author was out for the most days, all its loans together?",
            "Of the books of $author, which one's loans last the longest in all?",
        ),
        test=(
            "Name the title by $author with the greatest total of loan days.",
            "What book of $author spent the most days on loan?",
        ),
        cell="""
out = {}
for loan in loans:
    if loan["author"] == $author:
        out[loan["title"]] = out.get(loan["title"], 0) + days(loan)
print(max(out, key=out.get))""",
    ),
    Family(
        name="loans-author-of-town",
        levels=(4,),
        world=_world,
        ask=_town_author,
        train=(
            "Whose books were on loan to members from $town for the most days?",
            "By the days of loans to members who live in $town, which author comes first?",
        ),
        test=(
            "Members in $town kept the books of which author longest, all loans added?",
            "Name the author whose loans to people of $town have the greatest total of days.",
        ),
        cell="""
town = {m["member"]: m["town"] for m in members}
out = {}
for loan in loans:
    if town[loan["member"]] == $town:
        out[loan["author"]] = out.get(loan["author"], 0) + days(loan)
print(max(out, key=out.get))""",
    ),
    Family(
        name="loans-fullest-day",
        levels=(4, 5),
        world=_world,
        ask=_fullest_day,
        train=(
            "On which day were most loans of members of the kind $kind running? A loan runs from its day out up "
            "to, but without, its day back.",
            "Counting a loan from its day out and no more on its day back, on which day had members of the kind "
            "$kind the most loans at once?",
        ),
        test=(
            "Find the day with the most open loans to members of kind $kind; the day out is one of a loan's "
            "days, the day back is not.",
            "When did members of kind $kind hold the most loans at the same time, day out included and day back "
            "excluded?",
        ),
        cell="""
from datetime import timedelta
kind = {m["member"]: m["kind"] for m in members}
running = {}
for loan in loans:
    if kind[loan["member"]] == $kind:
        for at in range(days(loan)):
            day_ = date.fromisoformat(loan["out"]) + timedelta(days=at)
            running[day_] = running.get(day_, 0) + 1
print(max(running, key=running.get))""",
    ),
    Family(
        name="loans-fines-of-town",
        levels=(5,),
        world=_world,
        ask=_town_fines,
        train=(
            "What do all members of the kind $kind from $town have to pay in fines, together?",
            "Add up the fines for all loans of members of the kind $kind who live in $town.",
        ),
        test=(
            "How much in fines is due from people in $town whose kind is $kind?",
            "Apply the rules to every loan: what is the total for $kind members in $town?",
        ),
        cell=_FINE
        + """
def mine(name):
    return member[name]["town"] == $town and member[name]["kind"] == $kind
print(round(sum(fine(loan) for loan in loans if mine(loan["member"])), 2))""",
    ),
    Family(
        name="loans-worst-member",
        levels=(5,),
        world=_world,
        ask=_worst_member,
        train=(
            "Which member from $town has to pay the most in fines, when books by $author are left out?",
            "Without the loans of books by $author, who from $town owes the highest total of fines?",
        ),
        test=(
            "Ignore books of $author: name the person in $town with the greatest sum of fines.",
            "Whose fines are the largest in $town, if those for books by $author are not counted?",
        ),
        cell=_FINE
        + """
due = {}
for loan in loans:
    if loan["author"] != $author and member[loan["member"]]["town"] == $town:
        due[loan["member"]] = due.get(loan["member"], 0) + fine(loan)
print(max(due, key=due.get))""",
    ),
    Family(
        name="loans-mean-age",
        levels=(5,),
        world=_world,
        ask=_mean_age,
        train=(
            "Over the loans of books by $author that lasted more than $limit days, how old in full years was the "
            "borrower on the day out, on average?",
            "For each loan of a book by $author of over $limit days, take the member's age in whole years on the "
            "day out: what is the mean?",
        ),
        test=(
            "How old (in completed years, when the loan began) are the people who kept books of $author longer "
            "than $limit days, averaged over loans?",
            "Average, over loans longer than $limit days of books by $author, the completed years of age that "
            "the member had at the start.",
        ),
        cell="""
born = {m["member"]: date.fromisoformat(m["born"]) for m in members}
def age(loan):
    then, birth = date.fromisoformat(loan["out"]), born[loan["member"]]
    return then.year - birth.year - ((then.month, then.day) < (birth.month, birth.day))
found = [age(loan) for loan in loans if loan["author"] == $author and days(loan) > $limit]
print(round(sum(found) / len(found), 2))""",
    ),
)
