"""Which conversation a call goes on with: what a program sends is compared with what it was answered.

A call goes on from a turn where its messages are those of that turn's call, then the answer as it was given, then
replies of tools or users; its tools and response format must be the same. An answer is compared without the white space
around it, its calls by name and arguments: clients leave out thoughts and make ids of their own. Anything else, such as
an edited result, a dropped turn, a summary in place of the history, or an answer that was cut at a `stop` so that the
program never saw all of it, is a conversation that is given anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.program.calls import Call, Said

__all__ = ["Conversations"]

_REPLIES = ("tool", "user")


class Conversations:
    """The conversations of one episode, by turn."""

    def __init__(self) -> None:
        self._turns: dict[bytes, list[int]] = {}  # a conversation up to an answer -> the turns that gave it
        self._continued: set[int] = set()
        self._starts: list[bytes] = []  # of each turn: the conversation up to its question
        self._written: dict[bytes, str] = {}  # an answer as a program has it -> as the policy wrote it
        self._names: dict[str, str] = {}  # the tool of each call

    def context(self, call: Call) -> dict[str, Any]:
        """Return `info["context"]` of a call: where the policy's next turn is said.

        Args:
            call: What was asked. The turn that answers it is told to `answered` before the next call is given.
        """
        messages = _in_order(call.messages)
        prints = [_print(message) for message in messages]
        chain, places = _root(call), []
        for place, (message, mark) in enumerate(zip(messages, prints, strict=True), 1):
            chain = _joined(chain, mark)
            if message["role"] == "assistant" and chain in self._turns:
                places.append((place, self._turns[chain]))
        self._starts.append(chain)
        limit = {} if call.max_tokens is None else {"max_tokens": call.max_tokens}
        for message in messages:
            self._names |= {asked["id"]: asked["name"] for asked in message.get("tool_calls") or ()}
        if places:
            place, turns = places[-1]
            replies = messages[place:]
            if replies and all(message["role"] in _REPLIES for message in replies):
                turn = next((turn for turn in turns if turn not in self._continued), turns[-1])
                self._continued.add(turn)
                return {"after": turn, "messages": [self._reply(each) for each in replies], **limit}
        whole = [self._whole(message, mark) for message, mark in zip(messages, prints, strict=True)]
        if wanted := _wanted(call.response_format):
            leads = whole[0]["role"] == "system"
            opening = [{"role": "system", "content": f"{whole[0]['content']}\n\n{wanted}" if leads else wanted}]
            whole = opening + whole[leads:]
        return {"after": None, "messages": whole, "tools": list(call.tools), **limit}

    def answered(self, said: Said, written: str) -> None:
        """Take down what was answered to the call that `context` was asked for last.

        Args:
            said: As the program gets it.
            written: As the policy wrote it, without thoughts and what was cut off.
        """
        calls = [{"name": each.name, "arguments": each.arguments} for each in said.calls]
        mark = _print({"role": "assistant", "content": said.content, "tool_calls": calls})
        turn = len(self._starts) - 1
        if said.stopped_by is None:  # else the policy has said more than the program was given
            self._turns.setdefault(_joined(self._starts[turn], mark), []).append(turn)
        self._written[mark] = written
        self._names |= {each.id: each.name for each in said.calls}

    def again(self) -> None:
        """Say that the call before is answered once more, by a turn of its own."""
        self._starts.append(self._starts[-1])

    def _reply(self, message: Mapping[str, Any]) -> dict[str, Any]:
        name = message.get("name") or self._names.get(str(message.get("tool_call_id")), "")
        return {"role": message["role"], "name": name, "content": message["content"]}

    def _whole(self, message: Mapping[str, Any], mark: bytes) -> dict[str, Any]:
        if message["role"] in _REPLIES:
            return self._reply(message)
        if message["role"] != "assistant":
            return {"role": message["role"], "content": message["content"]}
        if mark in self._written:
            return {"role": "assistant", "content": self._written[mark]}
        calls = [
            {"type": "function", "function": {"name": each["name"], "arguments": _object(each["arguments"])}}
            for each in message.get("tool_calls") or ()
        ]
        return {"role": "assistant", "content": message["content"], **({"tool_calls": calls} if calls else {})}


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _wanted(response_format: Mapping[str, Any] | None) -> str:
    """Return what tells a policy the form of its answer, which a real endpoint would hold it to; empty: any."""
    kind = (response_format or {}).get("type")
    if response_format is None or kind not in ("json_object", "json_schema"):
        return ""
    told = response_format.get("json_schema", response_format)
    schema = told.get("schema") if isinstance(told, Mapping) else None
    return "Answer with one JSON object alone." + (f" Its schema: {json.dumps(schema)}" if schema else "")


def _root(call: Call) -> bytes:
    opening = [call.tools, call.response_format]
    return hashlib.blake2b(_canonical(opening), digest_size=16).digest()


def _joined(chain: bytes, mark: bytes) -> bytes:
    return hashlib.blake2b(chain + mark, digest_size=16).digest()


def _print(message: Mapping[str, Any]) -> bytes:
    calls = [[each["name"], _object(each["arguments"])] for each in message.get("tool_calls") or ()]
    text = str(message["content"])
    read = [message["role"], text.strip() if message["role"] == "assistant" else text, calls, message.get("place")]
    return hashlib.blake2b(_canonical(read), digest_size=16).digest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=dict).encode()


def _in_order(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return messages with the results of tools in the order of the calls that their ids name."""
    found: list[Mapping[str, Any]] = []
    places: dict[str, int] = {}
    results: list[Mapping[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            results.append({**message, "place": places.get(str(message.get("tool_call_id")), len(places))})
            continue
        found += sorted(results, key=lambda each: int(each["place"]))
        results = []
        if message["role"] == "assistant":
            places = {str(each["id"]): place for place, each in enumerate(message.get("tool_calls") or ())}
        found.append(message)
    return found + sorted(results, key=lambda each: int(each["place"]))


def _object(arguments: str) -> Any:
    """Return arguments as data; a whole number is one however it is written, as other languages do."""
    try:
        return json.loads(arguments, parse_float=lambda text: _whole(float(text)))
    except (ValueError, RecursionError):
        return arguments
