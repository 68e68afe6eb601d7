"""What a check is, and the two ways in which it ends early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.envs.checker.subject import Subject

__all__ = ["Check", "Failed", "NotApplicable"]


class Failed(Exception):
    """The environment does not hold what the check asks.

    Args:
        reason: What was seen, with seed, level and values.
        hint: What to change, where it differs from the check's own hint.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class NotApplicable(Exception):
    """The environment does not offer what the check needs; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property of an environment."""

    id: str
    what: str  # one line
    hint: str  # what to change where it does not hold
    run: Callable[[Subject], Mapping[str, Any] | None]  # raises Failed or NotApplicable; returns what it measured
    needs: tuple[str, ...] = ()  # checks without which this one says nothing: where one failed, it is not run
