"""Backends of the tests here, each with its mark, and the episodes that they play."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentrl.envs.code.env import CodeEnv
from agentrl.envs.protocol import Policy

BACKENDS = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def env(backend: str) -> Iterator[CodeEnv]:
    made = CodeEnv(backend=backend)
    yield made
    made.close()


class Played:
    """One episode, played to its end."""

    def __init__(self, env: CodeEnv, policy: Policy, *, seed: int = 0, **options: Any) -> None:
        self.observations: list[str] = []
        observation, info = env.reset(seed=seed, options=options)
        self.begun = (observation, info)
        self.reward = 0.0
        ended = False
        while not ended:
            observation, reward, terminated, truncated, info = env.step(policy(observation, info))
            self.observations.append(observation)
            self.reward += reward
            ended = terminated or truncated
        self.info = info


@pytest.fixture
def play() -> type[Played]:
    return Played


@pytest.fixture
def says() -> Callable[..., Policy]:
    def policy(*turns: str) -> Policy:
        left = iter(turns)
        return lambda observation, info: next(left)

    return policy
