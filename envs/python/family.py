"""A family of questions: how its data and parameters are drawn, how it is asked, the truth, and a cell that finds it.

The truth is computed here, from the rows as they were drawn and before any file is written; the cell computes it again,
from the files, inside a box. Tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from string import Template
from typing import Any, TypeVar

from agentrl.envs.python.answers import Answer
from agentrl.envs.python.files import Paper, Table
from agentrl.envs.python.words import Draw

__all__ = ["Case", "Family", "Row", "World", "grouped", "mean", "ranked", "size", "top"]

Row = dict[str, Any]
K = TypeVar("K")
N = TypeVar("N", int, Fraction)

_SIZES = {1: (9, 12), 2: (220, 320), 3: (350, 500), 4: (700, 1000), 5: (1800, 2400)}


@dataclass(frozen=True, kw_only=True)
class World:
    """The data of one task, before any file is written."""

    tables: tuple[Table, ...] = ()  # what is written as rows
    papers: tuple[Paper, ...] = ()  # what has another form

    @property
    def sources(self) -> list[Table | Paper]:
        """All that the data are written as."""
        return [*self.tables, *self.papers]

    def __getitem__(self, name: str) -> Sequence[Row]:
        return next(each.rows for each in self.sources if each.name == name)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question of a family about one world."""

    params: Mapping[str, Any]  # `$name` in the wordings and, as Python writes it, in the cell
    answer: Answer
    exact: Fraction | None = None  # a number before it was rounded


@dataclass(frozen=True, kw_only=True)
class Family:
    """Say how tasks of one kind are drawn, asked and solved."""

    name: str  # short-words-with-hyphens, unique
    levels: tuple[int, ...]  # of 1 to 5: where it is asked
    world: Callable[[Draw], World]  # draws the data of the level
    ask: Callable[[Draw, World], Case | None]  # draws the parameters, computes the truth; None: it has none here
    train: tuple[str, ...]  # wordings of a split, filled with the parameters
    test: tuple[str, ...]
    cell: str  # computes the answer from the names that the loaders give, and prints it

    def wording(self, draw: Draw, params: Mapping[str, Any]) -> str:
        """Return the question in a wording of the split."""
        return Template(draw.wording(self.train, self.test)).substitute(params)

    def source(self, params: Mapping[str, Any]) -> str:
        """Return the cell with its parameters in their places."""
        return Template(self.cell).substitute({name: repr(value) for name, value in params.items()}).strip()


def size(draw: Draw) -> int:
    """Draw the number of rows that a level's main file has."""
    return draw.whole(*_SIZES[draw.level])


def grouped(rows: Iterable[Row], key: Callable[[Row], K], value: Callable[[Row], N]) -> dict[K, list[N]]:
    """Return the values of the rows by their key."""
    found: dict[K, list[N]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(value(row))
    return found


def mean(values: Iterable[int | Fraction]) -> Fraction:
    """Return the exact mean of at least one value."""
    given = list(values)
    return Fraction(sum(given, Fraction(0))) / len(given)


def ranked(figures: Mapping[K, int] | Mapping[K, Fraction], num: int) -> list[K] | None:
    """Return the keys of the `num` largest figures, the largest first; None where two of them cannot be told apart."""
    order = sorted(figures, key=lambda key: figures[key], reverse=True)[: num + 1]
    values = [Fraction(figures[key]) for key in order]
    near = any(abs(left - right) * 10**6 <= abs(left) for left, right in pairwise(values))
    return None if near or len(order) < num else order[:num]


def top(figures: Mapping[K, int] | Mapping[K, Fraction]) -> K | None:
    """Return the key of the largest figure; None where there is no such one."""
    order = ranked(figures, 1)
    return order[0] if order else None
