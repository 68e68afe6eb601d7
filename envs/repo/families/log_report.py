"""The kind log-report: sums a log up."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_RECORDS = '''
"""Lines of a log."""

LEVELS = ("debug", "info", "warning", "error")


def record(line):
    """Return time, level, source and message of a line; None where it is not one."""
    parts = line.strip().split(" ", 3)
    if len(parts) < 4 or parts[1].lower() not in LEVELS:
        return None
    if not parts[2].startswith("[") or not parts[2].endswith("]"):
        return None
    return seconds(parts[0]), parts[1].lower(), parts[2][1:-1], parts[3]


def seconds(text):
    """Return the seconds of a time such as 01:02:03."""
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total
'''

_FILTERING = '''
"""Choose records."""

from @records import LEVELS


def at_least(records, level):
    """Return records of a level or above."""
    least = LEVELS.index(level)
    return [each for each in records if LEVELS.index(each[1]) >= least]


def quiet(records, gap):
    """Return the times at which nothing was logged for longer than a gap, as pairs."""
    found = []
    for one, other in zip(records, records[1:]):
        if other[0] - one[0] > gap:
            found.append((one[0], other[0]))
    return found


def bursts(records, window=$window, least=$least):
    """Return the sources that logged at least some records within some seconds, by name."""
    found = set()
    times = {}
    for time, _, source, _ in records:
        times.setdefault(source, []).append(time)
        times[source] = [each for each in times[source] if each > time - window]
        if len(times[source]) >= least:
            found.add(source)
    return sorted(found)
'''

_SUMMARY = '''
"""Sum a log up."""

from @filtering import at_least, bursts, quiet
from @records import record


class $cls:
    """The records of a text, in the order of their times."""

    def __init__(self, text):
        read = [record(line) for line in text.split("\\n") if line.strip()]
        self.records = sorted([each for each in read if each], key=lambda each: each[0])
        self.num_bad = len(read) - len(self.records)

    def counts(self, level="debug"):
        """Return the number of records of each source, of a level or above; the most first."""
        found = {}
        for each in at_least(self.records, level):
            found[each[2]] = found.get(each[2], 0) + 1
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))

    def last(self, source):
        """Return the last message of a source."""
        for each in reversed(self.records):
            if each[2] == source:
                return each[3]
        return None

    def quiet(self, gap=$gap):
        """Return the times of silence."""
        return quiet(self.records, gap)

    def bursts(self):
        """Return the sources that logged a lot at once."""
        return bursts(self.records)
'''


def _log(rng: random.Random, params: Params) -> Steps:
    lines, time = [], rng.randrange(0, 7000)
    for _ in range(rng.randrange(2, 9)):
        time += rng.choice([0, 1, 2, int(params["window"]), int(params["gap"]), int(params["gap"]) + 1])
        clock = f"{time // 3600:02}:{time // 60 % 60:02}:{time % 60:02}"
        level = rng.choice(["info", "INFO", "debug", "Error", "warning", "note"])
        source = rng.choice(["[db]", "[db]", "[web]", "web"])
        lines.append(f"{clock} {level} {source} {rng.choice(['up', 'slow query', 'lost [x]', 'a  b'])}")
    if rng.random() < 0.3:
        rng.shuffle(lines)
    steps: Steps = [(f"summary:{params['cls']}=", ["\n".join(lines)])]
    steps += [(".counts", []), (".counts", [rng.choice(["info", "warning", "error"])])]
    return [*steps, (".last", [rng.choice(["db", "web"])]), (".quiet", []), (".bursts", []), (".num_bad!", [])]


KIND = Kind(
    name="log-report",
    about="Sums a log up.",
    modules={"records": _RECORDS, "filtering": _FILTERING, "summary": _SUMMARY},
    case=_log,
    packages=("logwatch", "journal", "syslines"),
    choices={"cls": ("Summary", "Log"), "window": ("5", "10"), "least": ("2", "3"), "gap": ("60", "90")},
    bugs=(
        Bug(
            name="capital",
            module="records",
            old="return seconds(parts[0]), parts[1].lower(),",
            new="return seconds(parts[0]), parts[1],",
            report="Lines whose level is written with capitals lead to an error.",
        ),
        Bug(
            name="above",
            module="filtering",
            old="LEVELS.index(each[1]) >= least",
            new="LEVELS.index(each[1]) > least",
            report="Counts from some level on leave out the level itself.",
        ),
        Bug(
            name="gap",
            module="filtering",
            old="other[0] - one[0] > gap",
            new="other[0] - one[0] >= gap",
            report="A pause that is not longer than allowed is reported.",
        ),
        Bug(
            name="window",
            module="filtering",
            old="if each > time - window]",
            new="if each >= time - window]",
            report="Sources are reported for a burst although their lines are too far apart.",
        ),
        Bug(
            name="order",
            module="summary",
            old="sorted([each for each in read if each], key=lambda each: each[0])",
            new="[each for each in read if each]",
            report="Logs whose lines are not in order give wrong results.",
        ),
        Bug(
            name="bad",
            module="summary",
            old="len(read) - len(self.records)",
            new='len(text.split("\\n")) - len(read)',
            report="The number of lines that could not be read is wrong.",
        ),
    ),
)
"""Sums a log up."""
