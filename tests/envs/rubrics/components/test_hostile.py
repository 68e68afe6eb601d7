"""No text makes a component raise, leave [0, 1], differ from run to run, or take quadratic time."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.rubrics.catalogue import CATALOGUE, make_scorer
from agentrl.envs.rubrics.components.arguments import Scorer
from agentrl.envs.rubrics.transcript import Transcript

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "items": {"pattern": "^[ab]+$"}}}}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}
ARGUMENTS: dict[str, dict[str, object]] = {
    "citation": {"measure": "claims"},
    "command_safety": {},
    "exact_match": {"reference": "Paris"},
    "f1": {"reference": "Paris"},
    "format_tags": {"alone": True, "turns": "every"},
    "json_match": {"reference": '{"a": [1]}', "subset": True, "ignore": ["b"]},
    "json_schema": {"schema": SCHEMA, "partial": True},
    "language": {"language": "en"},
    "length": {"soft": 10, "hard": 100},
    "num_turns": {"soft": 1, "hard": 3},
    "numeric": {"reference": "3", "absolute": 0.5, "unit": "km"},
    "set_match": {"reference": "a, b", "measure": "f1"},
    "tools_called": {"tools": ["add"]},
    "tools_needless": {"budget": 1},
    "tools_repeated": {},
    "tools_valid": {},
}
ELSEWHERE = {"environment", "environment_component", "latency", "success", "unit_tests"}  # read no text, or run it


def scorer(name: str) -> Scorer:
    return make_scorer(name, ARGUMENTS[name], {}, place=name)


SCORERS = {name: scorer(name) for name in ARGUMENTS}
LONG = 400_000
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
PATHOLOGICAL = {
    "letters": "a" * LONG,
    "words": "the cat " * (LONG // 8),
    "commas": "a," * (LONG // 2),
    "brackets": "[" * LONG,
    "objects": '{"a":' * (LONG // 5),
    "balanced": "[" * 400_000 + "]" * 400_000,
    "list": "[" + "{}," * 300_000 + "{}]",
    "distinct items": "[" + ",".join(f'{{"a":{n}}}' for n in range(90_000)) + "]",
    "digits": "9" * LONG,
    "tags": "<answer>" * (LONG // 8),
    "closed tags": "<answer>1</answer>" * (LONG // 18),
    "thoughts": "<think>" * (LONG // 7),
    "calls": CALL * (LONG // len(CALL)),
    "open calls": "<tool_call>" * (LONG // 11),
    "one huge call": '<tool_call>{"name": "add", "arguments": {' + '"k":1,' * 150_000 + '"a":1}}</tool_call>',
    "fences": "```bash\n" * (LONG // 8),
    "one fence": "```bash\n" + "rm -rf $(" * (LONG // 9),
    "pipes": "```sh\n" + "a|" * (LONG // 2) + "\n```",
    "quotes": "```sh\n" + "\"'`" * (LONG // 3) + "\n```",
    "documents": "```sh\n" + "cat <<A <<B\n" * (LONG // 12) + "\n```",
    "functions": "```sh\n" + "a() { a | " * (LONG // 10) + "\n```",
    "python": "```python\nimport os\n" + "os.system('ls')\n" * (150_000 // 16) + "```",
    "citations": "[d1]" * (LONG // 4),
    "open citations": "[d" * (LONG // 2),
    "stops": ". " * (LONG // 2),
    "spaces": " " * LONG,
    "lines": "\n" * LONG,
    "surrogates": "\ud800" * 200_000,
    "zeros": "\0" * LONG,
}


def episode(said: str, told: str = "") -> Transcript:
    messages = (
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": CALL},
        {"role": "tool", "name": "add", "content": told},
        {"role": "assistant", "content": said},
    )
    return Transcript(messages=messages, tools=(ADD,))


def test_every_component_of_the_box_is_tried() -> None:
    computed = {name for name, where in CATALOGUE.items() if where.startswith("components.")}
    assert computed == set(ARGUMENTS) | ELSEWHERE


@pytest.mark.parametrize("text", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
def test_long_texts_take_linear_time(text: str) -> None:
    for said in (text, f"<answer>{text}</answer>"):
        for name, score in SCORERS.items():
            seen = episode(said, text[:100_000])
            begun = time.process_time()
            assert 0.0 <= score(seen) <= 1.0
            # A quadratic step over so many letters takes minutes; the slowest linear one takes less than a second.
            assert time.process_time() - begun < 8, name


FRAGMENTS = st.sampled_from(
    [
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        '{"name": "add", "arguments": {"a": 1}}',
        '{"a": [1]}',
        "Paris",
        "3",
        "1/0",
        "1e999",
        "NaN",
        "[d1]",
        "```bash\n",
        "```python\n",
        "```\n",
        "rm -rf /",
        "os.system('",
        "$(",
        "`",
        "'",
        '"',
        "\\",
        "<<EOF\n",
        "|",
        ">",
        "&",
        ". ",
        "\ud800",
        "\0",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAGMENTS | st.text(max_size=20), max_size=30).map("".join), st.text(max_size=40))
def test_no_text_makes_a_component_raise(said: str, told: str) -> None:
    for name, score in SCORERS.items():
        for text in (said, f"<answer>{said}</answer>"):
            value = score(episode(text, told))
            assert 0.0 <= value <= 1.0, name
            assert score(episode(text, told)) == value, name


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_an_episode_without_turns_has_a_value(name: str) -> None:
    for messages in ((), ({"role": "user", "content": "?"},), ({"role": "assistant", "content": ""},)):
        assert 0.0 <= SCORERS[name](Transcript(messages=messages)) <= 1.0


PAID = ("exact_match", "f1", "json_match", "numeric", "set_match")


@pytest.mark.parametrize("name", PAID)
@pytest.mark.parametrize("of", ["answer", "last_turn"])
def test_a_list_of_guesses_never_scores(name: str, of: str) -> None:
    right = {"exact_match": "Paris", "f1": "Paris", "json_match": '{"a": [1]}', "numeric": "3", "set_match": "a, b"}
    score = make_scorer(name, {**ARGUMENTS[name], "of": of}, {}, place=name)
    assert score(episode(f"<answer>{right[name]}</answer>")) == 1.0
    assert score(episode(f"<answer>{right[name]}</answer><answer>{right[name]}</answer>")) == 0.0
    assert score(episode(f"<answer>no</answer><answer>{right[name]}</answer>")) == 0.0
    assert score(episode(f"<think><answer>{right[name]}</answer></think>")) == 0.0
