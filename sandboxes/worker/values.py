"""Tagged JSON: the values that cross between the host and a candidate's function, of exact type and of bounded size.

None, bool, int, float and str are themselves, a list is an array; all else is an object with one tag: {"tuple": [...]},
{"bytes": base64}, {"dict": [[key, value], ...]}, {"set": [...]}, {"frozenset": [...]}, {"float": "nan"} and so on.
Subclasses are refused, since they would come out as something else. Nothing is ever pickled: the other end is hostile.
"""

from __future__ import annotations

import base64
import binascii
import json
import math

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ValueNotCarried", "dump", "load", "tag", "untag"]

DEEPEST = 100
MOST_DIGITS = 4000
# 10 ** 4000 has 13,288 bits; a longer int would also meet the limit of Python's own int to str.
MOST_BITS = 13_288
ODD_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class ValueNotCarried(ValueError):
    """A value, or a text, that tagged JSON does not have; says which."""


def dump(value: Any, *, most_bytes: int = 16_777_216) -> bytes:
    """Return a value as one line of tagged JSON, without the line's end.

    Raises:
        ValueNotCarried: A type that is not in the list, too deep, too long an int, or more than `most_bytes` in all.

    >>> dump((1, {"a": b"x"}))
    b'{"tuple":[1,{"dict":[["a",{"bytes":"eA=="}]]}]}'
    """
    line = json.dumps(_tag(value, 0), separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(line) > most_bytes:
        raise ValueNotCarried(f"a value of {len(line)} bytes; at most {most_bytes} are carried")
    return line


def load(line: bytes, *, most_bytes: int = 16_777_216) -> Any:
    """Return the value of a line of tagged JSON.

    Raises:
        ValueNotCarried: It is not that, or over a bound.

    >>> load(b'{"set":[1,1]}')
    {1}
    """
    if len(line) > most_bytes:
        raise ValueNotCarried(f"a value of {len(line)} bytes; at most {most_bytes} are carried")
    try:
        tagged = json.loads(line, parse_int=_int, parse_constant=_constant)
    except ValueNotCarried:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueNotCarried(f"not JSON: {type(error).__name__}") from None
    return untag(tagged)


def tag(value: Any) -> Any:
    """Return a value as what `json.dumps` takes; see `dump`."""
    return _tag(value, 0)


def untag(tagged: Any) -> Any:
    """Return the value of what `json.loads` gave; see `load`."""
    return _untag(tagged, 0)


def _tag(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueNotCarried(f"more than {DEEPEST} levels deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        pairs = zip(value, value[1:])  # noqa: B905, RUF007  # the box's Python may be 3.8
        if not value.isascii() and any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairs):
            # In JSON two halves side by side would come out as the whole character.
            raise ValueNotCarried("a text with both halves of a character (surrogates) in place of it")
        return value
    if kind is int:
        if value.bit_length() > MOST_BITS:
            raise ValueNotCarried(f"an int of more than {MOST_DIGITS} digits")
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": "nan" if value != value else "inf" if value > 0 else "-inf"}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if kind is list:
        return [_tag(each, depth + 1) for each in value]
    if kind is dict:
        return {"dict": [[_tag(key, depth + 1), _tag(each, depth + 1)] for key, each in value.items()]}
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [_tag(each, depth + 1) for each in value]}
    raise ValueNotCarried(f"a value of type {kind.__name__:.100} cannot be carried")


def _untag(tagged: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueNotCarried(f"more than {DEEPEST} levels deep")
    if isinstance(tagged, list):
        return [_untag(each, depth + 1) for each in tagged]
    if not isinstance(tagged, dict):
        return tagged
    if len(tagged) == 1:
        name, body = next(iter(tagged.items()))
        if name in UNTAG:
            return UNTAG[name](body, depth)
    raise ValueNotCarried("an object that is no tag")


def _items(body: Any, depth: int) -> list[Any]:
    if not isinstance(body, list):
        raise ValueNotCarried("a tag with a body that is no array")
    return [_untag(each, depth + 1) for each in body]


def _hashed(make: Callable[[list[Any]], Any]) -> Callable[[Any, int], Any]:
    def build(body: Any, depth: int) -> Any:
        items = _items(body, depth)
        try:
            _check_spread(items)
            return make(items)
        except TypeError:
            raise ValueNotCarried("a member that cannot be hashed") from None

    return build


def _check_spread(items: list[Any]) -> None:
    """Refuse members chosen to have one hash: the time to build a set of them grows as the square (0.3 s for 8,000)."""
    if len({hash(each) for each in items}) * 8 + 64 < len(items):
        raise ValueNotCarried("too many members with the same hash")


def _dict(body: Any, depth: int) -> dict[Any, Any]:
    if not isinstance(body, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in body):
        raise ValueNotCarried("a dict that is not made of pairs")
    pairs = [(_untag(key, depth + 1), _untag(value, depth + 1)) for key, value in body]
    try:
        _check_spread([key for key, _ in pairs])
        return dict(pairs)
    except TypeError:
        raise ValueNotCarried("a key that cannot be hashed") from None


def _bytes(body: Any, depth: int) -> bytes:
    try:
        return base64.b64decode(body.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise ValueNotCarried("bytes that are not base64") from None


def _float(body: Any, depth: int) -> float:
    if not isinstance(body, str) or body not in ODD_FLOATS:
        raise ValueNotCarried("a float that is none")
    return ODD_FLOATS[body]


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS + 1:
        raise ValueNotCarried(f"an int of more than {MOST_DIGITS} digits")
    return int(text)


def _constant(text: str) -> float:
    raise ValueNotCarried(f"{text} without its tag")


UNTAG = {
    "tuple": lambda body, depth: tuple(_items(body, depth)),
    "dict": _dict,
    "set": _hashed(set),
    "frozenset": _hashed(frozenset),
    "bytes": _bytes,
    "float": _float,
}
