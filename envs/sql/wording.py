"""The English of a tree. Of the wordings of a phrase one belongs to the test split, the others to train."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

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
)
from agentrl.envs.sql.schema import Schema

__all__ = ["PHRASES", "Wording"]

PHRASES: dict[str, tuple[str, ...]] = {
    "list": (
        "List {x}, for {y}.",
        "Show {x} for {y}.",
        "Give {x} for {y}.",
        "Find {x}, for {y}.",
        "Return {x} for {y}.",
    ),
    "every": ("all {y}", "the {y}", "every one of the {y}", "each of the {y}"),
    "count": ("How many {y} are there?", "Count the {y}.", "Tell the number of {y}.", "What is the number of {y}?"),
    "total": ("What is {x} over {y}?", "Tell {x} over {y}.", "Calculate {x} over {y}.", "Give {x} over {y}."),
    "totals": (
        "In one row, give {x}, over {y}.",
        "Give one row with {x}, over {y}.",
        "Tell {x}, in one row, over {y}.",
    ),
    "groups": (
        "For each {k}, give {x}, over {y}.",
        "Group {y} by {k}; show {x}.",
        "Over {y}, tell for every {k} {x}.",
        "Give {x} for each {k}, over {y}.",
    ),
    "per": (
        "For every one of {y}, also where nothing belongs to it, give {x}.",
        "Give {x} for each of {y}, with a row also for those to which nothing belongs.",
        "Show {x} for all of {y}; those to which nothing belongs have a row, too.",
    ),
    "=": ("is {v}", "equals {v}", "is exactly {v}"),
    "<>": ("is there but is not {v}", "is known and differs from {v}", "is given and is other than {v}"),
    "<": ("is less than {v}", "is below {v}", "is smaller than {v}"),
    ">": ("is more than {v}", "is above {v}", "is greater than {v}", "exceeds {v}"),
    "<=": ("is at most {v}", "is no more than {v}", "is {v} or less"),
    ">=": ("is at least {v}", "is no less than {v}", "is {v} or more"),
    "< date": ("is before {v}", "is earlier than {v}", "comes before {v}"),
    "> date": ("is after {v}", "is later than {v}", "comes after {v}"),
    "<= date": ("is {v} or earlier", "is on or before {v}", "is no later than {v}"),
    ">= date": ("is {v} or later", "is on or after {v}", "is no earlier than {v}"),
    "between": (
        "is between {v} and {w}, both included",
        "is from {v} to {w}, ends included",
        "is at least {v} and at most {w}",
    ),
    "among": ("is one of {v}", "is among {v}", "is any of {v}"),
    "missing": ("is missing", "is not given", "is empty"),
    "there": ("is not missing", "is given", "is not empty"),
    "begins": ("begins with {v}", "starts with {v}", "has {v} at its start"),
    "ends": ("ends with {v}", "ends in {v}", "has {v} at its end"),
    "sum": ("the sum of the {a}", "the total of the {a}", "the {a} summed up"),
    "avg": ("the average {a}", "the mean {a}", "the average of the {a}"),
    "min": ("the smallest {a}", "the lowest {a}", "the minimum of the {a}"),
    "max": ("the largest {a}", "the highest {a}", "the maximum of the {a}"),
    "rounded": ("rounded to {n} decimals", "to {n} decimal places", "with {n} decimals"),
    "sort": ("Sort the rows by {x}.", "Order the rows by {x}.", "The rows are ordered by {x}."),
    "limit": (
        "Only the first {n} rows of this order are wanted.",
        "Stop after {n} rows.",
        "Keep the first {n} rows only.",
    ),
    "ties": (
        "Keep only the {n} with the largest {a}; whatever ties with the last of them is kept, too.",
        "Only those among the {n} largest by {a} count, and all that tie with the last place.",
        "Leave only the top {n} by {a}, including all ties for the last place.",
    ),
    "having": ("Keep only groups in which {x}.", "Leave out groups unless {x}.", "Only groups in which {x} count."),
    "distinct": ("Each different row once.", "No row twice.", "Leave out repeated rows."),
}
"""Key -> wordings; `{…}` are parts. The one that belongs to the test split is chosen by a hash of the key."""
_GAPS = "(the largest is 1; equal ones share a place, and places after them are skipped)"
_NO_GAPS = "(the largest is 1; equal ones share a place, and no place is skipped)"
_OPS = {">=": "at least {n} {c}", ">": "more than {n} {c}", "=": "exactly {n} {c}", "<": "fewer than {n} {c}"}


class Wording:
    """Writes questions in the wordings of a split.

    Args:
        rng: Chooses among wordings.
        schema: What is talked about.
        split: Whose wordings.
    """

    def __init__(self, rng: random.Random, schema: Schema, split: str) -> None:
        self._rng, self._schema, self._split = rng, schema, split
        self._dates = {column.name for each in schema.entities.values() for column in each.of_kind("date")}

    def question(self, query: Query) -> str:
        """Return what is asked, with all that decides between readings."""
        match query:
            case Listing():
                parts = [self._listing(query)]
            case Totals():
                parts = [self._totals(query)]
            case Groups():
                parts = self._groups(query)
            case PerEach():
                parts = [self._per_each(query)]
            case Window():
                parts = self._window(query)
            case Combined():
                parts = self._combined(query)
        shown = (
            query.one.select if isinstance(query, Combined) else getattr(query, "select", getattr(query, "keys", ()))
        )
        table = query.one.table if isinstance(query, Combined) else query.table
        if any(self._may_miss(table, expr) for expr in shown):
            own = " and makes a group of its own" if isinstance(query, Groups) else ""
            parts.append(f"Where a value is missing it stays empty{own}.")
        return " ".join(parts)

    def pick(self, key: str, **parts: object) -> str:
        """Return a phrase in a wording of the split, its parts filled in."""
        options = PHRASES[key]
        held = zlib.crc32(key.encode()) % len(options)
        chosen = held if self._split == "test" else self._rng.choice([at for at in range(len(options)) if at != held])
        return options[chosen].format(**parts)

    # -- kinds of questions --------------------------------------------------------------------------------------

    def _listing(self, query: Listing) -> str:
        shown = self._several([f"the {self._expr(expr)}" for expr in query.select])
        parts = [self.pick("list", x=shown, y=self._those(query.table, query.where))]
        if query.distinct:
            parts.append(self.pick("distinct"))
        elif Attr(column="id") not in query.select:
            parts.append(f"One row for each {self._schema.entities[query.table].name}.")
        parts += self._ordered(query.order, [self._expr(expr) for expr in query.select], query.limit)
        if query.top is not None:
            parts.append(self.pick("ties", n=query.top, a=self._expr(query.select[-1])))
        return " ".join(parts)

    def _totals(self, query: Totals) -> str:
        those = self._those(query.table, query.where, bare=True)
        if len(query.measures) == 1 and query.measures[0].kind == "count":
            return self.pick("count", y=those)
        told = [self._measure(query.table, each) for each in query.measures]
        key = "total" if len(told) == 1 else "totals"
        return self.pick(key, x=self._several(told), y=self._those(query.table, query.where))

    def _groups(self, query: Groups) -> list[str]:
        keys, told = [self._expr(key) for key in query.keys], [self._measure(query.table, m) for m in query.measures]
        shown = [*(f"the {key}" for key in keys), *told]
        if query.rank:
            shown.append(f"its place by {told[0]} {_GAPS}")
        key = " and ".join(keys) if len(keys) < 2 else f"combination of {' and '.join(keys)}"
        parts = [self.pick("groups", k=key, x=self._several(shown), y=self._those(query.table, query.where))]
        if query.having is not None:
            place, op, value = query.having
            parts.append(self.pick("having", x=f"{told[place]} {self.pick(op, v=self._literal(value))}"))
        parts += self._ordered(query.order, [*keys, *told], query.limit)
        if query.top is not None:
            parts.append(self.pick("ties", n=query.top, a=told[0].removeprefix("the ")))
        return parts

    def _per_each(self, query: PerEach) -> str:
        entity = self._schema.entities[query.child]
        named = "" if query.ref == query.table else f" of which it is the {query.ref}"
        conds = f"{named}{self._conds(query.child, query.child_where)}"
        shown = [f"the {self._expr(attr)}" for attr in query.select]
        for measure in query.measures:
            if measure.kind == "count":
                shown.append(f"the number of its {entity.plural}{conds}")
            else:
                assert measure.expr is not None
                added = self.pick("sum", a=self._expr(measure.expr))
                shown.append(f"{added} of its {entity.plural}{conds} (0 where there are none)")
        return self.pick(
            "per", x=self._several(shown), y=self._those(query.table, query.where, bare=True, article="the ")
        )

    def _window(self, query: Window) -> list[str]:
        value = self._expr(query.value)
        among = f"those with the same {self._expr(query.group)}" if query.group else "all of them"
        shown = [f"the {self._expr(expr)}" for expr in query.select]
        those = self._those(query.table, query.where)
        order = f"by {self._expr(query.by)}, then by id" if query.by else ""
        if query.best is not None:
            parts = [self.pick("list", x=self._several(shown), y=those)]
            first = "has the largest" if query.best == 1 else f"has one of the {query.best} largest values of"
            said = "" if query.best == 1 else f" (fewer than {query.best} of them have a larger one)"
            kept = f"Keep only what {first} {value} among {among}{said}; all that tie are kept."
            return [*parts, kept, f"Only these {self._plural(query.table)} count throughout."]
        before = f"the one before it among {among}, ordered {order} (empty for the first)"
        last = {
            "rank": f"its place by {value} among {among} {_GAPS}",
            "dense": f"its place by {value} among {among} {_NO_GAPS}",
            "running": f"the running total of {value} among {among}, ordered {order}, with its own {value} included",
            "previous": f"the {value} of {before}",
            "change": f"its {value} less that of {before}",
            "part": f"its percentage of the summed {value} of {among}, {self.pick('rounded', n=1)}",
        }[query.kind]
        return [
            self.pick("list", x=self._several([*shown, last]), y=those),
            f"Only these {self._plural(query.table)} count throughout.",
        ]

    def _combined(self, query: Combined) -> list[str]:
        one, other = (
            f"the {self._expr(each.select[0])} for {self._those(each.table, each.where)}"
            for each in (query.one, query.other)
        )
        said = {
            "union": f"Put together, each value once: {one}, and {other}.",
            "except": f"Which values, each once, are among these: {one}; but not among these: {other}?",
            "intersect": f"Which values, each once, are among both of these: {one}; and {other}?",
        }
        return [said[query.kind]]

    # -- parts ---------------------------------------------------------------------------------------------------

    def _ordered(self, order: Sequence[tuple[int, bool]], names: Sequence[str], limit: int | None) -> list[str]:
        if not order:
            return []
        told = [
            f"{names[at].removeprefix('the ')}, {'descending' if falling else 'ascending'}" for at, falling in order
        ]
        parts = [self.pick("sort", x="; then by ".join(told))]
        return parts if limit is None else [*parts, self.pick("limit", n=limit)]

    def _those(self, table: str, where: Sequence[Cond], *, bare: bool = False, article: str = "") -> str:
        plural = f"{self._plural(table)}{self._conds(table, where)}"
        return f"{article}{plural}" if bare else self.pick("every", y=plural)

    def _conds(self, table: str, where: Sequence[Cond]) -> str:
        clauses = [self._cond(table, cond) for cond in where]
        return f" {', and '.join(clauses)}" if clauses else ""

    def _cond(self, table: str, cond: Cond) -> str:
        match cond:
            case Compare():
                value = self._literal(cond.value)
                return f"whose {self._expr(cond.expr)} {self._compared(table, cond.expr, cond.op, value)}"
            case Versus():
                is_own = isinstance(cond.other, Attr) and not cond.other.path
                other = f"{'its' if is_own else 'the'} {self._expr(cond.other)}"
                return f"whose {self._expr(cond.expr)} {self._compared(table, cond.expr, cond.op, other)}"
            case Between():
                low, high = self._literal(cond.low), self._literal(cond.high)
                return f"whose {self._expr(cond.expr)} {self.pick('between', v=low, w=high)}"
            case Among():
                values = " or ".join(map(self._literal, cond.values))
                return f"whose {self._expr(cond.expr)} {self.pick('among', v=values)}"
            case Missing():
                return f"whose {self._expr(cond.expr)} {self.pick('missing' if cond.missing else 'there')}"
            case Like():
                key = "ends" if cond.at_end else "begins"
                return f"whose {self._expr(cond.expr)} {self.pick(key, v=self._literal(cond.text))}"
            case Either():
                return f"(either {self._cond(table, cond.one)}, or {self._cond(table, cond.other)}, or both)"
            case Related():
                return self._related(table, cond)
            case Against():
                return self._against(table, cond)

    def _related(self, table: str, cond: Related) -> str:
        entity = self._schema.entities[cond.child]
        if (cond.op, cond.num) == ("=", 0):
            number = f"no {entity.name}"
        else:
            noun = entity.name if cond.num == 1 else entity.plural
            number = _OPS[cond.op].format(n="one" if cond.num == 1 else cond.num, c=noun)
        verb = "that have" if cond.ref == table else f"that are the {cond.ref} of"
        inner = self._conds(cond.child, cond.where)
        return f"{verb} {number}{f' ({inner.strip()})' if inner else ''}"

    def _against(self, table: str, cond: Against) -> str:
        name = self._expr(cond.expr)
        scope = f" with the same {self._expr(cond.scope)}" if cond.scope else ""
        all_of = f"of all {self._plural(table)}{scope}"
        if cond.kind == "avg":
            return f"whose {name} {self.pick(cond.op, v=f'the average {name} {all_of}')}"
        kind = self.pick(cond.kind, a=name)
        return f"whose {name} {self.pick(cond.op, v=f'{kind} {all_of}')}"

    def _compared(self, table: str, expr: Expr, op: str, value: str) -> str:
        is_date = isinstance(expr, Attr) and self._kind(table, expr) == "date" and op not in ("=", "<>")
        return self.pick(f"{op} date" if is_date else op, v=value)

    def _measure(self, table: str, measure: Measure) -> str:
        if measure.kind == "count":
            return f"the number of {self._plural(table)}"
        if measure.cond is not None:
            those = f"{self._plural(table)} {self._cond(table, measure.cond)}"
            if measure.kind == "count_if":
                return f"the number of {those}"
            return f"the percentage of {those} among them ({self.pick('rounded', n=measure.digits)})"
        assert measure.expr is not None
        name = self._expr(measure.expr)
        if measure.kind == "distinct":
            return f"the number of different values of {name}"
        if (
            measure.kind in ("min", "max")
            and isinstance(measure.expr, Attr)
            and self._kind(table, measure.expr) == "date"
        ):
            return f"the {'earliest' if measure.kind == 'min' else 'latest'} {name}"
        told = self.pick(measure.kind, a=name)
        return f"{told} ({self.pick('rounded', n=measure.digits)})" if measure.kind == "avg" else told

    def _expr(self, expr: Expr) -> str:
        if isinstance(expr, Attr):
            way = " of the ".join(reversed(expr.path[1:]))
            first = f" of its {expr.path[0]}" if expr.path else ""
            words = expr.column.replace(" ", "-") + " date" if expr.column in self._dates else expr.column
            return f"{words}{f' of the {way}' if way else ''}{first}"
        name = self._expr(expr.attr)
        if expr.kind == "days":
            assert expr.other is not None
            return f"number of days from {name} to {self._expr(expr.other)}"
        return f"year (a whole number) of {name}" if expr.kind == "year" else f"month (as YYYY-MM) of {name}"

    def _literal(self, value: Value) -> str:
        return f"'{value}'" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)

    def _several(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

    def _plural(self, table: str) -> str:
        return self._schema.entities[table].plural

    def _kind(self, table: str, attr: Attr) -> str:
        for name in attr.path:
            table = self._schema.entities[table].columns[name].target
        return "int" if attr.column == "id" else self._schema.entities[table].columns[attr.column].kind

    def _may_miss(self, table: str, expr: Expr) -> bool:
        for attr in (expr,) if isinstance(expr, Attr) else (expr.attr, expr.other):
            if attr is None:
                continue
            at = table
            for name in (*attr.path, attr.column):
                column = self._schema.entities[at].columns.get(name)
                if column is not None and column.nullable:
                    return True
                at = column.target if column is not None else at
        return False
