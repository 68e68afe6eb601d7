"""`AgentRL/Minesweeper-v0`: open every cell that holds no mine; each board can be opened without guessing.

The first opening is given. A board is kept where `deduction.py` opens all of it from there: by single numbers at
levels 1 and 2, and from level 3 only by comparing several. One that can be opened row by row is not kept.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted, split_of
from agentrl.envs.games.deduction import around, deduced, opened
from agentrl.envs.protocol import Policy

__all__ = ["MinesweeperEnv"]

# Level -> cells up and across, mines, whether constraints must be compared.
_LEVELS = {1: (5, 4, False), 2: (6, 6, False), 3: (7, 10, True), 4: (8, 13, True), 5: (9, 19, True)}
_LETTERS = "ABCDEFGHI"
_CELL = re.compile(r"([A-I])([1-9])")
_ROW = re.compile(r"^[1-9]((?: [.0-8])+)$", re.MULTILINE)
_MINES = re.compile(r"([0-9]+) mines")


class MinesweeperEnv(GameEnv):
    """Minesweeper: 5 by 5 cells with 4 mines at level 1, 9 by 9 with 19 at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_size", "_mines", "_open", "_first", "_limit")
    most_turns: ClassVar[int] = 64
    example = "B3"
    system = (
        "Minesweeper. Open every cell that holds no mine; opening a mine loses. A number says how many of the up to "
        "eight neighbours are mines, . is a closed cell. No guess is needed. Write a column and a row as your move, "
        "one cell a turn, for example <answer>B3</answer>."
    )
    _size, _mines, _open, _first, _limit = 1, 0, 0, 0, 0

    @property
    def limit(self) -> int:
        """The cells that were left to open, and three."""
        return self._limit

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a board of the split that can be opened without guessing."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        size, num_mines, is_hard = _LEVELS[level]
        near = around(size, size)
        while True:
            start = generator.randrange(size * size)
            free = [cell for cell in range(size * size) if cell != start and not near[start] >> cell & 1]
            mines = sum(1 << cell for cell in generator.sample(free, num_mines))
            begun = opened(mines, 0, start, near)
            # Neither the board nor what is seen of it first is shared by the splits, however it is turned.
            shown = [(near[cell] & mines).bit_count() if begun >> cell & 1 else -1 for cell in range(size * size)]
            if any(split_of(_canonical(cells, size)) != split for cells in (_bits(mines, size), shown)):
                continue
            if not _fits(mines, begun, num_mines, near, is_hard=is_hard):
                continue
            self._size, self._mines, self._open, self._first = size, mines, begun, begun
            self._limit = size * size - num_mines - begun.bit_count() + 3
            return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return the board after the first opening."""
        return f"{self._mines.bit_count()} mines.\n{self._show()}"

    def play(self, move: str) -> Played:
        """Open a cell."""
        match = _CELL.fullmatch(move.upper())
        if not match or (match[1] not in _LETTERS[: self._size] or int(match[2]) > self._size):
            last = f"{_LETTERS[self._size - 1]}{self._size}"
            raise IllegalMove(f"{quoted(move)} is no cell; write one from A1 to {last}.")
        cell = (int(match[2]) - 1) * self._size + _LETTERS.index(match[1])
        if self._open >> cell & 1:
            raise IllegalMove(f"{match[0]} is open already.")
        if self._mines >> cell & 1:
            return Played(text=f"{match[0]} was a mine.", is_over=True)
        self._open = opened(self._mines, self._open, cell, around(self._size, self._size))
        is_won = self._open.bit_count() + self._mines.bit_count() == self._size**2
        return Played(text=self._show(), is_over=is_won, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return the closed cells."""
        return [_name(cell, self._size) for cell in range(self._size**2) if not self._open >> cell & 1]

    def progress(self) -> float:
        """Return the share of cells opened of those that were left."""
        left = self._size**2 - (self._mines | self._first).bit_count()
        return (self._open ^ self._first).bit_count() / left if left else 0.0

    def oracle(self) -> Policy:
        """Return a policy that opens what must be safe, and guesses only where nothing follows."""
        num_mines, queue = 0, [""]

        def play(observation: str, info: dict[str, Any]) -> str:
            nonlocal num_mines
            said = _MINES.search(observation)
            num_mines = int(said[1]) if said else num_mines
            rows = [row.split() for row in _ROW.findall(observation)]
            if not rows:
                return moved(queue[0])
            cells, size = [cell for row in rows for cell in row], len(rows)
            seen = sum(1 << place for place, cell in enumerate(cells) if cell != ".")
            numbers = [(place, int(cell)) for place, cell in enumerate(cells) if cell != "."]
            safe = deduced(seen, numbers, num_mines, around(size, size)) or ~seen & (1 << size * size) - 1
            queue[0] = _name((safe & -safe).bit_length() - 1, size)
            return moved(queue[0])

        return play

    def cheats(self) -> dict[str, Policy]:
        """Return the known ways to win without thinking."""
        return super().cheats() | {"row by row": self._scan(1), "row by row, from the end": self._scan(-1)}

    def _scan(self, order: int) -> Policy:
        return lambda observation, info: moved(self.legal()[::order][0]) if self.legal() else ""

    def _show(self) -> str:
        near, size = around(self._size, self._size), self._size
        rows = ["  " + " ".join(_LETTERS[:size])]
        for row in range(size):
            cells = [row * size + column for column in range(size)]
            marks = [str((near[each] & self._mines).bit_count()) if self._open >> each & 1 else "." for each in cells]
            rows.append(f"{row + 1} {' '.join(marks)}")
        return "\n".join(rows)


def _fits(mines: int, begun: int, num_mines: int, near: Sequence[int], *, is_hard: bool) -> bool:
    """Whether a board can be opened by deduction, and by nothing less."""
    everything = (1 << len(near)) - 1
    closed = [cell for cell in range(len(near)) if not (begun | mines) >> cell & 1]
    if len(closed) < 3 or any(opened(mines, begun, cell, near) | mines == everything for cell in closed):
        return False
    hidden = [cell for cell in range(len(near)) if not begun >> cell & 1]
    if any(not any(mines >> cell & 1 for cell in order[:-num_mines]) for order in (hidden, hidden[::-1])):
        return False  # all mines come last: row by row would do
    return _solved(mines, begun, num_mines, near, pairs=is_hard) and not (
        is_hard and _solved(mines, begun, num_mines, near, pairs=False)
    )


def _solved(mines: int, seen: int, num_mines: int, near: Sequence[int], *, pairs: bool) -> bool:
    everything = (1 << len(near)) - 1
    while seen | mines != everything:
        numbers = [(cell, (near[cell] & mines).bit_count()) for cell in range(len(near)) if seen >> cell & 1]
        safe = deduced(seen, numbers, num_mines, near, pairs=False)
        safe = safe or (deduced(seen, numbers, num_mines, near) if pairs else 0)
        if not safe:
            return False
        while safe:
            low = safe & -safe
            seen = opened(mines, seen, low.bit_length() - 1, near)
            safe &= ~seen
    return True


def _name(cell: int, size: int) -> str:
    return f"{_LETTERS[cell % size]}{cell // size + 1}"


def _bits(mines: int, size: int) -> list[int]:
    return [mines >> cell & 1 for cell in range(size * size)]


def _canonical(cells: Sequence[int], size: int) -> str:
    """Return what a board has in common with the seven others that turning and mirroring make of it."""
    return str(min(turn(cells) for turn in _turns(size)))


@lru_cache(maxsize=8)
def _turns(size: int) -> Sequence[itemgetter[Any]]:
    """Return what reads the cells of a board as they lie after each turning and mirroring."""
    rows = [list(range(row * size, (row + 1) * size)) for row in range(size)]
    found = []
    for _ in range(4):
        rows = [list(column) for column in zip(*rows[::-1], strict=True)]
        found += [itemgetter(*chain(*rows)), itemgetter(*chain(*(row[::-1] for row in rows)))]
    return found
