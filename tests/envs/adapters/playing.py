"""What the tests of adapters do with an environment: solve an episode, and run the check over it."""

from __future__ import annotations

from typing import Any

from agentrl.envs.adapters.foreign import ForeignEnv
from agentrl.envs.checker import check

__all__ = ["failed", "solved"]

# They start processes, or only measure; `quiet` fails where a suite logs.
_SHARED = ("vector", "process", "quiet", "pickling", "throughput", "memory")


def solved(env: ForeignEnv, *, seed: int, **options: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:
    """Play the oracle on a task; return its last step."""
    observation, info = env.reset(seed=seed, options=options)
    policy = env.oracle()
    while True:
        step = env.step(policy(observation, info))
        if step[2] or step[3]:
            return step
        observation, info = step[0], step[4]


def failed(name: str, /, **arguments: Any) -> dict[str, str]:
    """Return the checks that an environment fails, with their reasons."""
    report = check(name, kwargs=arguments, skip=_SHARED)
    assert len(report.results) > 20
    return {
        each.id: each.reason for each in report.results if each.status not in ("passed", "not applicable", "skipped")
    }
