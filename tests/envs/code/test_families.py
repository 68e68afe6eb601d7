"""Every family of the catalogue: draws are many and repeat, texts are filled, solutions agree, hurried ones fail."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import sys
from functools import cache
from string import Template
from types import CodeType
from typing import Any

import pytest

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.family import TOPICS, Family, Params

LEAST_PARAMS = 150

# The idea of these has few values; each with the number of different parameters that it has.
FEW_PARAMS: dict[str, int] = {}

# A parameter that the statement gives in other words, through another parameter.
SAID_OTHERWISE = {"repair-job-order": {"reverse"}}

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
    least = FEW_PARAMS.get(family.name, LEAST_PARAMS)
    drawn: set[str] = set()
    for i in range(40 * least):
        drawn.add(json.dumps(params_of(family, f"draw {i}"), sort_keys=True))
        if len(drawn) >= least:
            break
    assert len(drawn) >= least
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
