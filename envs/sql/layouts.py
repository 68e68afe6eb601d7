"""Questions of the user's own in the layouts of BIRD and Spider, over databases that stay where they are.

A row has `db_id`, `question` and `SQL` (BIRD, with `evidence` and `difficulty`) or `query` (Spider); the database is
DB_ID/DB_ID.sqlite, and every further DB_ID/*.sqlite is one of the same schema on which an answer must be right, too, as
in the test suites of Zhong et al. (2020, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites").

How results are compared: "bird", as sets of rows (its evaluation.py); "spider", as multisets in which columns may stand
in any order, row by row where the reference has an ORDER BY (test-suite-sql-eval; DISTINCT is kept, not stripped);
"rows", as for generated tasks: multisets with columns in order, row by row where the reference has an ORDER BY.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agentrl.envs.errors import DataError, InfrastructureError
from agentrl.envs.rows import Row, clean
from agentrl.envs.splits import Source, by_split, tasks_of
from agentrl.envs.sql.engine import Limits
from agentrl.envs.sql.grading import same_rows, same_sets
from agentrl.envs.sql.runner import run

__all__ = ["COMPARISONS", "FOLDERS", "Entry", "OwnQuestions"]

FOLDERS = ("database", "databases", "dev_databases", "train_databases", "test_databases", "test_database")
"""Where the databases of the public sets are, beside their questions."""
_LIMITS = Limits(
    steps=2_000_000_000,
    length=10_000_000,
    sql_length=20_000,
    max_rows=50_000,
    max_chars=20_000_000,
    cpu_s=30.0,
    memory_mb=1024,
    has_clock=True,
)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_MOST_ORDERS = 5_000  # of columns that are tried
_MOST_NAME = 240  # bytes of the name of a folder; file systems take 255, and ".sqlite" is added
_MOST_KEPT = 64  # results of references that are kept, since a group of episodes asks the same
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One question."""

    id: str
    key: str  # database and question, which belong to one split
    question: str
    sql: str  # the reference
    databases: tuple[str, ...]  # URIs, the visible one first
    compare: str  # a key of COMPARISONS


class OwnQuestions:
    """The questions of files, by split and level.

    Args:
        source: One file, or a file for each split.
        databases: Their folder; None: looked for beside the questions.
        compare: A key of COMPARISONS, or None, for the layout's own.

    Raises:
        DataError: A bad row, a database that is not there, or a question in both splits.
    """

    limits = _LIMITS

    def __init__(self, source: Source, databases: str | Path | None, compare: str | None) -> None:
        self._source, self._folder, self._compare = source, databases, compare
        self._found: dict[str, tuple[str, ...]] = {}
        self._tasks = by_split(source, self._entry, lambda entry: entry.key)
        self._kept: dict[tuple[str, str], Rows] = {}

    def tasks(self, split: str, level: int) -> Sequence[Entry]:
        """Return the questions of a split and level, of which there is at least one."""
        return tasks_of(self._tasks, split, level, source=self._source, noun="question")

    def judge(self, entry: Entry, sql: str) -> tuple[bool, list[bool]]:
        """Return whether a query runs on the visible database, and for each database whether its rows are right.

        Raises:
            InfrastructureError: The reference itself fails.
        """
        self._wanted(entry, entry.databases[0])  # where the reference fails, no query can be called wrong
        told = run(entry.databases, sql, _LIMITS)
        same = COMPARISONS[entry.compare]
        is_ordered = _ORDERED.search(entry.sql) is not None
        right = [
            "error" not in given
            and not given["more"]
            and same(given["rows"], self._wanted(entry, database), is_ordered)
            for given, database in zip(told, entry.databases, strict=False)
        ]
        return "error" not in told[0], [*right, *[False] * (len(entry.databases) - len(right))]

    def _wanted(self, entry: Entry, database: str) -> Rows:
        key = entry.sql, database
        if key not in self._kept:
            told = run([database], entry.sql, _LIMITS)[0]
            if "error" in told or told["more"]:
                why = told.get("error", f"it gives more than {_LIMITS.max_rows} rows")
                raise InfrastructureError(
                    f"the reference of {entry.id} fails: {why}; mend it or leave the question out",
                    kind="reference",
                    boundary="data",
                )
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = told["rows"]
        return self._kept[key]

    def _entry(self, row: Row) -> Entry:
        name, question = row.text("db_id"), row.text("question")
        is_bird = "SQL" in row.value
        sql = row.text("SQL" if is_bird else "query")
        evidence = row.value.get("evidence")
        hint = f"\nHint: {clean(evidence).strip()}" if isinstance(evidence, str) and evidence.strip() else ""
        return Entry(
            id=f"{row.path.stem}-{row.number}",
            key=f"{name}: {question}",
            question=f"{question}{hint}",
            sql=sql,
            databases=self._databases(row, name),
            compare=self._compare or ("bird" if is_bird else "spider"),
        )

    def _databases(self, row: Row, name: str) -> tuple[str, ...]:
        if name not in self._found:
            if name in (".", "..") or "/" in name or "\\" in name or "\0" in name or len(name.encode()) > _MOST_NAME:
                raise row.error("db_id", "the name of a folder", name)
            folder = self._where(row.path.parent) / name
            first = folder / f"{name}.sqlite"
            if not first.is_file():
                raise row.error("db_id", f"a database; there is none at {first}", name)
            others = sorted(path for path in folder.glob("*.sqlite") if path != first)
            self._found[name] = tuple(map(_uri, (first, *others)))
        return self._found[name]

    def _where(self, beside: Path) -> Path:
        if self._folder is not None:
            return Path(self._folder)
        for name in FOLDERS:
            if (beside / name).is_dir():
                return beside / name
        raise DataError(
            f"there is no folder of databases beside {beside}; type databases=FOLDER (looked for {', '.join(FOLDERS)})"
        )


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"


def _as_bird(given: Rows, wanted: Rows, is_ordered: bool) -> bool:
    return same_sets(given, wanted)


def _as_rows(given: Rows, wanted: Rows, is_ordered: bool) -> bool:
    return same_rows(given, wanted, is_ordered=is_ordered)


def _as_spider(given: Rows, wanted: Rows, is_ordered: bool) -> bool:
    """Try the orders of columns in which each column holds the values of its counterpart."""
    if len(given) != len(wanted):
        return False
    if not wanted:
        return True
    ours, theirs = ([_values(column) for column in zip(*rows, strict=True)] for rows in (given, wanted))
    if sorted(map(_text, ours)) != sorted(map(_text, theirs)):
        return False
    return any(
        same_rows([[row[at] for at in order] for row in given], wanted, is_ordered=is_ordered)
        for order in itertools.islice(_orders(ours, theirs), _MOST_ORDERS)
    )


def _orders(ours: Sequence[Counter[str]], theirs: Sequence[Counter[str]]) -> Iterator[Sequence[int]]:
    """Yield for each of their columns the place of ours, where both hold the same values; as they stand comes first."""
    places: dict[str, tuple[list[int], list[int]]] = {}
    for side, columns in enumerate((ours, theirs)):
        for at, column in enumerate(columns):
            places.setdefault(_text(column), ([], []))[side].append(at)
    exchanged = (itertools.islice(itertools.permutations(mine), _MOST_ORDERS) for mine, _ in places.values())
    for chosen in itertools.product(*exchanged):
        order = [0] * len(theirs)
        for mine, (_, wished) in zip(chosen, places.values(), strict=True):
            for at, wish in zip(mine, wished, strict=True):
                order[wish] = at
        yield order


def _values(column: Sequence[Any]) -> Counter[str]:
    return Counter(repr(round(value, 6) + 0.0) if isinstance(value, int | float) else repr(value) for value in column)


def _text(values: Counter[str]) -> str:
    return repr(sorted(values.items()))


COMPARISONS: Mapping[str, Callable[[Rows, Rows, bool], bool]] = {
    "rows": _as_rows,
    "bird": _as_bird,
    "spider": _as_spider,
}
"""How results are compared -> function of the rows given, those wanted, and whether their order counts."""
