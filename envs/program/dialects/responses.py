"""OpenAI's responses: https://platform.openai.com/docs/api-reference/responses/create.

`previous_response_id` is resolved before a request comes here (`continued`), so that all that is asked stands in
`input`. A message of the assistant and the calls after it are one turn. What only the vendor can do is refused: tools
of its own, conversations and prompts that it keeps, work in the background. Reasoning that comes back is left out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.program.calls import Call, Refused, Said
from agentrl.envs.program.dialects import chat
from agentrl.envs.program.dialects.chat import event, settings_of
from agentrl.envs.program.dialects.reading import Fields, bad, chosen, function, is_deep, new_id, plain_message, refuse
from agentrl.envs.program.dialects.response_events import response_events

__all__ = ["ID_HEADER", "continued", "failed", "items_of", "read", "refused", "streamed", "whole"]

ID_HEADER = chat.ID_HEADER
"""Where OpenAI's clients look for the request's identifier."""

_UNSPOKEN = ("background", "conversation", "prompt", "context_management")
_MOST_TOKENS = 1 << 31
_READABLE = ("input_text", "output_text", "text")
_ROLES = {"user": "user", "system": "system", "developer": "system", "assistant": "assistant"}
_FORMATS = ("json_object", "json_schema", "text")
_LOGPROBS = "message.output_text.logprobs"
_ECHOED: dict[str, Any] = {  # of the request, with what stands in the response where it is left out
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def items_of(told: Mapping[str, Any]) -> list[Any]:
    """Return what a request's `input` holds, as items.

    Raises:
        Refused: It is neither a text nor an array.
    """
    given = told.get("input")
    return [{"role": "user", "content": given}] if type(given) is str else Fields(told).array("input")


def continued(told: dict[str, Any], earlier: Sequence[Any]) -> dict[str, Any]:
    """Return a request with all that was said before it in its input."""
    return {**told, "input": [*earlier, *items_of(told)]}


def read(told: Mapping[str, Any]) -> Call:
    """Return what a request asks.

    Raises:
        Refused: It asks for what is wrong, or what is not done here; status 400.
    """
    fields = Fields(told)
    refuse(told, _UNSPOKEN)
    if fields.whole("top_logprobs", 0, 20) or _LOGPROBS in fields.array("include"):
        name = "top_logprobs" if told.get("top_logprobs") else "include"
        bad("log-probabilities are not given here; leave them out", name, "unsupported_parameter")
    tools = tuple(map(_tool, fields.each("tools")))
    for name in _ECHOED:
        if type(told.get(name)) in (dict, list) and is_deep(told[name]):
            bad(f"'{name}' is nested too deep", name)
    fields.flag("store", True)
    text = fields.fields("text") if told.get("text") is not None else Fields({}, "text")
    effort = fields.fields("reasoning").maybe_text("effort") if told.get("reasoning") is not None else None
    thinking = {"reasoning_effort": effort} if effort is not None else {}
    return Call(
        dialect="responses",
        model=fields.text("model"),
        messages=_messages(fields),
        tools=tools,
        tool_choice=chosen(fields, tools, lambda named: named.text("name")),
        parallel_tool_calls=fields.flag("parallel_tool_calls", True),
        max_tokens=fields.whole("max_output_tokens", 1, _MOST_TOKENS),
        response_format=_format(text),
        settings={**settings_of(fields, ("temperature", "top_p")), **settings_of(text, ("verbosity",)), **thinking},
    )


def _tool(tool: Fields) -> dict[str, Any]:
    if (kind := tool.text("type")) != "function":
        path = tool.path("type")
        bad(f"'{path}' is {kind[:40]!r}; only tools of type 'function' are called here", path, "unsupported_value")
    return function(tool)


def _format(text: Fields) -> Mapping[str, Any] | None:
    if text.told.get("format") is None:
        return None
    asked = text.fields("format")
    kind = asked.text("type")
    if kind not in _FORMATS:
        bad(f"'text.format.type' is {kind[:40]!r}, but must be one of {', '.join(_FORMATS)}", "text.format.type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    asked.required("schema")
    schema = {"name": asked.text("name"), "schema": asked.object("schema"), "strict": asked.flag("strict", False)}
    return {"type": kind, "json_schema": schema}


def _messages(fields: Fields) -> tuple[dict[str, Any], ...]:
    messages: list[dict[str, Any]] = []
    if instructions := fields.maybe_text("instructions"):
        messages.append({"role": "system", "content": instructions})
    names: dict[str, str] = {}  # of tools, by the id of the call
    if fields.told.get("input") is None:
        fields.required("input")
    if type(fields.told["input"]) is not list:
        messages.append({"role": "user", "content": fields.text("input")})
        return tuple(messages)
    for index, item in enumerate(fields.array("input")):
        if (plain := plain_message(item)) is not None:
            messages.append(plain)
            continue
        each = Fields(item, "input", fields, index)
        kind = each.maybe_text("type") or "message"
        if kind == "message":
            messages.append(_message(each))
        elif kind == "function_call":
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": ""})
            call = {"id": each.text("call_id"), "name": each.text("name"), "arguments": each.text("arguments")}
            messages[-1].setdefault("tool_calls", []).append(call)
            names[call["id"]] = call["name"]
        elif kind == "function_call_output":
            ident = each.text("call_id")
            output = _text(each, "output")
            messages.append({"role": "tool", "tool_call_id": ident, "name": names.get(ident, ""), "content": output})
        elif kind != "reasoning":
            path = each.path("type")
            bad(f"'{path}' is {kind[:40]!r}, which the policy does not read here", path, "unsupported_value")
    if not messages:
        bad("'input' is empty; give at least one item", "input", "empty_array")
    return tuple(messages)


def _message(item: Fields) -> dict[str, Any]:
    role = item.text("role")
    if role not in _ROLES:
        path = item.path("role")
        bad(f"'{path}' is {role[:40]!r}, but must be one of {', '.join(_ROLES)}", path)
    return {"role": _ROLES[role], "content": _text(item, "content")}


def _text(item: Fields, name: str) -> str:
    """Return a field that is a text or an array of parts."""
    content = item.told.get(name)
    if type(content) is str:
        return content
    if type(content) is not list:
        item.wrong(item.path(name), item.required(name), "a string or an array of parts")
    texts = []
    for part in item.each(name):
        kind = part.text("type")
        if kind not in (*_READABLE, "refusal"):
            path = part.path("type")
            bad(f"'{path}' is {kind[:40]!r}; the policy reads text alone", path, "unsupported_value")
        texts.append(part.text("refusal" if kind == "refusal" else "text"))
    return "".join(texts)


def whole(told: Mapping[str, Any], call: Call, saids: Sequence[Said]) -> dict[str, Any]:
    """Return the response to a request."""
    said, now = saids[0], time.time()
    is_cut = said.finish == "length"
    status = "incomplete" if is_cut else "completed"
    output: list[dict[str, Any]] = []
    if said.reasoning:
        thoughts = [{"type": "reasoning_text", "text": said.reasoning}]
        output.append({"id": new_id("rs_"), "type": "reasoning", "summary": [], "content": thoughts, "status": status})
    if said.content or not said.calls:
        part = {"type": "output_text", "text": said.content, "annotations": [], "logprobs": []}
        message = {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": status, "content": [part]}
        output.append(message)
    for each in said.calls:
        called = {"call_id": each.id, "name": each.name, "arguments": each.arguments}
        output.append({"id": new_id("fc_"), "type": "function_call", "status": status, **called})
    given = {name: default if told.get(name) is None else told[name] for name, default in _ECHOED.items()}
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(now),
        "completed_at": None if is_cut else int(now),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "model": call.model,
        "output": output,
        **given,
        "tools": [
            {"type": "function", **each["function"], "strict": asked.get("strict") is True}
            for each, asked in zip(call.tools, told.get("tools") or (), strict=True)
        ],
        "usage": {
            "input_tokens": said.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.prompt_tokens + said.completion_tokens,
        },
    }


def streamed(told: Mapping[str, Any], response: Mapping[str, Any]) -> bytes:
    """Return the events in which a response comes as a stream, numbered."""
    events = enumerate(response_events(response))
    return b"".join(event({**each, "sequence_number": number}, each["type"]) for number, each in events)


def refused(error: Refused) -> dict[str, Any]:
    """Return what a call is refused with."""
    return chat.refused(error)


def failed(error: Refused) -> bytes:
    """Return what ends a stream whose answer did not come."""
    told = {"code": error.code, "message": str(error), "param": error.param, "sequence_number": 0}
    return event({"type": "error", **told, **refused(error)}, "error")
