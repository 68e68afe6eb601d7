"""Tune the weights of a rubric to labels, and say honestly whether it is worth it.

The figure that is reported has not seen its own choices: in each of five outer folds the strengths are chosen and the
weights fitted on the other four, and the fifth, of other tasks, is scored with them (nested cross-validation, Varma &
Simon 2006). The given weights are judged on the same pairs. Only a gain whose 99 % interval lies above 0 is one.

Only the ratios of weights can be fitted: preferences and classes have no unit, and advantages that are normalised by
their group have none either. So the weights are scaled to the total of absolute values that they had before, and a
component whose values do not differ keeps its weight. Gates, clipping and normalising stay as they are.

What goes with good labels in these episodes need not bring them about, and a policy that is trained on it finds out. A
weight that changes its sign is named, and the tuned rubric is to be tried on cheats (`agentrl.envs.rubrics.design`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agentrl.envs.rubrics.tuning.agreement import Agreement, agreement
from agentrl.envs.rubrics.tuning.enough import check_enough
from agentrl.envs.rubrics.tuning.examples import Examples, Floats, Ints, Kind
from agentrl.envs.rubrics.tuning.fit import Fitted, fit, folds_of

__all__ = ["Tuned", "tune"]

_MOST_GROUPS = 2000  # whose pairs are compared; more change no digit that is shown


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What tuning found."""

    kind: Kind
    before: Mapping[str, float]  # weights as they were given
    fitted: Mapping[str, float]  # weights as fitted to all labels, in the total of those before; 0: can be left out
    dropped: tuple[str, ...]  # components that had a weight, and have none now
    flipped: tuple[str, ...]  # components whose weight has the other sign now, so that they pay for the opposite
    constant: tuple[str, ...]  # components whose values do not differ: nothing can be said of their weights
    agreement: Agreement  # on held-out tasks
    gains: bool  # whether the interval of the gain lies above 0
    num_labels: int  # that were used
    num_given: int  # labels that there were; of very many, whole tasks are drawn
    num_tasks: int  # groups of labels that are held out together
    lasso: float  # chosen strengths; see `Fitted`
    ridge: float


def tune(
    examples: Examples,
    weights: Mapping[str, float],
    rng: np.random.Generator,
    *,
    clip: tuple[float, float] | None = None,
) -> Tuned:
    """Fit weights to labels.

    Args:
        examples: Labels.
        weights: As they are, by component.
        rng: Draws folds and resamples.
        clip: Of the rubric's reward.

    Raises:
        UsageError: There are too few labels or tasks, or nothing differs between them.
    """
    num_given = len(examples)
    before = np.array([float(weights[name]) for name in examples.names])
    groups = examples.groups()
    if len(groups) and int(groups.max()) + 1 > _MOST_GROUPS:
        drawn = rng.choice(int(groups.max()) + 1, size=_MOST_GROUPS, replace=False)
        examples = examples.some(np.isin(groups, drawn))
        groups = examples.groups()
    free = _differing(examples)
    check_enough(examples, groups, int(free.sum()))
    held_out = np.zeros((*examples.episodes.shape,))
    given = _rewards(examples, before, clip)
    for train, held in folds_of(groups, rng):
        part = examples.some(train)
        found = fit(part, part.groups(), rng)
        scaled = _scaled(found.weights, before, free)
        held_out[held] = _rewards(examples.some(held), scaled, clip)
    compared = agreement(examples, groups, given, held_out, rng)
    final = fit(examples, groups, rng)
    return _tuned(examples, num_given, groups, before, final, free, compared)


def _tuned(
    examples: Examples,
    num_given: int,
    groups: Ints,
    before: Floats,
    final: Fitted,
    free: Floats,
    compared: Agreement,
) -> Tuned:
    scaled = _scaled(final.weights, before, free)
    named = list(zip(examples.names, before, scaled, free, strict=True))
    return Tuned(
        kind=examples.kind,
        before={name: float(old) for name, old, _, _ in named},
        fitted={name: float(new) for name, _, new, _ in named},
        dropped=tuple(name for name, old, new, moves in named if moves and old != 0 and new == 0),
        flipped=tuple(name for name, old, new, _ in named if old * new < 0),
        constant=tuple(name for name, _, _, moves in named if not moves),
        agreement=compared,
        gains=compared.gain.low > 0,
        num_labels=len(examples),
        num_given=num_given,
        num_tasks=int(groups.max()) + 1,
        lasso=final.lasso,
        ridge=final.ridge,
    )


def _differing(examples: Examples) -> Floats:
    """Return for each component whether its values differ between what is labelled."""
    inputs = examples.inputs()
    if not len(inputs):
        return np.zeros(len(examples.names), dtype=bool)
    middle = 0.0 if examples.kind == "preferences" else inputs.mean(axis=0)
    return np.asarray(np.abs(inputs - middle).max(axis=0) > 1e-9)


def _scaled(weights: Floats, before: Floats, free: Floats) -> Floats:
    """Return weights in the total of those before, those that cannot be fitted as they were."""
    total, found = np.abs(before[free]).sum(), np.abs(weights[free]).sum()
    scaled = before.copy()
    scaled[free] = weights[free] * ((total or 1.0) / found) if found > 0 else 0.0
    return scaled


def _rewards(examples: Examples, weights: Floats, clip: tuple[float, float] | None) -> Floats:
    """Return the reward of each labelled episode, of preferences of both."""
    rewards = examples.values[examples.episodes] @ weights
    return rewards if clip is None else np.clip(rewards, *clip)
