"""Pages of tests: a site of plain HTML, and a visit to it that is read as a model reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentrl.envs.browse.browser import Visit, shared
from agentrl.envs.browse.chromium import find
from agentrl.envs.browse.site import Request, Response, Serves
from agentrl.envs.browse.view import View

__all__ = ["Pages", "Reader"]


class Pages:
    """Serves bodies by path and remembers what was asked for.

    Args:
        bodies: Path -> what stands in the body.
    """

    def __init__(self, bodies: Mapping[str, str]) -> None:
        self.bodies = dict(bodies)
        self.asked: list[Request] = []
        self.addresses: dict[str, str] = {}

    def respond(self, request: Request) -> Response:
        """Answer a request."""
        self.asked.append(request)
        body = self.bodies.get(request.path)
        if body is None:
            return Response(status=404, body="<p>lost</p>", policy="")
        return Response(body=f"<!doctype html><title>T</title><body>{body}", policy="")

    def linked(self, addresses: Mapping[str, str]) -> None:
        """Remember where the sites are."""
        self.addresses = dict(addresses)


class Reader:
    """A visit of sites of which each action gives what is read, in `text` and `view`.

    Args:
        sites: By name.
        start: Where it begins.
        action_s: Deadline of an action.
        lines: How many are shown at once.
    """

    def __init__(self, sites: Mapping[str, Serves], start: str, *, action_s: float = 10.0, lines: int = 60) -> None:
        self.visit: Visit = shared(find(None)).visit(sites, start, action_s=action_s, lines=lines)
        self.text = ""
        self.do("begin")

    @property
    def view(self) -> View:
        """What was read last."""
        return View(self.text)

    def do(self, name: str, *arguments: Any) -> str:
        """Act; return what is read."""
        self.text = self.visit.wait(getattr(self.visit.session, name)(*arguments))
        return self.text

    def click(self, role: str, name: str | None = None) -> str:
        """Click what has a role and a name."""
        return self.do("click", self.view.ref(role, name))

    def type(self, role: str, name: str, text: str, submit: bool = False) -> str:
        """Write into a field."""
        return self.do("type", self.view.ref(role, name), text, submit)

    def notes(self) -> list[str]:
        """Return what happened on the way."""
        return re.findall(r"^Note: (.*)$", self.text, re.MULTILINE)

    def close(self) -> None:
        """Give it back."""
        self.visit.close()
