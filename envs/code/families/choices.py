"""Families of dynamic programming: choose with alternating signs, match two texts, merge neighbours.

The second solutions search with memory from the other end, on the same small inputs.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _numbers(rng: random.Random, low: int, high: int, most: int) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(0, most))]


def _draw_merge(rng: random.Random, level: int) -> dict[str, Any]:
    more, less = rng.sample(range(1, 12), 2)
    return {"more": more, "less": less, "flat": rng.randint(0, 30)}


_ALTERNATE = """def best(values):
    plus, minus = None, 0
    for v in values:
        new_plus = minus + v - $fee + ($bonus if v >= $high else 0)
        new_minus = None if plus is None else plus - v - $fee
        if plus is None or new_plus > plus:
            plus = new_plus
        if new_minus is not None and new_minus > minus:
            minus = new_minus
    return minus if plus is None else max(plus, minus)
"""
_COMMON = """def common(left, right):
    row = [0] * (len(right) + 1)
    for a in left:
        new = [0]
        for j, b in enumerate(right):
            score = max(row[j + 1], new[j])
            if a == b:
                score = max(score, row[j] + ($star if a == "$letter" else $plain))
            new.append(score)
        row = new
    return row[-1]
"""
_MERGE = """def merge(piles):
    n = len(piles)
    sums = [0]
    for pile in piles:
        sums.append(sums[-1] + pile)
    cost = [[0] * (n + 1) for _ in range(n + 1)]
    for size in range(2, n + 1):
        for i in range(n - size + 1):
            j = i + size
            ways = []
            for k in range(i + 1, j):
                left, right = sums[k] - sums[i], sums[j] - sums[k]
                now = $more * max(left, right) + $less * min(left, right) + $flat
                ways.append(cost[i][k] + cost[k][j] + now)
            cost[i][j] = min(ways)
    return cost[0][n]
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="dp-alternating-choice",
        topic="dynamic programming",
        levels=(3, 4),
        draw=lambda rng, level: {
            "fee": rng.randint(0, 4),
            "bonus": rng.randint(2, 4 * level),
            "high": rng.randint(5, 12),
        },
        signature="best(values: list[int]) -> int",
        statement="Choose some of the values, in their order; none is allowed too. The first chosen value is added, "
        "the second subtracted, the third added, and so on. Every chosen value costs a fee of $fee, and every value "
        "that is added and is at least $high brings $bonus more. Return the greatest result; with nothing chosen "
        "it is 0.",
        reference=_ALTERNATE,
        second="""from functools import cache


def best(values):
    @cache
    def after(i, sign):
        if i == len(values):
            return 0
        extra = $bonus if sign > 0 and values[i] >= $high else 0
        return max(after(i + 1, sign), after(i + 1, -sign) + sign * values[i] + extra - $fee)

    return after(0, 1)
""",
        wrong=(
            _ALTERNATE.replace("v >= $high", "v > $high"),
            _ALTERNATE.replace("plus - v - $fee", "plus - v - $fee + ($bonus if v >= $high else 0)"),
            """def best(values):
    gain = sum(max(0, a - b - 2 * $fee) for a, b in zip(values, values[1:]))
    return max([gain] + [v - $fee + $bonus * (v >= $high) for v in values])
""",
        ),
        inputs=lambda rng, params: (_numbers(rng, -6, params["high"] + 6, 12),),
        edges=lambda params: [([],), ([-5],), ([params["high"]],), ([params["high"], 0] * 3,), ([20, 15, 20, 1, 30],)],
    ),
    Family(
        name="dp-common-letters",
        topic="dynamic programming",
        levels=(4, 5),
        draw=lambda rng, level: {
            "letter": rng.choice(_LETTERS[:4] if level == 4 else _LETTERS),
            "star": rng.randint(4, 12),
            "plain": rng.randint(1, 3),
        },
        signature="common(left: str, right: str) -> int",
        statement="Strike out characters of both texts so that what is left of them is equal (order kept). What is "
        "left scores $star for every letter `$letter` and $plain for every other character. Return the greatest "
        "score that can be reached; 0 if nothing can be kept. The texts have up to 300 small letters each.",
        reference=_COMMON,
        second="""from functools import cache


def common(left, right):
    @cache
    def score(i, j):
        if i == len(left) or j == len(right):
            return 0
        here = score(i + 1, j)
        k = right.find(left[i], j)
        if k >= 0:
            here = max(here, ($star if left[i] == "$letter" else $plain) + score(i + 1, k + 1))
        return here

    return score(0, 0)
""",
        wrong=(
            _COMMON.replace('($star if a == "$letter" else $plain)', "$plain"),
            """def common(left, right):
    score, j = 0, 0
    for a in left:
        k = right.find(a, j)
        if k >= 0:
            score += $star if a == "$letter" else $plain
            j = k + 1
    return score
""",
            """from collections import Counter


def common(left, right):
    both = Counter(left) & Counter(right)
    return sum(n * ($star if c == "$letter" else $plain) for c, n in both.items())
""",
        ),
        inputs=lambda rng, params: (
            "".join(rng.choice(params["letter"] + "abx") for _ in range(rng.randint(2, 14))),
            "".join(rng.choice(params["letter"] + "abx") for _ in range(rng.randint(2, 14))),
        ),
        edges=lambda params: [
            ("", ""),
            (params["letter"], ""),
            (params["letter"] + "q", "q" + params["letter"]),
            ((params["letter"] + "ab") * 40, ("ba" + params["letter"]) * 40),
        ],
    ),
    Family(
        name="dp-merge-neighbours",
        topic="dynamic programming",
        levels=(5,),
        draw=_draw_merge,
        signature="merge(piles: list[int]) -> int",
        statement="The piles stand in a row. Again and again two neighbouring piles are merged into one in their "
        "place, until one is left. A merge costs $more times the size of the larger pile plus $less times the size "
        "of the smaller plus $flat (two piles of the same size are one larger and one smaller). Return the least "
        "total cost; with fewer than two piles it is 0. There are up to 40 piles, and no size is negative.",
        reference=_MERGE,
        second="""from functools import cache


def merge(piles):
    @cache
    def cost(row):
        if len(row) < 2:
            return 0
        best = None
        for k in range(1, len(row)):
            small, large = sorted((sum(row[:k]), sum(row[k:])))
            total = cost(row[:k]) + cost(row[k:]) + $flat + $more * large + $less * small
            best = total if best is None or total < best else best
        return best

    return cost(tuple(piles))
""",
        wrong=(
            """def merge(piles):
    row, total = list(piles), 0
    while len(row) > 1:
        prices = [$more * max(a, b) + $less * min(a, b) + $flat for a, b in zip(row, row[1:])]
        i = prices.index(min(prices))
        total += prices[i]
        row[i : i + 2] = [row[i] + row[i + 1]]
    return total
""",
            _MERGE.replace("$more * max(left, right) + $less * min(left, right)", "$more * left + $less * right"),
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 30, 9),),
        edges=lambda params: [
            ([],),
            ([5],),
            ([3, 3],),
            ([1, 9],),
            ([4, 4, 4, 4],),
            ([9, 1, 1, 9, 2, 8],),
            ([7 * i * i % 31 for i in range(24)],),
        ],
    ),
)
