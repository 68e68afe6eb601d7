"""Families over a list of whole numbers with one drawn rule: which values, which places, which replacement.

Most are one comprehension; the last puts two lists together.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]


def _numbers(rng: random.Random, low: int, high: int, most: int = 14) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(0, most))]


def _draw_remainder(rng: random.Random, level: int) -> dict[str, Any]:
    m = rng.randint(2, 24)
    return {"m": m, "r": rng.randrange(m)}


def _pair(low: int, high: int, rng: random.Random) -> dict[str, Any]:
    return dict(zip("ab", rng.sample(range(low, high + 1), 2), strict=True))


FAMILIES: tuple[Family, ...] = (
    Family(
        name="sum-with-remainder",
        topic="lists",
        levels=(1,),
        draw=_draw_remainder,
        signature="sum_some(values: list[int]) -> int",
        statement="Return the sum of those values that leave the remainder $r on division by $m. The remainder of a "
        "negative value is counted from 0 to $m - 1. Equal values count each time; if there are none, return 0.",
        reference="def sum_some(values):\n    return sum(v for v in values if v % $m == $r)\n",
        second="def sum_some(values):\n    return sum(v * ((v - $r) // $m * $m == v - $r) for v in values)\n",
        wrong=(
            "def sum_some(values):\n    return sum(v % $m == $r for v in values)\n",
            "def sum_some(values):\n    return sum({v for v in values if v % $m == $r})\n",
        ),
        inputs=lambda rng, params: (
            [v * params["m"] + params["r"] if rng.random() < 0.6 else v for v in _numbers(rng, -6, 6)],
        ),
        edges=lambda params: [([],), ([params["r"], params["m"] + params["r"]] * 2,), ([-params["m"], -1, 1],)],
    ),
    Family(
        name="replace-values",
        topic="lists",
        levels=(1,),
        draw=lambda rng, level: _pair(-20, 20, rng),
        signature="replaced(values: list[int]) -> list[int]",
        statement="Return a new list in which every value equal to $a is replaced by $b; all other values stay in "
        "their places as they are.",
        reference="def replaced(values):\n    return [$b if v == $a else v for v in values]\n",
        second="def replaced(values):\n    return list(map({$a: $b}.get, values, values))\n",
        wrong=(
            "def replaced(values):\n    values = list(values)\n    if $a in values:\n"
            "        values[values.index($a)] = $b\n    return values\n",
            "def replaced(values):\n    return [v for v in values if v != $a]\n",
        ),
        inputs=lambda rng, params: ([rng.choice([params["a"], v, v]) for v in _numbers(rng, -20, 20)],),
        edges=lambda params: [([],), ([params["a"]] * 3,), ([params["b"], params["a"], params["b"]],)],
    ),
    Family(
        name="drop-both-ends",
        topic="lists",
        levels=(1,),
        draw=lambda rng, level: _pair(1, 15, rng),
        signature="middle(values: list[int]) -> list[int]",
        statement="Return the values without the first $a and without the last $b of them. If the list has no more "
        "than that many values together, return an empty list.",
        reference="def middle(values):\n    return values[$a:-$b]\n",
        second=(
            "def middle(values):\n    n = len(values)\n    return [values[i] for i in range(n) if $a <= i < n - $b]\n"
        ),
        wrong=(
            "def middle(values):\n    return values[$b:-$a]\n",
            "def middle(values):\n    return values[$a : len(values) - $a - $b]\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, -50, 50, 45),),
        edges=lambda params: [([],), ([1, 2],), (list(range(params["a"] + params["b"] + 1)),), (list(range(40)),)],
    ),
    Family(
        name="weigh-by-place",
        topic="lists",
        levels=(1, 2),
        draw=lambda rng, level: _pair(2, 20, rng),
        signature="weighed(values: list[int]) -> list[int]",
        statement="Places are counted from 0. Return a new list in which the values at even places are multiplied by "
        "$a and the values at odd places by $b.",
        reference="def weighed(values):\n    return [v * ($b if i % 2 else $a) for i, v in enumerate(values)]\n",
        second=(
            "def weighed(values):\n    out = [v * $a for v in values]\n"
            "    out[1::2] = [v * $b for v in values[1::2]]\n    return out\n"
        ),
        wrong=(
            "def weighed(values):\n    return [v * ($b if v % 2 else $a) for v in values]\n",
            "def weighed(values):\n    return [v * ($a if i % 2 else $b) for i, v in enumerate(values)]\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, -20, 20),),
        edges=lambda params: [([],), ([1],), ([1, 1],), ([2, 3, 2, 3],)],
    ),
    Family(
        name="greatest-not-above",
        topic="lists",
        levels=(1, 2),
        draw=lambda rng, level: {"t": rng.randint(-30, 30), "none": rng.choice([-1000, -999, -500, -100, -99, 500])},
        signature="greatest(values: list[int]) -> int",
        statement="Return the greatest of the values that are not greater than $t. If there is no such value, also "
        "because the list is empty, return $none.",
        reference="def greatest(values):\n    return max((v for v in values if v <= $t), default=$none)\n",
        second=(
            "def greatest(values):\n    from bisect import bisect_right\n    row = sorted(values)\n"
            "    i = bisect_right(row, $t)\n    return row[i - 1] if i else $none\n"
        ),
        wrong=(
            "def greatest(values):\n    return max((v for v in values if v < $t), default=$none)\n",
            "def greatest(values):\n    return max([v for v in values if v <= $t])\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, params["t"] - 8, params["t"] + 12, 8),),
        edges=lambda params: [([],), ([params["t"]],), ([params["t"] + 1] * 2,), ([params["t"], params["t"] - 5],)],
    ),
    Family(
        name="riffle-two-lists",
        topic="lists",
        levels=(2, 3),
        draw=lambda rng, level: _pair(1, 8 + 4 * level, rng),
        signature="riffle(left: list[int], right: list[int]) -> list[int]",
        statement="Put the two lists together: take the first $a values of left, then the first $b values of right, "
        "then the next $a of left, the next $b of right, and so on. Where a list has fewer values left than wanted, "
        "take those that there are. Go on until both lists are used up.",
        reference=(
            "def riffle(left, right):\n    out, i, j = [], 0, 0\n    while i < len(left) or j < len(right):\n"
            "        out += left[i : i + $a] + right[j : j + $b]\n        i += $a\n        j += $b\n    return out\n"
        ),
        second=(
            "def riffle(left, right):\n    marked = [(i // $a, 0, i, v) for i, v in enumerate(left)]\n"
            "    marked += [(j // $b, 1, j, v) for j, v in enumerate(right)]\n"
            "    return [v for *_, v in sorted(marked)]\n"
        ),
        wrong=(
            "def riffle(left, right):\n    out, i, j = [], 0, 0\n    while i < len(left) and j < len(right):\n"
            "        out += left[i : i + $a] + right[j : j + $b]\n        i += $a\n        j += $b\n    return out\n",
            "def riffle(left, right):\n    out, i, j = [], 0, 0\n    while i < len(left) or j < len(right):\n"
            "        out += right[j : j + $b] + left[i : i + $a]\n        i += $a\n        j += $b\n    return out\n",
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, 99, 40), _numbers(rng, 100, 199, 40)),
        edges=lambda params: [([], []), ([1, 2], []), ([], [3]), (list(range(30)), [50])],
    ),
)
