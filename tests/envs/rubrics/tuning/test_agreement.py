"""Agreement is what others compute, folds keep tasks whole, and too little is refused."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.tuning import Examples, tune
from agentrl.envs.rubrics.tuning.agreement import agreement
from agentrl.envs.rubrics.tuning.examples import Floats
from agentrl.envs.rubrics.tuning.fit import folds_of
from tests.envs.rubrics.tuning.synthetic import TRUE, named, preferences


def singles(labels: Floats, kind: str = "classes", *, per_task: int = 3) -> Examples:
    num = len(labels)
    return Examples(
        kind=kind,  # type: ignore[arg-type]  # one of them
        names=("c0",),
        values=np.linspace(0, 1, num)[:, None],
        tasks=tuple(f"task {at // per_task}" for at in range(num)),
        episodes=np.arange(num),
        labels=labels,
    )


def test_of_classes_it_is_the_area_under_the_roc_curve() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 90).astype(float)
    before, after = labels + rng.normal(0, 2, 90), np.round(labels + rng.normal(0, 1, 90))  # some are equal
    examples = singles(labels)
    found = agreement(examples, examples.groups(), before, after, rng)
    assert found.before.value == pytest.approx(roc_auc_score(labels, before))
    assert found.after.value == pytest.approx(roc_auc_score(labels, after))
    assert found.gain.value == pytest.approx(found.after.value - found.before.value)
    assert found.gain.low < found.gain.value < found.gain.high


def test_of_numbers_it_is_the_share_of_pairs_that_differ() -> None:
    rng = np.random.default_rng(1)
    labels, rewards = rng.integers(0, 5, 60).astype(float), rng.integers(0, 5, 60).astype(float)
    pairs = [(i, j) for i, j in itertools.combinations(range(60), 2) if labels[i] != labels[j]]
    right = sum((np.sign(rewards[i] - rewards[j]) * np.sign(labels[i] - labels[j]) + 1) / 2 for i, j in pairs)
    examples = singles(labels, "numbers")
    found = agreement(examples, examples.groups(), rewards, labels, rng)
    assert found.num_pairs == len(pairs)
    assert found.before.value == pytest.approx(right / len(pairs))
    assert found.after == dataclasses.replace(found.after, value=1.0, low=1.0, high=1.0)


def test_of_preferences_ties_count_for_nothing_and_equal_rewards_are_half_right() -> None:
    examples = Examples(
        kind="preferences",
        names=("c0",),
        values=np.zeros((8, 1)),
        tasks=tuple("aabbccdd"),
        episodes=np.arange(8).reshape(4, 2),
        labels=np.array([1.0, 0.0, 1.0, 0.5]),
    )
    before = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [3.0, 0.0]])
    found = agreement(examples, examples.groups(), before, before, np.random.default_rng(0))
    assert (found.num_pairs, found.before.value) == (3, 0.5)
    assert (found.gain.low, found.gain.high) == (0.0, 0.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        labels = (rng.random(80) < 0.7).astype(float)  # the first is better in 70 of 100
        examples = Examples(
            kind="preferences",
            names=("c0",),
            values=np.zeros((160, 1)),
            tasks=tuple(f"task {at // 2}" for at in range(160)),
            episodes=np.arange(160).reshape(80, 2),
            labels=labels,
        )
        rewards = np.tile([1.0, 0.0], (80, 1))
        found = agreement(examples, examples.groups(), rewards, rewards, rng).before
        held += found.low <= 0.7 <= found.high
    assert 88 <= held <= 99


@given(st.lists(st.integers(0, 30), min_size=40, max_size=80), st.integers(0, 2**32 - 1))
def test_a_task_is_never_on_both_sides(numbers: list[int], seed: int) -> None:
    groups = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    if groups.max() < 4:
        return
    held_out: list[int] = []
    for train, held in folds_of(groups, np.random.default_rng(seed)):
        assert not set(groups[train]) & set(groups[held])
        assert len(train) + len(held) == len(groups)
        held_out += held.tolist()
    assert sorted(held_out) == list(range(len(groups)))  # each is held out once


def test_preferences_between_tasks_tie_them_into_one_group() -> None:
    examples = dataclasses.replace(preferences(0, num=3), tasks=("a", "b", "b", "c", "d", "d"))
    assert examples.groups().tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        (
            preferences(0, num=79),
            "79, but tuning needs 80 (20 for each of 4 components that differ); label 1 more",
        ),
        (preferences(0, num=0), "there are no labels"),
        (dataclasses.replace(preferences(0, num=100), tasks=("one",) * 200), "of 1 tasks that can be held out apart"),
        (dataclasses.replace(preferences(0, num=100), values=np.ones((200, 4))), "give all labelled episodes the same"),
        (dataclasses.replace(preferences(0, num=100), labels=np.full(100, 0.5)), "no tie: 0, but tuning needs 80"),
        (singles((np.arange(100) < 9).astype(float)), "labels that are true, the rarer class: 9, but tuning needs 10"),
        (
            singles((np.arange(100) >= 9).astype(float)),
            "false, the rarer class: 9, but tuning needs 10",
        ),
        (singles(np.arange(14.0), "numbers"), "labelled episodes: 14, but tuning needs 15"),
        (singles(np.full(90, 2.0), "numbers"), "all labels are 2"),
        (singles(np.arange(57.0), "numbers"), "of 19 tasks that can be held out apart, but tuning needs 20"),
    ],
)
def test_too_little_is_refused_with_what_is_missing(examples: Examples, told: str) -> None:
    weights = named(TRUE) if examples.kind == "preferences" else {"c0": 1.0}
    with pytest.raises(UsageError) as caught:
        tune(examples, weights, np.random.default_rng(0))
    assert told in str(caught.value)


def test_examples_that_do_not_fit_together_are_refused() -> None:
    good = preferences(0, num=5)
    for change in (
        {"names": ("c0",)},
        {"labels": np.array([1.0, 0.0, 1.0, 0.3, 1.0])},
        {"labels": np.array([1.0, 0.0])},
        {"episodes": np.zeros((5, 2), dtype=np.int64)},
        {"values": np.full((10, 4), np.nan)},
    ):
        with pytest.raises(UsageError):
            dataclasses.replace(good, **change)
