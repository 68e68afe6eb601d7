"""What every component of the box keeps to: plain keyword arguments, checked at once, a doctest, pure scoring."""

from __future__ import annotations

import copy
import doctest
import inspect
import math
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.catalogue import CATALOGUE
from agentrl.envs.rubrics.transcript import Transcript

COMPUTED = {name: where for name, where in CATALOGUE.items() if where.startswith("components.")}
NEEDED: dict[str, dict[str, Any]] = {  # arguments without a default
    "environment_component": {"name": "exact_match"},
    "json_schema": {"schema": {}},
    "language": {"language": "en"},
    "latency": {"soft_s": 1, "hard_s": 2},
    "length": {"soft": 1, "hard": 2},
    "num_turns": {"soft": 1, "hard": 2},
    "tools_needless": {"budget": 1},
    "unit_tests": {"function": "add"},
}
ODD: tuple[Any, ...] = (None, True, -1, math.nan, math.inf, "", "nonsense", [], [1], [""], ["a", "a"], {}, {"a": 1})


def factory(name: str) -> Callable[..., Any]:
    module, _, function = COMPUTED[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(f"agentrl.envs.rubrics.{module}"), function)
    return found


@pytest.mark.parametrize("name", COMPUTED)
def test_a_factory_has_its_name_keyword_arguments_and_a_doctest(name: str) -> None:
    made = factory(name)
    assert made.__name__ == name
    assert {each.kind for each in inspect.signature(made).parameters.values()} <= {inspect.Parameter.KEYWORD_ONLY}
    documented = inspect.getdoc(made) or ""
    assert documented.startswith("Score ")
    tests = doctest.DocTestFinder(recurse=False).find(made, name, globs=vars(import_module(made.__module__)).copy())
    assert [len(test.examples) > 0 for test in tests] == [True]
    runner = doctest.DocTestRunner()
    for test in tests:
        assert runner.run(test).failed == 0
    for argument in inspect.signature(made).parameters:
        assert f"{argument}:" in documented, argument


@pytest.mark.parametrize("name", COMPUTED)
def test_an_odd_argument_is_refused_or_works(name: str) -> None:
    """A rubric is data: whatever stands in it, the factory says what is wrong, or makes a scorer that scores."""
    made = factory(name)
    right = NEEDED.get(name, {})
    seen = Transcript(
        messages=({"role": "assistant", "content": "<answer>3</answer>"},),
        latencies=(1.0,),
        rewards={"exact_match": 1.0},
    )
    refused: list[tuple[str, str, str]] = []
    for argument in inspect.signature(made).parameters:
        for odd in ODD:
            try:
                score = made(**{**right, argument: odd})
                if name != "unit_tests":  # that would need a box
                    assert math.isfinite(score(seen)), (argument, odd)
            except UsageError as error:
                refused.append((argument, repr(odd)[:20], str(error)))
    known = ("accepted answer", "has no reward component", "tokens of this episode")  # said of the episode
    unclear = [each for each in refused if each[0] not in each[2] and not any(word in each[2] for word in known)]
    assert unclear == []
    assert refused or not inspect.signature(made).parameters


@pytest.mark.parametrize("name", [name for name in COMPUTED if name != "unit_tests"])  # that needs a box
def test_scoring_changes_nothing_and_needs_no_call_before(name: str) -> None:
    messages = ({"role": "user", "content": "2 + 1?"}, {"role": "assistant", "content": "<answer>3</answer>"})
    told: dict[str, Any] = {
        "messages": messages,
        "references": ("3",),
        "latencies": (1.5,),
        "rewards": {"exact_match": 1.0},
    }
    arguments = {"citation": {"measure": "claims"}, "json_match": {"reference": "3"}, **NEEDED}.get(name, {})
    score, seen = factory(name)(**arguments), Transcript(**told)
    before = copy.deepcopy(told)
    first = score(seen)
    assert told == before
    assert seen == Transcript(**told)
    assert [score(seen), factory(name)(**arguments)(Transcript(**told))] == [first, first]


@pytest.mark.parametrize(("name", "library"), [("json_schema", "jsonschema"), ("language", "py3langid.langid")])
def test_a_missing_library_is_named_with_what_to_type(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = factory(name)
    module = import_module(made.__module__)
    if name == "language":
        module._library.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=r"pip install 'agentrl-gym\[rubrics\]'"):
        made(**NEEDED[name])
    monkeypatch.undo()
    made(**NEEDED[name])
