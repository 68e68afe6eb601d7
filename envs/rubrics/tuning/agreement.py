"""How well rewards agree with labels: the share of pairs that they order as the labels do, with intervals over tasks.

Of preferences each decided pair counts. Of classes these are the pairs of a true and a false one, which makes the share
the area under the ROC curve (Hanley & McNeil 1982); of numbers all pairs that differ. Equal rewards are half right.
Intervals are percentiles of a bootstrap that draws whole groups, for before, after and their difference at once. That
of the difference is the stricter: weights that somebody chose are not replaced for what noise does once in forty times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentrl.envs.rubrics.tuning.examples import Examples, Floats, Ints

__all__ = ["Agreement", "Interval", "agreement"]

_RESAMPLES = 1999
_CHUNK = 256  # labels whose pairs with all others are held in memory at once


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure, with the interval that holds the true one in 95 of 100 cases, of a gain in 99."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two rewards for the same episodes with the labels."""

    before: Interval
    after: Interval
    gain: Interval  # after less before, on the same pairs; its confidence is 0.99 where that of the others is 0.95
    num_pairs: int  # that the labels order


def agreement(
    examples: Examples,
    groups: Ints,
    before: Floats,
    after: Floats,
    rng: np.random.Generator,
) -> Agreement:
    """Compare two rewards with labels.

    Args:
        examples: Labels.
        groups: Of each label, [N].
        before: Rewards of the labelled episodes, [N]; of preferences of both, [N, 2].
        after: The other rewards, in the same shape.
        rng: Draws the groups.
    """
    num = int(groups.max()) + 1
    if examples.kind == "preferences":
        tables = _of_preferences(examples.labels, groups, np.stack([before, after]), num)
        counts = _drawn(num, rng)
        sums = counts @ tables.T  # [B, 3]
    else:
        blocks = _of_labels(examples.labels, groups, np.stack([before, after]), num)
        tables = blocks.sum(axis=2)
        counts = _drawn(num, rng)
        sums = np.stack([_weighted(counts, block) for block in blocks], axis=1)
    totals = tables.sum(axis=1)
    kept = sums[sums[:, 2] > 0]
    shares = kept[:, :2] / kept[:, 2:]
    first, second = totals[0] / totals[2], totals[1] / totals[2]

    def interval(value: float, drawn: Floats, confidence: float = 0.95) -> Interval:
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(value=float(value), low=float(low), high=float(high))

    return Agreement(
        before=interval(first, shares[:, 0]),
        after=interval(second, shares[:, 1]),
        gain=interval(second - first, shares[:, 1] - shares[:, 0], 0.99),
        num_pairs=int(totals[2]),
    )


def _drawn(num: int, rng: np.random.Generator) -> Floats:
    """Return how often each group is in each resample, [B, G]."""
    return rng.multinomial(num, np.full(num, 1.0 / num), size=_RESAMPLES).astype(np.float64)


def _of_preferences(labels: Floats, groups: Ints, rewards: Floats, num: int) -> Floats:
    """Return by group what is right before, right after, and decided: [3, G]."""
    decided = labels != 0.5
    wanted = np.sign(labels - 0.5)
    right = (np.sign(rewards[..., 0] - rewards[..., 1]) * wanted + 1) / 2 * decided
    rows = [*right, decided.astype(np.float64)]
    return np.stack([np.bincount(groups, weights=row, minlength=num) for row in rows])


def _of_labels(labels: Floats, groups: Ints, rewards: Floats, num: int) -> Floats:
    """Return by pairs of groups what is right before, right after, and ordered by the labels: [3, G, G]."""
    from scipy.sparse import csr_array

    member = csr_array((np.ones(len(labels)), (np.arange(len(labels)), groups)), shape=(len(labels), num))
    blocks = np.zeros((3, num, num))
    for start in range(0, len(labels), _CHUNK):
        rows = slice(start, start + _CHUNK)
        ordered = (labels[rows, None] > labels[None, :]).astype(np.float64)
        parts = [(np.sign(each[rows, None] - each[None, :]) + 1) / 2 * ordered for each in rewards]
        for block, part in zip(blocks, [*parts, ordered], strict=True):
            block += member[rows].T @ (part @ member)
    return blocks


def _weighted(counts: Floats, block: Floats) -> Floats:
    """Return the sum over pairs of labels in each resample; a group drawn twice is not paired with its own copy."""
    own = np.diagonal(block)
    apart = block - np.diag(own)
    return np.asarray(((counts @ apart) * counts).sum(axis=1) + counts @ own)
