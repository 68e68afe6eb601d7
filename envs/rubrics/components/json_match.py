"""Compare the answer with the accepted ones as JSON: equal with exact types, but for white space and order of keys.

1 is not 1.0, true is not 1, and a key that stands twice in an object makes it unreadable, as do NaN and a value nested
deeper than `MAX_DEPTH`. A fence around the JSON is taken off; text beside it is not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Reference, Scorer, check_flag, checked_names, reader
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.sandboxes.grader import canonical

__all__ = ["MAX_DEPTH", "UnreadableError", "is_deep", "json_match", "read_json"]

MAX_DEPTH = 100
_FENCE = re.compile(r"```(?:json)?[ \t]*+\n(.*)\n[ \t]*+```", re.DOTALL | re.IGNORECASE)


class UnreadableError(ValueError):
    """A text that is not one JSON value of ordinary depth."""


def json_match(
    *,
    reference: str | Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    subset: bool = False,
    of: str = "answer",
) -> Scorer:
    """Score 1 where the answer is the JSON of an accepted one.

    Args:
        reference: The right JSON as text, or a list of accepted ones; None: those that the environment tells.
        ignore: Keys that are left out of the comparison, at any depth.
        subset: The answer's objects may have more keys than the accepted one's; lists must be as long.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work; at an episode: it has no accepted answer, or one that is no JSON.

    >>> episode = Transcript(messages=({"role": "assistant", "content": '<answer>{"b": [1], "a": "x"}</answer>'},))
    >>> json_match(reference='{"a": "x", "b": [1]}')(episode), json_match(reference='{"b": [1.0], "a": "x"}')(episode)
    (1.0, 0.0)
    >>> json_match(reference='{"b": [1]}', subset=True)(episode), json_match(reference='{"b": [1]}')(episode)
    (1.0, 0.0)
    """
    references, read = Reference(reference), reader(of)
    check_flag("subset", subset)
    left_out = frozenset(checked_names("ignore", ignore, example="['id']")) if ignore else frozenset()
    for each in references.own:
        _accepted(each)

    def score(transcript: Transcript) -> float:
        said, golds = read(transcript), references.of(transcript)
        try:
            value = _without(read_json(said or ""), left_out)
        except UnreadableError:
            return 0.0
        wanted = (_without(_accepted(gold), left_out) for gold in golds)
        if subset:
            return float(any(_holds(value, each) for each in wanted))
        form = canonical(value)
        return float(any(form == canonical(each) for each in wanted))

    return references.mark(score)


def read_json(text: str) -> Any:
    """Return the JSON value that a text is, in a fence or not.

    Raises:
        UnreadableError: It is none, has a key twice, or is nested too deeply.

    >>> read_json('```json\\n[1, 2]\\n```')
    [1, 2]
    """
    text = text.strip()
    fenced = _FENCE.fullmatch(text) if text.startswith("```") else None
    try:
        value = json.loads(fenced[1] if fenced else text, **_READING)
    except (ValueError, RecursionError) as error:  # an integer of more than 4,300 digits too
        raise UnreadableError(str(error)) from None
    if is_deep(value, MAX_DEPTH):
        raise UnreadableError(f"it is nested deeper than {MAX_DEPTH}")
    return value


@lru_cache(maxsize=256)
def _accepted(text: str) -> Any:
    try:
        return read_json(text)
    except UnreadableError as error:
        raise UsageError(f"the accepted answer {text!r:.80} is no JSON: {error}; use exact_match for text") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is larger than a number here can be")
    return number


_READING: dict[str, Any] = {"object_pairs_hook": _object, "parse_constant": _no_constant, "parse_float": _finite}


def is_deep(value: Any, depth: int) -> bool:
    """Say whether lists and objects are nested deeper than so many levels."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for each in level
            if isinstance(each, list | dict)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _without(value: Any, keys: Collection[str]) -> Any:
    if not keys:
        return value
    if isinstance(value, dict):
        return {key: _without(each, keys) for key, each in value.items() if key not in keys}
    return [_without(each, keys) for each in value] if isinstance(value, list) else value


def _holds(value: Any, wanted: Any) -> bool:
    """Say whether a value holds all that is wanted of it."""
    if type(value) is not type(wanted):
        return False
    if isinstance(wanted, dict):
        return all(key in value and _holds(value[key], each) for key, each in wanted.items())
    if isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_holds, value, wanted))
    return canonical(value) == canonical(wanted)
