"""A player of tasks that pays what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentrl.trainer.rollout import Task
from agentrl.trainer.types import Episode

FAILED = {"kind": "died", "boundary": "sandbox", "message": "gone"}


def player(pay: Callable[[Task], float | None]) -> tuple[Callable[[Sequence[Task]], list[Episode]], list[list[Task]]]:
    """Return what plays tasks for the reward told, None meaning a failure, and the list of its calls; 1 is success."""
    calls: list[list[Task]] = []

    def play(tasks: Sequence[Task]) -> list[Episode]:
        calls.append(list(tasks))
        return [
            Episode(
                env_id=task.env_id or "",
                seed=task.seed,
                step=task.step,
                group=task.group,
                member=task.member,
                attempt=0,
                split=task.split,
                level=task.level or 0,
                task_id="",
                token_ids=[1],
                mask=[True],
                logprobs=[0.0],
                reward=pay(task) or 0.0,
                rewards={},
                success=pay(task) == 1.0,
                failure=FAILED if pay(task) is None else None,
                truncated_by=None,
                messages=[],
                num_turns=1,
                versions=[],
                timings={},
                advantage=0.0,
            )
            for task in tasks
        ]

    return play, calls
