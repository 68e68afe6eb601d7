"""One call of a program to its model, and what it is answered: one form for all dialects of the endpoint.

Messages are those of chat completions, reduced to what a policy can read: `role` ("system", "user", "assistant",
"tool"), `content` (text), of an assistant `tool_calls` (each `id`, `name`, `arguments` as JSON text), of a tool
`tool_call_id` and `name`. A dialect reads a request into a `Call` and writes `Said` or `Refused` in its own form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Answers", "Asked", "Call", "Dialect", "Refused", "Said"]

Dialect = Literal["chat", "responses", "messages"]
"""OpenAI chat completions, OpenAI responses, Anthropic messages."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A tool call, as a program reads it."""

    id: str  # unique within the episode, such as "call_3_0"
    name: str
    arguments: str  # JSON text of an object


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a program asked of its model."""

    dialect: Dialect
    model: str  # as the program named it
    messages: tuple[Mapping[str, Any], ...]  # see above; at least one
    tools: tuple[Mapping[str, Any], ...] = ()  # schemas in the OpenAI function format
    tool_choice: str = "auto"  # "auto", "none", "required", or "=NAME": that tool
    parallel_tool_calls: bool = True
    num_answers: int = 1  # `n`
    stop: tuple[str, ...] = ()  # the text ends before the first of them
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None  # {"type": "json_object"} or {"type": "json_schema", …}
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # temperature and others, which the policy's sampler decides


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the policy answered."""

    content: str  # without thoughts and calls
    reasoning: str = ""  # what stood in <think>
    calls: tuple[Asked, ...] = ()
    finish: Literal["stop", "length", "tool_calls"] = "stop"
    stopped_by: str | None = None  # the entry of `stop` that ended the text
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Refused(Exception):
    """A call that is not answered; each dialect writes it in its form.

    Args:
        message: What is wrong, for the program's developer.
        status: Of HTTP: 400 bad request, 401 wrong key, 404 unknown, 409 the episode is over, 413 too large, 429 too
            many, 500 the infrastructure failed, 503 closing.
        code: A short stable word, such as "invalid_api_key", "context_length_exceeded".
        param: The field of the request that is wrong, where it is one.
        retry_after_s: Told to the client as `Retry-After`, in seconds; of 429 and 503.
    """

    def __init__(
        self, message: str, *, status: int, code: str, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after_s = status, code, param, retry_after_s


class Answers(Protocol):
    """Who answers the calls of all episodes."""

    async def answer(self, key: str, call: Call) -> Sequence[Said]:
        """Answer a call.

        Args:
            key: As the program showed it; empty where it showed none.
            call: What was asked.

        Returns:
            As many as `call.num_answers`.

        Raises:
            Refused: It is not answered.
        """
        ...

    async def passed_on(self, key: str, model: str) -> tuple[str, str] | None:
        """Return base URL and key of the real endpoint that answers for a model; None: the policy does.

        Raises:
            Refused: The key is wrong.
        """
        ...

    def came_back(self, key: str) -> None:
        """Note that a call for which `passed_on` named an endpoint has ended, however it did."""
        ...
