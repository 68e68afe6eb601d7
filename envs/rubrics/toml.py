"""A rubric as TOML: data that is read, checked key by key, written, and saved with the run that used it.

name = "search"
clip = [0, 1]                      # of the whole reward

[judge]                            # for the components that ask a model
model = "judge"
base_url = "http://127.0.0.1:8000/v1"

[[component]]
name = "correct"                   # left out: as `use`
use = "exact_match"                # of the box, or "module:factory"
weight = 1.0
gate = 1.0                         # the others count only where it is reached

[[component]]
use = "length"
weight = 0.2
with = {unit = "words", soft = 40, hard = 120}
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.component import Component
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.rubric import Rubric

__all__ = ["from_toml", "load_rubric", "rubric_of", "to_toml"]

_KEYS = ("name", "clip", "deadline_s", "judge", "component")
_COMPONENT_KEYS = ("name", "use", "weight", "gate", "at", "normalise", "clip", "with")


def rubric_of(rubric: Rubric | str | Path) -> Rubric:
    """Return a rubric as it is, or read it from the path of a TOML file or its text.

    Raises:
        UsageError: There is no such file, or it holds no rubric.
    """
    if isinstance(rubric, Rubric):
        return rubric
    text = str(rubric)
    return from_toml(text) if "\n" in text or "=" in text else load_rubric(text)


def load_rubric(path: str | Path) -> Rubric:
    """Read a rubric from a file.

    Raises:
        UsageError: There is no such file, or it holds no rubric.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"rubric {str(path)!r} cannot be read: {error}; give the path of a .toml file") from error
    return from_toml(text, place=str(path))


def from_toml(text: str, *, place: str = "the rubric") -> Rubric:
    """Read a rubric from a text.

    Args:
        text: TOML.
        place: Where it is from, for messages.

    Raises:
        UsageError: It is no TOML, or no rubric: names the key.

    >>> from agentrl.envs.rubrics.transcript import Transcript
    >>> rubric = from_toml('''
    ... [[component]]
    ... use = "exact_match"
    ... with = {reference = "Paris"}
    ... ''')
    >>> rubric.score(Transcript(messages=({"role": "assistant", "content": "<answer>paris</answer>"},))).reward
    1.0
    """
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{place} is no TOML: {error}") from error
    try:
        return _rubric(told)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error


def to_toml(rubric: Rubric) -> str:
    """Write a rubric as TOML that `from_toml` reads back.

    Raises:
        UsageError: A component is a function and not data.
    """
    told: dict[str, Any] = {"name": rubric.name} if rubric.name else {}
    if rubric.clip is not None:
        told["clip"] = list(rubric.clip)
    if rubric.deadline_s != Rubric.deadline_s:
        told["deadline_s"] = rubric.deadline_s
    if rubric.judge:
        told["judge"] = dict(rubric.judge)
    told["component"] = [_told(each) for each in rubric.components]
    try:
        return tomli_w.dumps(told)
    except TypeError as error:
        raise UsageError(f"the arguments of a component are no plain data: {error}") from error


def _rubric(told: Mapping[str, Any]) -> Rubric:
    _check_keys(told, _KEYS, "a rubric")
    tables = told.get("component")
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise UsageError('a rubric has at least one component; write [[component]] and below it use = "exact_match"')
    judge = told.get("judge", {})
    if not isinstance(judge, dict):
        raise UsageError(f"judge is {judge!r}, but must be a table; write [judge]")
    _check_keys(judge, tuple(each.name for each in fields(JudgeSettings)), "judge")
    name = told.get("name", "")
    if not isinstance(name, str):
        raise UsageError(f"name is {name!r}, but must be text")
    return Rubric(
        components=tuple(_component(each, number) for number, each in enumerate(tables, start=1)),
        name=name,
        clip=_pair(told.get("clip")),
        judge=judge,
        **({"deadline_s": told["deadline_s"]} if "deadline_s" in told else {}),
    )


def _component(told: Mapping[str, Any], number: int) -> Component:
    use = told.get("use")
    if not isinstance(use, str) or not use:
        raise UsageError(f'component {number} has no use; write use = "exact_match", or use = "module:factory"')
    name = told.get("name", use.rpartition(":")[2])
    if not isinstance(name, str):
        raise UsageError(f"component {number}: name is {name!r}, but must be text")
    _check_keys(told, _COMPONENT_KEYS, f"component {name!r}")
    arguments = told.get("with", {})
    if not isinstance(arguments, dict):
        raise UsageError(f"{name}: with is {arguments!r}, but must be a table; write [component.with]")
    given = {key: told[key] for key in ("weight", "gate", "at") if key in told}
    ranges = {key: _pair(told[key]) for key in ("normalise", "clip") if key in told}
    return Component(name=name, use=use, arguments=arguments, **given, **ranges)


def _told(component: Component) -> dict[str, Any]:
    if not isinstance(component.use, str):
        raise UsageError(
            f"{component.name} is a function, and not data; name it in the rubric: use = 'module:factory', where the "
            "factory returns it"
        )
    told: dict[str, Any] = {"name": component.name, "use": component.use, "weight": component.weight}
    if component.gate is not None:
        told["gate"] = component.gate
    if component.at != "end":
        told["at"] = component.at
    for key in ("normalise", "clip"):
        value = getattr(component, key)
        if value is not None:
            told[key] = list(value) if isinstance(value, tuple) else value
    if component.arguments:
        told["with"] = dict(component.arguments)
    return told


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_keys(told: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in told:
        if key not in known:
            raise UsageError(f"{what} has no key {key!r}{nearest(key, known)}; there are {', '.join(known)}")
