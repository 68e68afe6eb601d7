"""The text-agent protocol: what an environment puts into `info`, beside Gymnasium's five values.

The action is the assistant's whole turn; the observation is what the model reads next. `info` is plain data and every
key is optional, so a client that ignores it still works. The trainer and the bench know environments by this alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict

__all__ = ["SPLITS", "Context", "Failure", "Info", "Policy", "Reply", "TaskInfo"]

SPLITS = ("train", "test")

Policy = Callable[[str, dict[str, Any]], str]
"""(observation, info) -> action. One policy object plays one episode."""


class TaskInfo(TypedDict):
    """Which task this is; the same seed, split and level give the same task on any machine."""

    id: str
    split: str
    level: int


class Reply(TypedDict):
    """One part of an observation, so that a chat template can render each in its own role."""

    role: Literal["tool", "user"]
    name: str  # the tool's name; empty for a user
    content: str


class Failure(TypedDict):
    """Infrastructure failed, not the policy: `truncated` is True and the episode counts for nothing."""

    kind: str  # a short word for counting: "timeout", "unreachable", …
    boundary: str  # the part that failed: "retriever", "sandbox", "judge", …
    message: str


class Context(TypedDict, total=False):
    """Where the next turn is said, of an environment that leads several conversations; see `AgentRL/Program-v0`."""

    after: int | None  # the turn of this episode, from 0, that `messages` follow; None: they are a whole conversation
    messages: list[dict[str, Any]]  # role, content, and where it has them `name` or `tool_calls`
    tools: list[dict[str, Any]]  # schemas in the OpenAI function format; of a whole conversation
    max_tokens: int  # that the turn may have, where the environment limits it
    # False: the turn is the policy's and is not trained on, as that of the other seat of a game in self-play. It is
    # sampled like any other and counted in `after`. It belongs to a conversation of its own: in one conversation either
    # all turns are trained on or none is.
    trained: bool


class Info(TypedDict, total=False):
    """The keys of `info`; which are present at reset and which at a step is said beside each."""

    system: str  # reset: the system prompt
    tools: list[dict[str, Any]]  # reset: tool schemas in the OpenAI function format
    task: TaskInfo  # reset
    replies: list[Reply]  # step: the observation in parts
    context: Context  # reset and step: where the next turn is said, if not simply after the replies to the last one
    rewards: dict[str, float]  # step: named reward components; the reward is their weighted sum
    success: bool  # last step: whether the task's ground truth holds, apart from any shaping
    answer: str  # last step: what the episode gave as its answer, where that is not the policy's to say; may be empty
    failure: Failure  # any step
    carry: dict[str, Any]  # any step: handed back, the last of an episode, when `score_group` scores its group
    tamper: list[str]  # any step from which on a trap was touched: names of `canaries.py`; the episode earns 0
    flags: list[str]  # last step, where code is graded and it saw something: attempts to cheat, limits that were met
