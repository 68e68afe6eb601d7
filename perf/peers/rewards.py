"""Five plain functions of a conversation, in no rubric's form: what every rubric is measured with. Standard library."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["FUNCTIONS"]

Messages = Sequence[Mapping[str, Any]]
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def right(messages: Messages, answer: str) -> float:
    """Return whether the last message gives the answer."""
    found = _ANSWER.findall(messages[-1]["content"])
    return float(len(found) == 1 and found[0].strip().lower() == answer.lower())


def tagged(messages: Messages, answer: str) -> float:
    """Return whether the last message has one answer tag."""
    return float(str(messages[-1]["content"]).count("<answer>") == 1)


def few_turns(messages: Messages, answer: str) -> float:
    """Return how few turns were taken."""
    num_turns = sum(1 for message in messages if message["role"] == "assistant")
    return min(1.0, max(0.0, (8 - num_turns) / 4))


def brief(messages: Messages, answer: str) -> float:
    """Return how short the last message is."""
    return min(1.0, max(0.0, (120 - len(str(messages[-1]["content"]).split())) / 60))


def unrepeated(messages: Messages, answer: str) -> float:
    """Return the share of calls that repeat none."""
    said = (message["content"] for message in messages if message["role"] == "assistant")
    calls = [call for text in said for call in _CALL.findall(text)]
    return len(set(calls)) / len(calls) if calls else 1.0


FUNCTIONS = (right, tagged, few_turns, brief, unrepeated)
