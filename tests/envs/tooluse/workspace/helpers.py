"""What the tests of the workspace share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentrl.envs.protocol import Policy
from agentrl.envs.tooluse.case import Call, Case, Do
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.tasks import Task
from agentrl.envs.tooluse.workspace.domain import DOMAIN

__all__ = ["EACH", "calls_of", "key_of", "played", "task_of"]

EACH = [(family.name, level) for family in DOMAIN.families for level in family.levels]


def played(env: ToolUseEnv, turns: Policy | Sequence[str], seed: int) -> dict[str, Any]:
    """Play an episode; return the last info, with the reward under `reward` and all replies under `heard`."""
    observation, info = env.reset(seed=seed)
    script = None if callable(turns) else iter(turns)
    total, heard = 0.0, []
    while True:
        turn = turns(observation, info) if callable(turns) else next(script)  # type: ignore[arg-type]
        observation, reward, terminated, truncated, info = env.step(turn)
        total += float(reward)
        heard.append(observation)
        if terminated or truncated:
            assert "failure" not in info
            return {**info, "reward": total, "heard": heard}


def task_of(env: ToolUseEnv, seed: int) -> Task:
    """Return the task of a seed."""
    env.reset(seed=seed)
    assert env._task is not None
    return env._task


def calls_of(case: Case) -> list[Call]:
    """Return all calls of a case."""
    return [call for step in case.steps if isinstance(step, Do) for call in step.calls]


def key_of(task: Task, table: str, column: int, value: str) -> str:
    """Return the key of the only row of a table with a value in a column."""
    (found,) = [row[0] for row in task.rows[table] if row[column] == value]
    return str(found)
