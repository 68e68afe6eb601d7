"""The endpoint as a server: a thread with an event loop of its own, on this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.program.app import App, make_endpoint
from agentrl.envs.program.calls import Answers
from agentrl.envs.remote.listening import bind

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Endpoint"]

_logger = logging.getLogger(__name__)
_START_S, _GRACE_S, _CLOSE_S = 30.0, 2, 10.0
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they close them first


class Endpoint:
    """Serve the calls of programs, from `start` to `close`; several may live in one process.

    Args:
        answers: Who answers; its coroutines run in the event loop of the endpoint.
        host: Address to listen on.
        port: 0 takes a free one.
        models: What `/v1/models` lists.
        ping_s: See `make_endpoint`.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        models: Sequence[str] = ("policy",),
        ping_s: float = 10.0,
    ) -> None:
        self._app: App = make_endpoint(answers, models=models, ping_s=ping_s)
        self._where = (host, port)
        self._url: str | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._failure: Exception | None = None

    def start(self) -> Self:
        """Listen; return when calls are served.

        Raises:
            UsageError: The server is not installed, or the address cannot be bound.
            InfrastructureError: The server does not come up.
        """
        if self._url is not None:
            raise UsageError("an endpoint is started once; make another")
        try:
            importlib.import_module("uvicorn")
        except ImportError as error:
            raise UsageError("uvicorn is not installed; type: pip install 'agentrl-gym[program]'") from error
        listening = bind(*self._where)
        host, port = listening.getsockname()[:2]
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        self._thread = threading.Thread(target=self._run, args=(listening,), name="agentrl-endpoint", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failure is not None:
            self.close()
            reason = self._failure or f"no sign of life in {_START_S:.0f} s"
            raise InfrastructureError(f"the endpoint did not start: {reason}", kind="start", boundary="endpoint")
        return self

    @property
    def url(self) -> str:
        """Return the base URL for OpenAI's clients; it ends in "/v1". Those of Anthropic may take it too.

        Raises:
            UsageError: It was not started.
        """
        if self._url is None:
            raise UsageError("the endpoint has no address yet; call start() first")
        return self._url

    def forget(self, key: str) -> None:
        """Drop what a key's responses were, when its episode is over."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it what was kept
                self._loop.call_soon_threadsafe(self._app.forget, key)

    def close(self) -> None:
        """Refuse what waits for an answer, close all connections, end the thread; a second call does nothing.

        Raises:
            InfrastructureError: The thread does not end.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop)
        thread.join(_CLOSE_S)
        if thread.is_alive():
            raise InfrastructureError("the endpoint's thread does not end", kind="close", boundary="endpoint")

    def _run(self, listening: socket.socket) -> None:
        try:
            with listening:
                asyncio.run(self._serve(listening))
        except Exception as error:
            self._failure = error
            _logger.exception("the endpoint ended")
        finally:
            self._ready.set()

    async def _serve(self, listening: socket.socket) -> None:
        import uvicorn

        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._loop = asyncio.get_running_loop()
        self._ready.set()  # who connects from here on waits in the socket's queue for some milliseconds at most
        try:
            await self._server.serve(sockets=[listening])
        finally:
            await self._app.close()

    def _stop(self) -> None:
        self._app.shut()
        if self._server is not None:
            self._server.should_exit = True

    def __enter__(self) -> Self:
        """Start, unless that was done."""
        return self if self._url is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
