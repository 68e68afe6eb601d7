"""The forms of a verdict: what a judge is asked to write, and the strict check of what it wrote.

A verdict is read from the whole of the judge's answer, which must be the JSON object and nothing else (a code fence
around it, and thoughts before it, are left out). No object is fished out of prose, where it may be a quotation of what
the episode said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.envs.turns import spoken

__all__ = ["Form", "checklist_form", "choice_form", "parsed", "places_form", "score_form"]

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_MOST_LISTED = 21  # values of a scale that the schema names one by one; of a longer one it tells the ends
_REASON = '"reason": "why, in at most three sentences", '


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a verdict must be."""

    name: str  # as the schema is called
    schema: Mapping[str, Any]  # JSON Schema, of the kind that strict structured output takes
    words: str  # the same for the model to read
    read: Callable[[Any], Any]  # parsed JSON -> value; ValueError with the reason where it is not of this form


def score_form(low: int, high: int, *, reasons: bool) -> Form:
    """Return the form of a whole number on a scale.

    >>> score_form(1, 5, reasons=False).read({"score": 4})
    4
    """
    listed = high - low < _MOST_LISTED
    bounds = {"enum": list(range(low, high + 1))} if listed else {"minimum": low, "maximum": high}

    def read(value: Any) -> int:
        _keys(value, _names(reasons, "score"))
        score = value["score"]
        if isinstance(score, bool) or not isinstance(score, int) or not low <= score <= high:
            raise ValueError(f"score is {score!r:.60}, but must be a whole number from {low} to {high}")
        return score

    return Form(
        name="score",
        schema=_object({**_reason(reasons), "score": {"type": "integer", **bounds}}),
        words=f'{{{_REASON if reasons else ""}"score": a whole number from {low} to {high}}}',
        read=read,
    )


def choice_form(choices: Sequence[str], *, reasons: bool) -> Form:
    """Return the form of one word out of some.

    >>> choice_form(["first", "second", "tie"], reasons=False).read({"better": "tie"})
    'tie'
    """

    def read(value: Any) -> str:
        _keys(value, _names(reasons, "better"))
        better = value["better"]
        if not isinstance(better, str) or better not in choices:
            raise ValueError(f"better is {better!r:.60}, but must be one of {', '.join(choices)}")
        return better

    return Form(
        name="choice",
        schema=_object({**_reason(reasons), "better": {"type": "string", "enum": list(choices)}}),
        words=f'{{{_REASON if reasons else ""}"better": {" or ".join(map(json.dumps, choices))}}}',
        read=read,
    )


def checklist_form(num_items: int, *, reasons: bool) -> Form:
    """Return the form of a yes or no for each item of a list.

    >>> checklist_form(2, reasons=False).read({"item_1": {"met": True}, "item_2": {"met": False}})
    (True, False)
    """
    names = [f"item_{index + 1}" for index in range(num_items)]

    def read(value: Any) -> tuple[bool, ...]:
        _keys(value, names)
        for name in names:
            try:
                _keys(value[name], _names(reasons, "met"))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            if not isinstance(value[name]["met"], bool):
                raise ValueError(f"{name}: met is {value[name]['met']!r:.60}, but must be true or false")
        return tuple(value[name]["met"] for name in names)

    item = f'{{{_REASON if reasons else ""}"met": true or false}}'
    return Form(
        name="checklist",
        schema=_object({name: _object({**_reason(reasons), "met": {"type": "boolean"}}) for name in names}),
        words="{" + ", ".join(f'"{name}": {item}' for name in names) + "}",
        read=read,
    )


def places_form(labels: Sequence[str], *, reasons: bool) -> Form:
    """Return the form of a place for each candidate, 1 the best; equal places are ties.

    >>> places_form("AB", reasons=False).read({"places": {"A": 2, "B": 1}})
    {'A': 2, 'B': 1}
    """
    num = len(labels)

    def read(value: Any) -> dict[str, int]:
        _keys(value, _names(reasons, "places"))
        places = value["places"]
        _keys(places, labels)
        for label, place in places.items():
            if isinstance(place, bool) or not isinstance(place, int) or not 1 <= place <= num:
                raise ValueError(f"the place of {label} is {place!r:.60}, but must be a whole number from 1 to {num}")
        return dict(places)

    place = {"type": "integer", "enum": list(range(1, num + 1))}
    shown = ", ".join(f'"{label}": its place' for label in labels)
    return Form(
        name="places",
        schema=_object({**_reason(reasons), "places": _object(dict.fromkeys(labels, place))}),
        words=f'{{{_REASON if reasons else ""}"places": {{{shown}}}}}',
        read=read,
    )


def parsed(text: str) -> Any:
    """Return the JSON that a judge wrote.

    Raises:
        ValueError: It is not JSON alone, or names a key twice; the message says so.

    >>> parsed('<think>Hm.</think> {"score": 3}')
    {'score': 3}
    """
    try:
        try:
            return _json(text)
        except json.JSONDecodeError:
            if spoken(text) == text:
                raise
            return _json(spoken(text))  # only now: a reason may quote the tags of a thought
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not one JSON object alone ({error.msg} at character {error.pos})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _json(text: str) -> Any:
    fenced = _FENCE.fullmatch(text.strip())
    return json.loads(fenced[1] if fenced else text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it names a key twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _keys(value: Any, names: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"there is {value!r:.60} where an object with {', '.join(names)} must be")
    missing = [name for name in names if name not in value]
    further = [name for name in value if name not in names]
    if missing or further:
        told = [f"{', '.join(missing)} is missing"] if missing else []
        told += [f"{', '.join(map(repr, further[:3]))} does not belong there"] if further else []
        raise ValueError("; ".join(told))
    if "reason" in names and not isinstance(value["reason"], str):
        raise ValueError(f"reason is {value['reason']!r:.60}, but must be text")


def _names(reasons: bool, *names: str) -> list[str]:
    return ["reason", *names] if reasons else list(names)


def _reason(reasons: bool) -> dict[str, Any]:
    return {"reason": {"type": "string"}} if reasons else {}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
