"""One component of a rubric: who scores, how the value is normalised and clipped, and what weight it has."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from agentrl.envs.errors import EnvError, InfrastructureError, UsageError, nearest
from agentrl.envs.rubrics.catalogue import make_scorer
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["Component", "Part", "Scorer", "checked_range", "is_number", "within"]

Scorer = Callable[[Transcript], float | Awaitable[float]]
"""Scores an episode. With `sees_group = True` it takes all episodes of a group, and returns as many values."""


_NARROW = 1e-12  # a range that is narrower would blow up rounding
_TAKEN = {"tamper": "it tells that a trap of the environment was touched"}


@dataclass(frozen=True, kw_only=True)
class Component:
    """One part of a rubric.

    Args:
        name: As its value is logged.
        use: A component of the box, "module:factory", or a scorer itself.
        arguments: Of the factory; plain data.
        weight: Of the value in the reward; 0: only logged.
        gate: The least value with which the other components count; None: no gate.
        at: "end": scored once, over the whole episode; "turn": after each turn over what there is of it, and summed.
        normalise: (low, high): mapped linearly to 0 and 1; "group": the deviation from the group's mean, in standard
            deviations (0 where all are equal), known once all episodes of the group have ended.
        clip: Least and greatest value, after normalising.

    Raises:
        UsageError: A value that cannot work.
    """

    name: str
    use: str | Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    gate: float | None = None
    at: Literal["end", "turn"] = "end"
    normalise: tuple[float, float] | Literal["group"] | None = None
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or "/" in self.name:
            raise UsageError(f"the name {self.name!r} of a component must be a word without a slash")
        if self.name in _TAKEN:
            raise UsageError(f"the name {self.name!r} of a component is taken: {_TAKEN[self.name]}; choose another")
        if not isinstance(self.use, str) and self.arguments:
            raise UsageError(f"{self.name}: arguments have no effect on a function; leave them out")
        for what, value in (("weight", self.weight), ("gate", self.gate)):
            if value is not None and not is_number(value):
                raise UsageError(f"{self.name}: {what} is {value!r:.80}, but must be a finite number")
        if self.at not in ("end", "turn"):
            near = nearest(str(self.at), ("end", "turn"))
            raise UsageError(f"{self.name}: at is {self.at!r}{near}; there are 'end' and 'turn'")
        if self.normalise != "group":
            checked_range(f"{self.name}: normalise", self.normalise, other=", or 'group'")
        checked_range(f"{self.name}: clip", self.clip)
        if self.at == "turn" and (self.gate is not None or self.normalise == "group"):
            raise UsageError(
                f"{self.name}: a gate, and a value normalised by its group, are known at the end; write at = 'end'"
            )


class Part:
    """A component at work: its scorer, and what becomes of a value.

    Args:
        told: The component.
        judge: Settings of judges that have none of their own.

    Raises:
        UsageError: It cannot be made.
    """

    def __init__(self, told: Component, judge: Mapping[str, Any]) -> None:
        self.told = told
        self.name = told.name
        self.weight = float(told.weight)
        self.gate = told.gate
        self.clip = told.clip if told.at == "end" else None  # turns are clipped one by one
        self.scorer: Callable[..., Any] = (
            make_scorer(told.use, told.arguments, judge, place=told.name) if isinstance(told.use, str) else told.use
        )
        self.sees_group = bool(getattr(self.scorer, "sees_group", False))
        self.needs_reference = bool(getattr(self.scorer, "needs_reference", False))
        self.by_group = told.normalise == "group"
        self.is_late = self.sees_group or self.by_group  # known once the whole group has ended
        self._low, self._width = 0.0, 1.0
        if isinstance(told.normalise, tuple):
            self._low, self._width = float(told.normalise[0]), float(told.normalise[1]) - float(told.normalise[0])
        self._is_plain = told.normalise is None or self.by_group
        if self.sees_group and told.at == "turn":
            raise UsageError(f"{told.name}: {told.use} compares finished episodes; write at = 'end'")

    def ask(self, seen: Any) -> Any:
        """Return the scorer's raw value, or something to wait for.

        Raises:
            InfrastructureError: The scorer raised.
        """
        try:
            return self.scorer(seen)
        except EnvError:
            raise
        except Exception as error:
            raise self.broken(error) from error

    def broken(self, error: Exception) -> InfrastructureError:
        """Return the failure that an error of the scorer is: the episode has no score."""
        return InfrastructureError(
            f"component {self.name!r} raised {type(error).__name__}: {error}", kind="error", boundary="rubric"
        )

    def value(self, raw: Any) -> float:
        """Return a raw value as a number, normalised to its range; clipped later where the group normalises it.

        Raises:
            InfrastructureError: It is no finite number.
        """
        number = raw if type(raw) is float else self._number(raw)
        if not self._is_plain:
            number = (number - self._low) / self._width
        if not math.isfinite(number):
            raise self._no_number(raw)
        return number

    def as_many(self, raw: Any, num: int) -> list[Any]:
        """Return the raw values that a scorer of groups gave, one for each episode.

        Raises:
            InfrastructureError: It gave another number of them.
        """
        try:
            many = list(raw)
        except TypeError:
            many = []
        if len(many) != num:
            told = f"component {self.name!r} gave {raw!r:.80} for a group, but must give {num} values"
            raise InfrastructureError(told, kind="error", boundary="rubric")
        return many

    def _number(self, raw: Any) -> float:
        if raw is None or isinstance(raw, str | bytes):
            raise self._no_number(raw)
        try:
            return float(raw)  # numpy's and the like are welcome
        except (TypeError, ValueError, OverflowError):
            if inspect.iscoroutine(raw):
                raw.close()
            raise self._no_number(raw) from None

    def _no_number(self, raw: Any) -> InfrastructureError:
        return InfrastructureError(
            f"component {self.name!r} gave {raw!r:.80}, but must give a finite number", kind="error", boundary="rubric"
        )


def within(value: float, bounds: tuple[float, float] | None) -> float:
    """Return a value, or the bound that it is beyond."""
    return value if bounds is None else min(max(value, bounds[0]), bounds[1])


def checked_range(what: str, bounds: Any, *, other: str = "") -> None:
    """Refuse what is no pair of a lower and a higher number.

    Raises:
        UsageError: It is none.
    """
    if bounds is None:
        return
    right = isinstance(bounds, tuple) and len(bounds) == 2 and all(map(is_number, bounds))
    right = right and _NARROW < bounds[1] - bounds[0] < math.inf
    if not right:
        raise UsageError(f"{what} is {bounds!r:.80}, but must be two numbers, the lower first: [0, 1]{other}")


def is_number(value: Any) -> TypeGuard[int | float]:
    """Say whether a value is a finite number, and no truth value."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that is larger than any other can be
        return False
