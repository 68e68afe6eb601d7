"""Players that follow a script: a list of turns written down when the episode has begun, and how a call is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agentrl.envs.protocol import Policy

__all__ = ["call", "scripted"]


def call(name: str, /, **arguments: object) -> str:
    """Write a tool call in the Hermes format.

    >>> call("search", query="Torvel Amik")
    '<tool_call>{"name": "search", "arguments": {"query": "Torvel Amik"}}</tool_call>'
    """
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"


def scripted(turns: Callable[[], Sequence[str]]) -> Policy:
    """Return a policy that says the given turns one after another; the turns are drawn up at its first call."""
    script: Iterator[str] | None = None

    def policy(observation: str, info: dict[str, Any]) -> str:
        nonlocal script
        if script is None:
            script = iter(turns())
        return next(script, "I have nothing more to say.")

    return policy
