"""The endpoint's OpenAPI document: the routes that it serves, what they read, and what they answer.

It describes this endpoint, not the vendors': what is refused here is not in it. Fields that are read and left aside
(`user`, `metadata`, …) fall under the additional properties that every object may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["document"]

Schema = dict[str, Any]

_TEXT, _FLAG, _WHOLE = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_ANY: Schema = {"type": "object"}
_EVENT: Schema = {  # each event of a stream; HTML standard, section 9.2
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_MODEL: Schema = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_ERRORS = {
    400: "the request is wrong, or asks for what is not done here",
    401: "the key belongs to no episode that runs",
    404: "there is no such model",
    409: "the episode is over",
    413: "the body is too long",
    415: "the body is encoded",
    429: "too many calls",
    500: "a part below the environment failed",
    502: "the real endpoint of this model failed",
    503: "the endpoint is closing",
}


def document() -> dict[str, Any]:
    """Return the document; https://spec.openapis.org/oas/v3.1.0."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "The model of an agent program", "version": "1"},
        "paths": {
            "/v1/chat/completions": _call("chat", _ref("ChatRequest"), _ref("Chat"), "OpenAIError"),
            "/v1/responses": _call("responses", _ref("ResponsesRequest"), _ref("Response"), "OpenAIError"),
            "/v1/messages": _call("messages", _ref("MessagesRequest"), _ref("Message"), "AnthropicError"),
            "/v1/models": {"get": _read("the models", _ref("Models"), (401,))},
            "/v1/models/{model}": {
                "get": {**_read("a model", _ref("Model"), (401, 404)), "parameters": [_MODEL]},
            },
            "/health": {"get": {**_read("that it is there", _record(status=_TEXT), ()), "security": []}},
            "/openapi.json": {"get": {**_read("this document", _ANY, ()), "security": []}},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _call(name: str, asked: Schema, told: Schema, error: str) -> Schema:
    content = {"application/json": {"schema": told}, "text/event-stream": {"schema": _EVENT}}
    responses = {
        "200": {"description": "the answer, or a stream of it", "content": content},
        **_failures(error, _ERRORS),
    }
    body = {"required": True, "content": {"application/json": {"schema": asked}}}
    return {"post": {"operationId": name, "requestBody": body, "responses": responses}}


def _read(what: str, told: Schema, errors: tuple[int, ...]) -> Schema:
    responses = {"200": {"description": what, "content": {"application/json": {"schema": told}}}}
    return {"responses": {**responses, **_failures("OpenAIError", {each: _ERRORS[each] for each in errors})}}


def _failures(error: str, statuses: Mapping[int, str]) -> Schema:
    content = {"application/json": {"schema": _ref(error)}}
    return {str(status): {"description": what, "content": content} for status, what in statuses.items()}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _record(*optional: str, **fields: Schema) -> Schema:
    """Return the schema of an object; fields are required unless they are named before."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
    }


def _list(of: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": of, **bounds}


def _one(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _between(low: float, high: float, kind: str = "number") -> Schema:
    return {"type": kind, "minimum": low, "maximum": high}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _schemas() -> dict[str, Schema]:
    name = {"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,64}$"}
    most = _between(1, 1 << 31, "integer")
    text = _either(_TEXT, _list(_record(type=_one("text"), text=_TEXT)))
    parts = _list(_record(type=_one("input_text", "output_text", "text"), text=_TEXT))
    function = _record("description", "parameters", name=name, description=_TEXT, parameters=_ANY)
    called = _record(id=_TEXT, type=_one("function"), function=_record(name=_TEXT, arguments=_TEXT))
    stream = {"stream": _FLAG}
    sampling = {"temperature": _between(0, 2), "top_p": _between(0, 1)}
    blocks = _list(_ref("Block"), minItems=1)
    choice = {"type": _one("auto", "any", "none"), "disable_parallel_tool_use": _FLAG}
    reason = _one("stop", "length", "tool_calls")
    usage = _record(input_tokens=_WHOLE, output_tokens=_WHOLE)
    chat = {
        "model": _TEXT,
        "messages": _list(_ref("ChatMessage"), minItems=1),
        "tools": _list(_record(type=_one("function"), function=function)),
        "tool_choice": _one("auto", "none", "required"),
        "parallel_tool_calls": _FLAG,
        "n": _between(1, 8, "integer"),
        "stop": _either(_TEXT, _list(_TEXT, maxItems=4)),
        "max_completion_tokens": most,
        "response_format": _record(type=_one("text", "json_object")),
        **stream,
        **sampling,
    }
    responses = {
        "model": _TEXT,
        "input": _either(_TEXT, _list(_ref("Item"), minItems=1)),
        "instructions": _TEXT,
        "previous_response_id": _TEXT,
        "tools": _list(_record("description", "parameters", type=_one("function"), **function["properties"])),
        "tool_choice": _one("auto", "none", "required"),
        "parallel_tool_calls": _FLAG,
        "max_output_tokens": most,
        "store": _FLAG,
        **stream,
        **sampling,
    }
    messages = {
        "model": _TEXT,
        "messages": _list(_ref("AnthropicMessage"), minItems=1),
        "max_tokens": most,
        "system": text,
        "tools": _list(_record("description", name=name, description=_TEXT, input_schema=_ANY)),
        "tool_choice": _record("disable_parallel_tool_use", **choice),
        "stop_sequences": _list(_TEXT, maxItems=16),
        "temperature": _between(0, 1),
        "thinking": _record(type=_one("enabled", "disabled", "adaptive")),
        **stream,
    }
    return {
        "ChatRequest": {**_record(**chat), "required": ["model", "messages"]},
        "ChatMessage": _either(
            _record(role=_one("system", "developer", "user"), content=text),
            _record("content", "tool_calls", role=_one("assistant"), content=_or_null(text), tool_calls=_list(called)),
            _record(role=_one("tool"), tool_call_id=_TEXT, content=text),
        ),
        "Chat": _record(
            id=_TEXT,
            object=_one("chat.completion"),
            created=_WHOLE,
            model=_TEXT,
            choices=_list(_record(index=_WHOLE, message=_ANY, finish_reason=reason), minItems=1),
            usage=_record(prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE),
        ),
        "ResponsesRequest": {**_record(**responses), "required": ["model", "input"]},
        "Item": _either(
            _record(role=_one("system", "developer", "user", "assistant"), content=_either(_TEXT, parts)),
            _record(type=_one("function_call"), call_id=_TEXT, name=_TEXT, arguments=_TEXT),
            _record(type=_one("function_call_output"), call_id=_TEXT, output=_either(_TEXT, parts)),
        ),
        "Response": _record(
            id=_TEXT,
            object=_one("response"),
            created_at=_WHOLE,
            status=_one("completed", "incomplete"),
            model=_TEXT,
            output=_list(_record(id=_TEXT, type=_one("message", "function_call", "reasoning"))),
            usage=usage,
        ),
        "MessagesRequest": {**_record(**messages), "required": ["model", "messages", "max_tokens"]},
        "AnthropicMessage": _record(role=_one("user", "assistant"), content=_either(_TEXT, blocks)),
        "Block": _either(
            _record(type=_one("text"), text=_TEXT),
            _record(type=_one("tool_use"), id=_TEXT, name=_TEXT, input=_ANY),
            _record("content", "is_error", type=_one("tool_result"), tool_use_id=_TEXT, content=text, is_error=_FLAG),
        ),
        "Message": _record(
            id=_TEXT,
            type=_one("message"),
            role=_one("assistant"),
            model=_TEXT,
            content=_list(_record(type=_one("text", "tool_use", "thinking"))),
            stop_reason=_one("end_turn", "max_tokens", "stop_sequence", "tool_use"),
            stop_sequence=_or_null(_TEXT),
            usage=usage,
        ),
        "Models": _record(object=_one("list"), data=_list(_ref("Model"))),
        "Model": _record(id=_TEXT, object=_one("model"), created=_WHOLE, owned_by=_TEXT),
        "OpenAIError": _record(error=_record(message=_TEXT, type=_TEXT, param=_or_null(_TEXT), code=_TEXT)),
        "AnthropicError": _record(type=_one("error"), error=_record(type=_TEXT, message=_TEXT)),
    }
