"""Function-calling cases of the user's own: one request, some functions, and the calls that are right.

The functions are schemas only: nothing runs. A turn with calls is judged and ends the episode; where no function serves
the request ("irrelevance"), the right turn calls none and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call, scripted
from agentrl.envs.splits import tasks_of
from agentrl.envs.tools import ArgumentError, Malformed, Tool, ToolCall, parse
from agentrl.envs.tooluse.bfcl import FunctionCase, load_cases
from agentrl.envs.tooluse.matching import Wanted, all_match
from agentrl.envs.turns import spoken

__all__ = ["FunctionsEnv"]

_SYSTEM = (
    "Call the functions that serve the request, with the right arguments, all of them in one turn. If no function "
    "serves it, call none and write <answer>none</answer>."
)

_Path = str | PathLike[str]


class FunctionsEnv(TextEnv):
    """Function calls for one request, compared with those that are right.

    Components: `exact_match` (exactly the wanted calls, by BFCL's rules; also `success`) and `format` (no malformed
    turn), which has no weight by default.

    Args:
        data: JSONL file in the layout of BFCL, or one for each split: {"train": FILE, "test": FILE}. The right calls
            stand in the row's `ground_truth`, or in the file of the same name in the folder `possible_answer` beside.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv; the level chooses among
            the rows by their field `level`.

    Raises:
        DataError: A bad row, or no row of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "format": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_case",)
    system = _SYSTEM

    def __init__(self, *, data: _Path | Mapping[str, _Path], max_turns: int = 3, **kwargs: Any) -> None:
        self._case: FunctionCase | None = None
        self._source = data
        self._cases = load_cases(data)
        super().__init__(max_turns=max_turns, **kwargs)
        self._of(self._split, self._level)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The functions of the current case; none before there is one."""
        return self._case.tools if self._case is not None else ()

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a row of the split and level."""
        rows = self._of(split, level)
        self._case = rows[int(rng.integers(len(rows)))]
        return self._case.id

    def question(self) -> str:
        """Return the request."""
        return self._current().request

    def answer(self, text: str, turn: str) -> Turn:
        """Judge a turn that calls nothing."""
        return self._judged([])

    def oracle(self) -> Policy:
        """Return a policy that makes the wanted calls, with the first value that is accepted for each argument."""
        return scripted(lambda: [_written(self._current().wanted)])

    def cheats(self) -> dict[str, Policy]:
        """Return ways to score without reading; "none" is right for the share of the rows that want no call."""
        return {
            "calls every function": scripted(lambda: ["".join(call(tool.name) for tool in self._current().tools)]),
            "says that it called": scripted(lambda: ["I called the function: it returned success."]),
            "two answers": scripted(lambda: ["<answer>none</answer><answer>none</answer>"]),
        }

    def _respond(self, action: str) -> Turn:
        calls = parse(spoken(action), self._tools)
        if not calls:
            return super()._respond(action)
        bound: list[tuple[str, Mapping[str, Any]]] = []
        for each in calls:
            problem = self._bound(each, bound)
            if problem:
                return Turn(replies=(self._malformed(f"Error: {problem}"),))
        return self._judged(bound)

    def _bound(self, item: ToolCall | Malformed, bound: list[tuple[str, Mapping[str, Any]]]) -> str:
        """Add a call with its arguments in the types of the schema, or return what is wrong with it."""
        if isinstance(item, Malformed):
            return item.reason
        try:
            bound.append((item.name, self._tools[item.name].bind(item.arguments)))
        except ArgumentError as error:
            return str(error)
        return ""

    def _judged(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Turn:
        right = all_match(calls, self._current().wanted)
        rewards = {"exact_match": float(right), "format": float(self._num_malformed == 0)}
        return Turn(rewards=rewards, terminated=True, success=right)

    def _begin(self) -> None:
        super()._begin()
        self._tools = {tool.name: tool for tool in self.tools}

    def _described(self) -> list[dict[str, Any]]:
        return [tool.schema for tool in self._tools.values()]

    def _current(self) -> FunctionCase:
        if self._case is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._case

    def _of(self, split: str, level: int) -> Sequence[FunctionCase]:
        return tasks_of(self._cases, split, level, source=self._source, noun="case")


def _written(wanted: Sequence[Wanted]) -> str:
    if not wanted:
        return "<answer>none</answer>"
    return "".join(
        call(name, **{key: _first(values) for key, values in arguments.items() if values[0] != ""})
        for name, arguments in wanted
    )


def _first(values: Sequence[Any]) -> Any:
    value = values[0]
    if isinstance(value, dict):
        return {key: _first(each) if isinstance(each, list) else each for key, each in value.items() if each != [""]}
    return json.loads(json.dumps(value))
