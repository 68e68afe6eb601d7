"""What the tests of adapters do with an environment: solve an episode, and run the check over it."""

from __future__ import annotations

from typing import Any

from agentrl.envs.adapters.foreign import ForeignEnv
from agentrl.envs.checker import check

__all__ = ["failed", "solved"]

# Looked at once for what all adapters share, in the check of reasoning-gym; each starts processes.
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


def failed(env_id: str, *, whole: bool = False, **arguments: Any) -> dict[str, str]:
    """Return the checks that an environment fails, with their reasons."""
    report = check(env_id, kwargs=arguments, skip=() if whole else _SHARED)
    assert len(report.results) > 20
    return {
        each.id: each.reason for each in report.results if each.status not in ("passed", "not applicable", "skipped")
    }
