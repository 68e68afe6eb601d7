"""Records that pass between rollout, engine, loss and store.

An episode is one flat sequence of tokens, `[prompt, turn 1, replies, turn 2, …]`, with a mask that is True exactly on
the tokens the model sampled in turns that are trained on. One that consists of several conversations has them one after
the other (`segments`); each is read from its own beginning, and sees nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Completion", "Episode"]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What an engine sampled for one turn."""

    token_ids: list[int]  # as sampled, the stop token included
    logprobs: list[float]  # of each sampled token, after temperature
    finish: Literal["stop", "length", "abort"]  # why sampling ended
    version: int  # weight version that sampled it


@dataclass(kw_only=True)
class Episode:
    """One episode, as trained on and as stored."""

    env_id: str  # Gymnasium id
    seed: int  # decides the task; one group shares it
    step: int  # training step it was sampled for
    group: int  # group within the step
    member: int  # place within the group
    attempt: int  # 0, or how often it was begun anew after an infrastructure failure
    split: str  # "train" or "test"
    level: int  # difficulty
    task_id: str  # the environment's name of the task
    token_ids: list[int]  # whole sequence: prompt, sampled turns and replies
    mask: list[bool]  # True = sampled
    logprobs: list[float]  # as sampled; 0.0 where not sampled
    reward: float  # sum over the episode
    rewards: dict[str, float]  # named components
    success: bool | None  # the task's ground truth; None when the environment does not say
    failure: dict[str, Any] | None  # infrastructure failure: kind, boundary, message
    truncated_by: str | None  # "length", "turns", "context" or None
    messages: list[dict[str, Any]]  # the conversation in chat form
    num_turns: int  # assistant turns that are trained on
    versions: list[int]  # weight version of each turn
    timings: dict[str, float]  # seconds by part
    advantage: float  # mean over the sampled tokens; 0.0 until computed
    turn_rewards: list[float] = field(default_factory=list)  # of each turn; their sum is `reward`
    turn_lengths: list[int] = field(default_factory=list)  # tokens sampled in each turn; their sum is that of `mask`
    turn_states: list[str] = field(default_factory=list)  # what each turn answered, hashed: equal texts, equal keys
    turn_advantages: list[float] = field(default_factory=list)  # of each turn; empty: all have `advantage`
    turn_components: list[dict[str, float]] = field(default_factory=list)  # of each turn; summed they are `rewards`
    segments: list[int] = field(default_factory=list)  # tokens of each conversation; empty: all is one
    turn_segments: list[int] = field(default_factory=list)  # the conversation of each turn; empty: all is one
    prompt_tokens: int = 0  # read before the second and later turns, over conversations; 0 where not measured
    kept_tokens: int = 0  # of these, tokens that were read or sampled before as they are
    untrained_turns: int = 0  # turns of the policy that are not trained on: of the other seat of a game
    untrained_tokens: int = 0  # sampled in them; no part of `token_ids`, or masked
    carry: dict[str, Any] = field(default_factory=dict)  # what the environment is handed back when it scores the group

    @property
    def turn_order(self) -> list[int]:
        """Turns in the order in which their tokens stand: by conversation, then by time."""
        turns = range(max(len(self.turn_lengths), len(self.turn_segments), 1))
        return sorted(turns, key=self.turn_segments.__getitem__) if self.turn_segments else list(turns)

    @property
    def longest(self) -> int:
        """Tokens of the longest conversation."""
        return max(self.segments or [len(self.token_ids)])

    @property
    def teaches(self) -> bool:
        """Whether a token of it has an advantage other than 0."""
        return self.advantage != 0 or any(self.turn_advantages)

    @property
    def overlong(self) -> bool:
        """Whether a limit on tokens ended it, that of a turn or that of the episode."""
        return self.truncated_by in ("length", "context")
