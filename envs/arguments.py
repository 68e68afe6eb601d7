"""Checks of what an environment is made with; each error names the value and what there is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import SPLITS

__all__ = ["check_box", "check_turn", "checked_choice", "checked_count", "checked_options", "checked_weights"]


def check_turn(action: object, *, is_over: bool) -> None:
    """Refuse what no step can take.

    Args:
        action: The assistant's turn.
        is_over: Whether the episode has ended, or not begun.

    Raises:
        UsageError: The action is no string, or there is no episode.

    >>> check_turn("<answer>4</answer>", is_over=False)
    """
    if not isinstance(action, str):
        raise UsageError(f"an action is a string, got {type(action).__name__}; pass the assistant's whole turn")
    if is_over:
        raise UsageError("the episode is over; call reset() first")


def check_box(name: str, *, runs_code: bool, backend: str, canaries: bool) -> None:
    """Refuse code without a box, and traps without one.

    Args:
        name: Of the environment.
        runs_code: Whether an episode runs what the model wrote.
        backend: Where.
        canaries: Whether traps are to be planted.

    Raises:
        UsageError: They do not go together.
    """
    if runs_code and backend == "local":
        raise UsageError(
            f"backend='local' would run the model's code in this process; {name} takes backend='docker', 'bwrap' or "
            "'auto' (Docker where an engine answers, else bubblewrap)"
        )
    if not isinstance(canaries, bool):
        raise UsageError(f"canaries={canaries!r} must be True or False")
    if canaries and not runs_code:
        raise UsageError(f"canaries=True needs a box to plant traps in, and {name} runs no code; leave it out")


def checked_choice(name: str, value: Any, known: Any) -> Any:
    """Return the value; numpy's integers become Python's.

    Raises:
        UsageError: It is not among those known.
    """
    value = value.item() if isinstance(value, np.integer) else value
    if not isinstance(value, str | int) or isinstance(value, bool) or value not in known:
        hint = nearest(value, known) if isinstance(value, str) and all(isinstance(each, str) for each in known) else ""
        raise UsageError(f"{name}={value!r} does not exist{hint}; there are {', '.join(map(repr, known))}")
    return value


def checked_count(name: str, value: Any) -> None:
    """Refuse what is no whole number of at least 1.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name}={value!r} must be a whole number of at least 1")


def checked_weights(weights: Mapping[str, float], known: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every known component, those given in place of the defaults.

    Raises:
        UsageError: What is no mapping, a component that is not known, or a weight that is no finite number.

    >>> checked_weights({"format": 0.5}, {"exact_match": 1.0, "format": 0.0})
    {'exact_match': 1.0, 'format': 0.5}
    """
    if not isinstance(weights, Mapping):
        raise UsageError(f"weights={weights!r} must be a dict of components; type weights={dict(known)!r}")
    for name, weight in weights.items():
        if name not in known:
            raise UsageError(f"weights has no component {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not math.isfinite(weight):
            raise UsageError(f"the weight of {name} must be a finite number, got {weight!r}")
    return {**known, **weights}


def checked_options(
    options: Mapping[str, Any] | None, *, split: str, level: int, levels: Collection[int]
) -> tuple[str, int]:
    """Return split and level of an episode: those of a reset's options, else the environment's.

    Args:
        options: Of the reset.
        split: The environment's.
        level: The environment's.
        levels: That there are.

    Raises:
        UsageError: For what is no mapping, an unknown option or value.

    >>> checked_options({"level": 3}, split="train", level=1, levels=range(1, 6))
    ('train', 3)
    """
    if options is not None and not isinstance(options, Mapping):
        raise UsageError(f"options={options!r} must be a dict; type options={{'split': {split!r}, 'level': {level}}}")
    given = dict(options or {})
    split = checked_choice("split", given.pop("split", split), SPLITS)
    level = checked_choice("level", given.pop("level", level), levels)
    if given:
        name = next(iter(given))
        raise UsageError(f"options has no {name!r}{nearest(str(name), ('split', 'level'))}; there are split, level")
    return split, level
