"""Test the families over texts, numbers, lists and dictionaries: each reference is right and each slip is caught."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from agentrl.envs.code.families import dictionaries, lists, numbers, strings
from agentrl.envs.code.family import TOPICS, Family, Params

FAMILIES = [*strings.FAMILIES, *numbers.FAMILIES, *lists.FAMILIES, *dictionaries.FAMILIES]

every_family = pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])


def draws(family: Family, num_draws: int) -> list[dict[str, Any]]:
    """Return parameters drawn in turn from the levels of a family."""
    return [family.draw(random.Random(seed), family.levels[seed % len(family.levels)]) for seed in range(num_draws)]


def inputs(family: Family, params: Params, num_inputs: int) -> list[tuple[Any, ...]]:
    """Return drawn inputs and the edges."""
    rng = random.Random(0)
    return [family.inputs(rng, params) for _ in range(num_inputs)] + family.edges(params)


def outcomes(family: Family, source: str, params: Params, given: list[tuple[Any, ...]]) -> list[Any]:
    """Return what a source gives for each input; an exception stands for itself by its class."""
    names: dict[str, Any] = {}
    exec(compile(family.fill(source, params), family.name, "exec"), names)
    results: list[Any] = []
    for arguments in given:
        try:
            results.append(names[family.function](*copy.deepcopy(arguments)))
        except Exception as error:
            results.append(type(error))
    return results


def test_names_are_unique() -> None:
    """A name stands for one family."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("module", [strings, numbers, lists], ids=["strings", "numbers", "lists"])
def test_three_families_are_for_beginners(module: Any) -> None:
    """Level 1 is served by three families of each of these topics."""
    assert sum(1 in family.levels for family in module.FAMILIES) >= 3


@every_family
def test_parameters_are_many_and_repeat_with_the_seed(family: Family) -> None:
    """Each family stands for forty tasks or more, and a seed gives one of them."""
    assert family.topic in TOPICS
    assert family.levels
    assert set(family.levels) <= {1, 2, 3, 4, 5}
    drawn = draws(family, 400)
    assert len({repr(params) for params in drawn}) >= 40
    assert drawn == draws(family, 400)
    assert repr(inputs(family, drawn[0], 40)) == repr(inputs(family, drawn[0], 40))


@every_family
def test_texts_are_filled(family: Family) -> None:
    """No placeholder is left, and the statements of two tasks differ."""
    drawn = draws(family, 40)
    for params in drawn:
        for text in (family.statement, family.signature, family.reference, family.second or "", *family.wrong):
            assert "$" not in family.fill(text, params)
    assert len({family.fill(family.statement, params) for params in drawn}) == len({repr(params) for params in drawn})


@every_family
def test_reference_answers_and_second_agrees(family: Family) -> None:
    """The reference fails on no input, answers differently to some, and an independent solution says the same."""
    for params in draws(family, 10):
        given = inputs(family, params, 40)
        expected = outcomes(family, family.reference, params, given)
        assert not [value for value in expected if isinstance(value, type)]
        assert len({repr(value) for value in expected}) >= 3
        if family.second is not None:
            found = outcomes(family, family.second, params, given)
            assert [repr(type(value)) for value in found] == [repr(type(value)) for value in expected]
            assert found == expected


@every_family
def test_hurried_solutions_fail(family: Family) -> None:
    """Sixteen inputs and the edges tell a slip from a solution."""
    assert family.wrong
    drawn = draws(family, 10)
    for source in family.wrong:
        caught = 0
        for params in drawn:
            given = inputs(family, params, 16)
            caught += outcomes(family, source, params, given) != outcomes(family, family.reference, params, given)
        assert caught >= 9, source
