"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat/create.

What a policy cannot do is refused by name (images, audio, log-probabilities, tools of the vendor's own, the old
`functions`); parameters that change nothing here (`user`, `metadata`, `store`, …) are accepted, unknown ones too, as
servers of open models do. Thoughts that a program sends back (`reasoning_content`) are left out of what is asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentrl.envs.program.calls import Asked, Call, Refused, Said
from agentrl.envs.program.dialects.reading import Fields, bad, chosen, function, new_id, pieces, plain_message

__all__ = ["ID_HEADER", "event", "failed", "read", "refused", "settings_of", "streamed", "whole"]

ID_HEADER = b"x-request-id"
"""Where OpenAI's clients look for the request's identifier."""

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST_STOPS, _MOST_ANSWERS, _MOST_TOKENS = 4, 128, 1 << 31
_UNSPOKEN = ("functions", "function_call", "audio", "web_search_options")
_KINDS = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
_NUMBERS = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}
_TEXTS = ("reasoning_effort", "verbosity")
_compact = json.JSONEncoder(separators=(",", ":")).encode  # ASCII: clients split lines where Unicode does


def read(told: Mapping[str, Any]) -> Call:
    """Return what a request asks.

    Raises:
        Refused: It asks for what is wrong, or what is not done here; status 400.
    """
    fields = Fields(told)
    for name in _UNSPOKEN:
        if told.get(name) is not None:
            bad(f"'{name}' is not spoken here; tools are given as 'tools'", name, "unsupported_parameter")
    if fields.flag("logprobs", False) or fields.whole("top_logprobs", 0, 20):
        name = "logprobs" if told.get("logprobs") else "top_logprobs"
        bad(f"'{name}' is not given here; leave it out", name, "unsupported_parameter")
    if any(each != "text" for each in fields.array("modalities")):
        bad("'modalities' may hold \"text\" alone", "modalities", "unsupported_value")
    if told.get("stream_options") is not None:
        fields.fields("stream_options").flag("include_usage", False)
        if not fields.flag("stream", False):
            bad("'stream_options' goes with 'stream': true", "stream_options")
    tools = tuple(map(_tool, fields.each("tools")))
    most, of_old = (fields.whole(name, 1, _MOST_TOKENS) for name in ("max_completion_tokens", "max_tokens"))
    if most is not None and of_old is not None:
        bad("'max_tokens' and 'max_completion_tokens' say the same; give one", "max_tokens")
    return Call(
        dialect="chat",
        model=fields.text("model"),
        messages=_messages(fields),
        tools=tools,
        tool_choice=chosen(fields, tools, lambda named: named.fields("function").text("name")),
        parallel_tool_calls=fields.flag("parallel_tool_calls", True),
        num_answers=fields.whole("n", 1, _MOST_ANSWERS) or 1,
        stop=_stops(fields),
        max_tokens=of_old if most is None else most,
        response_format=_format(fields),
        settings=settings_of(fields, (*_NUMBERS, "seed", *_TEXTS)),
    )


def settings_of(fields: Fields, names: Sequence[str]) -> dict[str, Any]:
    """Return those settings of the sampler that a request gives."""
    told = fields.told
    found: dict[str, Any] = {}
    for name in names:
        if told.get(name) is None:
            continue
        if name in _NUMBERS:
            found[name] = fields.number(name, *_NUMBERS[name])
        elif name == "seed":
            found[name] = fields.whole(name, -(1 << 63), (1 << 63) - 1)
        else:
            found[name] = fields.text(name)
    return found


def _tool(tool: Fields) -> dict[str, Any]:
    if (kind := tool.text("type")) != "function":
        path = tool.path("type")
        bad(f"'{path}' is {kind[:40]!r}; only tools of type 'function' are called here", path, "unsupported_value")
    return function(tool.fields("function"))


def _messages(fields: Fields) -> tuple[dict[str, Any], ...]:
    names: dict[str, str] = {}  # of tools, by the id of the call
    messages: list[dict[str, Any]] = []
    for index, told in enumerate(fields.array("messages")):
        if (plain := plain_message(told)) is not None:
            messages.append(plain)
        else:
            messages.append(_message(Fields(told, "messages", fields, index), names))
    if not messages:
        fields.required("messages")
        bad("'messages' is empty; give at least one", "messages", "empty_array")
    return tuple(messages)


def _message(message: Fields, names: dict[str, str]) -> dict[str, Any]:
    role = message.text("role")
    if role == "user":
        return {"role": "user", "content": _content(message)}
    if role == "assistant":
        said: dict[str, Any] = {"role": "assistant", "content": _content(message, optional=True)}
        if message.told.get("function_call") is not None:
            path = message.path("function_call")
            bad(f"'{path}' is not spoken here; write 'tool_calls'", path, "unsupported_parameter")
        if calls := [_called(each) for each in message.each("tool_calls")]:
            said["tool_calls"] = calls
            names.update((each["id"], each["name"]) for each in calls)
        return said
    if role == "tool":
        ident = message.text("tool_call_id")
        return {
            "role": "tool",
            "tool_call_id": ident,
            "name": names.get(ident) or message.maybe_text("name") or "",
            "content": _content(message),
        }
    if role in ("system", "developer"):
        return {"role": "system", "content": _content(message)}
    path = message.path("role")
    return bad(f"'{path}' is {role[:40]!r}, but must be one of {', '.join(_ROLES)}", path)


def _called(call: Fields) -> dict[str, str]:
    if (kind := call.maybe_text("type") or "function") != "function":
        path = call.path("type")
        bad(f"'{path}' is {kind[:40]!r}; only 'function' is called here", path, "unsupported_value")
    asked = call.fields("function")
    return {"id": call.text("id"), "name": asked.text("name"), "arguments": asked.text("arguments")}


def _content(message: Fields, *, optional: bool = False) -> str:
    content = message.told.get("content")
    if type(content) is str:
        return content
    if type(content) is list:
        return "".join(map(_part, message.each("content")))
    if content is None and optional:
        return ""
    path = message.path("content")
    return message.wrong(path, message.required("content"), "a string or an array of parts")


def _part(part: Fields) -> str:
    kind = part.text("type")
    if kind in ("text", "refusal"):
        return part.text(kind)
    path = part.path("type")
    return bad(f"'{path}' is {kind[:40]!r}; the policy reads text alone", path, "unsupported_value")


def _stops(fields: Fields) -> tuple[str, ...]:
    stop = fields.told.get("stop")
    if type(stop) is str:
        return (stop,) if stop else ()
    stops = fields.array("stop")
    if any(type(each) is not str for each in stops):
        bad("'stop' must be a string or an array of strings", "stop", "invalid_type")
    if len(stops) > _MOST_STOPS:
        bad(f"'stop' has {len(stops)} entries, but may have {_MOST_STOPS}", "stop", "array_above_max_length")
    return tuple(filter(None, stops))


def _format(fields: Fields) -> Mapping[str, Any] | None:
    if fields.told.get("response_format") is None:
        return None
    asked = fields.fields("response_format")
    kind = asked.text("type")
    if kind == "text":
        return None
    if kind == "json_schema":
        schema = asked.fields("json_schema")
        schema.text("name")
        schema.object("schema")
    elif kind != "json_object":
        bad(
            f"'response_format.type' is {kind[:40]!r}, but must be text, json_object or json_schema",
            "response_format.type",
        )
    return asked.told


def whole(told: Mapping[str, Any], call: Call, saids: Sequence[Said]) -> dict[str, Any]:
    """Return the response to a request."""
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.model,
        "choices": [
            {"index": index, "message": _said(said), "logprobs": None, "finish_reason": _finish(said)}
            for index, said in enumerate(saids)
        ],
        "usage": _usage(saids),
    }


def _said(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.content, "refusal": None}
    if said.calls:
        message["content"] = said.content or None
        message["tool_calls"] = [_call(each) for each in said.calls]
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    return message


def _call(asked: Asked) -> dict[str, Any]:
    return {"id": asked.id, "type": "function", "function": {"name": asked.name, "arguments": asked.arguments}}


def _finish(said: Said) -> str:
    return "tool_calls" if said.calls and said.finish == "stop" else said.finish


def _usage(saids: Sequence[Said]) -> dict[str, int]:
    asked, told = saids[0].prompt_tokens, sum(each.completion_tokens for each in saids)
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def streamed(told: Mapping[str, Any], response: Mapping[str, Any]) -> bytes:
    """Return the events in which a response comes as a stream."""
    head = {name: response[name] for name in ("id", "object", "created", "model")}
    head["object"] += ".chunk"
    counted = bool((told.get("stream_options") or {}).get("include_usage"))
    if counted:
        head["usage"] = None  # OpenAI's chunks have it, when the last one tells it
    begin = f"data: {_compact(head)[:-1]}"  # written once, since it stands in every event
    events = []
    for choice in response["choices"]:
        one = f'{begin},"choices":[{{"index":{choice["index"]},"logprobs":null,'
        events += [f'{one}"delta":{each},"finish_reason":null}}]}}\n\n' for each in _deltas(choice["message"])]
        events.append(f'{one}"delta":{{}},"finish_reason":{_compact(choice["finish_reason"])}}}]}}\n\n')
    if counted:
        events.append(f'{begin},"choices":[],"usage":{_compact(response["usage"])}}}\n\n')
    events.append("data: [DONE]\n\n")
    return "".join(events).encode()


def _deltas(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is added to a message, as JSON: written by hand where there is much of it."""
    content, calls = message["content"], message.get("tool_calls", ())
    yield _compact({"role": "assistant", "content": None if calls else "", "refusal": None})
    for each in pieces(message.get("reasoning_content", "")):
        yield f'{{"reasoning_content":{_compact(each)}}}'
    for each in pieces(content or ""):
        yield f'{{"content":{_compact(each)}}}'
    for index, call in enumerate(calls):
        yield _compact({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]})
        for each in pieces(call["function"]["arguments"]):
            yield f'{{"tool_calls":[{{"index":{index},"function":{{"arguments":{_compact(each)}}}}}]}}'


def event(told: Mapping[str, Any], name: str = "") -> bytes:
    """Return an event of a stream.

    Args:
        told: What it tells.
        name: Of the event, where the dialect names them.
    """
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {_compact(told)}\n\n".encode()


def refused(error: Refused) -> dict[str, Any]:
    """Return what a call is refused with."""
    kind = "server_error" if error.status >= 500 else _KINDS.get(error.status, "invalid_request_error")
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def failed(error: Refused) -> bytes:
    """Return what ends a stream whose answer did not come."""
    return event(refused(error))
