"""Several environments in one run: weights read, shares kept, figures apart."""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.trainer.config import TrainConfig, from_mapping, to_toml
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.metrics import episode_metrics
from agentrl.trainer.mixture import env_metrics, parse_envs, pick_env, weights_of
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

WEIGHTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0.05, 20), min_size=1, max_size=5)


def episode(env_id: str, reward: float, success: bool | None, **changes: Any) -> Episode:
    return blank_episode(env_id=env_id, reward=reward, success=success, **changes)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["A-v0"], "A-v0"),
        (["A-v0:0.7"], "A-v0"),
        (["m:N/A-v0"], "m:N/A-v0"),
        (["m:N/A-v0:2", "B-v1"], {"m:N/A-v0": 2.0, "B-v1": 1.0}),
        (["A:.5", "B:1e-1"], {"A": 0.5, "B": 0.1}),
    ],
)
def test_words_are_read(words: list[str], wanted: Any) -> None:
    assert parse_envs(words) == wanted


@pytest.mark.parametrize("words", [["A:0", "B"], ["A", "A:0.5"], ["A:1e999"]])
def test_words_that_cannot_be(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="'A'"):
        parse_envs(words)


def test_weights_in_a_recipe() -> None:
    config = from_mapping(TrainConfig, tomllib.loads('[env]\n"m:A/B-v0" = 0.7\n"C-v1" = 1\n'))
    assert config.env == {"m:A/B-v0": 0.7, "C-v1": 1}
    assert from_mapping(TrainConfig, tomllib.loads(to_toml(config))) == config
    for bad in ('[env]\n"A" = "much"', '[env]\n"A" = -1', '[env]\n"A" = true', "[env]", "env = 3"):
        with pytest.raises(ConfigError, match="env"):
            from_mapping(TrainConfig, tomllib.loads(bad))


@given(WEIGHTS, st.integers(0, 2**31), st.integers(0, 10**6))
def test_shares_keep_near_the_weights_at_every_moment(weights: dict[str, float], seed: int, start: int) -> None:
    picked = [pick_env(weights, start + index, seed=seed) for index in range(200)]
    total = sum(weights.values())
    for count in (20, 60, 200):
        shares = Counter(picked[:count])
        for env_id, weight in weights.items():
            assert abs(shares[env_id] - count * weight / total) < 6
    assert picked[50:] == [pick_env(weights, start + 50 + index, seed=seed) for index in range(150)]


def test_the_order_depends_on_the_seed() -> None:
    weights = weights_of({"A": 0.5, "B": 0.5})
    orders = {tuple(pick_env(weights, index, seed=seed) for index in range(20)) for seed in range(8)}
    assert len(orders) > 1


def test_figures_apart() -> None:
    broken = {"kind": "k", "boundary": "b", "message": "m"}
    episodes = [
        episode("m:N/A-v0", 1.0, True),
        episode("m:N/A-v0", 0.0, False),
        episode("m:N/A-v0", 9.0, None, failure=broken),
        episode("B-v1", 3.0, None),
    ]
    # B tells no success: it is not counted as a failure of the model.
    assert env_metrics(episodes) == {"reward/N/A-v0": 0.5, "success/N/A-v0": 0.5, "reward/B-v1": 3.0, "success": 0.5}
    assert episode_metrics(episodes)["success"] == pytest.approx(1 / 3)
    assert env_metrics(episodes[:3]) == {}
