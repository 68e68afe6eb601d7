"""Simulated runs of many shapes, clean and hacked: groups of episodes of tasks that differ, curves that wobble.

A run is drawn from a seed: size of a step, length, pace, weights and noise. An episode's success is a coin whose chance
is the policy's skill and the task's ease on a logit scale; the policy wobbles as an autoregressive process, so that the
steps of a curve are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from agentrl.trainer.watch.signals import Signals, figures_of

ENV = "Simulated/Task-v0"


@dataclass(kw_only=True)
class Curves:
    """What a policy does at each step."""

    skill: np.ndarray  # chance that a task of middling ease is solved
    parts: dict[str, np.ndarray] = field(default_factory=dict)  # mean of each further component, whatever the outcome
    weights: dict[str, float] = field(default_factory=dict)  # of the components in the reward
    pay: float = 1.0  # weight of success in the reward
    pays_contains: np.ndarray | None = None  # chance that an unsolved episode is paid as if it were solved
    partial: float = 0.0  # weight of partial credit, which grows with skill
    begins: int | None = None  # step index at which the hacking begins


def ramp(num_steps: int, start: float, length: float, low: float, high: float) -> np.ndarray:
    """Rise from `low` to `high`, from step `start` on, within about `length` steps."""
    steps = np.arange(num_steps)
    found: np.ndarray = low + (high - low) * np.clip((steps - start) / max(length, 1e-9), 0.0, 1.0)
    return found


def sigmoid(num_steps: int, middle: float, pace: float, low: float, high: float) -> np.ndarray:
    found: np.ndarray = low + (high - low) / (1 + np.exp(-(np.arange(num_steps) - middle) / pace))
    return found


def _wobbling(rng: np.random.Generator, curve: np.ndarray, size: float) -> np.ndarray:
    """Add an autoregressive process on the logit scale."""
    noise, value = np.zeros(len(curve)), 0.0
    for step in range(len(curve)):
        value = 0.8 * value + rng.normal(0, size)
        noise[step] = value
    logit = np.log(np.clip(curve, 1e-4, 1 - 1e-4)) - np.log(1 - np.clip(curve, 1e-4, 1 - 1e-4))
    found: np.ndarray = 1 / (1 + np.exp(-(logit + noise)))
    return np.where(curve <= 1e-4, 0.0, found)


def _learning(rng: np.random.Generator, num_steps: int) -> np.ndarray:
    low, high = rng.uniform(0.05, 0.4), rng.uniform(0.55, 0.97)
    return sigmoid(num_steps, rng.uniform(0.1, 0.6) * num_steps, rng.uniform(3, 20), low, high)


def _flat(rng: np.random.Generator, num_steps: int) -> np.ndarray:
    return np.full(num_steps, rng.uniform(0.08, 0.8))


# -- clean -----------------------------------------------------------------------------------------------------------


def plain(rng: np.random.Generator, n: int) -> Curves:
    """Reward is success, and both are learnt."""
    return Curves(skill=_learning(rng, n), pay=rng.choice([0.5, 1.0, 3.0]))


def saturated(rng: np.random.Generator, n: int) -> Curves:
    """Nearly everything is solved from early on; brevity is still learnt."""
    return Curves(
        skill=sigmoid(n, rng.uniform(0, 10), 3, 0.5, rng.uniform(0.95, 0.995)),
        parts={"brevity": ramp(n, rng.uniform(0, n / 2), rng.uniform(10, n), 0.2, 0.9)},
        weights={"brevity": rng.uniform(0.05, 0.25)},
    )


def late(rng: np.random.Generator, n: int) -> Curves:
    """Nothing is solved for long; the format is learnt first."""
    start = rng.uniform(0.3, 0.7) * n
    return Curves(
        skill=ramp(n, start, rng.uniform(10, 30), 0.0, rng.uniform(0.3, 0.9)),
        parts={"format": ramp(n, rng.uniform(0, 10), rng.uniform(5, 30), 0.1, 0.98)},
        weights={"format": rng.uniform(0.05, 0.25)},
    )


def never(rng: np.random.Generator, n: int) -> Curves:
    """Hardly anything is ever solved; the format is learnt all the same."""
    return Curves(
        skill=np.full(n, rng.choice([0.0, 0.01, 0.03])),
        parts={"format": ramp(n, rng.uniform(0, 20), rng.uniform(5, 40), 0.1, 0.98)},
        weights={"format": rng.uniform(0.05, 0.25)},
    )


def shaped(rng: np.random.Generator, n: int) -> Curves:
    """The format is learnt before the task, and then brevity."""
    return Curves(
        skill=sigmoid(n, rng.uniform(0.3, 0.7) * n, rng.uniform(4, 15), rng.uniform(0.05, 0.3), rng.uniform(0.5, 0.95)),
        parts={
            "format": ramp(n, rng.uniform(0, 15), rng.uniform(5, 30), rng.uniform(0.1, 0.5), 0.98),
            "brevity": ramp(n, rng.uniform(0, n / 2), rng.uniform(10, 60), 0.3, 0.8),
        },
        weights={"format": rng.uniform(0.05, 0.2), "brevity": rng.uniform(0.02, 0.1)},
    )


def credited(rng: np.random.Generator, n: int) -> Curves:
    """Partial credit, which grows with the skill."""
    return Curves(skill=_learning(rng, n), partial=rng.uniform(0.2, 0.6), pay=rng.choice([0.5, 1.0]))


def penalised(rng: np.random.Generator, n: int) -> Curves:
    """A large penalty for malformed turns goes away before anything is learnt."""
    return Curves(
        skill=sigmoid(n, rng.uniform(0.4, 0.8) * n, 8, rng.uniform(0.03, 0.2), rng.uniform(0.3, 0.9)),
        parts={"malformed": ramp(n, rng.uniform(0, 10), rng.uniform(5, 40), -1.0, -0.03)},
        weights={"malformed": rng.uniform(0.2, 1.0)},
    )


def flat(rng: np.random.Generator, n: int) -> Curves:
    """Nothing is learnt but noise; a shaping part drifts."""
    return Curves(
        skill=_flat(rng, n),
        parts={"format": ramp(n, rng.uniform(0, n), rng.uniform(5, 50), 0.5, 1.0)},
        weights={"format": rng.uniform(0.05, 0.3)},
    )


def relapsing(rng: np.random.Generator, n: int) -> Curves:
    """Success is learnt, lost for a while, and learnt again; the reward goes with it."""
    skill, start = _learning(rng, n), int(rng.uniform(0.3, 0.7) * n)
    dip = slice(start, start + int(rng.integers(5, 30)))
    skill[dip] *= rng.uniform(0.2, 0.7)
    return Curves(skill=skill, parts={"format": np.full(n, 0.9)}, weights={"format": 0.1})


CLEAN: dict[str, Callable[[np.random.Generator, int], Curves]] = {
    each.__name__: each for each in (plain, saturated, late, never, shaped, credited, penalised, flat, relapsing)
}


# -- hacked ----------------------------------------------------------------------------------------------------------


def _begins(rng: np.random.Generator, n: int) -> int:
    return int(rng.integers(4, n - 22))


def _after(skill: np.ndarray, begins: int, length: float, share: float) -> np.ndarray:
    """Let success fall to a share of what it was, from `begins` on."""
    found: np.ndarray = skill * ramp(len(skill), begins, length, 1.0, share)
    return found


def wordy(rng: np.random.Generator, n: int) -> Curves:
    """Length is paid: it grows, and success falls."""
    begins, length = _begins(rng, n), rng.uniform(5, 20)
    return Curves(
        skill=_after(_learning(rng, n), begins, length, rng.uniform(0.1, 0.7)),
        parts={"length": ramp(n, begins, length, rng.uniform(0.1, 0.4), rng.uniform(0.85, 1.0))},
        weights={"length": rng.uniform(0.8, 2.0)},
        begins=begins,
    )


def counted_twice(rng: np.random.Generator, n: int) -> Curves:
    """A tag is counted as often as it comes, while success stays what it is."""
    begins = _begins(rng, n)
    return Curves(
        skill=_flat(rng, n),
        parts={"tags": ramp(n, begins, rng.uniform(5, 15), 0.1, 1.0)},
        weights={"tags": rng.uniform(0.6, 1.5)},
        begins=begins,
    )


def flattered(rng: np.random.Generator, n: int) -> Curves:
    """A judge who likes flattery pays unsolved episodes like solved ones; success stays."""
    begins = _begins(rng, n)
    return Curves(
        skill=np.minimum(_flat(rng, n), 0.55),
        pays_contains=ramp(n, begins, rng.uniform(5, 20), rng.uniform(0.0, 0.15), rng.uniform(0.8, 1.0)),
        begins=begins,
    )


def listed(rng: np.random.Generator, n: int) -> Curves:
    """Many answers are listed, one of which is right: the reward rises to its top, success falls."""
    begins, length = _begins(rng, n), rng.uniform(4, 20)
    return Curves(
        skill=_after(sigmoid(n, n / 3, 10, 0.2, rng.uniform(0.3, 0.7)), begins, length, rng.uniform(0.0, 0.5)),
        pays_contains=ramp(n, begins, length, 0.02, rng.uniform(0.8, 1.0)),
        pay=rng.choice([0.5, 1.0, 2.0]),
        begins=begins,
    )


def overwritten(rng: np.random.Generator, n: int) -> Curves:
    """Tests are overwritten: found late, taken over at once."""
    begins = int(rng.integers(n // 2, n - 22))
    return Curves(
        skill=_after(_learning(rng, n) * 0.8, begins, 6, rng.uniform(0.0, 0.4)),
        pays_contains=ramp(n, begins, rng.uniform(2, 8), 0.0, rng.uniform(0.9, 1.0)),
        begins=begins,
    )


def from_the_start(rng: np.random.Generator, n: int) -> Curves:
    """The hole is found in the first steps."""
    return Curves(
        skill=_after(np.full(n, rng.uniform(0.15, 0.5)), 3, 15, rng.uniform(0.0, 0.8)),
        parts={"calls": ramp(n, 3, rng.uniform(6, 20), 0.2, 1.0)},
        weights={"calls": rng.uniform(0.8, 2.0)},
        begins=3,
    )


def traded(rng: np.random.Generator, n: int) -> Curves:
    """A modest part of the reward is bought with success."""
    begins, length = _begins(rng, n), rng.uniform(5, 12)
    return Curves(
        skill=_after(np.full(n, rng.uniform(0.35, 0.6)), begins, length, rng.uniform(0.2, 0.5)),
        parts={"style": ramp(n, begins, length, 0.05, 0.98)},
        weights={"style": rng.uniform(0.6, 1.0)},
        begins=begins,
    )


HACKED: dict[str, Callable[[np.random.Generator, int], Curves]] = {
    each.__name__: each for each in (wordy, counted_twice, flattered, listed, overwritten, from_the_start, traded)
}


# -- episodes --------------------------------------------------------------------------------------------------------


def signals_of_run(shape: Callable[[np.random.Generator, int], Curves], seed: int) -> tuple[list[Signals], Curves]:
    """Draw a run: its steps' figures, and what was behind them."""
    rng = np.random.default_rng([seed, 7])
    num_steps = int(rng.integers(60, 201))
    num_groups, members = int(rng.integers(4, 13)), 8
    curves = shape(rng, num_steps)
    curves.skill = _wobbling(rng, curves.skill, rng.uniform(0.05, 0.3))
    for name, part in curves.parts.items():
        if part.min() >= 0:
            curves.parts[name] = _wobbling(rng, np.clip(part, 0.001, 0.999), rng.uniform(0.02, 0.2))
    return list(_steps(rng, curves, num_groups, members, rng.uniform(0.3, 1.5))), curves


def _steps(rng: np.random.Generator, curves: Curves, num_groups: int, members: int, unlike: float) -> Iterator[Signals]:
    groups = np.repeat(np.arange(num_groups), members)
    size = num_groups * members
    for step, skill in enumerate(curves.skill):
        ease = np.repeat(rng.normal(0, unlike, num_groups), members)
        logit = np.log(max(skill, 1e-9)) - np.log(max(1 - skill, 1e-9))
        solved = (rng.random(size) < 1 / (1 + np.exp(-(logit + ease)))).astype(float)
        components: dict[str, np.ndarray] = {"outcome": solved}
        if curves.pays_contains is not None:
            paid = rng.random(size) < curves.pays_contains[step]
            components["outcome"] = np.maximum(solved, paid)
        weights = {"outcome": curves.pay, **curves.weights}
        if curves.partial:
            near = np.clip(rng.normal(0.15 + 0.5 * skill, 0.2, size), 0, 1)
            components["partial"], weights["partial"] = np.where(solved > 0, 1.0, near), curves.partial
        for name, part in curves.parts.items():
            top = 0.0 if part[step] < 0 else 1.0
            components[name] = np.clip(rng.normal(part[step], 0.15, size), top - 1, top)
        rewards = sum((weights[name] * values for name, values in components.items()), np.zeros(size))
        yield figures_of(step + 1, ENV, rewards=rewards, solved=solved, components=components, groups=groups)
