"""Tuning finds weights that are there, says so only then, and never judges a label by a fit that has seen it."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from agentrl.envs.rubrics.tuning import Examples, tune
from agentrl.envs.rubrics.tuning.fit import fit
from tests.envs.rubrics.tuning.synthetic import TRUE, named, preferences, wrong_share


@pytest.mark.parametrize("seed", range(20))
def test_known_weights_come_back_from_500_noisy_preferences(seed: int) -> None:
    examples = preferences(seed)
    assert 0.04 < wrong_share(examples) < 0.12
    found = fit(examples, examples.groups(), np.random.default_rng(seed)).weights
    assert np.abs(found / np.abs(found).sum() - TRUE).max() < 0.05


def test_weights_that_are_wrong_are_mended_and_useless_components_fall_out() -> None:
    true = np.array([0.7, 0.0, 0.3, 0.0])
    examples = preferences(3, true)
    tuned = tune(examples, named(np.array([0.1, 0.4, 0.1, 0.4])), np.random.default_rng(0))
    assert tuned.gains
    assert tuned.dropped == ("c1", "c3")
    assert tuned.fitted == pytest.approx(named(true), abs=0.05)
    right = 1 - wrong_share(examples, true)
    assert tuned.agreement.after.value == pytest.approx(right, abs=0.02)  # no more than the labels allow
    assert tuned.agreement.before.high < tuned.agreement.after.low
    assert tuned.num_tasks == tuned.num_labels == 500


def test_right_weights_are_left_as_they_are() -> None:
    tuned = tune(preferences(1), named(TRUE), np.random.default_rng(1))
    assert not tuned.gains
    assert tuned.agreement.gain.value == pytest.approx(0.0, abs=0.02)


@pytest.mark.slow
def test_noise_gains_nothing() -> None:
    given = np.full(3, 1 / 3)
    gains = 0
    for seed in range(20):
        examples = preferences(seed, given, num=150, steepness=0.0)
        gains += tune(examples, named(given), np.random.default_rng(seed)).gains
    assert gains <= 1  # of 20


def test_what_fits_noise_on_the_labels_it_saw_is_not_reported() -> None:
    given = np.full(10, 0.1)
    examples = preferences(5, given, num=220, steepness=0.0)
    tuned = tune(examples, named(given), np.random.default_rng(5))
    weights = np.array([tuned.fitted[name] for name in examples.names])
    assert not tuned.gains
    assert tuned.agreement.after.value < 1 - wrong_share(examples, weights)  # on the labels that they were fitted to
    assert tuned.agreement.after.low < 0.5


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_labels_of_single_episodes_tune_too(kind: str) -> None:
    rng = np.random.default_rng(8)
    values = rng.uniform(0, 1, (240, 3))
    true = np.array([0.6, 0.0, -0.4])
    reward = values @ true + rng.normal(0, 0.05, 240)
    examples = Examples(
        kind=kind,  # type: ignore[arg-type]  # one of them
        names=("c0", "c1", "c2"),
        values=values,
        tasks=tuple(f"task {at // 4}" for at in range(240)),
        episodes=np.arange(240),
        labels=(reward > np.median(reward)).astype(float) if kind == "classes" else reward * 10 + 3,
    )
    tuned = tune(examples, named(np.array([0.0, 0.5, 0.5])), rng)
    assert tuned.gains
    assert tuned.fitted == pytest.approx(named(true), abs=0.05)
    assert tuned.num_tasks == 60


def test_a_component_that_never_differs_keeps_its_weight_beside_tuned_ones() -> None:
    examples = preferences(2)
    values = np.concatenate([examples.values, np.ones((len(examples.values), 1))], axis=1)
    wider = Examples(
        kind="preferences",
        names=(*examples.names, "same"),
        values=values,
        tasks=examples.tasks,
        episodes=examples.episodes,
        labels=examples.labels,
    )
    tuned = tune(wider, {**named(-TRUE), "same": 0.25}, np.random.default_rng(2))
    assert tuned.constant == ("same",)
    assert tuned.fitted["same"] == 0.25
    assert sum(map(abs, tuned.fitted.values())) == pytest.approx(1.25)  # the total of those before
    assert tuned.fitted["c0"] == pytest.approx(0.4, abs=0.05)


def test_of_very_many_labels_whole_tasks_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("agentrl.envs.rubrics.tuning.tune"), "_MOST_GROUPS", 90)
    tuned = tune(preferences(4, num=120), named(TRUE), np.random.default_rng(7))
    assert (tuned.num_given, tuned.num_labels, tuned.num_tasks) == (120, 90, 90)


def test_the_same_generator_gives_the_same_answer() -> None:
    first, second = (tune(preferences(4, num=100), named(TRUE), np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_a_clip_that_makes_all_rewards_equal_orders_nothing() -> None:
    examples = preferences(6, num=120)
    tuned = tune(examples, named(np.abs(TRUE)), np.random.default_rng(6), clip=(50.0, 60.0))
    assert tuned.agreement.before.value == tuned.agreement.after.value == 0.5
    assert not tuned.gains
