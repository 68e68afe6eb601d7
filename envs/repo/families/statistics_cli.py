"""The kind statistics-cli: statistics of a column of numbers, as a command."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_READING = '''
"""Read numbers of a text."""


def numbers(text, column=0, mark="$mark"):
    """Return the numbers of a column; lines without a number there are left out."""
    found = []
    for line in text.split("\\n"):
        cells = [cell.strip() for cell in line.split(mark)]
        if column >= len(cells):
            continue
        try:
            found.append(float(cells[column]))
        except ValueError:
            continue
    return found
'''

_STATS = '''
"""Statistics."""


def mean(values):
    """Return the mean."""
    return sum(values) / len(values)


def spread(values):
    """Return the standard deviation of a sample."""
    middle = mean(values)
    if len(values) < 2:
        return 0.0
    return (sum((value - middle) ** 2 for value in values) / (len(values) - 1)) ** 0.5


def quantile(values, percent):
    """Return the value below which some percent are, between two values in proportion."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = int(at)
    if low + 1 == len(ordered):
        return ordered[low]
    return ordered[low] + (ordered[low + 1] - ordered[low]) * (at - low)


def bins(values, count):
    """Return how many values each of some bins of one width has; the highest value is in the last."""
    low, high = min(values), max(values)
    width = (high - low) / count or 1
    out = [0] * count
    for value in values:
        out[min(int((value - low) / width), count - 1)] += 1
    return out
'''

_COMMAND = '''
"""Statistics of a column of numbers, as a command."""

import argparse

from @reading import numbers
from @measures import bins, mean, quantile, spread


def main(argv):
    """Print statistics of the text that is given; return the exit code."""
    parser = argparse.ArgumentParser(prog="stats")
    parser.add_argument("text")
    parser.add_argument("--column", type=int, default=0)
    parser.add_argument("--digits", type=int, default=$digits)
    parser.add_argument("--quantile", type=int, action="append", default=[])
    parser.add_argument("--bins", type=int, default=0)
    options = parser.parse_args(argv)
    values = numbers(options.text.replace(";", "\\n"), options.column)
    if not values:
        print("no numbers")
        return 1
    shown = "%." + str(options.digits) + "f"
    print("count", len(values))
    print("mean", shown % mean(values))
    print("spread", shown % spread(values))
    for percent in options.quantile:
        print("q%d" % percent, shown % quantile(values, percent))
    if options.bins:
        for number, count in enumerate(bins(values, options.bins), 1):
            print("bin", number, "$bar" * count)
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
'''


def _statistics(rng: random.Random, params: Params) -> Steps:
    mark = params["mark"]
    lines = []
    for _ in range(rng.randrange(1, 8)):
        cells = [rng.choice([str(rng.randrange(-9, 30)), "2.5", "x", ""]) for _ in range(rng.randrange(1, 4))]
        lines.append(f"{mark}{rng.choice(['', ' '])}".join(cells))
    args = [" " + ";".join(lines)]
    args += ["--column", str(rng.randrange(0, 3))] if rng.random() < 0.4 else []
    args += ["--quantile", rng.choice(["50", "25", "90", "100", "0"])] if rng.random() < 0.6 else []
    args += ["--bins", str(rng.randrange(1, 5))] if rng.random() < 0.5 else []
    args += ["--digits", "1"] if rng.random() < 0.2 else []
    return [("$statistics_cli:main", list(args))]


KIND = Kind(
    name="statistics-cli",
    about="Statistics of a column of numbers, as a command.",
    modules={"reading": _READING, "measures": _STATS, "statistics_cli": _COMMAND},
    case=_statistics,
    packages=("colstats", "numbox", "figures_cli"),
    choices={"mark": (",", "|"), "digits": ("2", "3"), "bar": ("#", "*")},
    bugs=(
        Bug(
            name="blank",
            module="reading",
            old="if column >= len(cells):",
            new="if column > len(cells):",
            report="The command ends with an error when some lines are shorter than others.",
        ),
        Bug(
            name="sample",
            module="measures",
            old="/ (len(values) - 1)) ** 0.5",
            new="/ len(values)) ** 0.5",
            report="The spread is too small; it should be the one of a sample.",
        ),
        Bug(
            name="order",
            module="measures",
            old="ordered = sorted(values)",
            new="ordered = values",
            report="Quantiles are wrong unless the numbers are in order.",
        ),
        Bug(
            name="between",
            module="measures",
            old="* (at - low)",
            new="* round(at - low)",
            report="Quantiles between two numbers are not in proportion.",
        ),
        Bug(
            name="last-bin",
            module="measures",
            old="out[min(int((value - low) / width), count - 1)] += 1",
            new="out[int((value - low) / width) % count] += 1",
            report="The highest number is counted in the wrong bin.",
        ),
        Bug(
            name="exit",
            module="statistics_cli",
            old='        print("no numbers")\n        return 1\n',
            new='        print("no numbers")\n        return 0\n',
            report="The exit code should not be 0 when there is nothing to count.",
        ),
    ),
)
"""Statistics of a column of numbers, as a command."""
