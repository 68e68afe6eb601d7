"""`AgentRL/Math-v0`: word problems, answered in one turn with a number, or in several with a calculator.

By default every seed is a generated problem; with `data=` the problems are the user's own, in the layout of GSM8K.
Answers are compared as exact numbers (`answers.py`): `3/4`, `0.75` and `75%` are the same, and nothing is evaluated.
"""

import random
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.math.answers import equals, read_number, show
from agentrl.envs.math.data import load
from agentrl.envs.math.policies import CHEATS, FLAWS, demonstration, solution
from agentrl.envs.math.tasks import Task, generate
from agentrl.envs.math.tools import Calculator
from agentrl.envs.protocol import Policy
from agentrl.envs.splits import tasks_of

__all__ = ["MathEnv"]

_Path = str | PathLike[str]


class MathEnv(TextEnv):
    """Word problems in one turn.

    Components: `exact_match` (the answer equals the truth as a number; also `success`) and `format` (the answer is a
    number at all), which has no weight by default.

    Args:
        data: JSONL file in the layout of GSM8K, or one for each split: {"train": FILE, "test": FILE}.
        calculator: Offer the tool `calculate`, which runs where `backend` says, and four turns.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv. With `data`, the level
            chooses among the rows by their field `level`.

    Raises:
        UsageError: An argument that does not exist.
        DataError: A bad row in `data`, or no row of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "format": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_task",)
    system = (
        "Solve the problem step by step. Then write the final number, and nothing else, as <answer>number</answer>, "
        "for example <answer>42</answer>, <answer>3.5</answer> or <answer>2/3</answer>."
    )

    def __init__(
        self,
        *,
        data: _Path | Mapping[str, _Path] | None = None,
        calculator: bool = False,
        max_turns: int | None = None,
        **kwargs: Any,
    ) -> None:
        if calculator:
            self.toolset = Calculator
        super().__init__(max_turns=(4 if calculator else 1) if max_turns is None else max_turns, **kwargs)
        self._data = load(data) if data is not None else None
        self._source = data
        self._task: Task | None = None
        self._rows(self._split, self._level)  # an empty split or level is refused now

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a problem; return its id."""
        rows = self._rows(split, level)
        self._task = rows[int(rng.integers(len(rows)))] if rows else generate(int(rng.integers(2**62)), split, level)
        return self._task.id

    def question(self) -> str:
        """Return the problem."""
        return self._current().question

    def answer(self, text: str, turn: str) -> Turn:
        """Score the answer; the episode is over."""
        task = self._current()
        number = read_number(text)
        right = number is not None and equals(number, task.answer, unit=task.unit)
        rewards = {"exact_match": float(right), "format": float(number is not None)}
        return Turn(rewards=rewards, terminated=True, success=right)

    def references(self) -> tuple[str, ...]:
        """Return the right number."""
        return (show(self._current().answer),)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the assistant's turn. A last turn without an answer is a wrong answer: it terminates, nothing is cut."""
        observation, reward, terminated, truncated, info = super().step(action)
        if truncated and "failure" not in info:
            terminated, truncated = True, False
        return observation, reward, terminated, truncated, info

    def oracle(self) -> Policy:
        """Return a policy that writes the worked solution of the current problem."""
        return lambda observation, info: solution(self._current())

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the solution and often errs; see `policies.FLAWS`."""
        generator = random.Random(int(rng.integers(2**62)))
        return lambda observation, info: demonstration(generator, self._current(), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; over the user's own problems one may hit by luck."""
        return dict(CHEATS)

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task

    def _rows(self, split: str, level: int) -> Sequence[Task]:
        """Return the user's problems of a split and level; none where problems are generated."""
        if self._data is None or self._source is None:
            return ()
        return tasks_of(self._data, split, level, source=self._source, noun="problem")
