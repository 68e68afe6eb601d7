"""Questions of the user's own about files of the user's own: JSON lines with `question`, `answer` and `files`.

`files` are paths below the folder of the JSON lines; in the box they have the same paths. The answer is a number, a
text, a day (YYYY-MM-DD) or a list; `kind` says which where that is not plain, or "set" for a list in any order. A row
may have a `split` and a `level`; without them a tenth of the rows, by the CRC-32 of their questions, is the test split,
and every level is 1.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.math.answers import read_number
from agentrl.envs.python.answers import KINDS, Answer
from agentrl.envs.python.tasks import Task
from agentrl.envs.rows import Row
from agentrl.envs.splits import Source, by_split

__all__ = ["MAX_BYTES", "Entry", "load"]

MAX_BYTES = 16 << 20  # of all files of a task: they live in the memory of its box
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


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


def load(source: Source) -> dict[tuple[str, int], tuple[Entry, ...]]:
    """Return the tasks of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: No such file, no rows in it, a bad row, or a question in both splits.
        UsageError: The mapping names another split, or none.
    """
    return by_split(source, _entry, lambda entry: entry.question)


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
