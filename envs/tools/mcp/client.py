"""One session with an MCP server, by the official SDK, for a thread that knows no coroutines.

All sessions of a process share one event loop in a thread of its own. A session is opened and closed by one task there,
as the SDK asks for. What a server refuses is text for the model; a server that is gone, silent or writes what is no
answer raises InfrastructureError with boundary "mcp".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.tools.mcp import content
from agentrl.envs.tools.mcp.feed import Feed, Peer
from agentrl.envs.tools.mcp.http import Watch, client_of

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import Tool as Listed

__all__ = ["MISSING", "Session"]

MISSING = "MCP servers need the package mcp, which is not installed; type: pip install 'agentrl-gym[mcp]'"
_MAX_PAGES = 100
_MAX_LISTED = 5000
_CLOSE_S = 2.0
_LEEWAY_S = 5.0  # for the way there and back, beyond what the SDK itself waits for

R = TypeVar("R")
_lock = threading.Lock()
_loops: dict[int, LoopThread] = {}
_starting: dict[int, threading.BoundedSemaphore] = {}


def _loop() -> LoopThread:
    with _lock:  # after a fork the child has its own
        return _loops.setdefault(os.getpid(), LoopThread(60.0, who="the MCP server"))


def _turn_to_start() -> threading.BoundedSemaphore:
    """Let as many servers start at once as there are processors: more would only make each other late."""
    with _lock:
        if os.getpid() not in _starting:
            _starting[os.getpid()] = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
        return _starting[os.getpid()]


class Session:
    """A session with one server, over its process or over HTTP.

    Args:
        name: What messages call the server.
        start: Starts its process and gives what it writes to the feed; None where it is reached by `url`.
        url: Of streamable HTTP, where there is no process.
        token: Shown to a server of HTTP.
        start_s: Deadline of the start, until the tools are listed.
        call_s: Deadline of a call.

    Raises:
        UsageError: The SDK is not installed, or the server cannot be started as it was asked for.
        InfrastructureError: It did not start.
    """

    def __init__(
        self,
        name: str,
        *,
        start: Callable[[Feed], Peer] | None = None,
        url: str = "",
        token: str = "",
        start_s: float,
        call_s: float,
    ) -> None:
        try:
            import mcp  # noqa: F401
        except ImportError as error:
            raise UsageError(MISSING) from error
        self.name = name
        self.tools: list[Listed] = []
        self.has_resources = False
        self._start_s, self._call_s = start_s, call_s
        self._url, self._token = url, token
        self._watch = Watch()
        self._feed: Feed | None = None
        self._peer: Peer | None = None
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._leave: asyncio.Event | None = None
        try:
            if start is None:
                self._done(self._opened(), start_s, "start")
            else:
                with _turn_to_start():
                    self._feed = _loop().wait(_made(Feed))
                    self._peer = start(self._feed)
                    self._done(self._opened(), start_s, "start")
            self._watch.broken = ""  # what an older server refused while the two agreed on a version
        except BaseException:
            self.close()
            raise

    def call(self, name: str, arguments: dict[str, object]) -> str:
        """Call a tool by the server's name for it; return what the model reads.

        Raises:
            InfrastructureError: The server is gone, silent, or its answer is none.
        """
        return self._asked(self._call(name, arguments), f"the call of {name[:64]}")

    def list_resources(self) -> str:
        """Return the server's resources, a line each. Raises as `call`."""
        return self._asked(self._resources(), "the list of resources")

    def read_resource(self, uri: str) -> str:
        """Return a resource. Raises as `call`."""
        return self._asked(self._read(uri), "reading a resource")

    @property
    def is_open(self) -> bool:
        """Whether it can be called, as far as is known."""
        return self._client is not None and not self._why()

    def close(self) -> None:
        """End the session and its server's process; idempotent."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError, RuntimeError):
                _loop().wait(self._left(), 2 * _CLOSE_S)
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()
        if self._feed is not None:
            with contextlib.suppress(TimeoutError, RuntimeError):
                _loop().wait(_made(self._feed.discard), _CLOSE_S)

    def _asked(self, coroutine: Any, what: str) -> str:
        if self._client is None:
            coroutine.close()
            raise InfrastructureError(f"{self.name}: the session is closed", kind="died", boundary="mcp")
        self._watch.broken = ""
        return str(self._done(coroutine, self._call_s, what))

    def _done(self, coroutine: Any, limit_s: float, what: str) -> Any:
        """Wait for a coroutine; turn its failures into ours, and a refusal into text."""
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT
        from pydantic import ValidationError

        try:
            return _loop().wait(coroutine, limit_s + _LEEWAY_S)
        except TimeoutError as error:
            raise self._failure("timeout", f"{what}: no answer within {limit_s:g} s", error) from error
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise self._failure("timeout", f"{what}: no answer within {limit_s:g} s", error) from error
            if error.code == CONNECTION_CLOSED or self._why() or what == "start":
                raise self._failure("died", f"{what}: {error.message[:500]}", error) from error
            return f"Error: {error.message}"
        except (ValidationError, TypeError, ValueError) as error:
            raise self._failure("protocol", f"{what}: its answer is none: {error!s:.300}", error) from error
        except (InfrastructureError, UsageError):
            raise
        except Exception as error:  # of the SDK or its transport: a failure of neither the model nor the task
            raise self._failure("died", f"{what}: {type(error).__name__}: {error!s:.300}", error) from error

    def _why(self) -> str:
        return (self._feed.why if self._feed is not None else "") or self._watch.broken

    def _failure(self, kind: str, said: str, error: BaseException) -> InfrastructureError:
        why = self._why()
        return InfrastructureError(f"{self.name}: {said}{'; ' + why if why else ''}", kind=kind, boundary="mcp")

    # What follows runs in the loop.

    async def _opened(self) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        self._task = asyncio.create_task(self._held(ready, self._leave))
        try:
            async with asyncio.timeout(self._start_s):
                await asyncio.shield(ready)
                await self._listed()
        except BaseException:
            self._task.cancel()
            raise

    async def _held(self, ready: asyncio.Future[None], leave: asyncio.Event) -> None:
        """Keep the session open until it is left."""
        from mcp import Client

        try:
            async with Client(self._transport(), read_timeout_seconds=self._start_s, cache=None) as client:
                self._client = client
                ready.set_result(None)
                await leave.wait()
        except asyncio.CancelledError:
            ready.cancel()
            raise
        except BaseException as error:
            if not ready.done():
                ready.set_exception(_leaf(error))
                ready.exception()  # who waited may have left
        finally:
            self._client = None

    @contextlib.asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        if self._feed is not None:
            assert self._peer is not None
            async with self._feed.streams(self._peer) as streams:
                yield streams
            return
        from mcp.client.streamable_http import streamable_http_client

        async with (
            client_of(self._watch, token=self._token, connect_s=self._start_s, read_s=self._call_s) as client,
            streamable_http_client(self._url, http_client=client) as streams,
        ):
            yield streams

    async def _listed(self) -> None:
        client = self._client
        assert client is not None
        capabilities = client.server_capabilities
        if capabilities is None or capabilities.tools is not None:
            self.tools = await _paged(client.list_tools, "tools")
        if capabilities is not None and capabilities.resources is not None:
            self.has_resources = bool(await _paged(client.list_resources, "resources"))
            if not self.has_resources:
                self.has_resources = bool(await _paged(client.list_resource_templates, "resource_templates"))

    async def _call(self, name: str, arguments: dict[str, object]) -> str:
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult

        assert self._client is not None
        # Not `call_tool`: that holds results against the server's own output schema, whose patterns may never end.
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        session = self._client.session
        result = await session.send_request(request, CallToolResult, request_read_timeout_seconds=self._call_s)
        return content.of_call(result)

    async def _resources(self) -> str:
        client = self._client
        assert client is not None
        async with asyncio.timeout(self._call_s):
            resources = await _paged(client.list_resources, "resources")
            templates = await _paged(client.list_resource_templates, "resource_templates")
        return content.of_list(resources, templates)

    async def _read(self, uri: str) -> str:
        assert self._client is not None
        async with asyncio.timeout(self._call_s):
            return content.of_resource(await self._client.read_resource(uri))

    async def _left(self) -> None:
        task, self._task = self._task, None
        if task is None or self._leave is None:
            return
        self._leave.set()
        _, running = await asyncio.wait((task,), timeout=_CLOSE_S)
        if running:
            task.cancel()
            await asyncio.wait((task,), timeout=_CLOSE_S / 2)


async def _made(make: Callable[[], R]) -> R:
    return make()


async def _paged(listing: Callable[..., Awaitable[Any]], what: str) -> list[Any]:
    """Return all that a server lists, page by page; a list without end is none.

    Raises:
        ValueError: It has too many pages or entries.
    """
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await listing(cursor=cursor)
        found += getattr(page, what)
        cursor = page.next_cursor
        if len(found) > _MAX_LISTED:
            raise ValueError(f"it lists more than {_MAX_LISTED} {what}")
        if not cursor:
            return found
    raise ValueError(f"its list of {what} has more than {_MAX_PAGES} pages")


def _leaf(error: BaseException) -> BaseException:
    """Return what went wrong inside groups of one."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
