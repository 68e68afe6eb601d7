"""The records of a bench: what is to be played, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentrl.envs.protocol import Failure

__all__ = ["Episode", "Job", "Pace"]


@dataclass(frozen=True, kw_only=True, order=True)
class Job:
    """One episode to play. All but `sample` say which task it is."""

    env_id: str
    level: int  # 0: the environment's own default
    seed: int
    sample: int  # 0, 1, … of the same task


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode that was played. With a `failure` it counts for nothing: it is no reward of 0."""

    job: Job
    task_id: str  # as the environment names it, else the seed
    prompt: str  # digest of system prompt, tools and first observation: the same task reads the same
    reward: float = 0.0  # sum over the turns
    rewards: dict[str, float] = field(default_factory=dict)  # components, summed over the turns
    turn_rewards: tuple[float, ...] = ()  # of each turn
    turn_components: tuple[dict[str, float], ...] = ()  # of each turn
    success: bool | None = None  # None: the environment does not say
    truncated: bool = False  # out of turns
    num_turns: int = 0
    failure: Failure | None = None  # of the last attempt
    num_attempts: int = 1
    seconds: float = 0.0  # of the last attempt, agent included
    latencies: tuple[float, ...] = ()  # seconds of each turn of the agent; empty where it plays inside the environment
    prompt_tokens: int | None = None  # of all turns of the last attempt, as a server counted them
    completion_tokens: int | None = None
    messages: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """From when on so many episodes were played at once."""

    at: float  # seconds since 1970
    num_at_once: int
    why: str  # "given" by the user, or what decided it: see `agentrl.bench.pace`
    steps_per_s: float | None = None  # resets and steps in the window before
    taken_mb: float | None = None  # by the bench and its boxes
