"""Which kinds of tasks there are, and how one is drawn: the seed decides everything."""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.envs.browse.case import Case, Kind
from agentrl.envs.browse.kinds import across, admin, forum, micro, shop, wiki
from agentrl.envs.browse.words import Draw
from agentrl.envs.errors import UsageError, nearest

__all__ = ["KINDS", "Task", "generate", "kinds_of"]

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (*micro.KINDS, *shop.KINDS, *forum.KINDS, *wiki.KINDS, *admin.KINDS, *across.KINDS)
}
"""Every kind by its name."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One episode's task."""

    id: str
    kind: str
    level: int
    case: Case


def kinds_of(level: int, kind: str | None = None) -> list[Kind]:
    """Return the kinds that a level draws from.

    Args:
        level: 1 to 5.
        kind: Name of the only one that is wanted.

    Raises:
        UsageError: No such kind, or it has no tasks at this level.
    """
    if kind is None:
        return [each for each in KINDS.values() if level in each.levels]
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"kind={kind!r} does not exist{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    if level not in KINDS[kind].levels:
        there = ", ".join(map(str, KINDS[kind].levels))
        raise UsageError(f"kind={kind!r} has no tasks at level={level}; type level={there}")
    return [KINDS[kind]]


def generate(number: int, split: str, level: int, kind: str | None = None) -> Task:
    """Return the task of a number, with sites of its own.

    Args:
        number: From the generator; decides everything.
        split: "train" or "test".
        level: 1 to 5.
        kind: As of `kinds_of`.
    """
    draw = Draw(number, split, level)
    chosen = draw.pick(kinds_of(level, kind))
    return Task(id=f"{split}-{level}-{number:016x}", kind=chosen.name, level=level, case=chosen.make(draw))
