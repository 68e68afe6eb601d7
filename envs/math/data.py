"""Word problems of the user's own, in the layout of GSM8K: JSON lines with `question` and `answer`.

The answer is a solution whose last line is `#### 42`. A row may have a `split` ("train" or "test") and a `level` (1 to
5); without them a tenth of the rows, by the CRC-32 of their questions, is the test split, and every level is 1.
"""

import re

from agentrl.envs.math.answers import Number, read_number
from agentrl.envs.math.story import Task
from agentrl.envs.rows import Row
from agentrl.envs.splits import Source, by_split

__all__ = ["load"]

_CALCULATOR = re.compile(r"<<[^<>]*>>")  # GSM8K's annotations for a calculator, such as <<48/2=24>>


def load(source: Source) -> dict[tuple[str, int], tuple[Task, ...]]:
    """Return the tasks of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: no such file, no rows in it, a bad row, or a question in both splits.
        UsageError: the mapping names another split, or none.
    """
    return by_split(source, _task, lambda task: task.question)


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
