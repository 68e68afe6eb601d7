"""Malformed turns, drawn from a generator: broken tags and JSON, sizes, code points, pieces of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from agentrl.envs.checker.players import random_call
from agentrl.envs.spaces import Unicode

__all__ = ["malformed_turns"]

_FIXED = (
    "",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "<tool_call>",
    "</tool_call>",
    "<tool_call></tool_call>",
    "<tool_call>null</tool_call>",
    "<tool_call>[]</tool_call>",
    "<tool_call>{}</tool_call>",
    '<tool_call>{"name": null}</tool_call>',
    '<tool_call>{"name": "NAME"}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": null}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": []}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": "{"}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": {"": {}}}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": {"\\ud800": "\\u0000"}}</tool_call>',
    '<tool_call>{"name": ["NAME"], "arguments": {}}</tool_call>',
    '<tool_call>{"name": "__init__", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": {"__class__": 1, "self": 2}}</tool_call>',
    "<tool_call>" + '{"a":' * 3000,
    "<tool_call>" + "[" * 100_000 + "</tool_call>",
    '<tool_call>{"name": "NAME", "arguments": {"x": 1e999, "y": NaN, "z": -Infinity}}</tool_call>',
    '<tool_call>{"name": "NAME", "arguments": {"x": ' + "9" * 5000 + "}}</tool_call>",
    "<answer>",
    "</answer>",
    "</answer>x<answer>",
    "<answer>" * 5000,
    "<think>" * 5000,
    "</think>" * 5000,
    "<think><answer>x</answer>",
    "<ANSWER>x</ANSWER>",
    "<answer >x</answer >",
    "x" * 60_000,
    "\n" * 60_000,
    "😀" * 20_000,
    "a\u0300" * 10_000,
    "%s %n {0} {x.__class__} ${PATH} $(id) `id`",
    "'; DROP TABLE tasks; --",
    '" OR 1=1 *',
    "../../../../etc/passwd",
    "\x1b[2J\x1b]0;title\x07",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<function=NAME>",
    "NAME(",
)
_ENDS = ("}", '"', ">", "</tool_call>", "]", ":", "{")


def malformed_turns(rng: np.random.Generator, tools: Sequence[Any], num: int) -> Iterator[str]:
    """Yield the fixed ones, then `num` mutated ones.

    Args:
        rng: Where from.
        tools: The tools on offer, in the OpenAI function format.
        num: Of the mutated.
    """
    names = [str(tool.get("function", {}).get("name", "")) for tool in tools if isinstance(tool, dict)] or ["search"]
    for text in _FIXED:
        yield text.replace("NAME", names[0])
    space = Unicode(20_000, seed=int(rng.integers(2**31)))
    for _ in range(num):
        kind = int(rng.integers(3))
        if kind == 0 or not tools:
            yield space.sample()
            continue
        call = random_call(rng, tools[int(rng.integers(len(tools)))], ["x", "1", "\ud800", "東京", "", "a" * 300])
        yield _broken(rng, call) if kind == 1 else _wrongly_typed(rng, names)


def _broken(rng: np.random.Generator, text: str) -> str:
    """Cut, double or replace pieces of a text."""
    for _ in range(int(rng.integers(1, 4))):
        at, end = sorted(int(each) for each in rng.integers(0, len(text) + 1, 2))
        kind = int(rng.integers(4))
        if kind == 0:
            text = text[:at] + text[end:]
        elif kind == 1:
            text = text[:at] + text[at:end] * 2 + text[end:]
        elif kind == 2:
            text = text[:at] + chr(int(rng.integers(0x110000))) + text[at:]
        else:
            text = text[:at] + _ENDS[int(rng.integers(len(_ENDS)))] + text[at:]
    return text


def _wrongly_typed(rng: np.random.Generator, names: list[str]) -> str:
    values: list[Any] = [
        None,
        True,
        -1,
        10**30,
        1.5,
        "",
        "x" * 5000,
        [],
        [[[]]],
        {},
        {"a": {"b": None}},
        "\0",
        "\ud800",
    ]
    keys = ["query", "k", "id", "", "name", "x" * 200, "code", "path"]
    arguments = {keys[int(rng.integers(len(keys)))]: values[int(rng.integers(len(values)))] for _ in range(3)}
    call = {"name": names[int(rng.integers(len(names)))], "arguments": arguments}
    return f"<tool_call>{json.dumps(call)}</tool_call>"
