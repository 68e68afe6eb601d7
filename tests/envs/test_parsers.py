"""Parsers of tool calls: what real models emit, what they get wrong, and round trips of generated calls."""

import json
import keyword
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentrl.envs.tools import FORMATS, PARSERS, Malformed, ToolCall, parse
from agentrl.envs.tools.parsers import MAX_CALLS

# Deadlines in wall time fail on a busy machine.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ("search", "open", "get_weather")


def calls(text: str, **kwargs: Any) -> list[tuple[str, dict[str, object]]]:
    """Parse a text in which every call must be well formed."""
    found = parse(text, NAMES, **kwargs)
    assert all(isinstance(each, ToolCall) for each in found), found
    return [(each.name, each.arguments) for each in found if isinstance(each, ToolCall)]


def reason(text: str, **kwargs: Any) -> str:
    """Parse a text in which one malformed call must be found."""
    found = parse(text, NAMES, **kwargs)
    assert len(found) == 1
    assert isinstance(found[0], Malformed), found
    return found[0].reason


Calls = list[tuple[str, dict[str, object]]]
ONE: Calls = [("search", {"query": "Ada Lovelace"})]
TWO: Calls = [("search", {"query": "a"}), ("open", {"doc_id": "d1", "page": 2})]

# Turns in the layouts of Qwen 2.5 and 3, Hermes 2 Pro, Llama 3.1, 3.2 and 4, Mistral 7B v0.3 and Small 3, Qwen 3 Coder,
# Gemma 3.
SAMPLES: list[tuple[str, Calls]] = [
    ('<tool_call>\n{"name": "search", "arguments": {"query": "Ada Lovelace"}}\n</tool_call>', ONE),
    (
        "I need two facts.\n\n<tool_call>\n"
        '{"name": "search", "arguments": {"query": "a"}}\n</tool_call>\n<tool_call>\n'
        '{"name": "open", "arguments": {"doc_id": "d1", "page": 2}}\n</tool_call>',
        TWO,
    ),
    ('<tool_call>\n{"arguments": {"query": "Ada Lovelace"}, "name": "search"}\n</tool_call>\n', ONE),
    ('<tool_call>{"name": "search", "arguments": "{\\"query\\": \\"Ada Lovelace\\"}"}</tool_call>', ONE),
    ('<tool_call>{"name": "search", "parameters": {"query": "Ada Lovelace"}}</tool_call>', ONE),
    (
        '<tool_call>\n{"name": "search", "arguments": {"query": "a"}}\n'
        '{"name": "open", "arguments": {"doc_id": "d1", "page": 2}}\n</tool_call>',
        TWO,
    ),
    ('<tool_call>{"name": "open"}</tool_call>', [("open", {})]),
    ('<tool_call>{"name": "open", "arguments": null}</tool_call>', [("open", {})]),
    ('{"name": "search", "parameters": {"query": "Ada Lovelace"}}', ONE),
    ('  \n{"name": "search", "parameters": {"query": "Ada Lovelace"}}<|eom_id|>', ONE),
    ('<|python_tag|>{"name": "search", "parameters": {"query": "Ada Lovelace"}}', ONE),
    ('<|python_tag|>{"type": "function", "name": "search", "parameters": {"query": "Ada Lovelace"}}', ONE),
    ('{"type": "function", "function": "search", "parameters": {"query": "Ada Lovelace"}}', ONE),
    ('{"type": "function", "function": {"name": "search", "parameters": {"query": "Ada Lovelace"}}}', ONE),
    (
        '<|python_tag|>{"name": "search", "parameters": {"query": "a"}}; '
        '{"name": "open", "parameters": {"doc_id": "d1", "page": 2}}',
        TWO,
    ),
    (
        '{"name": "search", "parameters": {"query": "a"}}\n{"name": "open", "parameters": {"doc_id": "d1", "page": 2}}',
        TWO,
    ),
    (
        '[{"name": "search", "parameters": {"query": "a"}}, '
        '{"name": "open", "parameters": {"doc_id": "d1", "page": 2}}]',
        TWO,
    ),
    ('I will look it up.\n\n{"name": "search", "parameters": {"query": "Ada Lovelace"}}\n', ONE),
    ('```json\n{"name": "search", "arguments": {"query": "Ada Lovelace"}}\n```', ONE),
    ('[TOOL_CALLS][{"name": "search", "arguments": {"query": "Ada Lovelace"}}]', ONE),
    (
        '[TOOL_CALLS] [{"name": "search", "arguments": {"query": "a"}, "id": "X3bPq9"}, '
        '{"name": "open", "arguments": {"doc_id": "d1", "page": 2}}]</s>',
        TWO,
    ),
    ('[TOOL_CALLS]search[ARGS]{"query": "Ada Lovelace"}', ONE),
    ('[TOOL_CALLS]search[CALL_ID]a1b2c3d4e[ARGS]{"query": "Ada Lovelace"}', ONE),
    ('[TOOL_CALLS]search{"query": "Ada Lovelace"}', ONE),
    ('Sure.[TOOL_CALLS]search[ARGS]{"query": "a"}[TOOL_CALLS]open[ARGS]{"doc_id": "d1", "page": 2}', TWO),
    (
        "<tool_call>\n<function=search>\n<parameter=query>\nAda Lovelace\n</parameter>\n</function>\n</tool_call>",
        ONE,
    ),
    ("<tool_call><function=search><parameter=query>Ada Lovelace</parameter></function></tool_call>", ONE),
    ("<function=search>\n<parameter=query>\nAda Lovelace\n</parameter>\n</function>", ONE),
    (
        "<tool_call>\n<function=search>\n<parameter=query>\na\n</parameter>\n</function>\n"
        "<function=get_weather>\n</function>\n</tool_call>",
        [("search", {"query": "a"}), ("get_weather", {})],
    ),
    ('[search(query="Ada Lovelace")]', ONE),
    ("[search(query='a'), open(doc_id='d1', page=2)]", TWO),
    ('<|python_tag|>[search(query="a"), open(doc_id="d1", page=2)]<|eot_id|>', TWO),
    ('```tool_code\n[search(query="Ada Lovelace")]\n```', ONE),
    (
        '[open(doc_id="d", opts={"deep": [1, -2.5, True, None, true, null], "t": (1, 2)})]',
        [("open", {"doc_id": "d", "opts": {"deep": [1, -2.5, True, None, True, None], "t": [1, 2]}})],
    ),
]


@pytest.mark.parametrize(("text", "expected"), SAMPLES)
def test_turns_of_real_models(text: str, expected: Calls) -> None:
    assert calls(text) == expected


PROSE = [
    "",
    "   \n",
    "The answer is 42.",
    "<answer>42</answer>",
    'The set {"name": "Ada"} has one entry.',
    '{"name": "Ada", "age": 36}',
    '{"answer": 42}',
    "{not json at all",
    "[1] Wikipedia, [2] Britannica",
    "[see (above)] it holds",
    "[f(x) for x in range(3)] is a list of values",
    "def search(query):\n    return [open(x) for x in query]",
    "Call it as search(query='x') and wait.",
    'To search, I could write {"name": "search", "parameters": {"query": "x"}} next time.',
    "f(x) = {x | x > 0}; g[x] = [x]",
    "{{{{ }}}} [[[[ ]]]] <tool call> <|python|>",
    "[]",
    "{}",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_call(text: str) -> None:
    assert parse(text, NAMES) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<tool_call>{"name": "serch", "arguments": {}}</tool_call>', "no tool 'serch'. Did you mean search?"),
        ('<tool_call>{"name": "functions.open", "arguments": {}}</tool_call>', "Did you mean open?"),
        ('<tool_call>{"name": "zzz", "arguments": {}}</tool_call>', "The tools are: get_weather, open, search."),
        ('<tool_call>{"name": 3, "arguments": {}}</tool_call>', "name must be a string, got a number"),
        ('<tool_call>{"arguments": {}}</tool_call>', 'The call has no "name". Expected <tool_call>{"name": "search"'),
        ('<tool_call>{"name": "search", "query": "x"}</tool_call>', "has 'query' but no \"arguments\" object"),
        ('<tool_call>{"name": "search", "arguments": ["x"]}</tool_call>', "must be a JSON object with one entry"),
        ('<tool_call>{"name": "search", "arguments": "x"}</tool_call>', "arguments of search are not JSON"),
        ('<tool_call>"search"</tool_call>', "A call must be a JSON object, got a string"),
        ("<tool_call>search('x')</tool_call>", "not JSON: expecting value, but found \"search('x')</tool_ca\"…"),
        ('<tool_call>{"name": "search", "arguments": {"query": "x"}</tool_call>', "not JSON: expecting ',' delimiter"),
        ("<tool_call>{'name': 'search'}</tool_call>", "enclosed in double quotes"),
        ('<tool_call>{"name": "search", "arguments": {"query": "x"}}', "</tool_call> is missing"),
        (
            '<tool_call>{"name": "search", "arguments": {"query": "x"}}}</tool_call>',
            "After the JSON object </tool_call>",
        ),
        ('<tool_call>{"name": "search", "arguments": {"k": NaN}}</tool_call>', "NaN is not a JSON value"),
        ('<tool_call>{"name": "search", "arguments": {"k": ' + "[" * 10**5 + "</tool_call>", "nested too deeply"),
        ('<tool_call>{"name": "search", "arguments": {"k": ' + "9" * 10**5 + "}}</tool_call>", "is not JSON"),
        ("<tool_call>", "not JSON: expecting value, but the text ended"),
        ("I would use <tool_call> here.", "not JSON"),
        ('{"name": "search", "parameters": {"query": ', "The tool call is not JSON: expecting value"),
        ('{"name": "lookup", "parameters": {}}', "There is no tool 'lookup'"),
        ("<|python_tag|>import os", "The tool call is not JSON"),
        ("[TOOL_CALLS]", "not a call: expecting value, but the text ended"),
        ("[TOOL_CALLS]search", "not a call"),
        ("[TOOL_CALLS][]", "The list of tool calls is empty"),
        ('[TOOL_CALLS]seach[ARGS]{"query": "x"}', "Did you mean search?"),
        ('[TOOL_CALLS]search[ARGS]["x"]', "not a call"),
        ("<tool_call><function=serch></function></tool_call>", "Did you mean search?"),
        ("<tool_call><function=search><parameter=query>x</function></tool_call>", "</parameter> is missing"),
        ("<tool_call><function=search>query: x</function></tool_call>", "a <parameter=…> or </function> was expected"),
        ("<tool_call><function=search></function>", "</tool_call> is missing"),
        ("<tool_call><function=search", "A tool call seems to start at '<tool_call><function=search'"),
        ("[serch(query='x')]", "Did you mean search?"),
        ("[search('x')]", "The arguments of 'search' must be given by name. Expected [search(key=value)]."),
        ("[search(query=x)]", "'x' is a name; a string needs quotes"),
        ("[search(query=os.getcwd())]", "Call cannot stand there"),
        ("[search(query='x'", "the closing ] is missing"),
        ("[search(query='x)]", 'the string is not closed at "'),
        ("[search(query='x'))]", "a ) closes nothing"),
        ("[search(query=1+1)]", "a comma or bracket was expected before '+1)]'"),
        ("[search(query=1 if 1 else 2)]", "a comma or bracket was expected before 'if"),
        ("[search(query=f'{1}')]", "a comma or bracket was expected before"),
        ("[search(query={1: 2})]", "keys of a dictionary must be strings"),
        ("[search(query={1})]", "Set cannot stand there"),
        ("[search(class=1)]", "invalid syntax"),
        ("[search(query=" + "9" * 10**4 + ")]", "Exceeds the limit"),
        ("[search(query=" + "[" * 100 + "]" * 100 + ")]", "nested deeper than 40 brackets"),
        ("[search(query='" + "x" * 200_000 + "')]", "longer than 100000 characters"),
    ],
)
def test_a_malformed_call_says_what_was_wrong_and_what_was_expected(text: str, words: str) -> None:
    got = reason(text)
    assert words in got
    assert "Expected" in got or "The tools are" in got
    assert len(got) < 500


def test_good_and_bad_calls_in_one_turn_keep_their_order() -> None:
    text = (
        '<tool_call>{"name": "search", "arguments": {}}</tool_call> <tool_call>{oops</tool_call> '
        "<tool_call><function=open></function></tool_call> [TOOL_CALLS]get_weather[ARGS]{}"
    )
    found = parse(text, NAMES)
    kinds = [each.name if isinstance(each, ToolCall) else None for each in found]
    assert kinds == ["search", None, "open", "get_weather"]
    assert found[1].raw == "<tool_call>{oops</tool_call>"
    assert found[3].raw == "[TOOL_CALLS]get_weather[ARGS]{}"


def test_a_tag_inside_an_argument_stays_an_argument() -> None:
    inner = '<tool_call>{"name": "open", "arguments": {}}</tool_call>'
    assert calls(f"[TOOL_CALLS]search[ARGS]{json.dumps({'query': inner})}") == [("search", {"query": inner})]
    assert calls(f"[search(query={inner!r})]") == [("search", {"query": inner})]
    assert calls(f"<tool_call>{json.dumps({'name': 'search', 'arguments': {'query': inner}})}</tool_call>") == [
        ("search", {"query": inner})
    ]
    xml = f"<tool_call><function=search><parameter=query>{inner}</parameter></function></tool_call>"
    assert calls(xml) == [("search", {"query": inner})]


def test_formats_that_are_not_looked_for() -> None:
    text = "<tool_call><function=search><parameter=query>x</parameter></function></tool_call>"
    assert calls(text, formats=("qwen-xml",)) == [("search", {"query": "x"})]
    assert 'Expected <tool_call>{"name": "tool", "arguments": {…}}</tool_call>.' in reason(text, formats=("hermes",))
    assert parse("[search(query='x')]", NAMES, formats=("hermes",)) == []
    with pytest.raises(ValueError, match="unknown tool-call format 'xml'; the formats are: hermes, llama3"):
        parse(text, NAMES, formats=("xml",))
    assert tuple(PARSERS) == FORMATS


def test_without_tools_every_call_is_malformed() -> None:
    found = parse('<tool_call>{"name": "search", "arguments": {}}</tool_call>', ())
    assert isinstance(found[0], Malformed)
    assert "no tools can be called here" in found[0].reason


def test_calls_past_the_limit_are_refused_together() -> None:
    text = '<tool_call>{"name": "open", "arguments": {}}</tool_call>' * 1000
    found = parse(text, NAMES)
    assert len(found) == MAX_CALLS + 1
    assert isinstance(found[-1], Malformed)
    assert f"more than {MAX_CALLS} tool calls" in found[-1].reason
    assert all(isinstance(each, ToolCall) for each in found[:-1])


# -- round trips -------------------------------------------------------------------------------------------------------

any_text = st.text(st.characters(codec=None, exclude_categories=()))
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)
keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda key: not keyword.iskeyword(key))
turns = st.lists(st.tuples(st.sampled_from(NAMES), st.dictionaries(keys, values, max_size=4)), min_size=1, max_size=4)


def _hermes(turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> str:
    bodies = [json.dumps({"name": name, "arguments": each}, ensure_ascii=ascii_only) for name, each in turn]
    return "Let me see.\n" + "\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in bodies)


def _llama3(turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> str:
    return "; ".join(json.dumps({"name": name, "parameters": each}, ensure_ascii=ascii_only) for name, each in turn)


def _mistral(turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> str:
    bodies = [{"name": name, "arguments": each} for name, each in turn]
    return f"[TOOL_CALLS]{json.dumps(bodies, ensure_ascii=ascii_only)}"


def _mistral_args(turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> str:
    return "".join(f"[TOOL_CALLS]{name}[ARGS]{json.dumps(each, ensure_ascii=ascii_only)}" for name, each in turn)


def _pythonic(turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> str:
    write: Callable[[object], str] = ascii if ascii_only else repr
    parts = (f"{name}({', '.join(f'{key}={write(value)}' for key, value in each.items())})" for name, each in turn)
    return f"[{', '.join(parts)}]"


@pytest.mark.parametrize("write", [_hermes, _llama3, _mistral, _mistral_args, _pythonic])
@relaxed
@given(turn=turns, ascii_only=st.booleans())
def test_round_trip(write: Callable[..., str], turn: list[tuple[str, dict[str, Any]]], ascii_only: bool) -> None:
    assert calls(write(turn, ascii_only)) == turn


@relaxed
@given(
    turn=st.lists(
        st.tuples(st.sampled_from(NAMES), st.dictionaries(keys, any_text, max_size=4)), min_size=1, max_size=4
    ).filter(lambda turn: "</parameter>" not in str(turn))
)
def test_round_trip_of_qwen_xml(turn: list[tuple[str, dict[str, Any]]]) -> None:
    text = ""
    for name, arguments in turn:
        body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
        text += f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>\n"
    assert calls(text) == turn


@relaxed
@given(text=any_text, quote=st.sampled_from(['"', "'", '"""', "'''"]))
@example(text="\\d\\w\\\r\\\0\\\ud800", quote='"')
@example(text="a\nb\\", quote="'")
def test_a_pythonic_string_written_badly_keeps_its_text(text: str, quote: str) -> None:
    """A raw line break, an unknown escape, NUL and surrogates are kept; only quotes and backslashes need an escape."""
    body = text.replace("\\", "\\\\").replace(quote[0], f"\\{quote[0]}")
    assert calls(f"[search(query={quote}{body}{quote})]") == [("search", {"query": text})]


def test_unknown_escapes_mean_what_they_mean_in_python() -> None:
    assert calls(r'[search(query="\d+\.\w \101 \u00e9 \x41", raw=r"\d\n")]') == [
        ("search", {"query": "\\d+\\.\\w A é A", "raw": "\\d\\n"})
    ]
