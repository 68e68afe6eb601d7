"""What passes between a client and a server of environments: JSON objects, one a message, read without trust.

A request is `{"op": "open" | "reset" | "step" | "close", …}`; an answer is what Gymnasium's call returned, by name, or
`{"error": {"kind", "message"}}`. `info` is plain data by the text-agent protocol; numbers of numpy become Python's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from agentrl.envs.errors import EnvError

__all__ = ["MAX_BYTES", "WireError", "decoded", "encoded", "plain"]

MAX_BYTES = 16 << 20
"""Of one message."""

_DEEPEST = 64


class WireError(EnvError):
    """A message that the protocol does not know.

    Args:
        message: What is wrong with it.
        kind: A short stable word: "bad_request", "unknown_env", "no_session", "full", "busy".
    """

    def __init__(self, message: str, *, kind: str = "bad_request") -> None:
        super().__init__(message)
        self.kind = kind


def encoded(told: Mapping[str, Any]) -> str:
    """Return a message as text.

    Raises:
        WireError: It holds what is no plain data, or is too long.
    """
    text = json.dumps(plain(told), allow_nan=False)
    if len(text) > MAX_BYTES:
        raise WireError(f"a message of {len(text)} characters is longer than the {MAX_BYTES} that are sent")
    return text


def decoded(text: str | bytes) -> dict[str, Any]:
    """Return a message that was sent as text.

    Raises:
        WireError: It is no JSON object, or too long.

    >>> decoded('{"op": "close"}')
    {'op': 'close'}
    """
    if len(text) > MAX_BYTES:
        raise WireError(f"a message of {len(text)} bytes is longer than the {MAX_BYTES} that are read")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise WireError(f"a message is {type(told).__name__}, but must be an object")
    return told


def plain(value: Any, depth: int = 0) -> Any:
    """Return plain data: what JSON can hold, with numpy's scalars and tuples turned into Python's.

    Raises:
        WireError: It holds something else.

    >>> plain({"a": (1, None)})
    {'a': [1, None]}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if depth > _DEEPEST:
        raise WireError(f"data is nested more than {_DEEPEST} deep, which is not sent")
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # numpy's scalars
        return plain(value.item(), depth + 1)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise WireError(f"{value} is no number that JSON can hold")
        return float(value)
    raise WireError(f"{type(value).__name__} is no plain data; info holds str, int, float, bool, None, list and dict")
