"""`AgentRL/Shell-v0`: tasks in a bash session, judged by the files that are left.

The session lives in a box of the episode; what is expected never does. When the agent says that it is done, nothing of
it runs any more: its files are copied out and judged on the host, and what has to be run is run in a fresh box.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.shell.family import reaches
from agentrl.envs.shell.policies import FLAWS, cheat_policies, demonstration, typed
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.tasks import Task, generate
from agentrl.envs.shell.trial import ENVIRONMENT, Trial
from agentrl.envs.tools import Tool
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.terminal import Terminal, told
from agentrl.sandboxes import SandboxSpec

__all__ = ["ShellEnv"]

_COMMAND_S = 10.0


class ShellEnv(TextEnv):
    """Tasks in a shell, with the tool `bash`.

    Components: `exact_match` (all is as the task wants it, and nothing else was harmed; also `success`) and
    `few_commands` (a task that was solved, over the number of commands that it took). Only `exact_match` has weight by
    default.

    Args:
        shared_wordings: Ask tasks of the test split in training's wordings, too; names and words stay apart.
        max_turns: Turns after which the episode is truncated.
        **kwargs: split, level, weights, backend, canaries, render_mode, max_reply_chars: as in TextEnv; `backend` is
            never "local".

    Raises:
        UsageError: An argument that does not exist.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "few_commands": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_drawn", "_num_commands")
    runs_code: ClassVar[bool] = True
    system = (
        "You work in a shell, in the folder /work. Call bash to run commands. When the task is done, write "
        "<answer>done</answer>."
    )

    def __init__(self, *, shared_wordings: bool = False, max_turns: int = 16, **kwargs: Any) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        self._shared_wordings = shared_wordings
        self._drawn: tuple[int, str, int] | None = None  # what decides the task: a judge is no plain data
        self._made: tuple[tuple[int, str, int], Task] | None = None
        self._terminal: Terminal | None = None
        self._num_commands = 0

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The shell."""
        return (Tool.of(self.bash),)

    def bash(self, command: str) -> str:
        """Run a command and return what it prints. Programs still running at its end are killed.

        Args:
            command: The command. Folder and variables last from call to call.
        """
        assert self._terminal is not None, "a tool was called outside an episode"
        self._num_commands += 1
        shown = self._terminal.run(command, timeout_s=_COMMAND_S)
        if shown.stopped == "oom":  # the clean box that takes its place has the first files only
            self._set_up()
        return told(shown)

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a task; return its id."""
        self._drawn = (int(rng.integers(2**62)), split, level)
        self._num_commands = 0
        return self._current().id

    def box_spec(self) -> SandboxSpec | None:
        """Return a box that holds the task's first files."""
        return SandboxSpec(files=self._current().files, environment=ENVIRONMENT)

    def question(self) -> str:
        """Return what is to be done."""
        return self._current().question

    def answer(self, text: str, turn: str) -> Turn:
        """Judge what is left in the box; the episode is over, whatever the answer says."""
        task = self._current()
        trial = Trial(shared_backend(BACKENDS[self.backend]), self.part_with_box)
        right = reaches(task.goal, task.files, Remains(self.box), trial)
        rewards = {"exact_match": float(right), "few_commands": right / max(1, self._num_commands)}
        return Turn(rewards=rewards, terminated=True, success=right)

    def oracle(self) -> Policy:
        """Return a policy that types the commands that solve the current task."""
        return typed(self._current().oracle)

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the solution and often errs; see `policies.FLAWS`."""
        return demonstration(random.Random(int(rng.integers(2**62))), self._current(), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats."""
        return cheat_policies(self._current)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state of the episode, the session's and the files' included; it can be pickled."""
        session = None if self._done or self._terminal is None else self._terminal.snapshot()
        return {**super().snapshot(), "session": session}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave, in this environment or in one made with the same arguments."""
        super().restore(snapshot)
        if self._terminal is not None and snapshot["session"] is not None:
            self._terminal.restore(snapshot["session"])

    def _begin(self) -> None:
        super()._begin()
        try:
            self._set_up()
        except BaseException:
            self._release()
            raise
        self._terminal = Terminal(self.box)

    def _set_up(self) -> None:
        """Make in the box what its files cannot say: folders, permissions, links, histories."""
        task = self._current()
        if not task.setup:
            return
        result = self.box.exec(["sh", "-ec", task.setup], stdin=task.stdin)
        if not result.ok:
            said = (result.stderr_text or result.stdout_text or result.status).strip()[-500:]
            raise InfrastructureError(
                f"{task.id} could not be set up: {said}; the box needs the programs of AgentRL's base image, which "
                "bubblewrap takes from this host: `agentrl sandbox doctor --quick`",
                kind="setup",
                boundary="sandbox",
            )

    def _current(self) -> Task:
        if self._drawn is None:
            raise UsageError("there is no task yet; call reset() first")
        if self._made is None or self._made[0] != self._drawn:
            self._made = (self._drawn, generate(*self._drawn, shared_wordings=self._shared_wordings))
        return self._made[1]
