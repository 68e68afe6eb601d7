"""What is asked, as a tree: English, SQL and plain Python are three renderings of it.

A tree speaks of entities and columns in words, and of records rather than of joins: an `Attr` follows references from
a record, `Related` counts the records that refer to it. A value that is missing satisfies no comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Against",
    "Among",
    "Attr",
    "Between",
    "Combined",
    "Compare",
    "Cond",
    "Derived",
    "Either",
    "Expr",
    "Groups",
    "Like",
    "Listing",
    "Measure",
    "Missing",
    "PerEach",
    "Query",
    "Related",
    "Totals",
    "Versus",
    "Window",
    "attrs_of",
]

Value = int | float | str


@dataclass(frozen=True, kw_only=True)
class Attr:
    """A column of the record at the end of a path of references."""

    path: tuple[str, ...] = ()  # columns that refer
    column: str


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Something calculated from dates."""

    kind: Literal["year", "month", "days"]  # a number, "YYYY-MM", whole days from `attr` to `other`
    attr: Attr
    other: Attr | None = None


Expr = Attr | Derived


@dataclass(frozen=True, kw_only=True)
class Compare:
    """`op` is one of = <> < <= > >=."""

    expr: Expr
    op: str
    value: Value


@dataclass(frozen=True, kw_only=True)
class Versus:
    """Two values of a record against each other."""

    expr: Expr
    op: str
    other: Expr


@dataclass(frozen=True, kw_only=True)
class Between:
    """Both ends count."""

    expr: Expr
    low: Value
    high: Value


@dataclass(frozen=True, kw_only=True)
class Among:
    """One of several values."""

    expr: Expr
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Whether there is no value."""

    expr: Expr
    missing: bool = True


@dataclass(frozen=True, kw_only=True)
class Like:
    """How a text begins or ends."""

    expr: Attr
    at_end: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Either:
    """At least one of two conditions."""

    one: Cond
    other: Cond


@dataclass(frozen=True, kw_only=True)
class Related:
    """How many records of `child` refer to this one by `ref` and satisfy the conditions; `op` is one of = >= > <."""

    child: str
    ref: str
    where: tuple[Cond, ...]
    op: str
    num: int


@dataclass(frozen=True, kw_only=True)
class Against:
    """A value against the average, the largest or the smallest of all records, or of those with the same `scope`."""

    expr: Attr
    op: str
    kind: Literal["avg", "max", "min"]
    scope: Attr | None = None


Cond = Compare | Versus | Between | Among | Missing | Like | Either | Related | Against


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number calculated from several records; missing values are left out."""

    kind: Literal["count", "distinct", "sum", "avg", "min", "max", "count_if", "share"]
    expr: Expr | None = None
    cond: Cond | None = None  # of `count_if` and `share`
    digits: int = 2  # of `avg` and `share`


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Values of every record; `order` names them by place, from 0, and `top` keeps the first, with those that tie."""

    table: str
    select: tuple[Expr, ...]
    where: tuple[Cond, ...] = ()
    distinct: bool = False
    order: tuple[tuple[int, bool], ...] = ()  # place in `select`, whether the largest comes first
    limit: int | None = None
    top: int | None = None  # by the last of `select`, the largest first


@dataclass(frozen=True, kw_only=True)
class Totals:
    """One row about all records."""

    table: str
    measures: tuple[Measure, ...]
    where: tuple[Cond, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Groups:
    """A row for each value of the keys."""

    table: str
    keys: tuple[Expr, ...]
    measures: tuple[Measure, ...]
    where: tuple[Cond, ...] = ()
    having: tuple[int, str, Value] | None = None  # which measure, op, value
    order: tuple[tuple[int, bool], ...] = ()  # place among keys and measures
    limit: int | None = None
    top: int | None = None  # by the first measure, the largest first, with those that tie
    rank: bool = False  # whether the place by the first measure is told, too


@dataclass(frozen=True, kw_only=True)
class PerEach:
    """A row for each record with numbers about those that refer to it, also where there are none."""

    table: str
    select: tuple[Attr, ...]
    child: str
    ref: str
    measures: tuple[Measure, ...]  # count and sum
    where: tuple[Cond, ...] = ()
    child_where: tuple[Cond, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Window:
    """Values of every record, and one that depends on the others of its group."""

    table: str
    select: tuple[Expr, ...]
    kind: Literal["rank", "dense", "running", "previous", "change", "part"]
    value: Attr
    group: Attr | None
    by: Attr | None = None  # a date, then the key: the order of `running`, `previous` and `change`
    where: tuple[Cond, ...] = ()
    best: int | None = None  # of `rank`: only places up to this one, and the place itself is not told


@dataclass(frozen=True, kw_only=True)
class Combined:
    """Values of one listing and of another, each once."""

    kind: Literal["union", "except", "intersect"]
    one: Listing
    other: Listing


Query = Listing | Totals | Groups | PerEach | Window | Combined


def attrs_of(node: Expr | Cond | Measure) -> Iterator[Attr]:
    """Yield the attributes of the record itself, not those of records that refer to it."""
    match node:
        case Attr():
            yield node
        case Derived():
            yield node.attr
            if node.other is not None:
                yield node.other
        case Versus():
            yield from attrs_of(node.expr)
            yield from attrs_of(node.other)
        case Either():
            yield from attrs_of(node.one)
            yield from attrs_of(node.other)
        case Measure():
            if node.expr is not None:
                yield from attrs_of(node.expr)
            if node.cond is not None:
                yield from attrs_of(node.cond)
        case Against():
            yield node.expr
            if node.scope is not None:
                yield node.scope
        case Related():
            pass
        case _:
            yield from attrs_of(node.expr)
