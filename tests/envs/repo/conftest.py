"""Environments of the tests here, one a backend, and the episodes that they play."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.protocol import Policy
from agentrl.envs.repo import RepoEnv
from agentrl.envs.repo.policies import DONE
from agentrl.envs.scripted import call

BACKENDS = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]


@pytest.fixture(scope="module", params=BACKENDS)
def env(request: pytest.FixtureRequest) -> Iterator[RepoEnv]:
    made = RepoEnv(backend=request.param)
    yield made
    made.close()


class Session:
    """One episode, turn by turn."""

    def __init__(self, env: RepoEnv, *, seed: int = 0, **options: Any) -> None:
        self.env = env
        self.observation, self.info = env.reset(seed=seed, options=options)
        self.task = env._job.task  # type: ignore[union-attr]  # a generated one

    def bash(self, command: str) -> str:
        return self._turn(call("bash", command=command))

    def edit(self, path: str, old: str, new: str) -> str:
        return self._turn(call("edit", path=path, old=old, new=new))

    def create(self, path: str, text: str) -> str:
        return self._turn(call("create", path=path, text=text))

    def done(self) -> dict[str, Any]:
        """End the episode; return its last info, with the reward."""
        _, reward, terminated, _, info = self.env.step(DONE)
        assert terminated
        assert "failure" not in info, info
        return {**info, "reward": reward}

    def play(self, policy: Policy) -> dict[str, Any]:
        """Let a policy play to the end; return the last info, with the reward."""
        observation, info, ended, reward = self.observation, self.info, False, 0.0
        while not ended:
            observation, reward, terminated, truncated, info = self.env.step(policy(observation, info))
            ended = terminated or truncated
        assert "failure" not in info, info
        return {**info, "reward": reward}

    def _turn(self, action: str) -> str:
        observation, reward, terminated, truncated, info = self.env.step(action)
        assert (reward, terminated, truncated) == (0.0, False, False), info
        return observation


@pytest.fixture
def session() -> type[Session]:
    return Session
