"""Whether calls are the right ones: by the rules of the Berkeley Function-Calling Leaderboard (BFCL).

Each argument has a list of values that are accepted; "" in the list means that it may be left out. Texts are compared
without case, spaces and marks; whole numbers count as floats; parallel calls may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Wanted", "all_match"]

Wanted = tuple[str, Mapping[str, Sequence[Any]]]
"""A function's name, and for each argument the values that are accepted."""

_MARKS = re.compile(r"[ ,./\-_*^()'\"]")


def all_match(calls: Sequence[tuple[str, Mapping[str, Any]]], wanted: Sequence[Wanted]) -> bool:
    """Return whether the calls are those that are wanted, each once, in any order.

    >>> all_match([("area", {"base": 10})], [("area", {"base": [10], "unit": ["cm", ""]})])
    True
    >>> all_match([("area", {"base": 10, "unit": "inch"})], [("area", {"base": [10], "unit": ["cm", ""]})])
    False
    """
    if len(calls) != len(wanted):
        return False
    fits = [[_fits(call, each) for each in wanted] for call in calls]
    return _matched(fits, 0, frozenset())


def _matched(fits: Sequence[Sequence[bool]], row: int, used: frozenset[int]) -> bool:
    # A call that fits several wanted ones must not take the only one that another fits.
    if row == len(fits):
        return True
    return any(
        fit and place not in used and _matched(fits, row + 1, used | {place}) for place, fit in enumerate(fits[row])
    )


def _fits(call: tuple[str, Mapping[str, Any]], wanted: Wanted) -> bool:
    name, accepted = wanted
    if call[0] != name or not set(call[1]) <= set(accepted):
        return False
    return all(
        any(_same(call[1][key], value) for value in values) if key in call[1] else "" in values
        for key, values in accepted.items()
    )


def _same(value: Any, accepted: Any) -> bool:
    if isinstance(value, bool) or isinstance(accepted, bool):
        return value is accepted
    if isinstance(value, str) and isinstance(accepted, str):
        return _MARKS.sub("", value).casefold() == _MARKS.sub("", accepted).casefold()
    if isinstance(value, int | float) and isinstance(accepted, int | float):
        return value == accepted
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(map(_same, value, accepted))
    if isinstance(value, dict) and isinstance(accepted, dict):  # each of its entries has a list of values again
        return all(key in accepted for key in value) and all(
            any(_same(value[key], each) for each in values) if key in value else "" in values
            for key, values in ((key, each if isinstance(each, list) else [each]) for key, each in accepted.items())
        )
    return value is None and accepted is None
