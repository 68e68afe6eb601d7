"""Environments, agents and servers that answer what they should not: an episode fails, and the bench goes on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agentrl.bench.attempt import Attempt, Place
from agentrl.bench.errors import UsageError
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.spaces import Unicode

ENV = "BenchHostile-v0"


class Hostile(gymnasium.Env[str, str]):
    """Answers with what it was given."""

    def __init__(self, opening: dict[str, Any] | None = None, info: dict[str, Any] | None = None) -> None:
        self.action_space = Unicode(100)
        self.observation_space = Unicode(100)
        self._opening, self._info = opening or {}, info or {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "go", dict(self._opening)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "", 1.0, True, False, dict(self._info)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register(id=ENV, entry_point=Hostile, disable_env_checker=True)  # type: ignore[arg-type]
    yield
    del gymnasium.registry[ENV]


class Player:
    """Says yes, and how many tokens a server told of."""

    def __init__(self, count: object) -> None:
        self.prompt_tokens = self.completion_tokens = count

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        return "yes"


def _played(player: Any = None, **kwargs: Any) -> Episode:
    settings = Settings(envs=(ENV,), agent="random", num_tasks=1)
    place = Place(ENV, kwargs, "threads", 60.0)
    try:
        return Attempt(Job(env_id=ENV, level=0, seed=0, sample=0), player or Player(1), settings, 1).play(place)
    finally:
        place.close()


@pytest.mark.parametrize("count", [10**30, -1, 2**53 + 1, 0.5, "7", None])
def test_a_count_of_tokens_that_is_none_is_not_counted(tmp_path: Path, count: object) -> None:
    episode = _played(Player(count))
    assert (episode.failure, episode.prompt_tokens, episode.completion_tokens) == (None, None, None)
    with BenchStore(tmp_path, {"agent": "oracle"}) as store:
        assert store.add(episode)
    assert _played(Player(2**53)).prompt_tokens == 2**53


@pytest.mark.parametrize("success", ["no", 0.2, float("nan"), [], 1])
def test_a_success_that_is_no_truth_value_is_a_failure(success: object) -> None:
    episode = _played(info={"success": success})
    assert episode.success is None
    assert episode.failure is not None
    assert (episode.failure["kind"], episode.failure["boundary"]) == ("success", "environment")
    assert repr(success) in episode.failure["message"]


@pytest.mark.parametrize("success", [None, True, False, np.True_, np.False_])
def test_a_success_that_is_one_is_kept(success: object) -> None:
    episode = _played(info={"success": success})
    assert episode.failure is None
    assert episode.success is (None if success is None else bool(success))


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"info": {"replies": [{"content": "no role"}]}}, "has the role None"),
        ({"info": {"replies": 7}}, r"info\['replies'\] is 7, but must be a list"),
        ({"info": {"rewards": {"a": "much"}}}, "must be a finite number"),
        ({"opening": {"tools": "search"}}, r"info\['tools'\] is 'search', but must be a list"),
        ({"opening": {"task": 7}}, r"info\['task'\] is 7, but must be a dict"),
    ],
)
def test_what_the_protocol_does_not_know_fails_an_episode(tmp_path: Path, kwargs: dict[str, Any], told: str) -> None:
    settings = Settings(envs=(ENV,), agent="random", num_tasks=2, env_kwargs=kwargs, max_retries=0)
    assert run(settings, tmp_path) == 2
    with BenchStore(tmp_path) as store:
        failures = [each.failure for each in store.episodes()]
    for failure in failures:
        assert failure is not None
        assert (failure["kind"], failure["boundary"]) == ("answer", "environment")
        assert re.search(told, failure["message"])


@pytest.mark.parametrize("failure", ["the disk is gone", {"message": "the disk is gone"}])
def test_a_failure_that_says_little_is_one(failure: object) -> None:
    told = _played(info={"failure": failure}).failure
    assert told is not None
    assert (told["kind"], told["boundary"]) == ("unknown", "environment")
    assert "the disk is gone" in told["message"]


def test_an_agent_that_exits_fails_its_episode() -> None:
    def leaves(observation: str, info: dict[str, Any]) -> str:
        sys.exit(3)

    assert _played(leaves).failure == {"kind": "error", "boundary": "agent", "message": "SystemExit: 3"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seed": 2**63}, r"seed=9223372036854775808, .* must be 0 to 9223372036854775807"),
        ({"seed": 2**63 - 1, "num_tasks": 2}, "the seeds of all tasks"),
        ({"levels": (2**63,)}, "and the levels must be"),
        ({"num_tasks": 10**12}, "make 1000000000000 episodes; one bench plays 10000000 at most"),
    ],
)
def test_numbers_beyond_the_file_are_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Settings(**{"envs": (ENV,), "agent": "random", "num_tasks": 1, **wrong})
    assert Settings(envs=(ENV,), agent="random", num_tasks=1, seed=2**63 - 1).seed == 2**63 - 1
