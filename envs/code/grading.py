"""Grade a candidate in a clean box: inputs go in one by one, what comes out is judged here.

Nothing that is expected enters the box, and it never held what the model's earlier calls left behind. The limit is on
processor time, so that a right answer is not lost because other episodes keep the machine busy; wall time has a wide
limit for what sleeps. The first input that fails ends it, unless the share of passed inputs is asked for; and an answer
that takes long on many inputs ends at a deadline for all of them.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass

from agentrl.envs.code.checks import Check
from agentrl.envs.code.source import whole
from agentrl.envs.code.tasks import Task, large_check
from agentrl.envs.tools.host import infrastructure
from agentrl.envs.tools.slots import grading_slot
from agentrl.sandboxes import Backend, Case, SandboxSpec, grade

__all__ = ["MOST_CHARS", "Verdict", "judge", "spec_for"]

MOST_CHARS = 200_000  # of a candidate's source; the longest reference has 2,000
WALL = 6.0  # seconds of wall time for each second of processor time
DEADLINE_S = 120.0  # for all inputs of one answer, from when its box is there; a right one takes about 0.2 s (README)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a candidate is worth."""

    passed: bool  # every input came out right, and nothing was flagged
    fraction: float  # share of the inputs that did, where it was asked for; else 1 or 0 as `passed`
    flags: tuple[str, ...]  # what looked like an attempt to cheat, and limits that were met
    num_tried: int  # inputs that were run


def spec_for(limit_s: float) -> SandboxSpec:
    """Return the box for sources of which one run may take `limit_s` of processor time."""
    return SandboxSpec(cpu_s=limit_s, wall_s=WALL * limit_s)


def judge(
    backend: Backend,
    task: Task,
    source: str,
    *,
    rng: random.Random,
    fraction: bool = False,
    deadline_s: float | None = None,
) -> Verdict:
    """Grade a source against the hidden inputs of its task, in random order.

    Args:
        backend: Where it runs.
        task: Whose inputs.
        source: Of the agent.
        rng: Draws the order.
        fraction: Run all of them, and tell the share that passed.
        deadline_s: Seconds for the inputs of a function together; what has not run by then has failed (`DEADLINE_S`).

    Raises:
        InfrastructureError: A box failed, or none could be had.
    """
    if len(source) > MOST_CHARS:
        return Verdict(passed=False, fraction=0.0, flags=(), num_tried=0)
    text, function = whole(task, source)
    checks = list(task.hidden)
    large = large_check(task)
    if large is not None:
        checks.append(large)
    with grading_slot():
        if task.kind == "program":
            return _programs(backend, task, checks, text, rng, fraction)
        return _function(backend, task, checks, (text, function), rng, fraction, deadline_s or DEADLINE_S)


def _function(
    backend: Backend,
    task: Task,
    checks: list[Check],
    source: tuple[str, str],
    rng: random.Random,
    fraction: bool,
    deadline_s: float,
) -> Verdict:
    # What is expected stands in for itself by its number: how it is compared is the check's own matter.
    cases = [Case(args=check.args, expected=number) for number, check in enumerate(checks)]
    with infrastructure():
        given = grade(
            backend,
            *source,
            cases,
            rng=rng,
            spec=spec_for(task.limit_s),
            stop_at_failure=not fraction,
            deadline_s=deadline_s,
            same=lambda value, number: checks[number].passes(value),
        )
    passed = given.score == 1.0 and not given.flags
    share = given.fraction if fraction and not given.flags else float(passed)
    num_tried = sum(result is not None for result in given.results)
    return Verdict(passed=passed, fraction=share, flags=given.flags, num_tried=num_tried)


def _programs(
    backend: Backend, task: Task, checks: list[Check], source: str, rng: random.Random, fraction: bool
) -> Verdict:
    spec = spec_for(task.limit_s)
    num_passed = num_tried = 0
    flags: set[str] = set()
    with infrastructure(), ExitStack() as stack:
        box = stack.enter_context(backend.lease(spec))
        start = time.monotonic()
        for check in rng.sample(checks, len(checks)):
            if time.monotonic() - start >= DEADLINE_S:
                flags.add("deadline")
                break
            result = box.run_python(source, stdin=check.args[0].encode())
            num_tried += 1
            if result.status not in ("ok", "nonzero"):
                flags.add("killed" if result.status == "signal" else result.status)
            if result.ok and check.passes(result.stdout_text, program=True):
                num_passed += 1
            elif not fraction:
                break
            if result.status == "oom":  # the kernel may have taken the worker along
                stack.close()
                box = stack.enter_context(backend.lease(spec))
    passed = num_passed == len(checks) and not flags
    share = num_passed / len(checks) if fraction and not flags else float(passed)
    return Verdict(passed=passed, fraction=share, flags=tuple(sorted(flags)), num_tried=num_tried)
