"""Families of tasks over a list of whole numbers: pick, count, group, look ahead.

The argument is never to be changed in place; a test that compares only what comes back does not see it.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]


def _numbers(rng: random.Random, low: int, high: int, least: int = 0, most: int = 14) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(least, most))]


def _draw_weights(rng: random.Random, level: int) -> dict[str, Any]:
    a, b = rng.sample(range(2, 16), 2)
    return {"a": a, "b": b}


def _draw_bounds(rng: random.Random, level: int) -> dict[str, Any]:
    low = rng.randint(-20, 10)
    return {"low": low, "high": low + rng.randint(3, 15)}


FAMILIES: tuple[Family, ...] = (
    Family(
        name="weighted-ends",
        topic="lists",
        levels=(1,),
        draw=_draw_weights,
        signature="weigh_ends(values: list[int]) -> int",
        statement="Return $a times the first value plus $b times the last value. The list has at least one value; if "
        "it has exactly one, that value is the first and the last.",
        reference="def weigh_ends(values):\n    return $a * values[0] + $b * values[-1]\n",
        second="def weigh_ends(values):\n    first, *_ = values\n    *_, last = values\n"
        "    return first * $a + last * $b\n",
        wrong=("def weigh_ends(values):\n    return $b * values[0] + $a * values[-1]\n",),
        inputs=lambda rng, params: (_numbers(rng, -20, 20, 1),),
        edges=lambda params: [([7],), ([1, 0],), ([0, 1],)],
    ),
    Family(
        name="count-between",
        topic="lists",
        levels=(1,),
        draw=_draw_bounds,
        signature="count_between(values: list[int]) -> int",
        statement="Return how many of the values are at least $low and at most $high. Equal values count each time.",
        reference="def count_between(values):\n    return sum($low <= v <= $high for v in values)\n",
        second="def count_between(values):\n    return len([v for v in values if v in range($low, $high + 1)])\n",
        wrong=(
            "def count_between(values):\n    return sum($low < v < $high for v in values)\n",
            "def count_between(values):\n    return len({v for v in values if $low <= v <= $high})\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, params["low"] - 4, params["high"] + 4),),
        edges=lambda params: [([],), ([params["low"], params["high"]],), ([params["low"] + 1] * 3,)],
    ),
    Family(
        name="every-kth",
        topic="lists",
        levels=(1,),
        draw=lambda rng, level: {"i": rng.randint(1, 15), "k": rng.randint(2, 12)},
        signature="every_kth(values: list[int]) -> list[int]",
        statement="Return the value at index $i (counted from 0) and from there on every value $k places further, in "
        "order. If the list ends before index $i, return an empty list.",
        reference="def every_kth(values):\n    return values[$i::$k]\n",
        second="def every_kth(values):\n    return [values[j] for j in range($i, len(values), $k)]\n",
        wrong=("def every_kth(values):\n    return values[::$k][$i:]\n",),
        inputs=lambda rng, params: (_numbers(rng, -20, 20, 0, 30),),
        edges=lambda params: [([],), (list(range(params["i"] + 1)),), (list(range(40)),)],
    ),
    Family(
        name="move-to-end",
        topic="lists",
        levels=(2,),
        draw=lambda rng, level: {"v": rng.randint(-99, 99)},
        signature="move_to_end(values: list[int]) -> list[int]",
        statement="Return a new list in which all values equal to $v stand at the end and all others before them in "
        "their old order.",
        reference=(
            "def move_to_end(values):\n    rest = [v for v in values if v != $v]\n"
            "    return rest + [$v] * (len(values) - len(rest))\n"
        ),
        second="def move_to_end(values):\n    return sorted(values, key=lambda v: v == $v)\n",
        wrong=(
            "def move_to_end(values):\n    values = list(values)\n    if $v in values:\n"
            "        values.remove($v)\n        values.append($v)\n    return values\n",
        ),
        inputs=lambda rng, params: ([v if rng.random() < 0.7 else params["v"] for v in _numbers(rng, -30, 30)],),
        edges=lambda params: [([],), ([params["v"]] * 2,), ([params["v"], 99, params["v"], -99],)],
    ),
    Family(
        name="pairs-divisible",
        topic="lists",
        levels=(2, 3),
        draw=lambda rng, level: {"m": rng.randint(2, 8 + 4 * level), "t": rng.randint(0, 12)},
        signature="count_pairs(values: list[int]) -> int",
        statement="Count the pairs of positions i < j for which the sum of the two values can be divided by $m "
        "without remainder and their difference, taken as positive, is at least $t.",
        reference=(
            "def count_pairs(values):\n    count = 0\n    for j in range(len(values)):\n        for i in range(j):\n"
            "            a, b = values[i], values[j]\n            count += (a + b) % $m == 0 and abs(a - b) >= $t\n"
            "    return count\n"
        ),
        second=(
            "from itertools import combinations\n\n\ndef count_pairs(values):\n"
            "    pairs = combinations(sorted(values), 2)\n"
            "    return len([1 for a, b in pairs if (a + b) % $m == 0 and b - a >= $t])\n"
        ),
        wrong=(
            "def count_pairs(values):\n    n = len(values)\n    return sum((values[i] + values[j]) % $m == 0 and "
            "abs(values[i] - values[j]) >= $t for i in range(n) for j in range(n))\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, -15, 25, 4, 14),),
        edges=lambda params: [
            ([],),
            ([params["m"]],),
            # Two values exactly the threshold apart whose sum is a multiple: 2 * x + t = 0 modulo m.
            *(([x, x + params["t"]],) for x in range(params["m"])),
            (list(range(params["t"] + 1)) * 3,),
        ],
    ),
    Family(
        name="close-groups",
        topic="lists",
        levels=(3,),
        draw=lambda rng, level: {"g": rng.randint(1, 24), "s": rng.randint(2, 9)},
        signature="groups(values: list[int]) -> list[list[int]]",
        statement="Sort the values in rising order and cut them into groups: neighbours stay in one group if they "
        "differ by at most $g. Return, in rising order, the groups that have at least $s values. Equal values are "
        "all kept. An empty list gives an empty list.",
        reference=(
            "def groups(values):\n    found = []\n    for v in sorted(values):\n"
            "        if found and v - found[-1][-1] <= $g:\n            found[-1].append(v)\n"
            "        else:\n            found.append([v])\n    return [g for g in found if len(g) >= $s]\n"
        ),
        second=(
            "def groups(values):\n    row = sorted(values)\n"
            "    cuts = [0] + [i for i in range(1, len(row)) if row[i] - row[i - 1] > $g] + [len(row)]\n"
            "    return [row[i:j] for i, j in zip(cuts, cuts[1:]) if j - i >= $s]\n"
        ),
        wrong=(
            "def groups(values):\n    found, group = [], []\n    for v in sorted(values):\n"
            "        if group and v - group[-1] > $g:\n            if len(group) >= $s:\n"
            "                found.append(group)\n            group = []\n        group.append(v)\n    return found\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 12 * params["g"], 0, 30),),
        edges=lambda params: [([],), ([5] * 8,), ([params["g"] * i for i in range(9)],)],
    ),
    Family(
        name="calm-stretch",
        topic="lists",
        levels=(3,),
        draw=lambda rng, level: {"d": rng.randint(1, 9), "low": rng.randint(-15, 9)},
        signature="calm(values: list[int]) -> int",
        statement="Return the length of the longest stretch of consecutive values that are all at least $low and in "
        "which neighbours differ by at most $d. A single value of at least $low is a stretch of length 1; if there is "
        "none, return 0.",
        reference=(
            "def calm(values):\n    best = run = 0\n    for i, v in enumerate(values):\n        if v < $low:\n"
            "            run = 0\n        elif run and abs(v - values[i - 1]) <= $d:\n            run += 1\n"
            "        else:\n            run = 1\n        best = max(best, run)\n    return best\n"
        ),
        second=(
            "def calm(values):\n    n, best = len(values), 0\n    for i in range(n):\n"
            "        for j in range(i + 1, n + 1):\n            part = values[i:j]\n"
            "            steps = [abs(a - b) for a, b in zip(part, part[1:])]\n"
            "            if min(part) >= $low and max(steps, default=0) <= $d:\n"
            "                best = max(best, j - i)\n    return best\n"
        ),
        wrong=(
            "def calm(values):\n    best = run = 0\n    for i, v in enumerate(values):\n        if v < $low:\n"
            "            run = 0\n        elif i and abs(v - values[i - 1]) <= $d:\n            run += 1\n"
            "        else:\n            run = 0\n        best = max(best, run)\n    return best\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, params["low"] - 3, params["low"] + 2 * params["d"], 0, 16),),
        edges=lambda params: [([],), ([params["low"]],), ([params["low"] - 1] * 4,), ([50, 20, 50],)],
    ),
    Family(
        name="wait-for-rise",
        topic="lists",
        levels=(3, 4),
        draw=lambda rng, level: {"d": rng.randint(2, 90 if level == 3 else 300)},
        signature="waits(values: list[int]) -> list[int]",
        statement="For every value return how many places further the first later value stands that is greater by at "
        "least $d; 0 where there is none. The result is as long as the list.",
        reference=(
            "def waits(values):\n    out = []\n    for i, v in enumerate(values):\n"
            "        out.append(next((j - i for j in range(i + 1, len(values)) if values[j] - v >= $d), 0))\n"
            "    return out\n"
        ),
        second=(
            "import heapq\n\n\ndef waits(values):\n    out, open_ = [0] * len(values), []\n"
            "    for j, v in enumerate(values):\n        while open_ and open_[0][0] + $d <= v:\n"
            "            i = heapq.heappop(open_)[1]\n            out[i] = j - i\n"
            "        heapq.heappush(open_, (v, j))\n    return out\n"
        ),
        wrong=(
            "def waits(values):\n    return [next((j - i for j in range(i + 1, len(values)) if values[j] - v > $d), 0) "
            "for i, v in enumerate(values)]\n",
            "def waits(values):\n    return [next((j - i for j in range(i + 1, len(values)) if values[j] > v), 0) "
            "for i, v in enumerate(values)]\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 3 * params["d"]),),
        edges=lambda params: [([],), ([3],), ([0, 1, params["d"], 1 + params["d"]],)],
    ),
    Family(
        name="best-long-part",
        topic="lists",
        levels=(4,),
        draw=lambda rng, level: {"k": rng.randint(2, 8), "c": rng.randint(0, 30)},
        signature="best_part(values: list[int]) -> int | None",
        statement="Consider every part of the list that consists of at least $k consecutive values. A part is worth "
        "the sum of its values less $c for each value in it. Return the greatest worth, which may be negative, or "
        "None if the list has fewer than $k values.",
        reference=(
            "def best_part(values):\n    if len(values) < $k:\n        return None\n    sums = [0]\n"
            "    for v in values:\n        sums.append(sums[-1] + v - $c)\n    low, best = sums[0], None\n"
            "    for j in range($k, len(sums)):\n        low = min(low, sums[j - $k])\n"
            "        if best is None or sums[j] - low > best:\n            best = sums[j] - low\n    return best\n"
        ),
        second=(
            "def best_part(values):\n    n = len(values)\n    return max((sum(values[i:j]) - $c * (j - i) "
            "for i in range(n) for j in range(i + $k, n + 1)), default=None)\n"
        ),
        wrong=(
            "def best_part(values):\n    n = len(values)\n    return max((sum(values[i:i + $k]) - $c * $k "
            "for i in range(n - $k + 1)), default=None)\n",
            "def best_part(values):\n    n = len(values)\n    return max((sum(values[i:j]) - $c * (j - i) "
            "for i in range(n) for j in range(i + 1, n + 1)), default=None)\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, params["c"] - 12, params["c"] + 14, 0, 14),),
        edges=lambda params: [([],), ([1] * (params["k"] - 1),), ([-5] * params["k"],)],
    ),
)
