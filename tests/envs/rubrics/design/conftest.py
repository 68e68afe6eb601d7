"""Real episodes of Math and Search, played once for all tests of this folder."""

from __future__ import annotations

from contextlib import closing

import gymnasium
import pytest

from agentrl.envs.rubrics.design import Played, play_all

Tasks = list[list[Played]]


def played(env_id: str, num_tasks: int) -> Tasks:
    with closing(gymnasium.make(f"agentrl.envs:{env_id}", disable_env_checker=True)) as env:
        return play_all(env, num_tasks=num_tasks)


@pytest.fixture(scope="session")
def math() -> Tasks:
    return played("AgentRL/Math-v0", 2)


@pytest.fixture(scope="session")
def search() -> Tasks:
    return played("AgentRL/Search-v0", 2)


@pytest.fixture(scope="session")
def tooluse() -> Tasks:
    return played("AgentRL/ToolUse-v0", 2)
