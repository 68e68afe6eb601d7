"""How rows become files, clean or dirty, and the source that reads such a file again inside a box.

A value in a row is exact: text, int (also cents of money and tenths), date or datetime. Dirt never changes what is
true: rows with a missing value and second copies are added, values are written in other ways, and README.txt says so.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.envs.python.words import Draw

__all__ = ["Paper", "Table", "database", "loaders", "note", "plain", "pretty", "readme", "written"]

_TYPES = {"whole": "INTEGER", "money": "REAL", "tenth": "REAL"}
_CASTS = {"whole": "int", "money": "float", "tenth": "float"}
_SEPARATORS = {"csv": ",", "tsv": "\t", "txt": "|"}
_MISSING = ("", "n/a", "-", "?")

_RULES = """\
The files were kept by several people:
- A row with a missing value (empty, n/a, - or ?) does not count at all.
- A row that was entered twice has the same id; it counts once.
- There may be spaces around a value, and names may be in capitals or in small letters.
- Numbers may have a comma between thousands, as in 1,250.
- A day may be written 2024-03-05, 05.03.2024 (day.month.year) or Mar 5, 2024; a time follows it,
  behind a space or a T."""

_CLEAN = """\
from datetime import datetime
def day(text):
    if "." in text:
        return "-".join(reversed(text.split(".")))
    return text if text[4] == "-" else datetime.strptime(text, "%b %d, %Y").date().isoformat()
def time(text):
    first, last = text.replace("T", " ").split(" ")
    return day(first) + " " + last
def whole(text):
    return int(text.replace(",", ""))
def real(text):
    return float(text.replace(",", ""))
def clean(rows, **kinds):
    kept = {}
    for row in rows:
        row = {name: str(value).strip() for name, value in row.items()}
        if not set(row.values()) & {"", "n/a", "-", "?"}:
            kept[row["id"]] = {name: kinds.get(name, str)(value) for name, value in row.items()}
    return list(kept.values())
"""
_READS = {"whole": "whole", "money": "real", "tenth": "real", "day": "day", "time": "time", "name": "str.title"}
_QUERY = """\
def query(file, table):
    db = sqlite3.connect(file)
    db.row_factory = sqlite3.Row
    return [dict(row) for row in db.execute("SELECT * FROM " + table)]
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that become one file, or one table of a database."""

    name: str  # of the variable that holds them in a cell, of the file before its ending, of the table
    columns: Mapping[str, str]  # name -> kind: text, name, whole, money (cents), tenth, day, time
    rows: Sequence[dict[str, Any]]
    file: str
    dirty: bool = False
    about: str = ""  # what README.txt says of it


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A file, or several, of a form of their own."""

    name: str
    rows: Sequence[dict[str, Any]]  # what is in it, as rows
    files: Callable[[Draw], Mapping[str, bytes]]
    loader: str  # source that reads it and sets the variable `name`
    shown: str = ""  # how a question names it; the files' names where it is empty
    about: str = ""


def plain(kind: str, value: Any) -> Any:
    """Return a value as JSON and databases hold it."""
    if kind in ("money", "tenth"):
        return value / (100 if kind == "money" else 10)
    return str(value)[:16] if kind in ("day", "time") else value


def pretty(value: Any) -> bytes:
    """Return JSON with a line for each object of a list."""
    # json's own indentation is made by its slow encoder: 60 ms in place of 4 for the largest file
    return (json.dumps(value).replace("}, {", "},\n{").replace("[{", "[\n{") + "\n").encode()


def written(table: Table, draw: Draw) -> bytes:
    """Return the content of a table's file.

    Args:
        table: The rows; no part of a database.
        draw: Decides the dirt.
    """
    rows = _soiled(table, draw) if table.dirty else table.rows
    ending = table.file.rpartition(".")[2]
    if ending in _SEPARATORS:
        shown = io.StringIO(newline="")
        writer = csv.writer(shown, delimiter=_SEPARATORS[ending], lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(
            [row[name] if table.dirty else _figure(kind, row[name]) for name, kind in table.columns.items()]
            for row in rows
        )
        return shown.getvalue().encode()
    records = [
        {name: row[name] if table.dirty else plain(kind, row[name]) for name, kind in table.columns.items()}
        for row in rows
    ]
    if ending == "jsonl":
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    return ("[" + ",\n ".join(map(json.dumps, records)) + "]\n").encode()


def database(tables: Sequence[Table]) -> bytes:
    """Return a SQLite database of the tables."""
    db = sqlite3.connect(":memory:")
    try:
        for table in tables:
            columns = ", ".join(f"{name} {_TYPES.get(kind, 'TEXT')}" for name, kind in table.columns.items())
            db.execute(f"CREATE TABLE {table.name} ({columns})")
            marks = ", ".join("?" * len(table.columns))
            rows = [[plain(kind, row[name]) for name, kind in table.columns.items()] for row in table.rows]
            db.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
        db.commit()
        return db.serialize()
    finally:
        db.close()


def loaders(tables: Sequence[Table], papers: Sequence[Paper]) -> str:
    """Return the source that reads all the files of a task into variables."""
    lines = [_loader(table) for table in tables] + [paper.loader.strip() for paper in papers]
    if any(table.dirty for table in tables) or any("clean(" in paper.loader for paper in papers):
        lines.insert(0, _CLEAN.strip())
    if any(map(_is_database, tables)):
        lines.insert(0, _QUERY.strip())
    source = "\n".join(lines)
    modules = [name for name in ("csv", "json", "re", "sqlite3") if f"{name}." in source]
    return f"import {', '.join(modules)}\n{source}" if modules else source


def note(tables: Sequence[Table], papers: Sequence[Paper]) -> str:
    """Return how a short question names its files."""
    inside: dict[str, list[str]] = {}
    for table in tables:
        columns = ", ".join(table.columns)
        inside.setdefault(table.file, []).append(f"table {table.name}: {columns}" if _is_database(table) else columns)
    named = [f"{file} ({'; '.join(parts)})" for file, parts in inside.items()]
    return ", ".join([*named, *(paper.shown or paper.name for paper in papers)])


def readme(tables: Sequence[Table], papers: Sequence[Paper]) -> bytes:
    """Return the file that explains the others."""
    lines = []
    for table in tables:
        place = f"{table.file}, table {table.name}" if _is_database(table) else table.file
        lines.append(f"{place}: {table.about} Columns: {', '.join(table.columns)}.")
    lines += [paper.about for paper in papers]
    if any(table.dirty for table in tables):
        lines += ["", _RULES]
    return ("\n".join(lines) + "\n").encode()


def _is_database(table: Table) -> bool:
    return table.file.endswith(".db")


def _loader(table: Table) -> str:
    ending = table.file.rpartition(".")[2]
    casts = _READS if table.dirty else _CASTS
    kinds = {name: casts[kind] for name, kind in table.columns.items() if kind in casts}
    if ending == "db":
        return f'{table.name} = query("{table.file}", "{table.name}")'
    if ending in _SEPARATORS:
        option = "" if ending == "csv" else f', delimiter="{_SEPARATORS[ending]}"'.replace("\t", "\\t")
        rows = f'csv.DictReader(open("{table.file}"){option})'
    elif ending == "jsonl":
        rows = f'[json.loads(line) for line in open("{table.file}")]'
    else:
        rows = f'json.load(open("{table.file}"))'
    if table.dirty:
        return f"{table.name} = clean({rows}, {', '.join(f'{name}={read}' for name, read in kinds.items())})"
    if ending in _SEPARATORS:
        changed = "".join(f', "{name}": {cast}(r["{name}"])' for name, cast in kinds.items())
        return f"{table.name} = [{{**r{changed}}} for r in {rows}]"
    return f"{table.name} = {rows}"


def _figure(kind: str, value: Any, *, thousands: bool = False) -> str:
    """Write a value without loss."""
    if kind in ("money", "tenth"):
        places = 2 if kind == "money" else 1
        head, tail = divmod(abs(value), 10**places)
        return f"{'-' if value < 0 else ''}{head:{',' if thousands else ''}}.{tail:0{places}d}"
    if kind == "whole":
        return f"{value:{',' if thousands else ''}}"
    return str(value)[:16] if kind == "time" else str(value)


def _soiled(table: Table, draw: Draw) -> list[dict[str, str]]:
    """Return the rows as several careless people would have written them, with rows that do not count."""
    rows = [{name: _careless(draw, kind, row[name]) for name, kind in table.columns.items()} for row in table.rows]
    for number in range(len(rows) // 25):
        rows.insert(draw.whole(0, len(rows)), dict(draw.pick(rows)))
        torn = {**draw.pick(rows), "id": f"X{100 + number}"}
        torn[draw.pick([name for name in table.columns if name != "id"])] = draw.pick(_MISSING)
        rows.insert(draw.whole(0, len(rows)), torn)
    return rows


def _careless(draw: Draw, kind: str, value: Any) -> str:
    shown = _figure(kind, value, thousands=draw.chance(0.5))
    if kind == "day" and draw.chance(0.5):
        shown = f"{value:%d.%m.%Y}" if draw.chance(0.5) else f"{value:%b} {value.day}, {value.year}"
    elif kind == "time" and draw.chance(0.5):
        shown = f"{value:%d.%m.%Y %H:%M}" if draw.chance(0.5) else f"{value:%Y-%m-%dT%H:%M}"
    elif kind == "name" and draw.chance(0.1):
        shown = shown.upper() if draw.chance(0.5) else shown.lower()
    return f" {shown} " if kind != "id" and draw.chance(0.05) else shown
