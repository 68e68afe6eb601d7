"""The random floor: prose, well-formed calls of the offered tools with arbitrary arguments, and guessed answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agentrl.envs.protocol import Policy
from agentrl.envs.spaces import Unicode

__all__ = ["random_call", "random_player", "tool_call"]

_WORD = re.compile(r"\w+")
_TEXTS = Unicode(2000)


def tool_call(name: str, arguments: Mapping[str, Any]) -> str:
    """Write a call as Hermes and Qwen models do."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': dict(arguments)})}\n</tool_call>"


def random_call(rng: np.random.Generator, tool: Mapping[str, Any], words: list[str]) -> str:
    """Write a call of a tool in the OpenAI function format, with values that its schema allows."""
    function = tool.get("function", {})
    parameters = function.get("parameters", {})
    required = set(parameters.get("required", ()))
    arguments = {
        name: _value(rng, schema, words)
        for name, schema in parameters.get("properties", {}).items()
        if name in required or rng.integers(2)
    }
    return tool_call(function.get("name", ""), arguments)


def random_player(rng: np.random.Generator, *, answers: bool = True) -> Policy:
    """Return a policy that draws every turn from a generator.

    Args:
        rng: Where from.
        answers: Whether it may guess an answer, which ends most episodes.
    """
    tools: list[Any] = []
    words = ["yes"]

    def play(observation: str, info: dict[str, Any]) -> str:
        told = info.get("tools") if isinstance(info, dict) else None
        if isinstance(told, list):
            tools[:] = told
        words.extend(_WORD.findall(str(observation))[:200])
        kind = int(rng.integers(4))
        if kind == 0:
            space = _TEXTS
            space.seed(int(rng.integers(2**31)))
            return space.sample()
        if kind == 1 and answers:
            return f"<answer>{_word(rng, words)}</answer>"
        if tools:
            return random_call(rng, tools[int(rng.integers(len(tools)))], words)
        return f"<answer>{_word(rng, words)}</answer>" if answers else _word(rng, words)

    return play


def _word(rng: np.random.Generator, words: list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _value(rng: np.random.Generator, schema: Any, words: list[str], depth: int = 0) -> Any:
    if not isinstance(schema, dict):
        return _word(rng, words)
    if schema.get("enum"):
        return schema["enum"][int(rng.integers(len(schema["enum"])))]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return _value(rng, schema[union][int(rng.integers(len(schema[union])))], words, depth + 1)
    kind = schema.get("type", "string")
    kind = kind[int(rng.integers(len(kind)))] if isinstance(kind, list) else kind
    makers: dict[str, Callable[[], Any]] = {
        "integer": lambda: int(rng.integers(-2, 50)),
        "number": lambda: round(float(rng.normal(0, 50)), 2),
        "boolean": lambda: bool(rng.integers(2)),
        "null": lambda: None,
        "array": lambda: [
            _value(rng, schema.get("items", {}), words, depth + 1)
            for _ in range(int(rng.integers(3)) if depth < 3 else 0)
        ],
        "object": lambda: {
            name: _value(rng, each, words, depth + 1) for name, each in schema.get("properties", {}).items()
        },
    }
    return makers.get(kind, lambda: _word(rng, words))()
