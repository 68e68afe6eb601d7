"""Families of refactoring over one long list: repeats, stretches, places before, water, overlaps.

As in all of refactoring, the given source is right and has two loops in each other; the large inputs need one pass.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_TAIL = (
    " The function below is right but slow: write one that gives the same answers for lists of tens of thousands of "
    "items in well under a second."
)


def _numbers(rng: random.Random, low: int, high: int, count: int) -> list[int]:
    return [rng.randint(low, high) for _ in range(count)]


def _draw_stretches(rng: random.Random, level: int) -> dict[str, Any]:
    m = rng.randint(5, 40 + 10 * level)
    return {"m": m, "r": rng.randrange(m)}


def _all_different(rng: random.Random, params: Params) -> tuple[Any, ...]:
    values = list(range(-40_000, 40_000))
    rng.shuffle(values)
    return (values,)


def _far_apart(rng: random.Random, params: Params) -> tuple[Any, ...]:
    values = [i * (params["k"] + 1) for i in range(60_000)]
    rng.shuffle(values)
    return (values,)


_REPEAT_GIVEN = """def repeated(values):
    for i in range(len(values)):
        count = 0
        for j in range(i + 1):
            if values[j] == values[i]:
                count += 1
        if count == $times:
            return $scale * values[i] + $add
    return None
"""
_SAME_GIVEN = """def before(values):
    out = []
    for i in range(len(values)):
        distance = 0
        for j in range(i - 1, -1, -1):
            if values[j] // $k == values[i] // $k:
                distance = i - j
                break
        out.append(distance)
    return out
"""
_SAME = """def before(values):
    out, last = [], {}
    for i, value in enumerate(values):
        key = value // $k
        out.append(i - last.get(key, i))
        last[key] = i
    return out
"""
_STRETCHES_GIVEN = """def stretches(values):
    count = 0
    for i in range(len(values)):
        total = 0
        for j in range(i, len(values)):
            total += values[j]
            if total % $m == $r:
                count += 1
    return count
"""
_STRETCHES = """def stretches(values):
    seen = [0] * $m
    seen[0] = 1
    total = count = 0
    for value in values:
        total = (total + value) % $m
        count += seen[(total - $r) % $m]
        seen[total] += 1
    return count
"""
_FEW_GIVEN = """def longest(values):
    best = 0
    for i in range(len(values)):
        seen = set()
        for j in range(i, len(values)):
            if values[j] != $free:
                seen.add(values[j])
            if len(seen) <= $most and j - i + 1 > best:
                best = j - i + 1
    return best
"""
_FEW = """def longest(values):
    counts, start, best = {}, 0, 0
    for end, value in enumerate(values):
        if value != $free:
            counts[value] = counts.get(value, 0) + 1
        while len(counts) > $most:
            old = values[start]
            start += 1
            if old != $free:
                counts[old] -= 1
                if not counts[old]:
                    del counts[old]
        if end - start + 1 > best:
            best = end - start + 1
    return best
"""
_WATER_GIVEN = """def water(heights):
    total = 0
    for i in range(len(heights)):
        left = right = heights[i]
        for j in range(i):
            if heights[j] > left:
                left = heights[j]
        for j in range(i + 1, len(heights)):
            if heights[j] > right:
                right = heights[j]
        depth = min(left, right) - heights[i]
        if depth >= $least:
            total += min(depth, $most)
    return total
"""
_WATER = """def water(heights):
    rights, top = [], 0
    for height in reversed(heights):
        top = height if height > top else top
        rights.append(top)
    total, left = 0, 0
    for height in heights:
        left = height if height > left else left
        right = rights.pop()
        depth = (left if left < right else right) - height
        if depth >= $least:
            total += depth if depth < $most else $most
    return total
"""
_OVERLAP_GIVEN = """def busiest(visits):
    best = 0
    for start, _ in visits:
        count = 0
        for other, length in visits:
            if other <= start < other + length + $pad:
                count += 1
        best = max(best, count)
    return best * $price
"""
_OVERLAP = """def busiest(visits):
    begins = sorted(start for start, _ in visits)
    ends = sorted(start + length + $pad for start, length in visits)
    best = gone = 0
    for count, start in enumerate(begins, 1):
        while ends[gone] <= start:
            gone += 1
        if count - gone > best:
            best = count - gone
    return best * $price
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="fast-first-repeat",
        topic="refactoring",
        levels=(2,),
        draw=lambda rng, level: {"times": rng.randint(2, 4), "scale": rng.randint(2, 12), "add": rng.randint(1, 30)},
        signature="repeated(values: list[int]) -> int | None",
        statement="Go through the values from the left. At the first place where a value occurs for time number $times "
        "(counted with its earlier places), stop and return $scale times that value plus $add. If no value occurs so "
        "often, return None." + _TAIL,
        given=_REPEAT_GIVEN,
        reference="""def repeated(values):
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
        if counts[value] == $times:
            return $scale * value + $add
    return None
""",
        second="""def repeated(values):
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    ends = [j for i, j in zip(order, order[$times - 1 :]) if values[i] == values[j]]
    return $scale * values[min(ends)] + $add if ends else None
""",
        wrong=(
            """from collections import Counter


def repeated(values):
    counts = Counter(values)
    return next(($scale * v + $add for v in values if counts[v] >= $times), None)
""",
            """def repeated(values):
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
        if counts[value] > $times:
            return $scale * value + $add
    return None
""",
        ),
        inputs=lambda rng, params: (_numbers(rng, -5, 5, rng.randint(3, 24)),),
        edges=lambda p: [([],), ([4] * p["times"],), ([4] * (p["times"] - 1),), ([1, 2, *[2] * p["times"], *[1] * 9],)],
        large=_all_different,
    ),
    Family(
        name="fast-same-before",
        topic="refactoring",
        levels=(2, 3),
        draw=lambda rng, level: {"k": rng.randint(2, 200)},
        signature="before(values: list[int]) -> list[int]",
        statement="Two values belong together if dividing them by $k and rounding down gives the same whole number "
        "(rounding down also below zero). For every place return how many places back the nearest earlier value "
        "stands that belongs together with the value there, and 0 where there is none." + _TAIL,
        given=_SAME_GIVEN,
        reference=_SAME,
        second="""def before(values):
    places = {}
    for i, value in enumerate(values):
        places.setdefault((value - value % $k), []).append(i)
    out = [0] * len(values)
    for row in places.values():
        for i, j in zip(row, row[1:]):
            out[j] = j - i
    return out
""",
        wrong=(
            _SAME.replace("value // $k", "int(value / $k)"),
            _SAME.replace("last[key] = i", "last.setdefault(key, i)"),
        ),
        inputs=lambda rng, params: (_numbers(rng, -3 * params["k"], 3 * params["k"], rng.randint(5, 40)),),
        edges=lambda p: [([],), ([0],), ([-1, 1, 0, p["k"] - 1, p["k"]],), ([7] * 4,)],
        large=_far_apart,
    ),
    Family(
        name="fast-stretches-by-remainder",
        topic="refactoring",
        levels=(3, 4),
        draw=_draw_stretches,
        signature="stretches(values: list[int]) -> int",
        statement="Return how many stretches of one or more neighbouring values have a sum that leaves the remainder "
        "$r when divided by $m (remainders are never negative). Values may be negative." + _TAIL,
        given=_STRETCHES_GIVEN,
        reference=_STRETCHES,
        second="""from collections import Counter
from itertools import accumulate


def stretches(values):
    rests = [total % $m for total in accumulate(values, initial=0)]
    later, count = Counter(rests), 0
    for rest in rests:
        later[rest] -= 1
        count += later[(rest + $r) % $m]
    return count
""",
        wrong=(
            _STRETCHES.replace("    seen[0] = 1\n", ""),
            _STRETCHES.replace("(total - $r)", "($r - total)"),
        ),
        inputs=lambda rng, params: (_numbers(rng, -params["m"], params["m"], rng.randint(10, 40)),),
        edges=lambda p: [([],), ([p["r"]],), ([p["r"] - p["m"], p["m"], 0],), ([1] * 45,)],
        large=lambda rng, params: (_numbers(rng, -(10**6), 10**6, 60_000),),
    ),
    Family(
        name="fast-few-values",
        topic="refactoring",
        levels=(3, 4),
        draw=lambda rng, level: {"most": rng.randint(2, 3 * level), "free": rng.randint(0, 20)},
        signature="longest(values: list[int]) -> int",
        statement="Return the length of the longest stretch of neighbouring values with at most $most different "
        "values, where the value $free is not counted as one (it may stand in a stretch as often as it likes). An "
        "empty list gives 0." + _TAIL,
        given=_FEW_GIVEN,
        reference=_FEW,
        second="""def longest(values):
    def fits(size):
        counts, kinds = {}, 0
        for i, value in enumerate(values):
            if value != $free:
                counts[value] = counts.get(value, 0) + 1
                kinds += counts[value] == 1
            if i >= size and values[i - size] != $free:
                counts[values[i - size]] -= 1
                kinds -= counts[values[i - size]] == 0
            if i >= size - 1 and kinds <= $most:
                return True
        return False

    low, high = 0, len(values)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
""",
        wrong=(
            _FEW.replace("if value != $free", "if True").replace("if old != $free", "if True"),
            _FEW.replace("len(counts) > $most", "len(counts) >= $most"),
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 21, rng.randint(20, 45)),),
        edges=lambda p: [([],), ([p["free"]] * 5,), ([*range(30)],), ([p["free"], *range(p["most"] + 2), p["free"]],)],
        large=lambda rng, params: (_numbers(rng, 0, 60, 50_000),),
    ),
    Family(
        name="fast-water",
        topic="refactoring",
        levels=(4, 5),
        draw=lambda rng, level: {"least": rng.randint(1, 6), "most": rng.randint(8, 10 * level)},
        signature="water(heights: list[int]) -> int",
        statement="The heights (0 or more) are those of posts in a row, each one wide, and rain fills what lies "
        "between higher posts. The depth over a post is the smaller of two numbers less the height of the post: the "
        "greatest height from the first post up to it, and the greatest from it to the last, itself included in both. "
        "A depth below $least counts nothing, and a depth above $most counts $most. Return the sum over "
        "all posts." + _TAIL,
        given=_WATER_GIVEN,
        reference=_WATER,
        second="""def water(heights):
    total, i, j, left, right = 0, 0, len(heights) - 1, 0, 0
    while i <= j:
        left, right = max(left, heights[i]), max(right, heights[j])
        if left <= right:
            depth, i = left - heights[i], i + 1
        else:
            depth, j = right - heights[j], j - 1
        total += (depth >= $least) * min(depth, $most)
    return total
""",
        wrong=(
            _WATER.replace("depth >= $least", "depth > $least"),
            _WATER.replace("total += depth if depth < $most else $most", "total += depth"),
            _WATER.replace("(left if left < right else right)", "left"),
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 2 * params["most"], rng.randint(5, 40)),),
        edges=lambda p: [([],), ([5],), ([90, 0, 90],), ([9, 9 - p["least"], 9],), ([0, 9, 0],), ([70, 3, 40, 1, 50],)],
        large=lambda rng, params: (_numbers(rng, 0, 10**6, 60_000),),
    ),
    Family(
        name="fast-busiest",
        topic="refactoring",
        levels=(4, 5),
        draw=lambda rng, level: {"pad": rng.randint(1, 15 * (level - 2)), "price": rng.randint(2, 30)},
        signature="busiest(visits: list[list[int]]) -> int",
        statement="Each visit is a list [start, length], both whole numbers and the length at least 1. It takes up a "
        "place from its start (included) to its start plus its length plus $pad (not included). Return $price times "
        "the greatest number of places that are taken up at the same moment; without visits 0." + _TAIL,
        given=_OVERLAP_GIVEN,
        reference=_OVERLAP,
        second="""def busiest(visits):
    events = []
    for start, length in visits:
        events += [(start, 1), (start + length + $pad, -1)]
    now = best = 0
    for _, change in sorted(events):
        now += change
        best = max(best, now)
    return $price * best
""",
        wrong=(
            _OVERLAP.replace("ends[gone] <= start", "ends[gone] < start"),
            _OVERLAP.replace("start + length + $pad for", "start + length for"),
        ),
        inputs=lambda rng, params: ([[rng.randint(-100, 100), rng.randint(1, 30)] for _ in range(rng.randint(3, 30))],),
        edges=lambda p: [([],), ([[0, 1]],), ([[0, 5], [5 + p["pad"], 1]],), ([[0, 5], [5 + p["pad"] - 1, 1]],)],
        large=lambda rng, params: ([[rng.randint(-(10**6), 10**6), rng.randint(1, 1000)] for _ in range(50_000)],),
    ),
)
