"""Families of tasks over dictionaries: choose, group, merge, walk, keep accounts.

Where the result has an order it is stated; two dictionaries are equal whatever the order of their keys.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_NAMES = "ada ben cleo dan eva finn gus hal".split()
_WORDS = "none empty missing absent nothing blank gap void lost unknown nil hollow bare nowhere".split()
_JOINTS = "./:>|-+~#%^*@="


def _counts(rng: random.Random, low: int, high: int, most: int = 8) -> dict[str, int]:
    names = rng.sample(_NAMES, rng.randint(0, most))
    return {name: rng.randint(low, high) for name in names}


def _tree(rng: random.Random, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in rng.sample("abcd", rng.randint(0, 3)):
        out[key] = _tree(rng, depth - 1) if depth and rng.random() < 0.6 else rng.choice([0, 1, 5, "", "x", None])
    return out


def _walk_input(rng: random.Random, params: Params) -> tuple[Any, ...]:
    keys = [rng.choice("abcd") for _ in range(rng.randint(1, 3))]
    tree: Any = rng.choice([0, 7, "", None])
    for key in reversed(keys):
        tree = {key: tree}
    if rng.random() < 0.4:
        keys[rng.randrange(len(keys))] = rng.choice("abcd")
    return tree, params["sep"].join(keys)


def _events(rng: random.Random, params: Params) -> tuple[Any, ...]:
    bound = params["start"] + 5
    return ([(rng.choice(_NAMES[:3]), rng.randint(-bound, bound // 2)) for _ in range(rng.randint(0, 14))],)


FAMILIES: tuple[Family, ...] = (
    Family(
        name="ranked-keys",
        topic="dictionaries",
        levels=(2,),
        draw=lambda rng, level: {"t": rng.randint(-150, 150)},
        signature="ranked(scores: dict[str, int]) -> list[str]",
        statement="Return the keys whose value is at least $t, the greatest value first; keys with equal values stand "
        "in alphabetical order.",
        reference=(
            "def ranked(scores):\n    keys = [k for k, v in scores.items() if v >= $t]\n"
            "    return sorted(keys, key=lambda k: (-scores[k], k))\n"
        ),
        second=(
            "def ranked(scores):\n    keys = sorted(scores)\n    keys.sort(key=scores.get, reverse=True)\n"
            "    return [k for k in keys if scores[k] >= $t]\n"
        ),
        wrong=(
            "def ranked(scores):\n    pairs = sorted(((v, k) for k, v in scores.items() if v >= $t), reverse=True)\n"
            "    return [k for v, k in pairs]\n",
        ),
        inputs=lambda rng, params: (_counts(rng, params["t"] - 2, params["t"] + 3),),
        edges=lambda params: [({},), ({"b": params["t"], "a": params["t"]},)],
    ),
    Family(
        name="group-by-remainder",
        topic="dictionaries",
        levels=(2,),
        draw=lambda rng, level: {"m": (m := rng.randint(2, 20)), "a": rng.randint(0, m - 1)},
        signature="grouped(scores: dict[str, int]) -> dict[int, list[str]]",
        statement="Group the keys by the remainder (0 or more) of their value plus $a on division by $m: return a "
        "dictionary from each remainder that occurs to the alphabetical list of its keys.",
        reference=(
            "def grouped(scores):\n    out = {}\n    for k in sorted(scores):\n"
            "        out.setdefault((scores[k] + $a) % $m, []).append(k)\n    return out\n"
        ),
        second=(
            "def grouped(scores):\n    found = {(v + $a) % $m for v in scores.values()}\n"
            "    return {r: sorted(k for k, v in scores.items() if (v + $a) % $m == r) for r in found}\n"
        ),
        wrong=(
            "def grouped(scores):\n    out = {}\n    for k, v in scores.items():\n"
            "        out.setdefault((v + $a) % $m, []).append(k)\n    return out\n",
            "def grouped(scores):\n    return {(v + $a) % $m: [k] for k, v in sorted(scores.items())}\n",
        ),
        inputs=lambda rng, params: (_counts(rng, -20, 40),),
        edges=lambda params: [({},), ({"b": 1, "a": 1},)],
    ),
    Family(
        name="weighted-merge",
        topic="dictionaries",
        levels=(2, 3),
        draw=lambda rng, level: {"w": rng.randint(2, 8 + level), "t": rng.randint(0, 20)},
        signature="merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]",
        statement="Give every key of either dictionary its value in left plus $w times its value in right, a missing "
        "value counting as 0. Return the dictionary of these sums without the keys whose sum is $t or less.",
        reference=(
            "def merge(left, right):\n    sums = dict(left)\n    for k, v in right.items():\n"
            "        sums[k] = sums.get(k, 0) + $w * v\n    return {k: v for k, v in sums.items() if v > $t}\n"
        ),
        second=(
            "def merge(left, right):\n    out = {}\n    for k in sorted(set(left) | set(right)):\n"
            "        total = left.get(k, 0) + right.get(k, 0) * $w\n        if total > $t:\n"
            "            out[k] = total\n    return out\n"
        ),
        wrong=(
            "def merge(left, right):\n    sums = {k: v + $w * right.get(k, 0) for k, v in left.items()}\n"
            "    return {k: v for k, v in sums.items() if v > $t}\n",
            "def merge(left, right):\n    sums = {k: left.get(k, 0) + $w * right.get(k, 0) "
            "for k in {**left, **right}}\n"
            "    return {k: v for k, v in sums.items() if v >= $t}\n",
        ),
        inputs=lambda rng, params: (_counts(rng, -10, 20, 6), _counts(rng, -5, 9, 6)),
        edges=lambda params: [
            ({}, {}),
            ({"x": params["t"]}, {}),
            ({}, {"y": params["t"] + 1}),
            ({"u": params["t"] - 1, "x": params["t"], "y": params["t"] + 1, "z": params["t"] + 2}, {"z": -1}),
        ],
    ),
    Family(
        name="follow-path",
        topic="dictionaries",
        levels=(3,),
        draw=lambda rng, level: {"sep": rng.choice(_JOINTS), "word": rng.choice(_WORDS)},
        signature="follow(tree: dict, path: str) -> object",
        statement="The path is keys joined by `$sep`. Follow them from the outermost dictionary inwards and return the "
        "value that is reached, whatever it is (also None, 0, an empty text or a dictionary). If a key is missing, or "
        "a key is left while the value is no dictionary, return `'$word'`.",
        reference=(
            'def follow(tree, path):\n    for key in path.split("$sep"):\n'
            '        if not isinstance(tree, dict) or key not in tree:\n            return "$word"\n'
            "        tree = tree[key]\n    return tree\n"
        ),
        second=(
            'def follow(tree, path):\n    key, more, rest = path.partition("$sep")\n    try:\n'
            "        value = dict.__getitem__(tree, key)\n    except (KeyError, TypeError):\n"
            '        return "$word"\n    return follow(value, rest) if more else value\n'
        ),
        wrong=(
            'def follow(tree, path):\n    for key in path.split("$sep"):\n'
            '        tree = tree.get(key) if isinstance(tree, dict) else None\n    return tree or "$word"\n',
            'def follow(tree, path):\n    for key in path.split("$sep"):\n'
            '        if key not in tree:\n            return "$word"\n        tree = tree[key]\n    return tree\n',
        ),
        inputs=_walk_input,
        edges=lambda params: [({"a": 0}, "a"), ({}, "a"), ({"a": 1}, f"a{params['sep']}b"), ({"a": {"b": {}}}, "a")],
    ),
    Family(
        name="refused-withdrawals",
        topic="dictionaries",
        levels=(3, 4),
        draw=lambda rng, level: {"start": rng.randint(0, 30), "floor": rng.randint(-20, 0)},
        signature="refused(events: list[tuple[str, int]]) -> dict[str, int]",
        statement="Every name has an account that starts with $start. The events are pairs of a name and an amount, in "
        "order: the amount is added to the account, unless it is negative and would leave the account below $floor; "
        "then it is refused and nothing changes. Return the balance at the end for each name of which at least one "
        "amount was refused, without the other names.",
        reference=(
            "def refused(events):\n    account, names = {}, set()\n    for name, amount in events:\n"
            "        before = account.setdefault(name, $start)\n        if amount < 0 and before + amount < $floor:\n"
            "            names.add(name)\n        else:\n            account[name] += amount\n"
            "    return {name: account[name] for name in names}\n"
        ),
        second=(
            "def refused(events):\n    out = {}\n    for name in {n for n, _ in events}:\n"
            "        balance, count = $start, 0\n        for amount in [a for n, a in events if n == name]:\n"
            "            if amount >= 0 or balance + amount >= $floor:\n                balance += amount\n"
            "            else:\n                count += 1\n        if count:\n            out[name] = balance\n"
            "    return out\n"
        ),
        wrong=(
            "def refused(events):\n    account, names = {}, set()\n    for name, amount in events:\n"
            "        account[name] = account.get(name, $start) + amount\n        if account[name] < $floor:\n"
            "            names.add(name)\n    return {name: account[name] for name in names}\n",
            "def refused(events):\n    account, names = {}, set()\n    for name, amount in events:\n"
            "        before = account.setdefault(name, $start)\n        if amount < 0 and before + amount <= $floor:\n"
            "            names.add(name)\n        else:\n            account[name] += amount\n"
            "    return {name: account[name] for name in names}\n",
        ),
        inputs=_events,
        edges=lambda params: [
            ([],),
            ([("ada", params["floor"] - params["start"])],),
            ([("ada", params["floor"] - params["start"] - 1), ("ada", -1)],),
            ([("ben", -100)] * 3,),
        ],
    ),
    Family(
        name="flatten-tree",
        topic="dictionaries",
        levels=(4,),
        draw=lambda rng, level: {"sep": rng.choice(_JOINTS), "word": rng.choice(_WORDS)},
        signature="flatten(tree: dict) -> dict",
        statement="Return one flat dictionary with an entry for every value in the nested dictionaries that is no "
        "dictionary itself: its key is all keys on the way to it joined by `$sep`, from the outside inwards. An empty "
        "dictionary inside the tree becomes an entry with the value `'$word'`. An empty tree gives an empty "
        "dictionary.",
        reference=(
            "def flatten(tree):\n    out = {}\n    for key, value in tree.items():\n"
            "        if not isinstance(value, dict):\n            out[key] = value\n"
            '        elif not value:\n            out[key] = "$word"\n        else:\n'
            '            for rest, leaf in flatten(value).items():\n                out[key + "$sep" + rest] = leaf\n'
            "    return out\n"
        ),
        second=(
            "def flatten(tree):\n    out, open_ = {}, [([k], v) for k, v in tree.items()]\n    while open_:\n"
            "        path, value = open_.pop()\n        if isinstance(value, dict) and value:\n"
            "            open_ += [(path + [k], v) for k, v in value.items()]\n        else:\n"
            '            out["$sep".join(path)] = "$word" if isinstance(value, dict) else value\n    return out\n'
        ),
        wrong=(
            "def flatten(tree):\n    out = {}\n    for key, value in tree.items():\n"
            "        if isinstance(value, dict):\n            for rest, leaf in flatten(value).items():\n"
            '                out[key + "$sep" + rest] = leaf\n        else:\n            out[key] = value\n'
            "    return out\n",
        ),
        inputs=lambda rng, params: (_tree(rng, 3),),
        edges=lambda params: [({},), ({"a": {}},), ({"a": {"b": {"c": None}}, "d": 0},)],
    ),
)
