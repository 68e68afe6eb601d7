"""Values of Gymnasium spaces as text and back: what an environment shows becomes words, what a model says an action.

A plain space is spoken plainly (`left`, `3`, `0.12 -0.50`); a Dict or a Tuple as JSON. `read(space, say(space, value))`
gives the value back exactly when it is not rounded. Spaces with more than 256 values, such as images, and the rarer
kinds (Graph, Sequence, OneOf) are not spoken.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple

__all__ = ["MAX_VALUES", "UnreadableError", "describe", "first", "read", "refusal", "say"]

MAX_VALUES: Final = 256  # numbers in one space
MAX_CHARS: Final = 10_000  # of an action that is read at all
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}")
_ARRAYS: Final = (Box, MultiBinary, MultiDiscrete)

Names = Sequence[str] | None


class UnreadableError(ValueError):
    """A text that is no value of the space; says what was expected."""


def refusal(space: Space[Any]) -> str | None:
    """Return why a space cannot be spoken; None when it can."""
    if isinstance(space, Dict | Tuple):
        inner = space.spaces.values() if isinstance(space, Dict) else space.spaces
        return next((reason for each in inner if (reason := refusal(each))), None)
    if isinstance(space, _ARRAYS):
        count = math.prod(space.shape or ())
        return f"{space} holds {count} numbers, more than {MAX_VALUES}" if count > MAX_VALUES else None
    return None if isinstance(space, Discrete | Text) else f"{type(space).__name__} spaces have no text form"


def say(space: Space[Any], value: Any, *, names: Names = None, digits: int | None = None) -> str:
    """Return a value as text.

    Args:
        space: What the value belongs to.
        value: An element of it.
        names: Of the values of a Discrete space, or of the parts of a vector or Tuple.
        digits: Round numbers: a bounded range to about 10**digits steps, an unbounded one to so many decimals. None:
            exact.
    """
    if isinstance(space, Discrete):
        number = int(value)
        return names[number - int(space.start)] if names else str(number)
    if isinstance(space, Text):
        return str(value)
    if isinstance(space, Tuple) and names:
        parts = [say(each, part, digits=digits) for each, part in zip(space.spaces, value, strict=True)]
        return _named(names, parts)
    if isinstance(space, _ARRAYS):
        words = np.vectorize(str, otypes=[object])(_numbers(space, value, digits))
        if names:
            return _named(names, list(words.ravel()))
        return "\n".join(" ".join(row) for row in words.reshape(-1, words.shape[-1] if words.ndim else 1))
    return json.dumps(_plain(space, value, digits), ensure_ascii=False)


def read(space: Space[Any], text: str, *, names: Names = None) -> Any:
    """Return the value that a text says.

    Raises:
        UnreadableError: It says none.
    """
    if len(text) > MAX_CHARS:
        raise UnreadableError(f"{len(text)} characters are too many")
    if isinstance(space, Text):
        return _checked_text(space, text)
    text = text.strip()
    if isinstance(space, Discrete):
        word = text.strip(" .!\"'`").casefold()
        for index, name in enumerate(names or ()):
            if word == name.casefold():
                return space.dtype.type(int(space.start) + index)
        if names and not _WHOLE.fullmatch(word):
            raise UnreadableError(f"{_show(text)} is none of them")
        return _discrete(space, int(word) if _WHOLE.fullmatch(word) else text)
    if isinstance(space, _ARRAYS):
        words = [word for word in re.split(r"[\s,;\[\]()]+", text) if word]
        return _array(space, words)
    try:
        return _valued(space, json.loads(text))
    except UnreadableError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError(f"{_show(text)} is no JSON") from None


def describe(space: Space[Any], *, names: Names = None) -> str:
    """Return what a text must be to be read: "left, down, right or up"."""
    if isinstance(space, Discrete):
        if names:
            return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
        low = int(space.start)
        return f"a whole number from {low} to {low + int(space.n) - 1}"
    if isinstance(space, Text):
        return f"a text of {space.min_length} to {space.max_length} characters"
    if isinstance(space, _ARRAYS):
        return _describe_numbers(space)
    inner = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)  # type: ignore[attr-defined]
    parts = "; ".join(f"{key}: {describe(each)}" for key, each in inner)
    return f"JSON like {say(space, first(space))} ({parts})"


def first(space: Space[Any]) -> Any:
    """Return a value of the space, always the same: its lowest, or what is nearest to 0 where it has no bound."""
    if isinstance(space, Discrete):
        return space.dtype.type(space.start)
    if isinstance(space, Text):
        return space.character_list[0] * space.min_length
    if isinstance(space, Dict):
        return {key: first(each) for key, each in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(first(each) for each in space.spaces)
    low, high = _bounds(space)
    lowest = [a if math.isfinite(a) else min(0, b) for a, b in zip(low, high, strict=True)]
    return np.array(lowest, dtype=object).astype(space.dtype).reshape(space.shape or ())


def _named(names: Sequence[str], words: Sequence[str]) -> str:
    return " ".join(f"{name} {word}" for name, word in zip(names, words, strict=True))


def _plain(space: Space[Any], value: Any, digits: int | None) -> Any:
    if isinstance(space, Dict):
        return {str(key): _plain(each, value[key], digits) for key, each in space.spaces.items()}
    if isinstance(space, Tuple):
        return [_plain(each, part, digits) for each, part in zip(space.spaces, value, strict=True)]
    if isinstance(space, Discrete):
        return int(value)
    if isinstance(space, Text):
        return str(value)
    words = _numbers(space, value, digits)
    return np.vectorize(_value, otypes=[object])(words).tolist() if words.size else words.tolist()


def _numbers(space: Space[Any], value: Any, digits: int | None) -> Any:
    """Return an array of strings, which JSON can read but for a leading plus, in the shape of the value."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return np.array([str(int(each)) for each in array.ravel()], dtype=object).reshape(array.shape)
    if digits is None:
        return np.array([_exact(each) for each in array.ravel()], dtype=object).reshape(array.shape)
    low, high = _bounds(space)
    words = [_rounded(float(each), a, b, digits) for each, a, b in zip(array.ravel(), low, high, strict=True)]
    return np.array(words, dtype=object).reshape(array.shape)


def _value(word: str) -> Any:
    return json.loads(word.removeprefix("+"))


def _exact(value: Any) -> str:
    return str(value) if math.isfinite(value) else json.dumps(float(value))


def _rounded(value: float, low: float, high: float, digits: int) -> str:
    if not math.isfinite(value):
        return json.dumps(value)
    decimals = digits
    if math.isfinite(high - low) and high > low:
        decimals = min(12, max(0, round(digits - math.log10(high - low))))
    if abs(value) >= 1e7:
        return f"{value:.3e}"
    number = round(value, decimals) + 0.0  # 0.0 is added so that -0.00 is said as 0.00
    # Where numbers may be negative all have a sign: a small model finds it in the same place then.
    return f"{number:+.{decimals}f}" if low < 0 else f"{number:.{decimals}f}"


def _bounds(space: Space[Any]) -> tuple[list[Any], list[Any]]:
    """Return the lowest and highest value of each number of an array space, as Python numbers."""
    if isinstance(space, Box):
        return space.low.ravel().tolist(), space.high.ravel().tolist()
    if isinstance(space, MultiDiscrete):
        low = np.ravel(space.start)
        return low.tolist(), (low + np.ravel(space.nvec) - 1).tolist()
    size = math.prod(space.shape or ())
    return [0] * size, [1] * size


def _describe_numbers(space: Space[Any]) -> str:
    low, high = _bounds(space)
    kind = "number" if np.dtype(space.dtype or float).kind == "f" else "whole number"
    ranges = [_range(a, b) for a, b in zip(low, high, strict=True)]
    if not ranges:
        return "an empty text"
    if len(ranges) == 1:
        return f"a {kind} {ranges[0]}"
    said = ranges[0] if len(set(ranges)) == 1 else ", ".join(ranges[:8]) + (", …" if len(ranges) > 8 else "")
    return f"{len(ranges)} {kind}s separated by spaces, {said}"


def _range(low: float, high: float) -> str:
    if math.isfinite(low) and math.isfinite(high):
        return f"from {_bound(low)} to {_bound(high)}"
    if math.isfinite(low) or math.isfinite(high):
        return f"of at least {_bound(low)}" if math.isfinite(low) else f"of at most {_bound(high)}"
    return "of any size"


def _bound(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(int(value))


def _valued(space: Space[Any], data: Any) -> Any:
    if isinstance(space, Dict):
        keys = {str(key): key for key in space.spaces}
        if not isinstance(data, dict) or set(data) != set(keys):
            raise UnreadableError(f"{_show(data)} is no object with the keys {', '.join(keys)}")
        return {keys[name]: _valued(space.spaces[keys[name]], data[name]) for name in keys}
    if isinstance(space, Tuple):
        if not isinstance(data, list) or len(data) != len(space.spaces):
            raise UnreadableError(f"{_show(data)} is no list of {len(space.spaces)} values")
        return tuple(_valued(each, part) for each, part in zip(space.spaces, data, strict=True))
    if isinstance(space, Discrete):
        return _discrete(space, data)
    if isinstance(space, Text):
        return _checked_text(space, data)
    return _array(space, _flat(data))


def _flat(data: Any) -> list[Any]:
    return [leaf for part in data for leaf in _flat(part)] if isinstance(data, list) else [data]


def _discrete(space: Discrete, value: Any) -> Any:
    low = int(space.start)
    if type(value) is not int or not low <= value < low + int(space.n):
        raise UnreadableError(f"{_show(value)} is no whole number from {low} to {low + int(space.n) - 1}")
    return space.dtype.type(value)


def _checked_text(space: Text, value: Any) -> str:
    if not isinstance(value, str) or not space.contains(value):
        raise UnreadableError(f"{_show(value)} is not {describe(space)} that it may hold")
    return value


def _array(space: Space[Any], words: Sequence[Any]) -> Any:
    low, high = _bounds(space)
    if len(words) != len(low):
        raise UnreadableError(f"{len(words)} numbers were said instead of {len(low)}")
    dtype = np.dtype(space.dtype or float)
    values = [_number(word, whole=dtype.kind != "f") for word in words]
    with np.errstate(over="ignore"):
        # A bound as it is said may lie beyond the real one by a rounding: 0.1 in single precision is more than 0.1.
        held = [float(dtype.type(value)) if dtype.kind == "f" else value for value in values]
    for value, said, a, b in zip(held, words, low, high, strict=True):
        if not a <= value <= b or not math.isfinite(value):
            raise UnreadableError(f"{_show(said)} is no number {_range(a, b)}")
    return np.array(values, dtype=object).astype(dtype).reshape(space.shape or ())


def _number(word: Any, *, whole: bool) -> int | float:
    if isinstance(word, str) and _WHOLE.fullmatch(word):
        return int(word)
    if type(word) is int and abs(word) < 1e300:
        return word
    if not whole:
        try:
            number = float(word) if isinstance(word, str | float) else math.nan
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise UnreadableError(f"{_show(word)} is no {'whole ' if whole else ''}number")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
