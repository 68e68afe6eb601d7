"""Tasks on a wiki: find a fact, follow links to another one, correct, add and write articles."""

from __future__ import annotations

from collections.abc import Generator

from agentrl.envs.browse.case import Case, Kind, changed
from agentrl.envs.browse.site import Rows, slug
from agentrl.envs.browse.sites.wiki import made
from agentrl.envs.browse.view import Script, View, answered, click, goto, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS", "open_article", "rewrite"]

Steps = Generator[str, View, View]


def open_article(view: View, title: str) -> Steps:
    """Search for an article and open it."""
    view = yield type_in(view.ref("searchbox", "Search"), title, submit=True)
    page = 1
    while not view.has("link", title):
        page += 1
        view = yield click(view.ref("link", f"Page {page}"))
    return (yield click(view.ref("link", title)))


def rewrite(view: View, lines: list[str]) -> Steps:
    """Edit the article that is shown: give it other lines."""
    view = yield click(view.ref("link", "Edit"))
    view = yield type_in(view.ref("textbox", "Text"), "\n".join(lines))
    return (yield click(view.ref("button", "Save")))


def lines_of(view: View) -> list[str]:
    """Return the lines of the article that is shown."""
    start = next(index for index, line in enumerate(view.lines) if line.startswith("heading "))
    end = next(index for index, line in enumerate(view.lines) if 'link "Edit"' in line)
    return [line.strip() for line in view.lines[start + 1 : end]]


def fact(draw: Draw) -> Case:
    """Say a fact of a town."""
    wiki = made(draw, towns=9, rivers=3)
    town = draw.pick(list(wiki.facts))
    label, what = draw.pick((("Mayor", "mayor"), ("Population", "size")))

    def solve(view: View) -> Script:
        view = yield from open_article(view, town)
        yield answered(view.after(f"{label}: "))

    asked = {"mayor": ("Who is the mayor of {}?", "Answer with the name of the mayor of {}."),
             "size": ("How many people live in {}?", "Answer with the population of {}.")}[what]  # fmt: skip
    return Case(
        ask=draw.say(*asked).format(town), sites={"wiki": wiki}, start="wiki", solve=solve,
        answer=str(wiki.facts[town][what]),
    )  # fmt: skip


def append(draw: Draw) -> Case:
    """Add a line to an article."""
    wiki = made(draw, towns=8, rivers=3)
    town, twin = draw.shuffled(list(wiki.facts))[:2]
    line = f"Twin town: {twin}"

    def solve(view: View) -> Script:
        view = yield from open_article(view, town)
        yield from rewrite(view, [*lines_of(view), line])
        yield answered()

    def change(rows: Rows) -> None:
        rows["articles"][slug(town)]["text"] += f"\n{line}"

    ask = draw.say(
        'Add "{1}" as the last line of the article {0}.', 'The article {} needs one more line at its end: "{}"'
    )
    return Case(
        ask=ask.format(town, line), sites={"wiki": wiki}, start="wiki", solve=solve, wanted=changed(wiki, change)
    )


def office(draw: Draw) -> Case:
    """Say the office of the mayor of the town where another mayor was born."""
    wiki = made(draw, towns=12, rivers=4)
    town = draw.pick(list(wiki.facts))
    other = wiki.facts[town]["born"]
    code = wiki.rows["articles"][slug(wiki.facts[other]["mayor"])]["text"].split("Office: ")[1]

    def solve(view: View) -> Script:
        view = yield from open_article(view, town)
        view = yield from open_article(view, view.after("Mayor: "))
        view = yield from open_article(view, view.after(" was born in ").rstrip("."))
        view = yield from open_article(view, view.after("Mayor: "))
        yield answered(view.after("Office: "))

    ask = draw.say(
        "The mayor of {} was born in a town. Which office has the mayor of that town?",
        "Answer with the office of the mayor of the town in which {}'s mayor was born.",
    )
    return Case(ask=ask.format(town), sites={"wiki": wiki}, start="wiki", solve=solve, answer=code)


def correct(draw: Draw) -> Case:
    """Put right the mayor and the population of a town, as the article of another one has them."""
    wiki = made(draw, towns=12, rivers=4)
    town, other = draw.shuffled(list(wiki.facts))[:2]
    size = wiki.facts[other]["size"]

    def solve(view: View) -> Script:
        view = yield from open_article(view, other)
        found = view.after("Population: ")
        view = yield from open_article(view, town)
        lines = [f"Population: {found}" if each.startswith("Population: ") else each for each in lines_of(view)]
        yield from rewrite(view, lines)
        yield answered()

    def change(rows: Rows) -> None:
        row = rows["articles"][slug(town)]
        row["text"] = row["text"].replace(f"Population: {wiki.facts[town]['size']}", f"Population: {size}")

    ask = draw.say(
        "The population of {0} is wrong: it is the same as that of {1}. Correct the article {0}.",
        "{0} has as many people as the article {1} says of {1}. Change that line in the article {0}.",
    )
    return Case(
        ask=ask.format(town, other), sites={"wiki": wiki}, start="wiki", solve=solve, wanted=changed(wiki, change)
    )


def write_article(draw: Draw) -> Case:
    """Write an article from the facts of two others."""
    wiki = made(draw, towns=10, rivers=4)
    left, right = draw.shuffled(list(wiki.facts))[:2]
    title = f"{draw.one('things')} {draw.one('words')}".title()
    lines = [f"Towns: {left} and {right}", f"Years: {wiki.facts[left]['year']} and {wiki.facts[right]['year']}"]

    def solve(view: View) -> Script:
        years = []
        for town in (left, right):
            view = yield from open_article(view, town)
            years.append(view.after("Founded: "))
        view = yield click(view.ref("link", "New article"))
        view = yield type_in(view.ref("textbox", "Title"), title)
        view = yield type_in(view.ref("textbox", "Text"), f"{lines[0]}\nYears: {' and '.join(years)}")
        yield click(view.ref("button", "Create"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["articles"]["+1"] = {"title": title, "text": "\n".join(lines)}

    ask = draw.say(
        'Write the article {0} with two lines: "Towns: {1} and {2}", and "Years: A and B" with the years in which they '
        "were founded, in this order.",
        'A new article {0} is wanted. First line: "Towns: {1} and {2}". Second line: "Years: A and B", the years when '
        "{1} and {2} were founded.",
    )
    return Case(
        ask=ask.format(title, left, right), sites={"wiki": wiki}, start="wiki", solve=solve,
        wanted=changed(wiki, change),
    )  # fmt: skip


def largest_town(draw: Draw) -> Case:
    """Find the largest town on a river, and write it and its mayor into the river's article."""
    wiki = made(draw, towns=18, rivers=3)
    river = draw.pick(list(wiki.lengths))
    towns = [town for town, each in wiki.facts.items() if each["river"] == river]
    top = max(towns, key=lambda town: wiki.facts[town]["size"])
    lines = [f"Largest town: {top}", f"Its mayor: {wiki.facts[top]['mayor']}"]

    def solve(view: View) -> Script:
        view = yield from open_article(view, river)
        names = view.after(" flows through ").rstrip(".").split(", ")
        found = []
        for town in names:
            view = yield from open_article(view, town)
            found.append((int(view.after("Population: ")), town, view.after("Mayor: ")))
        _, town, mayor = max(found)
        view = yield goto(f"wiki/w/{slug(river)}")
        yield from rewrite(view, [*lines_of(view), f"Largest town: {town}", f"Its mayor: {mayor}"])
        yield answered()

    def change(rows: Rows) -> None:
        rows["articles"][slug(river)]["text"] += "\n" + "\n".join(lines)

    ask = draw.say(
        'Add two lines to the end of the article {}: "Largest town: T" and "Its mayor: M", for the town on it with the '
        "most people.",
        'Which town on the {} has the most people? End the article of the river with the lines "Largest town: T" and '
        '"Its mayor: M".',
    )
    return Case(ask=ask.format(river), sites={"wiki": wiki}, start="wiki", solve=solve, wanted=changed(wiki, change))


KINDS = (
    Kind(name="wiki-fact", levels=(3,), make=fact),
    Kind(name="wiki-append", levels=(3,), make=append),
    Kind(name="mayors-office", levels=(4,), make=office),
    Kind(name="wiki-correct", levels=(4,), make=correct),
    Kind(name="wiki-write", levels=(4,), make=write_article),
    Kind(name="largest-town", levels=(5,), make=largest_town),
)
"""Every kind of this file."""
