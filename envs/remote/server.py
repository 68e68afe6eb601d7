"""Environments over HTTP and WebSocket, for clients in other languages and on other machines.

A WebSocket at `/v1/connect` is one session: it ends with the connection, so that a lost client frees what its episode
holds. Over HTTP a session has a name, and ends when it is deleted or was silent for too long. Both speak the same JSON
(`wire.py`). With a token every request but `/health` must carry it; without one the server should listen on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import ConfigDict, Field, TypeAdapter
from starlette.websockets import WebSocket, WebSocketDisconnect

from agentrl.envs.remote.sessions import Limits, Session, Sessions
from agentrl.envs.remote.wire import MAX_BYTES, WireError, decoded, encoded

__all__ = ["Opening", "Reset", "Step", "make_app"]

M = TypeVar("M", "Opening", "Reset", "Step")
_CLOSED = ConfigDict(extra="forbid")

_STATUS = {"bad_request": 400, "unknown_env": 404, "no_session": 404, "busy": 409, "full": 503}
_SWEEP_S = 1.0
_CLOSE_S = 10.0
_NORMAL, _POLICY_VIOLATION = 1000, 1008  # close codes of a WebSocket, RFC 6455 section 7.4.1
_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "the token is missing or wrong"},
    **{status: {"description": kind.replace("_", " ")} for kind, status in _STATUS.items()},
}


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Which environment a session is for."""

    __pydantic_config__ = _CLOSED
    env_id: Annotated[str, Field(strict=True)] | None = None  # None: the only one that is served


@dataclass(frozen=True, kw_only=True)
class Reset:
    """What an episode starts with."""

    __pydantic_config__ = _CLOSED
    seed: Annotated[int, Field(ge=0, strict=True)] | None = None
    options: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A turn."""

    __pydantic_config__ = _CLOSED
    action: Annotated[str, Field(strict=True)]


class _Plain(JSONResponse):
    """JSON in ASCII, since a text may hold half of a surrogate pair, which UTF-8 has no bytes for."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


_adapters: dict[type, TypeAdapter[Any]] = {}  # made when first needed, since that takes milliseconds


def make_app(envs: Mapping[str, Mapping[str, Any]], *, token: str = "", limits: Limits | None = None) -> FastAPI:
    """Return the ASGI application.

    Args:
        envs: Ids that clients may open, each with its arguments for `gymnasium.make`.
        token: Asked of every request; empty for none.
        limits: What is allowed.
    """
    sessions = Sessions(envs=dict(envs), limits=limits or Limits())

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(sessions))
        try:
            yield
        finally:
            sweeping.cancel()
            await sessions.close(_CLOSE_S)

    app = FastAPI(title="AgentRL environments", version="1", lifespan=lifespan)

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path != "/health" and not _may(request.headers.get("authorization", ""), token):
            return _refused(401, "unauthorized", "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        if "transfer-encoding" in request.headers:  # else there would be no bound on what is read
            return _refused(411, "bad_request", "say how long the request is, in Content-Length")
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > MAX_BYTES:
            return _refused(413, "bad_request", f"a request may have {MAX_BYTES} bytes")
        return await follow(request)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        # Without the values themselves: they may be what no response can hold, such as NaN.
        detail = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
        return _Plain({"detail": detail}, status_code=422)

    @app.exception_handler(WireError)
    async def told(request: Request, error: WireError) -> Response:
        return _refused(
            _STATUS[error.kind], error.kind, str(error), {"Retry-After": "1"} if error.kind == "full" else {}
        )

    _mount(app, sessions)

    @app.websocket("/v1/connect")
    async def connect(socket: WebSocket) -> None:
        if not _may(socket.headers.get("authorization", ""), token):
            await socket.close(code=_POLICY_VIOLATION)  # before it is accepted: the client sees status 403
            return
        await socket.accept()
        await _serve(socket, sessions)

    return app


def _mount(app: FastAPI, sessions: Sessions) -> None:
    """Add the routes of HTTP."""
    began = time.monotonic()

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the server is there, and how many sessions are open."""
        return {"status": "ok", "sessions": len(sessions), "max_sessions": sessions.limits.max_sessions}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return counts in the text format of Prometheus."""
        lines = [f"agentrl_sessions {len(sessions)}", f"agentrl_uptime_seconds {time.monotonic() - began:.3f}"]
        lines += [f'agentrl_events_total{{event="{name}"}} {count}' for name, count in sorted(sessions.counts.items())]
        return "\n".join(lines) + "\n"

    @app.get("/v1/envs")
    async def envs() -> dict[str, list[str]]:
        """Return the ids of the environments that can be opened."""
        return {"envs": list(sessions.envs)}

    @app.post("/v1/sessions", status_code=201, responses=_ERRORS)
    async def open_session(opening: Opening) -> dict[str, str]:
        """Open a session."""
        session = sessions.open(opening.env_id)
        return {"session": session.name, "env_id": session.env_id}

    @app.post("/v1/sessions/{name}/reset", responses=_ERRORS)
    async def reset(name: str, reset: Reset) -> JSONResponse:
        """Start an episode; return `observation` and `info`."""
        return _Plain(await _reset(sessions, sessions.find(name), reset))

    @app.post("/v1/sessions/{name}/step", responses=_ERRORS)
    async def step(name: str, step: Step) -> JSONResponse:
        """Take a turn; return Gymnasium's five values by name."""
        return _Plain(await _step(sessions, sessions.find(name), step))

    @app.delete("/v1/sessions/{name}", status_code=204, responses=_ERRORS)
    async def close_session(name: str) -> None:
        """Close a session."""
        sessions.end(sessions.find(name), "closed")


async def _serve(socket: WebSocket, sessions: Sessions) -> None:
    """Serve one connection until it ends; its session ends with it."""
    inbox: asyncio.Queue[str | None] = asyncio.Queue(maxsize=4)
    reading = asyncio.create_task(_read(socket, inbox))
    talk = _Talk(sessions)
    try:
        while not talk.is_over and (text := await inbox.get()) is not None:
            answer = asyncio.create_task(talk.answer(text))
            following = asyncio.create_task(inbox.get())
            await asyncio.wait((answer, following), return_when=asyncio.FIRST_COMPLETED)
            if following.done():  # the client has left, or does not wait: its step is not waited for either
                answer.cancel()
                break
            following.cancel()
            await socket.send_text(answer.result())
    finally:
        reading.cancel()
        talk.end()
        with contextlib.suppress(Exception):  # the client may have left
            await socket.close(code=_NORMAL if talk.is_over else _POLICY_VIOLATION)


async def _read(socket: WebSocket, inbox: asyncio.Queue[str | None]) -> None:
    """Put what a client sends into the inbox; None where it has left."""
    try:
        while True:
            await inbox.put(await socket.receive_text())
    except (WebSocketDisconnect, KeyError):  # KeyError: bytes, where text is spoken
        await inbox.put(None)


class _Talk:
    """What is said on one connection."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._session: Session | None = None
        self.is_over = False  # in order: the client has said so

    async def answer(self, text: str) -> str:
        """Return the answer to a message; an error is one too."""
        try:
            return encoded(await self._answer(decoded(text)))
        except WireError as error:
            return encoded({"error": {"kind": error.kind, "message": str(error)}})

    def end(self) -> None:
        """Close the session, where one was opened."""
        if self._session is not None:
            self._sessions.end(self._session, "closed" if self.is_over else "lost")

    async def _answer(self, told: dict[str, Any]) -> dict[str, Any]:
        op = told.pop("op", None)
        if op == "close":
            self.is_over = True
            return {}
        if op == "open":
            if self._session is not None:
                raise WireError("this connection has a session already; one connection is one session")
            self._session = self._sessions.open(_checked(Opening, told).env_id)
            return {"session": self._session.name, "env_id": self._session.env_id}
        if self._session is None:
            raise WireError('the first message opens a session: {"op": "open", "env_id": …}')
        if op == "reset":
            return await _reset(self._sessions, self._session, _checked(Reset, told))
        if op == "step":
            return await _step(self._sessions, self._session, _checked(Step, told))
        raise WireError(f"op is {op!r:.40}; there are open, reset, step and close")


async def _reset(sessions: Sessions, session: Session, reset: Reset) -> dict[str, Any]:
    answer = await session.reset(seed=reset.seed, options=reset.options)
    return _counted(sessions, session, "resets", answer)


async def _step(sessions: Sessions, session: Session, step: Step) -> dict[str, Any]:
    return _counted(sessions, session, "steps", await session.step(step.action))


def _counted(sessions: Sessions, session: Session, what: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Count a call; an environment that hangs ends its session with the answer."""
    sessions.counts[what] += 1
    if session.is_hanging:
        sessions.end(session, "hanging")
    return answer


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(min(_SWEEP_S, sessions.limits.idle_s / 2))
        await sessions.sweep()


def _refused(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _Plain({"error": {"kind": kind, "message": message}}, status_code=status, headers=dict(headers or {}))


def _may(header: str, token: str) -> bool:
    return not token or hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


def _checked(kind: type[M], told: Mapping[str, Any]) -> M:
    adapter = _adapters.get(kind) or _adapters.setdefault(kind, TypeAdapter(kind))
    try:
        found: M = adapter.validate_python(told)
    except ValueError as error:
        raise WireError(" ".join(str(error).split())[:400]) from error
    return found
