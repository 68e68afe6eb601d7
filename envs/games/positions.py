"""Positions of Connect-4 in which the player to move can force a win, and how they were found.

`positions.txt` holds a line each: plies to the win, stones of the player to move, stones of the other, in hexadecimal.
`python -m agentrl.envs.games.positions FILE` writes the same bytes again, in some minutes: games between two players
that miss no win and no threat in one move are taken back by three, five or seven plies, and kept where a search proves
that the player to move wins then and not sooner. Left out is what can be won by one column, said again and again.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agentrl.envs.games.base import split_of
from agentrl.envs.games.bitboard import COLUMNS, ROWS, WON, canonical, columns, drop, has_four, value

__all__ = ["Stones", "found", "positions", "wins_by_one"]

Stones = tuple[int, int]
"""Those of the player to move, and those of the other."""

_FILE = Path(__file__).with_name("positions.txt")
# Level -> plies to the win, and whether many cells are free; None: either.
_LEVELS: Mapping[int, tuple[int, bool | None]] = {
    1: (3, None),
    2: (5, False),
    3: (5, True),
    4: (7, False),
    5: (7, True),
}
_FREE = 16  # cells; with more a position counts as open
_WANTED: Mapping[tuple[int, bool | None], int] = dict.fromkeys(
    [(3, False), (3, True), (5, False), (5, True), (7, None)], 600
)


@lru_cache(maxsize=10)
def positions(level: int, split: str) -> Sequence[Stones]:
    """Return the positions of a level and split, read once."""
    plies, is_open = _LEVELS[level]
    return [
        stones
        for number, stones in _read()
        if number == plies and is_open in (None, _is_open(stones)) and split_of(canonical(*stones)) == split
    ]


def found(rng: random.Random) -> Iterator[tuple[int, Stones]]:
    """Yield plies and positions without end; each is proven."""
    while True:
        game = _game(rng)
        for plies in (3, 5, 7):
            if len(game) <= plies + 4 or not has_four(game[-1][1]):
                break
            mine, theirs = stones = game[-1 - plies]
            if value(mine, theirs, plies) != WON - plies:
                break  # a longer win from further back is rare then
            if not any(wins_by_one(mine, theirs, each) for each in range(COLUMNS)):
                yield plies, stones


def wins_by_one(mine: int, theirs: int, column: int) -> bool:
    """Return whether one column, said again and again, may win against an opponent that meets threats in one move."""
    taken = mine | theirs
    if column not in columns(taken):
        return False
    mine |= drop(taken, column)
    if has_four(mine):
        return True
    taken = mine | theirs
    cells = [drop(taken, each) for each in columns(taken)]
    if any(has_four(theirs | cell) for cell in cells):
        return False
    threats = [cell for cell in cells if has_four(mine | cell)]
    return any(wins_by_one(mine, theirs | cell, column) for cell in threats or cells)


def _game(rng: random.Random) -> list[Stones]:
    """Return the positions of a game, each as the player to move has it; both see one move ahead."""
    game = [(0, 0)]
    while True:
        mine, theirs = game[-1]
        free = columns(mine | theirs)
        if not free or has_four(theirs):
            return game
        cells = {column: drop(mine | theirs, column) for column in free}
        wins = [column for column in free if has_four(mine | cells[column])]
        threats = [column for column in free if has_four(theirs | cells[column])]
        game.append((theirs, mine | cells[rng.choice(wins or threats or free)]))


def _is_open(stones: Stones) -> bool:
    return COLUMNS * ROWS - (stones[0] | stones[1]).bit_count() > _FREE


@lru_cache(maxsize=1)
def _read() -> Sequence[tuple[int, Stones]]:
    rows = (line.split() for line in _FILE.read_text(encoding="ascii").splitlines())
    return [(int(plies), (int(mine, 16), int(theirs, 16))) for plies, mine, theirs in rows]


def _write(path: Path) -> None:
    wanted, lines = dict(_WANTED), []
    seen: set[str] = set()
    for plies, stones in found(random.Random(0)):
        kind, name = (plies, None if plies == 7 else _is_open(stones)), canonical(*stones)
        if wanted[kind] and name not in seen:
            wanted[kind] -= 1
            seen.add(name)
            lines.append(f"{plies} {stones[0]:x} {stones[1]:x}\n")
        if not any(wanted.values()):
            break
    path.write_text("".join(sorted(lines)), encoding="ascii")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
