"""A rollout of verifiers that waits for its model: each request for a completion is answered by the next turn.

The suite's environments own the loop: they call a client, and go on with what it says. Here the client is ours. A
request stops the rollout until `answer` gives the completion; `begin` and `answer` return at the next request, or when
the rollout is over and scored. It runs as a task on a loop in another thread, and `end` cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

__all__ = ["Asked", "Over", "Rollout", "heed", "parts_of"]

_RAISED: ContextVar[list[BaseException]] = ContextVar("raised")  # by reward functions of the rollout
_OUTSIDE = ("aiohttp", "anthropic", "httpcore", "httpx", "httpx2", "openai", "prime_sandboxes", "requests", "urllib3")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a completion, in the OpenAI chat format."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Over:
    """A rollout that is over and scored."""

    reward: float
    metrics: Mapping[str, float]  # what each reward function gave
    error: BaseException | None  # that the suite wrote down
    timed_out: bool  # by the limit of the suite's environment


def parts_of(rubric: Any) -> Iterator[Any]:
    """Yield the rubrics that a rubric is made of: itself, or those of a group."""
    for part in getattr(rubric, "rubrics", ()):
        yield from parts_of(part)
    if not hasattr(rubric, "rubrics"):
        yield rubric


def heed(rubric: Any) -> None:
    """Have what reward functions raise be known: the suite takes it for a score of 0, whatever it was.

    That is right where the answer was at fault. A connection that failed is told as the rollout's error.
    """
    for part in parts_of(rubric):
        part.funcs[:] = [_heeded(func) for func in part.funcs]


class Rollout:
    """One rollout; its coroutines are awaited on one loop.

    Args:
        env: The environment of verifiers.
        row: Of its data set.
    """

    def __init__(self, env: Any, row: Mapping[str, Any]) -> None:
        self._env, self._row = env, dict(row)
        self._requests: asyncio.Queue[Asked] = asyncio.Queue()
        self._reply: asyncio.Future[dict[str, Any]] | None = None
        self._task: asyncio.Task[Over] | None = None

    async def begin(self) -> Asked | Over:
        """Start it; return its first request, or its end."""
        self._task = asyncio.get_running_loop().create_task(self._played())
        return await self._next()

    async def answer(self, message: Mapping[str, Any]) -> Asked | Over:
        """Give the assistant's message that was asked for; return the next request, or the end."""
        assert self._reply is not None, "nothing was asked"
        self._reply.set_result(dict(message))
        return await self._next()

    async def end(self) -> None:
        """Cancel it, and wait until it has cleaned up."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if self._task is not None:
            with contextlib.suppress(BaseException):
                await self._task

    async def _next(self) -> Asked | Over:
        assert self._task is not None
        asked = asyncio.ensure_future(self._requests.get())
        try:
            await asyncio.wait((asked, self._task), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else self._task.result()
        finally:
            asked.cancel()

    async def _played(self) -> Over:
        env = self._env
        raised: list[BaseException] = []
        _RAISED.set(raised)  # of this task and what it starts
        state = await env.rollout(self._row, _client(self._create), "policy", {})
        rubric = env.rubric
        takes = inspect.signature(rubric.score_rollout).parameters
        more = {"score_sem": asyncio.Semaphore(1)} if "score_sem" in takes else {}  # before verifiers 0.1.11
        if state.get("error") is None:
            await rubric.score_rollout(state, **more)
        if hasattr(rubric, "cleanup"):
            await rubric.cleanup(state)
        metrics = {name: float(value) for name, value in (state.get("metrics") or {}).items()}
        return Over(
            reward=float(state.get("reward") or 0.0),
            metrics=metrics,
            error=state.get("error") or next(filter(_is_outside, raised), None),
            timed_out=bool(state.get("timed_out")),
        )

    async def _create(self, *, messages: Any, tools: Any = None, **settings: Any) -> Any:
        """Stand for `client.chat.completions.create`."""
        from openai.types.chat import ChatCompletion

        self._reply = asyncio.get_running_loop().create_future()
        await self._requests.put(Asked(messages=[_plain(each) for each in messages], tools=list(tools or [])))
        message = await self._reply
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "finish_reason": finish, "message": message, "logprobs": None}
        told = {"id": "turn", "object": "chat.completion", "created": 0, "model": "policy", "choices": [choice]}
        return ChatCompletion.model_validate(told)


def _client(create: Any) -> Any:
    """Return what the installed verifiers takes for a client: an OpenAI one, or its own around that."""
    native = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    try:
        clients = importlib.import_module("verifiers.clients")
    except ImportError:  # before verifiers 0.1.11
        return native
    return clients.OpenAIChatCompletionsClient(native)


def _plain(message: Any) -> dict[str, Any]:
    return dict(message) if isinstance(message, Mapping) else dict(message.model_dump(exclude_none=True))


def _heeded(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)  # its signature says what it is given
    async def call(*args: Any, **arguments: Any) -> Any:
        try:
            value = func(*args, **arguments)
            return await value if inspect.isawaitable(value) else value
        except Exception as error:
            _RAISED.get([]).append(error)
            raise

    return call


def _is_outside(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _OUTSIDE
