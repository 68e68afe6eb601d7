"""Anthropic's messages: https://docs.anthropic.com/en/api/messages.

A result that is an error begins with "Error: " where the policy reads it, since it sees no flag. Thoughts are told as
a `thinking` block only where the request enables thinking, as the vendor does; those that come back are left out of
what is asked. Images, documents and tools of the vendor's own are refused; tokens are not counted ahead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentrl.envs.program.calls import Call, Refused, Said
from agentrl.envs.program.dialects.chat import event
from agentrl.envs.program.dialects.reading import Fields, bad, function, new_id, pieces, plain_message, refuse

__all__ = ["ID_HEADER", "failed", "read", "refused", "streamed", "whole"]

ID_HEADER = b"request-id"
"""Where Anthropic's clients look for the request's identifier."""

_MOST_TOKENS, _MOST_STOPS = 1 << 31, 16
_UNSPOKEN = ("container", "mcp_servers")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_THOUGHTS = ("thinking", "redacted_thinking")
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def read(told: Mapping[str, Any]) -> Call:
    """Return what a request asks.

    Raises:
        Refused: It asks for what is wrong, or what is not done here; status 400.
    """
    fields = Fields(told)
    refuse(told, _UNSPOKEN)
    model, most = fields.text("model"), fields.whole("max_tokens", 1, _MOST_TOKENS)
    if most is None:
        fields.required("max_tokens")
    tools = tuple(map(_tool, fields.each("tools")))
    choice, is_parallel = _choice(fields, tools)
    return Call(
        dialect="messages",
        model=model,
        messages=_messages(fields),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=is_parallel,
        stop=_stops(fields),
        max_tokens=most,
        response_format=_format(fields),
        settings=_settings(fields),
    )


def _settings(fields: Fields) -> dict[str, Any]:
    found = {
        "temperature": fields.number("temperature", 0, 1),
        "top_p": fields.number("top_p", 0, 1),
        "top_k": fields.whole("top_k", 0, _MOST_TOKENS),
        "thinking": fields.object("thinking"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _tool(tool: Fields) -> dict[str, Any]:
    if (kind := tool.maybe_text("type") or "custom") != "custom":
        path = tool.path("type")
        bad(f"'{path}' is {kind[:40]!r}; only tools of your own are called here", path, "unsupported_value")
    tool.required("input_schema")
    return function(tool, "input_schema")


def _choice(fields: Fields, tools: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Return `tool_choice` and `parallel_tool_calls` of a call."""
    if fields.told.get("tool_choice") is None:
        return "auto", True
    choice = fields.fields("tool_choice")
    is_parallel = not choice.flag("disable_parallel_tool_use", False)
    kind = choice.text("type")
    if kind == "tool":
        name = choice.text("name")
        if not any(each["function"]["name"] == name for each in tools):
            bad(f"'tool_choice' names {name[:80]!r}, which is not among 'tools'", "tool_choice.name")
        return f"={name}", is_parallel
    if kind not in _CHOICES:
        bad(f"'tool_choice.type' is {kind[:40]!r}, but must be auto, any, tool or none", "tool_choice.type")
    if kind == "any" and not tools:
        bad("'tool_choice' asks for a tool, but 'tools' gives none", "tool_choice")
    return _CHOICES[kind], is_parallel


def _stops(fields: Fields) -> tuple[str, ...]:
    stops = fields.array("stop_sequences")
    if any(type(each) is not str for each in stops):
        bad("'stop_sequences' must be an array of strings", "stop_sequences", "invalid_type")
    if len(stops) > _MOST_STOPS:
        bad(f"'stop_sequences' has {len(stops)} entries, but may have {_MOST_STOPS}", "stop_sequences")
    return tuple(filter(None, stops))


def _format(fields: Fields) -> Mapping[str, Any] | None:
    if fields.told.get("output_config") is None:
        return None
    config = fields.fields("output_config")
    if config.told.get("format") is None:
        return None
    asked = config.fields("format")
    if (kind := asked.text("type")) != "json_schema":
        bad(f"'output_config.format.type' is {kind[:40]!r}, but must be json_schema", "output_config.format.type")
    asked.required("schema")
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": asked.object("schema"), "strict": True}}


def _messages(fields: Fields) -> tuple[dict[str, Any], ...]:
    messages: list[dict[str, Any]] = []
    if fields.told.get("system") is not None and (system := _text(fields, "system")):
        messages.append({"role": "system", "content": system})
    names: dict[str, str] = {}  # of tools, by the id of the call
    for index, told in enumerate(fields.array("messages")):
        if (plain := plain_message(told)) is not None and plain["role"] != "system":
            messages.append(plain)
            continue
        each = Fields(told, "messages", fields, index)
        role = each.text("role")
        if role == "assistant":
            messages.append(_said(each, names))
        elif role == "user":
            messages.extend(_asked(each, names))
        else:
            path = each.path("role")
            bad(f"'{path}' is {role[:40]!r}, but must be user or assistant; 'system' is a field of its own", path)
    if not fields.array("messages"):
        fields.required("messages")
        bad("'messages' is empty; give at least one", "messages")
    return tuple(messages)


def _said(message: Fields, names: dict[str, str]) -> dict[str, Any]:
    """Return a turn of the assistant."""
    if type(message.required("content")) is str:
        return {"role": "assistant", "content": message.told["content"]}
    texts, calls = [], []
    for block in message.each("content"):
        kind = block.text("type")
        if kind == "text":
            texts.append(block.text("text"))
        elif kind == "tool_use":
            block.required("input")
            arguments = json.dumps(block.object("input"), ensure_ascii=False)
            calls.append({"id": block.text("id"), "name": block.text("name"), "arguments": arguments})
        elif kind not in _THOUGHTS:
            _unread(block, kind)
    said: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
    if calls:
        said["tool_calls"] = calls
        names.update((each["id"], each["name"]) for each in calls)
    return said


def _asked(message: Fields, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what the program's side says: results of tools by themselves, in the order in which they stand."""
    if type(message.required("content")) is str:
        yield {"role": "user", "content": message.told["content"]}
        return
    if not message.array("content"):
        bad(f"'{message.path('content')}' is empty; give at least one block", message.path("content"))
    texts: list[str] = []
    for block in message.each("content"):
        kind = block.text("type")
        if kind == "text":
            texts.append(block.text("text"))
        elif kind == "tool_result":
            if texts:
                yield {"role": "user", "content": "".join(texts)}
                texts = []
            ident = block.text("tool_use_id")
            text = _text(block, "content")
            if block.flag("is_error", False) and not text.lower().startswith("error"):
                text = f"Error: {text}"
            yield {"role": "tool", "tool_call_id": ident, "name": names.get(ident, ""), "content": text}
        else:
            _unread(block, kind)
    if texts:
        yield {"role": "user", "content": "".join(texts)}


def _text(fields: Fields, name: str) -> str:
    """Return a field that is a text or an array of text blocks; empty where it is left out."""
    content = fields.told.get(name)
    if content is None or type(content) is str:
        return content or ""
    if type(content) is not list:
        fields.wrong(fields.path(name), content, "a string or an array of blocks")
    texts = []
    for block in fields.each(name):
        if (kind := block.text("type")) != "text":
            _unread(block, kind)
        texts.append(block.text("text"))
    return "".join(texts)


def _unread(block: Fields, kind: str) -> None:
    path = block.path("type")
    bad(f"'{path}' is {kind[:40]!r}, which the policy does not read here", path, "unsupported_value")


def whole(told: Mapping[str, Any], call: Call, saids: Sequence[Said]) -> dict[str, Any]:
    """Return the response to a request."""
    said = saids[0]
    content: list[dict[str, Any]] = []
    if said.reasoning and call.settings.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        content.append({"type": "thinking", "thinking": said.reasoning, "signature": ""})
    if said.content:
        content.append({"type": "text", "text": said.content, "citations": None})
    for each in said.calls:
        content.append({"type": "tool_use", "id": each.id, "name": each.name, "input": json.loads(each.arguments)})
    reason = "tool_use" if said.calls and said.finish == "stop" else _STOPS[said.finish]
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": reason if said.stopped_by is None else "stop_sequence",
        "stop_sequence": said.stopped_by,
        "usage": {
            "input_tokens": said.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": said.completion_tokens,
        },
    }


def streamed(told: Mapping[str, Any], response: Mapping[str, Any]) -> bytes:
    """Return the events in which a response comes as a stream."""
    usage, end = response["usage"], {name: response[name] for name in ("stop_reason", "stop_sequence")}
    begun = {**response, "content": [], "stop_reason": None, "stop_sequence": None}
    events = [_event("message_start", message={**begun, "usage": {**usage, "output_tokens": 0}}), _event("ping")]
    for index, block in enumerate(response["content"]):
        empty, deltas = _cut(block)
        events.append(_event("content_block_start", index=index, content_block=empty))
        events += [_event("content_block_delta", index=index, delta=each) for each in deltas]
        events.append(_event("content_block_stop", index=index))
    events.append(_event("message_delta", delta=end, usage=usage))
    events.append(_event("message_stop"))
    return b"".join(events)


def _cut(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a block begins, and what is added to it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": each} for each in pieces(block["text"])]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": each} for each in pieces(block["thinking"])]
        return {**block, "thinking": ""}, [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
    parts = pieces(json.dumps(block["input"], ensure_ascii=False))
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": each} for each in parts]


def _event(kind: str, **told: Any) -> bytes:
    return event({"type": kind, **told}, kind)


def refused(error: Refused) -> dict[str, Any]:
    """Return what a call is refused with."""
    kind = _KINDS.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}}


def failed(error: Refused) -> bytes:
    """Return what ends a stream whose answer did not come."""
    return event(refused(error), "error")
