"""What official clients must see, as data: refusals and the errors that they become, requests that are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from agentrl.envs.program.calls import Asked, Call, Refused, Said
from agentrl.envs.program.endpoint import Endpoint
from agentrl.envs.program.scripted import ScriptedAnswers

KEY = "sk-of-this-episode"
LOOK = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "look", "description": "Look there.", "parameters": LOOK}}
ASK: Any = [{"role": "user", "content": "How is the weather in Oslo and in Łódź?"}]
LONG = "Oslo: −3°, snow 🌨️; Łódź: 4°, rain.\nA second line\u2028and a third. " * 8
CALLS = (
    Asked(id="call_1_0", name="look", arguments='{"city": "Oslo"}'),
    Asked(id="call_1_1", name="look", arguments='{"city": "Łódź, in the voivodeship of the same name"}'),
)


class Weather(BaseModel):
    """What is asked for as JSON."""

    city: str
    degrees: int


# Status and code of a refusal, the errors that OpenAI's and Anthropic's clients raise for it, the type that Anthropic's
# API has for it, and whether the clients ask again.
FAILURES = [
    (400, "context_length_exceeded", "BadRequestError", "BadRequestError", "invalid_request_error", False),
    (401, "invalid_api_key", "AuthenticationError", "AuthenticationError", "authentication_error", False),
    (403, "forbidden", "PermissionDeniedError", "PermissionDeniedError", "permission_error", False),
    (404, "model_not_found", "NotFoundError", "NotFoundError", "not_found_error", False),
    (409, "episode_over", "ConflictError", "ConflictError", "invalid_request_error", False),
    (429, "too_many_turns", "RateLimitError", "RateLimitError", "rate_limit_error", True),
    (500, "failed", "InternalServerError", "InternalServerError", "api_error", True),
    (503, "full", "InternalServerError", "ServiceUnavailableError", "overloaded_error", True),
]

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
RIGHT: dict[str, dict[str, Any]] = {
    CHAT: {"model": "policy", "messages": ASK},
    RESPONSES: {"model": "policy", "input": ASK},
    MESSAGES: {"model": "policy", "messages": ASK, "max_tokens": 64},
}
_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
_VALUE, _TYPE, _MISSING = "invalid_value", "invalid_type", "missing_required_parameter"
_UNSUPPORTED, _UNREAD, _GONE = "unsupported_parameter", "unsupported_value", "previous_response_not_found"
# A change to a request that is right, and the field and the code with which it is refused.
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (CHAT, {"logprobs": True}, "logprobs", _UNSUPPORTED),
    (CHAT, {"top_logprobs": 3}, "top_logprobs", _UNSUPPORTED),
    (CHAT, {"functions": [{"name": "f"}]}, "functions", _UNSUPPORTED),
    (CHAT, {"function_call": "auto"}, "function_call", _UNSUPPORTED),
    (CHAT, {"audio": {"voice": "x"}}, "audio", _UNSUPPORTED),
    (CHAT, {"modalities": ["text", "audio"]}, "modalities", _UNREAD),
    (CHAT, {"tools": [{"type": "custom"}]}, "tools[0].type", _UNREAD),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", _VALUE),
    (CHAT, {"tools": "look"}, "tools", _TYPE),
    (CHAT, {"tool_choice": "required"}, "tool_choice", _VALUE),
    (CHAT, {"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", _VALUE),
    (CHAT, {"n": 0}, "n", _VALUE),
    (CHAT, {"n": 1.5}, "n", _TYPE),
    (CHAT, {"n": True}, "n", _TYPE),
    (CHAT, {"max_tokens": 0}, "max_tokens", _VALUE),
    (CHAT, {"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", _VALUE),
    (CHAT, {"stop": ["a"] * 5}, "stop", "array_above_max_length"),
    (CHAT, {"stop": [1]}, "stop", _TYPE),
    (CHAT, {"temperature": 3}, "temperature", _VALUE),
    (CHAT, {"temperature": "hot"}, "temperature", _TYPE),
    (CHAT, {"stream": "yes"}, "stream", _TYPE),
    (CHAT, {"stream_options": {"include_usage": True}}, "stream_options", _VALUE),
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type", _VALUE),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema", _MISSING),
    (CHAT, {"model": None}, "model", _MISSING),
    (CHAT, {"messages": []}, "messages", "empty_array"),
    (CHAT, {"messages": None}, "messages", _MISSING),
    (CHAT, {"messages": [7]}, "messages[0]", _TYPE),
    (CHAT, {"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", _VALUE),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content", _MISSING),
    (CHAT, {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", _MISSING),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, _IMAGE]}]},
        "messages[0].content[1].type",
        _UNREAD,
    ),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools[0].type", _UNREAD),
    (RESPONSES, {"previous_response_id": "resp_0"}, "previous_response_id", _GONE),
    (RESPONSES, {"previous_response_id": 7}, "previous_response_id", _GONE),
    (RESPONSES, {"background": True}, "background", _UNSUPPORTED),
    (RESPONSES, {"conversation": "conv_0"}, "conversation", _UNSUPPORTED),
    (RESPONSES, {"prompt": {"id": "p"}}, "prompt", _UNSUPPORTED),
    (RESPONSES, {"top_logprobs": 2}, "top_logprobs", _UNSUPPORTED),
    (RESPONSES, {"input": None}, "input", _MISSING),
    (RESPONSES, {"input": []}, "input", "empty_array"),
    (RESPONSES, {"input": 5}, "input", _TYPE),
    (RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", _UNREAD),
    (RESPONSES, {"text": {"format": {"type": "grammar"}}}, "text.format.type", _VALUE),
    (RESPONSES, {"max_output_tokens": -1}, "max_output_tokens", _VALUE),
    (MESSAGES, {"max_tokens": None}, "max_tokens", _MISSING),
    (MESSAGES, {"messages": [{"role": "system", "content": "x"}]}, "messages[0].role", _VALUE),
    (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type", _VALUE),
    (MESSAGES, {"messages": [{"role": "user", "content": []}]}, "messages[0].content", _VALUE),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type", _VALUE),
    (MESSAGES, {"tools": [{"name": "look"}]}, "tools[0].input_schema", _VALUE),
    (MESSAGES, {"tool_choice": {"type": "any"}}, "tool_choice", _VALUE),
    (MESSAGES, {"tool_choice": {"type": "some"}}, "tool_choice.type", _VALUE),
    (MESSAGES, {"temperature": 1.5}, "temperature", _VALUE),
    (MESSAGES, {"stop_sequences": "x"}, "stop_sequences", _VALUE),
    (MESSAGES, {"mcp_servers": [{}]}, "mcp_servers", _VALUE),
]


class Scene:
    """An endpoint with answers by a script that each test sets anew."""

    def __init__(self, endpoint: Endpoint, answers: ScriptedAnswers) -> None:
        self.endpoint, self.answers = endpoint, answers

    @property
    def url(self) -> str:
        """Return the base URL, with "/v1"."""
        return self.endpoint.url

    @property
    def call(self) -> Call:
        """Return the last call."""
        return self.answers.calls[-1][1]

    def say(self, *turns: Said | Sequence[Said] | Refused, delay_s: float = 0.0) -> None:
        """Let the policy say these in turn, and the last for ever."""
        left = list(turns)

        def script(call: Call) -> Any:
            return left.pop(0) if len(left) > 1 else left[0]

        self.answers.script, self.answers.delay_s = script, delay_s
        self.answers.calls.clear()
        self.answers.num_cancelled = 0


@contextlib.contextmanager
def scene(*, ping_s: float = 10.0, models: Sequence[str] = ("policy",), real: Any = None) -> Iterator[Scene]:
    """Serve scripted answers."""
    answers = ScriptedAnswers(lambda call: Said(content=""), keys=[KEY], real=real)
    with Endpoint(answers, ping_s=ping_s, models=models) as endpoint:
        yield Scene(endpoint, answers)
