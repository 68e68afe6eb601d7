"""What a runner hands out: events as environments finish, and whole episodes where it plays them itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agentrl.envs.protocol import Failure

__all__ = ["EpisodeRecord", "Event", "StepRecord"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """A reset or step that has ended."""

    slot: int  # where it happened
    kind: Literal["reset", "step"]
    observation: Any  # None where the environment failed
    reward: float  # 0.0 for a reset
    terminated: bool
    truncated: bool
    info: dict[str, Any]  # as the environment gave it; or {"failure": …} where it did not
    action: Any = None  # of a step; also one that a policy beside the environment chose
    seconds: float = 0.0  # from the call until the environment had finished

    @property
    def failure(self) -> Failure | None:
        """What failed apart from the policy; None where nothing did."""
        return self.info.get("failure")

    @property
    def done(self) -> bool:
        """Whether the episode is over: the slot takes a reset only."""
        return self.terminated or self.truncated


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step of an episode."""

    action: Any
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One episode that a runner has played. With a `failure` it counts for nothing: it is no reward of 0."""

    seed: int
    observation: Any  # the first one
    info: dict[str, Any]  # of the reset
    steps: tuple[StepRecord, ...]
    failure: Failure | None  # of the last attempt
    num_attempts: int
    seconds: float  # of the last attempt, policy included

    @property
    def reward(self) -> float:
        """The sum of all rewards."""
        return sum(step.reward for step in self.steps)

    @property
    def success(self) -> bool | None:
        """What the environment said at the last step; None where it did not."""
        said = self.steps[-1].info.get("success") if self.steps else None
        return said if said is None else bool(said)
