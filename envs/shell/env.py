"""`AgentRL/Shell-v0`: tasks in a bash session, judged by the files that are left.

The session lives in a box of the episode; what is expected never does. When the agent says that it is done, nothing of
it runs any more: its files are copied out and judged on the host, and what has to be run is run in a fresh box. Tasks
are generated, or folders of the user's own in Harbor's format (`harbor/`).
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.shell.harbor import HarborTask, load
from agentrl.envs.shell.harbor.images import checked_folders, checked_template
from agentrl.envs.shell.harbor.policies import cheats as harbor_cheats
from agentrl.envs.shell.jobs import BroughtJob, GeneratedJob, Job
from agentrl.envs.shell.marks import give_marks, take_marks
from agentrl.envs.shell.policies import FLAWS, cheat_policies
from agentrl.envs.shell.tasks import Task, generate
from agentrl.envs.splits import Source, tasks_of
from agentrl.envs.tools import Tool
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.terminal import Terminal, told
from agentrl.sandboxes import SandboxSpec

__all__ = ["ShellEnv"]


class ShellEnv(TextEnv):
    """Tasks in a shell, with the tool `bash`.

    Components: `exact_match` (all is as the task wants it, and nothing else was harmed; also `success`), `few_commands`
    (a task that was solved, over the number of commands that it took) and `score` (what the tests of a task of `data=`
    wrote, parts included; else as `exact_match`). Only `exact_match` has weight by default. What was seen in what was
    left of a task of `data=` stands in the last step's `info["flags"]`.

    Args:
        shared_wordings: Ask tasks of the test split in training's wordings, too; names and words stay apart.
        data: Tasks of your own: a folder in the format of Harbor or of terminal-bench, a folder of such folders, or one
            for each split: {"train": FOLDER, "test": FOLDER}. The backend is Docker.
        image: With data: the name of an image on this machine, `{task}` in it for the task's name; by default the
            task's own `docker_image`, where it is on this machine.
        build: With data: whether a task whose image is not there is built of its `environment/Dockerfile`.
        test_command: With data: what runs the tests, by bash in the image's working folder, in place of the task's
            script; without a reward file its exit status decides.
        writable: With data: the folders of the image that the agent may write to, and whose files are graded; by
            default the image's working folder.
        max_turns: Turns after which the episode is truncated.
        **kwargs: split, level, weights, backend, canaries, render_mode, max_reply_chars: as in TextEnv; `backend` is
            never "local".

    Raises:
        UsageError: An argument that does not exist, or arguments that do not go together.
        DataError: A task of `data` that is malformed or cannot be run here, or no task of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "few_commands": 0.0, "score": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_drawn", "_num_commands", "_has_begun")
    runs_code: ClassVar[bool] = True
    system = (
        "You work in a shell, in the folder /work. Call bash to run commands. When the task is done, write "
        "<answer>done</answer>."
    )

    def __init__(
        self,
        *,
        shared_wordings: bool = False,
        data: Source | None = None,
        image: str | None = None,
        build: bool = False,
        test_command: str | None = None,
        writable: Sequence[str] | None = None,
        max_turns: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        if not isinstance(shared_wordings, bool):
            raise UsageError(f"shared_wordings={shared_wordings!r} must be True or False")
        if data is not None and shared_wordings:
            raise UsageError("shared_wordings=True is about generated tasks; leave it out with data=")
        self._shared_wordings = shared_wordings
        if data is None and (build or (image, test_command, writable) != (None, None, None)):
            raise UsageError("image=, build=, test_command= and writable= are about tasks of data=; give data=FOLDER")
        self._source, self._data = data, None
        if data is not None:
            if self.backend == "bwrap":
                raise UsageError('data= needs the images of its tasks; type backend="docker", or "auto"')
            self.backend = "docker"
            checked_template(image)
            self._data = load(data, test_command=test_command)
        folders = checked_folders(writable)
        self._as_job = partial(BroughtJob, image=image, build=build, test_command=test_command, writable=folders)
        self._drawn: tuple[int, str, int] | None = None  # what decides the task: a judge is no plain data
        self._made: tuple[tuple[int, str, int], Task] | None = None
        self._terminal: Terminal | None = None
        self._num_commands = 0
        self._has_begun = False  # whether the shell is in the task's folder
        self._brought(self._split, self._level)  # what is not there is refused now

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
        job = self._job()
        first = f"cd {shlex.quote(job.place)}; " if not self._has_begun and job.place else ""
        self._has_begun = True
        shown = self._terminal.run(first + command, timeout_s=job.command_s)
        if shown.stopped == "oom":  # the clean box that takes its place has the first files only
            self._set_up()
        return told(shown)

    def instructions(self) -> str:
        """Return the system prompt, with the folder that the task begins in."""
        return self.system.replace("/work", self._job().place or "/work")

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a task; return its id."""
        self._brought(split, level)
        self._drawn = (int(rng.integers(2**62)), split, level)
        self._num_commands = 0
        self._has_begun = False
        return self._job().id

    def box_spec(self) -> SandboxSpec | None:
        """Return a box that holds the task's first files, or is of the task's image."""
        return self._job().box_spec()

    def question(self) -> str:
        """Return what is to be done."""
        return self._job().question()

    def answer(self, text: str, turn: str) -> Turn:
        """Judge what is left in the box; the episode is over, whatever the answer says."""
        graded = self._job().judge(self.box, self.part_with_box, shared_backend(BACKENDS[self.backend]))
        few = graded.passed / max(1, self._num_commands)
        rewards = {"exact_match": float(graded.passed), "few_commands": few, "score": graded.score}
        return Turn(rewards=rewards, terminated=True, success=graded.passed, flags=graded.flags)

    def oracle(self) -> Policy:
        """Return a policy that types the commands that solve the current task."""
        return self._job().oracle()

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the solution and often errs; see `policies.FLAWS`."""
        return self._job().demonstrator(random.Random(int(rng.integers(2**62))), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats."""
        return harbor_cheats() if self._data is not None else cheat_policies(self._current)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state of the episode, the session's and the files' included; it can be pickled."""
        session = None if self._done or self._terminal is None else self._terminal.snapshot()
        marks = None if self._done or self._data is not None else take_marks(self.box)
        return {**super().snapshot(), "session": session, "marks": marks}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave, in this environment or in one made with the same arguments."""
        super().restore(snapshot)
        self._has_begun = snapshot["_has_begun"]
        if self._terminal is not None and snapshot["session"] is not None:
            self._terminal.restore(snapshot["session"])
        if snapshot["marks"] is not None:
            give_marks(self.box, snapshot["marks"])

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
        self._job().set_up(self.box)
        self._has_begun = False

    def _job(self) -> Job:
        """Return what the episode is about."""
        if self._drawn is None:
            raise UsageError("there is no task yet; call reset() first")
        number, split, level = self._drawn
        tasks = self._brought(split, level)
        if not tasks:
            return GeneratedJob(task=self._current())
        return self._as_job(task=tasks[number % len(tasks)])

    def _current(self) -> Task:
        """Return the generated task of the episode."""
        if self._drawn is None:
            raise UsageError("there is no task yet; call reset() first")
        if self._made is None or self._made[0] != self._drawn:
            self._made = (self._drawn, generate(*self._drawn, shared_wordings=self._shared_wordings))
        return self._made[1]

    def _brought(self, split: str, level: int) -> Sequence[HarborTask]:
        """Return the user's tasks of a split and level; none where tasks are generated."""
        if self._data is None or self._source is None:
            return ()
        return tasks_of(self._data, split, level, source=self._source, noun="task")
