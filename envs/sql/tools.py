"""The tools: look at the tables, read some rows, run a query. Standard library only, for a box may run them."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.sql.engine import Limits
from agentrl.envs.sql.runner import run
from agentrl.envs.tools.toolset import ToolError, Toolset

__all__ = ["SqlTools", "shown"]

_MOST_SHOWN = 30  # rows of a result
_CELL_CHARS = 60


class SqlTools(Toolset):
    """Explore a database; nothing that is called changes it.

    Args:
        image: The database, its bytes in base 64.
        limits: What a query may take, as `Limits` lists it.
    """

    def __init__(self, image: str, limits: list[Any]) -> None:
        self._database: bytes | str = base64.b64decode(image)
        self._limits = Limits(*limits)

    @classmethod
    def over(cls, uri: str, limits: Limits) -> SqlTools:
        """Return tools over a file, named by a URI that says that it is read-only."""
        tools = cls.__new__(cls)
        tools._database, tools._limits = uri, limits
        return tools

    def tables(self, table: str = "") -> str:
        """Show the tables with their columns, types and keys.

        Args:
            table: Name of one table; all of them where it is empty.
        """
        with self._opened() as connection:
            names = _names(connection)
            chosen = [self._known(names, table)] if table else names
            return "\n".join(_described(connection, name) for name in chosen)

    def rows(self, table: str, limit: int = 5) -> str:
        """Show the first rows of a table.

        Args:
            table: Its name.
            limit: How many rows, 1 to 30.
        """
        with self._opened() as connection:
            name = self._known(_names(connection), table)
        return self.query(f"SELECT * FROM {_quoted(name)} LIMIT {max(1, min(limit, _MOST_SHOWN))}")

    def query(self, sql: str) -> str:
        """Run one SELECT query of SQLite and show the first 30 rows.

        Args:
            sql: The query.
        """
        told = run([self._database], sql, self._limits)[0]
        if "error" in told:
            raise ToolError(told["error"])
        return shown(told["columns"], told["rows"], more=told["more"])

    def snapshot(self) -> Any:
        """Return nothing: reading changes nothing, and the database is what the tools were started with."""
        return {}

    def restore(self, state: Any) -> None:
        """Do nothing; see `snapshot`."""

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            if isinstance(self._database, str):
                connection = sqlite3.connect(self._database, uri=True)
            else:
                connection = sqlite3.connect(":memory:")
                connection.deserialize(self._database)
            with closing(connection):
                yield connection
        except sqlite3.Error as error:  # of the schema alone: what a policy wrote runs elsewhere
            raise InfrastructureError(f"a database cannot be read: {error}", kind="database", boundary="sql") from error

    @staticmethod
    def _known(names: Sequence[str], table: str) -> str:
        for name in names:
            if name.lower() == table.strip().strip("\"'`[]").lower():
                return name
        raise ToolError(f"there is no table {table[:60]!r}; there are {', '.join(names)[:600]}")


def shown(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, more: bool = False) -> str:
    """Return a small table as text.

    >>> print(shown(["id", "name"], [[1, "Bela"], [2, None]]))
    id | name
    1 | Bela
    2 | NULL
    (2 rows)
    """
    lines = [" | ".join(map(_cell, columns)), *(" | ".join(map(_cell, row)) for row in rows[:_MOST_SHOWN])]
    number = f"more than {len(rows)}" if more else str(len(rows))
    cut = f", the first {_MOST_SHOWN} are shown" if len(rows) > _MOST_SHOWN else ""
    return "\n".join([*lines, f"({number} row{'' if number == '1' else 's'}{cut})"])


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    text = f"x'{value['blob']}'" if isinstance(value, dict) else str(value)
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= _CELL_CHARS else f"{text[: _CELL_CHARS - 1]}…"


def _names(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return [name for (name,) in found]


def _described(connection: sqlite3.Connection, table: str) -> str:
    refs = {
        row[3]: f" -> {row[2]}{f'({row[4]})' if row[4] else ''}"
        for row in connection.execute(f"PRAGMA foreign_key_list({_quoted(table)})")
    }
    columns = []
    for row in connection.execute(f"PRAGMA table_info({_quoted(table)})"):
        key = " PRIMARY KEY" if row[5] else ""
        null = "" if row[3] or row[5] else " may be NULL"
        columns.append(f"{row[1]} {row[2]}{key}{null}{refs.get(row[1], '')}")
    return f"{table}({', '.join(columns)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
