"""What an episode of a program earned: its result, held against the task by a rubric.

A rubric is a function of (task, result, transcript), a rubric in TOML, or nothing: then the result must be one of the
task's answers. A program that gave no result has earned nothing. What the program gave stands at the end of the
transcript as an answer, in a turn of its own, so that the components in the box read it.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.functions import load_function
from agentrl.envs.math.answers import read_number
from agentrl.envs.program.tasks import Task
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.toml import rubric_of
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["Scored", "answer_of", "read_rubric"]

_ARTICLE = re.compile(r"^(?:the|an?) ")
_TAGS = re.compile(r"</?(?:think|answer)>")
Function = Callable[[Mapping[str, Any], Any, Transcript], Any]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What an episode earned."""

    reward: float
    rewards: Mapping[str, float] = field(default_factory=dict)
    success: bool | None = None  # None: nobody can say


def answer_of(result: Any) -> str:
    """Return what a program gave as an answer's text, without the tags by which what a policy said could write it."""
    return _TAGS.sub("", str(result))


def read_rubric(rubric: str | Path | Rubric | Function | None) -> Callable[[Task, Any, bool, Transcript], Scored]:
    """Return what scores (task, result, whether there is a result, transcript).

    Args:
        rubric: A function, or its name "MODULE:CALLABLE", that returns a number, a bool (which is the success too) or
            a dict of components whose sum is the reward, with `success` among them where it is known; a `Rubric`, a
            TOML file or its text; None: the result must be one of the task's answers.

    Raises:
        UsageError: It cannot be read.
    """
    if rubric is None:
        return _matched
    if isinstance(rubric, Rubric | Path) or (isinstance(rubric, str) and _is_toml(rubric)):
        return _by_rubric(rubric_of(rubric))
    if isinstance(rubric, str):
        return _by_function(load_function(f"rubric={rubric!r}", rubric, example="rubric='my_rubric:score'"))
    if callable(rubric):
        return _by_function(rubric)
    raise UsageError(f"rubric={rubric!r:.80} is no rubric; give 'MODULE:CALLABLE', a .toml file, or leave it out")


def _is_toml(text: str) -> bool:
    return "\n" in text or text.endswith(".toml")


def _matched(task: Task, result: Any, has_result: bool, transcript: Transcript) -> Scored:
    if not task.answers:
        raise InfrastructureError(
            f"task {task.id!r} has no 'answer', and there is no rubric; give rubric='MODULE:CALLABLE'",
            kind="rubric",
            boundary="rubric",
        )
    value = max(_equals(answer_of(result), each) for each in task.answers) if has_result and result is not None else 0.0
    return Scored(reward=value, rewards={"exact_match": value}, success=value == 1.0)


def _equals(result: str, answer: str) -> float:
    """Compare as numbers where the answer is one, else as texts, of which case, an article and their ends are free."""
    truth = read_number(answer)
    if truth is None:
        return float(_bare(result) == _bare(answer))
    said = read_number(result)
    return float(said is not None and (said.value, said.percent) == (truth.value, truth.percent))


def _bare(text: str) -> str:
    return _ARTICLE.sub("", " ".join(text.casefold().split()).strip(" .!?\"'`"))


def _by_rubric(rubric: Rubric) -> Callable[[Task, Any, bool, Transcript], Scored]:
    def score(task: Task, result: Any, has_result: bool, transcript: Transcript) -> Scored:
        if not has_result:  # the policy's last words are no answer of the program's
            return Scored(reward=0.0, rewards=dict.fromkeys(rubric.weights, 0.0), success=False)
        found = rubric.score(transcript)
        success = _matched(task, result, has_result, transcript).success if task.answers else None
        return Scored(reward=found.reward, rewards=dict(found.values), success=success)

    return score


def _by_function(function: Function) -> Callable[[Task, Any, bool, Transcript], Scored]:
    def score(task: Task, result: Any, has_result: bool, transcript: Transcript) -> Scored:
        if not has_result:
            return Scored(reward=0.0, rewards={"rubric": 0.0}, success=False)
        try:
            return _scored(function(copy.deepcopy(dict(task.row)), result, transcript))
        except InfrastructureError:
            raise
        except (Exception, SystemExit) as error:  # the user's own: no fault of the policy, and never a reward
            raise InfrastructureError(
                f"the rubric failed: {type(error).__name__}: {error}", kind="rubric", boundary="rubric"
            ) from error

    return score


def _scored(told: Any) -> Scored:
    if isinstance(told, bool | np.bool_):
        told = bool(told)
        return Scored(reward=float(told), rewards={"rubric": float(told)}, success=told)
    if isinstance(told, Mapping):
        rewards = {str(name): _number(value) for name, value in told.items() if name != "success"}
        success = told.get("success")
        if success is not None and not isinstance(success, bool | np.bool_):
            raise ValueError(f"its success is {success!r:.40}, but must be True, False or None")
        success = None if success is None else bool(success)
        rewards = rewards or {"rubric": float(bool(success))}
        return Scored(reward=math.fsum(rewards.values()), rewards=rewards, success=success)
    value = _number(told)
    return Scored(reward=value, rewards={"rubric": value})


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"it returned {number}, which is no reward")
    return number
