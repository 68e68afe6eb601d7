"""Who takes part: servers are watched, left out when something is wrong, and taken in again once they are proved.

One event loop in a thread of its own runs turns, watching and updates, so that nothing here needs a lock. A server is
left out at once when it does not answer, refuses or breaks a connection; its turns under way are asked for elsewhere,
the same prompt with the same seed, so that each is one completion. It returns once it has answered what it is, holds
the current weights, and passes the proof that the parity gate left behind (`keep_proof`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.fleet.balance import least
from agentrl.trainer.engines.fleet.server import Lost, Server
from agentrl.trainer.engines.fleet.weights import Weights
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.types import Completion

__all__ = ["Fleet", "Prove", "Seat"]

Prove = Callable[[Server], Awaitable[None]]
"""Raises ParityError, or EngineError, where a server does not answer as it must."""

_LOSSES = 4  # of one turn, by each server on average, until it is given up
_STARTS = 4  # of one server that the run started
_START_S = 600.0
_LONGEST_PAUSE_S = 60.0
_LOOK_S = 0.1


class Seat:
    """Where an episode is: on one server, from its first turn until it is forgotten."""

    def __init__(self, pinned: Server | None = None) -> None:
        self.server: Server | None = None
        self.pinned = pinned
        """The only one it may be on, for a probe."""

    def leave(self) -> None:
        """The episode is over; the next may go elsewhere."""
        if self.server is not None:
            self.server.load.episodes -= 1
            self.server = None


class Fleet:
    """Servers, and what is known of each. Every coroutine and method belongs to the engine's loop.

    Args:
        servers: At least one.
        model: The trainer's.
        max_tokens: Of an episode.
        pause: What the servers do with turns under way at an update.
        timeout_s: That none may be up before turns fail.
        health_s: Between two looks at a server.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        model: PreTrainedModel,
        max_tokens: int,
        pause: str,
        timeout_s: float,
        health_s: float,
    ) -> None:
        self.servers = list(servers)
        self.reissued = self.lost = self.returned = self.restarted = 0
        """Since they were read last: turns asked for again, servers left out, taken in again, started again."""
        self._model, self._max_tokens, self._pause = model, max_tokens, pause
        self._timeout_s, self._health_s = timeout_s, health_s
        self._weights: Weights | None = None
        self._proof: tuple[int, Prove] | None = None  # of a version
        self._changed = asyncio.Condition()
        self._none_since = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    # -- begin and end -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Wait for those that were started, and ask all what they are.

        Raises:
            ConfigError: One is not there, or not as it must be.
            EngineError: One that was started has ended.
        """
        await asyncio.gather(*[self._wait_for_start(each) for each in self.servers if each.launched])
        for server in self.servers:
            try:
                await server.check(self._model, self._max_tokens)
            except Lost as error:
                raise ConfigError(
                    f"engine.urls: {error}; start it as agentrl.trainer.engines.vllm_servers says"
                ) from error

    async def begin(self, weights: Weights) -> None:
        """Give the first weights, to all or none, and watch from now on.

        Raises:
            EngineError: A server does not take them.
        """
        self._weights = weights
        await asyncio.gather(*[each.take(weights, self._pause) for each in self.servers])
        for server in self.servers:
            server.gone = asyncio.get_running_loop().create_future()
            self._up(server)
            self._spawn(self._watch(server))

    async def close(self) -> None:
        """Stop all that is under way; turns end with EngineError."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self.servers:
            await server.close()

    # -- turns ---------------------------------------------------------------------------------------------------

    async def turn(self, seat: Seat, request: Request) -> Completion:
        """Sample a turn, on another server where one is lost.

        Raises:
            EngineError: None is left, the request is wrong, or the turn is lost again and again.
        """
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            for _ in range(_LOSSES * len(self.servers)):
                server = await self._place(seat, request)
                try:
                    completion = await self._turn_on(server, request)
                except Lost as error:
                    self.lose(server, str(error))
                    seat.leave()
                    if seat.pinned is not None:
                        raise
                    self.reissued += 1
                    last = str(error)
                else:
                    if seat.pinned is None:
                        server.pause_s = 0.0
                    return completion
        except asyncio.CancelledError:
            if self._closed:
                raise EngineError("the engine is closed") from None
            raise
        finally:
            self._tasks.discard(task)
        raise EngineError(
            f"a turn of {len(request.prompt_ids)} prompt tokens was lost {_LOSSES * len(self.servers)} times, the last "
            f"time: {last}; a turn that is only long needs more engine.timeout_s"
        )

    async def _place(self, seat: Seat, request: Request) -> Server:
        """Return the server of a seat, a new one where it has none; wait while that takes over weights."""
        while True:
            if seat.server is not None and seat.server.state != "up":
                seat.leave()
            if seat.pinned is None and seat.server is None:
                up = await self._some_up()
                seat.server = up[least([each.load for each in up], request)]
                seat.server.load.episodes += 1
            server = seat.pinned or seat.server
            assert server is not None
            if seat.pinned is not None and server.state == "down":
                raise Lost(f"{server.url} is left out: {server.reason}")
            if server.ready.is_set():
                return server
            async with self._changed:
                await self._changed.wait_for(partial(_is_settled, server))

    async def _turn_on(self, server: Server, request: Request) -> Completion:
        tokens = server.load.begin(request)
        turn = asyncio.ensure_future(server.generate(request))
        gone = server.gone
        try:
            both: list[asyncio.Future[Any]] = [turn] if gone is None else [turn, gone]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                raise Lost(server.reason)
            return turn.result()
        finally:
            server.load.end(tokens)
            if not turn.done():
                turn.cancel()

    async def _some_up(self) -> list[Server]:
        """Return who takes part, once there is one.

        Raises:
            EngineError: There was none for `timeout_s`, or those that are left cannot come back.
        """
        while not (up := [each for each in self.servers if each.state == "up"]):
            left_s = self._none_since + self._timeout_s - time.monotonic()
            if left_s <= 0 or all(_is_spent(each) for each in self.servers):
                why = "; ".join(map(_why, self.servers))
                raise EngineError(f"no server has answered for engine.timeout_s={self._timeout_s:g}: {why}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, 1.0)), self._changed:
                    await self._changed.wait()
        return up

    # -- weights -------------------------------------------------------------------------------------------------

    async def update(self, weights: Weights) -> None:
        """Give the weights to all that take part; one that does not take them is left out.

        Raises:
            EngineError: None is left for `timeout_s`.
        """
        self._weights = weights
        await self._tell()

        async def give(server: Server) -> None:
            try:
                await server.take(weights, self._pause)
            except Lost as error:
                self.lose(server, str(error))
            await self._tell()

        # One that is about to return sees the new weights by itself.
        await asyncio.gather(*[give(each) for each in self.servers if each.state == "up"])
        await self.provable()

    async def provable(self) -> list[Server]:
        """Return those with the current weights, once there is one; one that is about to return may still have others.

        Raises:
            EngineError: There is none for `timeout_s`.
        """
        assert self._weights is not None
        while True:
            found = [each for each in self.servers if each.state != "down" and each.holds(self._weights)]
            if found:
                return found
            if all(each.state == "down" for each in self.servers) and (
                time.monotonic() > self._none_since + self._timeout_s or all(map(_is_spent, self.servers))
            ):
                await self._some_up()  # says why
            await asyncio.sleep(_LOOK_S)

    async def keep_proof(self, proof: Prove) -> None:
        """Keep what one that returns has to pass while it holds the current version."""
        assert self._weights is not None
        self._proof = self._weights.version, proof
        await self._tell()

    # -- who takes part ------------------------------------------------------------------------------------------

    def lose(self, server: Server, reason: str) -> None:
        """Leave a server out; its turns under way are asked for elsewhere."""
        if server.state == "down":
            return
        was_up = server.state == "up"
        self.lost += was_up
        server.state, server.reason = "down", reason
        if server.gone is not None and not server.gone.done():
            server.gone.set_result(None)
        if was_up and all(each.state != "up" for each in self.servers):
            self._none_since = time.monotonic()
        self._spawn(self._tell())

    def _up(self, server: Server) -> None:
        server.state, server.reason, server.trouble = "up", "", ""
        self._spawn(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _watch(self, server: Server) -> None:
        """Look at a server again and again, and take it in again where it was left out."""
        while True:
            try:
                if server.state == "down":
                    await self._wait_to_return(server)
                    await self._return(server)
                else:
                    await asyncio.sleep(self._health_s)
                    await self._look(server)
            except Exception as error:  # whatever it is, a server that nobody watches would be worse
                if server.state == "down":
                    server.trouble = str(error)
                self.lose(server, str(error))

    async def _look(self, server: Server) -> None:
        if server.state == "down":
            return
        await server.healthy()
        if server.ready.is_set():
            # A server at work may answer this late, and is no worse for it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._health_s):
                    await server.confirm(time.monotonic() - self._health_s / 2)

    async def _wait_to_return(self, server: Server) -> None:
        launched = server.launched
        if launched is None or launched.ended() is None:
            await asyncio.sleep(max(self._health_s, server.pause_s))
        if launched is None or launched.ended() is None:
            return
        if launched.num_starts >= _STARTS:
            server.trouble = f"it was started {launched.num_starts} times and has ended again; {launched.tail()}"
            await self._tell()
            await asyncio.Event().wait()  # for ever
        self.restarted += 1
        await asyncio.to_thread(launched.start)
        await self._wait_for_start(server)

    async def _wait_for_start(self, server: Server) -> None:
        launched = server.launched
        assert launched is not None
        stop = time.monotonic() + _START_S
        while True:
            if (code := launched.ended()) is not None:
                raise EngineError(f"{server.url} was started and ended with {code}; its log ends: {launched.tail()}")
            if time.monotonic() > stop:
                raise EngineError(f"{server.url} did not start within {_START_S:g} s; its log ends: {launched.tail()}")
            with contextlib.suppress(Lost):
                return await server.healthy()
            await asyncio.sleep(_LOOK_S)

    async def _return(self, server: Server) -> None:
        """Give it the current weights, prove it, and let it take part."""
        await server.check(self._model, self._max_tokens)
        server.pause_s = min(max(self._health_s, 2 * server.pause_s), _LONGEST_PAUSE_S)
        while True:
            weights = self._weights
            assert weights is not None
            await server.take(weights, "abort")  # nobody waits for what it may be at
            if weights is not self._weights:
                continue
            server.state, server.gone = "loaded", asyncio.get_running_loop().create_future()
            await self._tell()
            if self._proof is not None:
                async with self._changed:
                    while weights is self._weights and not self._proof_of(weights):
                        await self._changed.wait()
                proof = self._proof_of(weights)
                if proof is None:
                    continue
                await proof(server)
            if weights is self._weights:
                break
        self.returned += 1
        self._up(server)

    def _proof_of(self, weights: Weights) -> Prove | None:
        return self._proof[1] if self._proof is not None and self._proof[0] == weights.version else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_settled(server: Server) -> bool:
    """Return whether turns may begin, or will not."""
    return server.ready.is_set() or server.state == "down"


def _why(server: Server) -> str:
    return f"{server.reason}, then {server.trouble}" if server.trouble else server.reason


def _is_spent(server: Server) -> bool:
    """Return whether it cannot come back."""
    return server.launched is not None and server.launched.ended() is not None and server.launched.num_starts >= _STARTS
