"""Where calls of programs meet the environments that answer them: one endpoint, a key for each episode.

A call waits, in the endpoint's event loop, until the environment's thread answers or refuses it, or the program gives
up. What is answered while nobody listens any more is kept: clients ask again after a broken connection, and the same
question then gets the same answer and no second turn.
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agentrl.envs.errors import UsageError
from agentrl.envs.program.calls import Call, Refused, Said
from agentrl.envs.program.launch.program import IMPORT_KEY

__all__ = ["Exchange", "Mailbox", "Pending", "Upstream"]

T = TypeVar("T")
_EXAMPLE = "{'gpt-*': {'base_url': 'https://api.openai.com/v1', 'key_env': 'OPENAI_API_KEY'}}"
_KEPT = 16  # answers that nobody took, an episode
_MOST_WAITING = 256  # calls of one episode at once


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A real endpoint that answers for some models."""

    base_url: str
    key: str

    @classmethod
    def read(cls, model: str, told: Mapping[str, str]) -> Upstream:
        """Return the endpoint of a model, as an environment's `passthrough` names it.

        Args:
            model: Its name, or the beginning of its name and "*".
            told: `base_url`, and `key_env`: the variable of the environment that holds the key, where one is needed.

        Raises:
            UsageError: It is no endpoint.
        """
        if not isinstance(told, Mapping) or not set(told) <= {"base_url", "key_env"} or "base_url" not in told:
            raise UsageError(f"passthrough[{model!r}] is {told!r:.80}; write {_EXAMPLE}")
        if not str(told["base_url"]).startswith(("http://", "https://")):
            raise UsageError(f"passthrough[{model!r}]: {told['base_url']!r} is no address; write {_EXAMPLE}")
        variable = str(told.get("key_env", ""))
        if variable and variable not in os.environ:
            raise UsageError(f"passthrough[{model!r}]: {variable} is not set; export it, or leave key_env out")
        return cls(base_url=str(told["base_url"]), key=os.environ.get(variable, "") if variable else "")

    @classmethod
    def read_all(cls, passthrough: Mapping[str, Mapping[str, str]]) -> dict[str, Upstream]:
        """Return the endpoints of all models that are passed on.

        Raises:
            UsageError: It is no mapping of endpoints.
        """
        if not isinstance(passthrough, Mapping):
            raise UsageError(f"passthrough is {passthrough!r:.80}; write {_EXAMPLE}")
        return {str(model): cls.read(str(model), told) for model, told in passthrough.items()}


class Pending:
    """A call that waits for its answer; answered from any thread, once."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Sequence[Said]] = self._loop.create_future()
        self.is_left = False  # the program does not wait any more

    async def answer(self) -> Sequence[Said]:
        """Wait for the answer.

        Raises:
            Refused: It is refused.
        """
        try:
            return await self._future
        except asyncio.CancelledError:
            self.is_left = True
            raise

    def give(self, answer: Sequence[Said] | Refused) -> None:
        """Answer the call, or refuse it."""
        try:
            self._loop.call_soon_threadsafe(self._settle, answer)
        except RuntimeError:  # the endpoint has ended
            self.is_left = True

    def _settle(self, answer: Sequence[Said] | Refused) -> None:
        if self._future.done():
            return
        if isinstance(answer, Refused):
            self._future.set_exception(answer)
        else:
            self._future.set_result(answer)


class Mailbox:
    """What comes to one episode: calls of its program, and what its launcher tells (`post`).

    Args:
        key: That the program shows.
        upstreams: Real endpoints, by the names of models that they answer for; "*" at the end stands for any rest.
    """

    def __init__(self, key: str, upstreams: dict[str, Upstream]) -> None:
        self.key = key
        self.upstreams = upstreams
        self.num_abroad = 0  # calls that real endpoints answer now
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: set[Pending] = set()
        self._kept: OrderedDict[int, Sequence[Said]] = OrderedDict()
        self._closed: Refused | None = None

    def post(self, event: object) -> None:
        """Tell the episode something; from any thread."""
        self._events.put(event)

    def take(self, timeout_s: float) -> object | None:
        """Return the next event, None when there is none for so long."""
        try:
            return self._events.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    async def ask(self, call: Call) -> Sequence[Said]:
        """Wait for the answer to a call; in the endpoint's loop.

        Raises:
            Refused: The episode is over, or will not answer.
        """
        with self._lock:
            if self._closed is not None:
                raise self._closed
            if len(self._waiting) >= _MOST_WAITING:
                raise Refused(
                    f"{_MOST_WAITING} calls of this episode wait already", status=429, code="rate_limit_exceeded"
                )
            pending = Pending(call)
            self._waiting.add(pending)
        self.post(pending)
        try:
            return await pending.answer()
        finally:
            with self._lock:
                self._waiting.discard(pending)

    def keep(self, call: Call, answer: Sequence[Said]) -> None:
        """Keep an answer that nobody took for whoever asks the same again."""
        with self._lock:
            self._kept[_question(call)] = answer
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def kept(self, call: Call) -> Sequence[Said] | None:
        """Return an answer to this question that nobody took, once; None where there is none."""
        with self._lock:
            return self._kept.pop(_question(call), None) if self._kept else None

    def close(self, refusal: Refused) -> None:
        """Refuse all calls that wait, and all that come."""
        with self._lock:
            self._closed = refusal
            waiting, self._waiting = self._waiting, set()
        for pending in waiting:
            pending.give(refusal)

    def upstream(self, model: str) -> Upstream | None:
        """Return the real endpoint of a model; None: the policy answers."""
        for name, upstream in self.upstreams.items():
            if name == model or (name.endswith("*") and model.startswith(name[:-1])):
                return upstream
        return None


def _question(call: Call) -> int:
    return hash(repr(replace(call, settings={})))


class Exchange:
    """All episodes of this process, by their keys; what the endpoint asks (`calls.Answers`)."""

    def __init__(self) -> None:
        self._boxes: dict[str, Mailbox] = {}

    def open(self, upstreams: dict[str, Upstream]) -> Mailbox:
        """Return a mailbox with a key of its own."""
        box = Mailbox(f"agentrl-{secrets.token_urlsafe(24)}", upstreams)
        self._boxes[box.key] = box
        return box

    def close(self, box: Mailbox, why: str) -> None:
        """Forget a key; calls that wait or come are refused."""
        self._boxes.pop(box.key, None)
        box.close(Refused(why, status=409, code="episode_over"))

    async def answer(self, key: str, call: Call) -> Sequence[Said]:
        """Answer a call; see `calls.Answers`."""
        return await self._box(key).ask(call)

    async def passed_on(self, key: str, model: str) -> tuple[str, str] | None:
        """Return where a call is passed on to; see `calls.Answers`."""
        box = self._box(key)
        upstream = box.upstream(model)
        if upstream is None:
            return None
        box.num_abroad += 1
        return upstream.base_url, upstream.key

    def came_back(self, key: str) -> None:
        """Note that a call that was passed on has ended; see `calls.Answers`."""
        if (box := self._boxes.get(key)) is not None:
            box.num_abroad -= 1

    def _box(self, key: str) -> Mailbox:
        box = self._boxes.get(key)
        if box is None:
            if key == IMPORT_KEY:
                raise Refused(
                    "this client was made when the program was imported, before there was an episode; make it in the "
                    "function, from the base_url and api_key that it is given",
                    status=401,
                    code="invalid_api_key",
                )
            what = "this is the key of no episode that goes on" if key else "there is no key"
            raise Refused(
                f"{what}; use the OPENAI_API_KEY (or api_key) that the program is given",
                status=401,
                code="invalid_api_key",
            )
        return box
