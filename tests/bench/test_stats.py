"""Every figure beside a reference (scipy, statsmodels, all subsets counted one by one) and numbers worked by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.bench.errors import UsageError
from agentrl.bench.stats import (
    clustered_mean,
    holm,
    mcnemar,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    sign_flip,
    smallest_difference,
    success_rate,
    wilson,
)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("successes", "num"), [(0, 1), (1, 1), (0, 20), (20, 20), (8, 10), (137, 400), (1, 9999)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_that_of_scipy_and_statsmodels(successes: int, num: int, confidence: float) -> None:
    from scipy.stats import binomtest
    from statsmodels.stats.proportion import proportion_confint

    ours = wilson(successes, num, confidence=confidence)
    theirs = binomtest(successes, num).proportion_ci(confidence, method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours == pytest.approx(proportion_confint(successes, num, 1 - confidence, method="wilson"), abs=1e-12)


def test_wilson_by_hand() -> None:
    # 5 of 10 with z = 1.959964: middle 0.5, half = z/(1+z²/10) * sqrt(0.025 + z²/400) = 1.4160 * 0.186024
    assert wilson(5, 10) == pytest.approx((0.5 - 0.263405, 0.5 + 0.263405), abs=1e-5)


@pytest.mark.parametrize(("successes", "num"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_share(successes: int, num: int) -> None:
    with pytest.raises(UsageError, match=f"successes={successes}"):
        wilson(successes, num)
    with pytest.raises(UsageError, match=r"confidence=95"):
        wilson(1, 2, confidence=95)


def test_success_with_one_episode_a_task_is_wilson() -> None:
    found = success_rate([[True]] * 8 + [[False]] * 2)
    assert (found.value, found.num_tasks) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx(wilson(8, 10))


def test_episodes_that_are_all_alike_in_a_task_count_once() -> None:
    # Four copies of ten tasks say no more than ten tasks; n/(n-1) of the cluster variance makes it a little wider.
    copies = success_rate([[True] * 4] * 8 + [[False] * 4] * 2)
    assert (copies.low, copies.high) == pytest.approx(wilson(8, 10))
    assert success_rate([[True] * 4] * 10).low == pytest.approx(wilson(10, 10)[0])


def test_episodes_that_do_not_resemble_each_other_count_each() -> None:
    # Every task half: the residuals are all 0, so the episodes say at least as much as independent ones.
    found = success_rate([[True, False]] * 10)
    assert (found.low, found.high) == pytest.approx(wilson(10, 20))


def test_the_design_effect_by_hand() -> None:
    # Sums 2, 1, 1, 0 of 2 each: rate 1/2; residuals 1, 0, 0, -1; variance 4/3 * 2 / 64 = 1/24; independent 1/32.
    # Effective size 8 * (1/32) / (1/24) = 6.
    found = success_rate([[True, True], [True, False], [False, True], [False, False]])
    assert (found.low, found.high) == pytest.approx(wilson(3, 6))


def test_the_clustered_interval_is_as_wide_as_the_cluster_robust_error() -> None:
    import statsmodels.api

    rng = _rng()
    tasks = [list(rng.normal(rng.normal(), 0.3, size=int(rng.integers(1, 6)))) for _ in range(200)]
    found = clustered_mean(tasks, rng)
    values = np.concatenate([np.array(task) for task in tasks])
    groups = np.repeat(np.arange(200), [len(task) for task in tasks])
    fit = statsmodels.api.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.value == pytest.approx(float(fit.params[0]))
    low, high = fit.conf_int()[0]
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    naive = 1.96 * values.std() / math.sqrt(len(values))
    assert found.high - found.low > 2.5 * naive  # as wide as if the episodes were independent would be 2


def test_a_bootstrap_small_enough_to_count() -> None:
    # Of 0 and 1 there are four resamples: means 0, 1/2, 1/2, 1. The 2.5 % and 97.5 % points are 0 and 1.
    found = clustered_mean([[0.0], [1.0]], _rng())
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    # Tasks of unequal size: the mean is over episodes, 3/4; resamples give 0/2, 3/4, 3/4 or 6/6... of whole tasks.
    found = clustered_mean([[0.0], [1.0, 1.0, 1.0]], _rng())
    assert (found.value, found.low, found.high) == (0.75, 0.0, 1.0)


def test_where_nothing_varies_the_interval_is_a_point() -> None:
    found = clustered_mean([[0.5], [0.5, 0.5]], _rng())
    assert (found.value, found.low, found.high, found.num_tasks) == (0.5, 0.5, 0.5, 2)
    with pytest.raises(UsageError, match="no episode"):
        clustered_mean([[], []], _rng())


def test_the_same_generator_gives_the_same_interval() -> None:
    tasks = [[float(each)] for each in range(30)]
    assert clustered_mean(tasks, _rng()) == clustered_mean(tasks, _rng())


@pytest.mark.parametrize(("num", "k"), [(num, k) for num in range(1, 8) for k in range(1, num + 1)])
def test_pass_at_k_and_pass_hat_k_are_shares_of_all_subsets(num: int, k: int) -> None:
    for successes in range(num + 1):
        outcomes = [True] * successes + [False] * (num - successes)
        subsets = list(itertools.combinations(outcomes, k))
        assert pass_at_k(num, successes, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-15)
        assert pass_hat_k(num, successes, k) == pytest.approx(sum(map(all, subsets)) / len(subsets), abs=1e-15)


@given(st.integers(1, 300), st.data())
@settings(max_examples=200, deadline=None)
def test_pass_at_k_is_the_product_of_the_paper(num: int, data: st.DataObject) -> None:
    successes, k = data.draw(st.integers(0, num)), data.draw(st.integers(1, num))
    # HumanEval computes 1 - prod(1 - k / i for i in n-c+1 … n), which is 1 where fewer than k failed.
    product = Fraction(1)
    for i in range(num - successes + 1, num + 1):
        product *= max(Fraction(0), 1 - Fraction(k, i))
    expected = 1.0 if num - successes < k else float(1 - product)
    assert pass_at_k(num, successes, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("num", "successes", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_refuses_what_cannot_be(num: int, successes: int, k: int) -> None:
    for function in (pass_at_k, pass_hat_k):
        with pytest.raises(UsageError, match=f"k={k} cannot be"):
            function(num, successes, k)


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (6, 0), (3, 9), (17, 5), (40, 41)])
def test_mcnemar_is_that_of_statsmodels(up: int, down: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    expected = theirs([[50, up], [down, 50]], exact=True).pvalue if up + down else 1.0
    assert mcnemar(up, down) == pytest.approx(float(expected))
    moves = [1.0] * up + [-1.0] * down + [0.0] * 20
    if up + down <= 13:  # all patterns are tried
        assert sign_flip(moves, _rng()) == pytest.approx(mcnemar(up, down))
    else:
        assert sign_flip(moves, _rng()) == pytest.approx(mcnemar(up, down), abs=0.02)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(1, 5) == 2 * (1 + 6) / 64
    with pytest.raises(UsageError, match="num_up=-1"):
        mcnemar(-1, 0)


def test_sign_flip_by_hand() -> None:
    # 1, 2, 3 against all eight patterns: sums of 6 and -6 are one each, so 2/8.
    assert sign_flip([1.0, 2.0, 3.0], _rng()) == 0.25
    assert sign_flip([0.0, 0.0], _rng()) == 1.0


def test_a_paired_difference_of_single_episodes() -> None:
    first = [[1.0]] * 10 + [[0.0]] * 30
    second = [[1.0]] * 8 + [[0.0]] * 2 + [[1.0]] * 12 + [[0.0]] * 18
    found = paired_difference(first, second, _rng())
    assert (found.value, found.num_tasks, found.num_up, found.num_down) == (0.25, 40, 12, 2)
    assert found.p == mcnemar(12, 2)
    deviation = math.sqrt((14 - 40 * 0.25**2) / 39)
    half = 1.96 * deviation / math.sqrt(40)
    assert (found.low, found.high) == pytest.approx((0.25 - half, 0.25 + half), abs=0.03)
    assert found.smallest == pytest.approx((1.959964 + 0.841621) * deviation / math.sqrt(40), abs=1e-5)


def test_a_paired_difference_where_all_tasks_move_alike() -> None:
    others = wilson(0, 10)[1]  # 27.8 % of other tasks may exist that none of ten is
    up = paired_difference([[0.0]] * 10, [[1.0]] * 10, _rng())
    assert (up.value, up.high) == (1.0, 1.0)
    assert up.low == pytest.approx(1 - 2 * others)
    none = paired_difference([[1.0]] * 10, [[1.0]] * 10, _rng())
    assert (none.low, none.high) == pytest.approx((-others, others))
    rewards = paired_difference([[0.25]] * 10, [[0.5]] * 10, _rng())
    assert (rewards.low, rewards.high) == (0.25, 0.25)


def test_a_paired_difference_of_several_episodes_a_task() -> None:
    first = [[0.0, 1.0]] * 12
    second = [[1.0, 1.0]] * 8 + [[0.0, 1.0]] * 4
    found = paired_difference(first, second, _rng())
    assert found.value == pytest.approx(8 * 0.5 / 12)
    assert found.p == 2 / 2**8  # all that moved moved up
    assert (found.num_up, found.num_down) == (8, 0)
    with pytest.raises(UsageError, match="12 and 11 tasks"):
        paired_difference(first, second[1:], _rng())


def test_pairing_shows_what_two_intervals_hide() -> None:
    first = [[float(task % 2)] for task in range(100)]
    second = [[1.0] if task in (0, 2, 4, 6, 8, 10, 12) else first[task] for task in range(100)]
    found = paired_difference(first, second, _rng())
    assert found.low > 0
    assert found.p < 0.05
    alone = [success_rate([[each[0] > 0] for each in tasks]) for tasks in (first, second)]
    assert alone[0].high > alone[1].value  # apart they could not be told


def test_the_smallest_difference_has_the_power_it_says() -> None:
    rng = _rng()
    deviation, num = 0.5, 60
    smallest = smallest_difference(list(rng.normal(0, deviation, 20_000)), alpha=0.05)
    assert smallest is not None
    smallest *= math.sqrt(20_000 / num)  # what 60 tasks could show
    runs = rng.normal(smallest, deviation, (4000, num))
    z = runs.mean(axis=1) / (runs.std(axis=1, ddof=1) / math.sqrt(num))
    assert float((np.abs(z) > 1.96).mean()) == pytest.approx(0.8, abs=0.03)


def test_the_smallest_difference_of_few_tasks() -> None:
    assert smallest_difference([1.0] * 5) is None  # 2 * 0.5**5 is above 0.05
    assert smallest_difference([1.0] * 6) == 1.0
    assert smallest_difference([0.0] * 60) == 0.1  # six flips of sixty: nothing less is significant


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)
