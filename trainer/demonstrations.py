"""Conversations to imitate: played in an environment by the policy it ships for that, or read from a JSONL file.

An environment may offer `demonstrator(rng)`, an imperfect player, or `oracle()`; both are found by name, through
Gymnasium. One without text is played at random, which shows the format and no skill. A file has one conversation a
line: {"messages": [{"role", "content"}, …], "tools": […]}; assistant turns are imitated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agentrl.trainer.chat import Chat
from agentrl.trainer.errors import ConfigError, TrainerError
from agentrl.trainer.rollout import make_text_env

__all__ = ["Conversation", "played", "read_conversations", "tokenized"]

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Messages of one episode."""

    messages: Sequence[Mapping[str, Any]]  # role and content; tool replies have a name too
    tools: Sequence[Mapping[str, Any]]  # schemas
    num_given: int = 0  # messages that are the prompt, whoever said them; 0: those before the first assistant's


def played(env_id: str, env_kwargs: Mapping[str, Any], *, level: int | None, seed: int) -> Iterator[Conversation]:
    """Yield demonstrations without end, each of a fresh task of the train split.

    Raises:
        ConfigError: The environment cannot be made, or ships no policy to imitate.
        TrainerError: Infrastructure failed in an episode.
    """
    env = make_text_env(env_id, env_kwargs)
    make = _found(env, "demonstrator")
    oracle = _found(env, "oracle")
    if make is None and oracle is None:
        raise ConfigError(
            f"env={env_id!r} ships neither demonstrator() nor oracle(); give conversations of your own: "
            "--demonstrations FILE.jsonl"
        )
    options = {"split": "train", **({} if level is None else {"level": level})}
    for number in range(2**62):
        rng = np.random.default_rng([seed, number])
        observation, info = env.reset(seed=int(rng.integers(2**31)), options=options)
        policy = oracle() if make is None else make(rng)
        talk = _opened(observation, info)
        turns: list[tuple[_Talk, int]] = []  # where each was said: the conversation, its messages up to there
        done = False
        while not done:
            action = policy(observation, info)
            talk.messages.append({"role": "assistant", "content": action})
            turns.append((talk, len(talk.messages)))
            observation, _, terminated, truncated, info = env.step(action)
            if info.get("failure"):  # half a conversation is nothing to imitate
                raise TrainerError(
                    f"demonstration {number} of {env_id!r} failed: {info['failure'].get('message')}; mend it, then "
                    "start again"
                )
            done = terminated or truncated
            if not done:
                talk = _continued(observation, info, turns)
        for each in dict.fromkeys(said for said, _ in turns if said.trained):
            yield Conversation(messages=each.messages, tools=each.tools, num_given=each.num_given)


@dataclass(eq=False)
class _Talk:
    """A conversation that grows."""

    messages: list[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    num_given: int
    trained: bool = True  # False: it is led for somebody else, as the other seat of a game, and not imitated


def _opened(observation: str, info: Mapping[str, Any]) -> _Talk:
    """Return the conversation that a reset opens."""
    if context := info.get("context"):
        messages = list(context["messages"])
        return _Talk(messages, context.get("tools") or [], len(messages), context.get("trained", True))
    system = [{"role": "system", "content": info["system"]}] if info.get("system") else []
    return _Talk([*system, {"role": "user", "content": observation}], info.get("tools") or [], 0)


def _continued(observation: str, info: Mapping[str, Any], turns: Sequence[tuple[_Talk, int]]) -> _Talk:
    """Return the conversation in which the next turn is said; see `trainer/talks.py`."""
    context = info.get("context")
    if context and context["after"] is None:
        return _opened(observation, info)
    talk, num_messages = turns[context["after"] if context else -1]
    if num_messages != len(talk.messages):  # it went on otherwise: a branch, and what comes before it is given
        messages = talk.messages[:num_messages]
        num_given = num_messages + len(context["messages"] if context else ())
        talk = _Talk(messages, talk.tools, num_given, talk.trained)
    replies = info.get("replies") or [{"role": "user", "content": observation}]
    talk.messages += context["messages"] if context else replies
    return talk


def _found(env: gymnasium.Env[Any, Any], name: str) -> Any:
    """Return an attribute of the outermost wrapper or environment that has it, else None."""
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None


def read_conversations(path: Path) -> list[Conversation]:
    """Read a JSONL file.

    Raises:
        ConfigError: Names file, line and field of the first bad row.
    """
    found = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at U+2028 within a text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"demonstrations {str(path)!r} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            found.append(_conversation(line, f"{path}, line {number}"))
    if not found:
        raise ConfigError(
            f'{path} holds no conversation; each line is one: {{"messages": [{{"role": "user", "content": …}}, …]}}'
        )
    return found


def tokenized(conversation: Conversation, chat: Chat) -> tuple[list[int], list[bool]]:
    """Return the tokens of a conversation as a rollout would have made them, and which are the assistant's."""
    messages = list(conversation.messages)
    first = conversation.num_given or next(
        index for index, message in enumerate(messages) if message["role"] == "assistant"
    )
    ids = list(chat.prompt(messages[:first], conversation.tools))
    mask = [False] * len(ids)
    index = first
    while index < len(messages):
        turn = chat.turn(str(messages[index]["content"]))
        ids += turn
        mask += [True] * len(turn)
        start = index + 1
        index = next(
            (place for place in range(start, len(messages)) if messages[place]["role"] == "assistant"), len(messages)
        )
        if index < len(messages):
            follow = chat.follow(turn, messages[start:index])
            ids += follow
            mask += [False] * len(follow)
    return ids, mask


def _conversation(line: str, place: str) -> Conversation:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{place}: no JSON: {error}") from None
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ConfigError(f"{place}: field messages must be a list of messages")
    for index, message in enumerate(messages):
        if (
            not isinstance(message, dict)
            or message.get("role") not in _ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise ConfigError(
                f"{place}: messages[{index}] must have a role of {', '.join(_ROLES)} and a text as content, got "
                f"{str(message)[:80]}"
            )
    roles = [message["role"] for message in messages]
    if "assistant" not in roles or roles[0] == "assistant":
        raise ConfigError(f"{place}: messages must begin with the system or the user and have a turn of the assistant")
    if any(pair == ("assistant", "assistant") for pair in pairwise(roles)):
        raise ConfigError(f"{place}: two turns of the assistant follow one another; join them")
    tools = row.get("tools", [])
    if not isinstance(tools, list):
        raise ConfigError(f"{place}: field tools must be a list of schemas, got {type(tools).__name__}")
    return Conversation(messages=messages, tools=tools)
