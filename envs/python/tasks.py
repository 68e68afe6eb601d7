"""Generated tasks of levels 1 to 5: the same seed, split and level give the same task on any machine.

Data are drawn first, then the question and its truth, then the files are written. A task is drawn again when its answer
can be had without a calculation: a usual guess, a number of the question, a number of rows, or the first, last or most
frequent value of a file. Train and test share neither wordings nor names.
"""

from __future__ import annotations

import datetime
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from agentrl.envs.math.answers import numbers_in
from agentrl.envs.python.answers import Answer, matches
from agentrl.envs.python.catalogue import FAMILIES
from agentrl.envs.python.family import Case, Family, World
from agentrl.envs.python.files import Table, database, loaders, note, plain, readme, written
from agentrl.envs.python.words import Draw

__all__ = ["FAMILIES", "Task", "generate"]

GUESSES = frozenset(map(Fraction, (-1, 0, 1, 2, 3, 4, 5, 7, 10, 12, 20, 24, 42, 50, 60, 100, 1000)))
TOKEN = re.compile(r"[\w.+:-]+")
_CAN_BE = {"number": ("whole", "money", "tenth"), "date": ("day", "time"), "text": ("text", "name", "id")}
_ASKS = 6  # questions that are tried on one world

_FORMS = {
    "date": ("Answer with the date as YYYY-MM-DD.", "Write the date as YYYY-MM-DD."),
    "list": ("List them in that order, separated by commas.", "Give them in this order with commas between."),
    "set": ("List them in any order, separated by commas.", "Give them in any order with commas between."),
}
_PLACES = ("Round to {} decimal{}.", "Give it to {} decimal place{}.")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question about files, and its answer."""

    id: str
    question: str
    files: Mapping[str, bytes]  # path in the box -> content
    answer: Answer
    cells: tuple[str, ...] = ()  # cells of which the last prints the answer; none where the task is the user's own
    family: str = "data"


def generate(seed: int, split: str = "train", level: int = 1, *, family: str | None = None) -> Task:
    """Make one task.

    Args:
        seed: Decides everything.
        split: "train" or "test".
        level: 1 to 5: larger and dirtier files, more of them, more formats.
        family: The name of one of `FAMILIES` that is asked at this level; drawn when None.

    >>> task = generate(3, "test", 2)
    >>> task == generate(3, "test", 2) != generate(4, "test", 2)
    True
    """
    draw = Draw(seed, split, level)
    there = [each for each in FAMILIES.values() if level in each.levels]
    while True:
        chosen = draw.pick(there) if family is None else FAMILIES[family]
        draw = Draw(draw.whole(0, 2**50), split, level)
        world = chosen.world(draw)
        for _ in range(_ASKS):
            case = chosen.ask(draw, world)
            if case is None:
                continue
            task = _task(draw, chosen, world, case, split)
            if task is not None:
                return task


def tokens(content: bytes) -> list[str]:
    """Return the words and numbers of a file of text."""
    return TOKEN.findall(content.decode("utf-8", "replace"))


def _task(draw: Draw, family: Family, world: World, case: Case, split: str) -> Task | None:
    """Write question and files; None where the answer could be had without looking at all of the data."""
    asked = family.wording(draw, case.params)
    test = split == "test"
    if case.answer.places is not None:
        places = case.answer.places
        asked += " " + _PLACES[test].format(places, "" if places == 1 else "s")
    elif case.answer.kind in _FORMS:
        asked += " " + _FORMS[case.answer.kind][test]
    if not _is_fair(case, asked) or any(matches(shown, case.answer) for shown in _in_rows(world, case.answer)):
        return None
    files = _files(draw, world)
    if any(matches(shown, case.answer) for content in files.values() for shown in _in_text(content, case.answer)):
        return None
    if draw.level <= 2:
        asked = f"{asked}\nFiles: {note(world.tables, world.papers)}"
    else:
        asked = f"{asked}\nFiles: {', '.join(files)}"
    load, found = loaders(world.tables, world.papers), family.source(case.params)
    digest = zlib.crc32(asked.encode())
    for name, content in files.items():
        digest = zlib.crc32(content if not name.endswith(".db") else name.encode(), digest)
    return Task(
        id=f"python-{family.name}-{digest:08x}",
        question=asked,
        files=files,
        answer=case.answer,
        cells=(f"{load}\n{found}",) if draw.level <= 2 else (load, found),
        family=family.name,
    )


def _files(draw: Draw, world: World) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if draw.level > 2:
        files["README.txt"] = readme(world.tables, world.papers)
    for table in world.tables:
        if not table.file.endswith(".db"):
            files[table.file] = written(table, draw)
        elif table.file not in files:
            files[table.file] = database([each for each in world.tables if each.file == table.file])
    for paper in world.papers:
        files.update(paper.files(draw))
    return files


def _is_fair(case: Case, asked: str) -> bool:
    """Return whether an answer is no usual guess, does not stand in the question and is rounded in one way only."""
    value = case.answer.value
    if not isinstance(value, Fraction):
        return not any(matches(str(each), case.answer) for each in case.params.values())
    if case.exact is not None and case.answer.places is not None:
        rest = case.exact * 10**case.answer.places % 1
        if abs(rest - Fraction(1, 2)) < Fraction(1, 10**5):  # floats and fractions could be rounded apart
            return False
    return value not in GUESSES and abs(value) < 10**12 and value not in numbers_in(asked)


def _in_rows(world: World, answer: Answer) -> Iterator[str]:
    """Yield what can be read off without a calculation: edges, most frequent values and lengths of tables."""
    if isinstance(answer.value, tuple):
        return  # a list has more than one item
    for table in world.sources:
        if not table.rows:
            continue
        kinds = {name: _kind(value) for name, value in table.rows[0].items()}
        if isinstance(table, Table):
            kinds = dict(table.columns)
        yield str(len(table.rows))
        for name, kind in kinds.items():
            if kind in _CAN_BE[answer.kind]:
                shown = [str(plain(kind, row[name]))[: 10 if answer.kind == "date" else None] for row in table.rows]
                yield from (shown[0], shown[-1], *_most(shown))


def _kind(value: object) -> str:
    return "whole" if isinstance(value, int) else "day" if isinstance(value, datetime.date) else "text"


def _in_text(content: bytes, answer: Answer) -> Iterator[str]:
    """Yield what stands first, last or most often in a file, and its lengths."""
    if isinstance(answer.value, tuple) or content.startswith(b"SQLite format 3"):
        return
    words = tokens(content)
    if answer.kind == "number":
        lines = content.count(b"\n")
        yield from (str(lines), str(lines - 1), str(len(words)), str(len(content)))
        words = [word for word in words if word[0].isdigit()]
    if words:
        yield from (words[0], words[-1], *_most(words))


def _most(values: list[str]) -> list[str]:
    """Return the values that are as frequent as the most frequent one."""
    counts = Counter(values)
    most = max(counts.values(), default=0)
    return [value for value, count in counts.items() if count == most] if most > 1 else []
