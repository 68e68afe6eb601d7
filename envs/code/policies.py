"""Scripted players of Code-v0 that know the task: the oracle and an imperfect demonstrator."""

from __future__ import annotations

import random
from collections.abc import Mapping

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.tasks import Task
from agentrl.envs.errors import UsageError
from agentrl.envs.scripted import call

__all__ = ["FLAWS", "answered", "demonstration", "solution"]

FLAWS: Mapping[str, float] = {
    "none": 0.3,
    "hurries": 0.3,
    "takes another number": 0.2,
    "slips": 0.1,
    "repairs": 0.1,
}
"""How often the demonstrator makes each mistake; "repairs" makes one on the examples and puts it right."""


def answered(source: str) -> str:
    """Write the final turn."""
    return f"<answer>{source.strip()}</answer>"


def solution(task: Task, with_tools: bool) -> list[str]:
    """Return the turns that solve a task: the reference is tried on the examples, then given.

    Raises:
        UsageError: No solution of the task is known.
    """
    if not task.solution:
        raise UsageError(f"{task.id} has no solution in its row, so there is no oracle for it")
    return _turns(task, with_tools, task.solution, task.solution)


def demonstration(rng: random.Random, task: Task, with_tools: bool, flaws: Mapping[str, float] = FLAWS) -> list[str]:
    """Return the turns of a demonstrator that errs as often as `flaws` says.

    It may write what a hurried programmer would, put in a number of another task, or make a slip of syntax.

    Raises:
        UsageError: No solution of the task is known.
    """
    right = solution(task, with_tools)
    flaw = rng.choices(list(flaws), list(flaws.values()))[0]
    if flaw == "none":
        return right
    if flaw == "repairs":
        return _turns(task, with_tools, _flawed(rng, task, "hurries"), task.solution)
    source = _flawed(rng, task, flaw)
    return _turns(task, with_tools, source, source)


def _turns(task: Task, with_tools: bool, tried: str, given: str) -> list[str]:
    turns = [call("try_examples", code=tried.strip())] if with_tools and task.examples else []
    return [*turns, answered(given)]


def _flawed(rng: random.Random, task: Task, flaw: str) -> str:
    family = FAMILIES.get(task.family)
    if family is not None and flaw == "hurries":
        return family.fill(rng.choice(family.wrong), task.params)
    if family is not None and flaw == "takes another number":
        return family.fill(family.reference, family.draw(rng, rng.choice(family.levels)))
    marks = [at for at, letter in enumerate(task.solution) if letter in ":()[]="]
    if not marks:
        return task.solution[:-1]
    at = rng.choice(marks)
    return task.solution[:at] + task.solution[at + 1 :]
