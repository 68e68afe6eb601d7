"""Tools: schemas from typed functions, and arguments validated, coerced or refused with words that help a model."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.tools import ArgumentError, Tool

# Deadlines in wall time fail on a busy machine.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def search(query: str, k: int = 5) -> str:
    """Find documents that match a query.

    Returns one line for each.

    Args:
        query: What to look for,
            in a few words.
        k: How many documents to return.

    Returns:
        The lines.

    Raises:
        OSError: Never.
    """
    return f"{query}|{k!r}"


class House:
    def open(self, doc_id: str, page: int | None = None, mode: Literal["read", "Scan"] = "read") -> str:
        """Open a document."""
        return f"{doc_id}|{page!r}|{mode}"


def everything(
    flag: bool,
    ratio: float,
    names: list[str],
    scores: dict[str, int],
    level: Literal[1, 2, 3],
    either: int | str,
    free: Any,
    pairs: list[list[int]],
    note: Annotated[str | None, "said once"] = None,
) -> str:
    """Take everything."""
    return json.dumps([flag, ratio, names, scores, level, either, free, pairs, note])


def test_schema_is_the_openai_function_format() -> None:
    assert Tool.of(search).schema == {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Find documents that match a query.\n\nReturns one line for each.",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "What to look for, in a few words."},
                    "k": {"type": "integer", "description": "How many documents to return.", "default": 5},
                },
                "required": ["query"],
            },
        },
    }


def test_schema_of_every_type() -> None:
    properties = Tool.of(everything).parameters["properties"]
    assert properties == {
        "flag": {"type": "boolean"},
        "ratio": {"type": "number"},
        "names": {"type": "array", "items": {"type": "string"}},
        "scores": {"type": "object", "additionalProperties": {"type": "integer"}},
        "level": {"type": "integer", "enum": [1, 2, 3]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "free": {},
        "pairs": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "note": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "said once",
            "default": None,
        },
    }


def test_schema_is_plain_data_and_a_fresh_copy() -> None:
    tool = Tool.of(search)
    json.dumps(tool.schema)
    tool.schema["function"]["parameters"]["properties"].clear()
    assert "query" in tool.parameters["properties"]


def test_bound_methods_and_other_names() -> None:
    tool = Tool.of(House().open, name="open_document")
    assert tool.name == "open_document"
    assert list(tool.parameters["properties"]) == ["doc_id", "page", "mode"]
    assert tool({"doc_id": "d1", "mode": "scan"}) == "d1|None|Scan"
    assert tool.signature == 'open_document(doc_id: string, page: integer|null = null, mode: "read"|"Scan" = "read")'


def test_sequence_and_mapping_are_list_and_object() -> None:
    def lookup(keys: Sequence[str], table: Mapping[str, int]) -> str:
        """Look up."""
        return str([table[key] for key in keys])

    assert Tool.of(lookup)({"keys": '["a"]', "table": '{"a": "3"}'}) == "[3]"


def undocumented(x: int) -> str:
    return str(x)


def untyped(x, y: int) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Do it."""
    return ""


def variadic(*xs: int) -> str:
    """Do it."""
    return ""


def exotic(x: complex) -> str:
    """Do it."""
    return ""


def wrong_docstring(x: int) -> str:
    """Do it.

    Args:
        y: Not a parameter.
    """
    return ""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (undocumented, "no docstring"),
        (untyped, "x has no type; annotate it, as in x: str"),
        (variadic, "cannot be called by name"),
        (exotic, "has no JSON schema; use str"),
        (wrong_docstring, "'y', which is no parameter"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Tool.of(function)


@pytest.mark.parametrize("name", ["", "9lives", "two words", "a" * 65, "naïve", "x\n"])
def test_names_that_models_cannot_call_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="tool name"):
        Tool.of(search, name=name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"query": "x"}, {"query": "x"}),
        ({"query": "x", "k": 3}, {"query": "x", "k": 3}),
        ({"query": "x", "k": "3"}, {"query": "x", "k": 3}),
        ({"query": "x", "k": " -3 "}, {"query": "x", "k": -3}),
        ({"query": "x", "k": 3.0}, {"query": "x", "k": 3}),
        ({"query": "x", "k": "3.0"}, {"query": "x", "k": 3}),
        ({"query": "x", "k": None}, {"query": "x"}),
        ({"query": 1999}, {"query": "1999"}),
        ({"query": 2.5}, {"query": "2.5"}),
        ({"query": True}, {"query": "true"}),
        ({"query": "\ud800\0"}, {"query": "\ud800\0"}),
    ],
)
def test_bind_coerces_what_was_meant(arguments: dict[str, object], expected: dict[str, object]) -> None:
    bound = Tool.of(search).bind(arguments)
    assert bound == expected
    assert [type(value) for value in bound.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "the argument query is missing"),
        ({"qeury": "x"}, 'no argument "qeury", did you mean query?; the argument query is missing'),
        ({"query": "x", "k": "many"}, 'k must be an integer, got "many"'),
        ({"query": "x", "k": 2.5}, "k must be an integer, got 2.5"),
        ({"query": "x", "k": True}, "k must be an integer, got true"),
        ({"query": "x", "k": [1]}, "k must be an integer, got [1]"),
        ({"query": "x", "k": "1" * 5000}, "k must be an integer"),
        ({"query": "x", "k": math.inf}, "k must be an integer, got Infinity"),
        ({"query": None}, "query must be a string, got null"),
        ({"query": {"text": "x"}}, 'query must be a string, got {"text": "x"}'),
        ({"query": 10**5000}, "query must be a string, got a int too large to show"),
        ({"query": "x", "y" * 100_000: 1}, "there is no argument"),
    ],
)
def test_bind_refuses_with_words_for_the_model(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Tool.of(search).bind(arguments)
    message = str(caught.value)
    assert words in message
    assert message.endswith("Expected search(query: string, k: integer = 5).")
    assert len(message) < 400


GOOD: dict[str, object] = {
    "flag": True,
    "ratio": 0.5,
    "names": ["a"],
    "scores": {"a": 1},
    "level": 2,
    "either": "3",
    "free": None,
    "pairs": [[1], [2, 3]],
}


def test_bind_keeps_what_is_right_already() -> None:
    assert Tool.of(everything).bind(GOOD) == GOOD


def test_bind_reads_the_strings_of_the_qwen_format() -> None:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in GOOD.items()}
    assert Tool.of(everything).bind(texts) == {**GOOD, "free": "null"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flag", 1, "flag must be a boolean, got 1"),
        ("ratio", "nan", 'ratio must be a finite number, got "nan"'),
        ("ratio", math.nan, "ratio must be a finite number, got NaN"),
        ("ratio", 10**400, "ratio must be a finite number"),
        ("ratio", "1e999", "ratio must be a finite number"),
        ("names", "a", 'names must be a list, got "a"'),
        ("names", ["a", None], "names[1] must be a string, got null"),
        ("names", "[" * 100_000, "names must be a list"),
        ("scores", {"a": "x"}, 'scores.a must be an integer, got "x"'),
        ("level", 4, "level must be one of 1, 2, 3, got 4"),
        ("level", True, "level must be one of 1, 2, 3, got true"),
        ("either", [1], "either must be an integer or a string, got [1]"),
        ("pairs", [[1], [2, "b"]], 'pairs[1][1] must be an integer, got "b"'),
    ],
)
def test_bind_names_the_place(name: str, value: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=r"^everything: ") as caught:
        Tool.of(everything).bind({**GOOD, name: value})
    assert words in str(caught.value)


def test_schemas_written_by_others() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "unit": {"type": ["string", "null"], "enum": ["km", "mi", None]},
            "place": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
        "required": ["place"],
    }
    tool = Tool(name="far", description="", parameters=parameters, function=lambda **each: json.dumps(each))
    assert tool({"place": {"city": "Rome"}, "unit": None}) == '{"place": {"city": "Rome"}, "unit": null}'
    assert tool.bind({"place": {"city": 3}, "unit": "KM"}) == {"place": {"city": "3"}, "unit": "km"}
    with pytest.raises(ArgumentError, match="place must be an object with 'city'"):
        tool({"place": {}})
    with pytest.raises(ArgumentError, match="an object with no more than city"):
        tool({"place": {"city": "Rome", "zip": 1}})


def test_a_parameter_schema_that_is_no_object_is_refused() -> None:
    with pytest.raises(UsageError, match="of type 'object', not of type 'string'"):
        Tool(name="f", description="", parameters={"type": "string"}, function=str)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@relaxed
@given(arguments=st.dictionaries(st.sampled_from([*GOOD, "note", "other"]) | st.text(), json_values))
def test_bind_binds_or_refuses_whatever_comes(arguments: dict[str, object]) -> None:
    try:
        text = Tool.of(everything)({**GOOD, **arguments})
    except ArgumentError as error:
        assert " Expected everything(" in str(error)  # noqa: PT017  # either outcome is right
    else:
        flag, ratio, names, *_ = json.loads(text)
        assert isinstance(flag, bool)
        assert isinstance(ratio, float)
        assert math.isfinite(ratio)
        assert all(isinstance(name, str) for name in names)


def test_what_a_function_raises_passes_through() -> None:
    def fail(x: int = 0) -> str:
        """Fail."""
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        Tool.of(fail)({})


def test_bind_is_fast() -> None:
    tool, arguments = Tool.of(search), {"query": "who", "k": 3}
    best = math.inf
    for _ in range(5):
        start = time.process_time()
        for _ in range(1000):
            tool.bind(arguments)
        best = min(best, time.process_time() - start)
    assert best / 1000 < 20e-6
