"""Values as words and back: every action survives, every observation is bounded, and no junk raises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Space, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.speech import MAX_CHARS, UnreadableError, describe, first, read, refusal, say

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
KEYS = st.text("abcXYZ_ 0", min_size=1, max_size=5)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    dtype: Any = draw(st.sampled_from([np.float32, np.float64, np.int64, np.int8, np.uint8]))
    shape = draw(SHAPES)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        most = int(info.max) - 1  # Gymnasium cannot draw from a range that ends at the largest int64
        least = draw(st.integers(int(info.min), most - 1))
        return Box(least, draw(st.integers(least + 1, most)), shape, dtype)
    low = draw(st.sampled_from([-math.inf, -1e6, -2.5, 0.0, 0.1]))
    return Box(low, draw(st.sampled_from([0.3, 7.0, 1e5, math.inf])), shape, dtype)


def leaves() -> st.SearchStrategy[Space[Any]]:
    return st.one_of(
        st.builds(lambda n, start: Discrete(n, start=start), st.integers(1, 600), st.integers(-5, 5)),
        st.builds(MultiDiscrete, st.lists(st.integers(1, 9), min_size=1, max_size=5)),
        st.builds(MultiBinary, st.integers(1, 6)),
        st.builds(Text, st.integers(1, 20), charset=st.sampled_from(["abc", 'é"\\{}\n <>', "0123"])),
        boxes(),
    )


SPACES = st.recursive(
    leaves(),
    lambda inner: (
        st.builds(Dict, st.dictionaries(KEYS, inner, min_size=1, max_size=3))
        | st.builds(Tuple, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=5,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other)) and np.asarray(one).dtype == np.asarray(other).dtype


@settings(deadline=None, max_examples=200)
@given(SPACES, st.integers(0, 2**30))
def test_an_action_said_is_read_back(space: Space[Any], seed: int) -> None:
    assert refusal(space) is None
    space.seed(seed)
    for value in (space.sample(), first(space)):
        again = read(space, say(space, value))
        assert same(again, value)
        assert space.contains(again)


@settings(deadline=None, max_examples=100)
@given(SPACES, st.integers(0, 2**30), st.integers(0, 4))
def test_an_observation_becomes_bounded_text(space: Space[Any], seed: int, digits: int) -> None:
    space.seed(seed)
    value = space.sample()
    text = say(space, value, digits=digits)
    assert text == say(space, value, digits=digits)
    assert len(text) < 8_000
    assert 0 < len(describe(space)) < 10_000


@settings(deadline=None, max_examples=150)
@given(SPACES, st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.floats(), st.lists).map(repr))
def test_junk_is_an_action_or_refused_in_words(space: Space[Any], text: str) -> None:
    problem = ""
    try:
        value = read(space, text)
    except UnreadableError as error:
        problem = str(error)
    assert 0 < len(problem) < 11_000 if problem else space.contains(value)


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "9" * 9000, "1e999", "nan", "-inf", "٣", "\udc80", "0" * (MAX_CHARS + 1), '{"a":' * 1500, "null", ""],
)
@pytest.mark.parametrize(
    "space",
    [Discrete(3), Box(-1, 1, (1,)), MultiDiscrete([2, 2]), Dict(a=Discrete(2)), Tuple([Box(0, 9, (1,), np.int64)])],
)
def test_hostile_junk_is_refused(space: Space[Any], text: str) -> None:
    with pytest.raises(UnreadableError):
        read(space, text)


def test_numbers_are_rounded_to_what_their_range_needs() -> None:
    box = Box(np.array([-4.8, -np.inf, -0.07]), np.array([4.8, np.inf, 0.07]), dtype=np.float64)
    value = np.array([1.2345, -0.001, 0.0123456])
    assert say(box, value, digits=2) == "+1.2 +0.00 +0.012"
    assert say(box, value, digits=2, names=("place", "speed", "turn")) == "place +1.2 speed +0.00 turn +0.012"
    assert say(box, value) == "1.2345 -0.001 0.0123456"
    wild = Box(-np.inf, np.inf, (4,), np.float64)
    assert say(wild, np.array([np.nan, np.inf, -1e300, 3.14159]), digits=2) == "NaN Infinity -1.000e+300 +3.14"
    assert say(Box(0, 255, (2, 2), np.uint8), np.array([[1, 2], [3, 255]]), digits=2) == "1 2\n3 255"


def test_names_and_lenient_ways_to_say_an_action() -> None:
    names = ("left", "down", "right", "up")
    lake = Discrete(4)
    assert [read(lake, text, names=names) for text in ("left", " Right. ", "'UP'", "1")] == [0, 2, 3, 1]
    assert describe(lake, names=names) == "left, down, right or up"
    with pytest.raises(UnreadableError, match="'leftwards' is none of them"):
        read(lake, "leftwards", names=names)
    with pytest.raises(UnreadableError, match="4 is no whole number from 0 to 3"):
        read(lake, "4", names=names)
    for text in ("0.5, -1", "[0.5, -1.0]", "(0.5 -1)", "0.5\n-1e0"):
        assert read(Box(-1, 1, (2,)), text).tolist() == [0.5, -1.0]
    with pytest.raises(UnreadableError, match=r"'1\.01' is no number from -1 to 1"):
        read(Box(-1, 1, (2,)), "0 1.01")
    with pytest.raises(UnreadableError, match="1 numbers were said instead of 2"):
        read(MultiDiscrete([3, 3]), "1")
    with pytest.raises(UnreadableError, match="no object with the keys a, b"):
        read(Dict(a=Discrete(2), b=Discrete(2)), '{"a": 1}')


def test_a_bound_in_single_precision_is_said_and_read() -> None:
    box = Box(-0.1, 0.1, (1,))
    assert read(box, "0.1")[0] == box.high[0]
    assert read(box, say(box, box.low))[0] == box.low[0]


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Box(0, 255, (84, 84, 3), np.uint8), "21168 numbers, more than 256"),
        (Dict(picture=Box(0, 1, (20, 20)), number=Discrete(2)), "400 numbers"),
        (Tuple([Sequence(Discrete(2))]), "Sequence spaces have no text form"),
        (Graph(Discrete(2), None), "Graph"),
    ],
)
def test_what_cannot_be_spoken(space: Space[Any], reason: str) -> None:
    assert reason in str(refusal(space))
