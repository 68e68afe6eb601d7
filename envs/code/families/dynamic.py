"""Families solved by dynamic programming: counts and best values over choices that overlap.

Each second solution tries all choices, so inputs stay small.
"""

from __future__ import annotations

import random

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]


def _list(rng: random.Random, low: int, high: int, most: int = 9) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(3, most))]


_STAIRS = """def ways(n):
    counts = [1]
    for i in range(1, n + 1):
        counts.append(sum(counts[i - s] for s in $steps if s <= i))
    return counts[n] % $modulus
"""
_REST = """def best(values):
    totals = []
    for i, v in enumerate(values):
        before = totals[i - 1] if i else 0
        apart = totals[i - $gap - 1] if i > $gap else 0
        totals.append(max(before, apart + v - $fee))
    return totals[-1] if totals else 0
"""
_EDIT = """def distance(a, b):
    row = [j * $insert for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        new = [i * $delete]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + $delete, new[j - 1] + $insert, row[j - 1] + (x != y) * $replace))
        row = new
    return row[-1]
"""
_COINS = """def fewest(amount):
    least = [0]
    for i in range(1, amount + 1):
        found = [least[i - c] for c in $coins if c <= i and least[i - c] >= 0]
        least.append(min(found) + 1 if found else -1)
    return least[amount]
"""
_RISE = """def longest(values):
    best = []
    for i, v in enumerate(values):
        best.append(1 + max((best[j] for j in range(i) if $low <= v - values[j] <= $high), default=0))
    return max(best, default=0)
"""

_CUT = """def cheapest(values):
    best = [0]
    for end in range(1, len(values) + 1):
        best.append(min(best[start] + $fixed + max(values[start:end]) * (end - start)
                        for start in range(max(0, end - $most), end)))
    return best[-1]
"""
_PACK = """def pack(items):
    best = [0] * ($room + 1)
    for weight, value in items:
        for left in range($room, weight - 1, -1):
            best[left] = max(best[left], best[left - weight] + value + (weight > $heavy) * $bonus)
    return best[$room]
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="dp-stair-ways",
        topic="dynamic programming",
        levels=(2, 3),
        draw=lambda rng, level: {"steps": sorted(rng.sample(range(1, 6), level)), "modulus": rng.randint(11, 40)},
        signature="ways(n: int) -> int",
        statement="Return in how many ways n (at least 0) can be written as an ordered sum of numbers from "
        "$steps, each usable any "
        "number of times, modulo $modulus. Different orders count as different; 0 has exactly one way, the empty sum.",
        reference=_STAIRS,
        second="""def ways(n):
    total, front = 0, {0: 1}
    while front:
        total += front.get(n, 0)
        new = {}
        for at, count in front.items():
            for s in $steps:
                if at + s <= n:
                    new[at + s] = new.get(at + s, 0) + count
        front = new
    return total % $modulus
""",
        wrong=(
            _STAIRS.replace(" % $modulus", ""),
            """def ways(n):
    counts = [1] + [0] * n
    for s in $steps:
        for i in range(s, n + 1):
            counts[i] += counts[i - s]
    return counts[n] % $modulus
""",
        ),
        inputs=lambda rng, p: (rng.randint(3, 40),),
        edges=lambda p: [(0,), (1,), (2,), (60,)],
    ),
    Family(
        name="dp-spaced-choice",
        topic="dynamic programming",
        levels=(3, 4),
        draw=lambda rng, level: {"gap": rng.randint(1, level), "fee": rng.randint(1, 20 * (level - 2))},
        signature="best(values: list[int]) -> int",
        statement="Choose any of the values, perhaps none, so that between two chosen ones there are at least "
        "$gap others in the "
        "list. Each chosen value counts its amount less a fee of $fee. Return the greatest possible total; choosing "
        "nothing gives 0.",
        reference=_REST,
        second="""def best(values):
    def go(i):
        return 0 if i >= len(values) else max(go(i + 1), values[i] - $fee + go(i + 1 + $gap))
    return go(0)
""",
        wrong=(
            _REST.replace("i - $gap - 1", "i - $gap").replace("i > $gap", "i >= $gap"),
            _REST.replace(" - $fee", ""),
            "def best(values):\n    return max([sum(max(0, v - $fee) for v in values[i::$gap + 1])"
            " for i in range($gap + 1)], default=0)\n",
        ),
        inputs=lambda rng, p: (_list(rng, -3, p["fee"] + 30, 12),),
        edges=lambda p: [([],), ([-4],), ([p["fee"] + 1],), ([50, 1, 1, 1, 1, 1, 1, 50],), ([30] * 8,)],
    ),
    Family(
        name="dp-edit-cost",
        topic="dynamic programming",
        levels=(4, 5),
        draw=lambda rng, level: {
            "insert": (i := rng.randint(1, 6)),
            "delete": i + rng.randint(1, 6),
            "replace": i + rng.randint(0, 6),
        },
        signature="distance(a: str, b: str) -> int",
        statement="Return the least cost of turning a into b by steps of three kinds: insert a character for "
        "$insert, delete one "
        "for $delete, replace one by another for $replace. Either string may be empty; equal characters may "
        "stay for nothing.",
        reference=_EDIT,
        second="""def distance(a, b):
    if not a or not b:
        return len(b) * $insert + len(a) * $delete
    if a[0] == b[0]:
        return distance(a[1:], b[1:])
    return min($delete + distance(a[1:], b), $insert + distance(a, b[1:]), $replace + distance(a[1:], b[1:]))
""",
        wrong=(_EDIT.replace("row[j] + $delete, new[j - 1] + $insert", "row[j] + $insert, new[j - 1] + $delete"),),
        inputs=lambda rng, p: ("".join(rng.choices("abc", k=rng.randint(1, 6))), "".join(rng.choices("abc", k=5))),
        edges=lambda p: [("", ""), ("", "abc"), ("abc", ""), ("ab", "ba"), ("abc", "abc"), ("abcd", "bcda")],
    ),
    Family(
        name="dp-fewest-coins",
        topic="dynamic programming",
        levels=(3, 4),
        draw=lambda rng, level: {
            "coins": [(c := rng.randint(4, 12 + level)), c + rng.randint(1, c // 2), 2 * c + rng.randint(1, level - 1)]
        },
        signature="fewest(amount: int) -> int",
        statement="Coins of the values $coins are at hand, any number of each. Return the least number of coins "
        "whose values sum to "
        "exactly amount (at least 0); 0 for amount 0, and -1 if it cannot be done.",
        reference=_COINS,
        second="""def fewest(amount):
    reached, count = {0}, 0
    while reached and amount not in reached:
        reached = {r + c for r in reached for c in $coins if r + c <= amount}
        count += 1
    return count if reached else -1
""",
        wrong=(
            """def fewest(amount):
    count = 0
    for c in sorted($coins, reverse=True):
        count += amount // c
        amount %= c
    return -1 if amount else count
""",
        ),
        inputs=lambda rng, p: (rng.randint(1, 60),),
        edges=lambda p: [(0,), (1,), (p["coins"][0],), (p["coins"][0] * 2,), (p["coins"][1] * 2,), (97,)],
    ),
    Family(
        name="dp-bounded-rise",
        topic="dynamic programming",
        levels=(3, 4),
        draw=lambda rng, level: {"low": (low := rng.randint(2, 3 * level)), "high": low + rng.randint(1, 16)},
        signature="longest(values: list[int]) -> int",
        statement="Return the length of the longest subsequence (order kept, other values may be left out "
        "between) in which each value is "
        "at least $low and at most $high greater than the one chosen before it. One value alone has length 1; an empty "
        "list gives 0.",
        reference=_RISE,
        second="""def longest(values):
    def go(i, last):
        if i == len(values):
            return 0
        skip = go(i + 1, last)
        if last is None or last + $low <= values[i] <= last + $high:
            return max(skip, 1 + go(i + 1, values[i]))
        return skip
    return go(0, None)
""",
        wrong=(
            _RISE.replace("<= $high", "< $high"),
            _RISE.replace("$low <= v", "0 < v"),
        ),
        inputs=lambda rng, p: (_list(rng, 0, p["low"] + p["high"], 11),),
        edges=lambda p: [
            ([],),
            ([3],),
            ([3, 3, 3],),
            ([0, p["high"]],),
            ([0, p["low"]],),
            ([0, p["low"] - 1],),
            ([0, 1, 2],),
        ],
    ),
    Family(
        name="dp-cut-blocks",
        topic="dynamic programming",
        levels=(4, 5),
        draw=lambda rng, level: {"fixed": rng.randint(2, 60), "most": rng.randint(2, level)},
        signature="cheapest(values: list[int]) -> int",
        statement="Cut the list of whole numbers (each at least 0) into consecutive blocks of 1 to $most "
        "values. A block costs "
        "$fixed plus its length times its greatest value. Return the least total cost; 0 for an empty list.",
        reference=_CUT,
        second="""def cheapest(values):
    if not values:
        return 0
    costs = []
    for size in range(1, min($most, len(values)) + 1):
        costs.append($fixed + size * max(values[:size]) + cheapest(values[size:]))
    return min(costs)
""",
        wrong=(
            _CUT.replace("end - $most", "end - $most + 1"),
            _CUT.replace("max(0, end - $most)", "(end - 1) // $most * $most").replace("min(", "max(", 1),
        ),
        inputs=lambda rng, p: (_list(rng, 0, 12),),
        edges=lambda p: [([],), ([5],), ([0] * 9,), ([3] * p["most"],), ([0, 90, 0],)],
    ),
    Family(
        name="dp-heavy-bonus",
        topic="dynamic programming",
        levels=(4, 5),
        draw=lambda rng, level: {"room": rng.randint(15, 30), "heavy": rng.randint(3, 6), "bonus": rng.randint(4, 15)},
        signature="pack(items: list[tuple[int, int]]) -> int",
        statement="Each item (weight, value) has a weight of at least 1 and a value of at least 0, and may be "
        "taken once or not at "
        "all. The weights taken may sum to at most $room. An item with a weight greater than $heavy counts "
        "$bonus more than "
        "its value. Return the greatest possible total; 0 if nothing is taken.",
        reference=_PACK,
        second="""def pack(items):
    def go(i, room):
        if i == len(items):
            return 0
        weight, value = items[i]
        best = go(i + 1, room)
        if weight <= room:
            best = max(best, go(i + 1, room - weight) + value + ($bonus if weight > $heavy else 0))
        return best
    return go(0, $room)
""",
        wrong=(
            _PACK.replace("range($room, weight - 1, -1)", "range(weight, $room + 1)"),
            _PACK.replace("weight > $heavy", "weight >= $heavy"),
        ),
        inputs=lambda rng, p: ([(rng.randint(1, 12), rng.randint(0, 20)) for _ in range(rng.randint(3, 9))],),
        edges=lambda p: [([],), ([(p["room"], 5)],), ([(p["room"] + 1, 5)],), ([(p["heavy"], 1)],), ([(8, 0)],)],
    ),
)
