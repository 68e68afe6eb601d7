"""Families over a dictionary with one drawn rule: look up, raise, rename, filter, add up; and lists of parts.

The argument is never to be changed in place. Two dictionaries are equal whatever the order of their keys.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_ITEMS = "apple bread candle door egg flour glass honey ink jam kettle lemon milk nail oil".split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _counts(rng: random.Random, names: list[str], low: int, high: int, most: int = 7) -> dict[str, int]:
    return {name: rng.randint(low, high) for name in rng.sample(names, rng.randint(0, min(most, len(names))))}


def _draw_rename(rng: random.Random, level: int) -> dict[str, Any]:
    old, new = rng.sample(_ITEMS, 2)
    return {"old": old, "new": new}


def _rename_input(rng: random.Random, params: Params) -> tuple[Any, ...]:
    names = list(dict.fromkeys([params["old"], params["new"], *_ITEMS[:3]]))
    return (_counts(rng, names, 0, 9),)


def _draw_between(rng: random.Random, level: int) -> dict[str, Any]:
    low = rng.randint(-20, 20)
    return {"low": low, "high": low + rng.randint(2, 20)}


def _parts(rng: random.Random, params: Params) -> tuple[Any, ...]:
    """A catalogue in which every item needs only items that come later: the last ones are basic parts."""
    names = rng.sample(_ITEMS, rng.randint(2, 8))
    num_built = rng.randint(0, len(names) - 1)
    needs = {}
    for i, name in enumerate(names[:num_built]):
        later = names[i + 1 :]
        needs[name] = {part: rng.randint(1, 6) for part in rng.sample(later, rng.randint(1, min(3, len(later))))}
    return dict(sorted(needs.items())), names[0]


FAMILIES: tuple[Family, ...] = (
    Family(
        name="price-or-default",
        topic="dictionaries",
        levels=(1,),
        draw=lambda rng, level: {"k": rng.randint(2, 9), "d": rng.randint(1, 40)},
        signature="cost(prices: dict[str, int], item: str) -> int",
        statement="Return what $k pieces of the item cost: $k times its price in the dictionary. An item that is not "
        "in the dictionary has the price $d; a price of 0 in the dictionary is 0.",
        reference="def cost(prices, item):\n    return $k * prices.get(item, $d)\n",
        second="def cost(prices, item):\n    return sum([prices[item] if item in prices else $d] * $k)\n",
        wrong=(
            "def cost(prices, item):\n    return $k * (prices.get(item) or $d)\n",
            "def cost(prices, item):\n    return prices.get(item, $d)\n",
            "def cost(prices, item):\n    return $k * prices.get(item, 0)\n",
        ),
        inputs=lambda rng, params: (_counts(rng, _ITEMS[:6], 0, 30), rng.choice(_ITEMS[:7])),
        edges=lambda params: [({}, "egg"), ({"egg": 0}, "egg"), ({"egg": 1}, "ink")],
    ),
    Family(
        name="keep-values-between",
        topic="dictionaries",
        levels=(1,),
        draw=_draw_between,
        signature="kept(entries: dict[str, int]) -> dict[str, int]",
        statement="Return a new dictionary with those entries whose value is at least $low and less than $high.",
        reference="def kept(entries):\n    return {k: v for k, v in entries.items() if $low <= v < $high}\n",
        second=(
            "def kept(entries):\n    out = dict(entries)\n    for k in entries:\n"
            "        if out[k] not in range($low, $high):\n            del out[k]\n    return out\n"
        ),
        wrong=(
            "def kept(entries):\n    return {k: v for k, v in entries.items() if $low <= v <= $high}\n",
            "def kept(entries):\n    return {k: v for k, v in entries.items() if $low < v < $high}\n",
            "def kept(entries):\n    return [k for k, v in entries.items() if $low <= v < $high]\n",
        ),
        inputs=lambda rng, params: (_counts(rng, _ITEMS, params["low"] - 5, params["high"] + 5, 12),),
        edges=lambda params: [
            ({},),
            ({"egg": params["low"], "ink": params["high"]},),
            ({"jam": params["high"] - 1},),
            (
                {
                    "egg": params["low"] - 1,
                    "fig": params["low"] + 1,
                    "ink": params["high"] + 1,
                    "jam": params["high"] - 2,
                },
            ),
        ],
    ),
    Family(
        name="raise-one-entry",
        topic="dictionaries",
        levels=(1,),
        draw=lambda rng, level: {"key": rng.choice(_ITEMS), "n": rng.randint(1, 40)},
        signature="raised(counts: dict[str, int]) -> dict[str, int]",
        statement="Return a new dictionary like the one given, but with the value under `$key` greater by $n. If the "
        "key is missing, it counts as 0 before.",
        reference='def raised(counts):\n    return {**counts, "$key": counts.get("$key", 0) + $n}\n',
        second=(
            "def raised(counts):\n    out = dict(counts)\n"
            '    out["$key"] = sum([out.pop("$key", 0), $n])\n    return out\n'
        ),
        wrong=(
            'def raised(counts):\n    out = dict(counts)\n    out["$key"] += $n\n    return out\n',
            'def raised(counts):\n    return {**counts, "$key": $n}\n',
            'def raised(counts):\n    return {k: v + $n * (k == "$key") for k, v in counts.items()}\n',
        ),
        inputs=lambda rng, params: (_counts(rng, [*_ITEMS[:3], params["key"]], 1, 30),),
        edges=lambda params: [({},), ({params["key"]: 5},), ({"other": 1},)],
    ),
    Family(
        name="total-by-letter",
        topic="dictionaries",
        levels=(1,),
        draw=lambda rng, level: {"letter": rng.choice(_LETTERS), "k": rng.randint(2, 12)},
        signature="total(counts: dict[str, int]) -> int",
        statement="Return $k times the sum of the values whose keys begin with the letter `$letter`. Keys are not "
        "empty and have only small letters; if there is no such key, return 0.",
        reference='def total(counts):\n    return $k * sum(v for key, v in counts.items() if key[0] == "$letter")\n',
        second=(
            'def total(counts):\n    keys = [key for key in counts if key.find("$letter") == 0]\n'
            "    return sum(counts[key] * $k for key in keys)\n"
        ),
        wrong=(
            'def total(counts):\n    return $k * sum(v for key, v in counts.items() if "$letter" in key)\n',
            'def total(counts):\n    return $k * sum(key[0] == "$letter" for key in counts)\n',
        ),
        inputs=lambda rng, params: (
            {
                "".join(rng.choice(params["letter"] + "abr") for _ in range(3)): rng.randint(1, 30)
                for _ in range(rng.randint(0, 8))
            },
        ),
        edges=lambda params: [
            ({},),
            ({params["letter"]: 7},),
            ({"q" + params["letter"]: 7, "z" + params["letter"]: 3},),
        ],
    ),
    Family(
        name="rename-entry",
        topic="dictionaries",
        levels=(2,),
        draw=_draw_rename,
        signature="renamed(entries: dict[str, int]) -> dict[str, int]",
        statement="If the dictionary has the key `$old`, return a new one in which the value of `$old` stands under "
        "`$new` instead, in place of any value that stood under `$new` before, and the key `$old` is gone. Otherwise "
        "return a dictionary with the same entries.",
        reference=(
            'def renamed(entries):\n    out = {k: v for k, v in entries.items() if k != "$old"}\n'
            '    if "$old" in entries:\n        out["$new"] = entries["$old"]\n    return out\n'
        ),
        second=(
            "def renamed(entries):\n    out = dict(entries)\n    moved = [out.pop(k) for k in entries if k == '$old']\n"
            "    for value in moved:\n        out.update($new=value)\n    return out\n"
        ),
        wrong=(
            'def renamed(entries):\n    return {"$new" if k == "$old" else k: v for k, v in entries.items()}\n',
            'def renamed(entries):\n    out = dict(entries)\n    if out.get("$old"):\n'
            '        out["$new"] = out.pop("$old")\n    return out\n',
        ),
        inputs=_rename_input,
        edges=lambda params: [({},), ({params["old"]: 1, params["new"]: 2},), ({params["old"]: 0},)],
    ),
    Family(
        name="packs-of-parts",
        topic="dictionaries",
        levels=(4, 5),
        draw=lambda rng, level: {"pack": rng.randint(2, 6 + 5 * level), "spare": rng.randint(0, 9)},
        signature="packs(needs: dict[str, dict[str, int]], item: str) -> dict[str, int]",
        statement="needs says for each item that is built which parts one piece of it takes, and how many of each; "
        "these may be built themselves. What is not a key of needs is a basic part and is bought. Return how many "
        "packs of $pack pieces of each basic part must be bought to build one piece of the item and have at least "
        "$spare pieces of that basic part to spare; only basic parts that the item takes stand in the result. If the "
        "item is a basic part, one piece of it is needed. No item needs itself, directly or not.",
        reference="""def packs(needs, item):
    pieces = {}

    def add(name, count):
        if name not in needs:
            pieces[name] = pieces.get(name, 0) + count
            return
        for part, times in needs[name].items():
            add(part, count * times)

    add(item, 1)
    return {name: -(-(count + $spare) // $pack) for name, count in pieces.items()}
""",
        second="""def packs(needs, item):
    want = {item: 1}
    while any(name in needs for name in want):
        later = {}
        for name, count in want.items():
            for part, times in needs.get(name, {name: 1}).items():
                later[part] = later.get(part, 0) + count * times
        want = later
    return {name: (count + $spare + $pack - 1) // $pack for name, count in want.items()}
""",
        wrong=(
            """from math import ceil


def packs(needs, item):
    if item not in needs:
        return {item: ceil((1 + $spare) / $pack)}
    out = {}
    for part, times in needs[item].items():
        for name, count in packs(needs, part).items():
            out[name] = out.get(name, 0) + count * times
    return out
""",
            """def packs(needs, item):
    want, todo = {}, [(item, 1)]
    for name, count in todo:
        if name in needs:
            todo += [(part, times) for part, times in needs[name].items()]
        else:
            want[name] = want.get(name, 0) + count
    return {name: -(-(count + $spare) // $pack) for name, count in want.items()}
""",
        ),
        inputs=_parts,
        edges=lambda params: [
            ({}, "egg"),
            ({"jam": {"lemon": params["pack"]}}, "jam"),
            ({"jam": {"lemon": 7, "honey": 3}, "ink": {"jam": 5, "lemon": 4}}, "ink"),
        ],
    ),
)
