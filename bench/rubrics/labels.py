"""Labels of stored episodes, one JSON object a line: what somebody said of one episode, or which of two is better.

{"env_id": "Math-v0", "level": 1, "seed": 7, "sample": 0, "label": true}           an episode of a bench
{"phase": "train", "step": 3, "group": 0, "member": 1, "label": 0.5}               an episode of a training run
{"first": {"env_id": …}, "second": {"env_id": …}, "better": "first"}               or "second", or "tie"
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.bench.errors import UsageError
from agentrl.bench.stored import PHASES, StoredEpisode
from agentrl.envs.errors import nearest
from agentrl.envs.rubrics.component import is_number
from agentrl.envs.rubrics.tuning.examples import Kind

__all__ = ["Key", "Label", "Labels", "key_of", "read_labels", "short_id"]

Key = tuple[str, int, int, int]
"""(environment, level, seed, sample) of a bench, or (phase, step, group, member) of a training run."""

_BENCH = ("env_id", "level", "seed", "sample")
_TRAINING = ("phase", "step", "group", "member")
_LARGEST = 1e9
_BETTER = {"first": 1.0, "second": 0.0, "tie": 0.5}
_HOW = (
    'write {"env_id": "Math-v0", "level": 1, "seed": 7, "sample": 0, "label": true}, or of a training run '
    '{"phase": "train", "step": 3, "group": 0, "member": 1, "label": 0.5}, or {"first": {…}, "second": {…}, '
    '"better": "first"}'
)


@dataclass(frozen=True, kw_only=True)
class Label:
    """What was said of one episode, or of two."""

    keys: tuple[Key, ...]  # of the episode; of a preference of the first and the second
    value: float  # the number; 1 or 0 for true and false; of a preference 1: the first, 0: the second, 0.5: a tie
    place: str  # file and line, for messages


@dataclass(frozen=True, kw_only=True)
class Labels:
    """All labels of a file."""

    kind: Kind
    labels: tuple[Label, ...]  # each line once
    num_repeated: int = 0  # lines that said again what one had said
    num_contradicted: int = 0  # labels of which the same episodes have another


def key_of(stored: StoredEpisode, kind: str) -> Key:
    """Return how a label names an episode of a run.

    Args:
        stored: The episode.
        kind: Of the run: "bench" or "training".
    """
    if kind == "bench":
        job = stored.episode.job
        return short_id(job.env_id), job.level, job.seed, job.sample
    more = stored.more
    return str(more["phase"]), int(more["step"]), int(more["group"]), int(more["member"])


def short_id(env_id: str) -> str:
    """Return an environment's id without the module that registers it and, of ours, without `AgentRL/`.

    >>> short_id("agentrl.envs:AgentRL/Math-v0"), short_id("Mine/Own-v1")
    ('Math-v0', 'Mine/Own-v1')
    """
    return env_id.rpartition(":")[2].removeprefix("AgentRL/")


def read_labels(path: Path) -> Labels:
    """Read labels from a file.

    Raises:
        UsageError: It cannot be read, or a line is no label: names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text within a line may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"labels {str(path)!r} cannot be read: {error}; give JSON lines, or success") from error
    found = [_label(line, f"{path} line {at}") for at, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise UsageError(f"{path} holds no labels; {_HOW}")
    kinds = {kind: label.place for kind, label in found}
    if kinds.keys() == {"classes", "numbers"} and all(each.value in (0.0, 1.0) for _, each in found):
        kinds = {"classes": ""}  # true and 1 mean the same
    if len(kinds) > 1:
        told = ", ".join(f"{kind} ({place})" for kind, place in kinds.items())
        raise UsageError(f"labels must be all of one kind, but there are {told}; put each kind in a file of its own")
    kind = next(iter(kinds))
    once: dict[tuple[tuple[Key, ...], float], Label] = {}
    for _, label in found:
        once.setdefault((label.keys, label.value), label)
    labels = tuple(once.values())
    if kind == "numbers" and all(each.value in (0.0, 1.0) for each in labels):
        kind = "classes"
    given = Counter(label.keys for label in labels)
    return Labels(
        kind=kind,
        labels=labels,
        num_repeated=len(found) - len(labels),
        num_contradicted=sum(given[label.keys] > 1 for label in labels),
    )


def _label(line: str, place: str) -> tuple[Kind, Label]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is no JSON: {error}; {_HOW}") from error
    if not isinstance(told, dict):
        raise UsageError(f"{place} is {line[:60]!r}, but must be an object; {_HOW}")
    if "better" in told or "first" in told or "second" in told:
        return "preferences", _preference(told, place)
    value = told.get("label")
    if isinstance(value, bool):
        kind: Kind = "classes"
    elif is_number(value) and abs(value) <= _LARGEST:
        kind = "numbers"
    else:
        raise UsageError(
            f"{place}: label is {value!r:.80}, but must be true, false, or a number up to {_LARGEST:g}; {_HOW}"
        )
    return kind, Label(keys=(_key(told, place, ("label",)),), value=float(value), place=place)


def _preference(told: Mapping[str, Any], place: str) -> Label:
    better = told.get("better")
    if not isinstance(better, str) or better not in _BETTER:
        near = nearest(str(better), _BETTER)
        raise UsageError(f"{place}: better is {better!r}{near}, but must be first, second or tie; {_HOW}")
    for name in told:
        if name not in ("first", "second", "better"):
            raise UsageError(f"{place} has {name!r}, which a preference has not; {_HOW}")
    keys = []
    for name in ("first", "second"):
        if not isinstance(told.get(name), dict):
            raise UsageError(f"{place}: {name} is {told.get(name)!r}, but must name an episode; {_HOW}")
        keys.append(_key(told[name], f"{place}: {name}", ()))
    if keys[0] == keys[1]:
        raise UsageError(f"{place} prefers an episode to itself; name two")
    return Label(keys=tuple(keys), value=_BETTER[better], place=place)


def _key(told: Mapping[str, Any], place: str, beside: tuple[str, ...]) -> Key:
    names = _TRAINING if "phase" in told or "step" in told else _BENCH
    for name in told:
        if name not in (*names, *beside):
            raise UsageError(f"{place} has {name!r}{nearest(name, names)}, which names no episode; {_HOW}")
    word = told.get(names[0])
    if not isinstance(word, str) or (names is _TRAINING and word not in PHASES):
        there = f"one of {', '.join(PHASES)}" if names is _TRAINING else "an environment's id"
        raise UsageError(f"{place}: {names[0]} is {word!r}, but must be {there}; {_HOW}")
    numbers = [told.get(name, 0 if name == "sample" else None) for name in names[1:]]
    for name, value in zip(names[1:], numbers, strict=True):
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"{place}: {name} is {value!r}, but must be a whole number; {_HOW}")
    return short_id(word) if names is _BENCH else word, numbers[0], numbers[1], numbers[2]
