"""What an episode is about, whichever way it came: a generated task, or a folder of the user's own.

Both say the same things: what is asked, which box it needs, what is made in it, how what is left is judged, and who can
play it.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.protocol import Policy
from agentrl.envs.shell.family import reaches
from agentrl.envs.shell.harbor import policies as harbor
from agentrl.envs.shell.harbor.carrying import carry
from agentrl.envs.shell.harbor.format import HarborTask
from agentrl.envs.shell.harbor.images import Prepared, prepared
from agentrl.envs.shell.harbor.trial import Graded, fill, spec_of, try_out
from agentrl.envs.shell.policies import demonstration, typed
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.tasks import Task
from agentrl.envs.shell.trial import ENVIRONMENT, Trial
from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes import Backend, SandboxSpec

__all__ = ["BroughtJob", "GeneratedJob", "Job"]

_COMMAND_S = 10.0
_BROUGHT_COMMAND_S = 600.0  # a build or a training run takes minutes


class Job(ABC):
    """One task of an episode."""

    command_s = _COMMAND_S  # that a command may take

    @property
    @abstractmethod
    def id(self) -> str:
        """The task's id."""

    @property
    def place(self) -> str:
        """The folder where commands begin; "" for the box's own."""
        return ""

    @abstractmethod
    def question(self) -> str:
        """Return the first observation."""

    @abstractmethod
    def box_spec(self) -> SandboxSpec:
        """Return the box that is needed.

        Raises:
            InfrastructureError: Its image cannot be had.
        """

    @abstractmethod
    def set_up(self, box: CodeBox) -> None:
        """Make in a box what its image and first files cannot say.

        Raises:
            InfrastructureError: That failed.
        """

    @abstractmethod
    def judge(self, box: CodeBox, part: Callable[[], None], backend: Backend) -> Graded:
        """Judge what is left in a box.

        Args:
            box: The episode's.
            part: Gives that box back; called before another one is leased.
            backend: Where that is leased.

        Raises:
            InfrastructureError: A box failed, or none could be had.
        """

    @abstractmethod
    def oracle(self) -> Policy:
        """Return a policy that solves the task."""

    @abstractmethod
    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return a policy that knows the solution and often errs."""


@dataclass(frozen=True, kw_only=True)
class GeneratedJob(Job):
    """A generated task, judged on the host."""

    task: Task

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    def question(self) -> str:
        """Return what is to be done."""
        return self.task.question

    def box_spec(self) -> SandboxSpec:
        """Return a box that holds the task's first files."""
        return SandboxSpec(files=self.task.files, environment=ENVIRONMENT)

    def set_up(self, box: CodeBox) -> None:
        """Make folders, permissions, links, histories."""
        task = self.task
        if not task.setup:
            return
        result = box.exec(["sh", "-ec", task.setup], stdin=task.stdin)
        if not result.ok:
            said = (result.stderr_text or result.stdout_text or result.status).strip()[-500:]
            raise InfrastructureError(
                f"{task.id} could not be set up: {said}; the box needs the programs of AgentRL's base image, which "
                "bubblewrap takes from this host: `agentrl sandbox doctor --quick`",
                kind="setup",
                boundary="sandbox",
            )

    def judge(self, box: CodeBox, part: Callable[[], None], backend: Backend) -> Graded:
        """Compare what is left with what is wanted."""
        right = reaches(self.task.goal, self.task.files, Remains(box), Trial(backend, part))
        return Graded(score=float(right), passed=right, flags=())

    def oracle(self) -> Policy:
        """Return a policy that types the commands that solve the task."""
        return typed(self.task.oracle)

    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return a policy that errs as often as `flaws` says."""
        return demonstration(rng, self.task, flaws)


@dataclass(frozen=True, kw_only=True)
class BroughtJob(Job):
    """A task of the user's own, judged by its tests in its image."""

    task: HarborTask
    image: str | None
    build: bool
    test_command: str | None
    writable: tuple[str, ...] | None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def command_s(self) -> float:  # type: ignore[override]
        """The time that the task gives the agent, ten minutes at most."""
        return min(self.task.agent_s, _BROUGHT_COMMAND_S)

    @property
    def place(self) -> str:
        """The image's working folder."""
        return self._prepared().place

    def question(self) -> str:
        """Return the instruction."""
        return self.task.instruction

    def box_spec(self) -> SandboxSpec:
        """Return a box of the task's image, which is prepared when it is used for the first time."""
        return spec_of(self.task, self._prepared(anew=True))

    def set_up(self, box: CodeBox) -> None:
        """Copy the image's writable folders to where they can be written."""
        fill(box, self._prepared())

    def judge(self, box: CodeBox, part: Callable[[], None], backend: Backend) -> Graded:
        """Run the task's tests over what is left, in a fresh box."""
        carried = carry(box, self._prepared())
        part()
        return try_out(backend, self.task, self._prepared(), carried, command=self.test_command)

    def oracle(self) -> Policy:
        """Return a policy that runs the task's solution."""
        return harbor.solution(self.task)

    def demonstrator(self, rng: random.Random, flaws: Mapping[str, float]) -> Policy:
        """Return the solution, or a policy that does nothing, in the proportion of `flaws`."""
        return harbor.demonstration(rng, self.task, flaws)

    def _prepared(self, *, anew: bool = False) -> Prepared:
        return prepared(self.task, image=self.image, build=self.build, writable=self.writable, anew=anew)
