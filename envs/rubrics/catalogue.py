"""The components in the box, by the names that a rubric uses, and where each is made.

Adding one takes its factory and a line here. A factory has keyword arguments of plain data, such as TOML can hold,
checks them at once and returns a scorer. One with the argument `judge` is given the settings of the rubric's judge.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.functions import load_function

__all__ = ["CATALOGUE", "Entry", "describe", "entry", "make_scorer"]

_HERE = "agentrl.envs.rubrics"

CATALOGUE: dict[str, str] = {
    # components/: computed
    "citation": "components.citation:citation",
    "command_safety": "components.command_safety:command_safety",
    "environment": "components.outcome:environment",
    "environment_component": "components.outcome:environment_component",
    "exact_match": "components.match:exact_match",
    "f1": "components.match:f1",
    "format_tags": "components.tags:format_tags",
    "json_match": "components.json_match:json_match",
    "json_schema": "components.json_schema:json_schema",
    "language": "components.language:language",
    "latency": "components.limits:latency",
    "length": "components.limits:length",
    "num_turns": "components.limits:num_turns",
    "numeric": "components.numbers:numeric",
    "set_match": "components.match:set_match",
    "success": "components.outcome:success",
    "tools_called": "components.tools:tools_called",
    "tools_needless": "components.tools:tools_needless",
    "tools_repeated": "components.tools:tools_repeated",
    "tools_valid": "components.tools:tools_valid",
    "unit_tests": "components.unit_tests:unit_tests",
    # judges/: asked of a model
    "judge": "judges.single:judge",
    "judge_checklist": "judges.single:judge_checklist",
    "judge_listwise": "judges.group:judge_listwise",
    "judge_pairwise": "judges.group:judge_pairwise",
    "judge_reference": "judges.single:judge_reference",
}
"""Name -> "module:factory", the module below `agentrl.envs.rubrics`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a component of the box is."""

    name: str
    summary: str  # first line of its factory's docstring
    arguments: str  # as in a signature
    sees_group: bool  # whether it compares the episodes of a group


def describe() -> list[Entry]:
    """Return what there is in the box, in the order of the catalogue."""
    return [entry(name) for name in CATALOGUE]


def make_scorer(use: str, arguments: Mapping[str, Any], judge: Mapping[str, Any], *, place: str) -> Callable[..., Any]:
    """Make the scorer of a component.

    Args:
        use: Name in the box, or "module:factory" of the user's own.
        arguments: Of the factory.
        judge: Settings of the rubric's judge.
        place: Name of the component, for messages.

    Raises:
        UsageError: There is no such factory, or it refuses the arguments.
    """
    factory = _factory(use, place)
    try:
        known = inspect.signature(factory).parameters
    except ValueError as error:
        raise UsageError(f"{place}: {use} is no factory: {error}") from error
    open_ended = any(each.kind is each.VAR_KEYWORD for each in known.values())
    for name in arguments:
        if name not in known and not open_ended:
            there = ", ".join(known) or "none"
            raise UsageError(f"{place}: {use} has no argument {name!r}{nearest(name, known)}; there are {there}")
    given = dict(arguments)
    if "judge" in known:
        own = given.get("judge") or {}
        if not isinstance(own, Mapping):
            raise UsageError(f"{place}: judge is {own!r}, but must be a table; write [component.with.judge]")
        given["judge"] = {**judge, **own}
    try:
        scorer = factory(**given)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
    except (Exception, SystemExit) as error:  # somebody else's code, or arguments that nobody thought of
        raise UsageError(f"{place}: {use} cannot be made: {type(error).__name__}: {error!s:.200}") from error
    if not callable(scorer):
        raise UsageError(f"{place}: {use} gave {scorer!r:.80}, but a factory returns a function that scores an episode")
    made: Callable[..., Any] = scorer
    return made


def _factory(use: str, place: str) -> Callable[..., Any]:
    if use in CATALOGUE:
        module, _, name = CATALOGUE[use].partition(":")
        found: Callable[..., Any] = getattr(import_module(f"{_HERE}.{module}"), name)
        return found
    if ":" not in use:
        raise UsageError(
            f"{place}: there is no component {use!r}{nearest(use, CATALOGUE)}; agentrl rubric show --components lists "
            "them, and one of your own is use = 'module:factory'"
        )
    return load_function(f"{place}: use = {use!r}", use, example="use = 'module:factory'")


def entry(name: str) -> Entry:
    """Return what one component of the box is."""
    factory = _factory(name, name)
    arguments = [
        str(each).partition(":")[0] + _default(each) for each in inspect.signature(factory).parameters.values()
    ]
    doc = inspect.getdoc(factory) or ""
    return Entry(
        name=name,
        summary=doc.partition("\n")[0],
        arguments=", ".join(arguments),
        sees_group=bool(getattr(factory, "sees_group", False)),
    )


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is parameter.empty else f"={parameter.default!r}"
