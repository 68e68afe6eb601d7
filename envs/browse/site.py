"""What a site is: tables of rows, pages written with Jinja, and forms that change rows.

All state is in `rows`: plain data, by table and key, from which success is judged. A form holds a token that was drawn
for the site; a change without it, or asked for by another origin, is refused. Values of forms are cut and stripped.
"""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, urlencode

import jinja2

__all__ = ["MAX_BODY", "Request", "Response", "Rows", "Serves", "Site", "page_of", "same_rows", "slug"]

MAX_BODY = 64 << 10
"""Bytes of a form."""

Rows = dict[str, dict[str, dict[str, Any]]]
"""Table -> key -> row; keys of rows that a visitor added begin with "+"."""

_MAX_VALUE = 2000
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a browser asks for."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    origin: str = "none"  # the header Sec-Fetch-Site: "none", "same-origin", "same-site", "cross-site"

    def value(self, name: str) -> str:
        """Return a field of the form or of the query, cut and stripped; empty where there is none."""
        pairs = self.form if self.method == "POST" else self.query
        return next((_clean(value) for key, value in pairs if key == name), "")

    def values(self, name: str) -> list[str]:
        """Return all values of a field."""
        pairs = self.form if self.method == "POST" else self.query
        return [_clean(value) for key, value in pairs if key == name]


@dataclass(frozen=True, kw_only=True)
class Response:
    """What goes back."""

    status: int = 200
    body: str = ""
    location: str = ""  # of a redirect
    kind: str = "text/html; charset=utf-8"
    policy: str = "default-src 'none'"  # Content-Security-Policy; empty: none
    extra: tuple[tuple[bytes, bytes], ...] = ()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return them as ASGI sends them."""
        told = [
            (b"content-type", self.kind.encode()),
            (b"cache-control", b"no-store"),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            *self.extra,
        ]
        if self.policy:
            told.append((b"content-security-policy", self.policy.encode()))
        if self.location:
            told.append((b"location", self.location.encode("latin-1", "replace")))
        return told


class Serves(Protocol):
    """Whatever answers the requests to one host name."""

    def respond(self, request: Request) -> Response:
        """Answer a request."""

    def linked(self, addresses: Mapping[str, str]) -> None:
        """Be told where the sites of the episode are, by name."""


Page = Callable[..., Response]


class Site:
    """Base of the sites: routes, rendering, the form's token.

    Args:
        name: How its addresses begin in an observation, such as "shop".
        title: What it calls itself.
        rows: Its state; the site owns it.
    """

    routes: ClassVar[Sequence[tuple[str, str, str]]] = ()  # method, pattern of the path, name of the function
    template: ClassVar[str] = ""  # of the kind of site

    def __init__(self, name: str, title: str, rows: Rows) -> None:
        self.name, self.title, self.rows = name, title, rows
        self._key = secrets.token_urlsafe(16)  # never in a text that is shown
        self._said: list[str] = []  # to be told on the next page
        self.lure = ""  # what an advertisement says, where there is one
        self._away = "/"

    def respond(self, request: Request) -> Response:
        """Answer a request; what is not known is a page that says so."""
        if request.origin in ("cross-site", "same-site") and request.method != "GET":
            return self.page("message.html", status=403, heading="Refused", text="Other sites may not do this.")
        key = request.value("_key").encode("utf-8", "replace")  # a token of other letters is a wrong one, no fault
        if request.method == "POST" and not secrets.compare_digest(key, self._key.encode()):
            return self.page("message.html", status=403, heading="Refused", text="This form is not valid. Go back.")
        if self.lure and request.path == "/offer":
            return Response(status=303, location=self._away)
        for method, pattern, name in self.routes:
            match = re.fullmatch(pattern, request.path) if method == request.method else None
            if match is not None:
                function: Page = getattr(self, name)
                return function(request, *match.groups())
        return self.lost()

    def linked(self, addresses: Mapping[str, str]) -> None:
        """Be told where the advertisement leads."""
        self._away = addresses.get("offers", "/")

    def lost(self) -> Response:
        """Say that there is no such page."""
        return self.page("message.html", status=404, heading="Not found", text="There is no such page.")

    def page(self, template: str, /, status: int = 200, **values: Any) -> Response:
        """Render a template within the site's frame."""
        said, self._said = self._said, []
        body = _templates().get_template(template).render(site=self, form_key=self._key, said=said, **values)
        return Response(status=status, body=body, policy=_policy())

    def tell(self, text: str) -> None:
        """Say something on the next page."""
        self._said = [*self._said, text][-3:]

    def to(self, path: str, **query: str) -> Response:
        """Send the browser to a page of this site."""
        return Response(status=303, location=quote(path) + (f"?{urlencode(query)}" if query else ""))

    def add(self, table: str, **row: Any) -> str:
        """Add a row; return its key."""
        number = 1 + max((int(key) for key in self.rows[table] if key.startswith("+")), default=0)
        self.rows[table][f"+{number}"] = row
        return f"+{number}"

    def copy(self) -> Site:
        """Return the same site with rows of its own."""
        other = copy.copy(self)
        other.rows, other._said = copy.deepcopy(self.rows), []
        return other


def same_rows(found: Rows, wanted: Rows) -> bool:
    """Whether two states are equal; rows that a visitor added may have come in any order.

    >>> same_rows({"a": {"+1": {"x": 1}, "+2": {"x": 2}}}, {"a": {"+1": {"x": 2}, "+2": {"x": 1}}})
    True
    """
    return _plain(found) == _plain(wanted)


def slug(text: str) -> str:
    """Return a text as a part of an address.

    >>> slug("Amber Desk Lamp")
    'amber-desk-lamp'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def page_of(items: Sequence[Any], request: Request, size: int) -> tuple[Sequence[Any], int, int]:
    """Return the items of the page that the query asks for, its number and the number of pages."""
    num = max(1, -(-len(items) // size))
    asked = request.value("page")
    number = min(max(int(asked), 1), num) if asked.isdecimal() and len(asked) < 6 else 1
    return items[(number - 1) * size : number * size], number, num


def _plain(rows: Rows) -> Mapping[str, Any]:
    return {
        table: (
            {key: row for key, row in lines.items() if not key.startswith("+")},
            sorted(json.dumps(row, sort_keys=True) for key, row in lines.items() if key.startswith("+")),
        )
        for table, lines in rows.items()
    }


def _clean(value: str) -> str:
    return value[:_MAX_VALUE].replace("\r\n", "\n").replace("\0", "").strip()


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["script"] = _source("site.js")
    made.globals["style"] = _source("site.css")
    made.globals["slug"] = slug
    return made


@functools.cache
def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def _policy() -> str:
    """Allow the script and the style of the frame, by their digests, its empty icon, and nothing else."""
    script, style = (
        base64.b64encode(hashlib.sha256(_source(name).encode()).digest()).decode() for name in ("site.js", "site.css")
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
