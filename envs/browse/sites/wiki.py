"""A wiki: articles with links, search, an index, edit forms; the visitor may edit all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from agentrl.envs.browse.site import Request, Response, Site, page_of, slug
from agentrl.envs.browse.words import Draw

__all__ = ["PAGE", "Wiki", "add_article", "made"]

PAGE = 10  # articles of a page of the index
_MOST = 20  # articles that a visitor may add


class Wiki(Site):
    """A wiki. Table: articles, each with title, text (a line a paragraph), links and whether it is locked."""

    routes: ClassVar = (
        ("GET", "/", "home"),
        ("GET", "/w/([a-z0-9-]+)", "article"),
        ("GET", "/w/([a-z0-9-]+)/edit", "edit"),
        ("POST", "/w/([a-z0-9-]+)/edit", "save"),
        ("GET", "/new", "new"),
        ("POST", "/new", "create"),
        ("GET", "/search", "search"),
    )

    facts: Mapping[str, Mapping[str, Any]] = {}  # what the generator knows of each town
    lengths: Mapping[str, int] = {}  # of each river, in km

    def home(self, request: Request) -> Response:
        """Show the index, page by page."""
        return self._list(request, "Articles", "/", sorted(self.rows["articles"].items()))

    def search(self, request: Request) -> Response:
        """Show the articles whose title or text holds the query."""
        wanted = request.value("q").lower()
        found = [
            each
            for each in sorted(self.rows["articles"].items())
            if wanted and (wanted in each[1]["title"].lower() or wanted in each[1]["text"].lower())
        ]
        return self._list(request, f"Results for {request.value('q')}", "/search", found)

    def article(self, request: Request, key: str) -> Response:
        """Show an article."""
        found = self._found(key)
        if found is None:
            return self.show("missing", key=key)
        links = [(each, row["title"]) for each, row in self._all() if each != key and row["title"] in found["text"]]
        return self.show("article", key=key, article=found, links=links)

    def edit(self, request: Request, key: str) -> Response:
        """Show the form of an article."""
        found = self._found(key)
        return self.show("edit", key=key, article=found) if found else self.lost()

    def save(self, request: Request, key: str) -> Response:
        """Change the text of an article."""
        found, text = self._found(key), request.value("text")
        if found is None or not text:
            return self.lost()
        found["text"] = "\n".join(line.strip() for line in text.splitlines() if line.strip())
        self.tell("The article was saved.")
        return self.to(f"/w/{key}")

    def new(self, request: Request) -> Response:
        """Show the form of a new article."""
        return self.show("new", title=request.value("title"), error="")

    def create(self, request: Request) -> Response:
        """Add an article."""
        title, text = request.value("title")[:80], request.value("text")
        if not slug(title) or not text or self._found(slug(title)) or self._num_new() >= _MOST:
            return self.show("new", title=title, error="The title is taken, or something is missing.")
        self.add("articles", title=title, text="\n".join(each.strip() for each in text.splitlines() if each.strip()))
        return self.to(f"/w/{slug(title)}")

    def show(self, view: str, **values: Any) -> Response:
        """Render a view of the wiki's template."""
        return self.page("wiki.html", view=view, **values)

    def _all(self) -> list[tuple[str, dict[str, Any]]]:
        return [(slug(row["title"]), row) for row in self.rows["articles"].values()]

    def _found(self, key: str) -> dict[str, Any] | None:
        return next((row for each, row in self._all() if each == key), None)

    def _num_new(self) -> int:
        return sum(key.startswith("+") for key in self.rows["articles"])

    def _list(self, request: Request, title: str, path: str, found: list[tuple[str, dict[str, Any]]]) -> Response:
        rows = [(slug(row["title"]), row["title"]) for _, row in found]
        shown, number, num = page_of(rows, request, PAGE)
        kept = {"q": request.value("q")} if request.value("q") else {}
        return self.show("list", heading=title, path=path, found=shown, number=number, num=num, kept=kept)


def add_article(wiki: Wiki, title: str, *lines: str) -> None:
    """Add an article before the episode begins."""
    wiki.rows["articles"][slug(title)] = {"title": title, "text": "\n".join(lines)}


def made(draw: Draw, *, towns: int, rivers: int, name: str = "wiki") -> Wiki:
    """Return a wiki about towns, their rivers and their mayors.

    Args:
        draw: Where all comes from.
        towns: How many.
        rivers: How many.
        name: Of the site.
    """
    wiki = Wiki(name, f"{draw.one('styles')} Wiki", {"articles": {}})
    names, waters = draw.some("cities", towns), [f"River {each}" for each in draw.some("styles", rivers)]
    people, sizes = draw.people(towns), draw.numbers(towns, 900, 90_000)
    lengths = draw.numbers(rivers, 20, 900)
    facts: dict[str, dict[str, Any]] = {}
    for index, town in enumerate(names):
        facts[town] = {"river": waters[index % rivers], "size": sizes[index], "year": draw.whole(1050, 1890)}
        add_article(
            wiki, town,
            f"{town} is a town on the {facts[town]['river']}.",
            f"Founded: {facts[town]['year']}",
            f"Population: {sizes[index]}",
            f"Mayor: {people[index]}",
        )  # fmt: skip
        born = draw.pick([each for each in names if each != town])
        add_article(wiki, people[index], f"{people[index]} was born in {born}.", f"Office: {draw.code()}")
        facts[town] |= {"mayor": people[index], "born": born}
    for index, water in enumerate(waters):
        mine = [town for town in names if facts[town]["river"] == water]
        add_article(wiki, water, f"The {water} flows through {', '.join(mine)}.", f"Length: {lengths[index]} km")
    wiki.facts = facts
    wiki.lengths = dict(zip(waters, lengths, strict=True))
    return wiki
