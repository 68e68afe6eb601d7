"""The functions and operators that an expression may use, bounded: their operands may come from a hostile candidate.

A list of numbers with one hash makes a set slow, a list of lists makes `sum` slow, a large exponent fills the memory.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["BINARY", "COMPARE", "CONSTANTS", "FUNCTIONS", "METHODS", "TYPES", "UNARY", "Refused", "spread"]

MOST_ITEMS = 1_000_000
MOST_BITS = 20_000


class Refused(ValueError):
    """An expression that is not evaluated, or cannot be; says what."""


def spread(items: Iterable[Any]) -> list[Any]:
    """Return the items as a list; refuse such as were chosen to have one hash, for a set of them takes for ever."""
    found = list(items)
    first: dict[int, Any] = {}
    num_met = sum(first.setdefault(hash(each), each) != each for each in found)
    if num_met > 64 + len(first) // 8:
        raise Refused("too many members with the same hash")
    return found


def _set(items: Iterable[Any] = ()) -> set[Any]:
    return set(spread(items))


def _frozenset(items: Iterable[Any] = ()) -> frozenset[Any]:
    return frozenset(spread(items))


def _dict(pairs: Any = (), **named: Any) -> dict[Any, Any]:
    found = dict(pairs) if isinstance(pairs, dict) else None
    if found is None:
        both = [tuple(each) for each in pairs]
        spread(each[0] for each in both)
        found = dict(both)
    return {**found, **named}


def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    found = list(items)
    if not all(isinstance(each, int | float) for each in (start, *found)):
        raise Refused("a sum of other things than numbers")
    return sum(found, start)


def _round(number: Any, digits: int | None = None) -> Any:
    if digits is not None and abs(digits) > 1000:
        raise Refused(f"rounding to {digits} digits")
    return round(number, digits)


def _bytes(value: Any = b"", *coding: str) -> bytes:
    if isinstance(value, int):
        raise Refused("bytes of a number")
    return bytes(value, *coding)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MOST_ITEMS:
        raise Refused(f"a range of {len(made)} items")
    return made


FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{
            each.__name__: each for each in (abs, all, any, bool, bytes, dict, divmod, float, frozenset, int, len, list)
        },
        **{each.__name__: each for each in (abs, all, any, bool, divmod, float, int, len, list, max, min, ord, chr)},
        **{each.__name__: each for each in (repr, reversed, sorted, str, tuple, enumerate, zip, bin, hex, oct)},
        "set": _set,
        "frozenset": _frozenset,
        "dict": _dict,
        "sum": _sum,
        "round": _round,
        "bytes": _bytes,
        "range": _range,
        "math.isclose": math.isclose,
        "math.isnan": math.isnan,
        "math.sqrt": math.sqrt,
        "math.floor": math.floor,
        "math.ceil": math.ceil,
        "isclose": math.isclose,
    }
)
CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "math.nan": math.nan}
)
METHODS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        str: frozenset(
            "lower upper strip lstrip rstrip split splitlines title capitalize startswith endswith count find index "
            "isdigit isalpha isalnum islower isupper".split()
        ),
        list: frozenset(("count", "index")),
        tuple: frozenset(("count", "index")),
        dict: frozenset(("keys", "values", "items", "get")),
    }
)
TYPES = {each.__name__: each for each in (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)}


def _times(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str | bytes | list | tuple) and isinstance(other, int) and len(one) * other > MOST_ITEMS:
            raise Refused("a repetition that is too long")
    _check_bits(left, right)
    return left * right


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MOST_BITS:
        raise Refused("a power that is too large")
    return base**exponent


def _shift(left: Any, right: Any) -> Any:
    if isinstance(right, int) and right > MOST_BITS:
        raise Refused("a shift that is too far")
    _check_bits(left)
    return left << right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str | bytes):
        raise Refused("formatting with %")  # its widths are not bounded
    return left % right


def _check_bits(*numbers: Any) -> None:
    if sum(each.bit_length() for each in numbers if isinstance(each, int)) > 2 * MOST_BITS:
        raise Refused("a number that is too large")


BINARY: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: _times,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: _modulo,
        ast.Pow: _power,
        ast.LShift: _shift,
        ast.RShift: operator.rshift,
        ast.BitAnd: operator.and_,
        ast.BitOr: operator.or_,
        ast.BitXor: operator.xor,
    }
)
UNARY: Mapping[type[ast.AST], Callable[[Any], Any]] = MappingProxyType(
    {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}
)
COMPARE: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.In: lambda one, many: one in many,
        ast.NotIn: lambda one, many: one not in many,
        # Plain values that came over a wire are identical to nothing but None, True and False.
        ast.Is: lambda one, other: type(one) is type(other) and one == other,
        ast.IsNot: lambda one, other: not (type(one) is type(other) and one == other),
    }
)
