"""Asserts read as calls and values: what they say is kept, and what cannot be read is refused with line and reason."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.envs.code.asserts import Unreadable, read_asserts, read_check_function
from agentrl.envs.code.checks import Check


def agrees(checks: list[Check], function: Callable[..., Any]) -> list[bool]:
    return [check.passes(function(*check.args)) for check in checks]


FORMS: list[tuple[str, Callable[..., Any], Callable[..., Any], int]] = [
    # asserts, a right function, a wrong one, checks
    ("assert f(1, 2) == 3", lambda a, b: a + b, lambda a, b: a - b, 1),
    ("assert f([1, 2]) == [2, 4], 'doubles'", lambda x: [2 * i for i in x], lambda x: x, 1),
    ("assert 3 == f(2)", lambda x: x + 1, lambda x: x, 1),
    ("assert f(2)", lambda x: True, lambda x: False, 1),
    ("assert not f(2)", lambda x: False, lambda x: True, 1),
    ("assert f(2) is True", lambda x: True, lambda x: 1, 1),
    ("assert f('') is None", lambda x: None, lambda x: 0, 1),
    ("assert f(2) != 2 and f(3) == 4", lambda x: x + 1, lambda x: x, 2),
    ("assert abs(f(1.33) - 0.33) < 1e-6", lambda x: x - 1, lambda x: x, 1),
    ("import math\nassert math.isclose(f(2.0), 2/3, rel_tol=0.001)", lambda x: 0.6667, lambda x: 0.67, 1),
    ("assert set(f((3, 4), (4, 5))) == set((4,))", lambda a, b: (4, 4), lambda a, b: (3,), 1),
    ("assert sorted(f('ba')) == ['a', 'b']", lambda x: list(x), lambda x: x[:1], 1),
    ("assert tuple(f([1])) == tuple([1])", lambda x: x, lambda x: [*x, 0], 1),
    ("for x in range(2, 8):\n    assert f(x, x + 1) == str(x)", lambda a, b: str(a), lambda a, b: str(b), 6),
    ("for a, b in [(1, 2), (3, 4)]:\n  y = a * b\n  assert f(a) == y", lambda a: a * (a + 1), lambda a: 0, 2),
    ("lst = list(range(-9, 10, 2))\nassert f(lst) == sum([i for i in lst if i > 0])", lambda x: 25, lambda x: 24, 1),
    ("result = f(4)\nassert result == 16\nassert result > 10", lambda x: x * x, lambda x: x, 2),
    ("x = [1]\nif len(x) == 1:\n    assert f(x) == 1\nelse:\n    assert f(x) == 2", lambda x: 1, lambda x: 2, 1),
    ("'a note'\nprint('start')\nassert True, 'always'\nassert f(0) == -1\npass", lambda x: -1, lambda x: 0, 1),
    ("assert f({'a': (1, {2})}, b'x', None) == {'a': 1}", lambda *a: {"a": 1}, lambda *a: {"a": 2}, 1),
    ("assert f(5) == f(5) == 5", lambda x: x, lambda x: -x, 1),
    ("assert isinstance(f(1), str) and len(f(1)) == 1", lambda x: "a", lambda x: 1, 2),
]


@pytest.mark.parametrize(("source", "right", "wrong", "count"), FORMS, ids=[form[0] for form in FORMS])
def test_an_assert_says_what_it_said(
    source: str, right: Callable[..., Any], wrong: Callable[..., Any], count: int
) -> None:
    name, checks = read_asserts(source, ["f", "g"])
    assert name == "f"
    assert len(checks) == count
    assert all(agrees(checks, right))
    assert not all(agrees(checks, wrong))
    # The same verdicts as Python gives, when it runs the asserts themselves.
    for function in (right, wrong):
        try:
            exec(source, {"f": function})
            held = True
        except (AssertionError, TypeError):
            held = False
        assert held is all(agrees(checks, function))


REFUSED = [
    ("assert f(f(1)) == 1", "line 1 of it: f(1) is not evaluated"),
    ("assert f(1) == f(2)", "with different arguments"),
    ("assert f(x=1) == 2", "arguments by name"),
    ("assert f(unknown) == 2", "the name unknown means nothing here"),
    ("assert f(1) == encode(2)", "it calls encode()"),
    ("import random\nfor _ in range(3):\n    assert f(random.randint(0, 9)) == 1", "line 3 of it"),
    ("assert all(f(x) == x for x in [1])", "the name x means nothing here"),
    ("while True:\n    assert f(1) == 1", "line 1 of it: `while True:` is no assert, assignment or loop"),
    ("with open('x') as y:\n    assert f(1) == 1", "is no assert, assignment or loop"),
    ("try:\n    f(1)\nexcept ValueError:\n    pass", "is no assert, assignment or loop"),
    ("f(1).append(2)\nassert f(1) == 1", "is no assert, assignment or loop"),
    ("x = Node(4)\nassert f(x) == 4", "Node(4) is not evaluated"),
    ("assert f(1) == 1\nassert 1 == 2", "does not hold, whatever the function returns"),
    ("assert f(range(3)) == 1", "a value of type range"),
    ("f(1)", "is no assert, assignment or loop"),
    ("assert f(1).real == 1", "it takes _.real"),
    ("assert f(1", "is no Python: line 1"),
    ("assert g(1) == f(1)", "calls f and g of the solution"),
    ("assert h(1) == 1", "calls no function of the solution"),
    ("for i in range(2000):\n    assert f(i) == i", "more than 1000 asserts"),
    ("pass  # f(1)", "calls no function"),
    ("x = f(1)", "no assert about the function"),
]


@pytest.mark.parametrize(("source", "said"), REFUSED, ids=[source for source, _ in REFUSED])
def test_what_cannot_be_read_is_refused_with_the_reason(source: str, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_asserts(source, ["f", "g"])
    assert said in str(caught.value)


def test_a_check_function_is_read_with_the_constants_beside_it() -> None:
    source = textwrap.dedent(
        """
        METADATA = {"author": "x"}
        CASES = [(1, 2), (3, 4)]


        def check(candidate):
            # a remark
            assert candidate(0) == 1, "zero"
            for before, after in CASES:
                assert candidate(before) == after
        """
    )
    checks = read_check_function(source, "follow")
    assert [check.args for check in checks] == [(0,), (1,), (3,)]
    assert all(agrees(checks, lambda x: x + 1))
    with pytest.raises(Unreadable, match="no function check"):
        read_check_function("def test(candidate):\n    assert candidate(1) == 1", "follow")


def test_each_check_keeps_the_values_of_its_own_moment() -> None:
    source = "seen = []\nfor i in range(3):\n    seen = seen + [i]\n    assert f(seen) == len(seen)"
    _, checks = read_asserts(source, ["f"])
    assert [check.args for check in checks] == [([0],), ([0, 1],), ([0, 1, 2],)]
    assert list(itertools.chain(agrees(checks, len), agrees(checks, lambda x: 1))) == [True] * 3 + [True, False, False]


def test_a_check_says_itself_for_the_model() -> None:
    _, (check,) = read_asserts("assert set(f('_ _')) == {'_'}", ["f"])
    assert check.said("f") == "set(f('_ _')) == {'_'}"
    assert Check(args=(1, "a"), expected=[2]).said("g") == "g(1, 'a') == [2]"


def test_a_test_that_cannot_be_evaluated_over_a_value_is_not_passed() -> None:
    _, (check,) = read_asserts("assert f(1)[0] == 2", ["f"])
    assert check.passes([2])
    assert not check.passes(2)
    assert not check.passes([])
