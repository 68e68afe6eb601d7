"""Environments without text, spoken for: Gymnasium's own, and small ones that show one rule each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Space, Text
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.answers import read_reset, read_step
from agentrl.trainer.demonstrations import played
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.textualize import Textualized, make_text_env

OWN = ("FrozenLake-v1", "CliffWalking-v1", "Taxi-v4", "Blackjack-v1", "CartPole-v1", "Pendulum-v1", "Acrobot-v1")


class Toy(gymnasium.Env[Any, Any]):
    """Pays `pay` a step and ends after `length`; says `told` at the end."""

    def __init__(
        self, action: Any = None, seen: Any = None, pay: float = 1.0, length: int = 5, told: Any = None
    ) -> None:
        self.action_space: Space[Any] = action or Discrete(2)
        self.observation_space: Space[Any] = seen or Discrete(3)
        self.pay, self.length, self.told = pay, length, told

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left, self.options = self.length, options
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.left -= 1
        return self.observation_space.sample(), self.pay, self.left == 0, False, dict(self.told or {})


MAKE: Any = Toy
gymnasium.register(id="Toy/Plain-v0", entry_point=MAKE, disable_env_checker=True)
gymnasium.register(
    id="Toy/Threshold-v0", entry_point=MAKE, disable_env_checker=True, reward_threshold=3.0, max_episode_steps=8
)
gymnasium.register(id="Toy/Costly-v0", entry_point=MAKE, disable_env_checker=True, reward_threshold=-6.0)


def play(env: gymnasium.Env[Any, Any], turns: Iterator[str], seed: int = 0) -> list[Any]:
    """Play an episode as the rollout reads it; return the outcomes."""
    read_reset(env.reset(seed=seed, options={"split": "train"}))
    outcomes = []
    for turn in turns:
        outcomes.append(read_step(env.step(turn)))
        if outcomes[-1].terminated or outcomes[-1].truncated:
            return outcomes
    raise AssertionError("the turns ran out")


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("env_id", OWN)
def test_gymnasiums_own_environments_speak(env_id: str) -> None:
    env = make_text_env(env_id, {"max_turns": 12})
    check_env(env, skip_render_check=True)
    opening = read_reset(env.reset(seed=3))
    assert opening.system is not None
    assert 0 < len(opening.observation) < 400
    assert "There are 12 turns." in opening.system
    policy = env.get_wrapper_attr("demonstrator")(np.random.default_rng(0))
    outcomes = play(env, (policy("", {}) for _ in itertools.count()))
    assert all("invalid" not in outcome.rewards for outcome in outcomes)
    assert len(outcomes) <= 12
    again = play(make_text_env(env_id, {"max_turns": 12}), (policy("", {}) for _ in itertools.count()), seed=3)
    assert again[0].replies


@pytest.mark.parametrize("env_id", OWN)
@settings(deadline=None, max_examples=15)
@given(turns=st.lists(st.text(max_size=30) | st.just("<answer>junk</answer>"), min_size=20, max_size=20))
def test_an_episode_of_junk_ends_and_pays_worse_than_any_play(env_id: str, turns: list[str]) -> None:
    env = make_text_env(env_id, {"max_turns": 20})
    outcomes = play(env, iter([f"nothing {turn}" for turn in turns]))
    assert len(outcomes) == 3
    assert outcomes[-1].truncated
    assert not outcomes[-1].success
    assert all(outcome.replies[0]["content"].startswith("Invalid action: ") for outcome in outcomes)
    spoilt = sum(outcome.reward for outcome in outcomes)
    assert spoilt == 20 * env.get_wrapper_attr("invalid_reward")
    policy = env.get_wrapper_attr("demonstrator")(np.random.default_rng(1))
    valid = play(env, (policy("", {}) for _ in itertools.count()))
    assert spoilt < 0
    assert spoilt <= sum(outcome.reward for outcome in valid)


def test_frozen_lake_is_its_own_map() -> None:
    env = make_text_env("FrozenLake-v1", {"is_slippery": False})
    observation, info = env.reset(seed=0)
    assert observation == "[S]FFF\nFHFH\nFFFH\nHFFG"
    assert "left, down, right or up" in info["system"]
    path = ["down", "I go <answer>left</answer>, no: <answer> Down </answer>", "right", "right", "1", "<answer>right"]
    outcomes = play(env, iter(path))
    assert outcomes[0].replies[0]["content"] == "SFFF\n[F]HFH\nFFFH\nHFFG"
    assert [outcome.reward for outcome in outcomes] == [0, 0, 0, 0, 0, 1]
    assert (outcomes[-1].terminated, outcomes[-1].success) == (True, True)
    lost = play(env, iter(["right", "down"]))
    assert (lost[-1].terminated, lost[-1].success, lost[-1].reward) == (True, False, 0.0)
    numbers = make_text_env("FrozenLake-v1", {"is_slippery": False, "render": False})
    assert [numbers.reset(seed=0)[0], numbers.step("down")[0]] == ["0", "4"]


def test_taxi_says_its_colours() -> None:
    observation, info = make_text_env("Taxi-v4", {}).reset(seed=1)
    assert "{magenta:" in observation
    assert "{yellow: }" in observation
    assert "pickup or dropoff" in info["system"]
    assert "\x1b" not in observation


def test_an_invalid_turn_is_told_costs_a_turn_and_changes_nothing() -> None:
    env = make_text_env("CartPole-v1", {"max_turns": 4})
    first, _ = env.reset(seed=1)
    observation, reward, terminated, truncated, info = env.step("up")
    assert observation == "Invalid action: 'up' is none of them. Expected: left or right."
    assert (reward, terminated, truncated) == (-1.0, False, False)
    assert info["rewards"] == {"invalid": -1.0}
    outcomes = [env.step("left"), env.step("right"), env.step("left")]
    assert [outcome[3] for outcome in outcomes] == [False, False, True]
    assert outcomes[-1][4]["success"] is False  # it stood, but for three pushes only
    env.reset(seed=1)
    assert env.step("left")[0] == outcomes[0][0]
    assert first.startswith("cart ")


def test_cartpole_succeeds_when_it_stands_through_all_turns() -> None:
    env = make_text_env("CartPole-v1", {"max_turns": 6})
    stood = play(env, itertools.cycle(["left", "right"]))
    assert (len(stood), stood[-1].success, stood[-1].truncated) == (6, True, True)
    fell = play(make_text_env("CartPole-v1", {"max_turns": 20}), itertools.repeat("left"))
    assert (fell[-1].success, fell[-1].terminated) == (False, True)
    assert sum(outcome.reward for outcome in fell) == len(fell)


def test_success_is_said_only_where_somebody_defines_it() -> None:
    assert play(make_text_env("Toy/Plain-v0", {}), itertools.repeat("1"))[-1].success is None
    told = make_text_env("Toy/Plain-v0", {"told": {"is_success": np.bool_(True)}})
    assert play(told, itertools.repeat("1"))[-1].success is True
    for pay, success in ((1.0, True), (0.5, False)):
        env = make_text_env("Toy/Threshold-v0", {"pay": pay})
        assert play(env, itertools.repeat("1"))[-1].success is success
    # Breaking off costs no steps, and yet is no success.
    costly = make_text_env("Toy/Costly-v0", {"pay": -1.0})
    assert play(costly, itertools.repeat("1"))[-1].success is True
    assert play(costly, itertools.repeat("junk"))[-1].success is False
    # Cut short, an episode cannot be held against a threshold for whole ones.
    short = make_text_env("Toy/Threshold-v0", {"max_turns": 3})
    assert play(short, itertools.repeat("1"))[-1].success is None
    blackjack = make_text_env("Blackjack-v1", {})
    for seed in range(20):
        last = play(blackjack, itertools.repeat("stick"), seed=seed)[-1]
        assert last.success is (last.reward > 0)


def test_an_episode_ends_where_the_environment_never_does() -> None:
    env = make_text_env("Toy/Plain-v0", {"length": 10**9})
    assert len(play(env, itertools.repeat("0"))) == 100


def test_spaces_inside_spaces() -> None:
    action = Dict({"aim": Box(-1, 1, (2,)), "fire": Discrete(2)})
    env = make_text_env(
        "Toy/Plain-v0", {"action": action, "seen": Dict(words=Text(4), place=Box(0, 9, (2, 2), np.int64))}
    )
    observation, info = env.reset(seed=0)
    assert observation.startswith('{"words": "')
    assert 'JSON like {"aim": [-1.0, -1.0], "fire": 0}' in info["system"]
    assert env.step('<answer>{"aim": [0.5, -1], "fire": 1}</answer>')[1] == 1.0
    assert "'fire!' is no JSON" in env.step("fire!")[0]


def test_demonstrations_are_random_valid_actions() -> None:
    found = list(itertools.islice(played("FrozenLake-v1", {}, level=None, seed=0), 30))
    said = [message["content"] for each in found for message in each.messages if message["role"] == "assistant"]
    assert set(said) == {"left", "down", "right", "up"}
    assert found[0].messages[0]["role"] == "system"
    assert not any("Invalid" in message["content"] for each in found for message in each.messages)


def test_environments_with_text_pass_unchanged() -> None:
    env = make_text_env("Toy/Plain-v0", {"action": Text(9), "seen": Text(9)})
    assert not isinstance(env, Textualized)
    env.reset(seed=0, options={"split": "train", "level": 1})
    assert env.unwrapped.options == {"split": "train", "level": 1}  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"cannot be made: .*max_turns"):
        make_text_env("Toy/Plain-v0", {"action": Text(9), "seen": Text(9), "max_turns": 3})


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("Toy/Plain-v0", {"seen": Box(0, 255, (84, 84, 3), np.uint8)}, r"21168 numbers.*--env my_module:My/Env-v0"),
        ("CartPole-v1", {"max_turns": 501}, "ends after 500; give max_episode_steps"),
        ("CartPole-v1", {"max_turns": "9"}, "max_turns is '9', but must be a whole number of 1 or more"),
        ("CartPole-v1", {"max_invalid": 0}, "max_invalid is 0"),
        ("CartPole-v1", {"invalid_reward": 1.0}, "invalid_reward is 1.0, but must be 0 or less"),
        ("CartPole-v1", {"render": False}, "changes something only where the environment draws itself"),
        ("CartPole-v1", {"colour": "red"}, "cannot be made.*colour"),
        ("CartPole-v1", {"colour": "red", "max_turns": 9}, "cannot be made.*colour"),
        ("Toy/Nowhere-v0", {}, "cannot be made"),
    ],
)
def test_what_cannot_be_is_refused(env_id: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_text_env(env_id, kwargs)
