"""The server of all sites of this process: one port on loopback, a host name of its own for each site of an episode.

A host name holds 128 random bits, so that no page can name another episode's. Requests that another origin makes are
refused, and so is every change without the token of the site's own form. Speaks ASGI; uvicorn runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from agentrl.envs.browse.site import MAX_BODY, Request, Response, Serves

__all__ = ["Server"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_START_S = 10.0
_FIELDS = 200  # of one form


class Server:
    """Serves sites by host name, from `start` to `stop`; both, and all requests, run in one event loop."""

    def __init__(self) -> None:
        self.sites: dict[str, Serves] = {}  # by host name
        self.broken: dict[str, Exception] = {}  # by host name: what a site raised, which is a fault of ours
        self.port = 0
        self._task: asyncio.Task[None] | None = None
        self._server: Any = None

    async def start(self) -> None:
        """Listen on a free port of loopback.

        Raises:
            OSError: No port can be had.
            TimeoutError: The server does not come up.
        """
        import uvicorn

        listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=600,
            timeout_graceful_shutdown=1,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._task = asyncio.ensure_future(self._server.serve(sockets=[listening]))
        async with asyncio.timeout(_START_S):
            while not self._server.started:
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """End all connections; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            self._server.should_exit = self._server.force_exit = True
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.wait_for(task, 3.0)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _body(receive)
        host = headers.get("host", "").partition(":")[0]
        site = self.sites.get(host)
        if site is None:
            response = Response(status=404, body="There is no such site.")
        elif body is None:
            response = Response(status=413, body="That is too much.")
        else:
            try:
                response = site.respond(_request(scope, headers, body))
            except Exception as error:
                self.broken[host] = error
                response = Response(status=500, body="This site is broken.")
        content = response.body.encode("utf-8", "replace")
        told = [(b"content-length", b"%d" % len(content)), *response.headers()]
        await send({"type": "http.response.start", "status": response.status, "headers": told})
        await send({"type": "http.response.body", "body": content})


def _request(scope: _Message, headers: dict[str, str], body: bytes) -> Request:
    query = scope["query_string"].decode("latin-1")
    form: list[tuple[str, str]] = []
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        with contextlib.suppress(ValueError):
            form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS)
    asked: list[tuple[str, str]] = []
    with contextlib.suppress(ValueError):
        asked = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=tuple(asked),
        form=tuple(form),
        origin=headers.get("sec-fetch-site", "none"),
    )


async def _body(receive: _Receive) -> bytes | None:
    """Return a request's body; None where it is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        size += len(message.get("body", b""))
        if size <= MAX_BODY:
            parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts) if size <= MAX_BODY else None
        if size > 16 * MAX_BODY:
            return None
