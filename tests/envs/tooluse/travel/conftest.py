"""How the tests of travel play an episode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentrl.envs.protocol import Policy
from agentrl.envs.tooluse.env import ToolUseEnv

Play = Callable[[ToolUseEnv, Policy, str, dict[str, object]], tuple[float, bool]]


@pytest.fixture(scope="session")
def play() -> Play:
    """Play an episode from its first observation on; return its reward and whether it succeeded."""

    def played(env: ToolUseEnv, policy: Policy, observation: str, info: dict[str, object]) -> tuple[float, bool]:
        total = 0.0
        for _ in range(200):
            observation, reward, terminated, truncated, info = env.step(policy(observation, info))
            total += float(reward)
            if terminated or truncated:
                return total, bool(info["success"])
        raise AssertionError("the episode does not end")

    return played
