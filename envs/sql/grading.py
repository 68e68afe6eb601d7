"""Whether two results are the same: rows as a multiset, or in order; values by type, numbers by value.

A real number equals another number where their values are the same within a relative 1e-9 (sums of reals depend on the
order in which they are added up); two integers, which may be keys or telephone numbers, are the same or not. A text is
never a number, and a missing value equals only a missing value. Columns stand in the order that was asked for; their
names do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["same_rows", "same_sets"]

_CLOSE = 1e-9


def same_rows(given: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]], *, is_ordered: bool) -> bool:
    """Whether the rows given are those wanted.

    >>> same_rows([[1, "a"], [2.0, None]], [[2, None], [1, "a"]], is_ordered=False)
    True
    >>> same_rows([["1"]], [[1]], is_ordered=False), same_rows([[1], [1]], [[1]], is_ordered=False)
    (False, False)
    """
    if len(given) != len(wanted) or any(len(one) != len(other) for one, other in zip(given, wanted, strict=True)):
        return False
    if not is_ordered:
        given, wanted = sorted(given, key=_key), sorted(wanted, key=_key)
    return all(
        _equal(one, other)
        for given_row, wanted_row in zip(given, wanted, strict=True)
        for one, other in zip(given_row, wanted_row, strict=True)
    )


def same_sets(given: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> bool:
    """Whether the rows are the same as sets of tuples, as BIRD compares them: no order, no number of repeats."""
    return {_frozen(row) for row in given} == {_frozen(row) for row in wanted}


def _frozen(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(value["blob"].encode() if isinstance(value, dict) else value for value in row)


def _key(row: Sequence[Any]) -> list[tuple[int, Any]]:
    return [_rank(value) for value in row]


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, round(value, 6) if math.isfinite(value) else value
    return (2, value) if isinstance(value, str) else (3, value["blob"])


def _equal(one: Any, other: Any) -> bool:
    if {type(one), type(other)} in ({float}, {float, int}):
        return one == other or math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return type(one) is type(other) and bool(one == other)
