"""Components that compare an answer: as text, as a list, as a number, as JSON, with a schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.json_match import MAX_DEPTH, json_match
from agentrl.envs.rubrics.components.json_schema import MAX_CHARS, json_schema
from agentrl.envs.rubrics.components.match import exact_match, f1, set_match
from agentrl.envs.rubrics.components.numbers import numeric
from agentrl.envs.rubrics.transcript import Transcript


def said(answer: str, **told: Any) -> Transcript:
    return Transcript(messages=({"role": "assistant", "content": f"<answer>{answer}</answer>"},), **told)


def bare(text: str) -> Transcript:
    return Transcript(messages=({"role": "assistant", "content": text},))


def test_references_are_the_arguments_own_or_those_of_the_episode() -> None:
    score = exact_match()
    assert score(said("rome", references=("Oslo", "Rome"))) == 1.0
    assert score(said("rome", references=("Oslo",))) == 0.0
    assert exact_match(reference="Oslo")(said("rome", references=("Rome",))) == 0.0
    assert (score.needs_reference, exact_match(reference="x").needs_reference) == (True, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("factory", [exact_match, f1, set_match, numeric, json_match])
def test_an_episode_without_an_accepted_answer_is_said_and_not_scored(factory: Any) -> None:
    with pytest.raises(UsageError, match=r"no accepted answer is known for Mine-v0.*give the component reference ="):
        factory()(said("3", env_id="Mine-v0"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": []}, "reference is \\[\\]"),
        ({"reference": 3}, "reference is 3"),
        ({"reference": ["a", 3]}, "must be a text or a list of texts"),
        ({"of": "last_trun"}, "did you mean 'last_turn'"),
        ({"normalize": 1}, "normalize is 1, but must be true or false"),
    ],
)
def test_a_bad_argument_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        exact_match(**arguments)


def test_of_says_where_the_answer_stands() -> None:
    assert exact_match(reference="Rome")(bare("<think>hm</think>Rome.")) == 0.0
    assert exact_match(reference="Rome", of="last_turn")(bare("<think>hm</think>Rome.")) == 1.0
    assert exact_match(reference="Rome", of="last_turn")(bare("Oslo, I guess. <answer>Rome</answer>")) == 1.0


CALL = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'


@pytest.mark.parametrize("of", ["answer", "last_turn"])
@pytest.mark.parametrize(
    ("text", "with_tools", "without"),
    [
        (f"<answer>Rome</answer>{CALL}", 0.0, 1.0),
        (f"<answer>Rome</answer><think>{CALL}</think>", 1.0, 1.0),
        ("<answer>Rome</answer><tool_call>{", 0.0, 1.0),
        ("<answer>Rome</answer> [d3]", 1.0, 1.0),
    ],
)
def test_an_answer_beside_a_call_counts_nowhere(of: str, text: str, with_tools: float, without: float) -> None:
    score, schema = exact_match(reference="Rome", of=of), {"function": {"name": "search", "parameters": {}}}
    last = {"role": "assistant", "content": text}
    earlier = ({"role": "assistant", "content": CALL}, {"role": "tool", "name": "search", "content": "Rome"})
    assert score(Transcript(messages=(last,))) == without
    assert score(Transcript(messages=(last,), tools=(schema,))) == with_tools
    assert score(Transcript(messages=(*earlier, last))) == with_tools


def test_without_normalizing_case_and_articles_count() -> None:
    assert exact_match(reference="Rome", normalize=False)(said(" Rome\n")) == 1.0
    assert exact_match(reference="Rome", normalize=False)(said("the rome")) == 0.0


def test_f1_takes_the_best_of_the_accepted() -> None:
    score = f1(reference=["Marie Curie", "Maria Skłodowska Curie"])
    assert score(said("Skłodowska Curie")) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert score(said("nobody")) == 0.0


@pytest.mark.parametrize(
    ("answer", "exact", "precision", "recall"),
    [
        ("b, a", 1.0, 1.0, 1.0),
        ('["A", "b"]', 1.0, 1.0, 1.0),
        ("['a', 'b']", 1.0, 1.0, 1.0),
        ("(a; b)", 1.0, 1.0, 1.0),
        ("a\nb\n", 1.0, 1.0, 1.0),
        ("a", 0.0, 1.0, 0.5),
        ("a, b, c, d", 0.0, 0.5, 1.0),
        ("a, a, b", 0.0, 2 / 3, 1.0),
        ("", 0.0, 0.0, 0.0),
        ("c", 0.0, 0.0, 0.0),
    ],
)
def test_items_in_any_order(answer: str, exact: float, precision: float, recall: float) -> None:
    both = 2 * precision * recall / (precision + recall) if precision else 0.0
    expected = {"exact": exact, "precision": precision, "recall": recall, "f1": both}
    assert {each: set_match(reference="a, b", measure=each)(said(answer)) for each in expected} == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("answer", "arguments", "expected"),
    [
        ("$1,200.00", {"reference": "1200"}, 1.0),
        ("1/3", {"reference": "0.333", "absolute": 0.001}, 1.0),
        ("1/3", {"reference": "0.333"}, 0.0),
        ("101", {"reference": 100, "relative": 0.01}, 1.0),
        ("101.1", {"reference": 100, "relative": 0.01}, 0.0),
        ("-101", {"reference": -100, "relative": 0.01}, 1.0),
        ("99 to 101", {"reference": 100, "relative": 0.5}, 0.0),
        ("15%", {"reference": "0.15", "unit": "km"}, 1.0),
        ("15%", {"reference": "15", "unit": "%"}, 1.0),
        ("15.1%", {"reference": "15", "unit": "%", "absolute": 0.2}, 1.0),
        ("15.1%", {"reference": "15", "unit": "km", "absolute": 0.2}, 0.0),
        ("12 km", {"reference": "12", "unit": "km"}, 1.0),
        ("12 Kilometers", {"reference": "12", "unit": "kilometer"}, 1.0),
        ("12", {"reference": "12", "unit": "km"}, 1.0),
        ("12 kg", {"reference": "12", "unit": "km"}, 0.0),
        ("12 kg", {"reference": "12"}, 1.0),
        ("2 million dollars", {"reference": "2000000", "unit": "dollars"}, 1.0),
        ("eleven", {"reference": "11"}, 0.0),
        ("inf", {"reference": "11", "absolute": 1e300}, 0.0),
    ],
)
def test_numbers(answer: str, arguments: dict[str, Any], expected: float) -> None:
    assert numeric(**arguments)(said(answer)) == expected


def test_a_reference_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="'Paris' is no number; use exact_match"):
        numeric(reference="Paris")
    with pytest.raises(UsageError, match="'Paris' is no number"):
        numeric()(said("3", references=("Paris",)))
    with pytest.raises(UsageError, match="absolute is -1"):
        numeric(absolute=-1)
    with pytest.raises(UsageError, match="relative is inf"):
        numeric(relative=float("inf"))


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ('{"b": 1, "a": [true, null]}', '{"a": [true, null], "b": 1}', 1.0),
        ("```json\n[1]\n```", "[1]", 1.0),
        ("[1.0]", "[1]", 0.0),
        ("[true]", "[1]", 0.0),
        ('"1"', "1", 0.0),
        ("[2, 1]", "[1, 2]", 0.0),
        ('{"a": 1, "a": 1}', '{"a": 1}', 0.0),
        ("[NaN]", "[1]", 0.0),
        ("[1] [1]", "[1]", 0.0),
        ("It is [1]", "[1]", 0.0),
    ],
)
def test_json_is_compared_with_exact_types(answer: str, reference: str, expected: float) -> None:
    assert json_match(reference=reference)(said(answer)) == expected


def test_ignored_keys_and_subsets() -> None:
    score = json_match(reference='{"a": {"id": 1, "x": 2}}', ignore=["id"])
    assert score(said('{"a": {"id": 9, "x": 2}}')) == 1.0
    assert score(said('{"a": {"x": 2}, "id": 3}')) == 1.0
    assert score(said('{"a": {"x": 3}}')) == 0.0
    score = json_match(reference='{"a": [{"x": 2}]}', subset=True)
    assert score(said('{"a": [{"x": 2, "y": 1}], "b": 0}')) == 1.0
    assert score(said('{"a": [{"x": 2}, {"x": 2}]}')) == 0.0
    assert score(said('{"a": [{"x": 2.0}]}')) == 0.0
    assert score(said("{}")) == 0.0


def test_json_that_is_nested_too_deeply_is_unreadable() -> None:
    for depth, expected in ((MAX_DEPTH, 1.0), (MAX_DEPTH + 1, 0.0)):
        text = "[" * depth + "]" * depth
        assert json_match(reference=["[]", "[" * MAX_DEPTH + "]" * MAX_DEPTH])(said(text)) == expected
    with pytest.raises(UsageError, match="is no JSON: it is nested deeper than 100"):
        json_match(reference="[" * 101 + "]" * 101)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_matches_itself_however_it_is_written(value: Any) -> None:
    score = json_match(reference=json.dumps(value))
    episode = said(json.dumps(value, indent=1, ensure_ascii=True, sort_keys=True))
    assert "<answer>" in json.dumps(value) or score(episode) == 1.0
    assert json_match(reference=json.dumps([value]))(episode) == 0.0


PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string", "pattern": "^[A-Z][a-z]*$"}, "age": {"$ref": "#/$defs/age"}},
    "additionalProperties": False,
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("answer", "expected", "partial"),
    [
        ('{"name": "Ida", "age": 3}', 1.0, 1.0),
        ('{"name": "Ida", "age": "3"}', 0.0, 1 / 3),
        ('{"name": "Ida"}', 0.0, 1 / 3),
        ('{"name": "Ida", "age": 3, "x": 1}', 0.0, 2 / 3),
        ("{}", 0.0, 0.0),
        ("[]", 0.0, 0.0),
        ("name: Ida", 0.0, 0.0),
    ],
)
def test_a_schema_decides(answer: str, expected: float, partial: float) -> None:
    assert json_schema(schema=PERSON)(said(answer)) == expected
    assert json_schema(schema=PERSON, partial=True)(said(answer)) == pytest.approx(partial)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "is no JSON schema: 'objekt'"),
        ({"$ref": "https://example.org/x.json"}, "lies outside of it"),
        ({"$ref": "#/$defs/x"}, "which is not in it"),
        ({"pattern": "(a+)+$"}, "exponential time"),
        ({"properties": {"x": {"patternProperties": {"^(a|ab)*$": {}}}}}, "exponential time"),
        ({"pattern": "(a"}, "no regular expression|no JSON schema"),
        ("object", "must be a table"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        json_schema(schema=schema)


def test_plain_patterns_are_taken_and_long_answers_are_not_tried_on_them() -> None:
    score = json_schema(schema={"type": "string", "pattern": r"^(?:foo|bar)(?:[0-9]{3})?-\d+$"})
    assert score(said('"foo123-4"')) == 1.0
    assert score(said('"baz-4"')) == 0.0
    assert json_schema(schema={"pattern": "a*b"})(said('"' + "a" * MAX_CHARS["quadratic"] + 'b"')) == 0.0
    assert json_schema(schema={"type": "string"})(said('"' + "a" * MAX_CHARS["quadratic"] + 'b"')) == 1.0
    assert json_schema(schema={"type": "string"})(said('"' + "a" * MAX_CHARS["plain"] + 'b"')) == 0.0


TREE = {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/n"}}] * 2}}}


def test_numbers_and_depths_that_could_hold_up_a_schema_are_no_answers() -> None:
    price = json_schema(schema={"type": "object", "properties": {"p": {"type": "number", "multipleOf": 0.01}}})
    assert price(said('{"p": 12.34}')) == 1.0
    for number in ("1e400", "-1e999", "1" + "0" * 400):
        assert price(said(f'{{"p": {number}}}')) == 0.0
    tree = json_schema(schema=TREE)
    assert tree(said("[" * 8 + "]" * 8)) == 1.0
    assert tree(said("[" * 60 + "1" + "]" * 60)) == 0.0  # and does not try every branch of every level


def test_a_number_is_not_compared_as_words() -> None:
    for reference in ("-5", "1.5", ["3", "2.50"]):
        with pytest.raises(UsageError, match=r"use numeric, or write normalize = false"):
            exact_match(reference=reference)
        assert exact_match(reference=reference, normalize=False)(said("15")) == 0.0
    assert exact_match(reference="42")(said("42")) == 1.0


def test_a_schema_that_refers_to_itself_scores_and_ends() -> None:
    tree = {"type": "array", "items": {"$ref": "#"}}
    assert json_schema(schema=tree)(said("[[], [[]]]")) == 1.0
    assert json_schema(schema=tree)(said("[[], [1]]")) == 0.0
    assert json_schema(schema={"$ref": "#"})(said("[]")) == 0.0


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "https://example.org/tree", "$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [{"$ref": "#/definitions/a"}],
            "definitions": {"a": {"type": "integer"}},
        },
    ],
)
def test_references_within_a_schema_are_followed(schema: dict[str, Any]) -> None:
    assert [json_schema(schema=schema)(said(each)) for each in ("3", '"3"')] == [1.0, 0.0]
