"""The calculator: exact, bounded, and the same in process and in a box."""

from __future__ import annotations

from fractions import Fraction

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.envs.math.tools import Calculator
from agentrl.envs.scripted import call
from agentrl.envs.tools.toolset import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("6 * 7", "42"),
        (" (3 + 4) * 2.5 ", "35/2 = 17.5"),
        ("0.1 + 0.2", "3/10 = 0.3"),
        ("7 / 3", "7/3 = 2.33333"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("2 ** 10 - +1", "1023"),
        ("2 ** -1", "1/2 = 0.5"),
        ("1_000 + 1e3", "2000"),
    ],
)
def test_it_calculates_exactly(expression: str, value: str) -> None:
    assert Calculator().calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "is no arithmetic"),
        ("1 +", "is no arithmetic"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "the exponent 387420489 must be a whole number, and the power no longer"),
        ("2 ** 0.5", "the exponent 1/2 must be a whole number"),
        ("1e999999", "a number of more than 512 bits"),
        ("1e99999999999", "a number of more than 512 bits"),
        ("1e-0000500", "a number of more than 512 bits"),
        ("(10 ** 100) * (10 ** 100)", "a number of more than 512 bits"),
        ("0x10", "'0x10' is no decimal number"),
        ("1 < 2", "'1 < 2' is not arithmetic"),
        ("__import__('os')", "is not arithmetic"),
        ("True + 1", "'True' is not arithmetic"),
        ("1j", "'1j' is not arithmetic"),
        ("[1][0]", "is not arithmetic"),
        ("(" * 60 + "1" + ")" * 60 + "+" * 60 + "1", "nested more than 50 deep"),
        ("1" * 501, "the expression has 501 characters; at most 500 are read"),
        ("(" * 300, "is no arithmetic"),
        ("\x00", "is no arithmetic"),
    ],
)
def test_what_it_refuses_it_says(expression: str, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        Calculator().calculate(expression)
    assert said in str(caught.value)


@given(st.text("0123456789+-*/(). %e", max_size=40))
def test_no_text_breaks_it(expression: str) -> None:
    try:
        text = Calculator().calculate(expression)
    except ToolError:
        return
    assert isinstance(Fraction(text.partition(" ")[0]), Fraction)


@pytest.mark.parametrize(
    "backend",
    ["local", pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)],
)
def test_an_episode_with_the_calculator(backend: str) -> None:
    env = gym.make("AgentRL/Math-v0", calculator=True, backend=backend)
    observation, info = env.reset(seed=3)
    assert [tool["function"]["name"] for tool in info["tools"]] == ["calculate"]
    assert env.step(call("calculate", expression="84 / 2"))[0] == "42"
    assert "division by zero" in env.step(call("calculate", expression="1 / 0"))[0]
    inner = env.unwrapped
    action = inner.oracle()(observation, info)  # type: ignore[attr-defined]
    assert env.step(action)[1] == 1.0
    env.close()


def test_without_it_there_are_no_tools() -> None:
    env = gym.make("AgentRL/Math-v0")
    assert "tools" not in env.reset(seed=3)[1]
    assert env.unwrapped.max_turns == 1  # type: ignore[attr-defined]
