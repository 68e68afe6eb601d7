"""How the tests of ToolUse play an episode."""

from __future__ import annotations

from typing import Any

from agentrl.envs.protocol import Policy
from agentrl.envs.tooluse.env import ToolUseEnv


def played(env: ToolUseEnv, policy: Policy, seed: int) -> tuple[float, dict[str, Any]]:
    """Play an episode; return the last reward and info."""
    observation, info = env.reset(seed=seed)
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        if terminated or truncated:
            return reward, info
