"""Function-calling cases in the layout of BFCL: reading them, and judging calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.scripted import call
from agentrl.envs.tooluse.bfcl import load_cases
from agentrl.envs.tooluse.env import make
from agentrl.envs.tooluse.functions import FunctionsEnv
from agentrl.envs.tooluse.matching import all_match

AREA = {
    "name": "shapes.area",
    "description": "Compute the area of a rectangle.",
    "parameters": {
        "type": "dict",
        "properties": {
            "width": {"type": "float", "description": "Metres."},
            "height": {"type": "integer"},
            "unit": {"type": "string", "default": "m"},
            "corners": {"type": "tuple", "items": {"type": "any"}},
        },
        "required": ["width", "height"],
    },
}
WEATHER = {
    "name": "weather",
    "description": "Tell the weather.",
    "parameters": {
        "type": "dict",
        "properties": {
            "place": {"type": "dict", "properties": {"city": {"type": "string"}, "land": {"type": "string"}}},
            "days": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["place"],
    },
}
SIMPLE = {
    "id": "simple_0",
    "question": [[{"role": "user", "content": "Which area have 3 by 4 metres?"}]],
    "function": [AREA],
    "ground_truth": [{"shapes.area": {"width": [3.0], "height": [4], "unit": ["m", ""]}}],
}
PARALLEL = {
    "id": "parallel_multiple_0",
    "question": [[{"role": "user", "content": "The weather in Bern and in Nice, and 2 by 2?"}]],
    "function": [AREA, WEATHER],
    "ground_truth": [
        {"weather": {"place": [{"city": ["Bern"], "land": ["CH", ""]}], "days": [["Mon", "Tue"], ""]}},
        {"weather": {"place": [{"city": ["Nice"], "land": ["FR", ""]}], "days": [""]}},
        {"shapes.area": {"width": [2], "height": [2], "unit": [""]}},
    ],
}
IRRELEVANT = {"id": "irrelevance_0", "question": [[{"role": "user", "content": "Sing a song."}]], "function": [AREA]}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps({"split": "train", **row}) for row in rows))
    return path


@pytest.fixture
def env(tmp_path: Path) -> FunctionsEnv:
    made = make(data=written(tmp_path / "cases.jsonl", SIMPLE, PARALLEL, IRRELEVANT))
    assert isinstance(made, FunctionsEnv)
    return made


def begun(env: FunctionsEnv, case_id: str) -> dict[str, Any]:
    for seed in range(100):
        _, info = env.reset(seed=seed)
        if info["task"]["id"] == case_id:
            return info
    raise AssertionError(f"{case_id} was never drawn")


def reward(env: FunctionsEnv, case_id: str, action: str) -> tuple[float, bool]:
    begun(env, case_id)
    _, earned, terminated, _, _ = env.step(action)
    return earned, terminated


@pytest.mark.parametrize("case_id", ["simple_0", "parallel_multiple_0", "irrelevance_0"])
def test_the_oracle_is_right_and_cheats_are_not(env: FunctionsEnv, case_id: str) -> None:
    for policy, earned in ((env.oracle(), 1.0), *((cheat, 0.0) for cheat in env.cheats().values())):
        begun(env, case_id)
        assert env.step(policy("", {}))[1] == earned
    assert reward(env, case_id, env.noop()("", {})) == (0.0, False)


def test_the_schemas_are_those_of_the_openai_format(env: FunctionsEnv) -> None:
    info = begun(env, "simple_0")
    (tool,) = info["tools"]
    assert tool["function"]["name"] == "shapes_area"
    assert tool["function"]["parameters"]["type"] == "object"
    assert tool["function"]["parameters"]["properties"]["width"] == {"type": "number", "description": "Metres."}
    assert tool["function"]["parameters"]["properties"]["corners"] == {"type": "array", "items": {}}
    assert json.loads(json.dumps(info)) == info
    assert "ground" not in json.dumps(info)


@pytest.mark.parametrize(
    ("action", "earned"),
    [
        (call("shapes_area", width=3, height=4), 1.0),
        (call("shapes_area", width="3", height=4.0, unit="M"), 1.0),
        (call("shapes_area", width=3, height=4, unit="km"), 0.0),
        (call("shapes_area", width=4, height=3), 0.0),
        (call("shapes_area", width=3, height=4, corners=[1]), 0.0),
        (call("shapes_area", width=3, height=4) * 2, 0.0),
        ("<answer>none</answer>", 0.0),
        ("<answer>12</answer>", 0.0),
    ],
)
def test_one_call(env: FunctionsEnv, action: str, earned: float) -> None:
    assert reward(env, "simple_0", action) == (earned, True)


def test_parallel_calls_in_any_order(env: FunctionsEnv) -> None:
    bern = call("weather", place={"city": "bern"}, days=["mon", "tue"])
    nice, area = call("weather", place={"city": "Nice", "land": "fr"}), call("shapes_area", width=2.0, height=2)
    assert reward(env, "parallel_multiple_0", bern + nice + area)[0] == 1.0
    assert reward(env, "parallel_multiple_0", area + nice + bern)[0] == 1.0
    assert reward(env, "parallel_multiple_0", area + nice)[0] == 0.0
    assert reward(env, "parallel_multiple_0", area + nice + nice)[0] == 0.0
    assert reward(env, "parallel_multiple_0", area + nice + bern.replace("mon", "wed"))[0] == 0.0
    assert reward(env, "parallel_multiple_0", area + bern + nice.replace("Nice", "Rome"))[0] == 0.0


def test_no_call_where_no_function_serves(env: FunctionsEnv) -> None:
    assert reward(env, "irrelevance_0", "None of them. <answer>none</answer>")[0] == 1.0
    assert reward(env, "irrelevance_0", call("shapes_area", width=3, height=4))[0] == 0.0


def test_a_malformed_call_is_told_and_costs_a_turn(env: FunctionsEnv) -> None:
    begun(env, "simple_0")
    observation, earned, terminated, _, _ = env.step(call("shapes_area", width="wide", height=4))
    assert "width must be a finite number" in observation
    assert (earned, terminated) == (0.0, False)
    assert env.step(call("shapes_area", width=3, height=4))[4]["rewards"] == {"exact_match": 1.0, "format": 0.0}


def test_a_snapshot_holds_the_case(env: FunctionsEnv) -> None:
    begun(env, "simple_0")
    taken = env.snapshot()
    begun(env, "irrelevance_0")
    env.restore(taken)
    assert env.step(call("shapes_area", width=3, height=4))[1] == 1.0


def test_answers_may_stand_in_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "possible_answer").mkdir()
    bare = {key: value for key, value in SIMPLE.items() if key != "ground_truth"}
    path = written(tmp_path / "BFCL_simple.json", bare)
    written(tmp_path / "possible_answer" / path.name, {"id": "simple_0", "ground_truth": SIMPLE["ground_truth"]})
    (case,) = load_cases({"train": path})["train", 1]
    assert case.wanted[0][0] == "shapes_area"


def test_the_registered_id_takes_data(tmp_path: Path) -> None:
    env = gym.make("agentrl.envs:AgentRL/ToolUse-v0", data=written(tmp_path / "cases.jsonl", SIMPLE))
    check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "field 'id': expected a string that is not empty"),
        ({"question": [[], []]}, "field 'question': expected a text, or one turn of messages"),
        ({"function": []}, "field 'function': expected a list of function schemas"),
        ({"function": [{"name": 3}]}, "field 'function[0]': expected an object with name"),
        ({"function": [AREA, AREA]}, "field 'function[1].name': expected a name of its own"),
        (
            {"function": [{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": "decimal"}}}}]},
            "field 'function[0].parameters.properties.a.type': expected one of object",
        ),
        ({"ground_truth": None}, "field 'ground_truth': expected the right calls"),
        ({"ground_truth": "area"}, "field 'ground_truth': expected a list of calls"),
        ({"ground_truth": [{"volume": {}}]}, "field 'ground_truth[0]': expected one of the row's functions"),
        ({"ground_truth": [{"shapes.area": {"width": 3}}]}, "for each argument a list of accepted values"),
        ({"split": "dev"}, "field 'split': expected 'train' or 'test'"),
        ({"level": 9}, "field 'level': expected a whole number from 1 to 5; got 9"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "cases.jsonl", IRRELEVANT, {**SIMPLE, **change})
    with pytest.raises(DataError) as caught:
        load_cases(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line 2")


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "cases.jsonl", SIMPLE)
    with pytest.raises(DataError, match="no case of split 'test' and level 1; there are 1 of train level 1"):
        make(data=path, split="test")
    with pytest.raises(UsageError, match="type data=FILE"):
        make(data={"dev": path})
    with pytest.raises(DataError, match="line 2, field 'id': expected an id of its own"):
        make(data=written(tmp_path / "twice.jsonl", SIMPLE, SIMPLE))
    other = {**SIMPLE, "id": "simple_1", "split": "test"}
    with pytest.raises(DataError, match="line 2, field 'question': the same question is in the other split"):
        make(data=written(tmp_path / "both.jsonl", SIMPLE, other))


values = st.one_of(
    st.booleans(), st.integers(-5, 5), st.text("ab", max_size=2), st.lists(st.integers(0, 2), max_size=2)
)
arguments = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)


@given(st.lists(st.tuples(st.sampled_from("fg"), arguments), max_size=4), st.randoms())
def test_calls_match_themselves_in_any_order(calls: list[tuple[str, dict[str, Any]]], random: Any) -> None:
    wanted = [(name, {key: ["never", value] for key, value in each.items()}) for name, each in calls]
    random.shuffle(wanted)
    assert all_match(calls, wanted)
    assert not all_match([*calls, ("f", {})], wanted)
    if calls:
        assert not all_match([*calls[:-1], ("h", calls[-1][1])], wanted)


def test_a_call_that_fits_two_does_not_take_the_only_one_of_another() -> None:
    wanted = [("f", {"x": [1, 2]}), ("f", {"x": [1]})]
    assert all_match([("f", {"x": 1}), ("f", {"x": 2})], wanted)
    assert all_match([("f", {"x": 2}), ("f", {"x": 1})], wanted)
    assert not all_match([("f", {"x": 2}), ("f", {"x": 2})], wanted)
