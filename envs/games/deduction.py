"""What follows about mines from the numbers that are seen, without guessing.

A constraint is a set of cells, a bit each, and how many mines are among them. From one constraint follows that all of
its cells are safe, or all are mines; from two of which one lies in the other, a third about the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = ["around", "deduced", "opened"]


@lru_cache(maxsize=64)
def around(height: int, width: int) -> Sequence[int]:
    """Return the neighbours of each cell, a bit each; cells are numbered row by row."""
    found = []
    for cell in range(height * width):
        row, column = divmod(cell, width)
        near = [
            other_row * width + other_column
            for other_row in range(max(0, row - 1), min(height, row + 2))
            for other_column in range(max(0, column - 1), min(width, column + 2))
        ]
        found.append(sum(1 << other for other in near if other != cell))
    return found


def opened(mines: int, seen: int, cell: int, neighbours: Sequence[int]) -> int:
    """Return what is open after a safe cell was opened: with a 0 its neighbours, and so on."""
    waiting = [cell]
    while waiting:
        each = waiting.pop()
        if seen >> each & 1:
            continue
        seen |= 1 << each
        if not neighbours[each] & mines:
            near = neighbours[each] & ~seen
            while near:
                low = near & -near
                waiting.append(low.bit_length() - 1)
                near ^= low
    return seen


def deduced(
    seen: int, numbers: Iterable[tuple[int, int]], num_mines: int, neighbours: Sequence[int], *, pairs: bool = True
) -> int:
    """Return the cells that must be safe, a bit each, as soon as there are some; 0 where nothing follows.

    Args:
        seen: The open cells.
        numbers: Open cells, each with its number.
        num_mines: Of the whole board.
        neighbours: As of `around`.
        pairs: Whether constraints are compared with each other, and the number of all mines is used.
    """
    mines = safe = 0
    hidden = (1 << len(neighbours)) - 1 & ~seen
    known = {(neighbours[cell] & hidden, number) for cell, number in numbers if neighbours[cell] & hidden}
    if pairs:
        known.add((hidden, num_mines))
    while True:
        reduced: set[tuple[int, int]] = set()
        before = mines
        for cells, number in known:
            left, rest = number - (cells & mines).bit_count(), cells & ~mines & ~safe
            if left == 0:
                safe |= rest
            elif left == rest.bit_count():
                mines |= rest
            elif rest:
                reduced.add((rest, left))
        if safe:
            return safe
        if mines != before:
            known = reduced
            continue
        if not pairs:
            return 0
        new = _differences(reduced)
        if new <= reduced or len(reduced) > 600:
            return 0
        known = reduced | new


def _differences(known: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return what follows from pairs of which one lies in the other."""
    ordered = sorted(known, key=lambda each: (each[0].bit_count(), each))
    found = set()
    for place, (small, few) in enumerate(ordered):
        for large, many in ordered[place + 1 :]:
            if small & large == small and small != large:
                found.add((large & ~small, many - few))
    return found
