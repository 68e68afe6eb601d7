"""Repositories of level 1 about numbers and lists: one module with one function."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KINDS"]

_FEE = """
\"\"\"What a parcel costs.\"\"\"


def $fn(grams, express=False):
    \"\"\"Return the price of a parcel in cents.\"\"\"
    if grams <= 0:
        raise ValueError("a parcel weighs something")
    if grams <= $light:
        price = $low
    elif grams <= $heavy:
        price = $high
    else:
        price = $high + (grams - $heavy) // 100 * 5
    if express:
        price *= 2
    return price
"""


def _fee(rng: random.Random, params: Params) -> Steps:
    marks = [0, int(params["light"]), int(params["heavy"])]
    grams = rng.choice([rng.choice(marks) + rng.choice([0, 0, 1, -1, 150]), rng.randrange(1, 9000)])
    return [(f"parcels:{params['fn']}", [grams, *([True] if rng.random() < 0.3 else [])])]


_RANGES = """
\"\"\"Write numbers as ranges.\"\"\"


def $fn(numbers):
    \"\"\"Return numbers as text, those that follow each other as a range.\"\"\"
    parts = []
    rest = sorted(set(numbers))
    while rest:
        first = last = rest.pop(0)
        while rest and rest[0] == last + 1:
            last = rest.pop(0)
        if first == last:
            parts.append(str(first))
        else:
            parts.append(f"{first}$dash{last}")
    return ",".join(parts)
"""


def _ranges(rng: random.Random, params: Params) -> Steps:
    return [(f"pages:{params['fn']}", [[rng.randrange(1, 16) for _ in range(rng.randrange(0, 9))]])]


_MEDIAN = """
\"\"\"The middle of numbers.\"\"\"


def $fn(values, default=$default):
    \"\"\"Return the value in the middle, or the mean of the two in the middle.\"\"\"
    ordered = sorted(values)
    count = len(ordered)
    if count == 0:
        return default
    middle = count // 2
    if count % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
"""


def _median(rng: random.Random, params: Params) -> Steps:
    return [(f"middle:{params['fn']}", [[rng.randrange(-20, 60) for _ in range(rng.randrange(0, 8))]])]


_CHUNKS = """
\"\"\"Cut lists into pieces.\"\"\"


def $fn(items, size, keep_rest=True):
    \"\"\"Return the items in pieces of one size; the last may be shorter.\"\"\"
    if size < 1:
        raise ValueError("a piece has at least one item")
    pieces = []
    for start in range(0, len(items), size):
        piece = items[start:start + size]
        if len(piece) < size and not keep_rest:
            break
        pieces.append(piece)
    return pieces
"""


def _chunks(rng: random.Random, params: Params) -> Steps:
    items = list(range(rng.randrange(0, 12)))
    return [
        (f"pieces:{params['fn']}", [items, rng.randrange(0, 6), *([rng.random() < 0.5] if rng.random() < 0.6 else [])])
    ]


_RUNNING = """
\"\"\"Smooth a series.\"\"\"


def $fn(values, width=$width):
    \"\"\"Return for each place the mean of the last few values.\"\"\"
    out = []
    for at in range(len(values)):
        start = max(0, at - width + 1)
        window = values[start:at + 1]
        out.append(round(sum(window) / len(window), 2))
    return out
"""


def _running(rng: random.Random, params: Params) -> Steps:
    values = [rng.randrange(0, 50) for _ in range(rng.randrange(0, 9))]
    return [(f"series:{params['fn']}", [values, *([rng.randrange(1, 5)] if rng.random() < 0.5 else [])])]


_GRADE = """
\"\"\"Marks of an exam.\"\"\"

STEPS = (($top, "A"), ($good, "B"), ($pass_, "C"))


def $fn(points, most):
    \"\"\"Return the mark for some of the points that could be had.\"\"\"
    if most <= 0 or not 0 <= points <= most:
        raise ValueError("points are from 0 to the most")
    share = 100 * points / most
    for least, mark in STEPS:
        if share >= least:
            return mark
    return "F"
"""


def _grade(rng: random.Random, params: Params) -> Steps:
    most = rng.choice([10, 20, 50, 100])
    edge = rng.choice([most, int(params[rng.choice(["top", "good", "pass_"])]) * most // 100])
    return [(f"marks:{params['fn']}", [rng.choice([edge, rng.randrange(-1, most + 2)]), most])]


_CHANGE = """
\"\"\"Give change.\"\"\"

COINS = (200, 100, 50, $extra, 10, 5)


def $fn(cents):
    \"\"\"Return the coins that make up an amount, large ones first.\"\"\"
    if cents < 0 or cents % 5:
        raise ValueError("there are no coins for this")
    given = {}
    for coin in COINS:
        count = cents // coin
        if count:
            given[coin] = count
            cents -= coin * count
    return given
"""


def _change(rng: random.Random, params: Params) -> Steps:
    return [(f"change:{params['fn']}", [rng.choice([5 * rng.randrange(0, 150), rng.randrange(-5, 300)])])]


_ROTATE = """
\"\"\"Turn lists.\"\"\"


def $fn(items, steps):
    \"\"\"Return the items moved to the right, the last ones to the front; negative steps go left.\"\"\"
    if not items:
        return []
    steps = steps % len(items)
    if steps == 0:
        return list(items)
    return items[-steps:] + items[:-steps]
"""


def _rotate(rng: random.Random, params: Params) -> Steps:
    return [
        (f"turning:{params['fn']}", [[rng.randrange(9) for _ in range(rng.randrange(0, 7))], rng.randrange(-8, 12)])
    ]


KINDS = (
    Kind(
        name="parcel-fee",
        about="What a parcel costs.",
        modules={"parcels": _FEE},
        case=_fee,
        choices={
            "fn": ("fee", "postage", "parcel_price"),
            "light": ("500", "750", "1000"),
            "heavy": ("2000", "3000", "5000"),
            "low": ("250", "310", "390"),
            "high": ("480", "550", "620"),
        },
        bugs=(
            Bug(name="light", module="parcels", old="grams <= $light", new="grams < $light", report=""),
            Bug(name="heavy", module="parcels", old="grams <= $heavy", new="grams < $heavy - 1", report=""),
            Bug(name="over", module="parcels", old="(grams - $heavy)", new="grams", report=""),
            Bug(name="express", module="parcels", old="price *= 2", new="price += 2", report=""),
            Bug(name="zero", module="parcels", old="grams <= 0", new="grams < 0", report=""),
        ),
    ),
    Kind(
        name="page-ranges",
        about="Writes numbers as ranges.",
        modules={"pages": _RANGES},
        case=_ranges,
        choices={"fn": ("ranges", "page_list", "as_ranges"), "dash": ("-", "..", "~")},
        bugs=(
            Bug(
                name="order", module="pages", old="sorted(set(numbers))", new="list(dict.fromkeys(numbers))", report=""
            ),
            Bug(name="twice", module="pages", old="sorted(set(numbers))", new="sorted(numbers)", report=""),
            Bug(name="gap", module="pages", old="rest[0] == last + 1", new="rest[0] <= last + 2", report=""),
            Bug(name="one", module="pages", old="if first == last", new="if last - first <= 1", report=""),
        ),
    ),
    Kind(
        name="middle-value",
        about="The middle of numbers.",
        modules={"middle": _MEDIAN},
        case=_median,
        choices={"fn": ("median", "middle_of", "central"), "default": ("None", "0", "-1")},
        bugs=(
            Bug(name="order", module="middle", old="sorted(values)", new="list(values)", report=""),
            Bug(
                name="even",
                module="middle",
                old="ordered[middle - 1] + ordered[middle]",
                new="ordered[middle] + ordered[middle + 1 - count]",
                report="",
            ),
            Bug(name="parity", module="middle", old="count % 2 == 1", new="count % 2 == 1 or count == 2", report=""),
            Bug(name="whole", module="middle", old="ordered[middle]) / 2", new="ordered[middle]) // 2", report=""),
        ),
    ),
    Kind(
        name="list-pieces",
        about="Cuts lists into pieces.",
        modules={"pieces": _CHUNKS},
        case=_chunks,
        choices={"fn": ("chunks", "pieces", "batches")},
        bugs=(
            Bug(name="end", module="pieces", old="[start:start + size]", new="[start:start + size - 1]", report=""),
            Bug(name="rest", module="pieces", old="and not keep_rest", new="and keep_rest", report=""),
            Bug(name="tail", module="pieces", old="len(items), size)", new="len(items) - 1, size)", report=""),
            Bug(name="short", module="pieces", old="len(piece) < size", new="len(piece) <= size", report=""),
        ),
    ),
    Kind(
        name="running-mean",
        about="Smooths a series.",
        modules={"series": _RUNNING},
        case=_running,
        choices={"fn": ("smooth", "running_mean", "rolling"), "width": ("2", "3", "4")},
        bugs=(
            Bug(name="start", module="series", old="at - width + 1", new="at - width", report=""),
            Bug(name="end", module="series", old="values[start:at + 1]", new="values[start:at + 2]", report=""),
            Bug(name="mean", module="series", old="/ len(window)", new="/ width", report=""),
            Bug(name="digits", module="series", old=", 2))", new="))", report=""),
        ),
    ),
    Kind(
        name="exam-mark",
        about="Marks of an exam.",
        modules={"marks": _GRADE},
        case=_grade,
        choices={
            "fn": ("mark", "grade", "mark_for"),
            "top": ("90", "80"),
            "good": ("70", "60"),
            "pass_": ("50", "40"),
        },
        bugs=(
            Bug(name="edge", module="marks", old="share >= least", new="share > least", report=""),
            Bug(name="full", module="marks", old="points <= most:", new="points < most:", report=""),
            Bug(name="share", module="marks", old="100 * points / most", new="points", report=""),
            Bug(name="order", module="marks", old="in STEPS", new="in STEPS[1:]", report=""),
        ),
    ),
    Kind(
        name="coins",
        about="Gives change.",
        modules={"change": _CHANGE},
        case=_change,
        choices={"fn": ("change", "coins_for", "give_change"), "extra": ("20", "25")},
        bugs=(
            Bug(name="left", module="change", old="cents -= coin * count", new="cents -= coin", report=""),
            Bug(name="rest", module="change", old="or cents % 5", new="", report=""),
            Bug(name="coins", module="change", old="10, 5)", new="10)", report=""),
        ),
    ),
    Kind(
        name="turned-list",
        about="Turns lists.",
        modules={"turning": _ROTATE},
        case=_rotate,
        choices={"fn": ("rotate", "turned", "shifted")},
        bugs=(
            Bug(
                name="way",
                module="turning",
                old="items[-steps:] + items[:-steps]",
                new="items[steps:] + items[:steps]",
                report="",
            ),
            Bug(name="rest", module="turning", old="    steps = steps % len(items)\n", new="", report=""),
            Bug(
                name="zero",
                module="turning",
                old="    if steps == 0:\n        return list(items)\n    return items[-steps:]",
                new="    if steps == 0:\n        return []\n    return items[-steps:]",
                report="",
            ),
        ),
    ),
)
"""The kinds of this file."""
