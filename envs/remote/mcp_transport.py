"""The MCP server of an environment on its two transports: standard input and output, and streamable HTTP.

Over HTTP a client has a session of the protocol, whose name it shows with each request; it ends when the client deletes
it, or was silent for too long. Protocol versions without sessions are told to use one with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from agentrl.envs.remote.mcp import Players, make_server
from agentrl.envs.remote.sessions import Limits, Sessions
from agentrl.envs.tools.host import close_backends

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

__all__ = ["PATH", "http_app", "serve_stdio"]

PATH = "/mcp"
"""Where the server of HTTP is."""
_SWEEP_S = 1.0
_CLOSE_S = 10.0
_LARGEST = 4 << 20  # bytes of a request


async def serve_stdio(env_id: str, kwargs: dict[str, Any], tools: Sequence[dict[str, Any]], limits: Limits) -> None:
    """Serve one client until it closes its end, or until SIGINT or SIGTERM, which ends this process.

    Args:
        env_id: Of the environment.
        kwargs: For `gymnasium.make`.
        tools: Schemas to tell before the first episode.
        limits: What is allowed.
    """
    from mcp.server.lowlevel import NotificationOptions
    from mcp.server.stdio import stdio_server

    sessions = Sessions(envs={env_id: kwargs}, limits=limits)
    server = make_server(Players(sessions, env_id, tools), env_id)
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    ends = {number: asyncio.Event() for number in (signal.SIGINT, signal.SIGTERM)}
    for number, end in ends.items():
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    leaving = [asyncio.create_task(_leave(number, end, sessions)) for number, end in ends.items()]
    try:
        async with stdio_server() as (read, write):
            await server.run(read, write, options)
    finally:
        for task in leaving:
            task.cancel()
        await sessions.close(_CLOSE_S)


async def _leave(number: int, end: asyncio.Event, sessions: Sessions) -> None:
    """End this process on a signal: a thread of the SDK reads standard input, and nothing else wakes it."""
    await end.wait()
    await sessions.close(_CLOSE_S)
    close_backends()  # what would be done at the end of a process that ends by itself
    os._exit(128 + number)


def http_app(
    env_id: str,
    kwargs: dict[str, Any],
    tools: Sequence[dict[str, Any]],
    *,
    token: str = "",
    limits: Limits | None = None,
) -> Starlette:
    """Return the ASGI application.

    Args:
        env_id: Of the environment.
        kwargs: For `gymnasium.make`.
        tools: Schemas to tell before a client's first episode.
        token: Asked of every request; empty for none, and then requests from other sites' pages are refused.
        limits: What is allowed.
    """
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route

    limits = limits or Limits()
    sessions = Sessions(envs={env_id: kwargs}, limits=limits)
    players = Players(sessions, env_id, tools)
    local = [f"{host}:*" for host in ("127.0.0.1", "localhost", "[::1]")]
    manager = StreamableHTTPSessionManager(
        make_server(players, env_id),
        session_idle_timeout=limits.idle_s,
        max_sessions=limits.max_sessions,
        max_request_body_size=_LARGEST,
        security_settings=TransportSecuritySettings(
            enable_dns_rebinding_protection=not token,
            allowed_hosts=local,
            allowed_origins=[f"http://{each}" for each in local],
        ),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(sessions, players))
        try:
            async with manager.run():
                yield
        finally:
            sweeping.cancel()
            await sessions.close(_CLOSE_S)

    return Starlette(routes=[Route(PATH, endpoint=_Endpoint(manager, players, token))], lifespan=lifespan)


class _Endpoint:
    """The manager behind a look at the token and at the version of the protocol."""

    def __init__(self, manager: Any, players: Players, token: str) -> None:
        self._manager, self._players, self._token = manager, players, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from mcp.types import UNSUPPORTED_PROTOCOL_VERSION
        from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
        from starlette.requests import Request
        from starlette.responses import JSONResponse

        headers = Request(scope).headers
        if self._token and not hmac.compare_digest(
            headers.get("authorization", "").encode(), f"Bearer {self._token}".encode()
        ):
            told = {"error": {"kind": "unauthorized", "message": "the token is missing or wrong"}}
            await JSONResponse(told, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        version = headers.get("mcp-protocol-version")
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            data = {"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": version}
            error = {
                "code": UNSUPPORTED_PROTOCOL_VERSION,
                "message": "an episode needs a session: initialize one",
                "data": data,
            }
            await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)
        if scope["method"] == "DELETE":
            self._players.leave(headers.get("mcp-session-id", ""))


async def _sweep(sessions: Sessions, players: Players) -> None:
    while True:
        await asyncio.sleep(min(_SWEEP_S, sessions.limits.idle_s / 2))
        await sessions.sweep()
        players.sweep(sessions.limits.idle_s)
