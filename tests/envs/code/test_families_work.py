"""Families of work-like tasks: draws are varied and repeatable, solutions agree, and hurried ones fail."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import sys
from typing import Any

import pytest

from agentrl.envs.code.families import dates, programs, refactoring, repair, simulation
from agentrl.envs.code.family import TOPICS, Family, Params

FAMILIES = (
    *simulation.FAMILIES,
    *dates.FAMILIES,
    *repair.FAMILIES,
    *refactoring.FAMILIES,
    *programs.FAMILIES,
)
every = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def params_of(family: Family, seed: str) -> dict[str, Any]:
    rng = random.Random(seed)
    return family.draw(rng, rng.choice(family.levels))


def inputs_of(family: Family, params: Params, count: int, seed: str = "inputs") -> list[tuple[Any, ...]]:
    rng = random.Random(seed)
    return [family.inputs(rng, params) for _ in range(count)] + family.edges(params)


class Solution:
    """A source of a family, ready to be run on inputs."""

    def __init__(self, family: Family, source: str, params: Params) -> None:
        self.family = family
        self.code = compile(family.fill(source, params), family.name, "exec")
        self.names: dict[str, Any] = {"__name__": "__main__"}
        if family.kind == "function":
            exec(self.code, self.names)

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        arguments = copy.deepcopy(arguments)
        if self.family.kind == "function":
            return self.names[self.family.function](*arguments)
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
    return type(left) is type(right) and bool(left == right)


def test_names_are_unique() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


@every
def test_draws_are_varied_plain_and_repeatable(family: Family) -> None:
    drawn = [json.dumps(params_of(family, f"draw {i}"), sort_keys=True) for i in range(400)]
    assert len(set(drawn)) >= 40
    assert drawn[:20] == [json.dumps(params_of(family, f"draw {i}"), sort_keys=True) for i in range(20)]
    params = params_of(family, "draw 0")
    assert inputs_of(family, params, 10) == inputs_of(family, params, 10)


@every
def test_texts_are_filled_and_fields_agree(family: Family) -> None:
    assert family.topic in TOPICS
    assert family.wrong
    assert set(family.levels) <= {2, 3, 4, 5}
    for i in range(10):
        params = params_of(family, f"fill {i}")
        for text in (family.statement, family.reference, family.second or "", family.given, *family.wrong):
            assert "$" not in family.fill(text, params)
        assert family.edges(params)
        if family.kind == "function":
            assert callable(Solution(family, family.reference, params).names[family.function])
        else:
            assert family.signature == ""


@every
def test_second_agrees_with_reference(family: Family) -> None:
    if family.second is None:
        pytest.skip("this family has no second solution")
    for i in range(10):
        params = params_of(family, f"agree {i}")
        reference, second = Solution(family, family.reference, params), Solution(family, family.second, params)
        for arguments in inputs_of(family, params, 40, f"agree {i}"):
            assert same(reference(arguments), second(arguments)), (params, arguments)


@every
def test_answers_are_not_all_alike(family: Family) -> None:
    params = params_of(family, "alike")
    reference = Solution(family, family.reference, params)
    assert len({repr(reference(arguments)) for arguments in inputs_of(family, params, 16)}) >= 3


@every
def test_wrong_sources_fail(family: Family) -> None:
    for source in family.wrong:
        failed = 0
        for i in range(10):
            params = params_of(family, f"wrong {i}")
            reference, wrong = Solution(family, family.reference, params), Solution(family, source, params)
            tried = inputs_of(family, params, 16, f"wrong {i}")
            failed += any(not same(reference(arguments), wrong.attempt(arguments)) for arguments in tried)
        assert failed >= 9, source


@pytest.mark.parametrize("family", repair.FAMILIES, ids=lambda family: family.name)
def test_given_of_repair_is_among_the_wrong(family: Family) -> None:
    assert family.given in family.wrong


@pytest.mark.parametrize("family", refactoring.FAMILIES, ids=lambda family: family.name)
def test_given_of_refactoring_is_right_and_large_is_large(family: Family) -> None:
    assert family.large is not None
    params = params_of(family, "large")
    reference, given = Solution(family, family.reference, params), Solution(family, family.given, params)
    for arguments in inputs_of(family, params, 40):
        assert same(reference(arguments), given(arguments)), arguments
    big = family.large(random.Random("big"), params)
    assert len(big[0]) >= 20_000
    middling = (big[0][:300], *big[1:])
    assert same(reference(middling), given(middling))
    reference(big)
