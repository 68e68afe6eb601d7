"""A probe: what it counts is what was played, what it times is what the environment takes, and it is kept in a file."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Text

from agentrl.trainer.config import EvalConfig, TrainConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.scaling.probe import Measured, measure

WAIT_S, TURNS = 0.06, 3


class Slow(gymnasium.Env[str, str]):
    """Waits in each of three turns, and computes a third of that time."""

    observation_space = Text(200, charset=string.printable)
    action_space = Text(10_000, charset=string.printable)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._left = TURNS
        return "say something", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        began = time.thread_time()
        while time.thread_time() - began < WAIT_S / 3:
            pass
        time.sleep(2 * WAIT_S / 3)
        self._left -= 1
        return "go on", float(len(action) % 2), self._left == 0, False, {}


class Once(Slow):
    """Its fifth instance, and any later, cannot be reset."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self._fails = self.made > 4

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        if self._fails:
            raise RuntimeError("no more of these")
        return super().reset(seed=seed, options=options)


@pytest.fixture(scope="module")
def registered() -> Iterator[str]:
    gymnasium.register("Slow-v0", entry_point=Slow)  # type: ignore[arg-type]
    gymnasium.register("Once-v0", entry_point=Once)  # type: ignore[arg-type]
    yield "Slow-v0"
    del gymnasium.registry["Slow-v0"], gymnasium.registry["Once-v0"]


def config_of(env: str, model: Path) -> TrainConfig:
    return TrainConfig(
        env=env,
        model=str(model),
        device="cpu",
        threads=1,
        groups_per_step=2,
        group_size=2,
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=12, max_episode_tokens=200),
        eval=EvalConfig(num_episodes=0),
    )


@pytest.fixture(scope="module")
def measured(registered: str, model_folder: Path) -> Measured:
    return measure(config_of(registered, model_folder))


def test_what_was_played_is_counted(measured: Measured) -> None:
    work = measured.workload
    assert len(work.plays) == 8  # two steps of two groups of two
    for play in work.plays:
        assert len(play.turns) == TURNS
        assert all(1 <= turn.sampled <= 12 for turn in play.turns)
        assert play.turns[0].read > 10  # the prompt
        assert all(0 < turn.read < 60 for turn in play.turns[1:])  # a reply
    assert measured.size.parameters == 1 * measured.size.weight_bytes // 4  # float32 on a CPU


def test_what_an_environment_takes_is_timed_alone(measured: Measured) -> None:
    work = measured.workload
    assert work.env_s >= WAIT_S
    assert 0.95 * WAIT_S / 3 <= work.env_cpu_s <= work.env_s  # what it computes, at least
    assert all(0 <= play.reset_cpu_s <= play.reset_s for play in work.plays)


def test_an_environment_that_does_not_come_again_is_known_by_its_episodes(registered: str, model_folder: Path) -> None:
    work = measure(config_of("Once-v0", model_folder)).workload
    assert work.env_s >= WAIT_S
    assert work.env_cpu_s == 0  # that cannot be told


def test_costs_are_positive_and_of_a_size(measured: Measured) -> None:
    costs = measured.costs
    assert costs.device == "cpu"
    assert not costs.overlaps
    assert 1e-5 < costs.step_s + costs.turn_s < 1
    assert 1e-7 < costs.trained_s < 0.1
    assert 1e-3 < costs.proof_s < 60
    assert min(costs.turn_s, costs.context_s, costs.prompt_s, costs.begin_s, costs.update_s) >= 0


def test_it_is_kept_in_a_file(measured: Measured, tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    measured.write(path)
    assert Measured.read(path) == measured
    with pytest.raises(ConfigError, match="give --save another file"):
        measured.write(tmp_path / "no" / "probe.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"size": {}, "costs": {}, "plays": []})])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "probe.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"write one with --save|measure again"):
        Measured.read(path)
    with pytest.raises(ConfigError, match="No such file"):
        Measured.read(tmp_path / "none.json")


def test_episodes_without_room_are_refused(registered: str, model_folder: Path) -> None:
    short = replace(config_of(registered, model_folder), rollout=RolloutConfig(max_episode_tokens=80))
    with pytest.raises(ConfigError, match=r"rollout\.max_episode_tokens is 80, but a probe of the engine takes 98"):
        measure(short)
