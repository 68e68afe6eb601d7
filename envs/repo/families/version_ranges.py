"""The kind version-ranges: compares versions and chooses one."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_VERSION = '''
"""Versions."""


class Version:
    """Numbers with dots, and perhaps a mark of what comes before: 1.2.0-rc1."""

    def __init__(self, text):
        numbers, _, self.mark = text.strip().partition("-")
        self.numbers = [int(part) for part in numbers.removeprefix("v").split(".")]
        while len(self.numbers) > 1 and self.numbers[-1] == 0:
            self.numbers.pop()

    def key(self):
        """Return what versions are compared by: one with a mark comes before the one without."""
        return (self.numbers, self.mark == "", self.mark)
'''

_RANGES = '''
"""Conditions on versions."""

from @version import Version

SIGNS = (">=", "<=", "!=", ">", "<", "~", "=")


def split(text):
    """Return sign and version of a condition."""
    text = text.strip()
    for sign in SIGNS:
        if text.startswith(sign):
            return sign, Version(text[len(sign):])
    return "=", Version(text)


def fits(condition, version):
    """Return whether a version keeps one condition; ~ wants the same first number, and not less."""
    sign, wanted = split(condition)
    one, other = version.key(), wanted.key()
    if sign == ">=":
        return one >= other
    if sign == "<=":
        return one <= other
    if sign == "!=":
        return one != other
    if sign == ">":
        return one > other
    if sign == "<":
        return one < other
    if sign == "~":
        return one >= other and version.numbers[0] == wanted.numbers[0]
    return one == other
'''

_RESOLVE = '''
"""Choose versions."""

from @ranges import fits
from @version import Version


def $choose(versions, conditions, with_marks=False):
    """Return the highest version that keeps all conditions, separated by commas; None where there is none."""
    best = None
    for text in versions:
        version = Version(text)
        if version.mark and not with_marks:
            continue
        if not all(fits(each, version) for each in conditions.split(",") if each.strip()):
            continue
        if best is None or version.key() > best[0]:
            best = (version.key(), text)
    return best[1] if best else None


def $sort(versions):
    """Return versions from low to high."""
    return sorted(versions, key=lambda text: Version(text).key())
'''


def _versions(rng: random.Random, params: Params) -> Steps:
    def version() -> str:
        text = ".".join(str(rng.choice([0, 1, 2, 9, 10])) for _ in range(rng.randrange(1, 4)))
        return rng.choice(["", "", "", "v"]) + text + rng.choice(["", "", "", "-rc1", "-beta"])

    there = [version() for _ in range(rng.randrange(2, 7))]
    conditions = ", ".join(
        rng.choice([">=", "<=", "<", "~", "!=", ">", ""]) + rng.choice([version(), rng.choice(there)])
        for _ in range(rng.randrange(0, 3))
    )
    rest = [True] if rng.random() < 0.3 else []
    return [(f"resolving:{params['choose']}", [there, conditions, *rest]), (f"resolving:{params['sort']}", [there])]


KIND = Kind(
    name="version-ranges",
    about="Compares versions and chooses one.",
    modules={"version": _VERSION, "ranges": _RANGES, "resolving": _RESOLVE},
    case=_versions,
    packages=("semver", "pins", "resolver"),
    choices={"choose": ("choose", "best_version", "resolve"), "sort": ("ordered", "sort_versions")},
    bugs=(
        Bug(
            name="text-order",
            module="version",
            old="[int(part) for part in",
            new="[part for part in",
            report="Version 10 counts as lower than version 9.",
        ),
        Bug(
            name="zeros",
            module="version",
            old="        while len(self.numbers) > 1 and self.numbers[-1] == 0:\n            self.numbers.pop()\n",
            new="",
            report="1.0 and 1 are treated as different versions.",
        ),
        Bug(
            name="marks",
            module="version",
            old='(self.numbers, self.mark == "", self.mark)',
            new="(self.numbers, self.mark)",
            report="Versions with a mark such as rc1 are taken for newer than the final ones.",
        ),
        Bug(
            name="signs",
            module="ranges",
            old='(">=", "<=", "!=", ">", "<", "~", "=")',
            new='(">=", "!=", ">", "<", "<=", "~", "=")',
            report="Conditions with <= end with an error.",
        ),
        Bug(
            name="same",
            module="ranges",
            old="one >= other and version.numbers[0] == wanted.numbers[0]",
            new="one >= other and version.numbers[0] >= wanted.numbers[0]",
            report="~ lets versions with a higher first number pass.",
        ),
        Bug(
            name="hidden",
            module="resolving",
            old="        if version.mark and not with_marks:\n            continue\n",
            new="",
            report="Versions with a mark are to be left out unless they are asked for.",
        ),
    ),
)
"""Compares versions and chooses one."""
