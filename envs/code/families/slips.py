"""Families of repair whose planted bug is a classic slip: an end left out, shared rows, a lost carry, a wrong way.

As in all of repair, the statement says in full what the function must do; a rewrite from nothing is a valid answer.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_TAIL = " The function below does not do this in all cases: repair it."
_WORDS = "ash birch cedar elm fir hazel larch maple oak pine rowan willow".split()


def _numbers(rng: random.Random, low: int, high: int, most: int) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(0, most))]


def _draw_slice(rng: random.Random, level: int) -> dict[str, Any]:
    first = rng.randint(1, 12)
    return {"first": first, "last": first + rng.randint(2, 15)}


def _draw_counts(rng: random.Random, level: int) -> dict[str, Any]:
    return {"least": rng.randint(2, 6), "bonus": rng.randint(2, 25), "word": rng.choice(_WORDS)}


def _words(rng: random.Random, params: Params) -> tuple[Any, ...]:
    return (
        " ".join(
            rng.choice([*_WORDS[:5], params["word"], "at", "to", "sycamore", "chestnut"])
            for _ in range(rng.randint(0, 9))
        ),
    )


def _marks(rng: random.Random, params: Params) -> tuple[Any, ...]:
    high, wide = params["high"], params["wide"]
    return ([[rng.randint(-1, high), rng.randint(-1, wide), rng.randint(1, 9)] for _ in range(rng.randint(0, 8))],)


def _draw_carry(rng: random.Random, level: int) -> dict[str, Any]:
    base = rng.randint(3, 8 + 4 * level)
    return {"base": base, "extra": rng.randint(base, base * base)}


def _digits(rng: random.Random, params: Params) -> tuple[Any, ...]:
    top = params["base"] - 1
    rows = []
    for _ in range(2):
        row = [rng.choice([top, rng.randint(0, top)]) for _ in range(rng.randint(0, 5))]
        rows.append([*row, rng.randint(1, top)] if row else [])
    return tuple(rows)


def _packs(rng: random.Random, params: Params) -> tuple[Any, ...]:
    return ([[rng.randint(1, params["room"]), rng.randint(1, 30)] for _ in range(rng.randint(0, 9))],)


_SLICE = """def part(values):
    return sum(values[PLANTED])
"""
_COUNT = """def counts(text):
    out = {"$word": $bonus}
    for word in text.split():
        if len(word) >= $least:
            out[word] = PLANTED
    return out
"""
_BOARD = """def board(marks):
    rows = PLANTED
    for r, c, value in marks:
        if 0 <= r < $high and 0 <= c < $wide:
            rows[r][c] += value
    return rows
"""
_CARRY = """def add(left, right):
    out, carry = [], $extra
    for i in range(max(len(left), len(right))):
        total = carry
        if i < len(left):
            total += left[i]
        if i < len(right):
            total += right[i]
        out.append(total % $base)
        carry = total // $base
PLANTED    return out
"""
_PACK = """def load(things):
    best = [0] * ($room + 1)
    for size, worth in things:
        if worth < $least:
            continue
        for room in PLANTED:
            best[room] = max(best[room], best[room - size] + worth)
    return best[$room] + $extra
"""
_ROUTE = """def spread(n, edges):
    cost = [None] * n
    cost[$start % n] = 0
    todo = [$start % n]
    while todo:
        node = todo.pop(0)
        for a, b, w in edges:
            if a == node:
                new = cost[a] + w + $stop
                if PLANTED:
                    cost[b] = new
                    todo.append(b)
    return cost
"""
_CARRY_DONE = "    while carry:\n        out.append(carry % $base)\n        carry //= $base\n"
_CARRY_ONCE = "    if carry:\n        out.append(carry)\n"
_DOWN, _UP = "range($room, size - 1, -1)", "range(size, $room + 1)"

FAMILIES: tuple[Family, ...] = (
    Family(
        name="repair-slice-sum",
        topic="repair",
        levels=(1,),
        draw=_draw_slice,
        signature="part(values: list[int]) -> int",
        statement="Indices are counted from 0. Return the sum of the values at the indices from $first to $last, both "
        "included; indices that the list does not have count nothing." + _TAIL,
        given=_SLICE.replace("PLANTED", "$first:$last"),
        reference=_SLICE.replace("PLANTED", "$first : $last + 1"),
        second="def part(values):\n    return sum(v for i, v in enumerate(values) if $first <= i <= $last)\n",
        wrong=(_SLICE.replace("PLANTED", "$first:$last"), _SLICE.replace("PLANTED", "$first - 1 : $last")),
        inputs=lambda rng, params: (_numbers(rng, 1, 60, 35),),
        edges=lambda params: [([],), ([5],), (list(range(1, params["last"] + 2)),), (list(range(1, 40)),)],
    ),
    Family(
        name="repair-word-counts",
        topic="repair",
        levels=(1, 2),
        draw=_draw_counts,
        signature="counts(text: str) -> dict[str, int]",
        statement="Words are separated by blanks. Return a dictionary with the number of times each word of at least "
        "$least letters occurs in the text. The word `$word` begins with a count of $bonus and stands in the result "
        "also if it does not occur; its own occurrences are added only if it has at least $least letters." + _TAIL,
        given=_COUNT.replace("PLANTED", "out.get(word, 1) + 1"),
        reference=_COUNT.replace("PLANTED", "out.get(word, 0) + 1"),
        second=(
            "def counts(text):\n    words = [w for w in text.split() if len(w) >= $least]\n"
            '    words += ["$word"] * $bonus\n    return {w: words.count(w) for w in set(words)}\n'
        ),
        wrong=(_COUNT.replace("PLANTED", "out.get(word, 1) + 1"), _COUNT.replace("PLANTED", "1")),
        inputs=_words,
        edges=lambda params: [("",), (params["word"],), ("sycamore sycamore",), (f"{params['word']} a",)],
    ),
    Family(
        name="repair-shared-rows",
        topic="repair",
        levels=(1, 2),
        draw=lambda rng, level: {
            "high": (high := rng.randint(2, 3 + level)),
            "wide": high + rng.randint(1, 3),
            "free": rng.randint(0, 20),
        },
        signature="board(marks: list[list[int]]) -> list[list[int]]",
        statement="A board has $high rows and $wide columns, counted from 0, and every cell begins with the value "
        "$free. Each mark [r, c, v] adds v to the cell in row r and column c; a mark outside the board is left out. "
        "Return the rows of the board after all marks, as lists." + _TAIL,
        given=_BOARD.replace("PLANTED", "[[$free] * $wide] * $high"),
        reference=_BOARD.replace("PLANTED", "[[$free] * $wide for _ in range($high)]"),
        second=(
            "def board(marks):\n    return [[$free + sum(v for y, x, v in marks if (y, x) == (r, c)) "
            "for c in range($wide)] for r in range($high)]\n"
        ),
        wrong=(
            _BOARD.replace("PLANTED", "[[$free] * $wide] * $high"),
            _BOARD.replace("PLANTED", "[[$free] * $high for _ in range($wide)]"),
            _BOARD.replace("PLANTED", "[[$free] * $wide for _ in range($high)]").replace(
                "0 <= r < $high and 0 <= c < $wide", "r < $high and c < $wide"
            ),
        ),
        inputs=_marks,
        edges=lambda params: [([],), ([[0, 0, 1]],), ([[-1, 0, 5], [0, -1, 5]],), ([[1, 1, 2], [1, 1, 3]],)],
    ),
    Family(
        name="repair-long-addition",
        topic="repair",
        levels=(3, 4),
        draw=_draw_carry,
        signature="add(left: list[int], right: list[int]) -> list[int]",
        statement="A number of 0 or more is written in base $base as a list of its digits, the lowest digit first, "
        "without needless zeros at the end; 0 is the empty list. Return the sum of the two numbers and $extra, written "
        "in the same way." + _TAIL,
        given=_CARRY.replace("PLANTED", _CARRY_ONCE),
        reference=_CARRY.replace("PLANTED", _CARRY_DONE),
        second="""def add(left, right):
    total = $extra
    for row in (left, right):
        total += sum(digit * $base**i for i, digit in enumerate(row))
    out = []
    while total:
        total, digit = divmod(total, $base)
        out.append(digit)
    return out
""",
        wrong=(_CARRY.replace("PLANTED", _CARRY_ONCE), _CARRY.replace("PLANTED", "")),
        inputs=_digits,
        edges=lambda p: [
            ([], []),
            ([1], []),
            ([p["base"] - 1] * 2, [p["base"] - 1] * 2),
            *(([p["base"] - 1] * k, [p["base"] - 1] * j) for k in range(3) for j in range(3)),
            ([0, p["base"] - 1, 1], [p["base"] - 1]),
            # The carry that is left has two digits only if the extra is large.
            ([], [p["base"] - 1]),
        ],
    ),
    Family(
        name="repair-load-once",
        topic="repair",
        levels=(4, 5),
        draw=lambda rng, level: {
            "room": rng.randint(10, 10 * level),
            "least": rng.randint(2, 9),
            "extra": rng.randint(1, 9),
        },
        signature="load(things: list[list[int]]) -> int",
        statement="Each thing is a list [size, worth]; both are at least 1. A van has room for a total size of $room. "
        "Things worth less than $least are left behind. Of the others choose some, each at most once, so that their "
        "sizes fit and their total worth is as great as can be. Return that total worth plus $extra." + _TAIL,
        given=_PACK.replace("PLANTED", _UP),
        reference=_PACK.replace("PLANTED", _DOWN),
        second="""from itertools import combinations


def load(things):
    good = [(size, worth) for size, worth in things if not worth < $least]
    best = 0
    for count in range(len(good) + 1):
        for chosen in combinations(good, count):
            if sum(size for size, _ in chosen) <= $room:
                best = max(best, sum(worth for _, worth in chosen))
    return best + $extra
""",
        wrong=(_PACK.replace("PLANTED", _UP), _PACK.replace("PLANTED", "range($room, size, -1)")),
        inputs=_packs,
        edges=lambda p: [
            ([],),
            ([[1, 9]],),
            ([[p["room"], 50], [1, 20]],),
            ([[p["room"] + 1, 90]],),
            ([[1, p["least"] - 1]],),
            ([[1, p["least"]]],),
            ([[1, p["least"] + 1]],),
        ],
    ),
    Family(
        name="repair-cheapest-costs",
        topic="repair",
        levels=(4, 5),
        draw=lambda rng, level: {"start": rng.randint(0, 20), "stop": rng.randint(0, 9 + level)},
        signature="spread(n: int, edges: list[tuple[int, int, int]]) -> list[int | None]",
        statement="Nodes are 0 to n-1 (n is at least 1); each edge (a, b, w) leads one way from a to b. Using it costs "
        "w, which is at least 1, plus $stop. Begin at the node whose number is the remainder of $start on division by "
        "n. Return a list with the least cost of a way to each node, 0 for the first node itself, and None for nodes "
        "that cannot be reached. Parallel edges and loops may occur." + _TAIL,
        given=_ROUTE.replace("PLANTED", "cost[b] is None"),
        reference=_ROUTE.replace("PLANTED", "cost[b] is None or new < cost[b]"),
        second="""def spread(n, edges):
    first = $start % n
    cost = {first: 0}
    for _ in range(n):
        for a, b, w in edges:
            if a in cost:
                cost[b] = min(cost.get(b, 10**9), cost[a] + w + $stop)
    return [cost.get(v) for v in range(n)]
""",
        wrong=(
            _ROUTE.replace("PLANTED", "cost[b] is None"),
            _ROUTE.replace("PLANTED", "cost[b] is None or new < cost[b]").replace(
                "    return cost\n", "    return [c or 0 for c in cost]\n"
            ),
        ),
        inputs=lambda rng, params: (
            n := rng.randint(2, 7),
            [(rng.randrange(n), rng.randrange(n), rng.randint(1, 40)) for _ in range(rng.randint(n, 3 * n))],
        ),
        edges=lambda p: [(1, []), (3, []), (2, [(0, 1, 5), (1, 0, 5), (0, 1, 2), (1, 0, 2)])],
    ),
)
