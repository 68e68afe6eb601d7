"""Families of tasks over whole numbers: remainders, digits, tariffs, sequences, counting.

Every answer is a whole number, so that no task hangs on rounding.
"""

from __future__ import annotations

import random
from math import lcm
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)


def _draw_range(rng: random.Random, level: int) -> dict[str, Any]:
    low = rng.randint(-40, 20)
    return {"low": low, "high": low + rng.randint(5, 40)}


def _draw_shift(rng: random.Random, level: int) -> dict[str, Any]:
    m = rng.randint(3, 30)
    return {"a": rng.randint(1, m - 1), "m": m}


def _draw_remainder(rng: random.Random, level: int) -> dict[str, Any]:
    m = rng.randint(3, 20)
    return {"m": m, "r": rng.randint(1, m - 1)}


def _draw_pair(rng: random.Random, level: int) -> dict[str, Any]:
    """Draw two numbers of which neither divides the other: else one of them would say nothing."""
    while True:
        a, b = sorted(rng.sample(range(2, 10 + 8 * level), 2))
        if b % a:
            return {"a": a, "b": b}


def _draw_steps(rng: random.Random, level: int) -> dict[str, Any]:
    a, b, c = sorted(rng.sample(range(1, 13), 3))
    return {"a": a, "b": b, "c": c}


def _draw_tariff(rng: random.Random, level: int) -> dict[str, Any]:
    p, q, r = rng.sample(range(2, 15), 3)
    return {"n": rng.randint(3, 20), "m": rng.randint(3, 20), "p": p, "q": q, "r": r}


def _draw_base(rng: random.Random, level: int) -> dict[str, Any]:
    base = rng.randint(3, 20)
    return {"base": base, "t": rng.randint(1, base - 1)}


def _orbit(n: int, a: int, c: int, m: int) -> int:
    seen: set[int] = set()
    while n not in seen:
        seen.add(n)
        n = (a * n * n + c) % m
    return len(seen)


def _draw_orbit(rng: random.Random, level: int) -> dict[str, Any]:
    """Draw until the answers for small n vary: with some constants nearly every n gives the same one."""
    while True:
        params = {"a": rng.randint(2, 9), "c": rng.randint(1, 9), "m": rng.randint(11, 60)}
        if len({_orbit(n, **params) for n in range(params["m"])}) >= 4:
            return params


def _tempting(params: Params) -> int:
    """Return a number whose digit sum is right but that is divisible, as is forbidden in next-fitting."""
    return next(n for n in range(1, 1_000_000) if sum(map(int, str(n))) % params["m"] == 0 and n % params["d"] == 0)


def _fitting(params: Params) -> int:
    """Return a number that itself has the property asked for in next-fitting."""
    return next(n for n in range(1, 100_000) if sum(map(int, str(n))) % params["m"] == 0 and n % params["d"])


FAMILIES: tuple[Family, ...] = (
    Family(
        name="times-plus",
        topic="numbers",
        levels=(1,),
        draw=lambda rng, level: {"a": rng.randint(2, 12), "b": rng.randint(1, 30)},
        signature="times_plus(x: int) -> int",
        statement="Return $a times x, plus $b. x may be negative or zero.",
        reference="def times_plus(x):\n    return $a * x + $b\n",
        second="def times_plus(x):\n    return sum([x] * $a, $b)\n",
        wrong=("def times_plus(x):\n    return $a * (x + $b)\n",),
        inputs=lambda rng, params: (rng.randint(-100, 100),),
        edges=lambda params: [(0,), (-1,)],
    ),
    Family(
        name="shifted-remainder",
        topic="numbers",
        levels=(1,),
        draw=_draw_shift,
        signature="remainder(x: int) -> int",
        statement="Return the remainder of x + $a on division by $m, as a number from 0 to $m - 1, also where x + $a "
        "is negative.",
        reference="def remainder(x):\n    return (x + $a) % $m\n",
        second="def remainder(x):\n    return (x + $a) - (x + $a) // $m * $m\n",
        wrong=(
            "import math\n\n\ndef remainder(x):\n    return int(math.fmod(x + $a, $m))\n",
            "def remainder(x):\n    return x + $a % $m\n",
        ),
        inputs=lambda rng, params: (rng.randint(-200, 200),),
        edges=lambda params: [(0,), (-params["a"],), (-params["a"] - 1,)],
    ),
    Family(
        name="clamp-number",
        topic="numbers",
        levels=(1,),
        draw=_draw_range,
        signature="clamp(x: int) -> int",
        statement="Return x if it lies between $low and $high (both included); $low if it is smaller; $high if it is "
        "greater.",
        reference="def clamp(x):\n    return max($low, min($high, x))\n",
        second="def clamp(x):\n    return sorted([$low, x, $high])[1]\n",
        wrong=("def clamp(x):\n    return min($low, max($high, x))\n", "def clamp(x):\n    return min($high, x)\n"),
        inputs=lambda rng, params: (rng.randint(params["low"] - 30, params["high"] + 30),),
        edges=lambda params: [(params["low"],), (params["high"],), (params["low"] - 1,), (params["high"] + 1,)],
    ),
    Family(
        name="next-with-remainder",
        topic="numbers",
        levels=(2,),
        draw=_draw_remainder,
        signature="next_number(x: int) -> int",
        statement="Return the smallest whole number that is at least x and leaves the remainder $r on division by $m. "
        "x may be negative; the remainder of a negative number is counted from 0 to $m - 1.",
        reference="def next_number(x):\n    return x + ($r - x) % $m\n",
        second="def next_number(x):\n    while x % $m != $r:\n        x += 1\n    return x\n",
        wrong=(
            "def next_number(x):\n    return x // $m * $m + $m + $r\n",
            "def next_number(x):\n    x += 1\n    while x % $m != $r:\n        x += 1\n    return x\n",
        ),
        inputs=lambda rng, params: (rng.randint(-100, 200),),
        edges=lambda params: [(0,), (params["r"],), (params["r"] + 1,), (params["r"] - params["m"],)],
    ),
    Family(
        name="large-digits",
        topic="numbers",
        levels=(2, 3),
        draw=_draw_base,
        signature="digit_sum(x: int) -> int",
        statement="Write the absolute value of x in base $base and return the sum (an ordinary number) of those of "
        "its digits that are at least $t. Zero gives 0.",
        reference=(
            "def digit_sum(x):\n    x, total = abs(x), 0\n    while x:\n        x, digit = divmod(x, $base)\n"
            "        if digit >= $t:\n            total += digit\n    return total\n"
        ),
        second=(
            "def digit_sum(x):\n    x = abs(x)\n    digits = [x // $base**i % $base for i in range(40)]\n"
            "    return sum(d for d in digits if d >= $t)\n"
        ),
        wrong=(
            "def digit_sum(x):\n    total = 0\n    while x > 0:\n        if x % $base >= $t:\n"
            "            total += x % $base\n        x //= $base\n    return total\n",
            "def digit_sum(x):\n    x, total = abs(x), 0\n    while x:\n        x, digit = divmod(x, $base)\n"
            "        if digit > $t:\n            total += digit\n    return total\n",
        ),
        inputs=lambda rng, params: (rng.choice([1, 1, -1]) * rng.randint(0, 10 ** rng.randint(1, 9)),),
        edges=lambda params: [(0,), (params["t"],), (-params["base"] * params["t"],)],
    ),
    Family(
        name="count-multiples",
        topic="numbers",
        levels=(2, 3),
        draw=_draw_pair,
        signature="count_multiples(low: int, high: int) -> int",
        statement="Return how many whole numbers from low to high, both included, can be divided by $a or by $b "
        "without remainder. A number divisible by both counts once; zero is divisible. If low is greater than high, "
        "return 0.",
        reference=(
            "from math import lcm\n\n\ndef count_multiples(low, high):\n    if low > high:\n        return 0\n\n"
            "    def count(m):\n        return high // m - (low - 1) // m\n\n"
            "    return count($a) + count($b) - count(lcm($a, $b))\n"
        ),
        second=(
            "def count_multiples(low, high):\n"
            "    return sum(n % $a == 0 or n % $b == 0 for n in range(low, high + 1))\n"
        ),
        wrong=(
            "def count_multiples(low, high):\n    return sum((n % $a == 0) + (n % $b == 0) "
            "for n in range(low, high + 1))\n",
            "def count_multiples(low, high):\n    return sum(n % $a == 0 or n % $b == 0 for n in range(low, high))\n",
        ),
        inputs=lambda rng, params: (rng.randint(-60, 40), rng.randint(-20, 200)),
        edges=lambda params: [
            (0, 0),
            (5, 4),
            (-1, params["a"]),
            (1, params["a"] * params["b"]),
            (3 * max(params["a"], params["b"]), 1),
            (1, lcm(params["a"], params["b"]) - 1),
            (1, lcm(params["a"], params["b"])),
        ],
    ),
    Family(
        name="tariff",
        topic="numbers",
        levels=(2, 3),
        draw=_draw_tariff,
        signature="price(units: int) -> int",
        statement="The first $n units cost $p each, the next $m units $q each, and all further units $r each. Return "
        "what the given number of units costs together. Zero or fewer units cost 0.",
        reference=(
            "def price(units):\n    first = max(0, min(units, $n))\n    next_ = max(0, min(units - $n, $m))\n"
            "    return first * $p + next_ * $q + max(0, units - $n - $m) * $r\n"
        ),
        second=(
            "def price(units):\n    return sum($p if i < $n else $q if i < $n + $m else $r for i in range(units))\n"
        ),
        wrong=(
            "def price(units):\n    units = max(0, units)\n"
            "    return units * ($p if units <= $n else $q if units <= $n + $m else $r)\n",
            "def price(units):\n    if units <= $n:\n        return units * $p\n    if units <= $n + $m:\n"
            "        return $n * $p + (units - $n) * $q\n"
            "    return $n * $p + $m * $q + (units - $n - $m) * $r\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 60),),
        edges=lambda params: [(0,), (-3,), (params["n"],), (params["n"] + 1,), (params["n"] + params["m"],)],
    ),
    Family(
        name="values-visited",
        topic="numbers",
        levels=(3,),
        draw=_draw_orbit,
        signature="visited(n: int) -> int",
        statement="Start with the number n (0 or more) and again and again replace the number x by the remainder of "
        "$a * x * x + $c on division by $m. Return how many different numbers occur, n itself included.",
        reference=(
            "def visited(n):\n    seen = set()\n    while n not in seen:\n        seen.add(n)\n"
            "        n = ($a * n * n + $c) % $m\n    return len(seen)\n"
        ),
        second=(
            "def visited(n):\n    row = [n]\n    for _ in range($m + 2):\n"
            "        row.append(($a * row[-1] ** 2 + $c) % $m)\n"
            "    return next(i for i, x in enumerate(row) if x in row[:i])\n"
        ),
        wrong=(
            "def visited(n):\n    row = []\n    while n not in row:\n        row.append(n)\n"
            "        n = ($a * n * n + $c) % $m\n    return len(row) - row.index(n)\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 5 * params["m"]),),
        edges=lambda params: [(0,), (params["m"],), (params["m"] - 1,)],
    ),
    Family(
        name="next-fitting",
        topic="numbers",
        levels=(3,),
        draw=lambda rng, level: {"m": rng.choice([4, 5, 7, 8, 10, 11, 13, 14, 16, 17]), "d": rng.choice(_PRIMES)},
        signature="next_fitting(n: int) -> int",
        statement="Return the smallest whole number greater than n (n itself is not allowed) whose decimal digits sum "
        "to a multiple of $m and that is not divisible by $d. n is 0 or more.",
        reference=(
            "def next_fitting(n):\n    n += 1\n    while sum(map(int, str(n))) % $m or n % $d == 0:\n        n += 1\n"
            "    return n\n"
        ),
        second=(
            "def digits(n):\n    return n and n % 10 + digits(n // 10)\n\n\ndef next_fitting(n):\n"
            "    return next(x for x in range(n + 1, n + 10**6) if digits(x) % $m == 0 and x % $d)\n"
        ),
        wrong=(
            "def next_fitting(n):\n    while sum(map(int, str(n))) % $m or n % $d == 0:\n        n += 1\n"
            "    return n\n",
            "def next_fitting(n):\n    n += 1\n    while sum(map(int, str(n))) % $m:\n        n += 1\n    return n\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 10 ** rng.randint(1, 4)),),
        edges=lambda params: [(0,), (_fitting(params),), (_tempting(params) - 1,), *((50 * i,) for i in range(1, 9))],
    ),
    Family(
        name="stair-ways",
        topic="numbers",
        levels=(4,),
        draw=_draw_steps,
        signature="ways(n: int) -> int",
        statement="Return in how many ways n can be written as a sum of the numbers $a, $b and $c, where each may be "
        "used any number of times and sums in a different order are different ways. For n = 0 there is one way (the "
        "empty sum), for a negative n none.",
        reference=(
            "def ways(n):\n    if n < 0:\n        return 0\n    table = [1] + [0] * n\n    for i in range(1, n + 1):\n"
            "        table[i] = sum(table[i - s] for s in ($a, $b, $c) if s <= i)\n    return table[n]\n"
        ),
        second=(
            "from math import factorial as f\n\n\ndef ways(n):\n    total = 0\n"
            "    for i in range(n // $a + 1):\n        for j in range((n - i * $a) // $b + 1):\n"
            "            k, rest = divmod(n - i * $a - j * $b, $c)\n            if not rest:\n"
            "                total += f(i + j + k) // f(i) // f(j) // f(k)\n    return total\n"
        ),
        wrong=(
            "def ways(n):\n    table = [1] + [0] * max(n, 0)\n    for s in ($a, $b, $c):\n"
            "        for i in range(s, n + 1):\n            table[i] += table[i - s]\n    return table[n]\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 50),),
        edges=lambda params: [(0,), (-1,), (params["a"],), (params["a"] + params["b"],)],
    ),
)
