"""Rows that are the same so far: one of them is computed for all, until their draws part.

Members of a group begin with the same prompt and, where the policy is sure, go on with the same tokens. A row that
follows another has no cache of its own; it takes a copy when it draws another token than the one it follows, when its
turn ends, or when the other is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from agentrl.trainer.engines.threaded import Row

__all__ = ["TwinRow", "diverge", "leave"]


@dataclass(kw_only=True, eq=False)
class TwinRow(Row):
    """A row that may follow another."""

    length: int = 0  # tokens in the cache
    like: Self | None = None  # the row that is computed for this one; None: this one is


T = TypeVar("T", bound=TwinRow)


def diverge(rows: Sequence[T]) -> list[tuple[T, T]]:
    """Let rows whose last tokens differ go their own ways.

    Args:
        rows: All that go on, each with the token it drew.

    Returns:
        Rows to copy the cache of, and the rows that now need it.
    """
    heads: dict[tuple[int, int], T] = {}  # by leader and token
    for row in rows:
        if row.like is None:
            heads[row.slot, row.tokens[-1]] = row
    copies = []
    for row in rows:
        if (before := row.like) is not None:
            head = heads.setdefault((before.slot, row.tokens[-1]), row)
            row.like = None if head is row else head
            if head is row:
                copies.append((before, row))
    return copies


def leave(gone: Iterable[T], staying: Sequence[T]) -> list[tuple[T, T]]:
    """Let rows end; those that followed one of them follow the first among themselves.

    Returns:
        As of `diverge`.
    """
    ended = {id(row) for row in gone}
    heirs: dict[int, T] = {}
    copies = []
    for row in staying:
        if (before := row.like) is not None and id(before) in ended:
            heir = heirs.setdefault(id(before), row)
            row.like = None if heir is row else heir
            if heir is row:
                copies.append((before, row))
    return copies
