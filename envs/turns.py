"""The text of one turn: what is spoken in it, which answers it gives, and what an environment answers to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentrl.envs.protocol import Reply

__all__ = ["Turn", "capped", "expected", "final_answers", "spoken"]

_THINK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_ANSWER = re.compile(r"<answer>((?:(?!</?answer>).)*+)</answer>", re.DOTALL)
_CUT = "\n[… {} characters cut …]\n"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an environment answers to one action."""

    replies: tuple[Reply, ...] = ()  # what the model reads next
    rewards: Mapping[str, float] = field(default_factory=dict)  # raw components, each in [0, 1]
    terminated: bool = False  # the task is over
    success: bool | None = None  # whether the ground truth holds; set at the last step
    flags: tuple[str, ...] = ()  # what judging saw that may be an attempt to cheat; in `info` where there is some


def final_answers(text: str) -> list[str]:
    """Return the content of every `<answer>` tag of a turn, thoughts left out.

    >>> final_answers("<think><answer>no</answer></think> So <answer> Paris </answer>")
    ['Paris']
    """
    return [match.strip() for match in _ANSWER.findall(spoken(text))]


def spoken(text: str) -> str:
    """Return a turn without its thoughts."""
    if "<think>" in text:
        text = _THINK.sub("", text)
    return text.rpartition("</think>")[2]  # some templates open the thought, so that only its end is in the turn


def capped(text: str, limit: int) -> str:
    """Return at most `limit` characters, or little more than the remark about the cut where that has no room."""
    if len(text) <= limit:
        return text
    kept = max(0, limit - len(_CUT.format(len(text))))
    head = kept - kept // 2
    return text[:head] + _CUT.format(len(text) - kept) + text[len(text) - kept // 2 :]


def expected(text: str, tools: Iterable[str]) -> str:
    """Return what to tell the model of a turn in which there is neither a call nor an answer.

    >>> expected("Hm.", ["search", "open"])
    'Error: no tool call and no answer found. Call search or open, or write <answer>your answer</answer>.'
    """
    if "<answer>" in text or "</answer>" in text:
        return "Error: the answer tag is not well formed. Write <answer>your answer</answer>."
    names = " or ".join(tools)
    if names:
        return f"Error: no tool call and no answer found. Call {names}, or write <answer>your answer</answer>."
    return "Error: no answer found. Write <answer>your answer</answer>."
