"""The kind unit-conversion: reads quantities and converts them."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_TABLE = '''
"""Units and what they are worth."""

KINDS = {
    "length": {"m": 1, "km": 1000, "cm": 0.01, "$long": $long_worth},
    "mass": {"kg": 1, "g": 0.001, "t": 1000},
    "time": {"s": 1, "min": 60, "h": 3600, "d": 86400},
}
PREFIXES = {"k": 1000, "M": 1000000}


def kind_of(unit):
    """Return the kind of a unit."""
    for kind, units in KINDS.items():
        if unit in units:
            return kind
    raise KeyError(unit)


def worth(unit):
    """Return a unit in the first one of its kind."""
    return KINDS[kind_of(unit)][unit]
'''

_QUANTITY = '''
"""Read quantities."""

from @table import kind_of, worth


def read(text):
    """Return the kind of a quantity such as 1h 30min, and its size in the first unit of that kind."""
    kind, size = None, 0
    for part in pieces(text):
        number, unit = part
        if kind is None:
            kind = kind_of(unit)
        elif kind != kind_of(unit):
            raise ValueError("two kinds in one quantity")
        size += number * worth(unit)
    if kind is None:
        raise ValueError("no quantity")
    return kind, size


def pieces(text):
    """Return pairs of number and unit."""
    found = []
    number = unit = ""
    for letter in text.replace(" ", "") + "0":
        if letter.isdigit() or letter in ".-":
            if unit:
                found.append((float(number), unit))
                number = unit = ""
            number += letter
        else:
            unit += letter
    return found
'''

_CONVERT = '''
"""Convert quantities."""

from @quantity import read
from @table import KINDS, kind_of, worth


def $convert(text, unit, digits=$digits):
    """Return a quantity in another unit, rounded."""
    kind, size = read(text)
    if kind_of(unit) != kind:
        raise ValueError("not the same kind")
    return round(size / worth(unit), digits)


def $split(text, units):
    """Return a quantity as text in several units, the largest first; nothing is left out but zeros."""
    kind, size = read(text)
    rest = round(size / min(KINDS[kind].values()))
    parts = []
    for unit in sorted(units, key=worth, reverse=True):
        each = round(worth(unit) / min(KINDS[kind].values()))
        count, rest = divmod(rest, each)
        if count:
            parts.append("%d%s" % (count, unit))
    return " ".join(parts) or "0" + units[-1]


def $compare(one, other):
    """Return -1, 0 or 1: whether the first quantity is less, equal or more."""
    kind, size = read(one)
    other_kind, other_size = read(other)
    if kind != other_kind:
        raise ValueError("not the same kind")
    return (size > other_size) - (size < other_size)
'''


def _units(rng: random.Random, params: Params) -> Steps:
    kinds = [["m", "km", "cm", params["long"]], ["kg", "g", "t"], ["s", "min", "h", "d"]]

    def quantity(units: list[str]) -> str:
        parts = [
            f"{rng.choice([rng.randrange(1, 90), 1.5, 0.5, 100])}{rng.choice(['', ' '])}{u}"
            for u in rng.sample(units, rng.randrange(1, 3))
        ]
        return " ".join([*parts, *(["3m", "2g"] if rng.random() < 0.12 else [])])

    units = rng.choice(kinds)
    other = units if rng.random() < 0.85 else rng.choice(kinds)
    which = rng.randrange(3)
    if which == 0:
        return [(f"convert:{params['convert']}", [quantity(units), rng.choice(other)])]
    if which == 1:
        return [(f"convert:{params['split']}", [quantity(units), rng.sample(units[:3], rng.randrange(1, 4))])]
    one = quantity(units)
    return [(f"convert:{params['compare']}", [one, rng.choice([one, quantity(other)])])]


KIND = Kind(
    name="unit-conversion",
    about="Reads quantities and converts them.",
    modules={"table": _TABLE, "quantity": _QUANTITY, "convert": _CONVERT},
    case=_units,
    packages=("unitbox", "measuring", "quantities"),
    choices={
        "convert": ("convert", "in_unit"),
        "split": ("split", "written_in"),
        "compare": ("compare", "order_of"),
        "long": ("mi", "nmi"),
        "long_worth": ("1609", "1852"),
        "digits": ("3", "4"),
    },
    bugs=(
        Bug(
            name="hour",
            module="table",
            old='"h": 3600, "d": 86400',
            new='"h": 3600, "d": 36000',
            report="Days are too short.",
        ),
        Bug(
            name="last-only",
            module="quantity",
            old="size += number * worth(unit)",
            new="size = number * worth(unit)",
            report="A quantity of several parts is read wrongly.",
        ),
        Bug(
            name="kinds",
            module="quantity",
            old='        elif kind != kind_of(unit):\n            raise ValueError("two kinds in one quantity")\n',
            new="",
            report="It should be an error to compare or convert things of different kinds.",
        ),
        Bug(
            name="point",
            module="quantity",
            old='letter.isdigit() or letter in ".-"',
            new='letter.isdigit() or letter == "-"',
            report="Quantities with a decimal point are not understood.",
        ),
        Bug(
            name="largest",
            module="convert",
            old="sorted(units, key=worth, reverse=True)",
            new="units",
            report="When a quantity is split over several units, the order of the units that I ask for should not "
            "matter.",
        ),
        Bug(
            name="digits",
            module="convert",
            old="round(size / worth(unit), digits)",
            new="round(size / worth(unit), digits - 2)",
            report="Converted quantities have too few digits.",
        ),
    ),
)
"""Reads quantities and converts them."""
