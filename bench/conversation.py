"""An episode as messages, as an agent behind a chat interface reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Conversation", "opened"]


class Conversation:
    """Messages that grow with an episode: system, user, then assistant and what was replied, by turns.

    A reply of a tool has the role "tool" and the tool's name; what comes without parts is one message of the user.
    Where an environment leads several conversations (`info["context"]`), `messages` is the one in which the next turn
    is said, and `log` has all that was said, in the order of time; turns that the agent says for another seat of a game
    (`trained` is False) are marked "given" there, as no turns of the episode's own.

    Args:
        observation: The first one.
        info: Of the reset.

    >>> talk = Conversation("Which is it?", {"system": "Be brief."})
    >>> talk.say("This.")
    >>> talk.hear("No.", {})
    >>> [message["role"] for message in talk.messages]
    ['system', 'user', 'assistant', 'user']
    """

    def __init__(self, observation: str, info: dict[str, Any]) -> None:
        context = info.get("context")
        self._turns: list[list[dict[str, Any]]] | None = None if context is None else []  # conversations, by turn
        self._is_own = context is None or context.get("trained", True)  # whether the next turn is the episode's
        system = info.get("system")
        self.tools: list[dict[str, Any]] = list(info.get("tools") or ())
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        self.messages.append({"role": "user", "content": observation})
        if context is not None:
            self.messages, self.tools = opened(context["messages"]), list(context.get("tools") or ())
        self.log = [_given(each) for each in self.messages]
        opening = json.dumps([system, self.tools, observation], sort_keys=True, default=str)
        self.prompt = hashlib.sha256(opening.encode()).hexdigest()[:16]  # digest of all that is read at first

    def say(self, action: str) -> None:
        """Add a turn of the assistant."""
        turn = {"role": "assistant", "content": action}
        self.messages.append(turn)
        self.log.append(turn if self._is_own else _given(turn))
        if self._turns is not None:
            self._turns.append(list(self.messages))

    def hear(self, observation: str, info: dict[str, Any]) -> None:
        """Add what the environment replied, in the conversation that it names."""
        context = info.get("context")
        if context is not None and self._turns is not None:
            self._is_own = context.get("trained", True)
            if context.get("after") is None:
                self.messages, self.tools = [], list(context.get("tools") or ())
                self._add(opened(context["messages"]))
                return
            self.messages = list(self._turns[context["after"]])
            self._add([_reply(each) for each in context["messages"]])
            return
        replies = info.get("replies")
        if replies is None:
            replies = [{"role": "user", "content": observation}] if observation else []
        self._add([_reply(each) for each in replies])

    def end(self, info: dict[str, Any]) -> None:
        """Note the answer that an episode ended with, where it was not the agent's to say."""
        if info.get("answer") is not None:
            self.log.append({"role": "assistant", "content": f"<answer>{info['answer']}</answer>"})

    def _add(self, messages: list[dict[str, Any]]) -> None:
        self.messages += messages
        self.log += map(_given, messages)


def opened(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a whole conversation as one that starts: what tools said in it is a text of the user, after no call.

    >>> opened([{"role": "tool", "name": "search", "content": "Paris"}])
    [{'role': 'user', 'content': 'search: Paris'}]
    """
    found: list[dict[str, Any]] = []
    for message in messages:
        text = str(message["content"])
        if message["role"] == "tool":
            found.append({"role": "user", "content": f"{message['name']}: {text}" if message.get("name") else text})
            continue
        calls = [json.dumps(call["function"]) for call in message.get("tool_calls") or ()]
        parts = [text, *(f"<tool_call>{call}</tool_call>" for call in calls)]
        found.append({"role": message["role"], "content": "\n".join(part for part in parts if part)})
    return found


def _given(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message that was read, for the log: one of the assistant was no turn of this episode."""
    return {**message, "given": True} if message["role"] == "assistant" else message


def _reply(reply: Mapping[str, Any]) -> dict[str, Any]:
    name = {"name": reply["name"]} if reply.get("name") else {}
    return {"role": reply["role"], **name, "content": reply["content"]}
