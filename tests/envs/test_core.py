"""The base of text environments, with a small real one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from agentrl.envs.core import TextEnv, Turn, final_answers
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.tools import Tool


class Number(TextEnv):
    """Find a number: `peek` tells it, `pad` writes much, `fail` breaks."""

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "brief": 0.0}
    system = "Find the number."
    state: ClassVar[tuple[str, ...]] = ("_number",)
    _number = 0
    broken_at_reset = False
    ask = "Which number?"

    @property
    def tools(self) -> tuple[Tool, ...]:
        return Tool.of(self.peek), Tool.of(self.pad), Tool.of(self.fail)

    def peek(self) -> str:
        """Tell the number."""
        return str(self._number)

    def pad(self, length: int) -> str:
        """Write a text.

        Args:
            length: Of how many characters.
        """
        return "".join(str(index % 10) for index in range(length))

    def fail(self) -> str:
        """Break."""
        raise InfrastructureError("the disk is gone", kind="disk", boundary="storage")

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        if self.broken_at_reset:
            raise InfrastructureError("no disk", kind="disk", boundary="storage")
        self._number = int(rng.integers(10**9))
        return f"{split}-{level}-{self._number}"

    def question(self) -> str:
        return self.ask

    def answer(self, text: str, turn: str) -> Turn:
        right = text == str(self._number)
        rewards = {"exact_match": float(right), "brief": float(len(turn) < 40)}
        return Turn(rewards=rewards, terminated=True, success=right)

    def oracle(self) -> Policy:
        return lambda observation, info: f"<answer>{self._number}</answer>"


def answered(number: object) -> str:
    return f"<answer>{number}</answer>"


@pytest.fixture
def env() -> Iterator[Number]:
    made = Number()
    made.reset(seed=1)
    yield made
    made.close()


def replies(env: TextEnv, action: str) -> list[tuple[str, str, str]]:
    return [(each["role"], each["name"], each["content"]) for each in env.step(action)[4]["replies"]]


# -- one turn --------------------------------------------------------------------------------------------------------


def test_reset_gives_the_question_and_plain_info(env: Number) -> None:
    observation, info = env.reset(seed=5, options={"split": "test", "level": np.int64(3)})
    assert observation == "Which number?"
    assert info["task"] == {"id": f"test-3-{env._number}", "split": "test", "level": 3}
    assert info["system"] == "Find the number."
    assert [tool["function"]["name"] for tool in info["tools"]] == ["peek", "pad", "fail"]
    assert json.loads(json.dumps(info)) == info
    assert str(env._number) not in observation


def test_a_right_answer_ends_the_episode_with_reward(env: Number) -> None:
    observation, reward, terminated, truncated, info = env.step(answered(env._number))
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert info == {"replies": [], "rewards": {"exact_match": 1.0, "brief": 1.0}, "success": True}


def test_weights_that_are_no_dict_are_refused() -> None:
    with pytest.raises(UsageError, match=r"weights=\[1\] must be a dict of components; type weights=\{'"):
        Number(weights=[1])  # type: ignore[arg-type]


def test_the_reward_is_the_weighted_sum_of_the_components() -> None:
    env = Number(weights={"brief": 0.25, "exact_match": 2})
    env.reset(seed=1)
    assert env.step(answered(env._number))[1] == 2.25
    env.reset(seed=1)
    assert env.step(f"<answer>{env._number}</answer>" + " " * 40)[1] == 2.0


@pytest.mark.parametrize("numbers", [(1, None), (None, 1), (None, None)])
def test_several_answers_are_wrong_even_if_one_is_right(env: Number, numbers: tuple[int | None, ...]) -> None:
    action = "".join(answered(env._number if number is None else number) for number in numbers)
    _, reward, terminated, _, info = env.step(action)
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    assert info["rewards"] == {"exact_match": 0.0, "brief": 0.0}


def test_calls_are_answered_in_order_each_in_its_role(env: Number) -> None:
    action = call("pad", length=3) + call("peak") + call("peek") + call("pad", length="many")
    observation, reward, terminated, truncated, info = env.step(action)
    told = [(each["role"], each["name"]) for each in info["replies"]]
    assert told == [("tool", "pad"), ("user", ""), ("tool", "peek"), ("user", "")]
    contents = [each["content"] for each in info["replies"]]
    assert contents[0] == "012"
    assert contents[1].startswith("Error: There is no tool 'peak'. Did you mean peek?")
    assert contents[2] == str(env._number)
    assert contents[3].startswith('Error: pad: length must be an integer, got "many".')
    assert observation == "\n\n".join(contents)
    assert (reward, terminated, truncated, info["rewards"]) == (0.0, False, False, {})
    assert "success" not in info


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("", "no tool call and no answer found. Call peek or pad or fail, or write <answer>your answer</answer>."),
        ("It is seven.", "no tool call and no answer found."),
        ("<answer>7", "the answer tag is not well formed."),
        ("7</answer>", "the answer tag is not well formed."),
        ('<tool_call>{"name": "peek"', "is not JSON"),
        (call("peek", deep=1), "there is no argument"),
        ("<think><answer>7</answer>", "no tool call and no answer found."),  # a thought that never ends
    ],
)
def test_a_malformed_turn_is_told_what_was_wrong_and_costs_a_turn(env: Number, action: str, said: str) -> None:
    for turn in range(env.max_turns):
        observation, reward, terminated, truncated, info = env.step(action)
        assert said in observation
        assert [each["role"] for each in info["replies"]] == ["user"]
        assert (reward, terminated, truncated) == (0.0, False, turn == env.max_turns - 1)
    assert info["success"] is False
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.step(action)


def test_only_the_first_calls_of_a_turn_are_run(env: Number) -> None:
    told = replies(env, call("peek") * 9)
    assert [role for role, _, _ in told] == ["tool"] * 8 + ["user"]
    assert told[-1][2] == "Error: only the first 8 tool calls of a turn are run; make the others in another turn."
    assert len(replies(env, call("peek") * 8)) == 8
    assert len(replies(env, call("peek") * 1000)) == 9


def test_the_cap_on_calls_does_not_depend_on_the_number_of_turns() -> None:
    env = Number(max_turns=1)
    env.reset(seed=1)
    assert len(replies(env, call("peek") * 3)) == 3


@pytest.mark.parametrize("order", [0, 1])
def test_an_answer_beside_a_call_does_not_count_and_is_told_so(env: Number, order: int) -> None:
    parts = [call("peek"), answered(env._number)]
    observation, reward, terminated, _, info = env.step("".join(parts[::-1] if order else parts))
    assert (reward, terminated) == (0.0, False)
    assert [each["role"] for each in info["replies"]] == ["tool", "user"]
    assert "an answer in a turn that calls a tool does not count" in observation
    assert env.step(answered(env._number))[1] == 1.0


def test_an_answer_tag_inside_an_argument_is_an_argument(env: Number) -> None:
    told = replies(env, call("pad", length="<answer>1</answer>") + call("peek"))
    assert [role for role, _, _ in told] == ["user", "tool"]
    assert "does not count" not in told[0][2]


@pytest.mark.parametrize(
    "thought",
    ["<think>{}</think>", "{}</think>", "<think>{}</think><think>{}</think>", "<think>a<think>{}</think>{}</think>"],
)
def test_thoughts_neither_call_nor_answer(env: Number, thought: str) -> None:
    inside = thought.replace("{}", call("peek") + answered(1))
    assert env.step(inside)[4]["replies"][0]["role"] == "user"
    assert env.step(inside + answered(env._number))[4]["success"] is True
    env.reset(seed=2)
    assert [each["role"] for each in env.step(inside + call("peek"))[4]["replies"]] == ["tool"]


def test_final_answers_are_read_in_linear_time() -> None:
    for text in ("<answer>" * 100_000, "<answer>" + "x" * 1_000_000, "<answer><" * 100_000, "<think>" * 100_000):
        assert final_answers(text) == []
    assert final_answers("<answer>" + "x" * 1_000_000 + "</answer>") == ["x" * 1_000_000]


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 25, 60, 61, 500, 4000])
@pytest.mark.parametrize("length", [0, 1, 59, 60, 61, 499, 501, 4001, 5000, 123_456])
def test_a_long_reply_keeps_head_and_tail_and_says_the_cut(limit: int, length: int) -> None:
    env = Number(max_reply_chars=limit)
    env.reset(seed=1)
    full = env.pad(length)
    text = replies(env, call("pad", length=length))[0][2]
    if length <= limit:
        assert text == full
        return
    head, said, tail = text.split("\n")
    assert full.startswith(head)
    assert full.endswith(tail)
    assert said == f"[… {length - len(head) - len(tail)} characters cut …]"
    assert len(text) <= max(limit, len(said) + 2)
    if limit >= 60:
        assert len(text) >= limit - 3
        assert abs(len(head) - len(tail)) <= 1


@pytest.mark.parametrize("limit", [1, 4000, 8000, 50_000])
def test_the_largest_turn_is_inside_the_space(limit: int) -> None:
    env = Number(max_reply_chars=limit)
    env.reset(seed=1)
    observation, _, _, _, _ = env.step(call("pad", length=2 * limit + 100) * 20 + answered(1))
    assert observation in env.observation_space
    assert observation.count("characters cut") >= 8
    assert "first 8 tool calls" in observation or limit < 60


def test_a_question_that_is_too_long_is_cut_to_the_space() -> None:
    env = Number()
    env.ask = "x" * 10**6
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    assert "characters cut" in observation


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"split": "tset"}, "split='tset' does not exist; did you mean 'test'?"),
        ({"split": 1}, "there are 'train', 'test'"),
        ({"level": 6}, "level=6 does not exist; there are 1, 2, 3, 4, 5"),
        ({"level": True}, "level=True does not exist"),
        ({"level": 1.0}, "level=1.0 does not exist"),
        ({"level": "2"}, "level='2' does not exist"),
        ({"level": [1]}, "does not exist"),
        ({"max_turns": 0}, "max_turns=0 must be a whole number of at least 1"),
        ({"max_turns": True}, "max_turns=True must be"),
        ({"max_reply_chars": 1.5}, "max_reply_chars=1.5 must be"),
        ({"weights": {"exact_mach": 1}}, "no component 'exact_mach'; did you mean 'exact_match'?"),
        ({"weights": {"brief": float("nan")}}, "the weight of brief must be a finite number, got nan"),
        ({"weights": {"brief": "much"}}, "got 'much'"),
        ({"render_mode": "human"}, "render_mode='human' is unknown"),
    ],
)
def test_arguments_that_cannot_work_name_the_value_and_the_way_out(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Number(**arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "trian"}, "did you mean 'train'?"),
        ({"level": 0}, "level=0 does not exist"),
        ({"levle": 2}, "options has no 'levle'; did you mean 'level'?"),
        ("test", "options='test' must be a dict; type options={'split': 'train', 'level': 1}"),
    ],
)
def test_options_that_cannot_work_name_the_near_miss(env: Number, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        env.reset(seed=1, options=options)
    assert said in str(caught.value)


def test_an_action_must_be_a_string(env: Number) -> None:
    with pytest.raises(UsageError, match="an action is a string, got int"):
        env.step(3)  # type: ignore[arg-type]


def test_step_before_reset_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        Number().step("hello")


def test_an_infrastructure_failure_ends_the_episode_and_is_no_reward(env: Number) -> None:
    observation, reward, terminated, truncated, info = env.step(call("peek") + call("fail"))
    assert observation in env.observation_space
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {"failure": {"kind": "disk", "boundary": "storage", "message": "the disk is gone"}}
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.step("more")
    assert env.reset(seed=1)[0] == "Which number?"


def test_an_infrastructure_failure_at_reset_is_raised_and_leaves_no_episode(env: Number) -> None:
    env.broken_at_reset = True
    with pytest.raises(InfrastructureError, match="no disk") as caught:
        env.reset(seed=1)
    assert (caught.value.kind, caught.value.boundary) == ("disk", "storage")
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.step(answered(env._number))


def test_render_shows_the_episode(env: Number) -> None:
    shown = Number(render_mode="ansi")
    shown.reset(seed=1)
    shown.step(call("peek"))
    shown.step(call("fail"))
    assert shown.render() == "\n".join(
        [
            "user> Which number?",
            f"assistant> {call('peek')}",
            f"peek> {shown._number}",
            f"assistant> {call('fail')}",
            "failure> the disk is gone",
        ]
    )
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
