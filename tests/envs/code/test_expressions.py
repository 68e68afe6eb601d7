"""Expressions of a data file: right values for what is evaluated, a refusal for the rest, no way to hang the host."""

from __future__ import annotations

import ast
import math
import time
from typing import Any

import pytest

from agentrl.envs.code.expressions import Refused, evaluate, is_supported

SAME_AS_PYTHON = [
    "[1, -2.5, 'a', None, True, (1,), {2}, {'a': [b'x']}]",
    "2.0 / 3.0 + 7 // 2 - 7 % 4 ** 2",
    "not 1 or 0 and 5",
    "1 < 2 <= 2 != 3",
    "3 in [1, 2, 3] and 'x' not in 'abc'",
    "sorted(set([3, 1, 2, 1]), reverse=True)",
    "sorted(['ccc', 'a', 'bb'], key=len)",
    "tuple(range(2, 8, 3)) + (0,) * 3",
    "[x * y for x, y in zip([1, 2], [3, 4]) if x > 1]",
    "{k: len(v) for k, v in {'a': 'xyz'}.items()}",
    "sum([i for i in list(range(-99, 100, 2)) if i % 2 != 0 and i > 0])",
    "'Hello World'.lower().split() + ['a-b'.count('-')]",
    "[1, 2, 3, 4][1:-1] + [9, 8][::-1]",
    "abs(-3) + max(1, 2) + min([4, 3]) + round(2.567, 1) + int('7') + ord('a')",
    "math.isclose(0.1 + 0.2, 0.3, rel_tol=1e-9) and math.floor(2.7) == 2 and math.inf > 1",
    "isinstance('a', str) and not isinstance(1, (list, tuple))",
    "5 if [] else 6",
    "any(x > 2 for x in [1, 3]) and all([1, 1])",
    "[*range(3), *'ab']",
    "dict([(1, 2)], a=3)",
    "1 << 3 | 2 ^ 1 & 3",
]


@pytest.mark.parametrize("text", SAME_AS_PYTHON)
def test_what_is_evaluated_has_python_s_value(text: str) -> None:
    wanted = eval(text, {"math": math})
    assert is_supported(ast.parse(text, mode="eval").body, {}) == ""
    found = evaluate(text, {})
    assert found == wanted
    assert type(found) is type(wanted)


REFUSED = [
    "__import__('os').system('true')",
    "open('/etc/passwd')",
    "().__class__.__bases__",
    "'{0.__class__}'.format(1)",
    "f'{1:>1000000000}'",
    "(lambda: 1)()",
    "unknown + 1",
    "getattr(1, 'real')",
    "[].append(1)",
    "(x := 5)",
    "math.factorial(10 ** 6)",
    "'a'.encode",
]


@pytest.mark.parametrize("text", REFUSED)
def test_the_rest_is_refused_before_and_while(text: str) -> None:
    assert is_supported(ast.parse(text, mode="eval").body, {}) != ""
    with pytest.raises(Refused):
        evaluate(text, {})


COLLIDING = [index * (2**61 - 1) for index in range(1, 60_000)]

HOSTILE: list[tuple[str, Any]] = [
    ("10 ** _", 10**9),
    ("2 ** _ ** 2", 10**6),
    ("'a' * _", 10**12),
    ("_ * [0]", 10**10),
    ("1 << _", 10**12),
    ("set(_) == {1}", COLLIDING),
    ("frozenset(_) == 1", COLLIDING),
    ("{x for x in _}", COLLIDING),
    ("{x: 1 for x in _}", COLLIDING),
    ("dict(_)", [[each, 1] for each in COLLIDING]),
    ("sorted(_, key=set)", [COLLIDING]),
    ("sum(_, [])", [[1]] * 100_000),
    ("round(5, _)", -(10**9)),
    ("bytes(_)", 10**11),
    ("list(range(_))", 10**10),
    ("[y for x in _ for y in _]", list(range(10_000))),
    ("_ % (1,)", "%1000000000d"),
    ("_ + 1", "text"),
    ("_[5]", []),
    ("1 / _", 0),
    ("str(_ * _)", 10**4000),
]


@pytest.mark.parametrize(("text", "value"), HOSTILE, ids=[text for text, _ in HOSTILE])
def test_a_hostile_value_is_refused_at_once(text: str, value: Any) -> None:
    start = time.process_time()
    with pytest.raises(Refused):
        evaluate(text, {"_": value})
    assert time.process_time() - start < 2.0


def test_the_names_of_a_comprehension_end_with_it() -> None:
    assert evaluate("[x for x in _] + [x] + [x for x in [x]]", {"x": 5, "_": [1, 2]}) == [1, 2, 5, 5]
    assert evaluate("[[x for x in y] + y for y in _ if y] + [x]", {"x": 5, "_": [[1]]}) == [[1, 1], 5]
    assert "the name x" in is_supported(ast.parse("[x for x in [1]] + [x]", mode="eval").body, {})
    with pytest.raises(Refused, match="the name x means nothing"):
        evaluate("[x for x in [1]] + [x]", {})


def test_a_value_hides_the_function_of_its_name() -> None:
    for text in ("len([1])", "math.floor(1.5)", "math.pi", "isinstance(1, int)"):
        with pytest.raises(Refused):
            evaluate(text, {"len": [2], "math": "m", "isinstance": 1})
    assert evaluate("math.count('m') + len[0]", {"len": [2], "math": "m"}) == 3


def test_members_that_repeat_are_no_attack() -> None:
    assert evaluate("set(_)", {"_": [10**6 + index % 3 for index in range(5000)]}) == {10**6, 10**6 + 1, 10**6 + 2}


def test_identity_means_the_same_type_and_value() -> None:
    assert evaluate("_ is True", {"_": True})
    assert not evaluate("_ is True", {"_": 1})
    assert evaluate("_ is not None", {"_": 0})


def test_a_text_that_is_no_expression_is_refused() -> None:
    for text in ("x = 1", "1 +", "(" * 500, "\0", "[" * 100_000):
        with pytest.raises(Refused, match="no expression"):
            evaluate(text, {})
