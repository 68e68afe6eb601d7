"""What the environment itself says of an episode, as components: its reward, one of its components, its success."""

from __future__ import annotations

import math

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.components.arguments import Scorer
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["environment", "environment_component", "success"]


def environment() -> Scorer:
    """Score what the environment's own reward says, whatever its range.

    Raises:
        UsageError: At an episode: its reward is no finite number.

    >>> environment()(Transcript(messages=(), reward=0.5))
    0.5
    """
    return lambda transcript: _finite("the environment's reward", transcript.reward)


def environment_component(*, name: str) -> Scorer:
    """Score what one reward component of the environment says, whatever its range.

    A component that an episode which goes on does not have yet is 0.

    Args:
        name: As in the environment's `info["rewards"]`.

    Raises:
        UsageError: The name is no text; at an episode: it is over and has no such component.

    >>> environment_component(name="format")(Transcript(messages=(), rewards={"exact_match": 0.0, "format": 1.0}))
    1.0
    """
    if not isinstance(name, str) or not name:
        raise UsageError(f"name is {name!r}, but must be the name of a reward component, such as name = 'exact_match'")

    def score(transcript: Transcript) -> float:
        if name not in transcript.rewards:
            if not transcript.done:
                return 0.0
            there = ", ".join(transcript.rewards) or "none"
            raise UsageError(
                f"{transcript.env_id or 'the environment'} has no reward component {name!r}"
                f"{nearest(name, transcript.rewards)}; there are {there}"
            )
        return _finite(f"the environment's component {name!r}", transcript.rewards[name])

    return score


def success() -> Scorer:
    """Score 1 where the task's ground truth holds. The policy is then trained on the ground truth itself.

    With weight 0 it is only logged. The watch over a training run compares a rubric with `success`: where the rubric
    holds it, the two cannot part, and such hacking is not seen. Not told, or not over yet, counts 0.

    >>> success()(Transcript(messages=(), success=True)), success()(Transcript(messages=()))
    (1.0, 0.0)
    """
    return lambda transcript: float(transcript.success is True)


def _finite(what: str, value: float) -> float:
    if not math.isfinite(value):
        raise UsageError(f"{what} is {value!r}, which is no finite number; mend the environment")
    return float(value)
