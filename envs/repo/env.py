"""`AgentRL/Repo-v0`: a git repository with a failing behaviour that an issue describes; read, edit, test, say done.

What the agent leaves is copied out of its box, sources alone, and graded in a fresh one by hidden uses whose outcomes
are compared here (`grading.py`). The history ends at the broken state, and no commit before it is any better.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.repo.cheats import cheat_policies, plain_cheats
from agentrl.envs.repo.editing import create, edit
from agentrl.envs.repo.instances import Instance, load
from agentrl.envs.repo.jobs import BroughtJob, GeneratedJob, Job
from agentrl.envs.repo.policies import FLAWS
from agentrl.envs.repo.tasks import Task, generate
from agentrl.envs.repo.trials import TESTS
from agentrl.envs.splits import Source, tasks_of
from agentrl.envs.tools import Tool
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.terminal import Terminal, told
from agentrl.sandboxes import SandboxSpec

__all__ = ["RepoEnv"]

_COMMAND_S = 30.0
_TIME = re.compile(r"^(Ran \d+ tests?) in [\d.]+s$", re.MULTILINE)
_BROUGHT_COMMAND_S = 600.0  # the tests of a large repository take minutes


class RepoEnv(TextEnv):
    """Mend a repository; hidden uses of it decide.

    Components: `tests` (every hidden use came out right; also `success`), `fixed` (the share of uses that failed before
    and pass now) and `kept` (the share of uses that passed before and still do). The last two have no weight by default
    and are measured only where one is given. What was seen in the copied files and in the calls stands in the last
    step's `info["flags"]`; a flag of a call scores 0.

    Args:
        kind: Draw repositories of this kind only; a name of `catalogue.KINDS`.
        data: Instances of your own, as JSON lines in the layout of SWE-bench, or one file for each split: {"train":
            FILE, "test": FILE}. Their images are on this machine; the backend is Docker.
        image: With data: a template of the image's name, such as "my/{instance_id}:1"; by default the row's
            `image_name`, else as SWE-bench calls them.
        test_command: With data: what runs the tests, by bash in the repository; `{files}` are the test files.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, canaries, render_mode, max_reply_chars: as in TextEnv; `backend` is
            never "local".

    Raises:
        UsageError: An argument that does not exist, or a kind that this split and level do not have.
        DataError: A bad row in `data`, or no row of this split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"tests": 1.0, "fixed": 0.0, "kept": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_job", "_commit", "_has_begun", "_shell_state")
    runs_code: ClassVar[bool] = True
    system = (
        "Mend the git repository as the issue says. Tests are no part of the repair. Call bash to look around and to "
        "run tests, edit or create to change files. When it is done, write <answer>done</answer>."
    )

    def __init__(
        self,
        *,
        kind: str | None = None,
        data: Source | None = None,
        image: str | None = None,
        test_command: str | None = None,
        max_turns: int = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        if data is None and (image is not None or test_command is not None):
            raise UsageError("image= and test_command= are about instances of data=; give data=PATH, or leave them out")
        if data is not None and kind is not None:
            raise UsageError(f"data={str(data)!r} has no kinds; leave out kind={kind!r}")
        if data is not None and self.backend == "bwrap":
            raise UsageError('data= needs the images of its instances; type backend="docker", or "auto"')
        for name, value in (("image", image), ("test_command", test_command)):
            if value is not None and not isinstance(value, str):
                raise UsageError(f"{name}={value!r} must be a text; see envs/repo/README.md")
        if data is not None:
            self.backend = "docker"
        self._kind_asked, self._source = kind, data
        self._test_command = test_command or TESTS
        self._data = load(data, image=image) if data is not None else None
        self._job: Job | None = None
        self._commit = ""  # the hash that the repository begins with
        self._terminal: Terminal | None = None
        self._has_begun = False  # whether the shell is in the repository
        self._shell_state: dict[str, Any] | None = None
        if not self._rows(self._split, self._level) and kind is not None:  # what is not there is refused now
            generate(0, self._split, self._level, kind=kind)

    # -- the task ------------------------------------------------------------------------------------------------

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a repository; return its id."""
        rows = self._rows(split, level)
        if rows:
            self._job = BroughtJob(instance=rows[int(rng.integers(len(rows)))], command=self._test_command)
        else:
            self._job = GeneratedJob(task=generate(int(rng.integers(2**62)), split, level, kind=self._kind_asked))
        self._has_begun = False
        self._shell_state = None
        return self._job.id

    def question(self) -> str:
        """Return the issue, and where the repository is."""
        return self._current().question()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The shell and the two tools that change files."""
        return Tool.of(self.bash), Tool.of(self.edit), Tool.of(self.create)

    def box_spec(self) -> SandboxSpec | None:
        """Return the box that the repository is made in."""
        return self._current().box_spec()

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
        self._commit = self._current().prepare(self.box)
        self._has_begun = False

    # -- tools ---------------------------------------------------------------------------------------------------

    def bash(self, command: str) -> str:
        """Run a shell command and return its output.

        Args:
            command: The command. It begins in the repository; folder and variables last.
        """
        assert self._terminal is not None
        job = self._current()
        first = "" if self._has_begun else f"cd {job.place}; "
        self._has_begun = True
        limit_s = _COMMAND_S if self._data is None else _BROUGHT_COMMAND_S
        shown = self._terminal.run(first + command, timeout_s=limit_s)
        if shown.stopped == "oom":  # the machine is replaced by an empty one
            self._prepare()
        # What unittest says of its time differs from run to run, and an episode is the same for the same seed.
        return _TIME.sub(r"\1", told(shown)) if self._data is None else told(shown)

    def edit(self, path: str, old: str, new: str) -> str:
        """Replace a text that stands exactly once in a file.

        Args:
            path: The file, from the repository.
            old: The text, exactly.
            new: What takes its place.
        """
        return edit(self.box, self._current().writable, path, old, new)

    def create(self, path: str, text: str) -> str:
        """Write a file, whole.

        Args:
            path: The file, from the repository.
            text: All of it.
        """
        return create(self.box, self._current().writable, path, text)

    # -- the answer ----------------------------------------------------------------------------------------------

    def answer(self, text: str, turn: str) -> Turn:
        """Copy the sources out and grade them in a fresh box; the episode is over."""
        job = self._current()
        collected = job.collect(self.box, self._commit)
        self.part_with_box()  # first, so that an episode never holds two boxes
        graded = job.judge(
            shared_backend(BACKENDS[self.backend]),
            collected,
            rng=random.Random(int(self.np_random.integers(2**62))),
            shares=bool(self.weights["fixed"] or self.weights["kept"]),
        )
        rewards = {"tests": float(graded.passed), "fixed": graded.fixed, "kept": graded.kept}
        return Turn(rewards=rewards, terminated=True, success=graded.passed, flags=graded.flags)

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
        return self._current().oracle()

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the repair and often errs; see `policies.FLAWS`."""
        return self._current().demonstrator(random.Random(int(rng.integers(2**62))), flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; each earns 0."""
        return plain_cheats() if self._data is not None else cheat_policies(self._generated)

    def _generated(self) -> Task:
        job = self._current()
        assert isinstance(job, GeneratedJob)
        return job.task

    def _current(self) -> Job:
        if self._job is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._job

    def _rows(self, split: str, level: int) -> Sequence[Instance]:
        """Return the user's instances of a split and level; none where repositories are generated."""
        if self._data is None or self._source is None:
            return ()
        return tasks_of(self._data, split, level, source=self._source, noun="instance")
