"""The kind text-table: prints tables."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_CELLS = '''
"""Cells of a table."""


def shown(value):
    """Return a value as text: numbers with a comma for thousands, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return "{:,}".format(value)
    if isinstance(value, float):
        return "%.${digits}f" % value
    return str(value)


def padded(text, width, align):
    """Return a text of some width, cut where it is too long."""
    if len(text) > width:
        return text[:width - 1] + "$cut"
    if align == "right":
        return text.rjust(width)
    if align == "middle":
        return text.center(width)
    return text.ljust(width)
'''

_COLUMNS = '''
"""Columns of a table."""

from @cells import shown


def widths(head, rows, most):
    """Return the width of each column: its longest cell, head included, up to some width."""
    out = []
    for at, name in enumerate(head):
        longest = max([len(name)] + [len(shown(row[at])) for row in rows if at < len(row)])
        out.append(min(longest, most))
    return out


def alignment(rows, at):
    """Return right for a column of numbers alone, else left."""
    values = [row[at] for row in rows if at < len(row) and row[at] is not None]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return "right" if values and len(numbers) == len(values) else "left"
'''

_GRID = '''
"""Print tables."""

from @cells import padded, shown
from @columns import alignment, widths


def $table(head, rows, most=$most):
    """Return the lines of a table."""
    sizes = widths(head, rows, most)
    sides = [alignment(rows, at) for at in range(len(head))]
    out = [line([padded(name, size, "middle") for name, size in zip(head, sizes)])]
    out.append("-+-".join("-" * size for size in sizes))
    for row in rows:
        cells = [shown(value) for value in row] + [""] * (len(head) - len(row))
        out.append(line([padded(cell, size, side) for cell, size, side in zip(cells, sizes, sides)]))
    return out


def line(cells):
    """Return one line, without blanks at its end."""
    return " | ".join(cells).rstrip()
'''


def _table(rng: random.Random, params: Params) -> Steps:
    head = rng.sample(["id", "name", "amount due", "ok", "n"], rng.randrange(1, 4))
    makers: list[Callable[[], Any]] = [
        lambda: rng.choice([rng.randrange(-5, 99), rng.randrange(1000, 99999)]),
        lambda: rng.choice(["Ada", "a longer name of all", "B", "thirteen char"]),
        lambda: rng.choice([1.5, 20.25, 3.0]),
        lambda: rng.random() < 0.5,
        lambda: rng.choice([None, 7, "x"]),
    ]
    kinds = [rng.choice(makers) for _ in head]
    rows = [[make() for make in kinds][: rng.choice([len(head), len(head), 1])] for _ in range(rng.randrange(0, 4))]
    return [(f"textgrid:{params['table']}", [head, rows, *([rng.randrange(4, 12)] if rng.random() < 0.4 else [])])]


KIND = Kind(
    name="text-table",
    about="Prints tables.",
    modules={"cells": _CELLS, "columns": _COLUMNS, "textgrid": _GRID},
    case=_table,
    packages=("tabular", "printer", "colprint"),
    choices={"table": ("table", "lines_of"), "digits": ("1", "2"), "cut": ("~", "."), "most": ("12", "16")},
    bugs=(
        Bug(
            name="thousands",
            module="cells",
            old='"{:,}".format(value)',
            new="str(value)",
            report="Large whole numbers are printed without commas.",
        ),
        Bug(
            name="cut",
            module="cells",
            old='text[:width - 1] + "$cut"',
            new='text[:width] + "$cut"',
            report="Columns with long texts are not straight.",
        ),
        Bug(
            name="truth",
            module="cells",
            old='    if isinstance(value, bool):\n        return "yes" if value else "no"\n    if isinstance(value, '
            "int):\n",
            new="    if isinstance(value, int):\n",
            report="Truth values are to be printed as yes and no.",
            feature=True,
        ),
        Bug(
            name="none",
            module="columns",
            old=" and row[at] is not None]",
            new="]",
            report="A column of numbers with a gap in it is not aligned to the right.",
        ),
        Bug(
            name="head",
            module="columns",
            old="max([len(name)] + [len(shown",
            new="max([1] + [len(shown",
            report="Names of columns are cut although there would be room for them.",
        ),
        Bug(
            name="short-rows",
            module="textgrid",
            old=' + [""] * (len(head) - len(row))',
            new="",
            report="Rows with missing cells are printed without the columns that follow.",
        ),
    ),
)
"""Prints tables."""
