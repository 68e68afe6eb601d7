"""An episode as messages, as an agent behind a chat interface reads it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["Conversation"]


class Conversation:
    """Messages that grow with an episode: system, user, then assistant and what was replied, by turns.

    A reply of a tool has the role "tool" and the tool's name; what comes without parts is one message of the user.

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
        system = info.get("system")
        self.tools: list[dict[str, Any]] = list(info.get("tools") or ())
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        self.messages.append({"role": "user", "content": observation})
        opening = json.dumps([system, self.tools, observation], sort_keys=True, default=str)
        self.prompt = hashlib.sha256(opening.encode()).hexdigest()[:16]  # digest of all that is read at first

    def say(self, action: str) -> None:
        """Add a turn of the assistant."""
        self.messages.append({"role": "assistant", "content": action})

    def hear(self, observation: str, info: dict[str, Any]) -> None:
        """Add what the environment replied."""
        replies = info.get("replies")
        if replies is None:
            replies = [{"role": "user", "content": observation}] if observation else []
        for reply in replies:
            name = {"name": reply["name"]} if reply.get("name") else {}
            self.messages.append({"role": reply["role"], **name, "content": reply["content"]})
