"""What a bench's file holds, read strictly: a damaged or foreign value is named with its column, never passed on."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agentrl.bench.errors import StoreError
from agentrl.bench.types import Episode, Job, Pace
from agentrl.envs.protocol import Failure

__all__ = ["COLUMNS", "read_episode", "read_identity", "read_pace", "refuse_views"]

T = TypeVar("T")

COLUMNS = {  # column -> SQL type; the first four are the key
    "env_id": "TEXT NOT NULL",
    "level": "INTEGER NOT NULL",
    "seed": "INTEGER NOT NULL",
    "sample": "INTEGER NOT NULL",
    "task_id": "TEXT NOT NULL",
    "prompt": "TEXT NOT NULL",
    "reward": "REAL NOT NULL",
    "rewards": "TEXT NOT NULL",
    "success": "INTEGER",
    "truncated": "INTEGER NOT NULL",
    "num_turns": "INTEGER NOT NULL",
    "failure": "TEXT",
    "num_attempts": "INTEGER NOT NULL",
    "seconds": "REAL NOT NULL",
    "latencies": "TEXT NOT NULL",
    "prompt_tokens": "INTEGER",
    "completion_tokens": "INTEGER",
    "messages": "TEXT NOT NULL",
    "turns": "TEXT",  # JSON: rewards and components of the turns; NULL in rows of layout 1
}
"""Columns of the table of episodes, with their SQL types."""


def read_episode(path: Path, values: Sequence[Any]) -> Episode:
    """Return the episode of a row.

    Args:
        path: The file, for messages.
        values: By `COLUMNS`.

    Raises:
        StoreError: A value is none that a bench writes.
    """
    row = _Row(path, dict(zip(COLUMNS, values, strict=True)))
    turns = row.given("turns", row.json(_object)) or {}
    turn_rewards, components = turns.get("rewards", []), turns.get("components", [])
    return Episode(
        job=Job(
            env_id=row.read("env_id", _text),
            level=row.read("level", _whole),
            seed=row.read("seed", _whole),
            sample=row.read("sample", _whole),
        ),
        task_id=row.read("task_id", _text),
        prompt=row.read("prompt", _text),
        reward=row.read("reward", _finite),
        rewards=row.read("rewards", row.json(_components)),
        success=row.given("success", _flag),
        truncated=row.read("truncated", _flag),
        num_turns=row.read("num_turns", _whole),
        failure=row.given("failure", row.json(_failure)),
        num_attempts=row.read("num_attempts", _whole),
        seconds=row.read("seconds", _finite),
        latencies=tuple(row.read("latencies", row.json(_list_of(_finite)))),
        prompt_tokens=row.given("prompt_tokens", _whole),
        completion_tokens=row.given("completion_tokens", _whole),
        messages=tuple(row.read("messages", row.json(_list_of(_message)))),
        turn_rewards=tuple(row.checked("turns", turn_rewards, _list_of(_number))),
        turn_components=tuple(row.checked("turns", components, _list_of(_components))),
    )


def read_identity(path: Path, rows: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return what a run is, from the table of names and JSON.

    Raises:
        StoreError: It is not there, or none that a bench writes.
    """
    found = _Row(path, dict(rows), table="identity")
    read = {str(name): found.read(name, found.json(lambda value: value)) for name in found.values}
    for name, kind in _IDENTITY.items():
        if name in read:
            found.checked(name, read[name], kind)
    for name in ("agent", *(("levels", "num_tasks", "num_samples") if "envs" in read else ())):
        if name not in read:
            raise StoreError(f"{path}: the table identity has no {name!r}; {_ADVICE}")
    return read


def read_pace(path: Path, values: Sequence[Any]) -> Pace:
    """Return how many were played at once, from a row.

    Raises:
        StoreError: A value is none that a bench writes.
    """
    names = ("at", "num_at_once", "why", "steps_per_s", "taken_mb")
    row = _Row(path, dict(zip(names, values, strict=True)), table="paces")
    return Pace(
        at=row.read("at", _finite),
        num_at_once=row.read("num_at_once", _whole),
        why=row.read("why", _text),
        steps_per_s=row.given("steps_per_s", _number),
        taken_mb=row.given("taken_mb", _number),
    )


def refuse_views(path: Path, db: sqlite3.Connection) -> None:
    """Refuse a file in which a table of ours is something else, such as a view that never ends.

    Raises:
        StoreError: One is.
    """
    query = "SELECT name, type FROM sqlite_master WHERE name IN ('episodes', 'identity', 'paces') AND type != 'table'"
    for name, kind in db.execute(query):
        raise StoreError(f"{path}: {name} is a {kind}, not a table; {_ADVICE}")


_ADVICE = "the file is damaged or no run of the bench: move it away, or bench again with another --out"


class _Row:
    """Values by column, read one after another."""

    def __init__(self, path: Path, values: Mapping[str, Any], table: str = "episodes") -> None:
        self.values = values
        self._path = path
        self._table = table

    def read(self, name: str, kind: Callable[[Any], T]) -> T:
        return self.checked(name, self.values[name], kind)

    def given(self, name: str, kind: Callable[[Any], T]) -> T | None:
        return None if self.values[name] is None else self.read(name, kind)

    def checked(self, name: str, value: Any, kind: Callable[[Any], T]) -> T:
        try:
            return kind(value)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise self.wrong(name, value) from None

    def json(self, kind: Callable[[Any], T]) -> Callable[[Any], T]:
        return lambda text: kind(json.loads(_text(text)))

    def wrong(self, name: str, value: Any) -> StoreError:
        return StoreError(f"{self._path}: {name!r} of the table {self._table} is {value!r:.80}; {_ADVICE}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if value not in (0, 1) or not isinstance(value, int):
        raise ValueError
    return bool(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return float(value)


def _finite(value: Any) -> float:
    if not math.isfinite(number := _number(value)):
        raise ValueError
    return number


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _components(value: Any) -> dict[str, float]:
    return {name: _number(each) for name, each in _object(value).items()}


def _failure(value: Any) -> Failure:
    told = _object(value)
    return Failure(kind=_text(told["kind"]), boundary=_text(told["boundary"]), message=_text(told["message"]))


def _message(value: Any) -> dict[str, Any]:
    told = _object(value)
    _text(told["role"])
    _text(told["content"])
    return told


def _list_of(kind: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    def read(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise TypeError
        return [kind(each) for each in value]

    return read


def _count(value: Any) -> int:
    if not 0 <= _whole(value) < 2**63:
        raise ValueError
    return int(value)


_IDENTITY: dict[str, Callable[[Any], Any]] = {
    "agent": _text,
    "agent_settings": _object,
    "envs": _list_of(_text),
    "levels": _list_of(_whole),
    "split": _text,
    "seed": _count,
    "num_tasks": _count,
    "num_samples": _count,
    "num_episodes": _count,
    "env_kwargs": _object,
    "versions": _object,
    "rescored": _object,
}
