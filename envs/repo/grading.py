"""Grade the sources of an agent in a fresh box: hidden uses go in one by one, what comes out is compared here.

Nothing that is expected enters the box. The box holds what was copied out of the agent's, and nothing that the agent's
programs left elsewhere. The order is drawn anew; the first use that fails ends it, unless shares are asked for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from agentrl.envs.repo.loading import DRIVER
from agentrl.envs.repo.tasks import PLACE, Task
from agentrl.envs.tools.host import infrastructure
from agentrl.envs.tools.slots import grading_slot
from agentrl.sandboxes import Backend, Case, SandboxSpec, grade

__all__ = ["Verdict", "judge"]

CPU_S = 4.0  # for one use; the slowest takes a tenth of a second
WALL_S = 24.0
DEADLINE_S = 120.0  # for all uses, from when the box is there


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an agent's sources are worth."""

    passed: bool  # every use came out right, and no call was flagged
    fixed: float  # share of the uses that failed before and pass now; 1 or 0 as `passed` where no share was asked for
    kept: float  # share of the uses that passed before and still do; the same
    flags: tuple[str, ...]  # what was seen in the calls


def judge(
    backend: Backend, task: Task, files: Mapping[str, bytes], *, rng: random.Random, shares: bool = False
) -> Verdict:
    """Grade the files of a repository.

    Args:
        backend: Where a box is leased.
        task: Whose hidden uses.
        files: Path below the repository -> content, as `copy_out` gives them.
        rng: Draws the order.
        shares: Run all uses, and tell which shares passed.

    Raises:
        InfrastructureError: A box failed, or none could be had.
    """
    checks = [*task.failing, *task.kept]
    root = f"{PLACE}/{task.root}".rstrip("/")
    cases = [Case(args=(root, check.steps), expected=check.expected) for check in checks]
    spec = SandboxSpec(cpu_s=CPU_S, wall_s=WALL_S, files={f"{PLACE}/{path}": text for path, text in files.items()})
    with grading_slot(), infrastructure():
        given = grade(
            backend,
            DRIVER,
            "use",
            cases,
            rng=rng,
            spec=spec,
            stop_at_failure=not shares,
            deadline_s=DEADLINE_S,
        )
    passed = given.score == 1.0 and not given.flags
    if not shares:
        return Verdict(passed=passed, fixed=float(passed), kept=float(passed), flags=given.flags)
    num = len(task.failing)
    fixed, kept = given.passed[:num], given.passed[num:]
    return Verdict(passed=passed, fixed=sum(fixed) / len(fixed), kept=sum(kept) / len(kept), flags=given.flags)
