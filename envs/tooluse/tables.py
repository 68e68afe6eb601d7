"""A toolset over a database: the base of the three domains' tools. Standard library only, for a box may run it.

The rows come as plain data and the database lives in memory, so an episode starts in about a millisecond and leaves
nothing behind. What a tool refuses is a ToolError, whose words the model reads; a refused call changes nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any, ClassVar

from agentrl.envs.tools.toolset import ToolError, Toolset

__all__ = ["Rows", "Tables"]

Rows = dict[str, list[list[Any]]]
"""Table -> its rows, each in the order of the table's columns; the first column is the key."""


class _Database(sqlite3.Connection):
    """A connection that refuses, in words for the model, what SQLite cannot hold."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except OverflowError:
            raise ToolError("a number is too large; write one below 9 * 10 ** 18") from None
        except UnicodeEncodeError:
            raise ToolError("a text holds half of a character; write whole ones") from None


class Tables(Toolset):
    """Tools over tables in SQLite.

    A subclass gives the `schema` and writes the tools with `_rows`, `_one` and `_write`.

    Args:
        rows: What is in the tables at first.
        today: The day on which the episode plays, as YYYY-MM-DD.
    """

    schema: ClassVar[str] = ""  # CREATE TABLE statements
    volatile: ClassVar[dict[str, tuple[str, ...]]] = {}  # table -> columns of free text, which no comparison looks at

    def __init__(self, rows: Rows, today: str) -> None:
        self._today = today
        self._open(rows)

    def snapshot(self) -> Any:
        """Return all rows of all tables, and the day."""
        names = [row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: [list(row) for row in self._db.execute(f"SELECT * FROM {name} ORDER BY rowid")] for name in names}
        return {"rows": rows, "today": self._today}

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        self._db.close()
        self._today = state["today"]
        self._open(state["rows"])

    def close(self) -> None:
        """Drop the database; may be called twice."""
        self._db.close()

    @classmethod
    def columns(cls, table: str) -> list[str]:
        """Return the names of a table's columns, in order."""
        with contextlib.closing(sqlite3.connect(":memory:")) as empty:
            empty.executescript(cls.schema)
            return [row[1] for row in empty.execute(f"PRAGMA table_info({table})")]

    def _open(self, rows: Rows) -> None:
        # One thread at a time uses an environment, but not always the same one.
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, factory=_Database)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(f"BEGIN; {self.schema}")  # one transaction, not one for each table
        for table, lines in rows.items():
            if lines:
                marks = ", ".join("?" * len(lines[0]))
                self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)
        self._db.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Return what a SELECT gives."""
        return [dict(row) for row in self._db.execute(query, values)]

    def _one(self, what: str, query: str, *values: Any) -> dict[str, Any]:
        """Return the only row that a SELECT gives.

        Raises:
            ToolError: There is none; says so in the words of `what`, such as "order amber-fox".
        """
        found = self._rows(query, *values)
        if not found:
            raise ToolError(f"there is no {what}")
        return found[0]

    def _write(self, work: Callable[[], None]) -> None:
        """Run several statements, all or none of them."""
        self._db.execute("BEGIN")
        try:
            work()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _next(self, table: str, prefix: str) -> str:
        """Return the key of the next new row of a table: `prefix-1`, `prefix-2`, …"""
        key = self._db.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE cid = 0").fetchone()[0]
        query = f"SELECT max(CAST(substr({key}, ?) AS INTEGER)) FROM {table} WHERE {key} LIKE ?"
        last = self._db.execute(query, (len(prefix) + 2, f"{prefix}-%")).fetchone()[0]
        return f"{prefix}-{(last or 0) + 1}"
