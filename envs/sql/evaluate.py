"""What a tree gives over records, in plain Python: no SQL, no joins, exact fractions; tests hold the SQL against it."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from agentrl.envs.sql.nodes import (
    Against,
    Among,
    Attr,
    Between,
    Combined,
    Compare,
    Cond,
    Either,
    Expr,
    Groups,
    Like,
    Listing,
    Measure,
    Missing,
    PerEach,
    Query,
    Related,
    Totals,
    Versus,
    Window,
)
from agentrl.envs.sql.schema import Schema

__all__ = ["Records", "evaluate", "rounds_evenly"]

Record = Mapping[str, Any]
Records = Mapping[str, Sequence[Record]]
"""Entity -> its records; a record has its key as "id"."""

_OPS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(query: Query, schema: Schema, records: Records) -> list[tuple[Any, ...]]:
    """Return the rows, in the order that is asked for, or in any."""
    return _World(schema, records).rows(query)


def rounds_evenly(query: Query, schema: Schema, records: Records) -> bool:
    """Whether some rounded number stands just between two; how it is rounded is then a matter of the formula."""
    world = _World(schema, records)
    world.rows(query)
    return world.is_between


class _World:
    def __init__(self, schema: Schema, records: Records) -> None:
        self._schema, self._records = schema, records
        self._by_key = {name: {each["id"]: each for each in rows} for name, rows in records.items()}
        self.is_between = False

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        match query:
            case Listing():
                return self._listing(query)
            case Totals():
                kept = self._kept(query.table, query.where)
                return [tuple(self._measure(query.table, each, kept) for each in query.measures)]
            case Groups():
                return self._groups(query)
            case PerEach():
                return [self._each(query, record) for record in self._kept(query.table, query.where)]
            case Window():
                return self._window(query)
            case Combined():
                one, other = dict.fromkeys(self._listing(query.one)), dict.fromkeys(self._listing(query.other))
                if query.kind == "union":
                    return list(one | other)
                return [row for row in one if (row in other) == (query.kind == "intersect")]

    def _kept(self, table: str, where: Sequence[Cond]) -> list[Record]:
        return [each for each in self._records[table] if all(self._holds(table, each, cond) for cond in where)]

    def _value(self, table: str, record: Record, expr: Expr) -> Any:
        if isinstance(expr, Attr):
            return self._look(table, record, expr)
        first = self._look(table, record, expr.attr)
        if expr.other is not None:
            second = self._look(table, record, expr.other)
            if first is None or second is None:
                return None
            return (datetime.date.fromisoformat(second) - datetime.date.fromisoformat(first)).days
        if first is None:
            return None
        return int(first[:4]) if expr.kind == "year" else first[:7]

    def _look(self, table: str, record: Record, attr: Attr) -> Any:
        for name in attr.path:
            key = record[name]
            if key is None:
                return None
            table = self._schema.entities[table].columns[name].target
            record = self._by_key[table][key]
        return record[attr.column]

    def _holds(self, table: str, record: Record, cond: Cond) -> bool:
        if isinstance(cond, Either):
            return self._holds(table, record, cond.one) or self._holds(table, record, cond.other)
        if isinstance(cond, Related):
            every = (each for each in self._records[cond.child] if each[cond.ref] == record["id"])
            num = sum(all(self._holds(cond.child, each, inner) for inner in cond.where) for each in every)
            return _OPS[cond.op](num, cond.num)
        value = self._value(table, record, cond.expr)
        if isinstance(cond, Missing):
            return (value is None) == cond.missing
        if value is None:
            return False
        match cond:
            case Compare():
                return _OPS[cond.op](value, cond.value)
            case Versus():
                other = self._value(table, record, cond.other)
                return other is not None and _OPS[cond.op](value, other)
            case Between():
                return bool(cond.low <= value <= cond.high)
            case Among():
                return value in cond.values
            case Like():
                begins = str.endswith if cond.at_end else str.startswith
                return begins(value.lower(), cond.text.lower())
            case Against():
                return self._against(table, record, value, cond)

    def _against(self, table: str, record: Record, value: Any, cond: Against) -> bool:
        others = list(self._records[table])
        if cond.scope is not None:
            scope = self._look(table, record, cond.scope)
            others = [each for each in others if scope is not None and self._look(table, each, cond.scope) == scope]
        values = [Fraction(each) for each in (self._look(table, one, cond.expr) for one in others) if each is not None]
        if not values:
            return False
        against = {"avg": sum(values) / len(values), "max": max(values), "min": min(values)}[cond.kind]
        return _OPS[cond.op](Fraction(value), against)

    def _measure(self, table: str, measure: Measure, kept: Sequence[Record]) -> Any:
        if measure.kind == "count":
            return len(kept)
        if measure.cond is not None:
            num = sum(self._holds(table, each, measure.cond) for each in kept)
            if measure.kind == "count_if":
                return num if kept else None
            return self._rounded(Fraction(100 * num, len(kept)), measure.digits) if kept else None
        assert measure.expr is not None
        values = [value for value in (self._value(table, each, measure.expr) for each in kept) if value is not None]
        if measure.kind == "distinct":
            return len(set(values))
        if not values:
            return None
        if measure.kind == "avg":
            return self._rounded(sum(map(Fraction, values), Fraction()) / len(values), measure.digits)
        functions: dict[str, Callable[[list[Any]], Any]] = {"sum": sum, "min": min, "max": max}
        return functions[measure.kind](values)

    def _rounded(self, value: Fraction, digits: int) -> float:
        scaled = abs(value) * 10**digits
        self.is_between = self.is_between or abs(scaled % 1 - Fraction(1, 2)) < Fraction(1, 10**6)
        whole = int(scaled + Fraction(1, 2))  # halves away from zero, as SQLite's ROUND
        return float(Fraction(whole if value >= 0 else -whole, 10**digits))

    def _listing(self, query: Listing) -> list[tuple[Any, ...]]:
        kept = self._kept(query.table, query.where)
        rows = [tuple(self._value(query.table, each, expr) for expr in query.select) for each in kept]
        if query.top is not None:
            return [row for row in rows if sum(other[-1] > row[-1] for other in rows) < query.top]
        if query.distinct:
            rows = list(dict.fromkeys(rows))
        return _sorted(rows, query.order)[: query.limit]

    def _groups(self, query: Groups) -> list[tuple[Any, ...]]:
        members: dict[tuple[Any, ...], list[Record]] = {}
        for each in self._kept(query.table, query.where):
            members.setdefault(tuple(self._value(query.table, each, key) for key in query.keys), []).append(each)
        rows = []
        at = len(query.keys)
        for key, kept in members.items():
            row = (*key, *(self._measure(query.table, measure, kept) for measure in query.measures))
            if query.having is not None:
                place, op, value = query.having
                if row[at + place] is None or not _OPS[op](row[at + place], value):
                    continue
            rows.append(row)
        is_placed = query.top is not None or query.rank
        places = [1 + sum(other[at] > row[at] for other in rows) for row in rows] if is_placed else []
        if query.top is not None:
            return [row for row, place in zip(rows, places, strict=True) if place <= query.top]
        if query.rank:
            rows = [(*row, place) for row, place in zip(rows, places, strict=True)]
        return _sorted(rows, query.order)[: query.limit]

    def _each(self, query: PerEach, record: Record) -> tuple[Any, ...]:
        theirs = [each for each in self._kept(query.child, query.child_where) if each[query.ref] == record["id"]]
        numbers = [self._measure(query.child, measure, theirs) or 0 for measure in query.measures]
        return (*(self._look(query.table, record, attr) for attr in query.select), *numbers)

    def _window(self, query: Window) -> list[tuple[Any, ...]]:
        kept = self._kept(query.table, query.where)
        rows = []
        for record in kept:
            group = self._look(query.table, record, query.group) if query.group else None
            peers = [each for each in kept if not query.group or self._look(query.table, each, query.group) == group]
            last = self._over(query, record, peers)
            if query.best is None or last <= query.best:
                values = tuple(self._value(query.table, record, expr) for expr in query.select)
                rows.append(values if query.best is not None else (*values, last))
        return rows

    def _over(self, query: Window, record: Record, peers: Sequence[Record]) -> Any:
        value = self._look(query.table, record, query.value)
        theirs = [self._look(query.table, each, query.value) for each in peers]
        if query.kind == "rank":
            return 1 + sum(each > value for each in theirs)
        if query.kind == "dense":
            return 1 + len({each for each in theirs if each > value})
        if query.kind == "part":
            whole = sum(map(Fraction, theirs), Fraction())
            return self._rounded(100 * Fraction(value) / whole, 1) if whole else None
        by = query.by
        assert by is not None

        def key(each: Record) -> tuple[Any, Any]:
            return self._look(query.table, each, by), each["id"]

        before = sorted((each for each in peers if key(each) < key(record)), key=key)
        if query.kind == "running":
            return value + sum(self._look(query.table, each, query.value) for each in before)
        if not before:
            return None
        previous = self._look(query.table, before[-1], query.value)
        return previous if query.kind == "previous" else value - previous


def _sorted(rows: list[tuple[Any, ...]], order: Sequence[tuple[int, bool]]) -> list[tuple[Any, ...]]:
    for place, falling in reversed(order):
        rows = sorted(rows, key=lambda row: row[place], reverse=falling)
    return rows
