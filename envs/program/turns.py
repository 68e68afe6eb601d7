"""A policy's turn as a program reads it: thoughts, tool calls and text apart, cut where the program asked for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentrl.envs.program.calls import Asked, Call, Said
from agentrl.envs.rows import clean
from agentrl.envs.tools import ToolCall, parse
from agentrl.envs.turns import spoken

__all__ = ["counted", "given", "read_turn", "text_of"]

_THINK = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)


def read_turn(action: str, call: Call, turn: int) -> tuple[Said, str]:
    """Return what the program is answered, and the turn as written, without thoughts and what was cut off.

    A call that is malformed stays in the text, as a program would see it from a real endpoint.

    Args:
        action: The policy's whole turn.
        call: What it answers.
        turn: Its number in the episode; ids of tool calls are made from it.

    >>> asked = Call(dialect="chat", model="m", messages=({"role": "user", "content": "Hi"},), stop=("END",))
    >>> said, written = read_turn("<think>Hm.</think>Fine. END or not", asked, 0)
    >>> said.content, said.reasoning, said.stopped_by, written
    ('Fine. ', 'Hm.', 'END', 'Fine. ')
    """
    action = clean(action).replace("\0", "\ufffd")  # what the endpoint would not take back
    text, reasoning = spoken(action), _reasoning(action)
    cut = min(((text.find(each), each) for each in call.stop if each in text), default=None)
    if cut is not None:
        text = text[: cut[0]]
    names = [] if call.tool_choice == "none" else [str(tool["function"]["name"]) for tool in call.tools]
    found = [each for each in parse(text, names) if isinstance(each, ToolCall)] if names else []
    if not call.parallel_tool_calls:
        found = found[:1]
    content = text
    for each in found:
        content = content.replace(each.raw, "", 1)
    calls = tuple(
        Asked(id=f"call_{turn}_{place}", name=each.name, arguments=json.dumps(each.arguments))
        for place, each in enumerate(found)
    )
    return (
        Said(
            content=content.strip() if calls else content,
            reasoning=reasoning,
            calls=calls,
            finish="tool_calls" if calls else "stop",
            stopped_by=cut[1] if cut is not None else None,
        ),
        text,
    )


def counted(said: Said, call: Call, action: str) -> Said:
    """Return an answer with its tokens, of which an environment knows the characters alone: four to a token."""
    read = len(text_of(call.messages))
    return replace(said, prompt_tokens=-(-read // 4), completion_tokens=-(-len(action) // 4))


def given(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message that was read, for rubrics: one of the assistant was no turn of this episode."""
    return {**message, "given": True} if message["role"] == "assistant" else dict(message)


def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return what messages say, for players that read one text."""
    return "\n\n".join(str(message["content"]) for message in messages)


def _reasoning(action: str) -> str:
    if "</think>" in action and "<think>" not in action:  # some templates open the thought themselves
        return action.rpartition("</think>")[0].strip()
    return "\n\n".join(each.strip() for each in _THINK.findall(action))
