"""Tagged JSON: what goes in comes out, of the same exact type; what cannot is refused on either side."""

from __future__ import annotations

import collections
import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.worker.values import ValueNotCarried, dump, load

HASHABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down, nan included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and (
            left == right or (left != left and right != right)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return left == right and sorted(map(_kind, left)) == sorted(map(_kind, right))
    return bool(left == right)


def _kind(value: object) -> str:
    return type(value).__name__


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert same(load(dump(value)), value) or "nan" in repr(value)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, b"null"),
        (True, b"true"),
        (1, b"1"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (math.inf, b'{"float":"inf"}'),
        (-math.inf, b'{"float":"-inf"}'),
        ("é\ud800", b'"\\u00e9\\ud800"'),
        ([], b"[]"),
        ((), b'{"tuple":[]}'),
        (b"\0", b'{"bytes":"AA=="}'),
        ({1: [2]}, b'{"dict":[[1,[2]]]}'),
        ({"tuple": 1}, b'{"dict":[["tuple",1]]}'),
        (frozenset([1]), b'{"frozenset":[1]}'),
        ({1}, b'{"set":[1]}'),
    ],
)
def test_form(value: Any, line: bytes) -> None:
    assert dump(value) == line
    assert same(load(line), value)


def test_nan() -> None:
    assert dump(math.nan) == b'{"float":"nan"}'
    assert math.isnan(load(b'{"float":"nan"}'))


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"k": (value,)}
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Colour.RED,
        Text("a"),
        collections.OrderedDict(),
        collections.Counter(),
        bytearray(),
        1j,
        range(3),
        "\ud83d\ude00",
        [lambda: 0],
        10**4001,
        nested(51),
        "x" * 20_000_000,
    ],
)
def test_refused_on_the_way_in(value: Any) -> None:
    with pytest.raises(ValueNotCarried):
        dump(value)


def test_bounds_are_the_same_both_ways() -> None:
    assert same(load(dump(nested(50))), nested(50))
    assert load(dump(10**3999)) == 10**3999
    assert load(dump(-(10**3999))) == -(10**3999)
    assert dump("x" * 98, most_bytes=100) == b'"' + b"x" * 98 + b'"'
    with pytest.raises(ValueNotCarried, match="101 bytes"):
        dump("x" * 99, most_bytes=100)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"nan",
        b"NaN",
        b"Infinity",
        b'{"tuple":1}',
        b'{"tuple":[],"set":[]}',
        b'{"other":[]}',
        b'{"dict":[[1]]}',
        b'{"dict":[1]}',
        b'{"dict":[[[],1]]}',
        b'{"dict":{"a":1}}',
        b'{"set":[[]]}',
        b'{"bytes":"?"}',
        b'{"bytes":1}',
        b'{"bytes":"\\u00e9"}',
        b'{"float":"1"}',
        b'{"float":[]}',
        b"1" * 4002,
        b"[" * 102 + b"]" * 102,
        b"[" * 200_000,
        b'{"tuple":' * 100_000,
        b"\xff",
        b"1 2",
    ],
)
def test_refused_on_the_way_out(line: bytes) -> None:
    with pytest.raises(ValueNotCarried):
        load(line)


@given(st.binary(max_size=200) | st.text(alphabet='[]{}":,tuplesdicbyn01.e-', max_size=60).map(str.encode))
def test_any_bytes_are_a_value_or_refused(line: bytes) -> None:
    try:
        value = load(line)
    except ValueNotCarried:
        return
    assert same(load(dump(value)), value) or "nan" in repr(value)


def test_too_long_a_line_is_not_parsed() -> None:
    with pytest.raises(ValueNotCarried, match="bytes"):
        load(b"[" + b"0," * 100 + b"0]", most_bytes=100)


@pytest.mark.parametrize("form", ["set", "frozenset", "dict"])
def test_members_chosen_to_have_one_hash_are_refused(form: str) -> None:
    members = [(2**61 - 1) * number for number in range(1, 5000)]
    body = [[each, 0] for each in members] if form == "dict" else members
    with pytest.raises(ValueNotCarried, match="same hash"):
        load(json.dumps({form: body}).encode())
    assert load(dump(set(range(5000)))) == set(range(5000))
    assert load(dump({-1, -2, 0.0, 2.0**61})) == {-1, -2, 0.0, 2.0**61}
