"""Records of what was played, and what differs between two of them."""

from __future__ import annotations

import copy
import math
import traceback
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Episode", "Step", "Task", "difference", "kept", "last_line", "shown"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is handed to `reset`; None where the environment has no such option."""

    seed: int | None
    level: int | None = None
    split: str | None = None

    def __str__(self) -> str:
        parts = [f"seed {self.seed}"]
        parts += [f"level {self.level}"] if self.level is not None else []
        parts += [self.split] if self.split is not None else []
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What `step` returned."""

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Any

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return bool(self.terminated or self.truncated)


@dataclass(kw_only=True)
class Episode:
    """One episode, as far as it came."""

    role: str  # who played: "oracle", "noop", "random", the name of a cheat
    task: Task
    observation: Any = ""
    info: Any = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    error: str = ""  # the last line of what was raised

    @property
    def total(self) -> float:
        """The sum of the rewards; NaN where one is no number."""
        try:
            return float(sum(float(step.reward) for step in self.steps))
        except (TypeError, ValueError):
            return math.nan

    @property
    def ended(self) -> bool:
        """Whether it came to its end."""
        return bool(self.steps) and self.steps[-1].ended

    @property
    def last_info(self) -> dict[str, Any]:
        """The info of the last step, empty where it is no dictionary."""
        info = self.steps[-1].info if self.steps else {}
        return info if isinstance(info, dict) else {}

    @property
    def success(self) -> bool | None:
        """What the environment says of the ground truth, None where it says nothing."""
        said = self.last_info.get("success")
        return None if said is None else bool(said)

    @property
    def failure(self) -> Any:
        """What the environment says of its infrastructure."""
        return self.last_info.get("failure")

    def __str__(self) -> str:
        return f"{self.role} on {self.task}"


def kept(info: Any) -> Any:
    """Return a copy that later changes by the environment do not reach."""
    try:
        return copy.deepcopy(info)
    except Exception:  # locks, generators: `protocol` complains about those
        return info


def last_line(error: BaseException) -> str:
    """Return an exception as one line, with the place where it was raised."""
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    text = str(error).strip()
    return f"{kind}: {shown(text, 300)}{where}" if text else f"{kind}{where}"


def shown(value: Any, limit: int = 80) -> str:
    """Return a value as it may stand in a reason: on one line, cut, printable."""
    text = value if isinstance(value, str) else repr(value)
    text = text[: limit + 1].encode("utf-8", "backslashreplace").decode() if len(text) <= limit else text[:limit] + "…"
    return "".join(
        char if char.isprintable() else repr(char)[1:-1] for char in text.encode("utf-8", "replace").decode()
    )


def difference(first: Any, second: Any, where: str = "") -> str | None:
    """Say where two plain values differ; None where they are the same. NaN equals NaN.

    >>> difference({"a": [1, "xyz"]}, {"a": [1, "xyw"]})
    "['a'][1] differs at character 2: 'xyz' and 'xyw'"
    """
    place = where or "the whole"
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return f"{place} has the keys {sorted(map(str, first))} and {sorted(map(str, second))}"
        pairs: list[tuple[str, Any, Any]] = [(f"{where}[{key!r}]", first[key], second[key]) for key in first]
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) != len(second):
            return f"{place} has {len(first)} and {len(second)} parts"
        pairs = [(f"{where}[{index}]", *both) for index, both in enumerate(zip(first, second, strict=True))]
    elif isinstance(first, Step) and isinstance(second, Step):
        return difference(vars(first), vars(second), where)
    else:
        return _unlike(first, second, place)
    return next((found for name, one, other in pairs if (found := difference(one, other, name))), None)


def _unlike(first: Any, second: Any, place: str) -> str | None:
    if isinstance(first, str) and isinstance(second, str):
        if first == second:
            return None
        at = next((i for i, both in enumerate(zip(first, second, strict=False)) if both[0] != both[1]), None)
        at = min(len(first), len(second)) if at is None else at
        start = max(0, at - 20)
        return f"{place} differs at character {at}: {shown(first[start:], 60)!r} and {shown(second[start:], 60)!r}"
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first) and math.isnan(second):
        return None
    try:
        same = bool(first == second)
    except Exception:  # arrays: protocol complains about those
        same = repr(first) == repr(second)
    return None if same else f"{place} is {shown(first)} and {shown(second)}"
