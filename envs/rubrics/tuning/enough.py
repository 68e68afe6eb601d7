"""Whether there are labels enough to tune by: too few fit anything, and the fit says nothing.

The least numbers are rules of thumb of regression: ten of the rarer class for each coefficient (Peduzzi et al. 1996),
of preferences, which have two outcomes of equal chance, twenty; of numbers fifteen (Harrell 2015, section 4.4).
Held-out intervals draw whole tasks, and of few their coverage falls short (Cameron, Gelbach & Miller 2008).
"""

from __future__ import annotations

import numpy as np

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.tuning.examples import Examples, Ints

__all__ = ["LEAST_TASKS", "check_enough"]

LEAST_TASKS = 20
_EACH = {"preferences": 20, "classes": 10, "numbers": 15}  # for each component that differs


def check_enough(examples: Examples, groups: Ints, num_free: int) -> None:
    """Refuse labels that cannot carry a fit.

    Args:
        examples: Labels.
        groups: Of each label.
        num_free: Components whose values differ.

    Raises:
        UsageError: Says how many there are, how many are needed, and why.
    """
    if not len(examples):
        raise UsageError("there are no labels to tune by; label episodes, or prefer one to another")
    if not num_free:
        raise UsageError(
            f"the components {', '.join(examples.names)} give all labelled episodes the same value; label episodes "
            "between which they differ"
        )
    kind = examples.kind
    need = _EACH[kind] * num_free
    why = f"{_EACH[kind]} for each of {num_free} component{'s' if num_free > 1 else ''} that differ"
    if kind == "preferences":
        have = int((examples.labels != 0.5).sum())
        _refuse(have, need, f"preferences that are no tie: {have}, but tuning needs {need} ({why})")
    elif kind == "classes":
        rarer = float(examples.labels.mean() <= 0.5)
        have = int((examples.labels == rarer).sum())
        name = "true" if rarer else "false"
        _refuse(have, need, f"labels that are {name}, the rarer class: {have}, but tuning needs {need} ({why})")
    else:
        have = len(examples)
        _refuse(have, need, f"labelled episodes: {have}, but tuning needs {need} ({why})")
        if np.ptp(examples.labels) == 0:
            raise UsageError(f"all labels are {examples.labels[0]:g}; there is nothing to tell apart")
    num = int(groups.max()) + 1
    if num < LEAST_TASKS:
        tied = ""
        if kind == "preferences":
            tied = "; preferences between tasks tie these into one, so prefer among episodes of the same task"
        raise UsageError(
            f"the labels are of {num} tasks that can be held out apart, but tuning needs {LEAST_TASKS}: whole tasks "
            f"are held out, and fewer say too little about others{tied}"
        )


def _refuse(have: int, need: int, told: str) -> None:
    if have < need:
        raise UsageError(f"{told}; label {need - have} more, or leave components out")
