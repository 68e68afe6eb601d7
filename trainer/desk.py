"""Environments in threads of their own, kept between episodes: reset, not made anew.

A thread that hangs is left behind, and cannot hold up the exit. Whatever an environment does wrong becomes an
`EnvFailure`; a task is then played again with another one. Desks whose environments live in processes on other hosts
are in `agentrl.trainer.workers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium

from agentrl.trainer.answers import AnswerError
from agentrl.trainer.errors import ConfigError

__all__ = ["Allowance", "Desk", "Desks", "Done", "EnvFailure", "ThreadDesk"]

T = TypeVar("T")
Job = Callable[[Any], T]
Done = Callable[[Any, Exception | None], None]
"""Told what a job returned, or what it raised; from any thread."""
_CLOSE_S = 5.0


class Desks:
    """Lends desks by environment id; several threads may ask.

    Args:
        make: Makes the environment of an id.
    """

    def __init__(self, make: Callable[[str], gymnasium.Env[Any, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[Desk]] = defaultdict(list)
        self._round = 0

    def lend(self, env_id: str) -> Desk:
        """Return one that is free, or a new one."""
        with self._lock:
            idle = self._idle[env_id]
            while idle:
                if (desk := idle.pop()).is_usable:
                    return desk
                desk.abandon()
            return self.fresh(env_id)

    def fresh(self, env_id: str) -> Desk:
        """Return a new one; the environment is made with its first job."""
        return ThreadDesk(lambda: self._make(env_id), round=self._round)

    def take_back(self, env_id: str, desk: Desk) -> None:
        """Keep a desk for the next who asks, unless `renew` was called since it was made, or it is of no use."""
        with self._lock:
            if desk.round == self._round and desk.is_usable:
                self._idle[env_id].append(desk)
                return
        desk.abandon()

    def renew(self) -> list[Desk]:
        """Have all environments closed and made anew: idle ones now, the others when they come back.

        Returns:
            Those that close now.
        """
        with self._lock:
            self._round += 1
            idle, self._idle = self._idle, defaultdict(list)
        desks = [desk for each in idle.values() for desk in each]
        for desk in desks:
            desk.abandon()
        return desks

    def close(self) -> None:
        """Close the environments, waiting at most five seconds; may be called twice."""
        deadline = time.monotonic() + _CLOSE_S
        for desk in self.renew():
            desk.join(deadline - time.monotonic())


class EnvFailure(Exception):
    """Infrastructure failed during an episode."""

    def __init__(self, kind: str, boundary: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.boundary = kind, boundary

    def as_dict(self) -> dict[str, str]:
        """Return what `Episode.failure` holds."""
        return {"kind": self.kind, "boundary": self.boundary, "message": str(self)}


@dataclass(kw_only=True)
class Allowance:
    """Time that the environment of one episode may take, over all attempts."""

    turn_s: float
    episode_s: float
    spent_s: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds that are left of the episode's."""
        return self.episode_s - self.spent_s


class Desk(ABC):
    """One environment, wherever it lives; one job at a time."""

    round: int
    """That of the desks when it was made."""
    is_usable: bool = True
    """Whether it can be lent again."""

    async def call(self, job: Job[T], allowance: Allowance, what: str) -> T:
        """Run a job on the environment.

        Raises:
            EnvFailure: It raised, answered outside the protocol, or took longer than it may.
            TrainerError: The environment cannot be made, or there is nowhere to make it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, result, error)

        began = time.monotonic()
        self.submit(job, what, done)
        try:
            return await asyncio.wait_for(future, max(0.0, min(allowance.turn_s, allowance.left_s)))
        except TimeoutError:
            if allowance.turn_s < allowance.left_s:
                message, boundary = f"{what} took longer than {allowance.turn_s} s", "environment"
            else:
                message, boundary = f"the environment took more than {allowance.episode_s} s in all", "episode"
            raise EnvFailure("timeout", boundary, message) from None
        finally:
            allowance.spent_s += time.monotonic() - began

    @abstractmethod
    def submit(self, job: Job[Any], what: str, done: Done) -> None:
        """Have a job run, and `done` told of its end, once at most; `what` names it in a failure."""

    @abstractmethod
    def abandon(self) -> None:
        """Leave the environment to close itself once the job it is at has ended."""

    @abstractmethod
    def join(self, timeout_s: float) -> None:
        """Wait for the environment to be closed after `abandon`."""


class ThreadDesk(Desk):
    """One environment in a thread of its own; a thread that hangs is left behind, and cannot hold up the exit.

    Args:
        make: Makes it, with the first job.
        round: That of the desks.
        ended: Called from the thread when the environment is closed.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env[Any, Any]], *, round: int, ended: Callable[[], None] | None = None
    ) -> None:
        self._make, self.round, self._ended = make, round, ended
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._env: gymnasium.Env[Any, Any] | None = None
        self._thread = threading.Thread(target=self._run, name="agentrl-env", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any], what: str, done: Done) -> None:
        """Have a job run after those before it."""

        def run() -> None:
            result: Any = None
            error: Exception | None = None
            try:
                if self._env is None:
                    self._env = self._make()
                result = job(self._env)
            except ConfigError as raised:
                error = raised
            except BaseException as raised:  # a tool may even call sys.exit; it must not end this thread
                error = _blame(raised, what)
            done(result, error)

        self._jobs.put(run)

    def abandon(self) -> None:
        """Leave the environment to close itself when its thread comes back."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end after `abandon`."""
        self._thread.join(timeout=max(0.0, timeout_s))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        if self._env is not None:
            with contextlib.suppress(Exception):  # it failed before, or nobody needs it any more
                self._env.close()
        if self._ended is not None:
            self._ended()


def _blame(error: BaseException, what: str) -> EnvFailure:
    if isinstance(error, AnswerError):
        return EnvFailure("protocol", "environment", str(error))
    # Errors of an environment may say what failed, as AgentRL's InfrastructureError does.
    kind, boundary = getattr(error, "kind", None), getattr(error, "boundary", None)
    if not isinstance(kind, str) or not isinstance(boundary, str):
        kind, boundary = "exception", "environment"
    return EnvFailure(kind, boundary, f"{what} raised {type(error).__name__}: {error}")


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
