"""Tasks from rows of the user's own, by split and level; no question is in both splits.

A file is given for each split, or a row says its `split` ("train" or "test"), or neither: then a tenth of the rows, by
the CRC-32 of their questions, is the test split, on any machine and in any order. A row's `level` is 1 unless it says.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.protocol import SPLITS
from agentrl.envs.rows import Row, read_rows

__all__ = ["LEVELS", "Source", "by_split", "paths_of", "sort_rows", "tasks_of"]

LEVELS = range(1, 6)
Source = str | PathLike[str] | Mapping[str, str | PathLike[str]]
"""One file, or a file for each split: {"train": FILE, "test": FILE}."""
T = TypeVar("T")


def by_split(
    source: Source, read: Callable[[Row], T | None], question: Callable[[T], str]
) -> dict[tuple[str, int], tuple[T, ...]]:
    """Return the tasks of each split and level, in the order of their rows.

    Args:
        source: Where the rows are.
        read: Makes a task of a row, or None to leave it out; raises DataError for a bad one.
        question: Returns what a task asks, which decides its split and may be in one split only.

    Raises:
        DataError: No such file, no rows in it, a bad row, or a question in both splits.
        UsageError: The mapping names another split, or none, or what is given is no path.
    """
    return sort_rows({split: read_rows(path) for split, path in paths_of(source).items()}, read, question)


def paths_of(source: Source, *, noun: str = "FILE") -> dict[str, Path]:
    """Return the path for each split, or one for "" where it is for both.

    Args:
        source: As it was given.
        noun: What is at a path, for the message.

    Raises:
        UsageError: The mapping names another split, or none, or what is given is no path.
    """
    paths = dict(source) if isinstance(source, Mapping) else {"": source}
    typed = f"type data={noun} or data={{'train': {noun}, 'test': {noun}}}"
    if not paths or (isinstance(source, Mapping) and not set(paths) <= set(SPLITS)):
        raise UsageError(f"data names the splits {sorted(paths, key=str)}; {typed}")
    for path in paths.values():
        if not isinstance(path, str | PathLike):
            raise UsageError(f"data={source!r:.200} must be a path of text; {typed}")
    return {split: Path(path) for split, path in paths.items()}


def sort_rows(
    rows: Mapping[str, Iterable[Row]], read: Callable[[Row], T | None], question: Callable[[T], str]
) -> dict[tuple[str, int], tuple[T, ...]]:
    """Return the tasks of each split and level, as `by_split` does, of rows that are there already.

    Args:
        rows: By the split that they are for; "": each says its own, or it goes by what is asked.
        read: As of `by_split`.
        question: As of `by_split`.

    Raises:
        DataError: A bad row, or a question in both splits.
    """
    found: dict[tuple[str, int], list[T]] = {}
    places: dict[str, tuple[str, str]] = {}
    for file_split, every in rows.items():
        for row in every:
            task = read(row)
            if task is None:
                continue
            asked = question(task)
            split = _split(row, file_split) or SPLITS[zlib.crc32(asked.encode()) % 10 == 0]
            before, place = places.setdefault(asked, (split, row.place))
            if before != split:
                where = f"{row.place}, field 'question'" if "question" in row.value else row.place
                raise DataError(f"{where}: the same question is in the other split: {place}")
            found.setdefault((split, _level(row)), []).append(task)
    return {key: tuple(tasks) for key, tasks in found.items()}


def tasks_of(
    tasks: Mapping[tuple[str, int], Sequence[T]],
    split: str,
    level: int,
    *,
    source: Source,
    noun: str,
    argument: str = "data",
) -> Sequence[T]:
    """Return the tasks of a split and level, of which there is at least one.

    Args:
        tasks: What `by_split` gave.
        split: The split that is wanted.
        level: The level that is wanted.
        source: Where the tasks came from, for the message.
        noun: What a task is called in the message, such as "problem".
        argument: What the source is called there.

    Raises:
        DataError: There is none; the message says what there is.
    """
    found = tasks.get((split, level), ())
    if not found:
        there = ", ".join(f"{len(each)} of {key[0]} level {key[1]}" for key, each in sorted(tasks.items()))
        raise DataError(
            f"{argument}={str(source)!r} has no {noun} of split {split!r} and level {level}; there are {there}. "
            f"Rows choose them with the fields 'split' and 'level', or give {argument}={{'train': FILE, 'test': FILE}}"
        )
    return found


def _split(row: Row, file_split: str) -> str:
    """Return what file and row say of the split, if anything."""
    value = row.value.get("split")
    if value is None:
        return file_split
    if not isinstance(value, str) or value not in SPLITS:
        raise row.error("split", " or ".join(map(repr, SPLITS)), value)
    if file_split and value != file_split:
        raise row.error("split", f"{file_split!r}, as the file was given for that split", value)
    return value


def _level(row: Row) -> int:
    level = row.value.get("level", 1)
    if not isinstance(level, int) or isinstance(level, bool) or level not in LEVELS:
        raise row.error("level", "a whole number from 1 to 5", level)
    return level
