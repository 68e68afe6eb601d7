"""The statistics of a bench: scores with intervals, pass@k and pass^k, and what a paired comparison can say.

Tasks are what is sampled, so that several episodes of one task never count as several tasks: intervals of means come
from a bootstrap over tasks, Wilson's interval is widened by the design effect. Every function is pure; randomness comes
from the generator handed in. scipy is loaded when a function needs it, since importing it takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from agentrl.bench.errors import UsageError

__all__ = [
    "Difference",
    "Estimate",
    "clustered_mean",
    "holm",
    "mcnemar",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "sign_flip",
    "smallest_difference",
    "success_rate",
    "wilson",
]

_RESAMPLES = 9999


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and the interval that holds the true one with the asked confidence."""

    value: float
    low: float
    high: float
    num_tasks: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better the second of two agents was on the same tasks."""

    value: float  # second minus first, mean over tasks
    low: float
    high: float
    num_tasks: int
    num_up: int  # tasks on which the second was better
    num_down: int  # tasks on which it was worse
    p: float  # of no difference: McNemar's exact test with one episode a task, else a sign-flip test over tasks
    smallest: float | None  # difference that so many tasks show with 80 % power; None: too few to show any


def wilson(successes: float, num: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927), which holds near 0 and 1 too.

    Args:
        successes: How many; a fraction where `num` is an effective size.
        num: Of how many; above 0.
        confidence: Of the two-sided interval.

    Raises:
        UsageError: Numbers of which there is no share.

    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not 0 <= successes <= num or num <= 0:
        raise UsageError(f"successes={successes!r} of num={num!r} is no share; give 0 <= successes <= num, num > 0")
    z = _z(confidence)
    share = successes / num
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return (0.0 if successes == 0 else max(0.0, middle - half)), (1.0 if successes == num else min(1.0, middle + half))


def success_rate(tasks: Sequence[Sequence[bool]], *, confidence: float = 0.95) -> Estimate:
    """Return the share of successes, with Wilson's interval at the effective size.

    Episodes of one task resemble each other. Their number is divided by the design effect, the variance of the share
    over tasks by that of as many independent episodes (Kish 1965), and is kept between the number of tasks and that of
    episodes. With one episode a task this is Wilson's interval.

    Args:
        tasks: For each task whether each of its episodes succeeded; at least one episode in all.
        confidence: Of the two-sided interval.

    Raises:
        UsageError: There is no episode.

    >>> success_rate([[True], [True], [False]]).num_tasks
    3
    """
    kept = _kept(tasks)
    num = sum(map(len, kept))
    rate = sum(map(sum, kept)) / num
    size = float(num)
    if num > len(kept):
        independent = rate * (1 - rate) / num
        size = float(len(kept))  # also where all episodes are alike: they say no more than one each task
        if independent > 0 and len(kept) > 1:
            residuals = [sum(task) - rate * len(task) for task in kept]
            variance = len(kept) / (len(kept) - 1) * sum(each * each for each in residuals) / num**2
            size = min(float(num), max(size, num * independent / variance)) if variance > 0 else float(num)
    low, high = wilson(min(rate * size, size), size, confidence=confidence)
    return Estimate(value=rate, low=low, high=high, num_tasks=len(kept))


def clustered_mean(tasks: Sequence[Sequence[float]], rng: np.random.Generator, *, confidence: float = 0.95) -> Estimate:
    """Return the mean over all episodes, with a percentile bootstrap interval that draws whole tasks.

    Args:
        tasks: For each task the values of its episodes; at least one value in all.
        rng: Draws the resamples.
        confidence: Of the two-sided interval.

    Raises:
        UsageError: There is no episode.
    """
    kept = _kept(tasks)
    sums = np.array([math.fsum(task) for task in kept])
    sizes = np.array([len(task) for task in kept], dtype=float)
    value = float(sums.sum() / sizes.sum())
    if len(kept) < 2 or np.ptp(sums / sizes) == 0:
        return Estimate(value=value, low=value, high=value, num_tasks=len(kept))  # a bootstrap knows nothing more
    from scipy.stats import bootstrap

    def ratio(total: np.ndarray, size: np.ndarray, axis: int = -1) -> np.ndarray:
        share: np.ndarray = total.sum(axis=axis) / size.sum(axis=axis)
        return share

    result = bootstrap(
        (sums, sizes),
        ratio,
        paired=True,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=_resamples(len(kept)),
        batch=_batch(len(kept)),
        method="percentile",
        rng=rng,
    )
    low, high = map(float, result.confidence_interval)
    return Estimate(value=value, low=low, high=high, num_tasks=len(kept))


def pass_at_k(num: int, successes: int, k: int) -> float:
    """Return the unbiased estimate of the chance that at least one of k episodes of a task succeeds.

    `1 - C(num - successes, k) / C(num, k)` (Chen et al. 2021, arXiv:2107.03374, equation 1), in whole numbers up to the
    last division.

    Args:
        num: Episodes of the task.
        successes: Of them.
        k: 1 to `num`.

    Raises:
        UsageError: Numbers that cannot be.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    _checked(num, successes, k)
    return 1 - math.comb(num - successes, k) / math.comb(num, k)


def pass_hat_k(num: int, successes: int, k: int) -> float:
    """Return the unbiased estimate of the chance that all of k episodes of a task succeed, pass^k.

    `C(successes, k) / C(num, k)` (Yao et al. 2024, arXiv:2406.12045).

    Args:
        num: Episodes of the task.
        successes: Of them.
        k: 1 to `num`.

    Raises:
        UsageError: Numbers that cannot be.

    >>> pass_hat_k(4, 2, 2) == 1 / 6
    True
    """
    _checked(num, successes, k)
    return math.comb(successes, k) / math.comb(num, k)


def mcnemar(num_up: int, num_down: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: that as many tasks flip up as down.

    Raises:
        UsageError: A negative number.

    >>> mcnemar(6, 0)
    0.03125
    """
    if min(num_up, num_down) < 0:
        raise UsageError(f"num_up={num_up!r}, num_down={num_down!r}: numbers of tasks are 0 or more")
    if num_up + num_down == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(num_up, num_up + num_down, 0.5).pvalue)


def sign_flip(differences: Sequence[float], rng: np.random.Generator) -> float:
    """Return the two-sided p-value that a difference is as likely to point up as down: a permutation test over tasks.

    With differences of -1, 0 and 1 this is McNemar's exact test. All sign patterns are tried where they are at most
    9,999, else as many are drawn; fewer, 999 at least, for more than 10,000 tasks that moved.

    Args:
        differences: One for each task.
        rng: Draws the patterns.
    """
    moved = np.array([each for each in differences if each != 0])
    if len(moved) < 2:
        return 1.0  # one sign out of two
    from scipy.stats import permutation_test

    def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
        found: np.ndarray = values.mean(axis=axis)
        return found

    result = permutation_test(
        (moved,),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_resamples(len(moved)),
        batch=_batch(len(moved)),
        rng=rng,
    )
    return float(result.pvalue)


def paired_difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    rng: np.random.Generator,
    *,
    confidence: float = 0.95,
) -> Difference:
    """Compare two agents on the same tasks: difference, interval from a paired bootstrap over tasks, p-value.

    Where all tasks move alike a bootstrap knows of nothing else and gives a point. For successes of single episodes
    Wilson's bound on how many other tasks there may be takes its place, those taken to move the worst way.

    Args:
        first: For each task the values of its episodes, at least one.
        second: The same tasks in the same order, as the other agent did them.
        rng: Draws the resamples.
        confidence: Of the two-sided interval.

    Raises:
        UsageError: Different numbers of tasks, or a task without a value.
    """
    if len(first) != len(second) or not first or not all(first) or not all(second):
        raise UsageError(
            f"{len(first)} and {len(second)} tasks cannot be paired; give the same tasks twice, each with an episode"
        )
    moves = [math.fsum(two) / len(two) - math.fsum(one) / len(one) for one, two in zip(first, second, strict=True)]
    found = clustered_mean([[move] for move in moves], rng, confidence=confidence)
    num_up, num_down = sum(move > 0 for move in moves), sum(move < 0 for move in moves)
    single = all(len(task) == 1 and task[0] in (0, 1) for tasks in (first, second) for task in tasks)
    low, high = found.low, found.high
    if single and low == high:
        others = wilson(0, len(moves), confidence=confidence)[1]
        worst = 2 * others if moves[0] else others  # a task that moves back takes away twice what one that stays does
        low, high = max(-1.0, found.value - worst), min(1.0, found.value + worst)
    return Difference(
        value=found.value,
        low=low,
        high=high,
        num_tasks=len(moves),
        num_up=num_up,
        num_down=num_down,
        p=mcnemar(num_up, num_down) if single else sign_flip(moves, rng),
        smallest=smallest_difference(moves, alpha=1 - confidence),
    )


def smallest_difference(moves: Sequence[float], *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Return the smallest true mean difference that so many tasks would have shown.

    `(z(1 - alpha/2) + z(power)) * deviation / sqrt(tasks)` with the deviation of the differences (the power analysis of
    Miller 2024, arXiv:2411.00640, with one variance in place of its parts). Where an episode is a success or none, it
    is no less than what an exact test can find significant at all: `1 - log2(alpha)` tasks that all flip one way.

    Args:
        moves: The difference of each task, in the unit of the result.
        alpha: The level of the test.
        power: The chance of finding the difference.

    Returns:
        The difference; None where so few tasks could not have shown even the largest.

    >>> round(smallest_difference([1.0] * 30 + [-1.0] * 20 + [0.0] * 50), 3)
    0.197
    """
    needed = math.ceil(1 - math.log2(alpha) - 1e-9)
    if len(moves) < needed:
        return None
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return max(z * float(np.std(moves, ddof=1)) / math.sqrt(len(moves)), needed / len(moves) if _flips(moves) else 0.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, so that any is wrong with the level's chance at most (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence={confidence!r} must be between 0 and 1; 0.95 is usual")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _kept(tasks: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    kept = [task for task in tasks if task]
    if not kept:
        raise UsageError("there is no episode to take a mean of; run some first")
    return kept


def _checked(num: int, successes: int, k: int) -> None:
    if not 0 <= successes <= num or not 1 <= k <= num:
        raise UsageError(
            f"{successes} successes of {num} episodes and k={k} cannot be; k is 1 to the episodes of a task"
        )


def _flips(moves: Sequence[float]) -> bool:
    """Whether differences are those of one success or failure a task."""
    return all(move in (-1, 0, 1) for move in moves)


def _resamples(size: int) -> int:
    """Return how many resamples are drawn: fewer of very many tasks, so that 100,000 take seconds."""
    return max(999, min(_RESAMPLES, 10**8 // size))


def _batch(size: int) -> int:
    """Return how many resamples are held at once: 32 MB of them."""
    return max(1, (4 << 20) // size)
