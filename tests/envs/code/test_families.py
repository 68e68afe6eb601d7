"""Every family of the catalogue: draws are many and repeat, texts are filled, solutions agree, hurried ones fail."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import sys
import time
from functools import cache
from string import Template
from types import CodeType, FrameType
from typing import Any

import pytest

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.family import TOPICS, Family, Params

LEAST_PARAMS = 150

# The statement gives a weekday by its name; its number is a parameter for the sources.
SAID_OTHERWISE = {
    "delivery-day": {"first", "second"},
    "monthly-meetings": {"weekday"},
    "week-label": {"start"},
}

every = pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)


def params_of(family: Family, seed: str) -> dict[str, Any]:
    rng = random.Random(seed)
    return family.draw(rng, rng.choice(family.levels))


def inputs_of(family: Family, params: Params, count: int, seed: str = "inputs") -> list[tuple[Any, ...]]:
    rng = random.Random(seed)
    return [family.inputs(rng, params) for _ in range(count)] + family.edges(params)


@cache
def compiled(text: str, name: str) -> CodeType:
    return compile(text, name, "exec")


class Solution:
    """A source of a family, ready to be run on inputs."""

    def __init__(self, family: Family, source: str, params: Params) -> None:
        self.family = family
        self.code = compiled(family.fill(source, params), family.name)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        if family.kind == "function":
            exec(self.code, self.names)

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        if self.family.kind == "function":
            return self.names[self.family.function](*copy.deepcopy(arguments))
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr(sys, "stdin", io.StringIO(arguments[0]))
            exec(self.code, {"__name__": "__main__"})
        return out.getvalue()

    def attempt(self, arguments: tuple[Any, ...]) -> Any:
        """A wrong source may also raise: that is an answer that differs from every value."""
        try:
            return self(arguments)
        except Exception as error:
            return error


def same(left: Any, right: Any) -> bool:
    """Equal with the same types all through; repr tells True from 1, and dictionaries may differ in order."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return repr(left) == repr(right)


@every
def test_draws_are_many_plain_and_repeatable(family: Family) -> None:
    assert family.topic in TOPICS
    assert family.levels == tuple(sorted(set(family.levels)))
    assert set(family.levels) <= {1, 2, 3, 4, 5}
    drawn: set[str] = set()
    for i in range(40 * LEAST_PARAMS):
        drawn.add(json.dumps(params_of(family, f"draw {i}"), sort_keys=True))
        if len(drawn) >= LEAST_PARAMS:
            break
    assert len(drawn) >= LEAST_PARAMS
    params = params_of(family, "draw 0")
    assert params == params_of(family, "draw 0")
    assert repr(inputs_of(family, params, 10)) == repr(inputs_of(family, params, 10))


@every
def test_statement_says_every_parameter(family: Family) -> None:
    said = set(Template(family.statement).get_identifiers()) | set(Template(family.given).get_identifiers())
    stated: dict[str, str] = {}
    for i in range(60):
        params = params_of(family, f"say {i}")
        assert set(params) - said == SAID_OTHERWISE.get(family.name, set()), "not in the statement"
        text = family.fill(family.statement + family.given, params)
        assert stated.setdefault(text, repr(params)) == repr(params)
        for source in (family.statement, family.signature, family.given, family.reference, family.second or ""):
            assert "$" not in family.fill(source, params)


@every
def test_second_agrees_with_reference(family: Family) -> None:
    for i in range(10):
        params = params_of(family, f"agree {i}")
        reference = Solution(family, family.reference, params)
        second = None if family.second is None else Solution(family, family.second, params)
        answers = set()
        for arguments in inputs_of(family, params, 30, f"agree {i}"):
            answer = reference(arguments)
            answers.add(repr(answer))
            if second is not None:
                found = second(arguments)
                assert same(answer, found), (params, arguments, answer, found)
        assert len(answers) >= 3


@every
def test_wrong_sources_fail(family: Family) -> None:
    assert family.wrong
    for source in family.wrong:
        failed = 0
        for i in range(10):
            params = params_of(family, f"wrong {i}")
            reference, wrong = Solution(family, family.reference, params), Solution(family, source, params)
            tried = inputs_of(family, params, 16, f"wrong {i}")
            failed += any(not same(reference(arguments), wrong.attempt(arguments)) for arguments in tried)
        assert failed >= 9, source


@every
def test_fields_agree(family: Family) -> None:
    params = params_of(family, "fields")
    if family.kind == "function":
        assert callable(Solution(family, family.reference, params).names[family.function])
    else:
        assert family.signature == ""
    assert (family.large is not None) == (family.topic == "refactoring")
    assert bool(family.given) == (family.topic in ("repair", "refactoring"))
    if family.topic == "repair":
        assert family.given in family.wrong


REFACTORING = [family for family in FAMILIES.values() if family.topic == "refactoring"]
slow_ones = pytest.mark.parametrize("family", REFACTORING, ids=lambda family: family.name)

# CPython 3.11 was seen to need 10 to 13 ns for a line of such a loop; a sum within a line is not counted.
LINE_S = 10e-9


def lines_run(solution: Solution, arguments: tuple[Any, ...]) -> int:
    """Return how many lines the source executes for an input: the same number on any machine."""
    count = 0

    def follow(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return follow

    before = sys.gettrace()
    sys.settrace(follow)
    try:
        solution(arguments)
    finally:
        sys.settrace(before)
    return count


@slow_ones
def test_given_is_right_and_hopeless_on_large_inputs(family: Family) -> None:
    assert family.large is not None
    params = params_of(family, "large")
    reference, given = Solution(family, family.reference, params), Solution(family, family.given, params)
    for arguments in inputs_of(family, params, 40):
        assert same(reference(arguments), given(arguments)), arguments
    big = family.large(random.Random("big"), params)
    parts = [(big[0][:size], *big[1:]) for size in (150, 300)]
    assert same(reference(parts[1]), given(parts[1]))
    few, more = (lines_run(given, part) for part in parts)
    assert more >= 3.4 * few, "two loops in each other"
    # The lines of a loop in a loop grow with the square of the length.
    assert more * (len(big[0]) / 300) ** 2 * LINE_S >= 5 * family.limit_s


@slow_ones
def test_reference_is_fast_on_large_inputs(family: Family) -> None:
    assert family.large is not None
    for level in family.levels:
        params = family.draw(random.Random("fast"), level)
        big = family.large(random.Random("big"), params)
        reference = Solution(family, family.reference, params)
        start = time.process_time()
        answer = reference.names[family.function](*big)
        assert time.process_time() - start < 0.1 * family.limit_s
        assert answer is None or answer != []
