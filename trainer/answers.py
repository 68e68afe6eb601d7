"""What an environment answered, checked: an answer outside the protocol is its fault and not the policy's.

The protocol is Gymnasium's, with plain data in `info`; every key of `info` may be missing, so that a client that knows
nothing of it still works.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AnswerError", "Context", "Opening", "Outcome", "read_reset", "read_scores", "read_step"]


_ROLES = ("system", "user", "assistant", "tool")


class AnswerError(Exception):
    """An answer that the protocol does not know; becomes the failure of one episode."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the next turn is said in, where that is not simply the conversation so far (`info["context"]`)."""

    messages: Sequence[Mapping[str, Any]]  # role, content and, of an assistant that calls tools, tool_calls
    after: int | None = None  # the turn, from 0, whose conversation they go on; None: they are a whole one
    tools: Sequence[Mapping[str, Any]] = ()  # schemas; of a whole conversation
    max_tokens: int | None = None  # that the turn may have
    trained: bool = True  # False: it is played by the policy and not trained on, as that of the other seat of a game


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What `reset` returned."""

    observation: str
    system: str | None  # the system prompt
    tools: Sequence[Mapping[str, Any]]  # schemas
    task_id: str | None
    level: int | None
    context: Context | None = None  # None: the system prompt, if any, and the observation


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `step` returned."""

    reward: float
    terminated: bool
    truncated: bool
    replies: Sequence[Mapping[str, str]]  # role, name and content each; empty after a failure only
    rewards: Mapping[str, float] = field(default_factory=dict)  # named components
    success: bool | None = None
    failure: Mapping[str, str] | None = None  # kind, boundary, message
    carry: Mapping[str, Any] = field(default_factory=dict)  # handed back when the group is scored
    context: Context | None = None  # None: the replies, after the turn before
    answer: str | None = None  # that the episode ended with, where it was not the policy's to say


def read_reset(answer: Any) -> Opening:
    """Read what `reset` returned.

    Raises:
        AnswerError: It is not what the protocol says.
    """
    observation, info = _tuple(answer, "reset", 2)
    info = _dict(info, "info of reset")
    task = _dict(info.get("task") or {}, "info['task']")
    tools = info.get("tools") or []
    if not isinstance(tools, list | tuple) or not all(isinstance(tool, Mapping) for tool in tools):
        raise AnswerError(f"info['tools'] is {_show(tools)}, but must be a list of schemas")
    level = task.get("level")
    return Opening(
        observation=_text(observation, "the observation of reset"),
        system=_text(info["system"], "info['system']") if info.get("system") else None,
        tools=tools,
        task_id=str(task["id"]) if "id" in task else None,
        level=None if level is None else int(_number(level, "info['task']['level']")),
        context=_context(info["context"], 0) if info.get("context") else None,
    )


def read_step(answer: Any, num_turns: int = 0) -> Outcome:
    """Read what `step` returned; after a failure only that is looked at.

    Args:
        answer: What was returned.
        num_turns: Turns that the episode has had, this one included.

    Raises:
        AnswerError: It is not what the protocol says.
    """
    observation, reward, terminated, truncated, info = _tuple(answer, "step", 5)
    info = _dict(info, "info of step")
    if info.get("failure"):
        failure = _failure(info["failure"], "info['failure']")
        return Outcome(reward=0.0, terminated=False, truncated=True, replies=[], failure=failure)
    components = _dict(info.get("rewards") or {}, "info['rewards']")
    success = info.get("success")
    return Outcome(
        reward=_number(reward, "the reward"),
        terminated=_flag(terminated, "terminated"),
        truncated=_flag(truncated, "truncated"),
        replies=_replies(info.get("replies") or [], _text(observation, "the observation")),
        rewards={str(name): _number(value, f"info['rewards'][{name!r}]") for name, value in components.items()},
        success=None if success is None else _flag(success, "info['success']"),
        carry=_dict(info.get("carry") or {}, "info['carry']"),
        answer=None if info.get("answer") is None else _text(info["answer"], "info['answer']"),
        context=_context(info["context"], num_turns) if info.get("context") else None,
    )


def read_scores(answer: Any) -> list[Mapping[str, Any]]:
    """Read what `score_group` returned: of each episode `reward` and `rewards`, or `failure`.

    Raises:
        AnswerError: It is not what the protocol says.
    """
    if not isinstance(answer, list | tuple):
        raise AnswerError(f"score_group returned {_show(answer)}, but must return a list")
    scores: list[Mapping[str, Any]] = []
    for place, score in enumerate(answer):
        score = _dict(score, f"score {place} of score_group")
        if score.get("failure"):
            scores.append({"failure": _failure(score["failure"], f"failure of score {place} of score_group")})
            continue
        rewards = _dict(score.get("rewards") or {}, f"rewards of score {place} of score_group")
        scores.append(
            {
                "reward": _number(score.get("reward"), f"reward of score {place} of score_group"),
                "rewards": {str(name): _number(value, f"rewards[{name!r}]") for name, value in rewards.items()},
            }
        )
    return scores


def _failure(failure: Any, what: str) -> dict[str, str]:
    parts = {"kind": "unknown", "boundary": "environment", "message": "no message"}
    told = _dict(failure, what)
    return {name: str(told.get(name, default)) for name, default in parts.items()}


def _replies(replies: Any, observation: str) -> list[dict[str, str]]:
    if not isinstance(replies, list | tuple):
        raise AnswerError(f"info['replies'] is {_show(replies)}, but must be a list")
    read = []
    for place, reply in enumerate(replies):
        reply = _dict(reply, f"info['replies'][{place}]")
        if reply.get("role") not in ("tool", "user"):
            raise AnswerError(f"info['replies'][{place}] has the role {_show(reply.get('role'))}, not 'tool' or 'user'")
        content = _text(reply.get("content"), f"content of info['replies'][{place}]")
        read.append({"role": str(reply["role"]), "name": str(reply.get("name") or ""), "content": content})
    return read or [{"role": "user", "name": "", "content": observation}]


def _context(context: Any, num_turns: int) -> Context:
    told = _dict(context, "info['context']")
    after, most = told.get("after"), told.get("max_tokens")
    if after is not None and (type(after) is not int or not 0 <= after < num_turns):
        raise AnswerError(f"info['context']['after'] is {_show(after)}, but must be a turn from 0 to {num_turns - 1}")
    if most is not None and (type(most) is not int or most < 1):
        raise AnswerError(f"info['context']['max_tokens'] is {_show(most)}, but must be a whole number of 1 or more")
    messages, tools = told.get("messages"), told.get("tools") or []
    for name, value in (("messages", messages), ("tools", tools)):
        if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
            raise AnswerError(f"info['context'][{name!r}] is {_show(value)}, but must be a list of dicts")
    roles = _ROLES if after is None else ("tool", "user")
    for place, message in enumerate(messages or []):
        role = message.get("role")
        if role not in roles:
            raise AnswerError(f"info['context']: message {place} has the role {_show(role)}, not {' or '.join(roles)}")
        _text(message.get("content"), f"content of message {place} of info['context']")
    if not messages:
        raise AnswerError("info['context']['messages'] is empty, so that there is nothing to answer")
    trained = _flag(told.get("trained", True), "info['context']['trained']")
    return Context(messages=messages, after=after, tools=tools, max_tokens=most, trained=trained)


def _tuple(answer: Any, what: str, length: int) -> tuple[Any, ...]:
    if not isinstance(answer, tuple) or len(answer) != length:
        raise AnswerError(f"{what} returned {_show(answer)}, but must return {length} values")
    return answer


def _dict(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise AnswerError(f"{what} is {_show(value)}, but must be a dict")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise AnswerError(f"{what} is {_show(value)}, but must be text")
    return value


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not math.isfinite(number):
        raise AnswerError(f"{what} is {_show(value)}, but must be a finite number")
    return number


def _flag(value: Any, what: str) -> bool:
    if isinstance(value, str) or value not in (0, 1):  # numpy's booleans are welcome
        raise AnswerError(f"{what} is {_show(value)}, but must be True or False")
    return bool(value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
