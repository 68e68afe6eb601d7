"""One answer of an OpenAI-compatible endpoint, read as what a stranger wrote."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["Completion", "read_completion", "retry_after_s"]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model said."""

    content: str  # empty where it said nothing, or only called tools
    refusal: str = ""  # why it will not answer, where the server tells that apart
    finish: str = ""  # "stop", "length", "content_filter", …
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0  # with all tries and pauses, from when its turn had come
    message: Mapping[str, Any] = field(default_factory=dict)  # as it came


def read_completion(text: str, check: Callable[[Mapping[str, Any]], object] | None = None) -> Completion:
    """Return what an answer holds.

    Args:
        text: The body of the answer.
        check: Raises ValueError for a message that cannot be used.

    Raises:
        ValueError: It is no completion, or its message cannot be used.

    >>> read_completion('{"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]}').content
    'Fine.'
    """
    try:
        answer = json.loads(text)
        choice = answer["choices"][0]
        message = choice["message"]
        content = _said(message.get("content"))
        told = answer.get("usage")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{' '.join(text[:200].split())!r} holds no message ({type(error).__name__})") from error
    if not isinstance(content, str):
        raise ValueError(f"the message's content is {content!r:.100}, not text")
    if check is not None:
        check(message)
    usage = told if isinstance(told, dict) else {}
    return Completion(
        content=content,
        refusal=_word(message.get("refusal")),
        finish=_word(choice.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        message=message,
    )


def _said(content: Any) -> Any:
    """Return the text of a content that came in parts, or of none; any other as it is."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return "" if content is None else content


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    """Return a number of tokens; 0 for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0


def retry_after_s(text: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110, section 10.2.3).

    >>> retry_after_s("1.5"), retry_after_s("soon"), retry_after_s("Thu, 01 Jan 1970 00:00:00 GMT")
    (1.5, None, 0.0)
    """
    if not text:
        return None
    try:
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
