"""The statistics of a judge, each with an interval of 95 %.

Episodes of one task resemble each other, so a bootstrap draws whole tasks. scipy is loaded when a function needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

__all__ = [
    "Estimate",
    "bootstrapped",
    "kendall",
    "mean",
    "partial_correlation",
    "reliability",
    "share",
    "spearman",
    "weighted_kappa",
]

_CONFIDENCE = 0.95
_RESAMPLES = 1000
_MANY = 400  # rows from which Kendall's tau by all pairs is slower than by sorting


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, and the interval that holds the true one in 95 cases of 100."""

    value: float
    low: float
    high: float


def weighted_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Return Cohen's kappa with quadratic weights (Cohen 1968): agreement beyond chance, of numbers on one scale.

    With these weights it is 1 - E(x - y)² / E(x - y')², y' drawn apart from x, and needs no table of categories.

    >>> round(weighted_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])), 6)
    0.5
    """
    chance = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1 - ((first - second) ** 2).mean() / chance) if chance > 0 else 0.0


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation; 0 where one of both is constant, and so ranks nothing.

    >>> spearman(np.array([1, 2, 3]), np.array([10, 20, 20])).__round__(4)
    0.866
    """
    return _correlation(_ranks(first), _ranks(second))


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Return Kendall's tau-b; 0 where one of both is constant.

    >>> kendall(np.array([1, 2, 3]), np.array([10, 20, 20])).__round__(4)
    0.8165
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    if len(first) > _MANY:
        from scipy.stats import kendalltau

        return float(kendalltau(first, second).statistic)
    # All pairs at once: for a few hundred rows several times faster than scipy, which a bootstrap feels.
    signs = [np.sign(each[:, None] - each[None, :]) for each in (first, second)]
    untied = math.sqrt(float(np.abs(signs[0]).sum()) * float(np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / untied


def mean(values: np.ndarray) -> float:
    """Return the mean."""
    return float(values.mean())


def reliability(table: np.ndarray) -> float:
    """Return the share of the variance that is between episodes, not between repeats (ICC(1), Shrout & Fleiss 1979).

    Args:
        table: Scores of shape (episodes, repeats), at least two of each.

    >>> reliability(np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]))
    1.0
    """
    repeats = table.shape[1]
    between = repeats * table.mean(axis=1).var(ddof=1)
    within = table.var(axis=1, ddof=1).mean()
    total = between + (repeats - 1) * within
    if total <= 0:
        return 1.0  # nothing varies
    return float((between - within) / total)


def bootstrapped(
    statistic: Callable[..., float], columns: Sequence[np.ndarray], tasks: Sequence[str], rng: np.random.Generator
) -> Estimate:
    """Return a statistic with a percentile bootstrap interval that draws whole tasks.

    Args:
        statistic: Of the columns.
        columns: Each with a row an episode.
        tasks: The task of each row.
        rng: Draws the tasks.
    """
    names = {task: index for index, task in enumerate(dict.fromkeys(tasks))}
    rows: list[list[int]] = [[] for _ in names]
    for index, task in enumerate(tasks):
        rows[names[task]].append(index)
    members = [np.array(each) for each in rows]
    single = np.concatenate(members) if len(members) == len(tasks) else None
    drawn = []
    for _ in range(_RESAMPLES):
        indexes = rng.integers(len(members), size=len(members))
        picked = np.concatenate([members[index] for index in indexes]) if single is None else single[indexes]
        drawn.append(statistic(*(column[picked] for column in columns)))
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(value=statistic(*columns), low=float(low), high=float(high))


def share(num: int, of: int) -> Estimate:
    """Return a share with Wilson's interval (Wilson 1927).

    >>> found = share(0, 60)
    >>> found.value, found.low, round(found.high, 4)
    (0.0, 0.0, 0.0602)
    """
    from scipy.stats import binomtest

    interval = binomtest(num, of).proportion_ci(_CONFIDENCE, method="wilson")
    return Estimate(value=num / of, low=float(interval.low), high=float(interval.high))


def partial_correlation(first: np.ndarray, second: np.ndarray, given: np.ndarray) -> tuple[Estimate, float]:
    """Return how two things go together beyond what a third explains of both, and the p of none (Fisher 1924).

    Args:
        first: Such as scores.
        second: Such as the logarithms of lengths.
        given: Such as labels; explains linearly.
    """
    from scipy.stats import t

    left = [_residual(each.astype(float), given.astype(float)) for each in (first, second)]
    value = _correlation(*left)
    freedom = len(first) - 3
    if freedom < 2:
        return Estimate(value=value, low=-1.0, high=1.0), 1.0
    bounded = min(max(value, -1 + 1e-12), 1 - 1e-12)
    p = float(2 * t.sf(abs(bounded) * math.sqrt(freedom / (1 - bounded**2)), freedom))
    half = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2) / math.sqrt(freedom - 1)
    middle = math.atanh(bounded)
    return Estimate(value=value, low=math.tanh(middle - half), high=math.tanh(middle + half)), p


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, ties sharing the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    spread = first.std() * second.std()
    # What is left by rounding, where a third explains everything, is no spread.
    if spread <= 1e-12:
        return 0.0
    return float(np.clip(((first - first.mean()) * (second - second.mean())).mean() / spread, -1, 1))


def _residual(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    centred = given - given.mean()
    spread = float((centred**2).sum())
    slope = float((centred * values).sum()) / spread if spread > 0 else 0.0
    left: np.ndarray = values - values.mean() - slope * centred
    return left
