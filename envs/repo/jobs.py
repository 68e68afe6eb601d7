"""What an episode is about, whichever way it came: a generated repository, or an instance of the user's own.

Both say the same things: what is asked, which box it needs, how the repository gets into it, what is read out of the
box at the end, how that is judged, and who can play it.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.repo.copying import Copied, copy_out
from agentrl.envs.repo.grading import judge
from agentrl.envs.repo.history import setup, stream
from agentrl.envs.repo.instances import Instance
from agentrl.envs.repo.policies import DONE, demonstration, solution
from agentrl.envs.repo.tasks import PLACE, Task
from agentrl.envs.repo.testbeds import TESTBED, WRITABLE, prepared
from agentrl.envs.repo.trials import Changes, changes_of, prepare, spec_of, try_out
from agentrl.envs.scripted import call, scripted
from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes import Backend, SandboxSpec

__all__ = ["BroughtJob", "GeneratedJob", "Graded", "Job"]


@dataclass(frozen=True, kw_only=True)
class Graded:
    """What came out of an episode."""

    passed: bool
    fixed: float  # share of what failed before and passes now; where no shares were asked for, 1 or 0 as `passed`
    kept: float  # share of what passed before and still does; the same
    flags: tuple[str, ...]


class Job(ABC):
    """One task of an episode, as plain data."""

    place: str  # where the repository is, for the shell
    writable: str  # the same, as a path without links

    @property
    @abstractmethod
    def id(self) -> str:
        """The task's id."""

    @abstractmethod
    def question(self) -> str:
        """Return the first observation."""

    @abstractmethod
    def box_spec(self) -> SandboxSpec:
        """Return the box that is needed."""

    @abstractmethod
    def prepare(self, box: CodeBox) -> str:
        """Make the repository in a box that has none; return the hash that it begins with.

        Raises:
            InfrastructureError: That failed.
        """

    @abstractmethod
    def collect(self, box: CodeBox, commit: str) -> Any:
        """Read what the agent left.

        Args:
            box: The episode's.
            commit: What `prepare` returned.

        Raises:
            InfrastructureError: The box failed.
        """

    @abstractmethod
    def judge(self, backend: Backend, collected: Any, *, rng: random.Random, shares: bool) -> Graded:
        """Judge what was collected, in a fresh box.

        Raises:
            InfrastructureError: The box failed, or none could be had.
        """

    @abstractmethod
    def oracle(self) -> Policy:
        """Return a policy that solves the task with the tools."""

    @abstractmethod
    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return a policy that knows the solution and often errs."""


@dataclass(frozen=True, kw_only=True)
class GeneratedJob(Job):
    """A generated repository, graded by hidden uses."""

    task: Task
    place = writable = PLACE

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    def question(self) -> str:
        """Return the issue, and how the tests are run."""
        return f"{self.task.issue}\n\nThe repository is at {PLACE}; its tests: {self.task.command}"

    def box_spec(self) -> SandboxSpec:
        """Return a plain box."""
        # Bytecode is taken for current where time and size of a source agree: an edit within a second may not be seen.
        return SandboxSpec(environment={"PYTHONDONTWRITEBYTECODE": "1"})

    def prepare(self, box: CodeBox) -> str:
        """Make the repository by one stream of commits."""
        result = box.exec(setup(PLACE), stdin=stream(self.task.commits), timeout_s=60.0)
        if not result.ok:
            raise InfrastructureError(
                f"git could not make the repository ({result.status}): {result.stderr_text.strip()[-300:]}; the image "
                "needs git 2.28 or later",
                kind="setup",
                boundary="sandbox",
            )
        return ""

    def collect(self, box: CodeBox, commit: str) -> Copied:
        """Copy the sources out."""
        return copy_out(box, PLACE, self.task.files, root=self.task.root)

    def judge(self, backend: Backend, collected: Any, *, rng: random.Random, shares: bool) -> Graded:
        """Grade by the hidden uses."""
        verdict = judge(backend, self.task, collected.files, rng=rng, shares=shares)
        flags = tuple(sorted({*collected.flags, *verdict.flags}))
        return Graded(passed=verdict.passed, fixed=verdict.fixed, kept=verdict.kept, flags=flags)

    def oracle(self) -> Policy:
        """Return a policy that runs the tests, reads, edits, runs the tests again and says that it is done."""
        return solution(self.task)

    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return a policy that errs as often as `flaws` says."""
        return demonstration(rng, self.task, flaws)


@dataclass(frozen=True, kw_only=True)
class BroughtJob(Job):
    """An instance of the user's own, graded by its tests in its image."""

    instance: Instance
    command: str  # runs the tests
    place = TESTBED
    writable = WRITABLE

    @property
    def id(self) -> str:
        """The instance's id."""
        return self.instance.id

    def question(self) -> str:
        """Return the issue."""
        return f"{self.instance.issue}\n\nThe repository is at {TESTBED}."

    def box_spec(self) -> SandboxSpec:
        """Return a box of the instance's image; it is prepared when it is used for the first time."""
        return spec_of(prepared(self.instance.image, self.instance.base_commit))

    def prepare(self, box: CodeBox) -> str:
        """Copy the repository to where it can be written, with one commit."""
        return prepare(box)

    def collect(self, box: CodeBox, commit: str) -> Changes:
        """Read the changed files."""
        return changes_of(box, commit, self.instance)

    def judge(self, backend: Backend, collected: Any, *, rng: random.Random, shares: bool) -> Graded:
        """Run the tests of the instance."""
        image = prepared(self.instance.image, self.instance.base_commit)
        trial = try_out(backend, image, self.instance, collected, command=self.command)
        return Graded(passed=trial.passed, fixed=trial.fixed, kept=trial.kept, flags=trial.flags)

    def oracle(self) -> Policy:
        """Return a policy that applies the patch of the row.

        Raises:
            UsageError: At its first turn, where the row has none.
        """

        def turns() -> list[str]:
            if not self.instance.patch.strip():
                raise UsageError(f"{self.id} has no patch in its row, so there is no oracle for it")
            text = self.instance.patch.rstrip("\n")
            return [call("bash", command=f"git apply - <<'END_OF_PATCH'\n{text}\nEND_OF_PATCH"), DONE]

        return scripted(turns)

    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return the oracle, or one that does nothing, in the proportion of `flaws`."""
        flaw = rng.choices(list(flaws), list(flaws.values()))[0]
        return self.oracle() if flaw in ("none", "errs first") else scripted(lambda: [DONE])
