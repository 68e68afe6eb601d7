"""A player of tasks that pays what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentrl.trainer.rollout import Task
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

FAILED = {"kind": "died", "boundary": "sandbox", "message": "gone"}


def player(pay: Callable[[Task], float | None]) -> tuple[Callable[[Sequence[Task]], list[Episode]], list[list[Task]]]:
    """Return what plays tasks for the reward told, None meaning a failure, and the list of its calls; 1 is success."""
    calls: list[list[Task]] = []

    def play(tasks: Sequence[Task]) -> list[Episode]:
        calls.append(list(tasks))
        return [
            blank_episode(
                env_id=task.env_id or "",
                seed=task.seed,
                step=task.step,
                group=task.group,
                member=task.member,
                split=task.split,
                level=task.level or 0,
                reward=pay(task) or 0.0,
                success=pay(task) == 1.0,
                failure=FAILED if pay(task) is None else None,
            )
            for task in tasks
        ]

    return play, calls
