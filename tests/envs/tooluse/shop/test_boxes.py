"""The shop's tools in a box give the same episode as in this process."""

from __future__ import annotations

from typing import Any

import pytest

from agentrl.envs.tooluse.env import ToolUseEnv


def episode(backend: str, family: str, level: int) -> list[Any]:
    env = ToolUseEnv(domain="shop", family=family, level=level, backend=backend)
    try:
        observation, info = env.reset(seed=7)
        heard: list[Any] = [observation, info]
        policy = env.oracle()
        while True:
            step = env.step(policy(heard[-2], {}))
            heard += [step[0], step[1:]]
            if step[2] or step[3]:
                return heard
    finally:
        env.close()


@pytest.mark.parametrize(
    "backend", [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]
)
def test_an_episode_in_a_box_is_the_same(backend: str) -> None:
    for family, level in (("cancel-code", 1), ("exchange-changed", 4), ("three-wishes", 5)):
        there = episode(backend, family, level)
        assert there == episode("local", family, level)
        assert there[-1][0] == 1.0
