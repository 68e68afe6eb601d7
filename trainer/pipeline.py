"""Asynchronous rollouts: later steps are played while an earlier one is trained on.

A step's groups are the same as in a synchronous run; what changes is when they are played. Step s may begin once the
weights are `ahead` updates older than those a synchronous run would have sampled from, so that no token it trains on
was sampled further back: the bound holds by construction. One pool of workers plays all steps, earlier ones first, so
that a straggler of one step costs no one else a seat.

What is finished is kept with its step. A checkpoint holds the steps under way and their finished episodes; after a
resume these are not played again, and the others are, with the same seeds: none is lost, none is there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from agentrl.trainer.engines.base import Engine, Session
from agentrl.trainer.errors import EngineError
from agentrl.trainer.groups import Draw, Played, play_step
from agentrl.trainer.rollout import Rollouts, Task
from agentrl.trainer.types import Episode

__all__ = ["Pipeline", "Upcoming"]

_CLOSE_S = 30.0
_EVALUATION = 0  # comes before every step


@dataclass(kw_only=True, eq=False)
class Upcoming:
    """A step to be played: what its draw depends on beside the run's seed, and what is finished of it."""

    step: int
    level: int | None  # of the curriculum; None: the environment's default
    replayed: list[Task] = field(default_factory=list)  # solved tasks that are played again
    finished: dict[tuple[int, int], Episode] = field(default_factory=dict)  # by group and member

    def state(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return {
            "step": self.step,
            "level": self.level,
            "replayed": [vars(task) for task in self.replayed],
            "finished": [vars(episode) for episode in list(self.finished.values())],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Return what `state` was made of."""
        episodes = [Episode(**values) for values in state["finished"]]
        return cls(
            step=state["step"],
            level=state["level"],
            replayed=[Task(**values) for values in state["replayed"]],
            finished={(episode.group, episode.member): episode for episode in episodes},
        )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """An episode to be played, and who waits for it."""

    task: Task
    of: Upcoming | None  # None: held-out
    done: Future[Episode] = field(default_factory=Future)


class Pipeline:
    """Plays steps in the background. `start` begins one, `take` waits for it.

    Args:
        rollouts: Plays single episodes.
        engine: Samples while weights are updated.
        draw: Draws the tasks.
        max_rounds: Further rounds of a step at most, where groups are flat.
        num_workers: Episodes at once.
    """

    def __init__(self, rollouts: Rollouts, engine: Engine, *, draw: Draw, max_rounds: int, num_workers: int) -> None:
        self._rollouts, self._draw, self._max_rounds = rollouts, draw, max_rounds
        self.steps: dict[int, tuple[Upcoming, Future[Played]]] = {}
        """Begun and not yet taken."""
        self._numbers = itertools.count()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        # By step, then in the order of asking.
        self._queue: asyncio.PriorityQueue[tuple[int, int, _Job]] = asyncio.PriorityQueue()
        sessions = [engine.session() for _ in range(num_workers)]
        self._workers = [self._loop.create_task(self._work(session)) for session in sessions]
        self._thread = threading.Thread(target=self._run, name="agentrl-pipeline", daemon=True)
        self._thread.start()

    def start(self, upcoming: Upcoming) -> None:
        """Begin to play a step."""
        played: Future[Played] = Future()
        self.steps[upcoming.step] = upcoming, played
        # A step thinks in a thread of its own: it draws further rounds from what came out of the first.
        threading.Thread(target=self._step, args=(upcoming, played), name="agentrl-step", daemon=True).start()

    def take(self, step: int) -> tuple[Upcoming, Played]:
        """Wait until a step was played; it is then gone from here.

        Raises:
            EngineError: The engine failed.
            ConfigError: The environment cannot be made, or is not a text environment.
        """
        upcoming, played = self.steps[step]
        result = played.result()
        del self.steps[step]
        return upcoming, result

    def play(self, tasks: Sequence[Task]) -> list[Episode]:
        """Play tasks before everything else that waits, such as held-out ones."""
        return self._results([_Job(task=task, of=None) for task in tasks], _EVALUATION)

    def state(self) -> list[dict[str, Any]]:
        """Return the steps under way and what is finished of them, as plain data."""
        return [upcoming.state() for _, (upcoming, _) in sorted(self.steps.items())]

    def close(self) -> None:
        """Leave what is under way; may be called twice."""
        self._closed = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout=_CLOSE_S)

    # -- in the threads of steps ---------------------------------------------------------------------------------

    def _step(self, upcoming: Upcoming, played: Future[Played]) -> None:
        try:
            result = play_step(
                partial(self._play_of, upcoming),
                self._draw,
                upcoming.step,
                level=upcoming.level,
                max_rounds=self._max_rounds,
                replayed=upcoming.replayed,
            )
        except BaseException as error:  # whoever takes the step must hear of it
            played.set_exception(error)
        else:
            played.set_result(result)

    def _play_of(self, upcoming: Upcoming, tasks: Sequence[Task]) -> list[Episode]:
        """Play what is not finished."""
        finished = upcoming.finished
        jobs = [_Job(task=task, of=upcoming) for task in tasks if not _is_of(finished.get(_place(task)), task)]
        self._results(jobs, upcoming.step)
        return self._rollouts.score_groups([finished[_place(task)] for task in tasks])

    def _results(self, jobs: Sequence[_Job], priority: int) -> list[Episode]:
        entries = [(priority, next(self._numbers), job) for job in jobs]
        try:
            self._loop.call_soon_threadsafe(self._enqueue, entries)
        except RuntimeError:  # the loop has ended
            raise _closed() from None
        return [job.done.result() for job in jobs]

    # -- in the loop's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.gather(*self._workers, return_exceptions=True))
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()[2].done.set_exception(_closed())
        self._loop.close()

    async def _work(self, session: Session) -> None:
        try:
            while not self._closed:
                _, _, job = await self._queue.get()
                try:
                    episode = await self._rollouts.play_one(job.task, session)
                except asyncio.CancelledError:
                    job.done.set_exception(_closed())
                    raise
                except Exception as error:
                    job.done.set_exception(error)
                else:
                    if job.of is not None:  # before anybody who waits for it goes on
                        job.of.finished[episode.group, episode.member] = episode
                    job.done.set_result(episode)
        finally:
            session.close()

    def _enqueue(self, entries: Sequence[tuple[int, int, _Job]]) -> None:
        for entry in entries:
            if self._closed:
                entry[2].done.set_exception(_closed())
            else:
                self._queue.put_nowait(entry)

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()


def _place(task: Task) -> tuple[int, int]:
    return task.group, task.member


def _is_of(episode: Episode | None, task: Task) -> bool:
    """Return whether an episode is of a task: a configuration that was changed by hand draws others."""
    return (
        episode is not None
        and (episode.seed, episode.split) == (task.seed, task.split)
        and task.env_id in (None, episode.env_id)
        and task.level in (None, episode.level)
    )


def _closed() -> EngineError:
    return EngineError("the rollouts are closed")
