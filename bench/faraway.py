"""Places to play in worker processes on other hosts, for `--env-workers ray:N`.

A `Place` lives in a worker, with its environment and, where the environment's own player plays, with that; what passes
between are actions and events. A deadline that is missed is told here, whatever the worker does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from agentrl.bench.attempt import Place
from agentrl.bench.errors import BenchError, UsageError
from agentrl.envs.protocol import Failure
from agentrl.envs.runner import Event

if TYPE_CHECKING:
    from agentrl.bench.run import Settings
    from agentrl.trainer.desk import Desk, Desks

__all__ = ["FarPlace", "check_workers", "places_of"]


def check_workers(env_workers: str | None, ray: Mapping[str, Any]) -> None:
    """Refuse workers that cannot be asked for.

    Raises:
        UsageError: `env_workers` is not `ray:N`, or `ray` holds what is no setting of it.
    """
    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.workers.config import RayConfig

    try:
        RayConfig(**ray).check(env_workers)
    except (ConfigError, TypeError) as error:
        raise UsageError(f"env_workers={env_workers!r}, ray={dict(ray)!r}: {error}") from error


@contextmanager
def places_of(settings: Settings) -> Iterator[Callable[[str], Place | FarPlace]]:
    """Yield what opens a place to play an environment, here or in a worker.

    Raises:
        BenchError: The workers cannot be had.
    """
    if settings.env_workers is None:
        yield lambda env_id: Place(env_id, settings.env_kwargs, settings.workers, settings.deadline_s)
        return
    from agentrl.trainer.errors import TrainerError
    from agentrl.trainer.workers import RayConfig, RayWorkers, num_workers_of

    try:
        workers = RayWorkers(num_workers_of(settings.env_workers), RayConfig(**settings.ray))
    except TrainerError as error:
        raise BenchError(str(error)) from error
    with workers:
        made = partial(Place, kwargs=dict(settings.env_kwargs), workers="threads", deadline_s=settings.deadline_s)
        desks = workers.desks(made)
        try:
            yield lambda env_id: FarPlace(env_id, settings.deadline_s, desks)
        finally:
            desks.close()


class FarPlace:
    """A place in a worker, as `Place` is one here.

    Args:
        env_id: Of Gymnasium.
        deadline_s: Seconds that one reset or step may take.
        desks: Lends places in workers.
    """

    is_watched = True

    def __init__(self, env_id: str, deadline_s: float, desks: Desks) -> None:
        self.env_id, self.deadline_s = env_id, deadline_s
        self._desks = desks
        self._desk: Desk | None = None

    def reset(self, seed: int, options: dict[str, Any], player: str) -> Event:
        """Begin an episode; see `Place.reset`.

        Raises:
            BenchError: All workers are lost, or the environment cannot be made in one.
        """
        return self._ask("reset", None, partial(Place.reset, seed=seed, options=options, player=player))

    def step(self, action: str | None) -> Event:
        """Take a step; see `Place.step`.

        Raises:
            BenchError: All workers are lost.
        """
        return self._ask("step", action, partial(Place.step, action=action))

    def close(self) -> None:
        """Close the environment; calling it again does nothing."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.abandon()

    def _ask(self, kind: Literal["reset", "step"], action: str | None, job: Callable[[Place], Event]) -> Event:
        from agentrl.trainer.desk import EnvFailure
        from agentrl.trainer.errors import TrainerError

        ended: Future[Event] = Future()

        def done(event: Any, error: Exception | None) -> None:
            if error is not None:
                ended.set_exception(error)
            else:
                ended.set_result(event)

        try:
            if self._desk is None:
                self._desk = self._desks.lend(self.env_id)
            self._desk.submit(job, kind, done)
            return ended.result(self.deadline_s)
        except TimeoutError:
            message = f"a {kind} did not end within {self.deadline_s:g} s"
            failure: Failure = {"kind": "timeout", "boundary": "environment", "message": message}
        except EnvFailure as error:
            failure = {"kind": error.kind, "boundary": error.boundary, "message": str(error)}
        except TrainerError as error:
            raise BenchError(str(error)) from error
        self.close()
        return Event(
            slot=0,
            kind=kind,
            observation=None,
            reward=0.0,
            terminated=False,
            truncated=True,
            info={"failure": failure},
            action=action,
        )
