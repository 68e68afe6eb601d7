"""The kind diff-tool: shows the difference of two texts and carries it over to others."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_COMMON = '''
"""What two lists have in common."""


def lengths(one, other):
    """Return the table of lengths of what the rests of two lists have in common."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for a in range(len(one) - 1, -1, -1):
        for b in range(len(other) - 1, -1, -1):
            if one[a] == other[b]:
                table[a][b] = table[a + 1][b + 1] + 1
            else:
                table[a][b] = max(table[a + 1][b], table[a][b + 1])
    return table
'''

_CHANGES = '''
"""Changes that make one list of another."""

from @common import lengths


def changes(one, other):
    """Return pairs of a sign and a line: blank, - or +; what goes comes before what is new."""
    table = lengths(one, other)
    found = []
    a = b = 0
    while a < len(one) and b < len(other):
        if one[a] == other[b]:
            found.append((" ", one[a]))
            a += 1
            b += 1
        elif table[a + 1][b] >= table[a][b + 1]:
            found.append(("-", one[a]))
            a += 1
        else:
            found.append(("+", other[b]))
            b += 1
    found += [("-", line) for line in one[a:]]
    found += [("+", line) for line in other[b:]]
    return found


def patched(lines, pairs):
    """Return lines after changes; an error where they do not fit."""
    out = []
    at = 0
    for sign, line in pairs:
        if sign == "+":
            out.append(line)
            continue
        if at >= len(lines) or lines[at] != line:
            raise ValueError("does not fit: " + line)
        if sign == " ":
            out.append(line)
        at += 1
    return out + lines[at:]
'''

_REPORT = '''
"""Show the difference of two texts."""

from @changes import changes, patched


def $diff(old, new, around=$around):
    """Return the changed lines with some lines around them; parts that are left out show as $gap."""
    pairs = changes(old.split("\\n"), new.split("\\n"))
    near = set()
    for at, (sign, _) in enumerate(pairs):
        if sign != " ":
            near.update(range(at - around, at + around + 1))
    out = []
    for at, (sign, line) in enumerate(pairs):
        if at in near:
            out.append(sign + line)
        elif out and out[-1] != "$gap":
            out.append("$gap")
    if out and out[-1] == "$gap":
        out.pop()
    return out


def $count(old, new):
    """Return the number of lines that go and that are new."""
    signs = [sign for sign, _ in changes(old.split("\\n"), new.split("\\n"))]
    return signs.count("-"), signs.count("+")


def $carry(old, new, other):
    """Return another text with the changes from old to new."""
    return "\\n".join(patched(other.split("\\n"), changes(old.split("\\n"), new.split("\\n"))))
'''


def _diff(rng: random.Random, params: Params) -> Steps:
    old = [rng.choice("abcdef") for _ in range(rng.randrange(1, 9))]
    new = list(old)
    for _ in range(rng.randrange(0, 4)):
        at = rng.randrange(len(new) + 1)
        new[at : at + rng.randrange(0, 2)] = [rng.choice("abcxy")][: rng.randrange(0, 2)]
    one, other = "\n".join(old), "\n".join(new)
    third = rng.choice([one, one + "\nz", one.replace("a", "q", 1)])
    return [
        (f"report:{params['diff']}", [one, other, *([rng.randrange(0, 3)] if rng.random() < 0.6 else [])]),
        (f"report:{params['count']}", [one, other]),
        (f"report:{params['carry']}", [one, other, third]),
    ]


KIND = Kind(
    name="diff-tool",
    about="Shows the difference of two texts and carries it over to others.",
    modules={"common": _COMMON, "changes": _CHANGES, "report": _REPORT},
    case=_diff,
    packages=("textdelta", "linewise", "patchwork"),
    choices={
        "diff": ("diff", "difference"),
        "count": ("count_changes", "num_changed"),
        "carry": ("carry_over", "apply_to"),
        "around": ("1", "2"),
        "gap": ("...", "@@"),
    },
    bugs=(
        Bug(
            name="diagonal",
            module="common",
            old="table[a][b] = table[a + 1][b + 1] + 1",
            new="table[a][b] = max(table[a + 1][b], table[a][b + 1]) + 1",
            report="More lines than needed are shown as changed.",
        ),
        Bug(
            name="order",
            module="changes",
            old="table[a + 1][b] >= table[a][b + 1]",
            new="table[a + 1][b] > table[a][b + 1]",
            report="New lines come before the ones that they replace.",
        ),
        Bug(
            name="rest",
            module="changes",
            old='    found += [("+", line) for line in other[b:]]\n',
            new="",
            report="Lines that were added at the end are missing.",
        ),
        Bug(
            name="fit",
            module="changes",
            old="if at >= len(lines) or lines[at] != line:",
            new='if sign == "-" and (at >= len(lines) or lines[at] != line):',
            report="Changes are carried over to a text that they do not fit.",
        ),
        Bug(
            name="tail",
            module="changes",
            old="return out + lines[at:]",
            new="return out",
            report="Carrying changes over loses the end of a longer text.",
        ),
        Bug(
            name="around",
            module="report",
            old="range(at - around, at + around + 1)",
            new="range(at - around, at + around)",
            report="There are too few lines after a change.",
        ),
    ),
)
"""Shows the difference of two texts and carries it over to others."""
