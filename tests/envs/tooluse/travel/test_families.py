"""The families of travel, played through the environment: the way to do them, and ways that must not pay."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from agentrl.envs.protocol import Policy
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.travel.domain import DOMAIN

CASES = [(family.name, level) for family in DOMAIN.families for level in family.levels]
SEEDS = 20


def episode(env: ToolUseEnv, policy: Policy, seed: int, level: int, split: str) -> tuple[float, bool]:
    """Play one episode; return its reward and whether it succeeded."""
    observation, info = env.reset(seed=seed, options={"level": level, "split": split})
    total = 0.0
    for _ in range(200):
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        total += float(reward)
        if terminated or truncated:
            return total, bool(info["success"])
    raise AssertionError("the episode does not end")


def environment(family: str, level: int) -> ToolUseEnv:
    return ToolUseEnv(domain="travel", family=family, level=level, backend="local")


def seeds(count: int) -> Iterator[tuple[int, str]]:
    return itertools.product(range(count), ("train", "test"))


@pytest.mark.parametrize(("family", "level"), CASES)
def test_the_oracle_does_every_task(family: str, level: int) -> None:
    with environment(family, level) as env:
        for seed, split in seeds(SEEDS):
            assert episode(env, env.oracle(), seed, level, split) == (1.0, True), (seed, split)


@pytest.mark.parametrize(("family", "level"), CASES)
def test_noop_and_cheats_get_nothing(family: str, level: int) -> None:
    with environment(family, level) as env:
        for seed, split in seeds(2):
            for name, policy in {"noop": env.noop(), **env.cheats()}.items():
                assert episode(env, policy, seed, level, split) == (0.0, False), (name, seed, split)
