"""Calls with wrong arguments, written from whatever an environment says its tools are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentrl.envs.checker.probes.leaks import _NO_NUMBER, _NOWHERE, _wrong


def tool(parameters: Any, name: Any = "look") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def arguments(schema: Any) -> list[Any]:
    """Return the one required argument of each call that is written for its schema."""
    calls = _wrong({"tools": [tool({"properties": {"x": schema}, "required": ["x"]})]})
    return [json.loads(call.split("\n")[1])["arguments"]["x"] for call in calls]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, _NOWHERE),
        ({"type": "integer"}, _NO_NUMBER),
        ({"type": ["null", "string"]}, _NOWHERE),
        ({"type": ["boolean", "number"]}, _NO_NUMBER),
        ({}, _NOWHERE),
        (True, _NOWHERE),  # as JSON schema says: anything
        ("text", _NOWHERE),
        ({"type": "string", "enum": "abc"}, _NOWHERE),
    ],
)
def test_an_argument_is_of_a_type_that_the_schema_allows(schema: Any, value: Any) -> None:
    assert arguments(schema) == [value]


@pytest.mark.parametrize(
    "schema", [{"type": "boolean"}, {"type": ["null", "boolean"]}, {"enum": ["a", "b"]}, {"type": {"a": 1}}]
)
def test_what_cannot_be_wrong_is_not_asked(schema: Any) -> None:
    assert arguments(schema) == []


def test_arguments_that_need_not_be_there_are_left_out() -> None:
    plain = {"type": "string"}
    (call,) = _wrong({"tools": [tool({"properties": {"x": plain, "y": plain}, "required": ["y"]})]})
    assert json.loads(call.split("\n")[1]) == {"name": "look", "arguments": {"y": _NOWHERE}}


@pytest.mark.parametrize(
    "tools",
    [
        None,
        7,
        "look, search",
        {"look": {}},
        ["look", 3, None],
        [{"function": "look"}],
        [tool("x")],
        [tool({"properties": ["x"], "required": 3})],
        [tool({"properties": {"x": {}}, "required": [["x"]]})],
    ],
)
def test_garbage_in_place_of_tools_writes_nothing(tools: Any) -> None:
    assert _wrong({"tools": tools}) == []


def test_sound_tools_beside_garbage_are_called() -> None:
    parameters = {"properties": {"x": {"type": "string"}}, "required": ["x"]}
    assert len(_wrong({"tools": ["look", tool(parameters), tool(parameters, name=3)]})) == 2


@pytest.mark.parametrize("info", [{}, None, "nothing", []])
def test_info_without_tools_writes_nothing(info: Any) -> None:
    assert _wrong(info) == []
