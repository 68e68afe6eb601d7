"""Word problems of the user's own, in the layout of GSM8K: JSON lines with `question` and `answer`.

The answer is a solution whose last line is `#### 42`. A row may have a `split` ("train" or "test") and a `level` (1 to
5); without them a tenth of the rows, by the CRC-32 of their questions, is the test split, and every level is 1.
"""

import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.math.answers import Number, read_number
from agentrl.envs.math.story import Task
from agentrl.envs.protocol import SPLITS
from agentrl.envs.rows import Row, read_rows

__all__ = ["load"]

LEVELS = range(1, 6)
_CALCULATOR = re.compile(r"<<[^<>]*>>")  # GSM8K's annotations for a calculator, such as <<48/2=24>>

_Path = str | os.PathLike[str]


def load(source: _Path | Mapping[str, _Path]) -> dict[tuple[str, int], tuple[Task, ...]]:
    """Return the tasks of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: no such file, no rows in it, a bad row, or a question in both splits.
        UsageError: the mapping names another split, or none.
    """
    files = dict(source) if isinstance(source, Mapping) else {"": source}
    if not files or (isinstance(source, Mapping) and not set(files) <= set(SPLITS)):
        raise UsageError(
            f"data names the splits {sorted(files)}; type data=FILE or data={{'train': FILE, 'test': FILE}}"
        )
    found: dict[tuple[str, int], list[Task]] = {}
    places: dict[str, tuple[str, str]] = {}
    for name, path in files.items():
        for row in read_rows(Path(path)):
            task = _task(row)
            split = name or _choice(row, "split", SPLITS) or SPLITS[zlib.crc32(task.question.encode()) % 10 == 0]
            if name and row.value.get("split", name) != name:
                raise row.error("split", f"{name!r}, as the file was given for that split", row.value["split"])
            before, place = places.setdefault(task.question, (split, row.place))
            if before != split:
                raise DataError(f"{row.place}, field 'question': the same question is in the other split: {place}")
            found.setdefault((split, _level(row)), []).append(task)
    return {key: tuple(tasks) for key, tasks in found.items()}


def _task(row: Row) -> Task:
    question, solution = row.text("question"), row.text("answer")
    number = _answer(solution)
    if number is None:
        raise row.error("answer", "a solution whose end is a number, as in '#### 42'", solution[-60:])
    steps = _CALCULATOR.sub("", solution).rpartition("####")[0].strip().splitlines()
    unit = "%" if number.percent else None
    return Task(
        id=f"{row.path.stem}-{row.number}",
        question=question,
        answer=number.value,
        unit=unit,
        steps=tuple(steps),
        family="data",
    )


def _answer(solution: str) -> Number | None:
    """Return the number behind the last `####`, or the whole text as a number where there is no such mark."""
    return read_number(solution.rpartition("####")[2])


def _choice(row: Row, field: str, known: tuple[str, ...]) -> str | None:
    value = row.value.get(field)
    if value is not None and value not in known:
        raise row.error(field, " or ".join(map(repr, known)), value)
    return value


def _level(row: Row) -> int:
    level = row.value.get("level", 1)
    if not isinstance(level, int) or isinstance(level, bool) or level not in LEVELS:
        raise row.error("level", "a whole number from 1 to 5", level)
    return level
