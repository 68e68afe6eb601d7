"""Plausible wrong readings of a question: the tree with one thing changed, and the SQL with one word changed.

A task is kept only where its databases tell every one of them apart from what was meant. A change that changes nothing
by the rules of SQL (a join that always finds its row) is not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentrl.envs.sql.nodes import (
    Against,
    Among,
    Attr,
    Between,
    Combined,
    Compare,
    Cond,
    Derived,
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
from agentrl.envs.sql.render import sql_of
from agentrl.envs.sql.schema import Schema

__all__ = ["mutants"]

_NEAR = {"<": ("<=",), "<=": ("<",), ">": (">=",), ">=": (">",), "=": ("<>",), "<>": ("=",)}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def mutants(query: Query, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield what was changed, and the SQL."""
    right = sql_of(query, schema)
    seen = {right}
    for name, other in _trees(query, schema):
        sql = sql_of(other, schema)
        if sql not in seen:
            seen.add(sql)
            yield name, sql
    for name, sql in (*_texts(right, query), *_afterwards(query, schema)):
        if sql not in seen:
            seen.add(sql)
            yield name, sql


def _texts(sql: str, query: Query) -> Iterator[tuple[str, str]]:
    if "LEFT JOIN" in sql:
        yield "inner join", sql.replace("LEFT JOIN", "JOIN")
    if " UNION " in sql:
        yield "union all", sql.replace(" UNION ", " UNION ALL ")
    if "ROUND(" in sql:
        yield "not rounded", re.sub(r"ROUND\((.*?), \d\)", r"(\1)", sql)
    if isinstance(query, PerEach) and query.child_where:
        yield "condition behind the join", re.sub(r" AND (.*?)( WHERE | GROUP BY )", _moved, sql, count=1)
    if isinstance(query, PerEach):
        if query.select[0].column != "id":
            yield "grouped by name", re.sub(r"GROUP BY \S+$", "GROUP BY 1", sql)
        yield "counts the row itself", re.sub(r"COUNT\([^)]*\)", "COUNT(*)", sql)
    if isinstance(query, Window) and query.by is not None:
        yield "later rows first", re.sub(r"(ORDER BY \S+), (\S+?)\)", r"\1 DESC, \2 DESC)", sql)
        if query.kind == "running":
            yield "ties summed up together", re.sub(r"(ORDER BY \S+), \S+?\)", r"\1)", sql)
        yield "next, not previous", sql.replace("LAG(", "LEAD(")
    if "RANK() OVER" in sql and "DENSE" not in sql:
        yield "rank without gaps", sql.replace("RANK()", "DENSE_RANK()")
    if "RANK() OVER" in sql:
        yield "ties broken", sql.replace("DENSE_RANK()", "RANK()").replace("RANK()", "ROW_NUMBER()")
        yield "smallest first", re.sub(r"(RANK\(\) OVER \(.*?) DESC\)", r"\1)", sql)


def _afterwards(query: Query, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield a query that calculates over all records, and leaves out those that do not belong there at the end."""
    key = Attr(column="id")
    is_cut = isinstance(query, Window) or (isinstance(query, Listing) and (query.limit or query.top))
    if isinstance(query, Window | Listing) and is_cut and query.where and query.select[0] == key:
        kept = sql_of(Listing(table=query.table, select=(key,), where=query.where), schema)
        width = len(query.select) + (isinstance(query, Window) and query.best is None)
        names = ", ".join(f"a{number + 1}" for number in range(width))
        whole = sql_of(replace(query, where=()), schema)
        yield "filtered afterwards", f"WITH a({names}) AS ({whole}) SELECT * FROM a WHERE a1 IN ({kept})"


def _moved(match: re.Match[str]) -> str:
    return f" WHERE {match[1]} GROUP BY " if match[2] == " GROUP BY " else f" WHERE {match[1]} AND "


def _trees(query: Query, schema: Schema) -> Iterator[tuple[str, Query]]:
    if isinstance(query, Combined):
        yield "only the first", replace(query.one, distinct=True)
        yield "only the second", replace(query.other, distinct=True)
        if query.kind == "except":
            yield "the other way round", replace(query, one=query.other, other=query.one)
        kinds: tuple[Any, ...] = ("union", "except", "intersect")
        yield from ((f"{kind} for {query.kind}", replace(query, kind=kind)) for kind in kinds if kind != query.kind)
        for name, other in _trees(query.one, schema):
            if isinstance(other, Listing) and not other.distinct and len(other.select) == len(query.other.select):
                yield f"one: {name}", replace(query, one=other)
        for name, other in _trees(query.other, schema):
            if isinstance(other, Listing) and not other.distinct and len(other.select) == len(query.one.select):
                yield f"other: {name}", replace(query, other=other)
        return
    for name, where in _wheres(query.where, schema, query.table):
        yield name, replace(query, where=where)
    if isinstance(query, Listing | Window):
        for at, expr in enumerate(query.select):
            for name, column in _exprs(expr, schema, query.table):
                yield name, replace(query, select=_put(query.select, at, column))
    if isinstance(query, Totals | Groups | PerEach):
        for at, measure in enumerate(query.measures):
            table = query.child if isinstance(query, PerEach) else query.table
            for name, made in _measures(measure, schema, table):
                if not isinstance(query, PerEach) or made.kind in ("count", "sum"):
                    yield name, replace(query, measures=_put(query.measures, at, made))
    match query:
        case Listing():
            yield from _of_listing(query)
        case Groups():
            yield from _of_groups(query, schema)
        case PerEach():
            for name, where in _wheres(query.child_where, schema, query.child):
                yield name, replace(query, child_where=where)
        case Window():
            if query.group is not None:
                yield "no groups", replace(query, group=None)
            for name, value in _exprs(query.value, schema, query.table):
                if isinstance(value, Attr) and not _nullable(value, schema, query.table):
                    yield f"value: {name}", replace(query, value=value)
            if query.best is not None:
                yield "one place more", replace(query, best=query.best + 1)


def _of_listing(query: Listing) -> Iterator[tuple[str, Query]]:
    if query.top is None and query.limit is None and (query.distinct or Attr(column="id") not in query.select):
        yield "distinct", replace(query, distinct=not query.distinct)
    if query.order:
        first = query.order[0]
        yield "the other order", replace(query, order=((first[0], not first[1]), *query.order[1:]))
        yield "no order", replace(query, order=())
        for at in range(1, len(query.order)):
            turned = (query.order[at][0], not query.order[at][1])
            yield "ties the other way", replace(query, order=(*query.order[:at], turned, *query.order[at + 1 :]))
    if query.limit is not None:
        yield "one row more", replace(query, limit=query.limit + 1)
        yield "no limit", replace(query, limit=None)
    if query.top is not None:
        yield "one place more", replace(query, top=query.top + 1)
        last = len(query.select) - 1
        yield "ties cut", replace(query, top=None, order=((last, True),), limit=query.top)


def _of_groups(query: Groups, schema: Schema) -> Iterator[tuple[str, Query]]:
    for at, key in enumerate(query.keys):
        for name, other in _exprs(key, schema, query.table):
            yield f"grouped by the {name}", replace(query, keys=_put(query.keys, at, other))
    if query.having is not None:
        place, op, value = query.having
        yield "no having", replace(query, having=None)
        for other_op in (*_NEAR.get(op, ()), *filter(None, [_TURNED.get(op)])):
            yield f"having {other_op} for {op}", replace(query, having=(place, other_op, value))
    if query.order:
        first = query.order[0]
        yield "the other order", replace(query, order=((first[0], not first[1]), *query.order[1:]))
    if query.limit is not None:
        yield "one row more", replace(query, limit=query.limit + 1)
    if query.top is not None:
        yield "one place more", replace(query, top=query.top + 1)


def _wheres(where: Sequence[Cond], schema: Schema, table: str) -> Iterator[tuple[str, tuple[Cond, ...]]]:
    for at, cond in enumerate(where):
        yield "condition dropped", (*where[:at], *where[at + 1 :])
        for name, other in _conds(cond, schema, table):
            yield name, (*where[:at], other, *where[at + 1 :])


def _conds(cond: Cond, schema: Schema, table: str) -> Iterator[tuple[str, Cond]]:
    if isinstance(cond, Compare | Versus | Against):
        for op in (*_NEAR.get(cond.op, ()), *filter(None, [_TURNED.get(cond.op)])):
            yield f"{op} for {cond.op}", replace(cond, op=op)
    match cond:
        case Compare() | Between() | Among():
            for name, other in _exprs(cond.expr, schema, table):
                yield f"condition on the {name}", replace(cond, expr=other)
            if isinstance(cond, Among):
                yield "one value for several", replace(cond, values=cond.values[:1])
            if isinstance(cond, Between):
                yield "no lower end", Compare(expr=cond.expr, op="<=", value=cond.high)
                yield "no upper end", Compare(expr=cond.expr, op=">=", value=cond.low)
        case Missing():
            yield "missing for there", replace(cond, missing=not cond.missing)
        case Like():
            yield "end for start", replace(cond, at_end=not cond.at_end)
        case Either():
            yield "only the first", cond.one
            yield "only the second", cond.other
        case Related():
            yield from _of_related(cond, schema)
        case Against():
            if cond.scope is not None:
                yield "of all, not of its own", replace(cond, scope=None)
            if cond.kind != "avg":
                yield "average for extreme", replace(cond, kind="avg")
        case Versus():
            pass


def _of_related(cond: Related, schema: Schema) -> Iterator[tuple[str, Cond]]:
    for name, where in _wheres(cond.where, schema, cond.child):
        yield f"theirs: {name}", replace(cond, where=where)
    if (cond.op, cond.num) == ("=", 0):
        yield "some for none", replace(cond, op=">=", num=1)
    elif (cond.op, cond.num) == (">=", 1):
        yield "none for some", replace(cond, op="=", num=0)
    else:
        yield "one more", replace(cond, num=cond.num + 1)
        yield "some for so many", replace(cond, op=">=", num=1)
    for column in schema.entities[cond.child].of_kind("ref"):
        same = schema.entities[cond.child].columns[cond.ref].target
        if column.name != cond.ref and column.target == same:
            yield "the other reference", replace(cond, ref=column.name)


def _measures(measure: Measure, schema: Schema, table: str) -> Iterator[tuple[str, Measure]]:
    kinds: dict[str, tuple[Any, ...]] = {
        "distinct": ("count",),
        "sum": ("avg", "count"),
        "avg": ("sum", "max"),
        "min": ("max", "avg"),
        "max": ("min", "sum"),
    }
    for kind in kinds.get(measure.kind, ()):
        yield f"{kind} for {measure.kind}", replace(measure, kind=kind)
    if measure.expr is not None:
        for name, other in _exprs(measure.expr, schema, table):
            yield f"{measure.kind} of the {name}", replace(measure, expr=other)
    if measure.kind in ("avg", "share"):
        yield "other rounding", replace(measure, digits=0)
    if measure.cond is not None:
        for name, cond in _conds(measure.cond, schema, table):
            yield f"counted: {name}", replace(measure, cond=cond)
        yield "counted all", Measure(kind="count")


def _exprs(expr: Expr, schema: Schema, table: str) -> Iterator[tuple[str, Expr]]:
    """Yield expressions that a reader could confuse with one: another column of its type, another way to it."""
    if isinstance(expr, Derived):
        for name, other in _exprs(expr.attr, schema, table):
            if isinstance(other, Attr):
                yield name, replace(expr, attr=other)
        if expr.kind == "days" and expr.other is not None:
            yield "days the other way", replace(expr, attr=expr.other, other=expr.attr)
        return
    entity = schema.entities[_end(expr.path, schema, table)]
    if expr.column in entity.columns:
        kind = entity.columns[expr.column].kind
        alike = ("int", "real") if kind in ("int", "real") else (kind,)
        for column in entity.of_kind(*alike):
            if column.name != expr.column and column.kind != "ref":
                yield f"other column {column.name}", replace(expr, column=column.name)
    if expr.path:
        before = schema.entities[_end(expr.path[:-1], schema, table)]
        for column in before.of_kind("ref"):
            if column.name != expr.path[-1] and column.target == entity.name:
                yield f"other way by {column.name}", replace(expr, path=(*expr.path[:-1], column.name))


def _end(path: Sequence[str], schema: Schema, table: str) -> str:
    for name in path:
        table = schema.entities[table].columns[name].target
    return table


def _nullable(attr: Attr, schema: Schema, table: str) -> bool:
    return attr.column != "id" and schema.entities[_end(attr.path, schema, table)].columns[attr.column].nullable


def _put(parts: Sequence[Any], at: int, part: Any) -> tuple[Any, ...]:
    return (*parts[:at], part, *parts[at + 1 :])
