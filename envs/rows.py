"""Rows of a JSON-lines file or of one JSON array, one at a time, each with its place in the file.

Every error names the file, the row and the field. A file packed as .gz or .bz2 is unpacked while it is read.
"""

from __future__ import annotations

import bz2
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from agentrl.envs.errors import DataError

__all__ = ["MAX_ROW_BYTES", "PACKED", "Row", "read_row", "read_rows", "clean"]

MAX_ROW_BYTES = 64 << 20
PACKED: dict[str, Callable[[Path], object]] = {".gz": gzip.open, ".bz2": bz2.open}

_CHUNK_BYTES = 1 << 20
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_MISSING = object()
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One JSON object of a file, and where its bytes are in it."""

    path: Path
    unit: str  # "line" of JSON lines, "item" of an array
    number: int  # counted from 1
    start: int  # offset in bytes
    length: int  # in bytes
    value: dict[str, Any]

    @property
    def place(self) -> str:
        """Where the row is, for a message."""
        return _place(self.path, self.unit, self.number)

    def text(self, field: str) -> str:
        """Return a field that must be a string that is not empty."""
        value = self.value.get(field, _MISSING)
        if not isinstance(value, str) or not value.strip():
            raise self.error(field, "a string that is not empty", value)
        return clean(value).strip()

    def error(self, field: str, expected: str, received: object = _MISSING) -> DataError:
        """Return the error that names this row and field, what was expected and what is there."""
        if received is _MISSING or (received is None and field.split(".")[0] not in self.value):
            found = f"the row has {', '.join(map(repr, self.value)) or 'no fields'}"
        else:
            found = f"got {_short(received)}"
        return DataError(f"{self.place}, field {field!r}: expected {expected}; {found}")


def clean(text: str) -> str:
    """Return text that can be encoded: JSON may hold lone surrogates, which SQLite, files and tokenizers refuse."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, holds no row, or a row is no JSON object.
    """
    try:
        with _open(path) as file:
            mark = file.read(3) == b"\xef\xbb\xbf"  # a byte order mark, as some Windows tools write
            start = 3 if mark else 0
            opening = _opening(file, start)
            empty = True
            for row in _items(path, file, opening + 1) if opening is not None else _lines(path, file, start):
                empty = False
                yield row
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if empty:
        raise DataError(f"{path} holds no rows; expected one JSON object a line")


def read_row(path: Path, *, unit: str, number: int, start: int, length: int) -> Row:
    """Return one row again, from the place that `read_rows` gave.

    Raises:
        DataError: the file cannot be read, or has no such row there any more.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            raw = file.read(length)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return _row(path, unit, number, start, raw)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".parquet":
        raise DataError(
            f'{path} is a Parquet file; turn it into JSON lines first: python -c "import pandas;'
            f" pandas.read_parquet('{path.name}').to_json('{path.stem}.jsonl', orient='records', lines=True)\""
        )
    opener = PACKED.get(path.suffix)
    return cast("IO[bytes]", opener(path) if opener else path.open("rb"))


def _opening(file: IO[bytes], start: int) -> int | None:
    """Return where the `[` of an array is, if the file is one."""
    file.seek(start)
    at = start
    while (byte := file.read(1)).isspace():
        at += 1
    return at if byte == b"[" else None


def _lines(path: Path, file: IO[bytes], start: int) -> Iterator[Row]:
    file.seek(start)
    number = 0
    while raw := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(raw) > MAX_ROW_BYTES:
            raise DataError(f"{_place(path, 'line', number)}: longer than {MAX_ROW_BYTES >> 20} MB; one object a line")
        if not raw.isspace():
            yield _row(path, "line", number, start, raw)
        start += len(raw)


def _items(path: Path, file: IO[bytes], start: int) -> Iterator[Row]:
    """Yield the objects of an array without holding the array; `start` is behind its bracket."""
    window = _Window(file, start)
    number = 0
    if window.peek() == "]":
        return
    while True:
        number += 1
        window.peek()
        try:
            end = window.end_of_value()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{_place(path, 'item', number)}: not valid JSON: {error}") from error
        yield _row(path, "item", number, window.start + window.at, window.text[window.at : end].encode("latin-1"))
        window.at = end
        mark = window.peek()
        if mark == "]":
            return
        if mark != ",":
            found = repr(mark) if mark else "the end of the file"
            raise DataError(f"{_place(path, 'item', number)}: expected ',' or ']' after it, got {found}")
        window.at += 1


class _Window:
    """A part of a file that moves on.

    Its bytes are decoded as Latin-1, where a character is a byte: strings come out wrong, but quotes, brackets and
    offsets are right, and the bytes of an object are then decoded properly.
    """

    def __init__(self, file: IO[bytes], start: int) -> None:
        file.seek(start)
        self.file = file
        self.start = start  # offset of the window in the file
        self.text = ""
        self.at = 0  # where in the window reading goes on

    def peek(self) -> str:
        """Skip white space; return the next character, or nothing at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.at)
            assert match is not None  # the pattern matches nothing too
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.fill(_CHUNK_BYTES):
                return ""

    def end_of_value(self) -> int:
        """Return where in the window the JSON value that begins here ends; ValueError if it never does."""
        num_bytes = _CHUNK_BYTES
        while True:
            try:
                return _DECODER.raw_decode(self.text, self.at)[1]
            except ValueError:
                if len(self.text) - self.at > MAX_ROW_BYTES or not self.fill(num_bytes):
                    raise
            num_bytes *= 2  # so that a value far larger than a chunk is not tried once a chunk

    def fill(self, num_bytes: int) -> bool:
        """Drop what has been read and read on; False at the end of the file."""
        more = self.file.read(num_bytes)
        self.start, self.text, self.at = self.start + self.at, self.text[self.at :] + more.decode("latin-1"), 0
        return bool(more)


def _row(path: Path, unit: str, number: int, start: int, raw: bytes) -> Row:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8, bad JSON, a number of 5,000 digits
        raise DataError(f"{_place(path, unit, number)}: not valid JSON: {error}; got {_short(raw)}") from error
    if not isinstance(value, dict):
        raise DataError(f"{_place(path, unit, number)}: expected a JSON object, got {_short(value)}")
    return Row(path=path, unit=unit, number=number, start=start, length=len(raw), value=value)


def _place(path: Path, unit: str, number: int) -> str:
    return f"{path}, {unit} {number}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
