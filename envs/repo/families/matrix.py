"""The kind matrix: matrices of whole numbers."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_SHAPE = '''
"""Shapes of tables of numbers."""


def shape(rows):
    """Return the number of rows and columns."""
    if not rows:
        return 0, 0
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise ValueError("rows of different lengths")
    return len(rows), width


def transposed(rows):
    """Return rows and columns changed for each other."""
    return [list(column) for column in zip(*rows)]


def without(rows, row, column):
    """Return the rows without one row and one column."""
    return [line[:column] + line[column + 1:] for at, line in enumerate(rows) if at != row]
'''

_PRODUCTS = '''
"""Sums and products."""

from @shape import shape, transposed


def added(one, other):
    """Return the sum of two matrices of one shape."""
    if shape(one) != shape(other):
        raise ValueError("different shapes")
    return [[a + b for a, b in zip(left, right)] for left, right in zip(one, other)]


def dot(left, right):
    """Return the sum of products."""
    return sum(a * b for a, b in zip(left, right))


def multiplied(one, other):
    """Return the product of two matrices."""
    if shape(one)[1] != shape(other)[0]:
        raise ValueError("shapes do not fit")
    columns = transposed(other)
    return [[dot(row, column) for column in columns] for row in one]
'''

_MATRIX = '''
"""Matrices."""

from @products import added, multiplied
from @shape import shape, transposed, without


class $cls:
    """A table of numbers to calculate with; calculations change it."""

    def __init__(self, rows):
        self.shape = shape(rows)
        self.rows = [list(row) for row in rows]

    def $plus(self, rows):
        """Add a matrix; return the rows."""
        return self._become(added(self.rows, rows))

    def $times(self, other):
        """Multiply by a matrix or a number; return the rows."""
        if isinstance(other, list):
            return self._become(multiplied(self.rows, other))
        return self._become([[value * other for value in row] for row in self.rows])

    def flip(self):
        """Change rows and columns for each other; return the rows."""
        return self._become(transposed(self.rows))

    def power(self, exponent):
        """Multiply by itself; the power of 0 is the identity."""
        if self.shape[0] != self.shape[1] or exponent < 0:
            raise ValueError("no such power")
        out = [[int(a == b) for b in range(self.shape[0])] for a in range(self.shape[0])]
        for _ in range(exponent):
            out = multiplied(out, self.rows)
        return self._become(out)

    def determinant(self):
        """Return the determinant."""
        if self.shape[0] != self.shape[1]:
            raise ValueError("not square")
        return _determinant(self.rows)

    def trace(self):
        """Return the sum of the diagonal."""
        return sum(self.rows[at][at] for at in range(min(self.shape)))

    def _become(self, rows):
        self.rows = rows
        self.shape = shape(rows)
        return rows


def _determinant(rows):
    if not rows:
        return 1
    return sum((-1) ** at * value * _determinant(without(rows, 0, at)) for at, value in enumerate(rows[0]) if value)
'''


def _matrix(rng: random.Random, params: Params) -> Steps:
    def rows(height: int, width: int) -> list[list[int]]:
        return [[rng.randrange(-4, 6) for _ in range(width)] for _ in range(height)]

    height, width = rng.randrange(1, 4), rng.randrange(1, 4)
    if rng.random() < 0.5:
        width = height
    steps: Steps = [(f"matrix:{params['cls']}=", [rows(height, width)])]
    for _ in range(rng.randrange(1, 4)):
        there: Steps = [
            (f".{params['plus']}", [rows(height, width)]),
            (f".{params['times']}", [rows(width, rng.randrange(1, 4))]),
            (f".{params['times']}", [rng.randrange(-2, 4)]),
            (".flip", []),
            (".power", [rng.randrange(-1, 4)]),
        ]
        steps.append(rng.choice(there))
    return [*steps, (".determinant", []), (".trace", []), (".shape!", [])]


KIND = Kind(
    name="matrix",
    about="Matrices of whole numbers.",
    modules={"shape": _SHAPE, "products": _PRODUCTS, "matrix": _MATRIX},
    case=_matrix,
    packages=("linear", "tables_math", "grids"),
    choices={"cls": ("Matrix", "Table"), "plus": ("add", "plus"), "times": ("multiply", "times")},
    bugs=(
        Bug(
            name="minor",
            module="shape",
            old="line[:column] + line[column + 1:]",
            new="line[:column] + line[column:][:0] + line[column + 1:][:1]",
            report="Determinants of larger matrices are wrong.",
        ),
        Bug(
            name="ragged",
            module="shape",
            old="    if not rows:\n        return 0, 0\n    width = len(rows[0])",
            new="    if not rows:\n        return 0, 0\n    width = len(rows)",
            report="Matrices that are not square cannot be made.",
        ),
        Bug(
            name="columns",
            module="products",
            old="columns = transposed(other)",
            new="columns = transposed(other) if len(other) != len(other[0]) else other",
            report="Some products of matrices are wrong.",
        ),
        Bug(
            name="added-shape",
            module="products",
            old='    if shape(one) != shape(other):\n        raise ValueError("different shapes")\n',
            new="",
            report="Adding a matrix of another shape should be an error, but something is cut off.",
        ),
        Bug(
            name="identity",
            module="matrix",
            old="out = multiplied(out, self.rows)",
            new="out = multiplied(out, out if _ else self.rows)",
            report="Higher powers are wrong.",
        ),
        Bug(
            name="shape-after",
            module="matrix",
            old="        self.rows = rows\n        self.shape = shape(rows)\n        return rows",
            new="        self.rows = rows\n        return rows",
            report="After a calculation the shape is still the old one.",
        ),
    ),
)
"""Matrices of whole numbers."""
