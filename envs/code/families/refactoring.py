"""Families of refactoring: a right but slow source is given, and the same answers are wanted fast.

The large inputs have so many items that the given source would need minutes; the reference sorts, counts or sums ahead.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_TAIL = " The function below is right but slow: write one that gives the same answers for lists of tens of thousands of items in well under a second."  # noqa: E501


def _numbers(rng: random.Random, low: int, high: int, count: int) -> list[int]:
    return [rng.randint(low, high) for _ in range(count)]


_PAIRS_GIVEN = """def pairs(values):
    total = 0
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            if (values[i] + values[j]) % $m == $r:
                total += 1
    return total
"""


def _draw_pairs(rng: random.Random, level: int) -> dict[str, Any]:
    m = rng.randint(5, 60)
    return {"m": m, "r": rng.randrange(m)}


_PAIRS = Family(
    name="fast-pairs",
    topic="refactoring",
    levels=(2, 3),
    draw=_draw_pairs,
    signature="pairs(values: list[int]) -> int",
    statement="Return the number of index pairs i < j for which values[i] + values[j] leaves the remainder $r when divided by $m (remainders are never negative, also for negative sums). Equal values at different indices count separately."  # noqa: E501
    + _TAIL,
    given=_PAIRS_GIVEN,
    reference="""def pairs(values):
    seen = [0] * $m
    total = 0
    for value in values:
        total += seen[($r - value) % $m]
        seen[value % $m] += 1
    return total
""",
    second="""from collections import Counter

def pairs(values):
    counts = Counter(value % $m for value in values)
    ordered = sum(n * counts.get(($r - rest) % $m, 0) for rest, n in counts.items())
    itself = sum(n for rest, n in counts.items() if 2 * rest % $m == $r)
    return (ordered - itself) // 2
""",
    wrong=(
        """from collections import Counter

def pairs(values):
    counts = Counter(value % $m for value in values)
    return sum(n * counts.get(($r - rest) % $m, 0) for rest, n in counts.items())
""",
    ),
    inputs=lambda rng, params: (_numbers(rng, -99, 99, rng.randint(10, 50)),),
    edges=lambda params: [([],), ([0],), ([params["r"], 0, params["m"], -params["m"]],), ([3] * 6,)],
    large=lambda rng, params: (_numbers(rng, -(10**6), 10**6, 60_000),),
)

_BEHIND_GIVEN = """def behind(values):
    total = 0
    for i in range(len(values)):
        for j in range(i):
            if values[j] > values[i] + $lead:
                total += 1
    return total
"""
_BEHIND = Family(
    name="fast-inversions",
    topic="refactoring",
    levels=(4, 5),
    draw=lambda rng, level: {"lead": rng.randint(-100, 100)},
    signature="behind(values: list[int]) -> int",
    statement="Return the number of index pairs j < i for which values[j] is greater than values[i] + ($lead). The values lie between -1000 and 1000."  # noqa: E501
    + _TAIL,
    given=_BEHIND_GIVEN,
    # A square-root table: two short sums for each value stay below a merge sort in CPython at this range.
    reference="""def behind(values):
    single, block, total, seen = [0] * 4096, [0] * 65, 0, 0
    for value in values:
        limit = value + $lead + 1501
        b = limit >> 6
        total += seen - sum(block[:b]) - sum(single[b << 6:limit])
        single[value + 1500] += 1
        block[(value + 1500) >> 6] += 1
        seen += 1
    return total
""",
    second="""import bisect

def behind(values):
    kept, total = [], 0
    for value in values:
        total += len(kept) - bisect.bisect_right(kept, value + $lead)
        bisect.insort(kept, value)
    return total
""",
    wrong=(
        """import bisect

def behind(values):
    kept, total = [], 0
    for value in values:
        total += len(kept) - bisect.bisect_left(kept, value + $lead)
        bisect.insort(kept, value)
    return total
""",
    ),
    inputs=lambda rng, params: (_numbers(rng, -60 - abs(params["lead"]), 60, rng.randint(10, 50)),),
    edges=lambda params: [([],), ([1],), ([0, -params["lead"], 0, -params["lead"]],), ([-1000, 1000, -1000],)],
    large=lambda rng, params: (_numbers(rng, -1000, 1000, 60_000),),
)

_STRETCH_GIVEN = """def stretch(values):
    best = 0
    for i in range(len(values)):
        for j in range(i, len(values)):
            if sum(values[i:j + 1]) == $goal:
                best = max(best, j - i + 1)
    return best
"""
_STRETCH = Family(
    name="fast-stretch",
    topic="refactoring",
    levels=(3, 4),
    draw=lambda rng, level: {"goal": rng.randint(-90, 90)},
    signature="stretch(values: list[int]) -> int",
    statement="Return the length of the longest stretch of neighbouring values whose sum is exactly $goal; a stretch has at least one value. Values may be negative. Return 0 if there is no such stretch."  # noqa: E501
    + _TAIL,
    given=_STRETCH_GIVEN,
    reference="""def stretch(values):
    first = {0: 0}
    total = best = 0
    for i, value in enumerate(values, 1):
        total += value
        start = first.get(total - $goal)
        if start is not None and i - start > best:
            best = i - start
        first.setdefault(total, i)
    return best
""",
    second="""def stretch(values):
    for size in range(len(values), 0, -1):
        total = sum(values[:size])
        for start in range(len(values) - size + 1):
            if total == $goal:
                return size
            if start + size < len(values):
                total += values[start + size] - values[start]
    return 0
""",
    wrong=(
        """def stretch(values):
    start = total = best = 0
    for i, value in enumerate(values):
        total += value
        while total > $goal and start <= i:
            total -= values[start]
            start += 1
        if total == $goal:
            best = max(best, i - start + 1)
    return best
""",
    ),
    inputs=lambda rng, params: (
        _numbers(rng, -9 - abs(params["goal"]) // 6, 9 + abs(params["goal"]) // 6, rng.randint(10, 40)),
    ),
    edges=lambda params: [([],), ([params["goal"]],), ([0, params["goal"], 0],), ([1, -1, params["goal"], 5, -5],)],
    large=lambda rng, params: (_numbers(rng, -9, 9, 60_000),),
)

_REACH_GIVEN = """def reach(values):
    out = []
    for i in range(len(values)):
        found = -1
        for j in range(i + 1, len(values)):
            if values[j] >= values[i] + $rise:
                found = j - i
                break
        out.append(found)
    return out
"""


def _large_reach(rng: random.Random, params: Params) -> tuple[Any, ...]:
    # Falling on the whole, so that the given source looks to the end from almost everywhere.
    return ([10**6 - 2 * i + rng.randint(0, 1) for i in range(70_000)],)


_REACH = Family(
    name="fast-next-rise",
    topic="refactoring",
    levels=(4, 5),
    draw=lambda rng, level: {"rise": rng.randint(1, 300)},
    signature="reach(values: list[int]) -> list[int]",
    statement="For every index i find the first later index j for which values[j] is at least values[i] + $rise, and return the list of the distances j - i, with -1 where there is no such j."  # noqa: E501
    + _TAIL,
    given=_REACH_GIVEN,
    reference="""from bisect import bisect_left

def reach(values):
    # From the right: indices of values greater than all between them and i, the nearest last.
    # Kept as negated values so that the list ascends and can be bisected.
    out = [-1] * len(values)
    tops, places = [], []
    for i in range(len(values) - 1, -1, -1):
        k = bisect_left(tops, 1 - values[i] - $rise) - 1
        if k >= 0:
            out[i] = places[k] - i
        while tops and -tops[-1] <= values[i]:
            tops.pop()
            places.pop()
        tops.append(-values[i])
        places.append(i)
    return out
""",
    second="""import heapq

def reach(values):
    out, waiting = [-1] * len(values), []
    for j, value in enumerate(values):
        while waiting and waiting[0][0] + $rise <= value:
            i = heapq.heappop(waiting)[1]
            out[i] = j - i
        heapq.heappush(waiting, (value, j))
    return out
""",
    wrong=(
        """def reach(values):
    out, stack = [-1] * len(values), []
    for j, value in enumerate(values):
        while stack and values[stack[-1]] + $rise <= value:
            i = stack.pop()
            out[i] = j - i
        stack.append(j)
    return out
""",
    ),
    inputs=lambda rng, params: (_numbers(rng, 0, 2 * params["rise"] + 9, rng.randint(10, 40)),),
    edges=lambda params: [([],), ([4],), ([0, params["rise"]],), ([0, params["rise"] - 1, params["rise"]],)],
    large=_large_reach,
)

_GAIN = Family(
    name="fast-best-gain",
    topic="refactoring",
    levels=(2, 3),
    draw=lambda rng, level: {"gap": rng.randint(2, 9), "fee": rng.randint(0, 20)},
    signature="gain(values: list[int]) -> int",
    statement="Return the greatest values[j] - values[i] - $fee over all index pairs with j at least i + $gap, or 0 if there is no such pair or none gives more than 0."  # noqa: E501
    + _TAIL,
    given="""def gain(values):
    best = 0
    for i in range(len(values)):
        for j in range(i + $gap, len(values)):
            best = max(best, values[j] - values[i] - $fee)
    return best
""",
    reference="""def gain(values):
    best, least = 0, None
    for early, late in zip(values, values[$gap:]):
        if least is None or early < least:
            least = early
        if late - least - $fee > best:
            best = late - least - $fee
    return best
""",
    second="""from itertools import accumulate

def gain(values):
    tops = list(accumulate(reversed(values), max))[::-1]
    return max([0] + [tops[i + $gap] - values[i] - $fee for i in range(len(values) - $gap)])
""",
    wrong=(
        """def gain(values):
    best, least = 0, 10**9
    for value in values:
        best = max(best, value - least - $fee)
        least = min(least, value)
    return best
""",
    ),
    inputs=lambda rng, params: (_numbers(rng, -50, 50, rng.randint(5, 25)),),
    edges=lambda params: [
        ([],),
        ([5],),
        ([0] + [90] * (params["gap"] - 1) + [50],),
        ([0, 60],),
        ([9, 5, 1],),
        ([0] * (params["gap"] - 1) + [60],),
        ([0] * params["gap"] + [params["fee"] + 1],),
        ([0] * params["gap"] + [params["fee"] + 5, params["fee"] + 6],),
    ],
    large=lambda rng, params: (_numbers(rng, -(10**6), 10**6, 60_000),),
)

_NEAR = Family(
    name="fast-neighbours",
    topic="refactoring",
    levels=(3, 4),
    draw=lambda rng, level: {"far": rng.randint(2, 99 * (level - 1))},
    signature="near(values: list[int]) -> list[int]",
    statement="For every index i return the number of other indices j for which values[i] and values[j] differ by at most $far, as a list in the order of the indices. Equal values at different indices count."  # noqa: E501
    + _TAIL,
    given="""def near(values):
    out = []
    for i in range(len(values)):
        count = 0
        for j in range(len(values)):
            if i != j and abs(values[i] - values[j]) <= $far:
                count += 1
        out.append(count)
    return out
""",
    reference="""from bisect import bisect_left, bisect_right

def near(values):
    rows = sorted(values)
    return [bisect_right(rows, v + $far) - bisect_left(rows, v - $far) - 1 for v in values]
""",
    second="""def near(values):
    places = sorted(range(len(values)), key=lambda i: values[i])
    out, low, high = [0] * len(values), 0, 0
    for i in places:
        while values[places[low]] < values[i] - $far:
            low += 1
        while high < len(places) and values[places[high]] <= values[i] + $far:
            high += 1
        out[i] = high - low - 1
    return out
""",
    wrong=(
        """from bisect import bisect_left

def near(values):
    rows = sorted(values)
    return [bisect_left(rows, v + $far) - bisect_left(rows, v - $far) - 1 for v in values]
""",
    ),
    inputs=lambda rng, params: (_numbers(rng, -3 * params["far"], 3 * params["far"], rng.randint(5, 40)),),
    edges=lambda params: [([],), ([5],), ([0, params["far"], -params["far"], params["far"] + 1],), ([4] * 5,)],
    large=lambda rng, params: (_numbers(rng, -(10**5), 10**5, 50_000),),
)

FAMILIES: tuple[Family, ...] = (_PAIRS, _BEHIND, _STRETCH, _REACH, _GAIN, _NEAR)
