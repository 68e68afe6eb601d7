"""Runs one SELECT over SQLite databases, whatever it is; the program of a child process, see `runner.py`.

Read-only by construction: the databases are copies in memory (or files opened read-only and immutable), and an
authorizer allows SELECT, reads of the schema's own tables and listed functions. Limits of SQLite bound texts, rows and
expressions; steps of its machine are counted, so that the same query always ends at the same place. What SQLite cannot
bound itself (a query that explodes while it is planned, memory) is bounded by the process: address space, CPU time.
Standard library alone, for a box runs it too.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

__all__ = ["FUNCTIONS", "Limits", "query", "serve"]

FUNCTIONS = frozenset(
    """abs avg cast ceil ceiling char coalesce count cume_dist date datetime dense_rank exp first_value floor format
    glob group_concat hex ifnull iif instr julianday lag last_value lead length like ln log log10 log2 lower ltrim max
    min mod nth_value ntile nullif percent_rank pi pow power printf quote rank replace round row_number rtrim sign sqrt
    strftime string_agg substr substring sum time timediff total trim trunc typeof unicode unixepoch upper""".split()
)
"""The functions that a query may call; none is random, tells the time or knows of files."""

_MOST_COLUMNS = 128  # of a generated database; files of others may have wide tables, up to what SQLite was built for
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CLOCKED = ("date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff")
_FIRST = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*(\w*)", re.DOTALL)
_EVERY = 1000  # steps between two looks at the count
_CAPS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 32,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 128,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class Limits(NamedTuple):
    """What one query may take."""

    steps: int = 2_000_000  # of SQLite's machine, on each database
    length: int = 20_000  # bytes of one text, and of one row
    sql_length: int = 8_000  # characters of the query
    max_rows: int = 1_000  # of a result; more are not read
    max_chars: int = 400_000  # of all texts of a result
    cpu_s: float = 1.0  # of the process, on each database
    memory_mb: int = 256  # address space beyond that of the interpreter
    has_clock: bool = False  # whether 'now' may be asked for, as some queries of public data sets do


class _Guard:
    """Says no to what a query must not do, and remembers why."""

    def __init__(self, tables: frozenset[str], limits: Limits) -> None:
        self.reason = ""
        self._tables = tables
        self._left = limits.steps // _EVERY

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            name = (first or "").lower()
            # Without a column: something is counted, which may be a named subquery.
            if name in self._tables or (not second and not name.startswith("sqlite_")):
                return sqlite3.SQLITE_OK
            self.reason = f"{first} cannot be read: only the tables of the schema can"
        elif action == sqlite3.SQLITE_FUNCTION:
            if (second or "").lower() in FUNCTIONS:
                return sqlite3.SQLITE_OK
            self.reason = f"the function {second} is not allowed here"
        elif action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":  # how SQLite takes in such a function
            self.reason = "only the tables of the schema can be read, no table-valued function: it is read-only"
        else:
            self.reason = "only a SELECT query is allowed: the database is read-only"
        return sqlite3.SQLITE_DENY

    def tick(self) -> int:
        self._left -= 1
        if self._left < 0:
            self.reason = "the query takes too long: it was stopped"
        return int(self._left < 0)


def query(database: bytes | str, sql: str, limits: Limits) -> dict[str, Any]:
    """Run a query.

    Args:
        database: The image of a database, or the path of a file, which is opened read-only.
        sql: What somebody wrote.
        limits: What it may take.

    Returns:
        {"columns": names, "rows": lists of values, "more": whether rows were left out}, or {"error": why, in words}.
        A blob is {"blob": hexadecimal digits}.

    Raises:
        sqlite3.Error: The database cannot be opened or is damaged, which is not the query's fault.
    """
    first = _FIRST.match(sql)
    word = first[1].lower() if first else ""
    if word not in ("select", "with", "values"):
        return {"error": f"write one SELECT query; this {f'begins with {word[:20]!r}' if word else 'holds none'}"}
    if len(sql) > limits.sql_length:
        return {"error": f"the query is longer than {limits.sql_length} characters"}
    connection = _opened(database)
    try:
        names = connection.execute("SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
        guard = _Guard(frozenset(name for (name,) in names), limits)
        if not limits.has_clock:
            _stop_the_clock(connection, guard, [name for name in _CLOCKED if name in sql.lower()])
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.length)
        connection.set_authorizer(guard)
        connection.set_progress_handler(guard.tick, _EVERY)
        try:
            return _result(connection.execute(sql), limits)
        except MemoryError:
            return {"error": "the query needs too much memory: it was stopped"}
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            if isinstance(database, str) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
                raise  # the file itself, on a page that this query was the first to need
            return {"error": guard.reason or _worded(error)}
    finally:
        connection.close()


def _opened(database: bytes | str) -> sqlite3.Connection:
    """Return a new connection, so that nothing passes from one query to the next."""
    name, is_uri = (database, True) if isinstance(database, str) else (":memory:", False)
    connection = sqlite3.connect(name, uri=is_uri, isolation_level=None, cached_statements=0)
    if isinstance(database, bytes):
        connection.deserialize(database)
    for limit, value in _CAPS.items():
        connection.setlimit(limit, value)
    if isinstance(database, bytes):
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS)
    connection.text_factory = _decoded
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _result(cursor: sqlite3.Cursor, limits: Limits) -> dict[str, Any]:
    if cursor.description is None:
        return {"error": "write one SELECT query; this gives no rows"}
    rows: list[list[Any]] = []
    left = limits.max_chars
    for row in cursor:
        if len(rows) == limits.max_rows or left < 0:
            return {"columns": [each[0] for each in cursor.description], "rows": rows, "more": True}
        left -= sum(len(value) for value in row if isinstance(value, str | bytes)) + len(row)
        rows.append([{"blob": value.hex()} if isinstance(value, bytes) else value for value in row])
    return {"columns": [each[0] for each in cursor.description], "rows": rows, "more": False}


def _worded(error: Exception) -> str:
    text = str(error)
    if "one statement" in text:
        return "write one SELECT query, not several statements"
    if "too big" in text:
        return "a text or a row of the query is too long"
    return text[:300]


def _stop_the_clock(connection: sqlite3.Connection, guard: _Guard, names: Sequence[str]) -> None:
    """Put functions of dates in place of SQLite's own that refuse to tell the present time."""
    if not names:
        return
    own = sqlite3.connect(":memory:")

    def of(name: str) -> Any:
        def function(*values: object) -> object:
            texts = [_read(value) for value in values]
            least = 1 if name == "strftime" else 0
            times = texts[least : least + (2 if name == "timediff" else 1)]
            if not times or set(texts) & {"now", "localtime", "utc"} or set(times) & {"subsec", "subsecond"}:
                guard.reason = f"{name} cannot tell the present time here: give it a date of the tables"
                raise ValueError(name)
            marks = ", ".join("?" * len(values))
            try:
                return own.execute(f"SELECT {name}({marks})", values).fetchone()[0]
            except sqlite3.Error as error:  # a function that this SQLite lacks, say
                guard.reason = _worded(error)
                raise

        return function

    for name in names:
        connection.create_function(name, -1, of(name), deterministic=True)


def _read(value: object) -> str:
    """Return a value as SQLite's functions of dates read it: bytes as a text, and a text up to its first NUL."""
    text = _decoded(value) if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.partition("\0")[0].strip().lower()


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are none: a line of JSON, then the images that it announces.

    A request is {"sql", "limits", "databases": sizes in bytes, or paths}; a reply is a line of JSON, a list with what
    `query` returns for each database, which ends at the first error.
    """
    while line := requests.readline():
        request = json.loads(line)
        limits = Limits(*request["limits"])
        databases = [requests.read(each) if isinstance(each, int) else each for each in request["databases"]]
        told: list[dict[str, Any]] = []
        for database in databases:
            signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)  # ends the process, whatever SQLite is doing
            told.append(_answered(database, request["sql"], limits))
            if "error" in told[-1]:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(told).encode() + b"\n")
        replies.flush()


def _answered(database: bytes | str, sql: str, limits: Limits) -> dict[str, Any]:
    try:
        return query(database, sql, limits)
    except MemoryError:
        return {"error": "the query needs too much memory: it was stopped"}
    except sqlite3.Error as error:
        return {"broken": str(error), "error": "the database cannot be read"}


def _confine(memory_mb: int) -> None:
    """Bound what this process may take, for good."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    bounds: Sequence[tuple[int, int]] = (
        (resource.RLIMIT_AS, used + (memory_mb << 20)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    )
    for name, value in bounds:
        resource.setrlimit(name, (value, value))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _confine(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
