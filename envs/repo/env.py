"""`AgentRL/Repo-v0`: a git repository with a failing behaviour that an issue describes; read, edit, test, say done.

What the agent leaves is copied out of its box, sources alone, and graded in a fresh one by hidden uses whose outcomes
are compared here (`grading.py`). The history ends at the broken state, and no commit before it is any better.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.repo.cheats import cheat_policies
from agentrl.envs.repo.copying import copy_out
from agentrl.envs.repo.editing import create, edit
from agentrl.envs.repo.grading import judge
from agentrl.envs.repo.history import setup, stream
from agentrl.envs.repo.policies import FLAWS, demonstration, solution
from agentrl.envs.repo.tasks import PLACE, Task, generate, kinds_of
from agentrl.envs.tools import Tool
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.terminal import Terminal, told
from agentrl.sandboxes import SandboxSpec

__all__ = ["RepoEnv"]

_COMMAND_S = 30.0


class RepoEnv(TextEnv):
    """Mend a repository; hidden uses of it decide.

    Components: `tests` (every hidden use came out right; also `success`), `fixed` (the share of uses that failed before
    and pass now) and `kept` (the share of uses that passed before and still do). The last two have no weight by default
    and are measured only where one is given. What was seen in the copied files and in the calls stands in the last
    step's `info["flags"]`; a flag of a call scores 0.

    Args:
        kind: Draw repositories of this kind only; a name of `catalogue.KINDS`.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, canaries, render_mode, max_reply_chars: as in TextEnv; `backend` is
            never "local".

    Raises:
        UsageError: An argument that does not exist, or a kind that this split and level do not have.
    """

    components: ClassVar[Mapping[str, float]] = {"tests": 1.0, "fixed": 0.0, "kept": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_task", "_has_begun", "_shell_state")
    runs_code: ClassVar[bool] = True
    system = (
        "Mend the git repository as the issue says. Tests are no part of the repair. Call bash to look around and to "
        "run tests, edit or create to change files. When it is done, write <answer>done</answer>."
    )

    def __init__(self, *, kind: str | None = None, max_turns: int = 30, **kwargs: Any) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        self._kind_asked = kind
        self._task: Task | None = None
        self._terminal: Terminal | None = None
        self._has_begun = False  # whether the shell is in the repository
        self._shell_state: dict[str, Any] | None = None
        self._flags: list[str] = []
        if kind is not None:
            generate(0, self._split, self._level, kind=kind)  # a kind that is not there is refused now
        assert kinds_of(self._split, self._level)

    # -- the task ------------------------------------------------------------------------------------------------

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a repository; return its id."""
        self._task = generate(int(rng.integers(2**62)), split, level, kind=self._kind_asked)
        self._has_begun = False
        self._shell_state = None
        return self._task.id

    def question(self) -> str:
        """Return the issue, and how the tests are run."""
        task = self._current()
        return f"{task.issue}\n\nThe repository is at {PLACE}; its tests: {task.command}"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The shell and the two tools that change files."""
        return Tool.of(self.bash), Tool.of(self.edit), Tool.of(self.create)

    def box_spec(self) -> SandboxSpec | None:
        """Return a plain box; the repository is made in it by one command."""
        # Bytecode is taken for current where time and size of a source agree: an edit within a second may not be seen.
        return SandboxSpec(environment={"PYTHONDONTWRITEBYTECODE": "1"})

    def _begin(self) -> None:
        super()._begin()
        try:
            self._terminal = Terminal(self.box)
            self._prepare()
        except BaseException:
            self._release()
            raise

    def _prepare(self) -> None:
        """Make the repository in a box that has none."""
        task = self._current()
        result = self.box.exec(setup(PLACE), stdin=stream(task.commits), timeout_s=60.0)
        if not result.ok:
            raise InfrastructureError(
                f"git could not make the repository ({result.status}): {result.stderr_text.strip()[-300:]}; the image "
                "needs git 2.28 or later",
                kind="setup",
                boundary="sandbox",
            )
        self._has_begun = False

    # -- tools ---------------------------------------------------------------------------------------------------

    def bash(self, command: str) -> str:
        """Run a shell command and return its output.

        Args:
            command: The command. It begins in the repository; folder and variables last.
        """
        assert self._terminal is not None
        first = "" if self._has_begun else f"cd {PLACE}; "
        self._has_begun = True
        shown = self._terminal.run(first + command, timeout_s=_COMMAND_S)
        if shown.stopped == "oom":  # the machine is replaced by an empty one
            self._prepare()
        return told(shown)

    def edit(self, path: str, old: str, new: str) -> str:
        """Replace a text that stands exactly once in a file.

        Args:
            path: The file, from the repository.
            old: The text, exactly.
            new: What takes its place.
        """
        return edit(self.box, PLACE, path, old, new)

    def create(self, path: str, text: str) -> str:
        """Write a file, whole.

        Args:
            path: The file, from the repository.
            text: All of it.
        """
        return create(self.box, PLACE, path, text)

    # -- the answer ----------------------------------------------------------------------------------------------

    def answer(self, text: str, turn: str) -> Turn:
        """Copy the sources out and grade them in a fresh box; the episode is over."""
        task = self._current()
        copied = copy_out(self.box, PLACE, task.files, root=task.root)
        self.part_with_box()  # first, so that an episode never holds two boxes
        verdict = judge(
            shared_backend(BACKENDS[self.backend]),
            task,
            copied.files,
            rng=random.Random(int(self.np_random.integers(2**62))),
            shares=bool(self.weights["fixed"] or self.weights["kept"]),
        )
        self._flags = sorted({*copied.flags, *verdict.flags})
        rewards = {"tests": float(verdict.passed), "fixed": verdict.fixed, "kept": verdict.kept}
        return Turn(rewards=rewards, terminated=True, success=verdict.passed)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the assistant's turn; where grading saw something, the last `info` has its `flags`."""
        self._flags = []
        observation, reward, terminated, truncated, info = super().step(action)
        if self._flags:
            info["flags"] = self._flags
        return observation, reward, terminated, truncated, info

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state of the episode, that of the shell included."""
        if self._terminal is not None and self._box is not None:
            self._shell_state = self._terminal.snapshot()
        return super().snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave."""
        super().restore(snapshot)
        self._has_begun = snapshot["_has_begun"]
        if self._box is not None and self._terminal is not None and self._shell_state is not None:
            self._terminal.restore(self._shell_state)

    # -- scripted players ----------------------------------------------------------------------------------------

    def oracle(self) -> Policy:
        """Return a policy that runs the tests, reads, edits, runs the tests again and says that it is done."""
        return solution(self._current())

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the repair and often errs; see `policies.FLAWS`."""
        return demonstration(random.Random(int(rng.integers(2**62))), self._current(), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; each earns 0."""
        return cheat_policies(self._current)

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task
