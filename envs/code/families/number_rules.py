"""Families over whole numbers with a short rule: round, share out, compare, name; and one that counts by digits.

All but the last two are one expression. Numbers may be negative where the statement does not say otherwise.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_WORDS = "tick tock ping pong red blue flip flop hot cold left right zig zag moo baa hip hop".split()


def _draw_nearer(rng: random.Random, level: int) -> dict[str, Any]:
    a = rng.randint(-40, 20)
    return {"a": a, "b": a + rng.randint(4, 40)}


def _draw_words(rng: random.Random, level: int) -> dict[str, Any]:
    a, b = sorted(rng.sample([2, 3, 4, 5, 6, 7, 9] if level == 1 else [4, 6, 8, 9, 10, 12], 2))
    one, two = rng.sample(_WORDS, 2)
    return {"a": a, "b": b, "one": one, "two": two}


def _edges_of_digit_sums(params: Params) -> list[tuple[Any, ...]]:
    m, d = params["m"], params["d"]
    top = 9 if d != 9 else 8
    fitting = [
        int(f"{a}{b}" + str(top) * ((total - a - b) // top))
        for total in (m - 1, m, m + 1)
        for a, b in [(a, b) for a in range(1, 10) for b in range(10) if d not in (a, b)]
        if total >= a + b and (total - a - b) % top == 0
    ]
    sums = {sum(map(int, str(n))): n for n in fitting}  # one number without the digit for each sum
    return [(n,) for n in (0, 1, m, 999, 10**15, d * 100, *(n + k for n in sums.values() for k in (-1, 0)))]


FAMILIES: tuple[Family, ...] = (
    Family(
        name="round-up-plus",
        topic="numbers",
        levels=(1,),
        draw=lambda rng, level: {"m": rng.randint(3, 30), "c": rng.randint(1, 20)},
        signature="round_up(x: int) -> int",
        statement="Round x up to the next multiple of $m (a multiple of $m stays as it is; x may be negative) and "
        "return that number plus $c.",
        reference="def round_up(x):\n    return -(-x // $m) * $m + $c\n",
        second="def round_up(x):\n    while x % $m:\n        x += 1\n    return x + $c\n",
        wrong=(
            "def round_up(x):\n    return (x // $m + 1) * $m + $c\n",
            "def round_up(x):\n    return round(x / $m) * $m + $c\n",
        ),
        inputs=lambda rng, params: (rng.randint(-100, 300),),
        edges=lambda params: [(0,), (params["m"],), (-params["m"] - 1,), (params["m"] + 1,)],
    ),
    Family(
        name="nearer-of-two",
        topic="numbers",
        levels=(1,),
        draw=_draw_nearer,
        signature="distance(x: int) -> int",
        statement="Return the distance from x to whichever of the two numbers $a and $b is nearer to it. A distance is "
        "never negative.",
        reference="def distance(x):\n    return min(abs(x - ($a)), abs(x - ($b)))\n",
        second="def distance(x):\n    steps = 0\n    while x - steps not in ($a, $b) and x + steps not in ($a, $b):\n"
        "        steps += 1\n    return steps\n",
        wrong=(
            "def distance(x):\n    return abs(min(x - ($a), x - ($b)))\n",
            "def distance(x):\n    return min(abs(x) - abs($a), abs(x) - abs($b))\n",
        ),
        inputs=lambda rng, params: (rng.randint(-90, 90),),
        edges=lambda params: [(0,), (params["a"],), (params["b"],), ((params["a"] + params["b"]) // 2,)],
    ),
    Family(
        name="reduced-price",
        topic="numbers",
        levels=(1, 2),
        draw=lambda rng, level: {"p": rng.randint(3, 60), "t": rng.randint(5, 60) * 10},
        signature="price(cents: int) -> int",
        statement="A price of at least $t cents is reduced by $p percent of it, where the reduction is rounded down to "
        "whole cents. A lower price stays as it is. Return what is to be paid, in cents; the argument is 0 or more.",
        reference="def price(cents):\n    return cents - cents * $p // 100 if cents >= $t else cents\n",
        second=(
            "def price(cents):\n    if cents < $t:\n        return cents\n    return (cents * (100 - $p) + 99) // 100\n"
        ),
        wrong=(
            "def price(cents):\n    return cents - cents * $p // 100 if cents > $t else cents\n",
            "def price(cents):\n    return cents * (100 - $p) // 100 if cents >= $t else cents\n",
            "def price(cents):\n    return cents - cents * $p // 100\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 3 * params["t"]),),
        edges=lambda params: [(0,), (params["t"],), (params["t"] - 1,), (params["t"] + 1,), (params["t"] + 33,)],
    ),
    Family(
        name="words-for-multiples",
        topic="numbers",
        levels=(1, 2),
        draw=_draw_words,
        signature="say(x: int) -> str",
        statement="Return `$one` if x can be divided by $a without remainder, `$two` if by $b, and `$one$two` (both "
        "words, nothing between) if by both. Otherwise return x in decimal as a text. Zero can be divided by both.",
        reference='def say(x):\n    return ("$one" * (x % $a == 0) + "$two" * (x % $b == 0)) or str(x)\n',
        second=(
            "def say(x):\n    table = {(True, True): '$one$two', (True, False): '$one', (False, True): '$two'}\n"
            "    return table.get((x % $a == 0, x % $b == 0), str(x))\n"
        ),
        wrong=(
            'def say(x):\n    return "$one" if x % $a == 0 else "$two" if x % $b == 0 else str(x)\n',
            'def say(x):\n    if x % ($a * $b) == 0 and x:\n        return "$one$two"\n'
            '    return "$one" if x % $a == 0 else "$two" if x % $b == 0 else str(x)\n',
        ),
        inputs=lambda rng, params: (rng.randint(-60, 200),),
        edges=lambda params: [(0,), (params["a"],), (params["b"],), (params["a"] * params["b"],)],
    ),
    Family(
        name="crates-and-boxes",
        topic="numbers",
        levels=(1, 2),
        draw=lambda rng, level: dict(zip("ab", rng.sample(range(3, 20), 2), strict=True)),
        signature="share_out(pieces: int) -> list[int]",
        statement="A box holds $b pieces and a crate holds $a boxes. Return how the pieces (0 or more) are packed with "
        "as many full crates as can be, then as many full boxes as can be: a list of the number of crates, of boxes "
        "outside crates, and of pieces outside boxes.",
        reference="def share_out(pieces):\n    return [pieces // ($a * $b), pieces // $b % $a, pieces % $b]\n",
        second=(
            "def share_out(pieces):\n    crates, left = divmod(pieces, $a * $b)\n    boxes, left = divmod(left, $b)\n"
            "    return [crates, boxes, left]\n"
        ),
        wrong=(
            "def share_out(pieces):\n    return [pieces // ($a * $b), pieces // $b, pieces % $b]\n",
            "def share_out(pieces):\n    return [pieces // ($a * $b), pieces // $a % $b, pieces % $a]\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 5 * params["a"] * params["b"]),),
        edges=lambda params: [(0,), (params["b"],), (params["a"] * params["b"],), (params["a"] * params["b"] - 1,)],
    ),
    Family(
        name="power-sum-remainder",
        topic="numbers",
        levels=(1, 2),
        draw=lambda rng, level: {"k": rng.randint(2, 3 + level), "m": rng.randint(11, 40 + 30 * level)},
        signature="power_sum(n: int) -> int",
        statement="Return the remainder on division by $m of the sum 1**$k + 2**$k + ... + n**$k, n included, where "
        "** is the power. For n = 0 the sum is 0; n is never negative.",
        reference="def power_sum(n):\n    return sum(i**$k for i in range(1, n + 1)) % $m\n",
        second=(
            "def power_sum(n):\n    total = 0\n    while n:\n        total = (total + pow(n, $k, $m)) % $m\n"
            "        n -= 1\n    return total\n"
        ),
        wrong=(
            "def power_sum(n):\n    return sum(i**$k for i in range(1, n)) % $m\n",
            "def power_sum(n):\n    return sum(i**$k % $m for i in range(1, n + 1))\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 60),),
        edges=lambda params: [(0,), (1,), (params["m"],)],
    ),
    Family(
        name="count-by-digit-sum",
        topic="numbers",
        levels=(5,),
        draw=lambda rng, level: {"m": rng.randint(3, 23), "d": rng.randint(1, 9)},
        signature="count_fitting(n: int) -> int",
        statement="Return how many whole numbers from 1 to n, n included, have decimal digits that sum to a multiple "
        "of $m and do not contain the digit $d. n is between 0 and 10**15, and the answer must come in well under a "
        "second also for the largest n.",
        reference="""def count_fitting(n):
    loose, tight, total = {}, 0, 0
    alive = True
    for i, c in enumerate(map(int, str(n))):
        new = {}
        for rest, ways in loose.items():
            for digit in range(10):
                if digit != $d:
                    key = (rest + digit) % $m
                    new[key] = new.get(key, 0) + ways
        if alive:
            for digit in range(c):
                if digit != $d:
                    key = (tight + digit) % $m
                    new[key] = new.get(key, 0) + 1
            tight += c
            alive = c != $d
        loose = new
    return loose.get(0, 0) + (alive and tight % $m == 0) - 1
""",
        second="""from functools import cache


@cache
def free(places, rest):
    if places == 0:
        return int(rest % $m == 0)
    return sum(free(places - 1, (rest + digit) % $m) for digit in range(10) if digit != $d)


def count_fitting(n):
    digits, total, rest = str(n + 1), 0, 0
    for i, c in enumerate(digits):
        for digit in range(int(c)):
            if digit != $d:
                total += free(len(digits) - i - 1, (rest + digit) % $m)
        if int(c) == $d:
            break
        rest += int(c)
    return total - 1
""",
        wrong=(
            "def count_fitting(n):\n    n = min(n, 3000)\n"
            "    return sum(sum(map(int, str(x))) % $m == 0 and '$d' not in str(x) for x in range(1, n))\n",
            "def count_fitting(n):\n    n = min(n, 3000)\n"
            "    return sum(sum(map(int, str(x))) % $m == 0 for x in range(1, n + 1))\n",
        ),
        inputs=lambda rng, params: (rng.randint(0, 10 ** rng.randint(1, 15)),),
        edges=_edges_of_digit_sums,
    ),
)
