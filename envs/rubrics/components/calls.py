"""The tool calls of an episode, each with what came of it, read once an episode and kept with it.

The names that can be called stand in the tools' schemas; a stored episode has none, so those of its tool messages are
taken. A turn's calls are paired with the messages behind it, in order: a message of the tool is the result, one of the
user says that the call was refused. A call behind which nothing stands was never answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.tools.calls import Malformed, ToolCall

__all__ = ["Call", "calls_of", "schemas_of"]

_KEPT = "_calls_of_components"  # beside the cached properties of an episode, so that it goes with the episode


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call that the agent made, or meant to make."""

    turn: int  # from 0
    name: str  # empty where it could not be read
    arguments: Mapping[str, object]
    raw: str  # as the agent wrote it
    result: str | None  # what the tool said; None where it said nothing
    refused: bool  # malformed, or answered by the environment in place of the tool

    @property
    def key(self) -> str:
        """The same text for the same name and arguments, in whatever order these were written."""
        try:
            return f"{self.name} {json.dumps(self.arguments, sort_keys=True, default=repr)}"
        except (TypeError, ValueError, RecursionError):  # nested too deeply, or keys that cannot be sorted
            return f"{self.name} {self.raw}"


def calls_of(transcript: Transcript) -> tuple[Call, ...]:
    """Return the calls of an episode in their order.

    >>> episode = Transcript(messages=(
    ...     {"role": "assistant", "content": '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'},
    ...     {"role": "tool", "name": "add", "content": "2"}))
    >>> [(call.name, call.arguments, call.result) for call in calls_of(episode)]
    [('add', {'a': 1}, '2')]
    """
    kept = vars(transcript).get(_KEPT)
    if kept is None:
        kept = vars(transcript)[_KEPT] = tuple(_read(transcript))
    calls: tuple[Call, ...] = kept
    return calls


def schemas_of(transcript: Transcript) -> dict[str, Mapping[str, Any]]:
    """Return the JSON schema of each tool's arguments, by the tool's name; what is no schema is left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for tool in transcript.tools:
        function = tool.get("function", tool)
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            found[function["name"]] = parameters if isinstance(parameters, Mapping) else {}
    return found


def _read(transcript: Transcript) -> Iterator[Call]:
    turn = -1
    for at, message in enumerate(transcript.messages):
        if message.get("role") == "assistant":
            turn += 1
            if found := transcript.called(turn):
                yield from _answered(found, transcript.messages, at, turn)


def _answered(
    found: Iterable[ToolCall | Malformed], messages: tuple[Mapping[str, Any], ...], at: int, turn: int
) -> Iterator[Call]:
    """Pair the calls of a turn with the messages behind it."""
    following = at + 1
    for each in found:
        reply = messages[following] if following < len(messages) else {}
        role = reply.get("role")
        if role in ("tool", "user"):
            following += 1
        if isinstance(each, Malformed):
            yield Call(turn=turn, name="", arguments={}, raw=each.raw, result=None, refused=True)
        else:
            told = str(reply.get("content", "")) if role == "tool" else None
            yield Call(
                turn=turn,
                name=each.name,
                arguments=each.arguments,
                raw=each.raw,
                result=told,
                refused=role == "user",
            )
