"""Who may ask the viewer, and what a browser may do with the answer: wraps the whole application, websockets included.

On loopback the `Host` must be a name of this machine, so that no page of another site reaches the viewer through a name
of its own that points here (DNS rebinding). On any other address every request needs a token, given once as `?token=`
and then kept in a cookie. A request from another origin is refused where it could read or act.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from agentrl.envs.remote.listening import is_loopback

__all__ = ["Guard", "here", "policy"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SCRIPT = re.compile(rb"<script(?=[ >])")
_DROPPED = (b"x-forwarded-prefix", b"x-forwarded-host", b"forwarded")  # would steer addresses in the page
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_YEAR_S = 365 * 86400


def here(path: str) -> str:
    """Return a path that stays on this viewer: browsers read a backslash as a slash, and skip what is blank.

    >>> here("//evil.com/x"), here("/\\\\evil.com"), here("/\\t/evil.com"), here("/run/a%20b")
    ('/evil.com/x', '/evil.com', '/evil.com', '/run/a%20b')
    """
    return "/" + _BLANK.sub("", path.replace("\\", "/")).lstrip("/")


def policy(nonce: str) -> str:
    """Return the Content-Security-Policy of a page.

    The library compiles its templates in the browser, hence 'unsafe-eval', and sets styles by attribute. A script in
    the page runs with the nonce alone; nothing comes from, or goes to, another origin.
    """
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    )


class Guard:
    """An ASGI application around another.

    Args:
        app: What is guarded.
        token: Asked of every request; empty asks for none, and lets only loopback names in.
        port: Of the server; tells the cookies of two viewers apart.
    """

    def __init__(self, app: App, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._cookie = f"agentrl-view-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        if why := self._refusal(scope):
            return await _refuse(scope, send, *why)
        if self._token and (answer := self._ask(scope)) is not None:
            return await _answer(scope, send, *answer)
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in _DROPPED]}
        return await self._app(scope, receive, _Protected(send).send if scope["type"] == "http" else send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host = _header(scope, b"host").lower()
        named = _HOST.fullmatch(host)
        if named is None or (not self._token and not is_loopback(named[1])):
            return 421, f"this viewer answers to localhost only, not to {host!r}; open the address that it printed"
        origin = _header(scope, b"origin").lower()
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "a page of another origin may not ask this viewer"
        if _header(scope, b"sec-fetch-site") == "cross-site" and _header(scope, b"sec-fetch-mode") != "navigate":
            return 403, "a page of another site may not ask this viewer"
        return None

    def _ask(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], str] | None:
        """Return the answer to a request that is not to be served: a refusal, or the cookie for a right token."""
        if self._is_right(_cookies(scope).get(self._cookie, "")):
            return None
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if scope["type"] == "websocket" or not given or not self._is_right(given[0]):
            return 401, [], "this viewer asks for a token: open the address that agentrl view printed, with its ?token="
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        path = here(scope.get("raw_path", b"/").partition(b"?")[0].decode("latin-1"))
        kept = f"{self._cookie}={self._token}; Path=/; Max-Age={_YEAR_S}; HttpOnly; SameSite=Lax"
        headers = [(b"location", (path + (f"?{rest}" if rest else "")).encode("latin-1", "ignore"))]
        return 303, [*headers, (b"set-cookie", kept.encode())], ""

    def _is_right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


class _Protected:
    """Sends an answer with the headers that protect it, and the nonce in a page's own scripts."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._nonce = secrets.token_urlsafe(16)
        self._start: MutableMapping[str, Any] | None = None
        self._body = bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
            kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
            headers += [
                (b"content-security-policy", policy(self._nonce).encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"x-frame-options", b"DENY"),
                (b"referrer-policy", b"same-origin"),
                (b"cross-origin-resource-policy", b"same-origin"),
                (b"cross-origin-opener-policy", b"same-origin"),
                (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
            ]
            message = {**message, "headers": headers}
            if kind.startswith(b"text/html"):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = _SCRIPT.sub(f'<script nonce="{self._nonce}"'.encode(), bytes(self._body))
            start, self._start = self._start, None
            kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            await self._send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
            message = {"type": "http.response.body", "body": body}
        await self._send(message)


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    await _answer(scope, send, status, [], why)


async def _answer(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], why: str) -> None:
    if scope["type"] == "websocket":  # before it is accepted: the browser sees 403
        await send({"type": "websocket.close", "code": 1008, "reason": why[:100]})
        return
    plain = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *headers]})
    await send({"type": "http.response.body", "body": why.encode("utf-8", "backslashreplace") + b"\n"})


def _header(scope: Scope, name: bytes) -> str:
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return found[0].decode("latin-1") if len(found) == 1 else "" if not found else "\x00"  # twice is none that fits


def _cookies(scope: Scope) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in _header(scope, b"cookie").split(";"))
    return {name: value for name, _, value in pairs}
