"""The tasks of a program: rows of the user's own, or a function that draws them.

A row is what the program is given as its task, less what is for the rubric alone: `answer` or `answers`, and every
field whose name begins with an underscore. `id`, `split` and `level` are as in all rows of the suite's environments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.functions import load_function
from agentrl.envs.protocol import SPLITS
from agentrl.envs.remote.wire import WireError, plain
from agentrl.envs.rows import Row
from agentrl.envs.splits import LEVELS, Source, by_split, sort_rows, tasks_of

__all__ = ["Draw", "Task", "TaskSource", "Tasks", "read_tasks"]

Draw = Callable[[np.random.Generator, str, int], Mapping[str, Any]]
"""(generator, split, level) -> a row; the splits must be disjoint, which is the function's to see to."""

Tasks = Source | Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]] | Draw
_USAGE = (
    "tasks={} are no tasks; give a file of JSON lines, a list of dicts such as "
    "[{{'question': '2 + 2?', 'answer': '4'}}], {{'train': …, 'test': …}} of either, or a function 'MODULE:CALLABLE'"
)
_HIDDEN = ("answer", "answers", "split", "level")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task."""

    id: str
    row: Mapping[str, Any]  # all of it, for the rubric

    @property
    def shown(self) -> dict[str, Any]:
        """What the program is given."""
        return {name: value for name, value in self.row.items() if name not in _HIDDEN and not name.startswith("_")}

    @property
    def answers(self) -> tuple[str, ...]:
        """Accepted answers, where the row has any."""
        told = self.row.get("answers", self.row.get("answer"))
        if told is None:
            return ()
        return tuple(map(str, told)) if isinstance(told, list | tuple) else (str(told),)


@dataclass(frozen=True, kw_only=True)
class TaskSource:
    """Where the tasks of an environment come from."""

    draw: Callable[[np.random.Generator, str, int], Task]  # (generator, split, level) -> a task
    levels: range = LEVELS  # that there are


def read_tasks(tasks: Tasks | str, *, needs_answers: bool = False) -> TaskSource:
    """Return what draws tasks.

    Args:
        tasks: A file of JSON lines; {"train": FILE, "test": FILE}; a list of rows; a function (`Draw`), or its name,
            "MODULE:CALLABLE".
        needs_answers: Refuse rows without `answer` or `answers`, since nothing else says what is right.

    Raises:
        UsageError: It is none of them.
        DataError: A row that cannot be used.
    """
    if tasks is None or tasks == "":
        raise UsageError(_USAGE.format(tasks))
    if isinstance(tasks, str) and ":" in tasks and not Path(tasks).exists():
        tasks = load_function(f"tasks={tasks!r}", tasks, example="tasks='my_tasks:draw'")
    if callable(tasks):
        return TaskSource(draw=_drawn(tasks))
    source: Any = "a list"
    if isinstance(tasks, Mapping) and tasks and all(isinstance(rows, list | tuple) for rows in tasks.values()):
        if not set(tasks) <= set(SPLITS):
            raise UsageError(_USAGE.format(repr(sorted(map(str, tasks)))))
        named: Mapping[str, Any] = tasks
        found = sort_rows({split: _rows(list(rows)) for split, rows in named.items()}, _task, _asked)
    elif isinstance(tasks, str | PathLike | Mapping):
        source = tasks
        files: Any = tasks
        found = by_split(files, _task, _asked)
    elif isinstance(tasks, Sequence) and tasks:
        found = sort_rows({"": _rows(tasks)}, _task, _asked)
    else:
        raise UsageError(_USAGE.format(f"{tasks!r:.80}"))
    if needs_answers:
        for task in (task for each in found.values() for task in each if not task.answers):
            raise DataError(
                f"tasks: {json.dumps(task.shown):.100} has no 'answer' or 'answers', and no rubric says what is right; "
                "give rubric='MODULE:CALLABLE'"
            )

    def draw(generator: np.random.Generator, split: str, level: int) -> Task:
        there = tasks_of(found, split, level, source=source, noun="task", argument="tasks")
        return there[int(generator.integers(len(there)))]

    levels = [level for _, level in found]
    return TaskSource(draw=draw, levels=range(min(levels), max(levels) + 1))


def _rows(rows: Sequence[Any]) -> list[Row]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise DataError(f"tasks, item {number}: {row!r:.80} is no dict; write {{'question': …, 'answer': …}}")
    return [
        Row(path=Path("tasks"), unit="item", number=number, start=0, length=0, value=_plain(row, number))
        for number, row in enumerate(rows, 1)
    ]


def _plain(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    try:
        return plain(row)  # type: ignore[no-any-return]  # a dict stays one
    except WireError as error:
        raise DataError(f"tasks, item {number}: {error}") from error


def _drawn(function: Draw) -> Callable[[np.random.Generator, str, int], Task]:
    def draw(generator: np.random.Generator, split: str, level: int) -> Task:
        try:
            row = function(generator, split, level)
            if not isinstance(row, Mapping):
                raise TypeError(f"it returned {type(row).__name__}, but must return a dict")
            told = plain(row)
            return Task(id=_id(told), row=told)
        except InfrastructureError:
            raise
        except Exception as error:  # the user's own
            raise UsageError(f"tasks: the function failed: {type(error).__name__}: {error}") from error

    return draw


def _task(row: Row) -> Task:
    task = Task(id=_id(row.value), row=row.value)
    if not task.shown:
        has = ", ".join(map(repr, row.value)) or "nothing"
        raise DataError(f"{row.place}: nothing in it is for the program; it has {has}; write a 'question'")
    return task


def _asked(task: Task) -> str:
    return json.dumps({name: value for name, value in task.shown.items() if name != "id"}, sort_keys=True)


def _id(row: Mapping[str, Any]) -> str:
    if "id" in row:
        return str(row["id"])
    import zlib

    told = {name: value for name, value in row.items() if name not in ("split", "level")}
    return f"{zlib.crc32(json.dumps(told, sort_keys=True, default=str).encode()):08x}"
