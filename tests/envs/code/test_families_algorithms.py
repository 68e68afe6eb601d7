"""Families on graphs, grids, dynamic programming and parsing: the references are right and the hurried sources fail."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.envs.code.families import dynamic, graphs, grids, parsing
from agentrl.envs.code.family import TOPICS, Family, Params

FAMILIES = graphs.FAMILIES + grids.FAMILIES + dynamic.FAMILIES + parsing.FAMILIES


def _load(family: Family, text: str, params: Params) -> Callable[..., Any]:
    filled = family.fill(text, params)
    assert "$" not in filled
    space: dict[str, Any] = {}
    exec(compile(filled, family.name, "exec"), space)
    function = space[family.function]
    assert callable(function)
    return function  # type: ignore[no-any-return]


def _inputs(family: Family, params: Params, count: int) -> list[tuple[Any, ...]]:
    rng = random.Random(7)
    return [family.inputs(rng, params) for _ in range(count)] + family.edges(params)


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    try:
        return repr(function(*copy.deepcopy(arguments)))
    except (ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as error:
        return f"raised {type(error).__name__}"


def test_names_are_unique() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
class TestFamily:
    def test_many_different_parameters(self, family: Family) -> None:
        assert family.topic in TOPICS
        assert family.wrong
        rng = random.Random(1)
        drawn = {json.dumps(family.draw(rng, family.levels[i % len(family.levels)])) for i in range(400)}
        assert len(drawn) >= 40

    def test_reference_and_second_agree(self, family: Family) -> None:
        for seed in range(4):
            params = family.draw(random.Random(seed), family.levels[seed % len(family.levels)])
            assert "$" not in family.fill(family.statement, params) + family.fill(family.signature, params)
            reference = _load(family, family.reference, params)
            assert family.second is not None
            second = _load(family, family.second, params)
            for arguments in _inputs(family, params, 40):
                answer = _answer(reference, arguments)
                assert not answer.startswith("raised"), (params, arguments, answer)
                assert answer == _answer(second, arguments), (params, arguments)

    def test_wrong_sources_fail(self, family: Family) -> None:
        for text in family.wrong:
            assert text != family.reference
            caught = 0
            for seed in range(10):
                params = family.draw(random.Random(seed), family.levels[seed % len(family.levels)])
                reference, wrong = _load(family, family.reference, params), _load(family, text, params)
                caught += any(_answer(reference, a) != _answer(wrong, a) for a in _inputs(family, params, 16))
            assert caught >= 9, text

    def test_same_seed_same_task(self, family: Family) -> None:
        first, again = (family.draw(random.Random(3), family.levels[0]) for _ in range(2))
        assert first == again
        assert repr(_inputs(family, first, 5)) == repr(_inputs(family, again, 5))
