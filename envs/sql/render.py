"""The SQL of a tree: joins along its paths, subqueries for its conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    Value,
    Versus,
    Window,
    attrs_of,
)
from agentrl.envs.sql.schema import Schema

__all__ = ["literal", "sql_of"]


def literal(value: Value) -> str:
    """Write a value as SQL.

    >>> literal("O'Hara"), literal(3), literal(2.5)
    ("'O''Hara'", '3', '2.5')
    """
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def sql_of(query: Query, schema: Schema) -> str:
    """Return the reference query."""
    match query:
        case Listing():
            return _listing(query, schema)
        case Totals():
            block = _Block(schema, query.table, query.where, _attrs(query.measures))
            return f"SELECT {_joined(map(block.measure, query.measures))}{block.tail()}"
        case Groups():
            return _groups(query, schema)
        case PerEach():
            return _per_each(query, schema)
        case Window():
            return _window(query, schema)
        case Combined():
            return f"{_listing(query.one, schema)} {query.kind.upper()} {_listing(query.other, schema)}"


def _attrs(nodes: Iterable[Expr | Measure]) -> list[Attr]:
    return [attr for node in nodes for attr in attrs_of(node)]


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _order(order: Sequence[tuple[int, bool]]) -> str:
    if not order:
        return ""
    return " ORDER BY " + _joined(f"{place + 1} DESC" if falling else str(place + 1) for place, falling in order)


class _Block:
    """One SELECT: the records of an entity, what is joined to them, and their conditions."""

    def __init__(
        self,
        schema: Schema,
        entity: str,
        where: Sequence[Cond],
        attrs: Sequence[Attr],
        depth: int = 0,
        *,
        is_joined: bool = False,
    ) -> None:
        self._schema, self._entity, self._where, self._depth = schema, entity, where, depth
        every = [*attrs, *(attr for cond in where for attr in attrs_of(cond))]
        nested = any(isinstance(each, Related | Against) for cond in where for each in _flat(cond))
        paths = {attr.path[: length + 1]: None for attr in every for length in range(len(attr.path))}
        letter = "tuvw"[depth]
        self._is_plain = not (paths or nested or depth or is_joined)
        self.alias = letter
        self._paths = {path: f"{letter}{number + 1}" for number, path in enumerate(sorted(paths, key=_by_length))}
        self._refusing = [
            attr.path
            for cond in where
            if not isinstance(cond, Either | Related) and not (isinstance(cond, Missing) and cond.missing)
            for attr in attrs_of(cond)
        ]

    def column(self, attr: Attr) -> str:
        identifier = self._schema.columns[self._at(attr.path), attr.column]
        if self._is_plain:
            return identifier
        return f"{self._paths[attr.path] if attr.path else self.alias}.{identifier}"

    def expr(self, expr: Expr) -> str:
        if isinstance(expr, Attr):
            return self.column(expr)
        first = self.column(expr.attr)
        if expr.kind == "year":
            return f"CAST(strftime('%Y', {first}) AS INTEGER)"
        if expr.kind == "month":
            return f"strftime('%Y-%m', {first})"
        assert expr.other is not None
        return f"CAST(julianday({self.column(expr.other)}) - julianday({first}) AS INTEGER)"

    def measure(self, measure: Measure) -> str:
        if measure.kind == "count":
            return "COUNT(*)"
        if measure.kind in ("count_if", "share"):
            assert measure.cond is not None
            when = f"SUM(CASE WHEN {self.cond(measure.cond)} THEN 1 ELSE 0 END)"
            return when if measure.kind == "count_if" else f"ROUND(100.0 * {when} / COUNT(*), {measure.digits})"
        assert measure.expr is not None
        inner = self.expr(measure.expr)
        if measure.kind == "distinct":
            return f"COUNT(DISTINCT {inner})"
        if measure.kind == "avg":
            return f"ROUND(AVG({inner}), {measure.digits})"
        return f"{measure.kind.upper()}({inner})"

    def tail(self) -> str:
        """Return FROM and WHERE."""
        parts = [f" FROM {self._schema.tables[self._entity]}{'' if self._is_plain else f' AS {self.alias}'}"]
        for path, alias in self._paths.items():
            target = self._at(path)
            on = f"{alias}.{self._schema.columns[target, 'id']} = {self.column(Attr(path=path[:-1], column=path[-1]))}"
            join = "JOIN" if self._always(path) else "LEFT JOIN"
            parts.append(f" {join} {self._schema.tables[target]} AS {alias} ON {on}")
        if self._where:
            parts.append(f" WHERE {' AND '.join(self.cond(cond) for cond in self._where)}")
        return "".join(parts)

    def cond(self, cond: Cond) -> str:
        match cond:
            case Compare():
                return f"{self.expr(cond.expr)} {cond.op} {literal(cond.value)}"
            case Versus():
                return f"{self.expr(cond.expr)} {cond.op} {self.expr(cond.other)}"
            case Between():
                return f"{self.expr(cond.expr)} BETWEEN {literal(cond.low)} AND {literal(cond.high)}"
            case Among():
                return f"{self.expr(cond.expr)} IN ({_joined(map(literal, cond.values))})"
            case Missing():
                return f"{self.expr(cond.expr)} IS {'' if cond.missing else 'NOT '}NULL"
            case Like():
                return f"{self.expr(cond.expr)} LIKE {literal('%' + cond.text if cond.at_end else cond.text + '%')}"
            case Either():
                return f"({self.cond(cond.one)} OR {self.cond(cond.other)})"
            case Related():
                return self._related(cond)
            case Against():
                return self._against(cond)

    def _related(self, cond: Related) -> str:
        inner = _Block(self._schema, cond.child, cond.where, [], self._depth + 1)
        key = self.column(Attr(column="id"))
        link = f"{inner.column(Attr(column=cond.ref))} = {key}"
        tail = inner.tail()
        tail += f" AND {link}" if cond.where else f" WHERE {link}"
        if (cond.op, cond.num) == (">=", 1):
            return f"EXISTS (SELECT 1{tail})"
        if (cond.op, cond.num) == ("=", 0):
            return f"NOT EXISTS (SELECT 1{tail})"
        return f"(SELECT COUNT(*){tail}) {cond.op} {cond.num}"

    def _against(self, cond: Against) -> str:
        inner = _Block(self._schema, self._entity, (), [], self._depth + 1)
        tail = inner.tail()
        if cond.scope is not None:
            tail += f" WHERE {inner.column(cond.scope)} = {self.column(cond.scope)}"
        return f"{self.expr(cond.expr)} {cond.op} (SELECT {cond.kind.upper()}({inner.column(cond.expr)}){tail})"

    def _at(self, path: Sequence[str]) -> str:
        """Return the entity at the end of a path."""
        entity = self._entity
        for name in path:
            entity = self._schema.entities[entity].columns[name].target
        return entity

    def _always(self, path: tuple[str, ...]) -> bool:
        """Whether a record without this path is not in the result anyway, or there is none."""
        if any(refusing[: len(path)] == path for refusing in self._refusing):
            return True
        entity = self._entity
        for name in path:
            column = self._schema.entities[entity].columns[name]
            if column.nullable:
                return False
            entity = column.target
        return True


def _by_length(path: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return len(path), path


def _flat(cond: Cond) -> list[Cond]:
    return [*_flat(cond.one), *_flat(cond.other)] if isinstance(cond, Either) else [cond]


def _named(columns: Sequence[str]) -> str:
    return _joined(f"{column} AS c{number + 1}" for number, column in enumerate(columns))


def _names(number: int) -> str:
    return _joined(f"c{index + 1}" for index in range(number))


def _listing(query: Listing, schema: Schema) -> str:
    block = _Block(schema, query.table, query.where, _attrs(query.select))
    columns = [block.expr(expr) for expr in query.select]
    if query.top is not None:
        inner = f"SELECT {_named(columns)}, RANK() OVER (ORDER BY {columns[-1]} DESC) AS place{block.tail()}"
        return f"SELECT {_names(len(columns))} FROM ({inner}) WHERE place <= {query.top}"
    limit = f" LIMIT {query.limit}" if query.limit is not None else ""
    distinct = "DISTINCT " if query.distinct else ""
    return f"SELECT {distinct}{_joined(columns)}{block.tail()}{_order(query.order)}{limit}"


def _groups(query: Groups, schema: Schema) -> str:
    block = _Block(schema, query.table, query.where, _attrs([*query.keys, *query.measures]))
    keys, measures = [block.expr(key) for key in query.keys], [block.measure(each) for each in query.measures]
    tail = f"{block.tail()} GROUP BY {_joined(keys)}"
    if query.having is not None:
        place, op, value = query.having
        tail += f" HAVING {measures[place]} {op} {literal(value)}"
    columns = [*keys, *measures]
    over = f"RANK() OVER (ORDER BY {measures[0]} DESC)"
    if query.top is not None:
        inner = f"SELECT {_named(columns)}, {over} AS place{tail}"
        return f"SELECT {_names(len(columns))} FROM ({inner}) WHERE place <= {query.top}"
    columns += [over] if query.rank else []
    limit = f" LIMIT {query.limit}" if query.limit is not None else ""
    return f"SELECT {_joined(columns)}{tail}{_order(query.order)}{limit}"


def _per_each(query: PerEach, schema: Schema) -> str:
    block = _Block(schema, query.table, query.where, query.select, is_joined=True)
    child = _Block(schema, query.child, query.child_where, [], 1)
    columns = [block.column(attr) for attr in query.select]
    for measure in query.measures:
        if measure.kind == "count":
            columns.append(f"COUNT({child.column(Attr(column='id'))})")
        else:
            assert measure.expr is not None
            columns.append(f"COALESCE(SUM({child.expr(measure.expr)}), 0)")
    key = block.column(Attr(column="id"))
    on = " AND ".join([f"{child.column(Attr(column=query.ref))} = {key}", *map(child.cond, query.child_where)])
    where = f" WHERE {' AND '.join(map(block.cond, query.where))}" if query.where else ""
    joined = f" FROM {schema.tables[query.table]} AS t LEFT JOIN {schema.tables[query.child]} AS u ON {on}"
    return f"SELECT {_joined(columns)}{joined}{where} GROUP BY {key}"


def _window(query: Window, schema: Schema) -> str:
    attrs = [query.value, *([query.group] if query.group else []), *([query.by] if query.by else [])]
    block = _Block(schema, query.table, query.where, [*_attrs(query.select), *attrs])
    columns = [block.expr(expr) for expr in query.select]
    value = block.column(query.value)
    part = f"PARTITION BY {block.column(query.group)}" if query.group else ""
    by = f"{block.column(query.by)}, {block.column(Attr(column='id'))}" if query.by else ""
    if query.kind in ("rank", "dense"):
        function = "RANK" if query.kind == "rank" else "DENSE_RANK"
        last = f"{function}() OVER ({' '.join(filter(None, [part, f'ORDER BY {value} DESC']))})"
    elif query.kind == "running":
        last = f"SUM({value}) OVER ({' '.join(filter(None, [part, f'ORDER BY {by}']))})"
    elif query.kind == "part":
        last = f"ROUND(100.0 * {value} / SUM({value}) OVER ({part}), 1)"
    else:
        lag = f"LAG({value}) OVER ({' '.join(filter(None, [part, f'ORDER BY {by}']))})"
        last = lag if query.kind == "previous" else f"{value} - {lag}"
    if query.best is not None:
        inner = f"SELECT {_named(columns)}, {last} AS place{block.tail()}"
        return f"SELECT {_names(len(columns))} FROM ({inner}) WHERE place <= {query.best}"
    return f"SELECT {_joined([*columns, last])}{block.tail()}"
