"""A forum with boards, threads and members, in which the visitor is a moderator."""

from __future__ import annotations

from typing import Any, ClassVar

from agentrl.envs.browse.site import Request, Response, Site, page_of, slug
from agentrl.envs.browse.words import Draw

__all__ = ["ME", "PAGE", "Forum", "made"]

ME = "moderator"
"""Who the visitor is."""

PAGE = 8  # threads or members of a page
_MOST = 30  # posts that a visitor may add


class Forum(Site):
    """A forum. Tables: members, threads, posts."""

    routes: ClassVar = (
        ("GET", "/", "home"),
        ("GET", "/b/([a-z0-9-]+)", "board"),
        ("GET", "/t/([0-9]+)", "thread"),
        ("POST", "/t/([0-9]+)/reply", "reply"),
        ("POST", "/t/([0-9]+)/move", "move"),
        ("POST", "/t/([0-9]+)/(lock|unlock|pin|unpin)", "mark"),
        ("POST", "/p/([+0-9]+)/(like|delete)", "post"),
        ("GET", "/p/([+0-9]+)/edit", "edit"),
        ("POST", "/p/([+0-9]+)/edit", "save"),
        ("GET", "/members", "members"),
        ("GET", "/m/([a-z0-9-]+)", "member"),
        ("POST", "/m/([a-z0-9-]+)/(ban|unban)", "ban"),
        ("GET", "/search", "search"),
    )

    @property
    def boards(self) -> list[str]:
        """Their names, in the order in which they are shown."""
        return list(self.rows["boards"])

    def home(self, request: Request) -> Response:
        """Show the boards."""
        return self.show("home")

    def board(self, request: Request, name: str) -> Response:
        """Show the threads of a board, page by page."""
        title = next((each for each in self.boards if slug(each) == name), None)
        if title is None:
            return self.lost()
        found = [(key, each) for key, each in self.rows["threads"].items() if each["board"] == title]
        return self._list(request, title, f"/b/{name}", found)

    def search(self, request: Request) -> Response:
        """Show the threads whose titles hold the query."""
        wanted = request.value("q").lower()
        found = [
            (key, each) for key, each in self.rows["threads"].items() if wanted and wanted in each["title"].lower()
        ]
        return self._list(request, f"Results for {request.value('q')}", "/search", found)

    def thread(self, request: Request, key: str) -> Response:
        """Show a thread with its posts."""
        found = self.rows["threads"].get(key)
        posts = [(each, row) for each, row in self.rows["posts"].items() if row["thread"] == key]
        return self.show("thread", key=key, thread=found, posts=posts, me=ME) if found else self.lost()

    def reply(self, request: Request, key: str) -> Response:
        """Add a post."""
        found, text = self.rows["threads"].get(key), request.value("text")
        if (
            found is None
            or not text
            or found["locked"]
            or sum(each.startswith("+") for each in self.rows["posts"]) >= _MOST
        ):
            self.tell("The reply was not taken: it is empty, or the thread is locked.")
        else:
            self.add("posts", thread=key, author=ME, text=text, likes=0)
            self.tell("The reply was posted.")
        return self.to(f"/t/{key}")

    def move(self, request: Request, key: str) -> Response:
        """Move a thread to another board."""
        found, board = self.rows["threads"].get(key), request.value("board")
        if found is None or board not in self.boards:
            return self.lost()
        found["board"] = board
        self.tell(f"The thread was moved to {board}.")
        return self.to(f"/t/{key}")

    def mark(self, request: Request, key: str, what: str) -> Response:
        """Lock or pin a thread, or undo that."""
        found = self.rows["threads"].get(key)
        if found is None:
            return self.lost()
        found["locked" if what.endswith("lock") else "pinned"] = not what.startswith("un")
        return self.to(f"/t/{key}")

    def post(self, request: Request, key: str, what: str) -> Response:
        """Like or delete a post."""
        found = self.rows["posts"].get(key)
        if found is None:
            return self.lost()
        if what == "delete":
            del self.rows["posts"][key]
        else:
            found["likes"] = min(found["likes"] + 1, 9999)
        return self.to(f"/t/{found['thread']}")

    def edit(self, request: Request, key: str) -> Response:
        """Show the text of a post for editing."""
        found = self.rows["posts"].get(key)
        return self.show("edit", key=key, post=found) if found else self.lost()

    def save(self, request: Request, key: str) -> Response:
        """Change the text of a post."""
        found, text = self.rows["posts"].get(key), request.value("text")
        if found is None or not text:
            return self.lost()
        found["text"] = text
        return self.to(f"/t/{found['thread']}")

    def members(self, request: Request) -> Response:
        """Show the members, page by page."""
        shown, number, num = page_of(list(self.rows["members"].items()), request, PAGE)
        return self.show("members", members=shown, number=number, num=num)

    def member(self, request: Request, key: str) -> Response:
        """Show a member."""
        found = self.rows["members"].get(key)
        return self.show("member", key=key, member=found) if found else self.lost()

    def ban(self, request: Request, key: str, what: str) -> Response:
        """Ban a member, or undo that."""
        found = self.rows["members"].get(key)
        if found is None:
            return self.lost()
        found["banned"] = what == "ban"
        self.tell(f"{found['name']} was {'banned' if found['banned'] else 'let in again'}.")
        return self.to(f"/m/{key}")

    def show(self, view: str, **values: Any) -> Response:
        """Render a view of the forum's template."""
        return self.page("forum.html", view=view, **values)

    def _list(self, request: Request, title: str, path: str, found: list[tuple[str, dict[str, Any]]]) -> Response:
        found = sorted(found, key=lambda each: not each[1]["pinned"])
        shown, number, num = page_of(found, request, PAGE)
        counts = {key: sum(each["thread"] == key for each in self.rows["posts"].values()) for key, _ in shown}
        kept = {"q": request.value("q")} if request.value("q") else {}
        return self.show(
            "list", heading=title, path=path, found=shown, counts=counts, number=number, num=num, kept=kept
        )


def made(draw: Draw, *, threads: int, boards: int = 3, members: int = 10, posts: int = 4, name: str = "forum") -> Forum:
    """Return a forum with threads of the draw.

    Args:
        draw: Where all comes from.
        threads: How many.
        boards: How many.
        members: How many.
        posts: The most in a thread.
        name: Of the site.
    """
    topics = [each.capitalize() for each in draw.some("topics", boards)]
    people = draw.people(members)
    rows: dict[str, dict[str, dict[str, Any]]] = {
        "boards": {each: {} for each in topics},
        "members": {
            slug(each): {
                "name": each, "joined": draw.day().isoformat(), "reports": draw.whole(0, 9), "banned": False,
                "city": draw.one("cities"), "badge": draw.code(),
            }
            for each in people
        },
        "threads": {},
        "posts": {},
    }  # fmt: skip
    styles, things = draw.some("styles", 40), draw.some("things", 40)
    number = 100
    titles: dict[str, None] = {}
    while len(titles) < threads:
        titles[f"{draw.pick(styles)} {draw.pick(things)}"] = None
    for index, title in enumerate(titles):
        key = str(index + 1)
        rows["threads"][key] = {
            "title": title, "board": draw.pick(topics), "author": draw.pick(people), "locked": False, "pinned": False,
        }  # fmt: skip
        authors = draw.shuffled(people)[: draw.whole(1, posts)]
        for author in [
            rows["threads"][key]["author"],
            *(each for each in authors if each != rows["threads"][key]["author"]),
        ]:
            number += 1
            text = f"{' '.join(draw.some('words', draw.whole(3, 7)))}.".capitalize()
            rows["posts"][str(number)] = {"thread": key, "author": author, "text": text, "likes": draw.whole(0, 30)}
    return Forum(name, f"{draw.one('styles')} Forum", rows)
