"""One episode as a page shows it: messages with their calls, rewards by turn, and the tokens of a training run.

Everything comes from a file that may lie: whatever has the wrong type is shown as text or left out, and long texts lose
their middle.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.viewer.database import reading, short
from agentrl.bench.viewer.queries import KEYS
from agentrl.bench.viewer.runs import Run, number

__all__ = ["Call", "Message", "Piece", "Talk", "cut", "json_object", "read_talk"]

MOST_MESSAGES = 400
MOST_CHARS = 20_000  # of one text
MOST_NAME = 1000  # of a plain column
MOST_JSON = 4 << 20
MOST_BYTES = 64 << 20  # of the messages in the file
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool that the model called."""

    name: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a message: text, or a call."""

    text: str = ""
    call: Call | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message, and what is known of the turn that it is."""

    role: str  # one of `ROLES`, or "other"
    name: str
    pieces: tuple[Piece, ...]
    turn: int | None = None  # of the assistant's messages, from 0
    reward: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    advantage: float | None = None
    version: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Talk:
    """An episode."""

    row: Mapping[str, Any]  # its columns but the long ones
    rewards: Mapping[str, float]  # components
    failure: Mapping[str, Any] | None
    messages: tuple[Message, ...]
    left_out: int = 0  # messages
    trouble: tuple[str, ...] = ()
    turn_lengths: tuple[int, ...] = ()  # sampled tokens of each turn
    turn_order: tuple[int, ...] = ()  # turns in the order in which their tokens stand
    versions: tuple[int | None, ...] = ()
    advantages: tuple[float | None, ...] = ()  # of each turn
    tokens: Mapping[str, bytes] = field(default_factory=dict)  # token_ids, mask, logprobs as stored

    @property
    def outcome(self) -> str:
        """One of `queries.OUTCOMES`."""
        if self.row.get("failure") is not None:
            return "failed"
        success = self.row.get("success")
        return "unknown" if success is None else "solved" if success else "unsolved"


def read_talk(run: Run, key: Mapping[str, str]) -> Talk:
    """Read an episode.

    Args:
        run: Where it is.
        key: Its columns of `queries.KEYS`, as text.

    Raises:
        UsageError: There is no such episode.
        StoreError: The file cannot be read.
    """
    names = KEYS[run.kind]
    where = " AND ".join(
        f"CAST({name} AS TEXT) = ?" if name not in ("phase", "env_id") else f"{name} = ?" for name in names
    )
    values = [str(key.get(name, "")) for name in names]
    with reading(run.store, tops=run.tops) as db:
        query = f"SELECT length(CAST(messages AS BLOB)) AS size FROM episodes WHERE {where}"
        size = db.execute(query, values).fetchone()
        if size is None:
            told = ", ".join(f"{name} {value!r}" for name, value in zip(names, values, strict=True))
            raise UsageError(f"{run.name} has no episode with {told}; go back to its list")
        if (number(size["size"]) or 0) > MOST_BYTES:
            raise StoreError(f"{run.store}: the messages of this episode take {size['size']:,} bytes, too many to show")
        every = [str(each["name"]) for each in db.execute("SELECT name FROM pragma_table_info('episodes')")]
        columns = ", ".join(f"{short(quoted, _most(name))} AS {quoted}" for name in every for quoted in [_quoted(name)])
        row = db.execute(f"SELECT {columns} FROM episodes WHERE {where} LIMIT 1", values).fetchone()
    return _talk(run, row)


def _most(name: str) -> int:
    """Return how much of a column is read; JSON that is cut is none."""
    if name in ("messages", "token_ids", "mask", "logprobs"):
        return MOST_BYTES
    return MOST_JSON if name in ("rewards", "turns", "failure", "versions", "latencies") else MOST_NAME


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def json_object(text: Any) -> dict[str, Any]:
    """Read a JSON object, an empty one where there is none."""
    found = _json(text)
    return found if isinstance(found, dict) else {}


def cut(text: str, most: int = MOST_CHARS) -> str:
    """Leave the middle of a long text out, and say so."""
    over, half = len(text) - most, most // 2
    return text if over <= 0 else f"{text[:half]}\n[… {over:,} characters left out here …]\n{text[-half:]}"


def _talk(run: Run, row: sqlite3.Row) -> Talk:
    every = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Row is no mapping
    trouble: list[str] = []
    told = _json(every.get("messages"))
    if not isinstance(told, list):
        told, trouble = [], [*trouble, "the messages of this episode are no list in JSON"]
    turns = json_object(every.get("turns"))
    lengths = tuple(int(number(each) or 0) for each in _list(turns.get("lengths")))
    versions = tuple(
        None if (one := number(each)) is None else int(one) for each in _list(_json(every.get("versions")))
    )
    num_turns = max(len(lengths), len(versions), sum(_role(each) == "assistant" for each in told[:MOST_MESSAGES]))
    advantages = tuple(number(each) for each in _list(turns.get("advantages")))
    if every.get("phase") != "train":
        advantages = ()  # what is held out teaches nothing
    elif not advantages:
        advantages = (number(every.get("advantage")),) * num_turns
    rewards = _components(json_object(every.get("rewards")))
    failure = None if every.get("failure") is None else json_object(every["failure"]) or {"message": every["failure"]}
    failure = None if failure is None else {name: cut(str(value), 4000) for name, value in failure.items()}
    by_turn: dict[str, list[Any]] = {
        "reward": [number(each) for each in _list(turns.get("rewards"))],
        "components": [_components(each) for each in _list(turns.get("components"))],
        "advantage": list(advantages),
        "version": list(versions),
        "seconds": [number(each) for each in _list(_json(every.get("latencies")))],
    }
    blobs = {name: every[name] for name in ("token_ids", "mask", "logprobs") if isinstance(every.get(name), bytes)}
    long = ("messages", "token_ids", "mask", "logprobs")
    return Talk(
        row={
            name: value[:MOST_NAME] if isinstance(value, str) else value
            for name, value in every.items()
            if name not in long
        },
        rewards=rewards,
        failure=failure,
        messages=_messages(told[:MOST_MESSAGES], by_turn),
        left_out=max(0, len(told) - MOST_MESSAGES),
        trouble=tuple(trouble),
        turn_lengths=lengths,
        turn_order=_order(_list(turns.get("segments")), len(lengths)),
        versions=versions,
        advantages=advantages,
        tokens=blobs if len(blobs) == 3 else {},
    )


def _messages(told: Sequence[Any], by_turn: Mapping[str, Sequence[Any]]) -> tuple[Message, ...]:
    tools = {
        str(each["name"]) for each in told if isinstance(each, dict) and _role(each) == "tool" and each.get("name")
    }
    found: list[Message] = []
    turn = 0
    for each in told:
        given = each if isinstance(each, dict) else {"role": "other", "content": each}
        role, content = _role(given), given.get("content")
        text = "" if content is None else content if isinstance(content, str) else json.dumps(content, indent=1)
        pieces = _pieces(text, tools) if role == "assistant" else [Piece(text=text)]
        pieces += [Piece(call=call) for call in map(_native, _list(given.get("tool_calls"))[:50]) if call is not None]
        made = Message(
            role=role,
            name=cut(str(given.get("name") or ("" if role != "other" else given.get("role", ""))), MOST_NAME),
            pieces=tuple(replace(piece, text=cut(piece.text)) for piece in pieces if piece.text.strip() or piece.call),
        )
        if role == "assistant" and not given.get("given"):
            known = {name: values[turn] for name, values in by_turn.items() if turn < len(values)}
            made, turn = replace(made, turn=turn, **known), turn + 1
        found.append(made)
    return tuple(found)


def _pieces(text: str, tools: set[str]) -> list[Piece]:
    """Find the calls in a turn of the model, as the environments do; what is none stays text."""
    from agentrl.envs.tools.parsers import MAX_CALLS, PARSERS, ToolCall

    if not tools or len(text) > 10 * MOST_CHARS:
        return [Piece(text=text)]
    blocks = sorted(
        (block for parser in PARSERS.values() for block in parser(text, tools)), key=lambda block: block.start
    )
    pieces: list[Piece] = []
    end = 0
    for block in blocks[:MAX_CALLS]:
        if block.start < end or not all(isinstance(item, ToolCall) for item in block.items):
            continue
        calls = [Piece(call=_call(item.name, item.arguments)) for item in block.items if isinstance(item, ToolCall)]
        pieces += [Piece(text=text[end : block.start]), *calls]
        end = block.end
    return [*pieces, Piece(text=text[end:])]


def _native(value: Any) -> Call | None:
    """Read a call as the chat completions API writes it."""
    inner = value.get("function") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return None
    arguments = inner.get("arguments")
    return _call(str(inner.get("name")), _json(arguments) if isinstance(arguments, str) else arguments)


def _call(name: str, arguments: Any) -> Call:
    if not isinstance(arguments, dict):
        arguments = {} if arguments is None else {"": arguments}
    pairs = [
        (cut(str(key), 200), value if isinstance(value, str) else json.dumps(value)) for key, value in arguments.items()
    ]
    return Call(name=cut(name, 200), arguments=tuple((key, cut(value)) for key, value in pairs[:50]))


def _order(segments: list[Any], num_turns: int) -> tuple[int, ...]:
    """Return the turns by the conversation that each stands in, then by time."""
    of = [int(number(each) or 0) for each in segments[:num_turns]]
    return tuple(sorted(range(num_turns), key=lambda turn: of[turn] if turn < len(of) else 0))


def _components(value: Any) -> dict[str, float]:
    told = value if isinstance(value, dict) else {}
    first = islice(told.items(), 200)
    return {cut(str(name), MOST_NAME): found for name, one in first if (found := number(one)) is not None}


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    return role if isinstance(role, str) and role in ROLES else "other"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _json(text: Any) -> Any:
    if not isinstance(text, str | bytes):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
