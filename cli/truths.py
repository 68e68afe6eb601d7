"""Options as people type them: truth values that tyro reads as words, JSON objects, and lists with commas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from agentrl.envs.errors import UsageError

__all__ = ["read_object", "read_scalar", "read_truths", "split_words"]

T = TypeVar("T")

_TRUTHS = {"true": True, "false": False}


def read_truths(given: Mapping[str, T]) -> dict[str, T | bool]:
    """Return the values with `true` and `false`, as TOML, JSON and `agentrl check` have them, as what they mean.

    >>> read_truths({"is_slippery": "false", "map_name": "8x8", "size": 8})
    {'is_slippery': False, 'map_name': '8x8', 'size': 8}
    """
    return {name: _TRUTHS.get(value, value) if isinstance(value, str) else value for name, value in given.items()}


def read_scalar(text: str) -> bool | int | float | str:
    """Return a number or a truth value as what it means, any other word as it stands.

    >>> [read_scalar(text) for text in ("4", "0.5", "true", "leg_counting")]
    [4, 0.5, True, 'leg_counting']
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return _TRUTHS.get(text, text)


def read_object(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object that stands behind an option.

    Raises:
        UsageError: It is none.

    >>> read_object("--kwargs", '{"max_turns": 4}')
    {'max_turns': 4}
    """
    how = f"type {name} '{{\"max_turns\": 4}}'"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} {text!r} is not JSON: {error}; {how}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{name} {text!r} is not a JSON object; {how}")
    return value


def split_words(words: Sequence[str] | None) -> list[str]:
    """Return the parts of an option that may be given several times, with commas between.

    >>> split_words(["a,b", "c"]), split_words(None)
    (['a', 'b', 'c'], [])
    """
    return [part for word in words or () for part in word.split(",") if part]
