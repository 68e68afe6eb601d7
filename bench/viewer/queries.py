"""Questions about the episodes of a run, answered in SQL without reading a message: counts for filters, and a page.

Nothing is written, so there is no index beside the file's own key; a scan of 100,000 episodes takes a fraction of a
second because the messages stand last in a row. Values come from a file that may lie: they keep the type they have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from agentrl.bench.viewer.database import reading, short
from agentrl.bench.viewer.runs import Run

__all__ = [
    "OUTCOMES",
    "PAGE",
    "SORTS",
    "Facets",
    "Filters",
    "Outcome",
    "Page",
    "episode_key",
    "facets",
    "page",
    "parse_key",
]

Outcome = Literal["", "solved", "unsolved", "unknown", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
PAGE = 50  # episodes of a page

_MARK = "e."  # of an episode's key in an address
_MOST_GROUPS = 20_000
_MOST_NAMES = 100
_MOST_CHARS = 4000  # of one filter
KEYS = {"bench": ("env_id", "level", "seed", "sample"), "training": ("phase", "step", "group_id", "member")}
# `CASE` keeps what is no JSON from ending the whole query.
_KIND = (
    "CASE WHEN json_valid(failure) AND json_type(failure) = 'object' THEN"
    " coalesce(json_extract(failure, '$.boundary'), '?') || ': ' || coalesce(json_extract(failure, '$.kind'), '?')"
    " WHEN failure IS NOT NULL THEN '?' END"
)
_REWARDS = "CASE WHEN json_valid(rewards) AND json_type(rewards) = 'object' THEN rewards ELSE '{}' END"
_OUTCOME = (
    "CASE WHEN failure IS NOT NULL THEN 'failed' WHEN success IS NULL THEN 'unknown'"
    " WHEN success THEN 'solved' ELSE 'unsolved' END"
)
_CUT = {"bench": "truncated", "training": "truncated_by IS NOT NULL"}
_TOKENS = {"bench": "completion_tokens", "training": "num_tokens"}
SORTS = {  # name -> (words, column of a bench, column of a training run)
    "order": ("order of play", "", ""),
    "reward": ("reward", "reward", "reward"),
    "turns": ("turns", "num_turns", "num_turns"),
    "tokens": ("tokens", _TOKENS["bench"], _TOKENS["training"]),
    "seconds": ("seconds", "seconds", ""),
    "advantage": ("advantage", "", "advantage"),
}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which episodes are listed, and in what order; as in the address of the page."""

    phase: str = ""  # of a training run
    env: str = ""
    level: str = ""
    outcome: Outcome = ""
    failure: str = ""  # "boundary: kind"
    cut: str = ""  # "yes" or "no": whether a limit ended it
    component: str = ""  # of the reward; "reward" is the whole
    low: float | None = None  # of the component
    high: float | None = None
    turns_low: int | None = None
    turns_high: int | None = None
    tokens_low: int | None = None
    tokens_high: int | None = None
    task: str = ""  # part of the task's name, or a seed
    sort: str = "order"
    down: bool = False
    start: int = 0  # the first of the page

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Filters:
        """Read an address; what cannot be is left out."""
        given: dict[str, Any] = {}
        for field in fields(cls):
            text = query.get(field.name, "")[:_MOST_CHARS]
            if text and (value := _value(str(field.type), text)) is not None:
                given[field.name] = value
        if given.get("outcome") not in OUTCOMES:
            given.pop("outcome", None)
        if given.get("sort") not in SORTS:
            given.pop("sort", None)
        if given.get("cut") not in ("yes", "no"):
            given.pop("cut", None)
        given["start"] = min(max(0, given.get("start", 0)), 10**12)
        return cls(**given)

    @property
    def query(self) -> str:
        """The address's part behind `?`, empty where nothing is chosen."""
        plain = asdict(Filters())
        chosen = {name: value for name, value in asdict(self).items() if value != plain[name]}
        return urlencode({name: int(value) if isinstance(value, bool) else value for name, value in chosen.items()})

    @property
    def num_chosen(self) -> int:
        """How many filters are set, order and place left out."""
        plain = asdict(Filters())
        return sum(
            value != plain[name] for name, value in asdict(self).items() if name not in ("sort", "down", "start")
        )


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What can be chosen, with how many episodes each choice has."""

    total: int
    phases: dict[str, int]
    envs: dict[str, int]
    levels: dict[str, int]
    outcomes: dict[str, int]
    failures: dict[str, int]
    cut: dict[str, int]
    components: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows, of how many."""

    rows: tuple[Mapping[str, Any], ...]
    total: int
    start: int


def facets(run: Run) -> Facets:
    """Count what can be chosen, in one pass over the file.

    Raises:
        StoreError: The file cannot be read.
    """
    phase = "phase" if run.kind == "training" else "''"
    query = (
        f"SELECT {short(phase)}, {short('env_id')}, {short('level')}, {_OUTCOME}, {short(_KIND)},"
        f" coalesce({_CUT[run.kind]}, 0) <> 0, count(*)"
        f" FROM episodes GROUP BY 1, 2, 3, 4, 5, 6 LIMIT {_MOST_GROUPS}"
    )
    counts: list[dict[str, int]] = [{} for _ in range(6)]
    total = 0
    with reading(run.store, tops=run.tops) as db:
        for *values, count in db.execute(query):
            total += count
            for place, value in enumerate(values):
                if value is not None:
                    counts[place][str(value)] = counts[place].get(str(value), 0) + count
        names = _components(db, run, list(counts[1])[:_MOST_NAMES])
    phases, envs, levels, outcomes, failures, cut = ({name: each[name] for name in sorted(each)} for each in counts)
    return Facets(
        total=total,
        phases={name: count for name, count in phases.items() if name},
        envs=envs,
        levels=dict(sorted(levels.items(), key=lambda item: (len(item[0]), item[0]))),
        outcomes={name: outcomes[name] for name in OUTCOMES if name in outcomes},
        failures=failures,
        cut={"yes": cut.get("1", 0), "no": cut.get("0", 0)},
        components=tuple(names),
    )


def page(run: Run, filters: Filters, *, size: int = PAGE) -> Page:
    """Return the episodes of one page of the list.

    Raises:
        StoreError: The file cannot be read.
    """
    where, values = _where(run, filters)
    order = _order(run, filters)
    seconds = short("seconds") if run.kind == "bench" else "NULL"
    advantage = short("advantage") if run.kind == "training" else "NULL"
    names = dict.fromkeys((*KEYS[run.kind], "env_id", "level", "seed", "task_id", "reward", "success", "num_turns"))
    columns = (
        f"{', '.join(_named(name) for name in names)}, {seconds} AS seconds, {advantage} AS advantage,"
        f" {short(_TOKENS[run.kind])} AS tokens, {_OUTCOME} AS outcome, {short(_KIND)} AS failed,"
        f" {_CUT[run.kind]} AS cut"
    )
    with reading(run.store, tops=run.tops) as db:
        total = int(db.execute(f"SELECT count(*) FROM episodes WHERE {where}", values).fetchone()[0])
        start = min(filters.start, max(0, total - 1))
        query = f"SELECT {columns} FROM episodes WHERE {where} ORDER BY {order} LIMIT {int(size)} OFFSET {start}"
        return Page(rows=tuple(map(dict, db.execute(query, values))), total=total, start=start)


def episode_key(run: Run, row: Mapping[str, Any]) -> str:
    """Return the part of an episode's address that tells which it is; no name of it is one of a filter."""
    return urlencode({f"{_MARK}{name}": row[name] for name in KEYS[run.kind]})


def parse_key(run: Run, query: Mapping[str, str]) -> dict[str, str]:
    """Read what `episode_key` wrote; what is missing is empty."""
    return {name: query.get(f"{_MARK}{name}", "") for name in KEYS[run.kind]}


def _named(name: str) -> str:
    return f"{short(name)} AS {name}"


def _components(db: sqlite3.Connection, run: Run, envs: list[str]) -> list[str]:
    """Return the reward components that the first episodes of each environment have."""
    found: dict[str, None] = {}
    for env in envs:
        query = (
            f"SELECT DISTINCT {short('each.key')} FROM (SELECT {_REWARDS} AS given FROM episodes"
            " WHERE env_id = ? AND failure IS NULL LIMIT 100) AS some, json_each(some.given) AS each LIMIT ?"
        )
        found |= {str(row[0]): None for row in db.execute(query, (env, _MOST_NAMES))}
    return sorted(found)[:_MOST_NAMES]


def _where(run: Run, filters: Filters) -> tuple[str, list[Any]]:
    parts: list[tuple[str, tuple[Any, ...]]] = []
    if filters.phase and run.kind == "training":
        parts.append(("phase = ?", (filters.phase,)))
    if filters.env:
        parts.append(("env_id = ?", (filters.env,)))
    if filters.level:
        parts.append(("CAST(level AS TEXT) = ?", (filters.level,)))
    if filters.outcome:
        parts.append((f"{_OUTCOME} = ?", (filters.outcome,)))
    if filters.failure:
        parts.append((f"{_KIND} = ?", (filters.failure,)))
    if filters.cut:
        parts.append((f"coalesce({_CUT[run.kind]}, 0) {'<>' if filters.cut == 'yes' else '='} 0", ()))
    if filters.task:
        parts.append(("(instr(task_id, ?) > 0 OR CAST(seed AS TEXT) = ?)", (filters.task, filters.task)))
    value = "reward"
    named: tuple[str, ...] = ()
    if filters.component not in ("", "reward"):
        value, named = f"(SELECT value FROM json_each({_REWARDS}) WHERE key = ? LIMIT 1)", (filters.component,)
    for limit, sign in ((filters.low, ">="), (filters.high, "<=")):
        if limit is not None:
            parts.append((f"{value} {sign} ?", (*named, limit)))
    for column, low, high in (
        ("num_turns", filters.turns_low, filters.turns_high),
        (_TOKENS[run.kind], filters.tokens_low, filters.tokens_high),
    ):
        parts += [(f"{column} {sign} ?", (at,)) for at, sign in ((low, ">="), (high, "<=")) if at is not None]
    return " AND ".join(part for part, _ in parts) or "1", [each for _, some in parts for each in some]


def _order(run: Run, filters: Filters) -> str:
    keys = KEYS[run.kind]
    column = SORTS[filters.sort][1 if run.kind == "bench" else 2]
    way = "DESC" if filters.down else "ASC"
    if not column:
        return ", ".join(f"{key} {way}" for key in keys)
    return f"{column} IS NULL, {column} {way}, {', '.join(keys)}"


def _value(kind: str, text: str) -> Any:
    try:
        if kind.startswith("float"):
            value = float(text)
            return value if abs(value) < 1e300 else None
        if kind.startswith(("int", "bool")):
            number = int(text)
            return bool(number) if kind == "bool" else number if abs(number) < 1 << 62 else None
    except ValueError:
        return None
    return text
