"""The statistics of judges, against numbers worked by hand, scipy and statsmodels, and what is known of data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from agentrl.envs.rubrics.judges import measures
from agentrl.envs.rubrics.judges.measures import (
    bootstrapped,
    kendall,
    mean,
    partial_correlation,
    reliability,
    share,
    spearman,
    weighted_kappa,
)


@pytest.mark.parametrize("seed", range(5))
def test_they_agree_with_scipy_and_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(1, 6, size=60)
    second = np.clip(first + rng.integers(-2, 3, size=60), 1, 5)  # with many ties
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    table, _ = to_table(np.column_stack([first, second]), bins=np.arange(0.5, 6.5))
    assert weighted_kappa(first, second) == pytest.approx(cohens_kappa(table, wt="quadratic").kappa)
    third = rng.normal(size=60)
    left = [each - np.polyval(np.polyfit(third, each, 1), third) for each in (first, second)]
    expected = stats.pearsonr(*left)
    found, p = partial_correlation(first, second, third)
    assert found.value == pytest.approx(expected.statistic)
    assert p == pytest.approx(2 * stats.t.sf(abs(found.value) * np.sqrt(57 / (1 - found.value**2)), 57))
    assert found.low < found.value < found.high


def test_many_rows_take_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 6, size=(2, 50))
    by_pairs = kendall(first, second)
    monkeypatch.setattr(measures, "_MANY", 10)
    assert kendall(first, second) == pytest.approx(by_pairs)


def test_reliability_by_hand() -> None:
    # Means 2, 5, 8: between 2 * 9 = 18; within (2 + 2 + 2) / 3 = 2; (18 - 2) / (18 + 2).
    assert reliability(np.array([[1, 3], [4, 6], [7, 9]])) == pytest.approx(0.8)
    assert reliability(np.array([[1, 1], [1, 1]])) == 1.0
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4000, 1)) * 2 + rng.normal(size=(4000, 3))
    assert reliability(table) == pytest.approx(0.8, abs=0.02)  # 4 of 5 parts of the variance


def test_what_ranks_nothing_correlates_with_nothing() -> None:
    flat, rising = np.ones(10), np.arange(10.0)
    assert spearman(flat, rising) == kendall(flat, rising) == kendall(rising, flat) == 0.0
    assert weighted_kappa(flat, flat) == 0.0
    found, p = partial_correlation(rising * 2, rising**2, rising)  # nothing is left of the first
    assert (found.value, p) == (0.0, 1.0)
    found, p = partial_correlation(rising[:4], rising[:4], flat[:4])
    assert (found.low, found.high, p) == (-1.0, 1.0, 1.0)  # too few for an interval


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 120 samples of a known mean, with three episodes of each task that resemble each other."""
    monkeypatch.setattr(measures, "_RESAMPLES", 300)
    rng = np.random.default_rng(3)
    held = naive = 0
    for _ in range(120):
        values = np.repeat(rng.normal(size=40), 3) + 0.3 * rng.normal(size=120)
        tasks = [str(index // 3) for index in range(120)]
        found = bootstrapped(mean, [values], tasks, rng)
        held += found.low <= 0 <= found.high
        alone = bootstrapped(mean, [values], list(map(str, range(120))), rng)
        naive += alone.low <= 0 <= alone.high
    assert 107 <= held <= 119  # of 114 expected
    assert naive < 100  # had every episode counted as a task of its own


def test_shares_are_wilsons() -> None:
    found = share(8, 10)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)
