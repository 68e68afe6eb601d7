"""Desks whose environments live in worker processes; lent, failed and abandoned as those in threads are."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentrl.trainer.desk import Desk, Desks, Done
from agentrl.trainer.workers.wire import Recipe, pack

if TYPE_CHECKING:
    from agentrl.trainer.workers.pool import RayWorkers

__all__ = ["Call", "RayDesk", "RayDesks", "Worker"]


@dataclass(eq=False, kw_only=True)
class Worker:
    """One process, as the trainer sees it from its start to its end."""

    handle: Any  # of the actor
    where: str = "a host that has not answered"  # host and process
    is_ready: bool = False  # it may be given environments
    is_retired: bool = False  # it is to end once nobody needs it
    is_lost: bool = False
    is_heard: bool = False  # a call waits for what ends there: requests need one of their own
    outbox: list[tuple[Any, ...]] = field(default_factory=list)  # requests that are to go together
    desks: dict[int, RayDesk] = field(default_factory=dict)  # that are not closed, by place
    stuck: set[int] = field(default_factory=set)  # those of them that were abandoned at work
    calls: dict[int, Call] = field(default_factory=dict)  # under way

    def take(self) -> bytes:
        """Return what is in the outbox as it travels, for the call that waits."""
        self.is_heard = True
        batch, self.outbox = self.outbox, []
        return pickle.dumps(batch) if batch else b""

    @property
    def num_used(self) -> int:
        """Environments that somebody has."""
        return len(self.desks) - len(self.stuck)


@dataclass(eq=False, kw_only=True)
class Call:
    """A job on its way."""

    desk: RayDesk
    job: bytes
    what: str
    done: Done


class RayDesk(Desk):
    """One environment in a worker, which is chosen with the first job.

    Args:
        workers: Where it may live.
        recipe: How it is made, packed.
        round: That of the desks.
    """

    def __init__(self, workers: RayWorkers, recipe: bytes, *, round: int) -> None:
        self._workers, self.recipe, self.round = workers, recipe, round
        self.closed = threading.Event()
        # Of the workers' thread:
        self.worker: Worker | None = None
        self.place = -1
        self.num_calls = 0

    def submit(self, job: Callable[[Any], Any], what: str, done: Done) -> None:
        """Send a job; a worker that is lost before it ends is a failure of the kind "lost"."""
        self._workers.post(Call(desk=self, job=pack(job, what), what=what, done=done))

    def abandon(self) -> None:
        """Have the environment closed once its job has ended."""
        self._workers.post(self)

    def join(self, timeout_s: float) -> None:
        """Wait until the worker says that it is closed, or is lost."""
        self.closed.wait(max(0.0, timeout_s))


class RayDesks(Desks):
    """Lends desks in workers.

    Args:
        workers: Where the environments live.
        make: Makes the environment of an id, there.
    """

    def __init__(self, workers: RayWorkers, make: Callable[[str], Any]) -> None:
        super().__init__(make)
        self._workers = workers
        self._recipes: dict[str, bytes] = {}

    def fresh(self, env_id: str) -> Desk:
        """Return a new one.

        Raises:
            ConfigError: The environment's registration or arguments cannot be sent.
        """
        if env_id not in self._recipes:
            self._recipes[env_id] = pack(Recipe.of(env_id, self._make), f"env={env_id!r}")
        return RayDesk(self._workers, self._recipes[env_id], round=self._round)
