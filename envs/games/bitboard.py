"""Connect-4 on bitboards: each player's stones as one integer, and a search by alpha and beta.

A column takes seven bits, six for its cells from below and one that stays empty, so that a row of four is found by
shifts; the layout is that of John Tromp's programs for the game. Scores are seen from the player to move.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "COLUMNS",
    "HEIGHT",
    "ROWS",
    "WON",
    "canonical",
    "columns",
    "drop",
    "has_four",
    "mirrored",
    "scores",
    "value",
]

COLUMNS, ROWS = 7, 6
WON = 1000  # less the plies that it takes
HEIGHT = ROWS + 1  # bits a column
_ORDER = (3, 2, 4, 1, 5, 0, 6)  # the middle first
_BOTTOM = sum(1 << column * HEIGHT for column in range(COLUMNS))
_TOPS = tuple(1 << column * HEIGHT + ROWS - 1 for column in range(COLUMNS))
_MASKS = tuple(((1 << ROWS) - 1) << column * HEIGHT for column in range(COLUMNS))
_FULL = sum(_MASKS)


def has_four(stones: int) -> bool:
    """Return whether four stones are in a row."""
    for shift in (1, HEIGHT, HEIGHT - 1, HEIGHT + 1):
        pairs = stones & stones >> shift
        if pairs & pairs >> 2 * shift:
            return True
    return False


def columns(taken: int) -> list[int]:
    """Return the columns with room, those in the middle first."""
    return [column for column in _ORDER if not taken & _TOPS[column]]


def drop(taken: int, column: int) -> int:
    """Return the bit of the cell into which a stone falls."""
    return (taken + (1 << column * HEIGHT)) & _MASKS[column]


def mirrored(stones: int) -> int:
    """Return stones with left and right exchanged."""
    cells = (stones >> column * HEIGHT & (1 << ROWS) - 1 for column in range(COLUMNS))
    return sum(cell << (COLUMNS - 1 - column) * HEIGHT for column, cell in enumerate(cells))


def canonical(mine: int, theirs: int) -> str:
    """Return what a position and its mirror image have in common."""
    return "{:x} {:x}".format(*min((mine, theirs), (mirrored(mine), mirrored(theirs))))


def value(mine: int, theirs: int, depth: int, alpha: int = -WON, beta: int = WON) -> int:
    """Return the score of a position, looking `depth` plies ahead.

    Args:
        mine: Stones of the player to move.
        theirs: Stones of the other, who has no four in a row.
        depth: Plies; beyond them a position counts as even.
        alpha: The score that the player has already elsewhere.
        beta: The score that the other would not allow.

    Returns:
        `WON` less the plies to the end for a win, the negative for a loss, 0 for even.
    """
    taken = mine | theirs
    if depth == 0 or taken == _FULL:
        return 0
    open_cells = (taken + _BOTTOM) & _FULL
    if _wins(mine, open_cells):
        return WON - 1
    if depth == 1:
        return 0
    must = _winning(theirs, open_cells)
    if must & (must - 1):
        return 2 - WON if depth > 1 else 0  # two threats cannot both be met
    best = -WON
    for cell in [must] if must else _cells(open_cells):
        found = -value(theirs, mine | cell, depth - 1, -beta, -alpha)
        found -= (found > 0) - (found < 0)
        if found > best:
            best = found
            if best >= beta:
                break
            alpha = max(alpha, best)
    return best


def scores(mine: int, theirs: int, depth: int) -> dict[int, int]:
    """Return the score of every move, by column, looking `depth` plies ahead, the move included."""
    taken = mine | theirs
    found = {}
    for column in columns(taken):
        after = mine | drop(taken, column)
        if has_four(after):
            found[column] = WON - 1
            continue
        score = -value(theirs, after, depth - 1)
        found[column] = score - ((score > 0) - (score < 0))
    return found


def _wins(stones: int, open_cells: int) -> bool:
    return any(has_four(stones | cell) for cell in _cells(open_cells))


def _winning(stones: int, open_cells: int) -> int:
    """Return the cells that make four of these stones."""
    found = 0
    for cell in _cells(open_cells):
        if has_four(stones | cell):
            found |= cell
    return found


def _cells(open_cells: int) -> Iterator[int]:
    for column in _ORDER:
        cell = open_cells & _MASKS[column]
        if cell:
            yield cell
