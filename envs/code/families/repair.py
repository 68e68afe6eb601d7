"""Families of repair: a source with one planted bug, which the statement does not name.

The statement says in full what the function must do, so that a rewrite from nothing is a valid answer too.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _numbers(rng: random.Random, low: int, high: int, most: int) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(0, most))]


_SPANS = """def merge(spans):
    out = []
    for low, high in sorted(spans):
        if high - low < $least:
            continue
        if out and low - out[-1][1] <= $gap:
            out[-1][1] = PLANTED
        else:
            out.append([low, high])
    return out
"""
_MERGE = Family(
    name="repair-merge-spans",
    topic="repair",
    levels=(2, 3),
    draw=lambda rng, level: {"gap": rng.randint(0, 9 + 2 * level), "least": rng.randint(1, 12)},
    signature="merge(spans: list[list[int]]) -> list[list[int]]",
    statement="""Each span is a list [low, high] with low <= high. Drop the spans with high - low below $least. Then merge the others: two spans belong together if the later one begins at most $gap after the end of the earlier one (or overlaps it), and so on through chains. Return the merged spans [low, high] in ascending order; each reaches from the least low to the greatest high of its members. An empty list gives an empty list. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_SPANS.replace("PLANTED", "max(out[-1][1], high)"),
    second="""def merge(spans):
    rest = [list(s) for s in spans if s[1] - s[0] >= $least]
    changed = True
    while changed:
        changed = False
        for i in range(len(rest)):
            for j in range(i + 1, len(rest)):
                a, b = rest[i], rest[j]
                if not changed and a[0] - b[1] <= $gap and b[0] - a[1] <= $gap:
                    rest[i] = [min(a[0], b[0]), max(a[1], b[1])]
                    del rest[j]
                    changed = True
                    break
            if changed:
                break
    return sorted(rest)
""",
    given=_SPANS.replace("PLANTED", "high"),
    wrong=(_SPANS.replace("PLANTED", "high"),),
    inputs=lambda rng, params: ([[low, low + rng.randint(0, 25)] for low in _numbers(rng, -60, 60, 9)],),
    edges=lambda params: [
        ([],),
        ([[0, 30], [1, 9], [20, 40]],),
        ([[5, 5]],),
        ([[0, 15], [15 + params["gap"], 40]],),
        # The later span ends before the earlier one.
        ([[0, 50], [1, 2 + params["least"]]],),
    ],
)

_SEARCH_SOURCE = """def place(values, target):
    low, high = 0, PLANTED
    while low < high:
        middle = (low + high) // 2
        if values[middle] + $shift < target:
            low = middle + 1
        else:
            high = middle
    return low * $scale
"""
_SEARCH = Family(
    name="repair-binary-search",
    topic="repair",
    levels=(2, 3),
    draw=lambda rng, level: {"shift": rng.randint(-20, 20), "scale": rng.randint(1, 4 + level)},
    signature="place(values: list[int], target: int) -> int",
    statement="""`values` is sorted in ascending order and may hold repeats. Let p be the number of values v with v + ($shift) below `target`. Return p times $scale. The list may be empty, and `target` may be less or greater than everything in it. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_SEARCH_SOURCE.replace("PLANTED", "len(values)"),
    second="""def place(values, target):
    return $scale * sum(v + $shift < target for v in values)
""",
    given=_SEARCH_SOURCE.replace("PLANTED", "len(values) - 1"),
    wrong=(_SEARCH_SOURCE.replace("PLANTED", "len(values) - 1"),),
    inputs=lambda rng, params: (sorted(_numbers(rng, -20, 20, 12)), rng.randint(-30, 30)),
    edges=lambda params: [([], 0), ([3], 90), ([3], -90), ([1, 1, 1, 1], 1 + params["shift"]), ([1, 1, 1], 60)],
)

_BRACKETS_SOURCE = """def broken_at(text):
    pairs = {"$c1": "$o1", "$c2": "$o2"}
    stack = []
    for i, mark in enumerate(text):
        if mark in pairs.values():
            if len(stack) == $depth:
                return i
            stack.append(mark)
        elif mark in pairs:
            if PLANTED:
                return i
            stack.pop()
    return -1 if not stack else len(text)
"""


def _draw_brackets(rng: random.Random, level: int) -> dict[str, Any]:
    one, two = sorted(rng.sample(["()", "[]", "{}", "<>", "bd", "/!", "+-", "^_", "pq", ":;", "SZ"], 2))
    return {"o1": one[0], "c1": one[1], "o2": two[0], "c2": two[1], "depth": rng.randint(3, 6)}


def _in_brackets(rng: random.Random, params: Params) -> tuple[Any, ...]:
    closer = {params["o1"]: params["c1"], params["o2"]: params["c2"]}
    stack: list[str] = []
    text = ""
    for _ in range(rng.randint(0, 16)):
        if stack and rng.random() < 0.55:
            text += stack.pop()
        else:
            opener = rng.choice(list(closer))
            stack.append(closer[opener])
            text += opener + rng.choice(["", "x"])
    text += "".join(reversed(stack))
    if text and rng.random() < 0.6:
        i = rng.randrange(len(text))
        text = text[:i] + rng.choice(["", *closer, *closer.values()]) + text[i + 1 :]
    return (text,)


_BRACKETS = Family(
    name="repair-brackets",
    topic="repair",
    levels=(3, 4),
    draw=_draw_brackets,
    signature="broken_at(text: str) -> int",
    statement="""In `text` the marks $o1 and $o2 open, and $c1 and $c2 close them in this order; all other characters mean nothing. A mark that closes must close the opener opened last among those still open. At most $depth openers may be open at once. Return the index of the first character that breaks one of these rules (a closing mark that does not fit or has nothing to close, or an opener too many). If there is none, return -1 if everything is closed at the end, and the length of the text otherwise. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_BRACKETS_SOURCE.replace("PLANTED", "not stack or stack[-1] != pairs[mark]"),
    second="""def broken_at(text):
    def status(part):
        kept = "".join(c for c in part if c in "$o1$c1$o2$c2")
        while "$o1$c1" in kept or "$o2$c2" in kept:
            kept = kept.replace("$o1$c1", "").replace("$o2$c2", "")
        return kept
    for i in range(len(text)):
        left = status(text[: i + 1])
        if "$c1" in left or "$c2" in left or len(left) > $depth:
            return i
    return len(text) if status(text) else -1
""",
    given=_BRACKETS_SOURCE.replace("PLANTED", "stack and stack[-1] != pairs[mark]"),
    wrong=(
        _BRACKETS_SOURCE.replace("PLANTED", "stack and stack[-1] != pairs[mark]"),
        _BRACKETS_SOURCE.replace("PLANTED", "not stack"),
    ),
    inputs=_in_brackets,
    edges=lambda params: [
        ("",),
        (params["c1"],),
        (params["o1"] + params["c2"],),
        (params["o2"] * (params["depth"] + 1),),
        (params["o2"] * params["depth"],),
        (params["o1"] + params["c1"] + params["c1"],),
    ],
)

_RUNS_SOURCE = """def runs(values):
    out = []
    current = []
    for value in values:
        if current and abs(value - current[-1]) > $jump:
            if len(current) >= $least:
                out.append(sum(current))
            current = []
        current.append(value)
PLANTED    return out
"""


def _in_runs(rng: random.Random, params: Params) -> tuple[Any, ...]:
    value, out = 0, []
    for _ in range(rng.randint(0, 30)):
        value += rng.randint(-params["jump"], params["jump"]) * (1 if rng.random() < 0.85 else 3)
        out.append(value)
    return (out,)


def _edges_of_runs(params: Params) -> list[tuple[Any, ...]]:
    jump, least = params["jump"], params["least"]
    far = jump + 1
    runs = [far * (i % 2) for i, more in enumerate((-1, 0, 1, 0, -1)) for _ in range(least + more)]
    return [
        ([],),
        ([5],),
        ([4] * 9,),
        ([0, jump, 0, far, 0],),
        ([1] * least,),
        ([1] * (least - 1),),
        (runs,),
        ([i * jump for i in range(least)] + [far + i * jump for i in range(least - 1, -1, -1)],),
    ]


_RUNS = Family(
    name="repair-runs",
    topic="repair",
    levels=(2, 3),
    draw=lambda rng, level: {"jump": rng.randint(1, 14 + 2 * level), "least": rng.randint(1, 9)},
    signature="runs(values: list[int]) -> list[int]",
    statement="""Cut `values` into runs: a new run begins wherever a value differs from the one just before it by more than $jump. Return the sums of the runs that have at least $least values, in order. An empty list has no runs. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_RUNS_SOURCE.replace(
        "PLANTED", "    if current and len(current) >= $least:\n        out.append(sum(current))\n"
    ),
    second="""def runs(values):
    cuts = [0] + [i for i in range(1, len(values)) if not -$jump <= values[i] - values[i - 1] <= $jump] + [len(values)]
    return [sum(values[a:b]) for a, b in zip(cuts, cuts[1:]) if b - a >= $least and b > a]
""",
    given=_RUNS_SOURCE.replace("PLANTED", ""),
    wrong=(_RUNS_SOURCE.replace("PLANTED", ""),),
    inputs=_in_runs,
    edges=_edges_of_runs,
)

_ORDER_SOURCE = """def order(needs):
    left = {job: set(before) for job, before in needs.items()}
    for before in needs.values():
        for job in before:
            left.setdefault(job, set())
    out = []
    while left:
        ready = sorted((job for job in left if not left[job]), reverse=$reverse)
        if not ready:
            return ["$stuck"]
        for job in PLANTED:
            out.append(job)
            del left[job]
            for before in left.values():
                before.discard(job)
    return out
"""


def _draw_order(rng: random.Random, level: int) -> dict[str, Any]:
    reverse = rng.random() < 0.5
    words = ["stuck", "cycle", "loop", "never", "blocked", "circular", "halt", "deadlock", "knot", "ring", "impossible"]
    words += [f"error {i}" for i in range(1, 100)]
    return {"reverse": reverse, "rule": "last" if reverse else "first", "stuck": rng.choice(words)}


def _in_order(rng: random.Random, params: Params) -> tuple[Any, ...]:
    jobs = rng.sample("abcdefghijkl", rng.randint(2, 9))
    back = rng.random() < 0.2
    needs = {job: rng.sample(jobs if back else jobs[:i], rng.randint(0, min(i, 2))) for i, job in enumerate(jobs)}
    shuffled = list(needs)
    rng.shuffle(shuffled)
    return ({job: needs[job] for job in shuffled},)


_ORDER = Family(
    name="repair-job-order",
    topic="repair",
    levels=(4, 5),
    draw=_draw_order,
    signature="order(needs: dict[str, list[str]]) -> list[str]",
    statement="""`needs` maps a job to the jobs that must be done before it; a job that stands only in such a list needs nothing. Return all jobs, each once, in the order in which one worker does them: each time the worker looks at all jobs that are not done and whose needs are all done, takes the one that comes $rule in alphabetical order, and then looks anew. If at some time jobs are left and none can be taken, return the list with the one word "$stuck". No jobs give an empty list. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_ORDER_SOURCE.replace("PLANTED", "ready[:1]"),
    second="""import heapq

def order(needs):
    jobs = set(needs) | {b for before in needs.values() for b in before}
    sign = -1 if $reverse else 1
    names = sorted(jobs)
    rank = {job: sign * i for i, job in enumerate(names)}
    count = {job: len(set(needs.get(job, ()))) for job in jobs}
    heap = [rank[job] for job in jobs if not count[job]]
    heapq.heapify(heap)
    out = []
    while heap:
        job = names[sign * heapq.heappop(heap)]
        out.append(job)
        for other, before in needs.items():
            if job in before:
                count[other] -= 1
                if not count[other]:
                    heapq.heappush(heap, rank[other])
    return out if len(out) == len(jobs) else ["$stuck"]
""",
    given=_ORDER_SOURCE.replace("PLANTED", "ready"),
    wrong=(_ORDER_SOURCE.replace("PLANTED", "ready"),),
    inputs=_in_order,
    edges=lambda params: [
        ({},),
        ({"a": ["a"]},),
        ({"a": [], "b": ["a"], "c": []},),
        ({"c": [], "b": ["c"], "a": []},),
        ({"x": ["y", "y"]},),
    ],
)

_WINDOW_SOURCE = """def spread(values):
    out = []
    for i in range(PLANTED):
        window = sorted(values[i:i + $width])
        out.append(window[-1] - window[$skip])
    return out[::$every]
"""


def _draw_window(rng: random.Random, level: int) -> dict[str, Any]:
    width = rng.randint(3, 6 + 2 * level)
    return {"width": width, "skip": rng.randint(0, width - 2), "every": rng.randint(1, 4)}


_WINDOW = Family(
    name="repair-window-spread",
    topic="repair",
    levels=(2, 3),
    draw=_draw_window,
    signature="spread(values: list[int]) -> list[int]",
    statement="""Look at every stretch of $width neighbouring values, from left to right. Its spread is its greatest value minus the value at index $skip (counted from 0) of the stretch sorted in ascending order. Return the spreads at the indices 0, $every, 2 * $every, ... of all spreads. With fewer than $width values return an empty list. The function below does not do this in all cases: repair it.""",  # noqa: E501
    reference=_WINDOW_SOURCE.replace("PLANTED", "len(values) - $width + 1"),
    second="""import bisect

def spread(values):
    window, out = [], []
    for i, value in enumerate(values):
        bisect.insort(window, value)
        if len(window) > $width:
            window.remove(values[i - $width])
        if len(window) == $width and (i + 1 - $width) % $every == 0:
            out.append(max(window) - window[$skip])
    return out
""",
    given=_WINDOW_SOURCE.replace("PLANTED", "len(values) - $width"),
    wrong=(_WINDOW_SOURCE.replace("PLANTED", "len(values) - $width"),),
    inputs=lambda rng, params: (_numbers(rng, -50, 50, 30),),
    edges=lambda params: [([],), ([1] * (params["width"] - 1),), (list(range(params["width"])),), ([7] * 12,)],
)

FAMILIES: tuple[Family, ...] = (_MERGE, _SEARCH, _BRACKETS, _RUNS, _ORDER, _WINDOW)
