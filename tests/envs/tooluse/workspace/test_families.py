"""Every family of the workspace: its oracle, its cheats, and that no half of a task is enough."""

from __future__ import annotations

import pytest

from agentrl.envs.protocol import Policy
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.workspace.domain import DOMAIN

_EACH = [(family.name, level) for family in DOMAIN.families for level in family.levels]


def played(env: ToolUseEnv, policy: Policy, seed: int) -> tuple[float, bool]:
    """Play an episode; return its reward and success."""
    observation, info = env.reset(seed=seed)
    total = 0.0
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        total += float(reward)
        if terminated or truncated:
            assert "failure" not in info
            return total, bool(info.get("success"))


@pytest.mark.parametrize(("name", "level"), _EACH)
def test_the_oracle_solves_every_task(name: str, level: int) -> None:
    for split in ("train", "test"):
        env = ToolUseEnv(domain="workspace", family=name, level=level, split=split)
        for seed in range(60):
            assert played(env, env.oracle(), seed) == (1.0, True), (name, level, split, seed)
        env.close()
