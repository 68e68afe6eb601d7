"""A task: a question, the reference query, and databases on which every plausible wrong query is found out.

The first database is the one that a policy sees. The others are drawn until each mutant of the reference gives another
result than the reference on at least one of them; where that does not succeed, the question is not asked.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from agentrl.envs.sql.domains import domains_of
from agentrl.envs.sql.draw import FAMILIES, draw_query
from agentrl.envs.sql.drawing import NoQuery
from agentrl.envs.sql.evaluate import Records, rounds_evenly
from agentrl.envs.sql.grading import same_rows
from agentrl.envs.sql.mutants import mutants
from agentrl.envs.sql.nodes import Groups, Listing, PerEach, Query, Totals, Window
from agentrl.envs.sql.populate import Hints, connect, populate
from agentrl.envs.sql.render import sql_of
from agentrl.envs.sql.schema import Schema, draw_schema
from agentrl.envs.sql.wording import Wording

__all__ = ["LEAST_HIDDEN", "Draft", "Task", "draw_draft", "draw_task"]

LEAST_HIDDEN = 3
_TRIES = 10  # databases that are drawn for one question
_MOST_ROWS = 60  # of a reference result
_TABLES = {1: (1, 0), 2: (3, 0), 3: (4, 0), 4: (5, 1), 5: (7, 2)}  # level -> tables, tables of former years
_SIZES = {1: 8, 2: 10, 3: 12, 4: 12, 5: 12}  # records of a table


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question; the first of the databases and results is the visible one."""

    id: str
    question: str
    sql: str  # the reference
    is_ordered: bool
    databases: tuple[bytes, ...] = field(repr=False)
    results: tuple[tuple[tuple[Any, ...], ...], ...] = field(repr=False)
    tables: tuple[str, ...]  # that the reference reads
    wrong: tuple[str, ...]  # a few plausible wrong queries
    family: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A question before its databases."""

    schema: Schema
    query: Query
    hints: Hints
    family: str
    level: int
    split: str

    @property
    def is_ordered(self) -> bool:
        """Whether the order of the rows is asked for."""
        return isinstance(self.query, Listing | Groups) and bool(self.query.order)


def draw_draft(rng: random.Random, split: str, level: int, family: str | None = None) -> Draft:
    """Draw a schema and a question that fits.

    Args:
        rng: Decides.
        split: Of domains, names and wordings.
        level: 1 to 5.
        family: One of `FAMILIES[level]`; None: drawn.
    """
    name = family or rng.choice(FAMILIES[level])
    while True:
        num, old = _TABLES[level]
        schema = draw_schema(rng, rng.choice(domains_of(split)), num, old)
        try:
            query, hints = draw_query(rng, schema, split, name)
        except NoQuery:
            continue
        return Draft(schema=schema, query=query, hints=hints, family=name, level=level, split=split)


def draw_task(
    rng: random.Random,
    split: str,
    level: int,
    task_id: str,
    family: str | None = None,
    *,
    shared_wordings: bool = False,
) -> Task:
    """Draw a task.

    Args:
        rng: Decides.
        split: Of domains, names and wordings.
        level: 1 to 5.
        task_id: What it is called.
        family: One of `FAMILIES[level]`; None: drawn.
        shared_wordings: Ask tasks of the test split in training's wordings, too.
    """
    name = family or rng.choice(FAMILIES[level])
    while True:
        draft = draw_draft(rng, split, level, name)
        databases = _Databases(rng, draft)
        try:
            if databases.tell_apart():
                break
        finally:
            databases.close()
    worded = "train" if shared_wordings else split
    question = Wording(rng, draft.schema, worded).question(draft.query)
    if level == 1:
        question = f"{draft.schema.text()}\n{question}"
    return Task(
        id=task_id,
        question=question,
        sql=databases.sql,
        is_ordered=draft.is_ordered,
        databases=tuple(databases.images),
        results=tuple(tuple(rows) for rows in databases.results),
        wrong=tuple(rng.sample(databases.wrong, min(4, len(databases.wrong)))),
        tables=tuple(table for table in draft.schema.tables.values() if table in databases.sql.split()),
        family=draft.family,
    )


class _Databases:
    """Draws databases for a draft, and keeps those that tell something apart."""

    def __init__(self, rng: random.Random, draft: Draft) -> None:
        self._rng, self._draft = rng, draft
        self.sql = sql_of(draft.query, draft.schema)
        self.results: list[list[tuple[Any, ...]]] = []
        self.images: list[bytes] = []
        self.wrong: list[str] = []
        self._size = _SIZES[draft.level]
        self._names: list[str] = []

    def tell_apart(self) -> bool:
        """Draw the visible database, then hidden ones; return whether they tell every mutant apart."""
        if not self._visible():
            return False
        self.wrong = [sql for _, sql in mutants(self._draft.query, self._draft.schema)]
        alive = self._survivors(self._connection, self.wrong, self.results[0])
        for number in range(_TRIES):
            size, is_narrow = (self._size, number % 2 == 1) if number % 4 < 3 else (3, True)
            records = self._records(size, is_narrow=is_narrow)
            with closing(self._connect(records)) as connection:
                rows = self._rows(connection, records)
                if rows is None:
                    continue
                left = self._survivors(connection, alive, rows)
                if len(left) < len(alive) or len(self.images) <= LEAST_HIDDEN:
                    alive = left
                    self._keep(connection, rows)
            if not alive and len(self.images) > LEAST_HIDDEN:
                break
        num_others = sum(not self._same(rows, self.results[0]) for rows in self.results[1:])
        return not alive and len(self.images) > LEAST_HIDDEN and num_others >= 2

    def close(self) -> None:
        """Close the visible database."""
        self._connection.close()

    def _visible(self) -> bool:
        records = self._records(self._size, is_narrow=False)
        self._names = [
            row[name] for rows in records.values() for row in rows for name in ("name", "title") if name in row
        ]
        self._connection = self._connect(records)
        rows = self._rows(self._connection, records)
        if not rows or rows == [(0,)]:
            return False
        self._keep(self._connection, rows)
        return True

    def _records(self, size: int, *, is_narrow: bool) -> Records:
        draft = self._draft
        return populate(self._rng, draft.schema, draft.split, size, draft.hints, self._names, is_narrow=is_narrow)

    def _connect(self, records: Records) -> sqlite3.Connection:
        return connect(self._draft.schema, records)

    def _rows(self, connection: sqlite3.Connection, records: Records) -> list[tuple[Any, ...]] | None:
        """Return what the reference gives, or None where a database makes the question doubtful."""
        query, schema = self._draft.query, self._draft.schema
        rows = connection.execute(self.sql).fetchall()
        if len(rows) > _MOST_ROWS or (_lacks_numbers(query) and any(None in row[_width(query) :] for row in rows)):
            return None
        if "ROUND(" in self.sql and rounds_evenly(query, schema, records):
            return None
        return rows

    def _survivors(
        self, connection: sqlite3.Connection, wrong: Sequence[str], right: list[tuple[Any, ...]]
    ) -> list[str]:
        left = []
        for sql in wrong:
            try:
                rows = connection.execute(sql).fetchall()
            except sqlite3.Error:
                continue
            if self._same(rows, right):
                left.append(sql)
        return left

    def _same(self, rows: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> bool:
        return rows == right or same_rows(rows, right, is_ordered=self._draft.is_ordered)

    def _keep(self, connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
        self.images.append(connection.serialize())
        self.results.append(rows)


def _lacks_numbers(query: Query) -> bool:
    """Whether a number of the result may be missing without having been asked about."""
    return isinstance(query, Totals | Groups | PerEach) or (isinstance(query, Window) and query.kind == "part")


def _width(query: Query) -> int:
    """Return how many columns stand before the numbers."""
    return (
        len(query.keys)
        if isinstance(query, Groups)
        else 0
        if isinstance(query, Totals)
        else len(getattr(query, "select", ()))
    )
