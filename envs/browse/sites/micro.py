"""One page with one thing to do, as in MiniWoB; what is sent or opened is written down."""

from __future__ import annotations

from typing import Any, ClassVar

from agentrl.envs.browse.site import Request, Response, Rows, Site, slug

__all__ = ["Micro"]

_MOST_SENT = 20


class Micro(Site):
    """A page of a kind; the first thing sent counts, and every other one spoils it.

    Args:
        kind: Which part of the template.
        title: Of the page.
        values: For the template.
    """

    routes: ClassVar = (
        ("GET", "/", "home"),
        ("POST", "/send", "send"),
        ("GET", "/open/([a-z0-9-]+)", "open"),
        ("GET", "/find", "found"),
    )

    def __init__(self, kind: str, title: str, **values: Any) -> None:
        super().__init__("page", title, {"sent": {}})
        self.kind, self.values = kind, values

    def home(self, request: Request) -> Response:
        """Show the page."""
        return self.page("micro.html", kind=self.kind, query="", **self.values)

    def found(self, request: Request) -> Response:
        """Show what a search finds."""
        query = request.value("q")
        hits = [each for each in self.values.get("titles", ()) if query and query.lower() in each.lower()]
        return self.page("micro.html", kind="results", query=query, hits=hits)

    def send(self, request: Request) -> Response:
        """Write down what was sent."""
        sent = {name: "|".join(request.values(name)) for name, _ in request.form if name != "_key"}
        self._note(sent)
        return self.page("message.html", heading="Sent", text="Your choice was sent.")

    def open(self, request: Request, name: str) -> Response:
        """Write down which link was followed, and show its page."""
        known = {slug(each): each for each in self.values.get("titles", ())}
        if name not in known:
            return self.lost()
        self._note({"open": name})
        told = self.values.get("codes", {}).get(known[name])
        text = f"The code of {known[name]} is {told}." if told else f"This is the page {known[name]}."
        return self.page("message.html", heading=known[name], text=text)

    def wanted(self, *sent: dict[str, str]) -> dict[str, Rows]:
        """Return the state in which just this was sent."""
        return {self.name: {"sent": {f"+{index + 1}": row for index, row in enumerate(sent)}}}

    def _note(self, row: dict[str, str]) -> None:
        if len(self.rows["sent"]) < _MOST_SENT:
            self.add("sent", **row)
