"""`AgentRL/Code-v0`: write a Python function, or a program, that does what is asked on inputs that were not shown.

What the model writes runs in a box, never here. The final answer is graded in a clean box of its own, input by input,
and what comes out is compared here (`grading.py`): nothing in the box knows what is expected. Any flag scores 0.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.code.cheats import cheat_policies
from agentrl.envs.code.data import load
from agentrl.envs.code.feedback import examples_told, program_told
from agentrl.envs.code.grading import judge, spec_for
from agentrl.envs.code.policies import FLAWS, demonstration, solution
from agentrl.envs.code.source import between_tags, looks_written, source_of
from agentrl.envs.code.tasks import Task, families_of, generate
from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import scripted
from agentrl.envs.splits import tasks_of
from agentrl.envs.tools import Tool, parse
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.turns import spoken
from agentrl.sandboxes import SandboxSpec

__all__ = ["CodeEnv"]

_Path = str | PathLike[str]
_SHORT = "Write Python. Reply with <answer>code</answer>."
_LONG = (
    "Write Python 3.11, standard library only, that does exactly what is asked. It will be run on inputs that you have "
    "not seen. Try your code with the tools as often as you like; then give the whole source, once, as "
    "<answer>source</answer>, in a turn that calls no tool."
)


class CodeEnv(TextEnv):
    """Write a function or a program; hidden inputs decide.

    Components: `tests` (every hidden input came out right; also `success`), `fraction` (the share that did; measured
    only where its weight is not 0, since otherwise the first failure ends the grading) and `format` (the answer defines
    the function). The last two have no weight by default. Any flag, seen in the last step's `info["flags"]`, scores 0.

    Args:
        family: Draw tasks of this family only; a name of `catalogue.FAMILIES`.
        topic: Draw tasks of this topic only; one of `family.TOPICS`.
        data: JSON lines in the layout of HumanEval or MBPP, or problems with standard input and output, or one file for
            each split: {"train": FILE, "test": FILE}. The level chooses among the rows by their field `level`.
        skip_unreadable: Leave out rows of `data` whose tests cannot be read as calls and values; `skipped` lists them.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv; without "local". Level
            1 has no tools unless the tasks are of `data`, and with `max_turns=1` there are none at all.

    Raises:
        UsageError: An argument that does not exist, or a family or topic that this level does not have.
        DataError: A bad row in `data`, or no row of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"tests": 1.0, "fraction": 0.0, "format": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_task", "_with_tools")
    runs_code: ClassVar[bool] = True

    def __init__(
        self,
        *,
        family: str | None = None,
        topic: str | None = None,
        data: _Path | Mapping[str, _Path] | None = None,
        skip_unreadable: bool = False,
        max_turns: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        if data is not None and (family is not None or topic is not None):
            raise UsageError(f"data={str(data)!r} has no families or topics; leave out family= and topic=")
        if data is None and skip_unreadable:
            raise UsageError("skip_unreadable=True is about rows of data=; give data=PATH, or leave it out")
        self._source = data
        loaded = load(data, skip_unreadable=skip_unreadable) if data is not None else None
        self._data = loaded.tasks if loaded is not None else None
        self.skipped: tuple[str, ...] = loaded.skipped if loaded is not None else ()  # rows left out, with the reason
        self._family, self._topic = family, topic
        self._task: Task | None = None
        self._with_tools = False
        if not self._rows(self._split, self._level):  # an empty split or level is refused now
            families_of(self._level, family, topic)

    # -- the task ------------------------------------------------------------------------------------------------

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a task; return its id."""
        rows = self._rows(split, level)
        if rows:
            self._task = rows[int(rng.integers(len(rows)))]
        else:
            seed = int(rng.integers(2**62))
            self._task = generate(seed, split, level, family=self._family, topic=self._topic)
        self._with_tools = (level > 1 or self._data is not None) and self.max_turns > 1
        return self._task.id

    def instructions(self) -> str:
        """Return the system prompt; where there are no tools it is short."""
        return _LONG if self._with_tools else _SHORT

    def question(self) -> str:
        """Return the task: what to do, the signature, examples, and the given source where there is one."""
        return self._current().question

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The two tools; see `offered`."""
        return Tool.of(self.run_code), Tool.of(self.try_examples)

    def offered(self) -> Collection[str] | None:
        """Offer no tools at level 1 or with one turn, and examples only where there are some."""
        if not self._with_tools:
            return ()
        return None if self._current().examples else ("run_code",)

    def box_spec(self) -> SandboxSpec | None:
        """Say what the tools need; without tools the episode holds no box until it is graded."""
        return spec_for(self._current().limit_s) if self._with_tools else None

    # -- tools ---------------------------------------------------------------------------------------------------

    def run_code(self, code: str, stdin: str = "") -> str:
        """Run a Python program; return what it prints and how it ended.

        Args:
            code: The program.
            stdin: What it reads on standard input.
        """
        return program_told(self.box.run(source_of(code), stdin=stdin.encode("utf-8", "replace")))

    def try_examples(self, code: str) -> str:
        """Run a solution on the examples of the task; return what came out beside what is expected.

        Args:
            code: The whole source.
        """
        return examples_told(self.box, self._current(), source_of(code, self._current().function))

    # -- the answer ----------------------------------------------------------------------------------------------

    def answer(self, text: str, turn: str) -> Turn:
        """Grade the source in a clean box; the episode is over."""
        task = self._current()
        source = source_of(text, task.function)
        if self._with_tools:
            self.part_with_box()  # first, so that an episode never holds two boxes
        verdict = judge(
            shared_backend(BACKENDS[self.backend]),
            task,
            source,
            rng=random.Random(int(self.np_random.integers(2**62))),
            fraction=self.weights["fraction"] != 0,
        )
        rewards = {
            "tests": float(verdict.passed),
            "fraction": verdict.fraction,
            "format": float(looks_written(task, source) and not verdict.flags),
        }
        return Turn(rewards=rewards, terminated=True, success=verdict.passed, flags=verdict.flags)

    def _respond(self, action: str) -> Turn:
        """Take a source with answer tags in its texts as the one answer that it is; all else is the core's matter."""
        text = spoken(action)
        inner = between_tags(text, self._current().function)
        if inner and not (self._tools and parse(text, self._tools)):
            return self.answer(inner, text)
        return super()._respond(action)

    # -- scripted players ----------------------------------------------------------------------------------------

    def oracle(self) -> Policy:
        """Return a policy that tries the reference on the examples, where there are tools, and answers with it.

        Raises:
            UsageError: At its first turn, with data of the user's own that has no solution.
        """
        return scripted(lambda: solution(self._current(), self._with_tools))

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the solution and often errs; see `policies.FLAWS`."""
        generator = random.Random(int(rng.integers(2**62)))
        return scripted(lambda: demonstration(generator, self._current(), self._with_tools, flaws))

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; each earns 0 on every generated task."""
        return cheat_policies(self._current, lambda: self._with_tools)

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task

    def _rows(self, split: str, level: int) -> Sequence[Task]:
        """Return the user's tasks of a split and level; none where tasks are generated."""
        if self._data is None or self._source is None:
            return ()
        return tasks_of(self._data, split, level, source=self._source, noun="problem")
