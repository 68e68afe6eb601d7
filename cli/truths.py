"""Options with values of any kind, as people type them: tyro reads True as a truth value, and `true` as a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["read_truths"]

T = TypeVar("T")

_TRUTHS = {"true": True, "false": False}


def read_truths(given: Mapping[str, T]) -> dict[str, T | bool]:
    """Return the values with `true` and `false`, as TOML, JSON and `agentrl check` have them, as what they mean.

    >>> read_truths({"is_slippery": "false", "map_name": "8x8", "size": 8})
    {'is_slippery': False, 'map_name': '8x8', 'size': 8}
    """
    return {name: _TRUTHS.get(value, value) if isinstance(value, str) else value for name, value in given.items()}
