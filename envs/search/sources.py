"""Corpora and questions from files: JSON lines, or one JSON array as in HotpotQA's own releases.

Each row says which layout it is in (`layouts.py`). Files are streamed: a corpus is never held in memory, and of the
questions only their offsets are.
"""

from __future__ import annotations

import copy
import functools
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from agentrl.envs.errors import DataError, UsageError, nearest
from agentrl.envs.rows import PACKED, Row, read_row, read_rows
from agentrl.envs.search.layouts import SPLITS, Question, digest, documents_of, question_of, split_of
from agentrl.envs.search.retrieval import Document, FtsIndex

__all__ = ["Question", "QuestionFile", "read_corpus"]

_Path = str | os.PathLike[str]
_UNITS = ("line", "item")


def read_corpus(path: _Path | Sequence[_Path]) -> Iterator[Document]:
    """Yield the documents of one corpus file or of several; files may be packed (.gz, .bz2).

    A question file is a corpus too if its rows have `context`: each title is yielded once, as it first appears.

    Raises:
        DataError: no such file, or a row that fits none of the layouts.
    """
    return (document for _, document in numbered_corpus(corpus_files(path)))


def corpus_files(path: _Path | Sequence[_Path]) -> list[Path]:
    """Return the files of a corpus as absolute paths."""
    several = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not several:
        raise UsageError("the corpus is an empty list of files; name at least one")
    return [Path(os.path.abspath(file)) for file in several]


def numbered_corpus(files: Sequence[Path]) -> Iterator[tuple[Row, Document]]:
    """Yield each document of `read_corpus` with the row that it came from."""
    seen: set[bytes] = set()
    for file in files:
        for row in read_rows(file):
            for document in documents_of(row, seen):
                yield row, document


class QuestionFile(Sequence[Question]):
    """The questions of a file, every row checked once, each read from the file when it is asked for.

    Safe to share between threads and processes. In one file, a row is in the split that its field `split` (or verl's
    `extra_info.split`) names; without one, a tenth of the rows is the test split, by the CRC-32 of their text. A row
    without an id takes a hash of its question; a `data_source` is put before the id.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "questions.jsonl"
    >>> _ = file.write_text('{"id": "q1", "question": "Capital of Norway?", "golden_answers": ["Oslo"]}')
    >>> QuestionFile(file)[0].answers
    ('Oslo',)

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: no such file, no question in it, a row that fits neither layout, or an id in both splits.
        UsageError: the mapping names another split, or none.
    """

    def __init__(self, source: _Path | Mapping[str, _Path]) -> None:
        several = source if isinstance(source, Mapping) else {"": source}
        for name in several:
            if isinstance(source, Mapping) and name not in SPLITS:
                raise UsageError(f"questions for the split {name!r}: there are only {' and '.join(SPLITS)}")
        if not several:
            raise UsageError("questions is an empty mapping; name a file: {'train': FILE, 'test': FILE}")
        self._files = tuple((name, Path(os.path.abspath(path))) for name, path in several.items())
        self._stamps = tuple(_stamp(path) for _, path in self._files)
        self._table = _scan(self._files, self._stamps)
        self._rows: Sequence[int] = range(len(self._table))

    def split(self, name: str) -> QuestionFile:
        """Return the questions of one split.

        Raises:
            UsageError: the split is neither "train" nor "test".
            DataError: it holds no question.
        """
        if name not in SPLITS:
            raise UsageError(f"split {name!r} is none of {', '.join(SPLITS)}{nearest(name, SPLITS)}")
        part = copy.copy(self)
        part._rows = self._table.rows_of(SPLITS.index(name))
        if not part._rows:
            listed = ", ".join(str(path) for _, path in self._files)
            raise DataError(
                f"{listed}: none of the {len(self._table)} questions is in the split {name!r}; give the rows a field"
                " 'split', or a file for each split: questions={'train': FILE, 'test': FILE}"
            )
        return part

    def draw(self, rng: np.random.Generator, split: str) -> Question:
        """Return a question of a split, each equally likely."""
        part = self.split(split)
        return part[int(rng.integers(len(part)))]

    def context_index(self, cache_dir: _Path | None = None) -> FtsIndex:
        """Open the index of the paragraphs that come with the questions, as in HotpotQA's distractor setting.

        Raises:
            UsageError: the questions come without paragraphs.
        """
        if not self._table.has_context:
            listed = ", ".join(str(path) for _, path in self._files)
            raise UsageError(f"{listed}: not every question brings its 'context'; add corpus=PATH or retriever=URL")
        return FtsIndex.open([path for _, path in self._files], cache_dir=cache_dir)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Question: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Question]: ...
    def __getitem__(self, index: int | slice) -> Question | Sequence[Question]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        file, unit, number, start, length = self._table.at(self._rows[index])
        path = self._files[file][1]
        if _stamp(path) != self._stamps[file]:
            raise DataError(f"{path} changed while it was in use; start again to read it anew")
        return _question(path, self._stamps[file], unit, number, start, length)


class _Table:
    """Where each question is; about 40 bytes a question."""

    def __init__(self) -> None:
        self.has_context = True
        self._columns = (array("H"), array("B"), array("Q"), array("Q"), array("L"))
        self._rows = (array("L"), array("L"))

    def add(self, row: Row, *, file: int, split: int) -> None:
        self._rows[split].append(len(self))
        self.has_context = self.has_context and "context" in row.value
        values = (file, _UNITS.index(row.unit), row.number, row.start, row.length)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def at(self, index: int) -> tuple[int, str, int, int, int]:
        file, unit, number, start, length = (column[index] for column in self._columns)
        return file, _UNITS[unit], number, start, length

    def rows_of(self, split: int) -> Sequence[int]:
        return self._rows[split]

    def __len__(self) -> int:
        return len(self._columns[0])


@functools.lru_cache(maxsize=8)  # a hundred environments of one run read one file once; the stamps notice a change
def _scan(files: tuple[tuple[str, Path], ...], stamps: tuple[tuple[int, int], ...]) -> _Table:
    table = _Table()
    split_of_id: dict[bytes, int] = {}
    for file, (name, path) in enumerate(files):
        if path.suffix in PACKED:
            raise DataError(f"{path}: questions are read in place, so unpack the file first (gunzip or bunzip2)")
        for row in read_rows(path):
            question = question_of(row)
            split = SPLITS.index(name) if name else split_of(row, question.text)
            if split_of_id.setdefault(digest(question.id), split) != split:
                raise row.error("id", "an id of one split, not in train and in test", question.id)
            table.add(row, file=file, split=split)
    return table


@functools.lru_cache(maxsize=1024)  # a group asks the same one
def _question(path: Path, stamp: tuple[int, int], unit: str, number: int, start: int, length: int) -> Question:
    return question_of(read_row(path, unit=unit, number=number, start=start, length=length))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns
