"""Parsers of tool calls under texts made to break them: nothing raises, nothing takes long."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.spaces import Unicode
from agentrl.envs.tools import FORMATS, Malformed, ToolCall, parse

NAMES = ("search", "open", "get_weather")

# Deadlines in wall time fail on a busy machine.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
any_text = st.text(st.characters(codec=None, exclude_categories=()))

FRAGMENTS = [
    *[
        "<tool_call>",
        "</tool_call>",
        '{"name":"search"',
        '"arguments":{',
        "}",
        "{",
        "[",
        "]",
        ";",
        ",",
        '"',
        "\\",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "[ARGS]",
    ],
    *[
        "search",
        "[search(",
        "query=",
        ")",
        "<function=search>",
        "</function>",
        "<parameter=query>",
        "</parameter>",
        "1e999",
        "-",
        "NaN",
        "1_0",
        "0x",
    ],
    *("\n", '"""', "'", "'''", "r'", " ", "\0", "\ud800", "null", "open", "=", ":"),
]


def check(text: str) -> None:
    for formats in (None, *((name,) for name in FORMATS)):
        for each in parse(text, NAMES, formats=formats):
            assert isinstance(each, ToolCall | Malformed)
            if isinstance(each, ToolCall):
                assert each.name in NAMES
                assert all(isinstance(key, str) for key in each.arguments)
            assert each.raw in text


@relaxed
@given(text=any_text)
def test_no_text_makes_a_parser_raise(text: str) -> None:
    check(text)


@settings(relaxed, max_examples=600)
@given(pieces=st.lists(st.sampled_from(FRAGMENTS) | any_text, max_size=30))
def test_no_heap_of_fragments_makes_a_parser_raise(pieces: list[str]) -> None:
    check("".join(pieces))


def test_no_sampled_action_makes_a_parser_raise() -> None:
    space = Unicode(seed=11)
    for _ in range(1500):
        check(space.sample())


MEGABYTE = 1_000_000
HOSTILE = [
    "[" * MEGABYTE,
    "{" * 100_000,
    "(" * MEGABYTE,
    " " * MEGABYTE,
    "\n" * MEGABYTE,
    "x" * MEGABYTE,
    '"' * MEGABYTE,
    "\\" * MEGABYTE,
    "<" * MEGABYTE,
    "<tool_call>" * 10_000,
    "<tool_call>{" * 50_000,
    "<tool_call><function=" * 40_000,
    "<tool_call><function=search>" * 30_000,
    "<tool_call>" + " " * MEGABYTE,
    "<tool_call>\n" * 80_000 + "{",
    "</tool_call>" * 50_000,
    '<tool_call>{"name": "' * 50_000,
    '<tool_call>{"name": "search", "arguments": ' + '{"a": ' * 100_000,
    '<tool_call>{"name": "search", "arguments": {"a": "' + "x" * MEGABYTE + '"}}</tool_call>',
    '<tool_call>{"name": "' + "x" * MEGABYTE + '", "arguments": {}}</tool_call>',
    '{"name": "search", "parameters": {"a": [' + "1," * 300_000,
    '{"name"\n' * 100_000,
    '{"name":\n' * 100_000,
    '{"name": {},\n' * 80_000,
    '{"name": "x"}\n' * 70_000,
    '{"name": "x", "arguments": {"a":\n' * 30_000,
    '{"name": "search", "parameters": {}};' * 30_000,
    "<|python_tag|>" * 70_000,
    "<|python_tag|>{" * 60_000,
    "[TOOL_CALLS]" * 80_000,
    "[TOOL_CALLS]search[ARGS]" * 40_000,
    "[TOOL_CALLS]" + "search" * 150_000,
    "<function=search>" * 60_000,
    "<function=search>" + "<parameter=a>" * 70_000,
    "<function=search>" + "<parameter=a></parameter>" * 40_000,
    "<function=search>" + " " * MEGABYTE,
    "[search(" * 120_000,
    "[search(a=" + "[" * MEGABYTE,
    "[search(a=" + "-" * MEGABYTE + "1)]",
    "[search(a=" + "not " * 250_000 + "1)]",
    "[search(a=" + "1+" * 40_000 + "1)]",
    "[search" + "()" * 40_000 + "]",
    "[search(a=b" + ".c" * 40_000 + ")]",
    "[search(a=x" + "[0]" * 30_000 + ")]",
    "[search(a=" + "'a' " * 24_000 + ")]",
    "[search(a=[" + "1," * 49_000 + "])]",
    "[search(a=" + "{'a':" * 20_000 + "1" + "}" * 20_000 + ")]",
    "[search(a=" + "lambda:" * 10_000 + "1)]",
    '[search(a="' + '\\"' * 400_000,
    '[search(a="\\\n' * 70_000,
    "[search(a='\"\n" * 70_000,
    "[search(a='''\n[search(a=\"\"\"\n" * 30_000,
    "[\n" * 400_000,
    "[" + "\n" * MEGABYTE,
    "\n ".join(["[search(a=1)] x"] * 60_000),
    "\ud800" * MEGABYTE,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:24]!r}x{len(text)}")
def test_hostile_texts_take_bounded_time(text: str) -> None:
    start = time.process_time()
    check(text)  # six passes
    assert time.process_time() - start < 3.0


def test_an_ordinary_call_is_parsed_fast() -> None:
    text = (
        'I will search.\n<tool_call>\n{"name": "search", "arguments": {"query": "Who wrote it?", "k": 3}}\n</tool_call>'
    )
    times = []
    for _ in range(20):
        start = time.process_time()
        for _ in range(100):
            parse(text, NAMES)
        times.append((time.process_time() - start) / 100)
    assert min(times) < 40e-6  # about 10 microseconds on an idle core
