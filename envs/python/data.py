"""Questions of the user's own about files of the user's own: JSON lines with `question`, `answer` and `files`.

`files` are paths below the folder of the JSON lines; in the box they have the same paths. The answer is a number, a
text, a day (YYYY-MM-DD) or a list; `kind` says which where that is not plain, or "set" for a list in any order. A row
may have a `split` and a `level`; without them a tenth of the rows, by the CRC-32 of their questions, is the test split,
and every level is 1.
"""

from __future__ import annotations

import datetime
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.math.answers import read_number
from agentrl.envs.protocol import SPLITS
from agentrl.envs.python.answers import KINDS, Answer
from agentrl.envs.python.tasks import Task
from agentrl.envs.rows import Row, read_rows

__all__ = ["MAX_BYTES", "Entry", "load"]

LEVELS = range(1, 6)
MAX_BYTES = 16 << 20  # of all files of a task: they live in the memory of its box
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")

_Path = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row: its task without the files, and where these are."""

    id: str
    question: str
    answer: Answer
    paths: Mapping[str, Path]  # in the box -> here

    def task(self) -> Task:
        """Return the task with its files.

        Raises:
            InfrastructureError: A file that was there is not there any more, or has grown too large.
        """
        files: dict[str, bytes] = {}
        for name, path in self.paths.items():
            try:
                with path.open("rb") as file:
                    files[name] = file.read(MAX_BYTES + 1)
            except OSError as error:
                raise InfrastructureError(f"cannot read {path}: {error}", kind="files", boundary="data") from error
        if sum(map(len, files.values())) > MAX_BYTES:
            raise InfrastructureError(f"the files of {self.id} have grown too large", kind="files", boundary="data")
        asked = f"{self.question}\nFiles: {', '.join(files)}"
        return Task(id=self.id, question=asked, files=files, answer=self.answer)


def load(source: _Path | Mapping[str, _Path]) -> dict[tuple[str, int], tuple[Entry, ...]]:
    """Return the tasks of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: No such file, no rows in it, a bad row, or a question in both splits.
        UsageError: The mapping names another split, or none.
    """
    given = dict(source) if isinstance(source, Mapping) else {"": source}
    if not given or (isinstance(source, Mapping) and not set(given) <= set(SPLITS)):
        raise UsageError(
            f"data names the splits {sorted(given)}; type data=FILE or data={{'train': FILE, 'test': FILE}}"
        )
    found: dict[tuple[str, int], list[Entry]] = {}
    places: dict[str, tuple[str, str]] = {}
    for name, path in given.items():
        for row in read_rows(Path(path)):
            entry = _entry(row)
            split = name or _split(row) or SPLITS[zlib.crc32(entry.question.encode()) % 10 == 0]
            if name and row.value.get("split", name) != name:
                raise row.error("split", f"{name!r}, as the file was given for that split", row.value["split"])
            before, place = places.setdefault(entry.question, (split, row.place))
            if before != split:
                raise DataError(f"{row.place}, field 'question': the same question is in the other split: {place}")
            found.setdefault((split, _level(row)), []).append(entry)
    return {key: tuple(entries) for key, entries in found.items()}


def _entry(row: Row) -> Entry:
    question = row.text("question")
    names = row.value.get("files")
    if not isinstance(names, list) or not names:
        raise row.error("files", "a list of paths, such as ['sales.csv']", names)
    paths: dict[str, Path] = {}
    total = 0
    for at, name in enumerate(names):
        field = f"files.{at}"
        parts = PurePosixPath(name).parts if isinstance(name, str) else ()
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise row.error(field, "a path below the folder of this file", name)
        path = row.path.parent / name
        if not path.is_file():
            raise row.error(field, f"a file; there is none at {path}", name)
        total += path.stat().st_size
        if total > MAX_BYTES:
            raise row.error(field, f"at most {MAX_BYTES >> 20} MB in all files of a row; this one goes past it", name)
        paths[str(PurePosixPath(name))] = path
    return Entry(id=f"{row.path.stem}-{row.number}", question=question, answer=_answer(row), paths=paths)


def _answer(row: Row) -> Answer:
    value = row.value.get("answer")
    kind = row.value.get("kind")
    if kind is not None and kind not in KINDS:
        raise row.error("kind", " or ".join(map(repr, KINDS)), kind)
    if isinstance(value, list):
        if kind not in (None, "list", "set"):
            raise row.error("answer", f"a {kind}, as the field 'kind' says", value)
        items = tuple(_single(row, f"answer.{at}", item, None) for at, item in enumerate(value))
        if not items:
            raise row.error("answer", "a list of at least one item", value)
        return Answer(kind=kind or "list", value=items)
    if kind in ("list", "set"):
        raise row.error("answer", f"a list, since the field 'kind' is {kind!r}", value)
    return _single(row, "answer", value, kind)


def _single(row: Row, field: str, value: Any, kind: str | None) -> Answer:
    """Return a number, a text or a day."""
    if isinstance(value, int | float) and not isinstance(value, bool) and kind in (None, "number"):
        number = read_number(str(value))
        if number is None:
            raise row.error(field, "a number of ordinary size", value)
        return Answer(kind="number", value=number.value)
    if not isinstance(value, str) or not value.strip():
        raise row.error(field, "a number, a text that is not empty, or a list of these", value)
    if kind == "number":
        number = read_number(value)
        if number is None:
            raise row.error(field, "a number, as the field 'kind' says", value)
        return Answer(kind="number", value=Fraction(number.value))
    if kind == "date" or (kind is None and _ISO.fullmatch(value.strip())):
        try:
            return Answer(kind="date", value=datetime.date.fromisoformat(value.strip()))
        except ValueError:
            raise row.error(field, "a day written YYYY-MM-DD", value) from None
    if "," in value and field != "answer":
        raise row.error(field, "an item without a comma, since commas part the items of an answer", value)
    return Answer(kind="text", value=value.strip())


def _split(row: Row) -> str | None:
    value = row.value.get("split")
    if value is not None and value not in SPLITS:
        raise row.error("split", " or ".join(map(repr, SPLITS)), value)
    return value


def _level(row: Row) -> int:
    level = row.value.get("level", 1)
    if not isinstance(level, int) or isinstance(level, bool) or level not in LEVELS:
        raise row.error("level", "a whole number from 1 to 5", level)
    return level
