"""Records for a schema, and the image of a database that holds them.

Values lie close together, so that there are ties, and often on or beside the constants of a query, so that `<` and `<=`
differ; some parents have no children, some columns no value, some records the same name.
"""

from __future__ import annotations

import datetime
import random
import sqlite3
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from agentrl.envs.sql.domains import Column, Entity, split_of
from agentrl.envs.sql.evaluate import Records
from agentrl.envs.sql.schema import Schema

__all__ = ["FIRST_DAY", "NUM_DAYS", "Hints", "connect", "make_name", "populate"]

Hints = Mapping[tuple[str, str], Sequence[Any]]
"""Entity and column -> values of the query, on and beside which values are drawn."""

FIRST_DAY = datetime.date(2021, 1, 1)
NUM_DAYS = 1400
_STARTS = (
    "Ba Be Bo Ca Co Da De Do Fa Fe Fi Ga Go Ha He Ja Jo Ka Ke Ko "
    "La Le Lo Ma Me Mo Na No Pa Pe Ra Re Ro Sa Se So Ta To Va Ve"
).split()
_MIDDLES = "ba bi da de di fa ga ka ke la le li lo ma mi mo na ne ni ra ri ro sa si ta te ti va vi zo".split()
_ENDS = "ck ld lm n nd ne nk r rd rn s sk st t th x".split()
_DAYS = [(FIRST_DAY + datetime.timedelta(days=number)).isoformat() for number in range(NUM_DAYS)]
_SAME = 0.3  # of the values are drawn from the hints


def make_name(rng: random.Random, split: str) -> str:
    """Draw a name that belongs to the split."""
    while True:
        name = "".join(_one(rng, part) for part in (_STARTS, _MIDDLES, _ENDS))
        if split_of(name) == split:
            return name


def populate(
    rng: random.Random,
    schema: Schema,
    split: str,
    size: int,
    hints: Hints,
    names: Sequence[str] = (),
    *,
    is_narrow: bool = False,
) -> Records:
    """Draw the records of every entity.

    Args:
        rng: Decides.
        schema: Of the database.
        split: To which new names belong.
        size: About how many records a table has; one that refers to two others has twice as many.
        hints: Values of the query.
        names: To take some names from, so that some are in several databases.
        is_narrow: Whether the numbers and dates of a column are one of three neighbours, so that many tie.
    """
    if is_narrow:
        hints = {**_anchors(rng, schema), **hints}
    found: dict[str, list[dict[str, Any]]] = {}
    for entity in schema.entities.values():
        num = max(2, size + rng.randrange(-(size // 4), size // 4 + 1))
        num += num if len(entity.of_kind("ref")) > 1 else 0
        keys = rng.sample(range(1, 2 * num + 1), num) if rng.random() < 0.5 else list(range(1, num + 1))
        rows: list[dict[str, Any]] = []
        found[entity.name] = rows
        for key in keys:
            row: dict[str, Any] = {"id": key}
            for column in entity.columns.values():
                row[column.name] = _value(rng, entity, column, found, hints, names, split, is_narrow)
            if not is_narrow:
                _in_order(rng, entity, row, hints)
            rows.append(row)
        rows.sort(key=lambda row: row["id"])
        _repeat(rng, entity, rows)
        rng.shuffle(rows)
    return found


def _repeat(rng: random.Random, entity: Entity, rows: list[dict[str, Any]]) -> None:
    """Give some records the values of others, so that duplicates and ties occur."""
    columns = [column.name for column in entity.columns.values()]
    for _ in range(max(1, len(rows) // 5)):
        one, other = rng.sample(rows, 2)
        for name in rng.sample(columns, rng.randint(1, len(columns))):
            if entity.columns[name].target != entity.name:
                one[name] = other[name]


def _value(
    rng: random.Random,
    entity: Entity,
    column: Column,
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    hints: Hints,
    names: Sequence[str],
    split: str,
    is_narrow: bool,
) -> Any:
    if column.nullable and rng.random() < 0.2:
        return None
    if column.kind == "ref":
        if column.target == entity.name:  # to one that is there already, so that no circle arises
            earlier = found[entity.name]
            return _one(rng, earlier)["id"] if earlier else None
        parents = found[column.target]
        return parents[min(int(rng.random() ** 1.4 * len(parents)), len(parents) - 1)]["id"]
    wanted = hints.get((entity.name, column.name), ())
    if wanted and (rng.random() < _SAME or (is_narrow and column.kind in ("int", "real", "date"))):
        return _beside(rng, column, _one(rng, wanted))
    if column.kind == "name":
        return _one(rng, names) if names and rng.random() < 0.4 else make_name(rng, split)
    if column.kind == "one":
        return _one(rng, column.values)
    if column.kind == "date":
        return _one(rng, _DAYS)
    if column.kind == "real":
        return int(column.low * 4 + rng.random() * ((column.high - column.low) * 4 + 1)) / 4
    return column.low + int(rng.random() * (column.high - column.low + 1))


def _anchors(rng: random.Random, schema: Schema) -> dict[tuple[str, str], list[Any]]:
    """Draw one value for each column of numbers or dates."""
    found: dict[tuple[str, str], list[Any]] = {}
    for entity in schema.entities.values():
        for column in entity.of_kind("int", "real"):
            found[entity.name, column.name] = [rng.randint(column.low, column.high)]
        for column in entity.of_kind("date"):
            found[entity.name, column.name] = [_one(rng, _DAYS)]
    return found


def _in_order(rng: random.Random, entity: Entity, row: dict[str, Any], hints: Hints) -> None:
    """Let what ends come after what begins, mostly; days that a query asks for stay where they are."""
    days = [column.name for column in entity.of_kind("date")]
    if len(days) > 1 and row[days[0]] and row[days[1]] and (entity.name, days[1]) not in hints and rng.random() < 0.9:
        begin = datetime.date.fromisoformat(row[days[0]])
        row[days[1]] = (begin + datetime.timedelta(days=rng.randrange(60))).isoformat()


def _beside(rng: random.Random, column: Column, value: Any) -> Any:
    if column.kind in ("name", "one"):
        return value
    step = _one(rng, (-1, 0, 0, 1))
    if column.kind == "date":
        return (datetime.date.fromisoformat(value) + datetime.timedelta(days=step)).isoformat()
    return max(0, value + (step / 4 if column.kind == "real" else step))


def _one(rng: random.Random, options: Sequence[Any]) -> Any:
    """Draw one of several; quicker than `choice`, and it is called for every value."""
    return options[int(rng.random() * len(options))]


def connect(schema: Schema, records: Records) -> sqlite3.Connection:
    """Return a connection to a database in memory with these records; a table of former years holds some of them."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA page_size = 512")
    connection.execute("BEGIN")
    for statement in schema.ddl():
        connection.execute(statement)
    for name, entity in schema.entities.items():
        columns = ["id", *entity.columns]
        marks = ", ".join("?" * len(columns))
        tables = [(schema.tables[name], records[name])]
        if name in schema.old:
            tables.append((schema.old_table(name), records[name][::3]))
        for table, rows in tables:
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", map(itemgetter(*columns), rows))
    connection.execute("COMMIT")
    return connection
