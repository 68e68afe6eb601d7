"""What a question is made of, drawn over a schema: tables, attributes along references, conditions, measures."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from typing import Any

from agentrl.envs.sql.domains import Column, Entity
from agentrl.envs.sql.nodes import (
    Against,
    Among,
    Attr,
    Between,
    Compare,
    Cond,
    Either,
    Expr,
    Like,
    Measure,
    Missing,
    Related,
    Versus,
)
from agentrl.envs.sql.populate import FIRST_DAY, NUM_DAYS, make_name
from agentrl.envs.sql.schema import Schema

__all__ = ["NUMBERS", "Drawing", "NoQuery"]

Found = tuple[str, Attr, Column]  # entity at the end, attribute, column
NUMBERS = ("int", "real")
"""The kinds of columns that hold numbers."""


class NoQuery(Exception):
    """The schema has nothing that such a question could be asked about."""


class Drawing:
    """Draws parts of a question, and remembers its constants.

    Args:
        rng: Decides.
        schema: What there is.
        split: To which names belong.
    """

    def __init__(self, rng: random.Random, schema: Schema, split: str) -> None:
        self.rng, self.schema, self.split = rng, schema, split
        self.hints: dict[tuple[str, str], list[Any]] = {}

    # -- what there is -------------------------------------------------------------------------------------------

    def table(self, fits: Callable[[Entity], bool] = lambda entity: True) -> str:
        """Draw an entity that fits."""
        name: str = self.one([name for name, entity in self.schema.entities.items() if fits(entity)])
        return name

    def one(self, options: Sequence[Any]) -> Any:
        """Draw one of several, of which there must be some."""
        if not options:
            raise NoQuery
        return self.rng.choice(options)

    def attrs(self, table: str, kinds: Sequence[str], hops: Sequence[int], *, given: bool = False) -> list[Found]:
        """Return the attributes of these kinds at the end of paths of so many references.

        Args:
            table: Where paths begin.
            kinds: Of columns.
            hops: Lengths of paths.
            given: Whether the value must always be there.
        """
        found: list[Found] = []
        waiting: list[tuple[str, tuple[str, ...], bool]] = [(table, (), True)]
        while waiting:
            entity, path, sure = waiting.pop(0)
            for column in self.schema.entities[entity].columns.values():
                always = sure and not column.nullable
                if column.kind == "ref" and len(path) < max(hops):
                    waiting.append((column.target, (*path, column.name), always))
                elif column.kind in kinds and len(path) in hops and (always or not given):
                    found.append((entity, Attr(path=path, column=column.name), column))
        return found

    def attr(self, table: str, kinds: Sequence[str], hops: Sequence[int] = (0,), *, given: bool = False) -> Attr:
        """Draw an attribute."""
        found: Found = self.one(self.attrs(table, kinds, hops, given=given))
        return found[1]

    # -- conditions ----------------------------------------------------------------------------------------------

    def value(self, entity: str, column: Column) -> Any:
        """Draw a constant to compare a column with, and remember it."""
        rng = self.rng
        if column.kind == "name":
            value: Any = make_name(rng, self.split)
        elif column.kind == "one":
            value = rng.choice(column.values)
        elif column.kind == "date":
            value = (FIRST_DAY + datetime.timedelta(days=rng.randrange(NUM_DAYS // 4, 3 * NUM_DAYS // 4))).isoformat()
        elif column.kind == "real":
            value = float(
                rng.randint(column.low + (column.high - column.low) // 4, column.high - (column.high - column.low) // 4)
            )
        else:
            value = rng.randint(
                column.low + (column.high - column.low) // 4, column.high - (column.high - column.low) // 4
            )
        self.hints.setdefault((entity, column.name), []).append(value)
        return value

    def plain(
        self, table: str, hops: Sequence[int] = (0,), kinds: Sequence[str] = ("one", "int", "real", "date", "name")
    ) -> Cond:
        """Draw a comparison with a constant."""
        entity, attr, column = self.one(self.attrs(table, kinds, hops))
        return self.compared(entity, attr, column)

    def compared(self, entity: str, attr: Attr, column: Column) -> Cond:
        """Draw a comparison of an attribute."""
        rng = self.rng
        if column.kind == "one":
            if len(column.values) > 3 and rng.random() < 0.25:
                values = tuple(rng.sample(column.values, 2))
                return Among(expr=attr, values=values)
            return Compare(expr=attr, op="=" if rng.random() < 0.8 else "<>", value=self.value(entity, column))
        if column.kind == "name":
            if rng.random() < 0.5:
                text = make_name(rng, self.split)
                self.hints.setdefault((entity, column.name), []).append(text)
                return Like(expr=attr, at_end=False, text=text[:2])
            return Compare(expr=attr, op="=", value=self.value(entity, column))
        if rng.random() < 0.2:
            low, high = sorted((self.value(entity, column), self.value(entity, column)))
            if low < high:
                return Between(expr=attr, low=low, high=high)
        return Compare(expr=attr, op=rng.choice(("<", "<=", ">", ">=")), value=self.value(entity, column))

    def missing(self, table: str) -> Cond:
        """Draw a question for a value that may be missing."""
        _, attr, _ = self.one([each for each in self.attrs(table, ("int", "real", "date"), (0,)) if each[2].nullable])
        return Missing(expr=attr, missing=self.rng.random() < 0.5)

    def related(self, table: str, *, deep: bool = False) -> Related:
        """Draw a condition on those that refer to a record."""
        child, ref = self.one(self.schema.children(table))
        kinds: list[Cond] = []
        if self.rng.random() < 0.75 or deep:
            kinds.append(self.plain(child.name, (0, 1, 2) if deep else (0, 1), ("one", "int", "date", "real")))
        op, num = self.rng.choice(((">=", 1), (">=", 1), ("=", 0), ("=", 0), (">=", 2), ("=", 1), (">", 1), ("<", 2)))
        return Related(child=child.name, ref=ref.name, where=tuple(kinds), op=op, num=num)

    def against(self, table: str) -> Against:
        """Draw a comparison with all records."""
        value = self.attr(table, NUMBERS, given=True)
        scopes = [attr for _, attr, _ in self.attrs(table, ("one",), (0,), given=True)]
        scope = self.rng.choice(scopes) if scopes and self.rng.random() < 0.6 else None
        kind, op = self.rng.choice((("avg", ">"), ("avg", "<"), ("max", "="), ("min", "=")))
        return Against(expr=value, op=op, kind=kind, scope=scope)  # type: ignore[arg-type]

    def either(self, table: str, hops: Sequence[int]) -> Either:
        """Draw an alternative."""
        return Either(one=self.plain(table, hops), other=self.plain(table, hops, ("one", "int", "date")))

    def versus(self, table: str) -> Versus:
        """Draw a comparison of two values: of a record and its parent of the same kind, or of one record."""
        entity = self.schema.entities[table]
        selves = [column for column in entity.of_kind("ref") if column.target == table]
        if selves:
            ref = self.rng.choice(selves)
            attr = self.attr(table, (*NUMBERS, "date"), given=True)
            return Versus(expr=attr, op=self.rng.choice("<>"), other=Attr(path=(ref.name,), column=attr.column))
        kind = self.one([kind for kind in ("int", "date") if len(entity.of_kind(kind)) > 1])
        one, other = self.rng.sample(entity.of_kind(kind), 2)
        return Versus(expr=Attr(column=one.name), op=self.rng.choice("<>"), other=Attr(column=other.name))

    # -- what is shown -------------------------------------------------------------------------------------------

    def label(self, table: str) -> Attr:
        """Return what a record is called: its name or title, else its key."""
        names = self.schema.entities[table].of_kind("name")
        return Attr(column=names[0].name) if names else Attr(column="id")

    def shown(self, table: str, hops: Sequence[int], num: int) -> tuple[Expr, ...]:
        """Draw columns to show, the key first."""
        others = self.attrs(table, ("name", "one", "int", "date", "real"), hops)
        chosen = [attr for _, attr, _ in self.rng.sample(others, min(num, len(others)))]
        return (Attr(column="id"), *chosen)

    def measure(
        self, table: str, hops: Sequence[int] = (0,), kinds: Sequence[str] = ("sum", "avg", "min", "max")
    ) -> Measure:
        """Draw an aggregate of a number."""
        return Measure(kind=self.rng.choice(kinds), expr=self.attr(table, NUMBERS, hops))  # type: ignore[arg-type]

    def key(self, table: str, hops: Sequence[int], *, given: bool = False) -> Attr:
        """Draw what to group by."""
        return self.attr(table, ("one",), hops, given=given)
