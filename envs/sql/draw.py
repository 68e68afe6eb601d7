"""The grammar: what is asked at each level, drawn as trees over a schema."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from agentrl.envs.sql.drawing import NUMBERS, Drawing, NoQuery
from agentrl.envs.sql.nodes import (
    Attr,
    Combined,
    Cond,
    Derived,
    Groups,
    Listing,
    Measure,
    Missing,
    PerEach,
    Query,
    Totals,
    Window,
)
from agentrl.envs.sql.schema import Schema

__all__ = ["FAMILIES", "draw_query"]


def draw_query(
    rng: random.Random, schema: Schema, split: str, family: str
) -> tuple[Query, dict[tuple[str, str], list[Any]]]:
    """Draw a question of a family.

    Returns:
        The tree, and its constants by entity and column, on and beside which records should lie.

    Raises:
        NoQuery: The schema does not fit; draw another.
    """
    drawing = Drawing(rng, schema, split)
    return _FAMILY[family](drawing), drawing.hints


# -- level 1 ---------------------------------------------------------------------------------------------------------


def _filter(draw: Drawing) -> Query:
    table = draw.table()
    return Listing(
        table=table,
        select=(Attr(column="id"),) if draw.rng.random() < 0.5 else (draw.attr(table, ("name", "int", "date", "one")),),
        where=(draw.plain(table),),
    )


def _count(draw: Drawing) -> Query:
    table = draw.table()
    return Totals(table=table, measures=(Measure(kind="count"),), where=(draw.plain(table),))


def _aggregate(draw: Drawing) -> Query:
    table = draw.table()
    return Totals(table=table, measures=(draw.measure(table),))


def _gap(draw: Drawing) -> Query:
    table = draw.table()
    return Listing(table=table, select=(Attr(column="id"),), where=(draw.missing(table),))


# -- level 2 ---------------------------------------------------------------------------------------------------------


def _join(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("ref")))
    parent = draw.attr(table, ("name", "one"), (1,))
    own = draw.attr(table, ("int", "date", "one", "real"))
    return Listing(table=table, select=(own, parent), where=(draw.plain(table, (0, 1)),))


def _join_count(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("ref")))
    measure = Measure(kind="count") if draw.rng.random() < 0.5 else draw.measure(table, (0,))
    return Totals(table=table, measures=(measure,), where=(draw.plain(table, (1, 2)),))


def _group(draw: Drawing) -> Query:
    table = draw.table()
    measure = Measure(kind="count") if draw.rng.random() < 0.4 else draw.measure(table)
    return Groups(table=table, keys=(draw.key(table, (0, 1)),), measures=(measure,))


def _sorted(draw: Drawing) -> Query:
    table = draw.table()
    value = draw.attr(table, (*NUMBERS, "date"), given=True)
    limit = draw.rng.choice((None, 3, 4))
    order = ((1, draw.rng.random() < 0.6), (0, False))
    return Listing(table=table, select=(Attr(column="id"), value), where=(draw.plain(table),), order=order, limit=limit)


# -- level 3 ---------------------------------------------------------------------------------------------------------


def _having(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("ref")))
    key = draw.attr(table, ("name", "one"), (0, 1))
    measures = (Measure(kind="count"), draw.measure(table))
    having = (0, draw.rng.choice((">=", ">", "<")), draw.rng.randint(2, 4))
    return Groups(table=table, keys=(key,), measures=measures, where=(draw.plain(table, (0, 1)),), having=having)


def _months(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("date")))
    date = draw.attr(table, ("date",), given=True)
    kind: Literal["year", "month"] = draw.rng.choice(("year", "month"))
    measures = (Measure(kind="count"), draw.measure(table)) if draw.rng.random() < 0.5 else (Measure(kind="count"),)
    order = ((0, draw.rng.random() < 0.3),)
    return Groups(
        table=table,
        keys=(Derived(kind=kind, attr=date),),
        measures=measures,
        where=(draw.plain(table, (0, 1)),),
        order=order,
    )


def _days(draw: Drawing) -> Query:
    table = draw.table(lambda entity: len(entity.of_kind("date")) > 1)
    first, second = (Attr(column=column.name) for column in draw.schema.entities[table].of_kind("date")[:2])
    days = Derived(kind="days", attr=first, other=second)
    where: tuple[Cond, ...] = (draw.plain(table, (0, 1), ("one", "int", "name")),)
    if draw.rng.random() < 0.5:
        return Totals(
            table=table, measures=(Measure(kind="max", expr=days), Measure(kind="avg", expr=days)), where=where
        )
    return Listing(table=table, select=(Attr(column="id"), days), where=(*where, Missing(expr=days, missing=False)))


def _per(draw: Drawing, where: tuple[Cond, ...] = ()) -> Query:
    table = draw.one([name for name in draw.schema.entities if draw.schema.children(name)])
    return _per_of(draw, table, where)


def _per_of(draw: Drawing, table: str, where: tuple[Cond, ...]) -> Query:
    child, ref = draw.one([each for each in draw.schema.children(table) if each[0].name != table])
    measures = [Measure(kind="count")]
    if child.of_kind("int", "real") and draw.rng.random() < 0.6:
        measures.append(Measure(kind="sum", expr=draw.attr(child.name, NUMBERS)))
    inner = (draw.plain(child.name, (0,), ("one", "int", "date")),)
    shown = tuple(dict.fromkeys((Attr(column="id"), draw.label(table))))
    return PerEach(
        table=table,
        select=shown,
        child=child.name,
        ref=ref.name,
        measures=tuple(measures),
        where=where,
        child_where=inner,
    )


def _shares(draw: Drawing) -> Query:
    table = draw.table()
    cond = draw.plain(table, (0,), ("one", "int", "date"))
    measures = (Measure(kind="count"), Measure(kind=draw.rng.choice(("share", "count_if")), cond=cond, digits=1))
    return Groups(table=table, keys=(draw.key(table, (0, 1)),), measures=measures)


def _self(draw: Drawing) -> Query:
    table = draw.table()
    versus = draw.versus(table)
    return Listing(table=table, select=draw.shown(table, (0, 1), 1), where=(versus, draw.plain(table, (0, 1))))


def _distinct(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("ref")))
    select = (draw.attr(table, ("name", "one"), (1, 2)), draw.attr(table, ("one", "name"), (0, 1, 2)))
    if select[0] == select[1]:
        raise NoQuery
    return Listing(table=table, select=select, distinct=True, where=(draw.either(table, (0, 1)),))


# -- level 4 ---------------------------------------------------------------------------------------------------------


def _nested(draw: Drawing) -> Query:
    table = draw.one([name for name in draw.schema.entities if draw.schema.children(name)])
    where = (draw.related(table), draw.plain(table, (0, 1)))
    return Listing(table=table, select=tuple(dict.fromkeys((Attr(column="id"), draw.label(table)))), where=where)


def _scalar(draw: Drawing) -> Query:
    table = draw.table()
    against = draw.against(table)
    return Listing(table=table, select=(Attr(column="id"), against.expr), where=(against, draw.plain(table, (0, 1))))


def _set(draw: Drawing) -> Query:
    table = draw.table(lambda entity: bool(entity.of_kind("ref")))
    attr = draw.attr(table, ("name",), (1, 2), given=True)
    one, other = (
        Listing(table=table, select=(attr,), where=(draw.plain(table, (0, 1), ("one", "int", "date")),))
        for _ in range(2)
    )
    return Combined(kind=draw.rng.choice(("union", "except", "intersect")), one=one, other=other)


def _window(draw: Drawing) -> Query:
    kind = draw.rng.choice(("rank", "dense", "running", "previous", "change", "part"))
    return _window_of(draw, kind, (draw.plain,), (0,))


def _window_of(
    draw: Drawing, kind: Any, conds: Sequence[Callable[..., Cond]], hops: Sequence[int], best: int | None = None
) -> Query:
    by_date = kind in ("running", "previous", "change")
    table = draw.table(lambda entity: not by_date or bool(entity.of_kind("date")))
    value = draw.attr(table, NUMBERS, given=True)
    group = draw.key(table, (0, 1), given=True)
    by = draw.attr(table, ("date",), given=True) if by_date else None
    where = tuple(cond(table, hops) if cond == draw.plain else cond(table) for cond in conds)
    select = (Attr(column="id"), *([value] if best is not None else []))
    return Window(table=table, select=select, kind=kind, value=value, group=group, by=by, where=where, best=best)


def _top(draw: Drawing) -> Query:
    table = draw.table()
    value = draw.attr(table, NUMBERS, given=True)
    return Listing(
        table=table, select=(Attr(column="id"), value), where=(draw.plain(table, (0, 1)),), top=draw.rng.randint(2, 4)
    )


# -- level 5 ---------------------------------------------------------------------------------------------------------


def _deep_groups(draw: Drawing) -> Query:
    table = draw.table(lambda entity: len(entity.of_kind("ref")) > 1)
    key = draw.attr(table, ("name", "one"), (2, 3), given=True)
    measures = (Measure(kind="count"), draw.measure(table, (0, 1), ("sum", "avg")))
    where = (draw.either(table, (0, 1, 2)), draw.plain(table, (1, 2), ("one", "int", "date")))
    if draw.rng.random() < 0.5:
        return Groups(table=table, keys=(key,), measures=measures, where=where, rank=True)
    return Groups(table=table, keys=(key,), measures=measures, where=where, top=draw.rng.randint(2, 3))


def _deep_nested(draw: Drawing) -> Query:
    table = draw.one([name for name in draw.schema.entities if draw.schema.children(name)])
    where = (draw.related(table, deep=True), draw.either(table, (0, 1)), draw.against(table))
    return Listing(table=table, select=draw.shown(table, (0, 1), 2), where=where)


def _deep_window(draw: Drawing) -> Query:
    best = draw.rng.choice((1, 2))
    conds = (draw.related, draw.plain) if draw.rng.random() < 0.4 else (draw.plain,)
    kind = draw.rng.choice(("rank", "running", "change", "part"))
    return _window_of(draw, kind, conds, (1, 2), best if kind == "rank" else None)


def _deep_set(draw: Drawing) -> Query:
    table = draw.table(lambda entity: len(entity.of_kind("ref")) > 1)
    attr = draw.attr(table, ("name",), (2, 3), given=True)
    one = Listing(table=table, select=(attr,), where=(draw.either(table, (0, 1, 2)),))
    other = Listing(
        table=table,
        select=(attr,),
        where=(draw.plain(table, (0, 1)), draw.plain(table, (1, 2), ("one", "int", "date"))),
    )
    return Combined(kind=draw.rng.choice(("except", "intersect")), one=one, other=other)


def _deep_per(draw: Drawing) -> Query:
    table = draw.one([name for name in draw.schema.entities if len(draw.schema.children(name)) > 1])
    return _per_of(draw, table, (draw.related(table),))


_LEVELS: Mapping[int, Mapping[str, Callable[[Drawing], Query]]] = {
    1: {"filter": _filter, "count": _count, "aggregate": _aggregate, "gap": _gap},
    2: {"join": _join, "join-count": _join_count, "group": _group, "sorted": _sorted},
    3: {
        "having": _having,
        "months": _months,
        "days": _days,
        "per-each": _per,
        "shares": _shares,
        "self-join": _self,
        "distinct": _distinct,
    },
    4: {"nested": _nested, "scalar": _scalar, "set": _set, "window": _window, "top": _top},
    5: {
        "deep-groups": _deep_groups,
        "deep-nested": _deep_nested,
        "deep-window": _deep_window,
        "deep-set": _deep_set,
        "deep-per-each": _deep_per,
    },
}
_FAMILY = {name: function for families in _LEVELS.values() for name, function in families.items()}
FAMILIES: Mapping[int, tuple[str, ...]] = {level: tuple(families) for level, families in _LEVELS.items()}
"""Level -> names of its families."""
