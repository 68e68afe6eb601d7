"""The server that programs call as their model: an ASGI application that speaks the dialects of OpenAI and Anthropic.

The way of a call is short, since many programs share one core: no framework stands between the server and the dialect.
A client that leaves cancels the wait for its answer. A stream's headers go out with its first event; where the answer
takes longer than `ping_s` they go out before it, and comments keep the connection: a refusal that comes later is then
an event of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agentrl.envs.program.asgi import CutError, LeftError, Receive, Scope, Send, Stream, body_of, key_of, respond
from agentrl.envs.program.calls import Answers, Call, Refused, Said
from agentrl.envs.program.dialects import chat, messages, responses
from agentrl.envs.program.dialects.reading import Fields, decoded, new_id
from agentrl.envs.program.keeping import Kept
from agentrl.envs.program.models import ROUTE, models_of_anthropic, models_of_openai
from agentrl.envs.program.openapi import document
from agentrl.envs.program.passing import Passing

__all__ = ["App", "Speech", "make_endpoint"]

T = TypeVar("T")
_logger = logging.getLogger(__name__)
_PLAIN = ("/health", "/openapi.json")
_UNWATCHED_S = 0.01  # an answer that comes sooner needs no watch, which costs 35 us
_ANSWERED_ALIKE = (409, 501)  # clients ask again after 409 and all from 500 on, unless they are told


class Speech(Protocol):
    """What a dialect is to the server; each is a module of `dialects/`."""

    @property
    def ID_HEADER(self) -> bytes:
        """Return the header in which the vendor's client looks for the request's identifier."""
        ...

    def read(self, told: Mapping[str, Any]) -> Call:
        """Return what a request asks."""
        ...

    def whole(self, told: Mapping[str, Any], call: Call, saids: Sequence[Said]) -> dict[str, Any]:
        """Return the response to a request."""
        ...

    def streamed(self, told: Mapping[str, Any], response: Mapping[str, Any]) -> bytes:
        """Return the events in which a response comes as a stream."""
        ...

    def refused(self, error: Refused) -> dict[str, Any]:
        """Return what a call is refused with."""
        ...

    def failed(self, error: Refused) -> bytes:
        """Return what ends a stream whose answer did not come."""
        ...


def make_endpoint(answers: Answers, *, models: Sequence[str] = ("policy",), ping_s: float = 10.0) -> App:
    """Return the ASGI application.

    Args:
        answers: Who answers the calls.
        models: What `/v1/models` lists; a call may name any.
        ping_s: A stream that waits for its answer for so long gets a comment, and then one every so many seconds, so
            that the client's time limit for reading does not end it.
    """
    return App(answers, models=models, ping_s=ping_s)


class App:
    """The ASGI application; made by `make_endpoint`."""

    def __init__(self, answers: Answers, *, models: Sequence[str], ping_s: float) -> None:
        self._answers = answers
        self._models = tuple(models)
        self._ping_s = ping_s
        self._waiting: set[asyncio.Task[Any]] = set()  # for an answer
        self._closing = asyncio.Event()
        self._since = int(time.time())
        self._kept, self._passing = Kept(), Passing()
        self._speeches: dict[str, Speech] = {
            "/v1/chat/completions": chat,
            "/v1/messages": messages,
            "/v1/responses": responses,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served; HTTP alone is")
        path: str = scope["path"]
        if path.startswith("/v1/v1/"):  # a client that adds the version itself, as Anthropic's does
            path = path[3:]
        headers = dict(scope["headers"])
        speech = self._speeches.get(path)
        if speech is not None and scope["method"] == "POST":
            await self._call(speech, path, headers, receive, send)
        else:
            await self._look(path, scope, headers, send)

    def shut(self) -> None:
        """Refuse what waits for an answer, and all that comes; called in the event loop."""
        self._closing.set()
        for task in self._waiting:
            task.cancel()

    async def close(self) -> None:
        """Close the connections to real endpoints."""
        await self._passing.close()

    def forget(self, key: str) -> None:
        """Drop what a key's responses were, when its episode is over; called in the event loop."""
        self._kept.forget(key)

    async def _call(
        self, speech: Speech, path: str, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        ident = (speech.ID_HEADER, new_id("req_").encode())
        stream = Stream(send, [ident])
        try:
            body = await body_of(headers, receive)
            told = decoded(body)
            key, is_stream = key_of(headers), Fields(told).flag("stream", False)
            real = await self._answers.passed_on(key, Fields(told).text("model"))
            if real is not None:
                try:
                    await self._watched(self._passing.forward(real, path, headers, body, send), receive, None)
                finally:
                    self._answers.came_back(key)
                return
            if speech is responses:
                told = self._kept.continued(key, told)
            call = speech.read(told)
            answering = self._answers.answer(key, call)
            saids = await self._watched(answering, receive, stream if is_stream else None)
            response = speech.whole(told, call, saids)
            if speech is responses:
                self._kept.keep(key, told, response, len(body))
            if is_stream:
                await stream.finish(speech.streamed(told, response))
            else:
                await respond(send, 200, response, [ident])
        except (CutError, LeftError):
            return
        except Refused as error:
            await _refuse(send, speech, error, stream, ident)
        except Exception as error:  # of those who answer: a client must learn that this was no answer
            _logger.exception("a call could not be answered")
            failure = Refused(f"the call could not be answered: {type(error).__name__}", status=500, code="failed")
            await _refuse(send, speech, failure, stream, ident)

    async def _watched(self, answering: Coroutine[Any, Any, T], receive: Receive, stream: Stream | None) -> T:
        """Wait for the answer, cancel that where the client leaves, and keep a client that waits for a stream.

        Raises:
            Refused: It is not answered.
            LeftError: The client left.
        """
        task = asyncio.current_task()
        assert task is not None
        left = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()
            task.cancel()

        async def keep() -> None:
            while stream is not None:
                await asyncio.sleep(self._ping_s)
                await stream.ping()

        def begin() -> None:
            beside.append(asyncio.ensure_future(watch()))
            if stream is not None:
                beside.append(asyncio.ensure_future(keep()))

        if self._closing.is_set():
            answering.close()
            raise _closing()
        beside: list[asyncio.Future[None]] = []
        soon = asyncio.get_running_loop().call_later(_UNWATCHED_S, begin)
        self._waiting.add(task)
        try:
            return await answering
        except asyncio.CancelledError:
            if left.is_set():
                raise LeftError from None
            if self._closing.is_set():
                task.uncancel()
                raise _closing() from None
            raise
        finally:
            self._waiting.discard(task)
            soon.cancel()
            for each in beside:
                each.cancel()

    async def _look(self, path: str, scope: Scope, headers: Mapping[bytes, bytes], send: Send) -> None:
        """Serve what is no call of the model."""
        is_anthropic = b"anthropic-version" in headers or path.startswith("/v1/messages")
        speech: Speech = messages if is_anthropic else chat
        ident = (speech.ID_HEADER, new_id("req_").encode())
        is_model = path == ROUTE or path.startswith(ROUTE + "/")
        allowed = "POST" if path in self._speeches else "GET" if is_model or path in _PLAIN else ""
        try:
            if not allowed:
                raise Refused(f"there is no {scope['method']} {path[:200]} here", status=404, code="unknown_url")
            if scope["method"] != allowed:
                message = f"{scope['method']} is not done on {path[:200]}; {allowed} is"
                raise Refused(message, status=405, code="method_not_allowed")
            if path == "/health":
                told = {"status": "closing" if self._closing.is_set() else "ok"}
            elif path == "/openapi.json":
                told = document()
            else:
                await self._answers.passed_on(key_of(headers), self._models[0])
                if is_anthropic:
                    told = models_of_anthropic(self._models, path, scope["query_string"], self._since)
                else:
                    told = models_of_openai(self._models, path, self._since)
            await respond(send, 200, told, [ident])
        except Refused as error:
            await _refuse(send, speech, error, None, ident, allowed)


def _closing() -> Refused:
    return Refused("the endpoint is closing", status=503, code="closing")


async def _refuse(
    send: Send,
    speech: Speech,
    error: Refused,
    stream: Stream | None,
    ident: tuple[bytes, bytes],
    allowed: str = "",
) -> None:
    """Tell a client why it gets no answer."""
    if stream is not None and stream.is_open:
        await stream.finish(speech.failed(error))
        return
    headers = [ident]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", f"{error.retry_after_s:.3g}".encode()))
    if error.status in _ANSWERED_ALIKE or error.code == "closing":
        headers.append((b"x-should-retry", b"false"))
    if error.status == 413:
        headers.append((b"connection", b"close"))
    if error.status == 405:
        headers.append((b"allow", allowed.encode()))
    with contextlib.suppress(OSError):
        await respond(send, error.status, speech.refused(error), headers)
