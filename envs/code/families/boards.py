"""Families over a board of numbers or marks: weigh, turn, drop, fill, and find the quickest way.

A board is a list of rows of equal length; it has at least one row and one column unless the statement says otherwise.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_MARKS = "#*+@%&=~!?oxTVWX"


def _numbers(rng: random.Random, low: int, high: int, most: int = 5) -> list[list[int]]:
    width = rng.randint(1, most)
    return [[rng.randint(low, high) for _ in range(width)] for _ in range(rng.randint(1, most))]


def _marked(rng: random.Random, letters: str, most: int = 6) -> list[str]:
    width = rng.randint(1, most)
    return ["".join(rng.choice(letters) for _ in range(width)) for _ in range(rng.randint(1, most))]


def _pair(one: str, two: str, rng: random.Random) -> dict[str, Any]:
    return dict(zip((one, two), rng.sample(_MARKS, 2), strict=True))


def _fill_input(rng: random.Random, params: Params) -> tuple[Any, ...]:
    board = _numbers(rng, 0, 2 * params["near"] + 3)
    return board, rng.randrange(len(board)), rng.randrange(len(board[0]))


_FALL = """def settle(board):
    columns = []
    for column in zip(*board):
        parts = "".join(column).split("$wall")
        columns.append("$wall".join("." * part.count(".") + "$stone" * part.count("$stone") for part in parts))
    return ["".join(row) for row in zip(*columns)]
"""
_FILL = """def fill(board, row, column):
    high, wide = len(board), len(board[0])
    seen, todo = {(row, column)}, [(row, column)]
    for r, c in todo:
        for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if 0 <= y < high and 0 <= x < wide and (y, x) not in seen and abs(board[y][x] - board[r][c]) <= $near:
                seen.add((y, x))
                todo.append((y, x))
    return [[$paint if (r, c) in seen else board[r][c] for c in range(wide)] for r in range(high)]
"""
_CLIMB = """import heapq


def quickest(board):
    high, wide = len(board), len(board[0])
    best, heap = {(0, 0): 0}, [(0, 0, 0)]
    while heap:
        cost, r, c = heapq.heappop(heap)
        if (r, c) == (high - 1, wide - 1):
            return cost
        if cost > best[r, c]:
            continue
        for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if 0 <= y < high and 0 <= x < wide:
                climb = board[y][x] - board[r][c]
                new = cost + $step + max(climb, 0) * $up + ($rest if climb >= $steep else 0)
                if new < best.get((y, x), new + 1):
                    best[y, x] = new
                    heapq.heappush(heap, (new, y, x))
"""
_RIM = """def rim(board):
    high, wide = len(board), len(board[0])
    total = 0
    for r in range(high):
        for c in range(wide):
            outside = r in (0, high - 1) or c in (0, wide - 1)
            total += board[r][c] * ($outer if outside else $inner)
    return total
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="grid-weighted-sum",
        topic="grids",
        levels=(1, 2),
        draw=lambda rng, level: dict(zip("abd", [*rng.sample(range(2, 12), 2), rng.randint(0, 9)], strict=True)),
        signature="weigh(board: list[list[int]]) -> int",
        statement="Rows and columns are counted from 0. Return the sum of all values, each multiplied by "
        "$a * r + $b * c + $d, where r is its row and c its column. The board may have no rows; then the sum is 0.",
        reference=(
            "def weigh(board):\n    return sum(v * ($a * r + $b * c + $d) for r, row in enumerate(board) "
            "for c, v in enumerate(row))\n"
        ),
        second=(
            "def weigh(board):\n    rows = [sum(row) for row in board]\n"
            "    columns = [sum(column) for column in zip(*board)]\n"
            "    down = sum(r * v for r, v in enumerate(rows))\n"
            "    across = sum(c * v for c, v in enumerate(columns))\n"
            "    return $a * down + $b * across + $d * sum(rows)\n"
        ),
        wrong=(
            "def weigh(board):\n    return sum(v * ($b * r + $a * c + $d) for r, row in enumerate(board) "
            "for c, v in enumerate(row))\n",
            "def weigh(board):\n    return sum(v * ($a * r + $b * c + $d) for r, row in enumerate(board, 1) "
            "for c, v in enumerate(row, 1))\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, -9, 20),),
        edges=lambda params: [([],), ([[5]],), ([[1, 2, 3]],), ([[1], [2], [3]],)],
    ),
    Family(
        name="grid-turn-and-swap",
        topic="grids",
        levels=(1, 2),
        draw=lambda rng, level: {**_pair("old", "new", rng), "turn": rng.choice(["clockwise", "anticlockwise"])},
        signature="turn(board: list[str]) -> list[str]",
        statement="The rows are texts of equal length; there is at least one, and none is empty. Turn the board by a "
        "quarter $turn, replace every `$old` by `$new`, and return the rows of the result.",
        reference=(
            'def turn(board):\n    rows = zip(*board[::-1]) if "$turn" == "clockwise" else list(zip(*board))[::-1]\n'
            '    return ["".join(row).replace("$old", "$new") for row in rows]\n'
        ),
        second=(
            "def turn(board):\n    high, wide = len(board), len(board[0])\n"
            "    out = [[None] * high for _ in range(wide)]\n"
            "    for r in range(high):\n        for c in range(wide):\n"
            '            mark = "$new" if board[r][c] == "$old" else board[r][c]\n'
            '            if "$turn" == "clockwise":\n                out[c][high - 1 - r] = mark\n'
            "            else:\n                out[wide - 1 - c][r] = mark\n"
            '    return ["".join(row) for row in out]\n'
        ),
        wrong=(
            'def turn(board):\n    return ["".join(row).replace("$old", "$new") for row in zip(*board)]\n',
            'def turn(board):\n    rows = zip(*board[::-1]) if "$turn" != "clockwise" else list(zip(*board))[::-1]\n'
            '    return ["".join(row).replace("$old", "$new") for row in rows]\n',
        ),
        inputs=lambda rng, params: (_marked(rng, params["old"] + params["new"] + ".ab"),),
        edges=lambda params: [([params["old"]],), (["abc"],), (["a", "b", params["old"]],), (["ab", "cd"],)],
    ),
    Family(
        name="grid-rim-and-inside",
        topic="grids",
        levels=(2,),
        draw=lambda rng, level: dict(zip(("outer", "inner"), rng.sample(range(2, 18), 2), strict=True)),
        signature="rim(board: list[list[int]]) -> int",
        statement="The board has at least one row and one column. Return the sum of all its values, where the values "
        "in the first or last row or in the first or last column count $outer times, and all others $inner times.",
        reference=_RIM,
        second=(
            "def rim(board):\n    whole = sum(map(sum, board))\n"
            "    inside = sum(sum(row[1:-1]) for row in board[1:-1])\n"
            "    return $outer * (whole - inside) + $inner * inside\n"
        ),
        wrong=(
            _RIM.replace("r in (0, high - 1) or c in (0, wide - 1)", "r in (0, high - 1) and c in (0, wide - 1)"),
            _RIM.replace("c in (0, wide - 1)", "c in (0, high - 1)"),
        ),
        inputs=lambda rng, params: (_numbers(rng, -9, 20, 6),),
        edges=lambda params: [
            ([[4]],),
            ([[1, 2, 3, 4]],),
            ([[1, 2], [3, 4]],),
            ([[1, 2, 3, 4], [5, 6, 7, 8], [9, 1, 2, 3]],),
        ],
    ),
    Family(
        name="grid-stones-fall",
        topic="grids",
        levels=(3,),
        draw=lambda rng, level: {**_pair("stone", "wall", rng)},
        signature="settle(board: list[str]) -> list[str]",
        statement="The board has free cells `.`, stones `$stone` and walls `$wall`; the last row is the lowest; there "
        "is at least one row and one column. Every stone falls straight down through free cells until it lies on the "
        "floor below the last row, on a wall or on another stone that has come to rest. Walls stay where they "
        "are. Return the rows after all stones rest.",
        reference=_FALL,
        second="""def settle(board):
    rows = [list(row) for row in board]
    moved = True
    while moved:
        moved = False
        for r in range(len(rows) - 1):
            for c in range(len(rows[0])):
                if rows[r][c] == "$stone" and rows[r + 1][c] == ".":
                    rows[r][c], rows[r + 1][c], moved = ".", "$stone", True
    return ["".join(row) for row in rows]
""",
        wrong=(
            """def settle(board):
    columns = ["".join(sorted(column, key=".$wall$stone".index)) for column in zip(*board)]
    return ["".join(row) for row in zip(*columns)]
""",
            """def settle(board):
    rows = [list(row) for row in board]
    for r in range(len(rows) - 1):
        for c in range(len(rows[0])):
            if rows[r][c] == "$stone" and rows[r + 1][c] == ".":
                rows[r][c], rows[r + 1][c] = ".", "$stone"
    return ["".join(row) for row in rows]
""",
        ),
        inputs=lambda rng, params: (_marked(rng, params["stone"] * 2 + params["wall"] + "..", 7),),
        edges=lambda params: [
            (["."],),
            ([params["stone"], "."],),
            ([params["stone"], params["stone"], ".", "."],),
            ([params["stone"], params["wall"], "."],),
        ],
    ),
    Family(
        name="grid-fill-slopes",
        topic="grids",
        levels=(3, 4),
        draw=lambda rng, level: {"near": rng.randint(1, level), "paint": rng.randint(100, 199)},
        signature="fill(board: list[list[int]], row: int, column: int) -> list[list[int]]",
        statement="The board has at least one row and one column. Begin at the cell in the given row and column "
        "(counted from 0). From a cell one may go up, down, left or right to a neighbour whose value differs by at "
        "most $near from the value of the cell one stands on. Return a new board in which all cells that can be "
        "reached, the first included, have the value $paint, and all others their old value.",
        reference=_FILL,
        second="""def fill(board, row, column):
    cells = {(r, c): v for r, line in enumerate(board) for c, v in enumerate(line)}
    reached, before = {(row, column)}, set()
    while reached != before:
        before = set(reached)
        for (r, c), v in cells.items():
            around = [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
            if any(cell in before and -$near <= cells[cell] - v <= $near for cell in around):
                reached.add((r, c))
    return [[$paint if (r, c) in reached else v for c, v in enumerate(line)] for r, line in enumerate(board)]
""",
        wrong=(
            _FILL.replace("abs(board[y][x] - board[r][c])", "abs(board[y][x] - board[row][column])"),
            _FILL.replace("<= $near", "< $near"),
            _FILL.replace("abs(board[y][x] - board[r][c])", "board[y][x] - board[r][c]"),
        ),
        inputs=_fill_input,
        edges=lambda params: [
            ([[5]], 0, 0),
            ([[0, params["near"], 2 * params["near"], 9 * params["near"]]], 0, 0),
            ([[0], [params["near"] + 1], [0]], 1, 0),
            ([[40, 0, 0], [0, 40, 0]], 0, 1),
        ],
    ),
    Family(
        name="grid-quickest-climb",
        topic="grids",
        levels=(4, 5),
        draw=lambda rng, level: {
            "step": rng.randint(1, 6),
            "up": rng.randint(1, 4),
            "steep": rng.randint(3, 6),
            "rest": rng.randint(5, 10 * (level - 2)),
        },
        signature="quickest(board: list[list[int]]) -> int",
        statement="The values are heights; there is at least one row and one column. One walks from the first cell of "
        "the first row to the last cell of the last row, each step up, down, left or right. A step takes $step "
        "minutes, and if the new cell is higher, $up more for each unit of height, and if it is higher by $steep or "
        "more, $rest more for a rest. Going down or level takes no more. Return the least number of minutes; "
        "for a board of one cell 0.",
        reference=_CLIMB,
        second="""def quickest(board):
    high, wide = len(board), len(board[0])
    best = {(r, c): 10**9 for r in range(high) for c in range(wide)}
    best[0, 0], changed = 0, True
    while changed:
        changed = False
        for (r, c), cost in list(best.items()):
            for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                if (y, x) in best:
                    rise = board[r][c] - board[y][x]
                    price = $step + (rise * $up if rise > 0 else 0) + (rise >= $steep) * $rest
                    if best[y, x] + price < best[r, c]:
                        best[r, c], changed = best[y, x] + price, True
    return best[high - 1, wide - 1]
""",
        wrong=(
            _CLIMB.replace("climb >= $steep", "climb > $steep"),
            _CLIMB.replace("max(climb, 0)", "abs(climb)"),
            _CLIMB.replace("((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1))", "((r + 1, c), (r, c + 1))"),
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 9, 6),),
        edges=lambda params: [
            ([[3]],),
            ([[0, params["steep"]]],),
            ([[9, 0]],),
            ([[0, 90, 0, 0, 0], [0, 90, 0, 90, 0], [0, 0, 0, 90, 0]],),
        ],
    ),
)
