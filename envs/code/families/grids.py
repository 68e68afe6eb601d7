"""Families on grids: lists of equally long rows, of numbers or of one-character cells.

An empty grid is the empty list; no row is empty.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _numbers(rng: random.Random, params: Params) -> tuple[Any, ...]:
    rows, columns = rng.randint(2, 5), rng.randint(2, 5)
    return ([[rng.randint(0, 12) for _ in range(columns)] for _ in range(rows)],)


def _cells(rng: random.Random, params: Params) -> tuple[Any, ...]:
    rows, columns = rng.randint(2, 6), rng.randint(2, 6)
    return (["".join(rng.choice((params["mark"], params["mark"], ".")) for _ in range(columns)) for _ in range(rows)],)


def _spots(rng: random.Random, params: Params) -> tuple[Any, ...]:
    columns = rng.randint(3, 8)
    return (["".join(rng.choice((params["mark"], ".")) for _ in range(columns)) for _ in range(rng.randint(3, 8))],)


def _draw_life(rng: random.Random, level: int) -> dict[str, Any]:
    keep = sorted(rng.sample(range(1, 6), 2))
    born = rng.choice([[a, b] for b in range(3, 7) for a in range(2, b) if [a, b] != keep])
    return {"mark": rng.choice("#@xow*"), "keep": keep, "born": born}


_LEAPS = ((1, 0), (1, 2), (0, 2), (1, 3), (2, 3), (0, 3), (1, 4), (2, 4), (3, 4))

_ISLANDS = """def islands(grid):
    left = {(r, c) for r, row in enumerate(grid) for c, x in enumerate(row) if x == "$mark"}
    found = 0
    while left:
        todo = [left.pop()]
        for r, c in todo:
            for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if near in left:
                    left.remove(near)
                    todo.append(near)
        found += $points * (len(todo) >= $least)
    return found
"""
_PATH = """def path(grid):
    if not grid:
        return 0
    best = []
    for r, row in enumerate(grid):
        new = []
        for c, x in enumerate(row):
            ways = []
            if r:
                ways.append(best[c] + $down)
            if c:
                ways.append(new[c - 1] + $right)
            new.append(x + min(ways, default=0))
        best = new
    return best[-1]
"""
_PEAKS = """def peaks(grid):
    total = 0
    for r, row in enumerate(grid):
        for c, x in enumerate(row):
            near = [grid[i][j] for i, j in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1))
                    if 0 <= i < len(grid) and 0 <= j < len(row)]
            if all(x >= y + $gap for y in near):
                total += x + $bonus
    return total
"""
_LIFE = """def life(grid):
    out = []
    for r, row in enumerate(grid):
        line = ""
        for c, x in enumerate(row):
            near = sum(grid[i][j] == "$mark" for i in range(r - 1, r + 2) for j in range(c - 1, c + 2)
                       if (i, j) != (r, c) and 0 <= i < len(grid) and 0 <= j < len(row))
            line += "$mark" if near in ($keep if x == "$mark" else $born) else "."
        out.append(line)
    return out
"""
_JUMPS = """def jumps(grid):
    if not grid:
        return -1
    rows, columns = len(grid), len(grid[0])
    dist = {(0, 0): 0} if grid[0][0] == "$mark" else {}
    todo = list(dist)
    for r, c in todo:
        for a, b in (($a, $b), ($b, $a)):
            for i, j in ((r + a, c + b), (r + a, c - b), (r - a, c + b), (r - a, c - b)):
                if 0 <= i < rows and 0 <= j < columns and grid[i][j] == "$mark" and (i, j) not in dist:
                    dist[i, j] = dist[r, c] + 1
                    todo.append((i, j))
    return sum(dist.values()) if dist else -1
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="grid-islands",
        topic="grids",
        levels=(3, 4),
        draw=lambda rng, level: {
            "mark": rng.choice("#@xow*+%Q=~TUVZKJMNBHE"),
            "least": rng.randint(2, level),
            "points": rng.randint(2, 9),
        },
        signature="islands(grid: list[str]) -> int",
        statement="The rows of the grid are equally long; the grid may be empty. An island is a greatest group "
        "of cells '$mark' "
        "joined over shared sides (not corners). Return $points times the number of islands that have at least "
        "$least cells.",
        reference=_ISLANDS,
        second="""def islands(grid):
    label = {(r, c): (r, c) for r in range(len(grid)) for c in range(len(grid[0])) if grid[r][c] == "$mark"}
    changed = True
    while changed:
        changed = False
        for r, c in label:
            for near in ((r + 1, c), (r, c + 1)):
                if near in label and label[near] != label[r, c]:
                    label[near] = label[r, c] = min(label[near], label[r, c])
                    changed = True
    names = list(label.values())
    return $points * sum(names.count(name) >= $least for name in set(names))
""",
        wrong=(
            _ISLANDS.replace(">= $least", "> $least"),
            _ISLANDS.replace("(r + 1, c),", "(r + 1, c), (r + 1, c + 1),"),
        ),
        inputs=_spots,
        edges=lambda p: (
            [
                ([],),
                (["."],),
                ([p["mark"] * p["least"]],),
                # Two groups of one cell too few that touch at a corner only.
                (
                    [
                        p["mark"] * (p["least"] - 1) + "." * (p["least"] - 1),
                        "." * (p["least"] - 1) + p["mark"] * (p["least"] - 1),
                    ],
                ),
            ]
        ),
    ),
    Family(
        name="grid-toll-path",
        topic="grids",
        levels=(3, 4),
        draw=lambda rng, level: {"down": (down := rng.randint(1, 4 * level)), "right": down + rng.randint(1, 12)},
        signature="path(grid: list[list[int]]) -> int",
        statement="The rows of the grid are equally long. A path goes from the upper left cell to the lower "
        "right one, each step "
        "one cell down or one cell right. It costs the sum of all cells on it, first and last included, plus "
        "$down for each "
        "step down and $right for each step right. Return the least cost; 0 for an empty grid.",
        reference=_PATH,
        second="""def path(grid):
    def cost(r, c):
        if r == 0 and c == 0:
            return grid[0][0]
        ways = ([cost(r - 1, c) + $down] if r else []) + ([cost(r, c - 1) + $right] if c else [])
        return grid[r][c] + min(ways)
    return cost(len(grid) - 1, len(grid[0]) - 1) if grid else 0
""",
        wrong=(_PATH.replace(" + $down", "").replace(" + $right", ""), _PATH.replace("$right", "$down")),
        inputs=_numbers,
        edges=lambda p: [([],), ([[5]],), ([[1, 2, 3]],), ([[1], [2], [3]],), ([[0, -5], [7, 0]],)],
    ),
    Family(
        name="grid-peaks",
        topic="grids",
        levels=(2, 3),
        draw=lambda rng, level: {"gap": rng.randint(0, 1 + level), "bonus": rng.randint(1, 40)},
        signature="peaks(grid: list[list[int]]) -> int",
        statement="The rows of the grid are equally long; the grid may be empty. A cell is a peak if it is at "
        "least $gap greater "
        "than each cell that shares a side with it (if $gap is 0: not smaller); a cell without neighbours is a "
        "peak. Return "
        "the sum over all peaks of their value plus $bonus.",
        reference=_PEAKS,
        second="""def peaks(grid):
    cells = {(r, c): x for r, row in enumerate(grid) for c, x in enumerate(row)}
    low = set()
    for (r, c), x in cells.items():
        for d in ((r + 1, c), (r, c + 1)):
            if d in cells:
                if x < cells[d] + $gap:
                    low.add((r, c))
                if cells[d] < x + $gap:
                    low.add(d)
    return sum(x + $bonus for cell, x in cells.items() if cell not in low)
""",
        wrong=(
            _PEAKS.replace(">= y", "> y"),
            _PEAKS.replace("0 <= i < len(grid) and 0 <= j < len(row)", "i < len(grid) and j < len(row)"),
        ),
        inputs=_numbers,
        edges=lambda p: [([],), ([[4]],), ([[4, 4]],), ([[p["gap"], 0]],), ([[-1, 3, 9]],), ([[9, 0, 9]],)],
    ),
    Family(
        name="grid-life-step",
        topic="grids",
        levels=(3, 4),
        draw=_draw_life,
        signature="life(grid: list[str]) -> list[str]",
        statement="The rows of the grid are equally long; the grid may be empty. A cell '$mark' is alive, '.' "
        "is dead. Each cell has "
        "up to eight neighbours (sides and corners; nothing beyond the border). All cells change at once: a "
        "living cell "
        "stays alive if its number of living neighbours is in $keep, a dead cell becomes alive if it is in "
        "$born; all others "
        "are dead. Return the grid after one step.",
        reference=_LIFE,
        second="""def life(grid):
    alive = [(r, c) for r, row in enumerate(grid) for c, x in enumerate(row) if x == "$mark"]
    out = []
    for r, row in enumerate(grid):
        line = []
        for c in range(len(row)):
            near = sum(max(abs(r - i), abs(c - j)) == 1 for i, j in alive)
            rule = $keep if (r, c) in alive else $born
            line.append("$mark" if near in rule else ".")
        out.append("".join(line))
    return out
""",
        wrong=(_LIFE.replace("(i, j) != (r, c) and ", ""), _LIFE.replace("$born", "$keep")),
        inputs=_cells,
        edges=lambda p: [([],), (["."],), ([p["mark"]],), (["..."] * 3,), ([p["mark"] * 3] * 3,)],
    ),
    Family(
        name="grid-leaper",
        topic="grids",
        levels=(4, 5),
        draw=lambda rng, level: {
            "mark": rng.choice("#@xow*+%Q=TUVZKJMNBHE"),
            **dict(zip("ab", rng.choice(_LEAPS[: 5 + 4 * (level - 4)]), strict=True)),
        },
        signature="jumps(grid: list[str]) -> int",
        statement="The rows of the grid are equally long. A piece starts in the upper left cell. A jump takes "
        "it $a cells along one "
        "axis and $b along the other, either axis and any direction, onto a cell '$mark' within the grid. For "
        "each cell that "
        "it can reach, take the least number of jumps (0 for the first cell); return their sum. Return -1 if "
        "the grid is "
        "empty or its upper left cell is not '$mark'.",
        reference=_JUMPS,
        second="""def jumps(grid):
    if not grid or grid[0][0] != "$mark":
        return -1
    free = {(r, c) for r, row in enumerate(grid) for c, x in enumerate(row) if x == "$mark"}
    front, turn, total = {(0, 0)}, 0, 0
    while front:
        total += turn * len(front)
        free -= front
        front = {(i, j) for i, j in free if any(sorted((abs(i - r), abs(j - c))) == sorted(($a, $b)) for r, c in front)}
        turn += 1
    return total
""",
        wrong=(_JUMPS.replace("(($a, $b), ($b, $a))", "(($a, $b),)"), _JUMPS.replace("0 <= i < rows", "i < rows")),
        inputs=_cells,
        edges=lambda p: [
            ([],),
            (["."],),
            ([p["mark"]],),
            ([p["mark"] * 4] * 4,),
            ([p["mark"] * 5] * 3,),
            ([p["mark"] * 6] * 6,),
        ],
    ),
)
