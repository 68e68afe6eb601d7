"""Servers that misbehave: each is text for the model, a failure of the infrastructure or a refusal, never a hang."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tools.mcp import McpTools
from tests.envs.mcp.conftest import call, raw

LIMIT_S = 12.0

# How it misbehaves at its start -> the kind of failure, and what the message says.
STARTS = {
    "silent": ("timeout", "start: no answer within 1 s"),
    "exits": ("died", "it ended with exit code 1; it said: I cannot work here"),
    "rubbish": ("died", "it wrote more than 1000 lines that are no message, such as b'no message'"),
    "old_version": ("died", "1999-01-01"),
    "endless_list": ("protocol", "its list of tools has more than 100 pages"),
    "no_list": ("protocol", "start: its answer is none"),
    "schema_of_a_number": ("protocol", "inputSchema.type"),
    "schema_that_is_a_list": ("protocol", "start: its answer is none"),
    "schema_of_rubbish": ("schema", "type is 5"),
    "schema_too_deep": ("schema", "it goes more than 24 deep"),
    "schema_too_long": ("schema", "it has more than 65536 characters"),
}
# How it misbehaves when its tool is called with 1 -> what the model reads. The call after it works as well.
TEXTS = {
    "plain": "2",
    "chatty": "2",
    "not_utf8": "2",
    "another_id": "2",
    "answers_twice": "2",
    "asks_back": "2",
    "notifications": "2",
    "deep_json": "2",
    "pattern": "2",
    "open_schema": "2",
    "is_error": "Error: 2",
    "refuses": "Error: not with these arguments",
    "changes_tools": "Error: Unknown tool: add",
    "nothing": "(the tool returned nothing)",
    "structured": '{"sum": 3, "name": "é"}',
}
# How it misbehaves then -> the kind of failure, and what the message says.
FAILURES = {
    "dies_in_call": ("died", "it ended with signal 6; it said: cannot go on"),
    "exits_in_call": ("died", "it ended with exit code 0"),
    "silent_in_call": ("timeout", "the call of add: no answer within 1 s"),
    "closes_output": ("timeout", "the call of add: no answer within 1 s"),
    "no_result": ("protocol", "the call of add: its answer is none"),
    "result_is_a_list": ("timeout", "no answer"),
    "odd_blocks": ("protocol", "the call of add: its answer is none"),
    "huge_line": ("died", "more than 8388608"),
    "no_end": ("died", "it wrote a line of more than 8388608 bytes"),
    "flood": ("died", "it wrote more than 1000 lines that are no message"),
}
REFUSED = {
    "thousands": r"offers 3000 tools, more than max_tools=64; name those that are needed, such as only=\['t0'\]",
    "twins": "two tools that would be called 'a_b'",
}
BOXED = {"exits", "rubbish", "plain", "chatty", "notifications", "dies_in_call", "exits_in_call", "huge_line", "flood"}


def cases(ways: dict[str, Any]) -> list[Any]:
    """Return each way beside where its server runs: all of them here, and in a box too where that could matter."""
    boxed = [pytest.param(how, "bwrap", marks=pytest.mark.bwrap) for how in ways if how in BOXED]
    return [*((how, "local") for how in ways), *boxed]


def hostile(how: str, backend: str) -> contextlib.closing[McpTools]:
    return contextlib.closing(raw(how, backend=backend, start_s=1.0 if how == "silent" else 10.0, call_s=1.0))


@pytest.mark.parametrize(("how", "backend"), cases(STARTS))
def test_a_start_that_fails(how: str, backend: str) -> None:
    kind, words = STARTS[how]
    began = time.monotonic()
    with hostile(how, backend) as env:
        with pytest.raises(InfrastructureError) as caught:
            env.reset(seed=0)
        assert (caught.value.kind, caught.value.boundary) == (kind, "mcp")
        assert words in str(caught.value)
    assert time.monotonic() - began < LIMIT_S


@pytest.mark.parametrize(("how", "backend"), cases(TEXTS))
def test_an_answer_that_is_text(how: str, backend: str) -> None:
    with hostile(how, backend) as env:
        env.reset(seed=0)
        for _ in range(2):
            observation, reward, terminated, truncated, info = env.step(call("add", a=1))
            assert observation == TEXTS[how]
            assert (reward, terminated, truncated) == (0.0, False, False)
            assert info["replies"] == [{"role": "tool", "name": "add", "content": TEXTS[how]}]


@pytest.mark.parametrize(("how", "backend"), cases(FAILURES))
def test_an_answer_that_is_a_failure(how: str, backend: str) -> None:
    kind, words = FAILURES[how]
    began = time.monotonic()
    with hostile(how, backend) as env:
        env.reset(seed=0)
        observation, reward, terminated, truncated, info = env.step(call("add", a=1))
        assert (observation, reward, terminated, truncated) == ("The episode was ended: mcp failed.", 0.0, False, True)
        assert (info["failure"]["kind"], info["failure"]["boundary"]) == (kind, "mcp")
        assert words in info["failure"]["message"]
    assert time.monotonic() - began < LIMIT_S


@pytest.mark.parametrize("how", REFUSED)
def test_an_offer_that_is_refused(how: str) -> None:
    with hostile(how, "local") as env, pytest.raises(UsageError, match=REFUSED[how]):
        env.reset(seed=0)


def test_odd_names_become_usable_ones() -> None:
    with hostile("odd_names", "local") as env:
        _, info = env.reset(seed=0)
        assert [each["function"]["name"] for each in info["tools"]] == ["ring", "files_read_v2__", "_1st"]
        assert env.step(call("files_read_v2__", a=1))[0] == "2"


def test_arguments_of_an_open_schema_go_as_they_are() -> None:
    with hostile("open_schema", "local") as env:
        env.reset(seed=0)
        assert env.step(call("add", a=41, self=1, call=2, name=3, anything=[None]))[0] == "42"
