"""`AgentRL/ConnectFour-v0`: four in a row, from positions in which the player to move can force a win.

A task is a position of `positions.txt`, of which a search has proved how soon the player to move wins, or its mirror
image. In self-play it is the first moves of a game, in which nothing is decided.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from agentrl.envs.games.base import IllegalMove, moved, quoted, split_of
from agentrl.envs.games.bitboard import (
    COLUMNS,
    HEIGHT,
    ROWS,
    canonical,
    columns,
    drop,
    has_four,
    mirrored,
    scores,
    value,
)
from agentrl.envs.games.duel import DuelEnv
from agentrl.envs.games.positions import positions
from agentrl.envs.protocol import Policy

__all__ = ["Board", "ConnectFourEnv"]

_LOOKS = {1: 2, 2: 2, 3: 3, 4: 5, 5: 7}  # level -> plies that the engine looks ahead
_ROW = re.compile(r"^([1-6]) ([.XO](?: [.XO]){6})$", re.MULTILINE)
_NAME = re.compile(r"You are ([XO])")
_CELLS = [  # name of a row, and the bits of its cells; the top row first
    (row + 1, [1 << column * HEIGHT + row for column in range(COLUMNS)]) for row in reversed(range(ROWS))
]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A position: the stones of seat 0 and of seat 1, and which of them began the game."""

    stones: tuple[int, int]
    first: int  # the seat that plays X


class ConnectFourEnv(DuelEnv[Board]):
    """Connect-4 against an engine that looks ahead as far as the level says; see DuelEnv.

    Positions are won in two moves of the player at level 1, three at 2 and 3, four at 4 and 5; at 3 and 5 more cells
    are free. The engine misses no win and no threat in one move; from level 3 it looks further, at 5 seven plies.
    """

    most_turns: ClassVar[int] = 24  # half of the cells, and three to spare
    example = "4"
    system = (
        "Connect four. Players in turn drop a stone into a column, 1 to 7; it falls to the lowest free cell. Whoever "
        "has four in a row first, across, up or diagonally, wins. Write a column as your move, one move a turn, for "
        "example <answer>4</answer>."
    )

    def draw(self, rng: random.Random, split: str, level: int) -> Board:
        """Draw a position that is won in as many plies as the level says; for self-play, one that is open."""
        if self._other != "self":
            mine, theirs = rng.choice(positions(level, split))
            stones = (mirrored(mine), mirrored(theirs)) if rng.random() < 0.5 else (mine, theirs)
            return Board(stones=stones, first=rng.randrange(2))
        while True:
            found = _begun(rng)
            if found is not None and split_of(canonical(*found.stones)) == split:
                return found

    def read(self, position: Board, text: str) -> int:
        """Return the column, from 0."""
        if not re.fullmatch(r"[1-7]", text):
            raise IllegalMove(
                f"{quoted(text)} is no column; write a number from 1 to 7, such as {moved(self.example)}."
            )
        column = int(text) - 1
        if column not in columns(_taken(position)):
            raise IllegalMove(f"column {text} is full; there is room in {', '.join(self.legal())}.")
        return column

    def moves(self, position: Board) -> Sequence[int]:
        """Return the columns with room."""
        return sorted(columns(_taken(position)))

    def written(self, position: Board, move: int) -> str:
        """Return the column, from 1."""
        return str(move + 1)

    def after(self, position: Board, move: int, seat: int) -> Board:
        """Return the board after a stone has fallen."""
        return _after(position, move, seat)

    def winner(self, position: Board, seat: int) -> int | None:
        """Return who has four in a row, -1 where the board is full."""
        if has_four(position.stones[seat]):
            return seat
        return None if columns(_taken(position)) else -1

    def show(self, position: Board, seat: int) -> str:
        """Return the board, the top row first."""
        mine, theirs = ("X", "O") if seat == position.first else ("O", "X")
        own, other = position.stones[seat], position.stones[1 - seat]
        rows = [
            f"{name} {' '.join([mine if own & cell else theirs if other & cell else '.' for cell in cells])}"
            for name, cells in _CELLS
        ]
        return "\n".join([*rows, "  1 2 3 4 5 6 7", f"You are {mine}."])

    def told(self, position: Board, move: int) -> str:
        """Return where a stone was dropped."""
        return f"dropped a stone into {move + 1}"

    def engine(self, position: Board, seat: int, rng: random.Random) -> int:
        """Return a column: a win, else what meets a threat, else the best that the engine sees, by chance."""
        return _engine_move(position, seat, _LOOKS[self._strength], rng)

    def longest(self, position: Board) -> int:
        """Return half of the free cells, rounded up."""
        return (COLUMNS * ROWS + 1 - _taken(position).bit_count()) // 2

    def oracle(self) -> Policy:
        """Return a policy that reads the board and looks seven plies ahead."""
        board: tuple[int, int] | None = None

        def play(observation: str, info: dict[str, Any]) -> str:
            nonlocal board
            board = _seen(observation) or board
            if board is None:
                return "There is no board."
            for depth in (1, 3, 5, 7):  # the soonest win
                found = scores(*board, depth)
                best = max(found, key=found.__getitem__)
                if found[best] > 0:
                    break
            return moved(str(best + 1))

        return play


def _engine_move(board: Board, seat: int, depth: int, rng: random.Random) -> int:
    mine, theirs = board.stones[seat], board.stones[1 - seat]
    taken, found = mine | theirs, scores(mine, theirs, depth)
    best = max(found.values())
    likely = [column for column, score in sorted(found.items()) if score == best]
    if best < 0:  # lost whatever it does; it still meets a threat, so that nobody wins by a threat not looked at
        likely = [column for column in likely if has_four(theirs | drop(taken, column))] or likely
    return rng.choice(likely)


def _begun(rng: random.Random) -> Board | None:
    """Return the first moves of a game, in which nobody can force a win soon; seat 0 is to move."""
    num_plies, stones = 2 * rng.randrange(1, 4), [0, 0]
    for ply in range(num_plies):
        taken = stones[0] | stones[1]
        stones[ply % 2] |= drop(taken, rng.choice(columns(taken)))
    mine, theirs = stones
    # With two stones each nobody can; and any move that does not lose is proof enough, so that the bound is 0.
    if num_plies > 4 and value(mine, theirs, 2, beta=0) != 0:
        return None
    return Board(stones=(mine, theirs), first=0)


def _seen(observation: str) -> tuple[int, int] | None:
    """Return my stones and the other's, as an observation shows them."""
    rows, name = dict(_ROW.findall(observation)), _NAME.search(observation)
    if len(rows) != ROWS or not name:
        return None
    found = {"X": 0, "O": 0, ".": 0}
    for row, cells in rows.items():
        for column, cell in enumerate(cells.split()):
            found[cell] |= 1 << column * HEIGHT + int(row) - 1
    return found[name[1]], found["O" if name[1] == "X" else "X"]


def _after(board: Board, column: int, seat: int) -> Board:
    stones = list(board.stones)
    stones[seat] |= drop(_taken(board), column)
    return Board(stones=(stones[0], stones[1]), first=board.first)


def _taken(board: Board) -> int:
    return board.stones[0] | board.stones[1]
