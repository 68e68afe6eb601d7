"""`AgentRL/Python-v0`: questions about data files, answered with a persistent interpreter.

The files lie in a box of the episode, and so does the interpreter; the answer never does. By default every seed is a
generated task; with `data=` the questions and the files are the user's own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.python.answers import matches, readable, show
from agentrl.envs.python.data import Entry, load
from agentrl.envs.python.policies import FLAWS, cheat_policies, demonstration, solution
from agentrl.envs.python.tasks import Task, generate
from agentrl.envs.splits import tasks_of
from agentrl.envs.tools import Tool
from agentrl.sandboxes import CellResult, SandboxSpec

__all__ = ["PythonEnv"]

_Path = str | PathLike[str]
_CELL_S = 10.0
_ERROR_CHARS = 1500
_FRAME = re.compile(r'  File "<cell ')
_LOST = "The session was restarted: its names are gone, the files are as the cell left them."
_STOPPED: Mapping[str, str] = {
    "timeout": f"The cell did not end within {_CELL_S:.0f} s and was stopped. {_LOST}",
    "cpu_timeout": f"The cell used too much processor time and was stopped. {_LOST}",
    "oom": "The cell needed more memory than the box has. The box was replaced: all names are gone, and the files are "
    "as they were at the beginning.",
    "pids": f"The cell started too many processes or threads and was stopped. {_LOST}",
    "output_limit": f"The cell wrote too much and was stopped. {_LOST}",
    "signal": f"The interpreter was killed by a signal. {_LOST}",
}


class PythonEnv(TextEnv):
    """Questions about data files, with the tool `python`.

    Components: `exact_match` (the answer equals the truth after normalisation; also `success`), `format` (the answer is
    a number, day, text or list, as it was asked for) and `few_cells` (a right answer, over the number of cells that it
    took). Only `exact_match` has weight by default.

    Args:
        data: JSONL file of questions with their files, or one for each split: {"train": FILE, "test": FILE}.
        **kwargs: max_turns, split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv; `backend` is
            never "local". With `data`, the level chooses among the rows by their field `level`.

    Raises:
        UsageError: An argument that does not exist.
        DataError: A bad row in `data`, or no row of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "format": 0.0, "few_cells": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_task", "_num_cells")
    runs_code: ClassVar[bool] = True
    system = (
        "Answer the question about data files. Call python to run code where the files are; names live on from call to "
        "call. When you know the answer, write it as <answer>your answer</answer>, with nothing but the answer in the "
        "tag."
    )

    def __init__(self, *, data: _Path | Mapping[str, _Path] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._data = load(data) if data is not None else None
        self._source = data
        self._task: Task | None = None
        self._num_cells = 0
        self._rows(self._split, self._level)  # an empty split or level is refused now

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The interpreter."""
        return (Tool.of(self.python),)

    def python(self, code: str) -> str:
        """Run Python code and return what it prints and the value of its last line.

        Args:
            code: The code. Names stay from call to call.
        """
        self._num_cells += 1
        return _told(self.box.cell(code, timeout_s=_CELL_S))

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a question with its files; return its id."""
        rows = self._rows(split, level)
        self._task = (
            rows[int(rng.integers(len(rows)))].task() if rows else generate(int(rng.integers(2**62)), split, level)
        )
        self._num_cells = 0
        return self._task.id

    def box_spec(self) -> SandboxSpec | None:
        """Return a box that holds the files."""
        return SandboxSpec(files=self._current().files)

    def question(self) -> str:
        """Return the question, and which files there are."""
        return self._current().question

    def answer(self, text: str, turn: str) -> Turn:
        """Score the answer; the episode is over."""
        truth = self._current().answer
        right = matches(text, truth)
        rewards = {
            "exact_match": float(right),
            "format": float(readable(text, truth)),
            "few_cells": right / max(1, self._num_cells),
        }
        return Turn(rewards=rewards, terminated=True, success=right)

    def references(self) -> tuple[str, ...]:
        """Return the right answer, as a person would write it."""
        return (show(self._current().answer),)

    def oracle(self) -> Policy:
        """Return a policy that runs the cells that solve the current task and answers with what they print."""
        return solution(self._current())

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the solution and often errs; see `policies.FLAWS`."""
        return demonstration(random.Random(int(rng.integers(2**62))), self._current(), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; over the user's own questions one may hit by luck."""
        return cheat_policies(lambda: self._current().question)

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task

    def _rows(self, split: str, level: int) -> Sequence[Entry]:
        """Return the user's questions of a split and level; none where they are generated."""
        if self._data is None or self._source is None:
            return ()
        return tasks_of(self._data, split, level, source=self._source, noun="question")


def _told(result: CellResult) -> str:
    """Write what the model reads of a cell."""
    parts = [result.stdout.decode("utf-8", "replace").rstrip("\n")]
    parts.append(result.stderr.decode("utf-8", "replace").rstrip("\n")[-_ERROR_CHARS:])
    if result.value is not None:
        parts.append(result.value)
    if result.status in _STOPPED:
        parts.append(f"Error: {_STOPPED[result.status]}")
    elif result.error is not None:
        parts.append(_traceback(result.error))
    return "\n".join(part for part in parts if part) or "(nothing was printed, and the last line has no value)"


def _traceback(error: str) -> str:
    """Keep of a traceback what is about the cell: nothing before its first line, and not more than a screen."""
    first = _FRAME.search(error)
    if first is not None:
        error = f"Traceback (most recent call last):\n{error[first.start() :]}"
    return error.strip()[-_ERROR_CHARS:]
