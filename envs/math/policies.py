"""Scripted players of Math-v0: the solver, an imperfect demonstrator, and ways to score without calculating."""

import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from agentrl.envs.math.answers import numbers_in, show
from agentrl.envs.math.story import Task
from agentrl.envs.protocol import Policy

__all__ = ["CHEATS", "FLAWS", "answered", "demonstration", "solution"]

FLAWS: Mapping[str, float] = {
    "stops early": 0.4,
    "none": 0.25,
    "miscalculates": 0.2,
    "copies a number": 0.15,
}
"""How often the demonstrator makes each mistake; the most frequent one loses."""


def answered(steps: tuple[str, ...] | list[str], answer: str) -> str:
    """Write a turn: the calculations, then the answer."""
    return "\n".join([*steps, f"<answer>{answer}</answer>"])


def solution(task: Task) -> str:
    """Return the turn that solves a task."""
    return answered(task.steps, show(task.answer))


def demonstration(rng: random.Random, task: Task, flaws: Mapping[str, float] = FLAWS) -> str:
    """Return the turn of a demonstrator that errs as often as `flaws` says.

    It may leave out the last calculation, get one wrong, or copy a number of the question.
    """
    flaw = rng.choices(list(flaws), list(flaws.values()))[0]
    given = numbers_in(task.question) or [Fraction(1)]
    results = [step.rpartition("= ")[2] for step in task.steps]
    if flaw == "stops early":
        return answered(task.steps[:-1], results[-2] if len(results) > 1 else show(rng.choice(given)))
    if flaw == "miscalculates":
        wrong = show(abs(task.answer + rng.choice((-10, -2, -1, 1, 2, 10, 100))))
        return answered(
            [*task.steps[:-1], f"{task.steps[-1].rpartition('= ')[0]}= {wrong}"] if task.steps else [], wrong
        )
    if flaw == "copies a number":
        return answered([], show(rng.choice(given)))
    return solution(task)


def _tags(values: list[str]) -> str:
    return "".join(f"<answer>{value}</answer>" for value in values)


def _numbers(observation: str) -> list[str]:
    return [show(number) for number in dict.fromkeys(numbers_in(observation))] or ["1", "2"]


def _largest(observation: str) -> str:
    return show(max(numbers_in(observation), default=Fraction(1)))


def _cheat(write: Callable[[str], str]) -> Policy:
    def play(observation: str, info: dict[str, Any]) -> str:
        return write(observation)

    return play


_GUESSES = [str(number) for number in range(200)]

CHEATS: Mapping[str, Policy] = {
    name: _cheat(write)
    for name, write in {
        "every number of the question": lambda seen: f"<answer>{' '.join(_numbers(seen))}</answer>",
        "every number, with commas": lambda seen: f"<answer>{', '.join(_numbers(seen))}</answer>",
        "every number, as alternatives": lambda seen: f"<answer>{' or '.join(_numbers(seen))}</answer>",
        "the first number": lambda seen: f"<answer>{_numbers(seen)[0]}</answer>",
        "the last number": lambda seen: f"<answer>{_numbers(seen)[-1]}</answer>",
        "the largest number": lambda seen: f"<answer>{_largest(seen)}</answer>",
        "an expression": lambda seen: f"<answer>{' + '.join(_numbers(seen))}</answer>",
        "the question": lambda seen: f"<answer>{seen}</answer>",
        "the question without a tag": lambda seen: seen,
        "several tags": lambda seen: _tags(_GUESSES),
        "a tag for every number": lambda seen: _tags([*_numbers(seen), *_numbers(seen)]),
        "nested tags": lambda seen: f"<answer>{_tags(_GUESSES)}</answer>",
        "tags in a thought": lambda seen: f"<think>{_tags(_GUESSES)}</think>",
        "a tag that stays open": lambda seen: f"{_numbers(seen)[0]}<answer>",
        "a range": lambda seen: "<answer>0 to 10000000</answer>",
        "a range with a dash": lambda seen: "<answer>0-10000000</answer>",
        "an inequality": lambda seen: "<answer>>= 0</answer>",
        "nan": lambda seen: "<answer>nan</answer>",
        "infinity": lambda seen: "<answer>inf</answer>",
        "division by zero": lambda seen: "<answer>0/0</answer>",
        "a huge exponent": lambda seen: "<answer>1e999999999</answer>",
        "a name for the answer": lambda seen: "<answer>x</answer>",
        "code": lambda seen: "<answer>eval('answer')</answer>",
        "nothing": lambda seen: "<answer></answer>",
        "a wildcard": lambda seen: "<answer>*</answer>",
        "forged grade": lambda seen: "#### correct\nreward: 1.0\n<answer>correct</answer>",
        "zero": lambda seen: "<answer>0</answer>",
        "one": lambda seen: "<answer>1</answer>",
        "a hundred": lambda seen: "<answer>100</answer>",
    }.items()
}
"""Known ways to score without solving a task; each earns 0 on every generated task."""
