"""What a request holds and how a response is sent, in ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from agentrl.envs.program.calls import Refused
from agentrl.envs.program.dialects.reading import bad

__all__ = ["MAX_BYTES", "CutError", "LeftError", "Receive", "Scope", "Send", "Stream", "body_of", "key_of", "respond"]

MAX_BYTES = 16 << 20
"""Of a request's body."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MOST_DRAINED = 4 * MAX_BYTES  # so much of a body that is too long is read, for its sender to see the answer
_WRITE = 64 << 10  # bytes of a stream that go out at once
_JSON = (b"content-type", b"application/json")
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_compact = json.JSONEncoder(separators=(",", ":")).encode


class LeftError(Exception):
    """The client has left; there is nobody to answer."""


class CutError(Exception):
    """A response that has begun cannot be finished; its connection is closed, for the client to see it."""


async def body_of(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Return a request's body.

    Raises:
        Refused: It is encoded (415) or too long (413), whether it says its length or comes in chunks.
        LeftError: The client left before its end.
    """
    if (coding := headers.get(b"content-encoding")) is not None and coding.strip().lower() not in (b"", b"identity"):
        raise Refused(
            f"'Content-Encoding: {coding[:40].decode('latin-1')}' is not read here; send the body as it is",
            status=415,
            code="unsupported_content_encoding",
        )
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit():
        bad("'Content-Length' is no number")
    if len(announced) > 18 or int(announced) > _MOST_DRAINED:
        raise _too_long()
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and message["type"] == "http.request" and len(body) <= MAX_BYTES:
        return body
    parts, size = [], 0
    while message["type"] == "http.request":
        size += len(message.get("body", b""))
        if size <= MAX_BYTES:
            parts.append(message.get("body", b""))
        if size > _MOST_DRAINED or (size > MAX_BYTES and not message.get("more_body")):
            raise _too_long()
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise LeftError


def _too_long() -> Refused:
    return Refused(f"a request's body may have {MAX_BYTES} bytes", status=413, code="request_too_large")


def key_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the key that a client shows, as OpenAI's or as Anthropic's clients do; empty where it shows none."""
    if (key := headers.get(b"x-api-key")) is None:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return ""
    return key.strip().decode("latin-1")


async def respond(
    send: Send, status: int, told: Mapping[str, Any], headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send JSON, and no more."""
    body = _compact(told).encode()
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})


class Stream:
    """Server-sent events that go out as the response: https://html.spec.whatwg.org/multipage/server-sent-events.html.

    Args:
        send: Of ASGI.
        headers: Beside those that every stream has.
    """

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.is_open = False  # status and headers are out

    async def ping(self) -> None:
        """Send a comment, which clients read and leave aside."""
        await self._open()
        await self._send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})

    async def finish(self, events: bytes) -> None:
        """Send the last events."""
        await self._open()
        for start in range(0, len(events), _WRITE):
            part, more = events[start : start + _WRITE], start + _WRITE < len(events)
            await self._send({"type": "http.response.body", "body": part, "more_body": more})

    async def _open(self) -> None:
        if not self.is_open:
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *self._headers]})
            self.is_open = True
