"""An engine whose model is run by one thread of its own: sessions hand in a turn and wait for it.

Rows stand for sessions. Which waiting rows join the batch, and when, is decided by `schedule`:
    "exact"  where tokens alone decide it: once a quarter of the rows wait for their environments, wait for all of those
             and admit them in order. The same weights and seeds then give the same tokens, bit by bit on a CPU.
    "eager"  as soon as they are ready: faster with slow environments, but sums are rounded in another order each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import abstractmethod
from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from agentrl.trainer.engines.base import Engine, Request, Schedule, Session
from agentrl.trainer.errors import EngineError
from agentrl.trainer.types import Completion

__all__ = ["Row", "ThreadedEngine"]

_ADMIT_SHARE: Final = 0.25  # of the rows: fewer waiting ones do not interrupt decoding


@dataclass(kw_only=True, eq=False)
class Row:
    """A session's place in an engine."""

    slot: int
    request: Request | None = None  # None: its environment is at work
    future: asyncio.Future[Completion] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


R = TypeVar("R", bound=Row)


class ThreadedEngine(Engine, Generic[R]):
    """What engines with a thread have in common; a subclass sets up its model, then calls `_start`.

    Args:
        schedule: "exact" or "eager", see the module.
        name: Of the thread.
    """

    _active: Sized  # rows in the batch

    def __init__(self, *, schedule: Schedule, name: str) -> None:
        self._schedule = schedule
        self._wake = threading.Condition()
        self._rows: dict[int, R] = {}  # open sessions by slot
        self._members = 0  # rows in the batch after the last admission
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def session(self) -> Session:
        with self._wake:
            self._check()
            slot = next(index for index in range(len(self._rows) + 1) if index not in self._rows)
            row = self._rows[slot] = self._row(slot)
            return _RowSession(self, row)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=60)

    # -- what a subclass says ------------------------------------------------------------------------------------

    @abstractmethod
    def _row(self, slot: int) -> R:
        """Make the row of a session."""

    @abstractmethod
    def _begin(self, row: R, request: Request) -> None:
        """Prepare a row for a turn.

        Raises:
            EngineError: There is nothing to sample, or no room for it.
        """

    @abstractmethod
    def _turn(self) -> bool:
        """Do one piece of work, or wait for some; False when closed."""

    def _forget(self, row: R) -> None:
        """Drop what is kept of an episode between its turns."""

    def _why(self) -> str:
        """Say why nothing goes on."""
        return "the engine is closed" if self._error is None else f"the engine stopped: {self._error!r}"

    async def _outcome(self, row: R, future: asyncio.Future[Completion]) -> Completion:
        """Wait for a turn."""
        return await future

    # -- called by sessions --------------------------------------------------------------------------------------

    def _submit(self, row: R, request: Request) -> asyncio.Future[Completion]:
        loop = asyncio.get_running_loop()
        with self._wake:
            self._check()
            if self._rows.get(row.slot) is not row or row.request is not None:
                raise EngineError("the session is closed, or still samples a turn: await that one first")
            self._begin(row, request)
            row.request, row.future, row.loop = request, loop.create_future(), loop
            row.tokens, row.logprobs = [], []
            self._wake.notify_all()
            return row.future

    def _leave(self, row: R) -> None:
        with self._wake:
            if self._rows.get(row.slot) is row:
                del self._rows[row.slot]
            self._wake.notify_all()

    def _replace(self, row: R) -> R:
        with self._wake:
            fresh = self._row(row.slot)
            if self._rows.get(row.slot) is row:
                self._rows[row.slot] = fresh
            self._wake.notify_all()
            return fresh

    def _check(self) -> None:
        if self._error is not None or self._closed:
            raise EngineError(self._why()) from self._error

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # whatever it is, every waiting episode must hear of it
            self._error = error
        self._fail_all(EngineError(self._why()))

    def _may_go_on(self) -> bool:
        if self._schedule == "eager":
            return any(row.request for row in self._rows.values())
        if len(self._active) and not self._want_admission():
            return True
        return bool(self._rows) and all(row.request for row in self._rows.values())

    def _want_admission(self) -> bool:
        # Counted from the last admission, when every row was settled: a session that closes in between changes nothing.
        return self._members - len(self._active) >= max(1, round(_ADMIT_SHARE * self._members))

    def _may_admit(self) -> bool:
        return not len(self._active) or self._schedule == "eager" or self._want_admission()

    def _in_order(self, rows: Iterable[R]) -> list[R]:
        return sorted(rows, key=lambda row: (row.request.order if row.request else (), row.slot))

    def _resolve(self, done: Iterable[tuple[R, Completion]]) -> None:
        with self._wake:
            told = [(row.loop, row.future, completion) for row, completion in done]
            for row, _ in done:
                row.request = None
        for loop, future, completion in told:
            _tell(loop, future, completion)

    def _fail_all(self, error: EngineError) -> None:
        with self._wake:
            self._fail([row for row in self._rows.values() if row.request], error)

    def _fail(self, rows: Iterable[R], error: EngineError) -> None:
        for row in rows:
            row.request = None
            _tell(row.loop, row.future, error)


class _RowSession(Session, Generic[R]):
    def __init__(self, engine: ThreadedEngine[R], row: R) -> None:
        self._engine, self._row = engine, row

    async def generate(self, request: Request) -> Completion:
        future = self._engine._submit(self._row, request)
        try:
            return await self._engine._outcome(self._row, future)
        except (asyncio.CancelledError, EngineError):
            # The engine may be at work on this row: leave that one to it and go on with another.
            self._row = self._engine._replace(self._row)
            raise

    def forget(self) -> None:
        self._engine._forget(self._row)

    def close(self) -> None:
        self._engine._leave(self._row)


def _tell(
    loop: asyncio.AbstractEventLoop | None, future: asyncio.Future[Completion] | None, said: Completion | EngineError
) -> None:
    def settle() -> None:
        if future is None or future.done():
            return
        if isinstance(said, EngineError):
            future.set_exception(said)
        else:
            future.set_result(said)

    if loop is not None:
        with contextlib.suppress(RuntimeError):  # the caller's event loop is gone
            loop.call_soon_threadsafe(settle)
