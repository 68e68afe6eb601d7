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
    # a source's own `_` is no placeholder, and a comprehension has names of its own
    ("for x, _ in [(1, 2), (2, 4)]: assert f(x) == _", lambda x: 2 * x, lambda x: 9999, 2),
    ("_ = 3\n_1 = 4\nassert f(_) == _ + _1", lambda x: 7, lambda x: 3, 1),
    ("assert [a for a, _ in f(1)] == ['x']", lambda x: [("x", 1)], lambda x: [("y", 1)], 1),
    ("assert all(f(2) == 4 for _ in range(3))", lambda x: 2 * x, lambda x: 3, 3),
    ("for x in [1, 2]: assert f(x) == 2 * x\nassert all(f(x) == 2 * x for x in [5, 6])", lambda x: 2 * x, abs, 4),
    ("for x in [1]: assert f(x) > 0\nassert all(f(x) > 0 for x in [-5])", abs, lambda x: x, 2),
    ("x = 3; assert all(f(x) > 0 for x in [-1, -2])", abs, lambda x: x, 2),
    ("x = 3\nassert all([f(x) > 0 for x in [-1]]) and f(x) == 3", abs, lambda x: 9, 2),
    ("assert all(f(x, y) == x * y for x in [1, 2] for y in [x, 3] if y > x)", lambda a, b: a * b, max, 2),
    ("x = 5\nassert [x for x in f(1)] == [x]", lambda x: [5], lambda x: [1], 1),
    ("r = f(3)\nassert all(r[i] < r[i + 1] for i in range(len(r) - 1))", lambda x: [1, 2], lambda x: [2, 1], 1),
    ("r = f(3)\nassert r == 4\nfor r in [1, 2]: assert f(r) == r + 1", lambda x: x + 1, lambda x: 4, 3),
    ("for x in [-1, 2]: assert x < 0 or f(x) == 2", lambda x: x, lambda x: -x, 1),
    ("for x in [-1, 2]: assert f(x) == 2 if x > 0 else x == -1", lambda x: x, lambda x: -x, 1),
    # what was handed over may be compared with, as it was
    ("a = [2, 1]\nb = sorted(a)\nassert f(a) == b\nassert f(a) == sorted(a)", sorted, list, 2),
    ("for case in [([1], [2]), ([3], [4])]: assert f(case[0]) == case[1]", lambda x: [x[0] + 1], list, 2),
    ("import math\nfrom math import *\nassert isclose(f(1), 2) and math.isclose(f(2), 3)", lambda x: x + 1, abs, 2),
    ("list = [1, 2]\nassert f(list) == 3", sum, len, 1),
    ("assert f(1) in range(5)", lambda x: 4, lambda x: 5, 1),
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
    ("assert any(f(3) == 9 for _ in range(10))", "for each item of a comprehension; only all(...) is read so"),
    ("assert [f(3)[i] for i, _ in enumerate([1, 2])] == [1, 2]", "for each item of a comprehension"),
    ("assert not all(f(x) for x in [1, 2])", "for each item of a comprehension"),
    ("assert all(f(x) for x in [1] if f(x))", "for each item of a comprehension"),
    ("def all(x): return True\nassert all(f(x) for x in [1])", "for each item of a comprehension"),
    ("assert [x for x in [1]] and f(1) == x", "the name x means nothing here"),
    ("def sorted(x): return [1]\nassert sorted(f(1)) == [1]", "line 2 of it: sorted is not Python's own in this test"),
    ("from mylib import round\nassert round(f(1)) == 1", "round is not Python's own"),
    ("import numpy as math\nassert math.isclose(f(1), 1)", "math is not Python's own"),
    ("from math import floor as round\nassert f(1) == round(1.5)", "round is not Python's own"),
    ("class set(list): pass\nassert f(set([1])) == 1", "set is not Python's own"),
    ("from mylib import *\nassert sorted(f(1)) == [1]", "may stand for any name"),
    ("len = [3]\nassert len(f(1)) == 1", "it calls len()"),
    ("def f(x): return 1\nassert f(1) == 1", "another f in the place of the solution's"),
    ("for f in [1]: assert f(1) == 1", "another f in the place of the solution's"),
    ("class Case:\n    assert f(1) == 2\nassert f(1) == 1", "asserts in a class Case"),
    ("a = [3, 1, 2]; assert f(a) == [1, 2, 3]; assert a == [3, 1, 2]", "it asks about a after the function had it"),
    ("a = [3, 1]; b = a; assert f(b) == [1, 3] and a == [3, 1]", "it asks about a after the function had it"),
    ("a = [3, 1]; r = f((a,)); b = len(a); assert b == 2; assert r == 1", "it asks about b after"),
    ("a = [3]; assert f(a) == [3]\nfor x in a: assert x == 3", "it asks about x after"),
    ("a = [3]; assert f(a) == [3]\nif a == [3]: assert f(1) == 1", "it asks about a after"),
    ("a = [3, 1]; assert (f(a), a) == ([1, 3], [3, 1])", "it asks about a after the function had it"),
    ("a = [3, 1]; assert f(a) == a", "it asks about a after the function had it"),
    ("print(f.x, [].append(1))\nassert f(1) == 1", "a print that calls [].append()"),
    ("assert f(1) is [1]", "asks whether two values are one object"),
    ("assert f(1) == 2 + 3j", "it has 3j, which cannot be handed over"),
    ("z = 3j\nassert f(1) == [z]", "a value of type complex cannot be carried"),
    ("assert f(1) == 10 ** 4500", "an int of more than 4000 digits"),
    (f"assert f(1) == 0x{'f' * 4000}", "an int of more than 4000 digits"),
    (f"assert f(0x{'f' * 4000}) == 1", "an argument that cannot be handed over"),
    ("assert f(1) == range(3)", "a value of type range cannot be carried"),
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


@pytest.mark.parametrize(("source", "said"), REFUSED, ids=[source[:60] for source, _ in REFUSED])
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


def test_what_stands_beside_a_check_function_is_read_too() -> None:
    body = "def check(candidate):\n    assert sorted(candidate(1)) == [1]\n"
    assert (
        len(read_check_function(f"{body}\n\ncheck(follow)\nif __name__ == '__main__':\n    check(follow)", "follow"))
        == 1
    )
    assert len(read_check_function(f"{body}\nassert follow(2) == [2]", "follow")) == 2
    for beside in ("def sorted(x):\n    return [1]\n", "from mylib import sorted\n"):
        with pytest.raises(Unreadable, match="sorted is not Python's own"):
            read_check_function(beside + body, "follow")
    with pytest.raises(Unreadable, match="is no assert, assignment or loop"):
        read_check_function(f"{body}\nfollow(1).sort()", "follow")


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
