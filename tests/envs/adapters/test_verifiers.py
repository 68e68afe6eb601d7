"""Environments of verifiers: its own rollout, tools and rubric, each turn of ours the completion that it waits for."""

from __future__ import annotations

import atexit
import re
import signal
import threading
import time
from typing import Any

import gymnasium
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.adapters.verifiers import VerifiersEnv
from agentrl.envs.errors import InfrastructureError, UsageError

MODULE = "tests.envs.adapters.arithmetic"
CALL = '<tool_call>{"name": "multiply", "arguments": {"a": %s, "b": 7}}</tool_call>'


def made(kind: str = "sums", **arguments: Any) -> VerifiersEnv:
    env = gymnasium.make("AgentRL/Verifiers-v0", env_id=MODULE, config={"kind": kind}, **arguments).unwrapped
    assert isinstance(env, VerifiersEnv)
    return env


def _number(text: str) -> int:
    found = re.search(r"\d+", text)
    assert found is not None
    return int(found[0])


def _loops() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "agentrl-loop"}


def _num_loops(known: set[threading.Thread], wanted: int = 0) -> int:
    """Count the threads of loops beside those known, once they are no more than wanted, or after a while."""
    stop = time.monotonic() + 10
    while (num := len(_loops() - known)) > wanted and time.monotonic() < stop:
        time.sleep(0.01)
    return num


def test_a_task_is_solved_with_the_suites_tool() -> None:
    with made() as env:
        question, info = env.reset(seed=1)
        assert [tool["function"]["name"] for tool in info["tools"]] == ["multiply"]
        number = _number(question)
        told = env.step("I multiply.\n" + CALL % number)
        assert told[4]["replies"] == [{"role": "tool", "name": "multiply", "content": str(7 * number)}]
        assert told[1:4] == (0.0, False, False)
        _, reward, terminated, _, info = env.step(f"<answer>{told[0]}</answer>")
        assert (reward, terminated, info["success"]) == (1.0, True, True)
        assert info["rewards"] == {"_exact": 1.0, "rest": 0.0}
        assert env.step.__self__ is env  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match="the episode is over"):
            env.step("again")


def test_the_rubric_of_the_suite_is_the_reward() -> None:
    with made("single") as env:
        assert env.weights == {"_exact": 1.0, "_marked": 0.25, "rest": 1.0}
        question, info = env.reset(seed=2)
        assert info["system"] == "Answer in <answer> tags."
        right = 2 * _number(question)
        _, reward, _, _, info = env.step(f"So: <answer>{right}</answer>")
        assert (reward, info["success"], info["rewards"]["_marked"]) == (1.0, True, 0.0)
        env.reset(seed=2)
        _, reward, _, _, info = env.step("<answer>x</answer>")
        assert (reward, info["success"]) == (0.25, False)
    with made("single", solved_by="_marked") as env:
        env.reset(seed=2)
        assert env.step("<answer>x</answer>")[4]["success"] is True


def test_its_evaluation_set_is_the_test_split_without_what_is_trained_on() -> None:
    with made("single") as env:
        train = {env.reset(seed=seed, options={"split": "train"})[0] for seed in range(200)}
        test = {env.reset(seed=seed, options={"split": "test"})[0] for seed in range(100)}
        assert len(train) == 40
        assert test == {f"{number}?" for number in range(9)}  # the other five of its rows are of the training set
    with made() as env:
        parts = [{env.reset(seed=s, options={"split": split})[0] for s in range(200)} for split in ("train", "test")]
        assert not parts[0] & parts[1]
        assert len(parts[0]) + len(parts[1]) == 40


def test_a_bad_call_is_answered_here_and_costs_a_turn() -> None:
    with made(max_turns=3) as env:
        env.reset(seed=1)
        told = env.step('<tool_call>{"name": "multiply", "arguments": {"a": "x"}}</tool_call>')
        assert "a must be an integer" in told[0]
        assert "No call of this turn was run." in told[0]
        assert env.step('<tool_call>{"name": "divide", "arguments": {}}</tool_call>')[0].startswith(
            "Error: There is no tool"
        )
        assert env.step("<tool_call>{")[3] is True


def test_limits_of_the_suite_end_the_rollout() -> None:
    with made() as env:
        number = _number(env.reset(seed=1)[0])
        for _ in range(3):
            assert env.step(CALL % number)[2:4] == (False, False)
        assert env.step(CALL % number)[1:4] == (0.0, True, False)  # max_turns of its own is 4


def test_episodes_side_by_side_are_apart() -> None:
    envs = [made() for _ in range(4)]
    numbers = [_number(env.reset(seed=seed)[0]) for seed, env in enumerate(envs)]
    told = [env.step(CALL % number)[0] for env, number in zip(envs, numbers, strict=True)]
    assert told == [str(7 * number) for number in numbers]
    assert len(set(numbers)) > 1
    for env in envs:
        env.close()


def test_nothing_of_the_process_is_changed_and_nothing_is_left() -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    known = _loops()  # a browser that pages of other tests share has one
    registered = atexit._ncallbacks()
    env = made()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert atexit._ncallbacks() == registered
    env.reset(seed=1)
    env.step(CALL % 3)
    env.reset(seed=2)  # leaves a rollout in the middle
    assert _num_loops(known, 1) == 1
    env.close()
    env.close()
    assert _num_loops(known) == 0


def test_an_environment_can_be_made_in_a_thread() -> None:
    found: list[str] = []

    def work() -> None:
        with made() as env:
            found.append(env.reset(seed=1)[0])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].startswith("Multiply")


def test_what_hangs_is_a_failure_in_time() -> None:
    with made("slow", timeout_s=0.5) as env:
        env.reset(seed=0)
        began = time.monotonic()
        step = env.step('<tool_call>{"name": "_sleep", "arguments": {"seconds": 60}}</tool_call>')
        assert time.monotonic() - began < 10
        assert step[1:4] == (0.0, False, True)
        assert (step[4]["failure"]["kind"], step[4]["failure"]["boundary"]) == ("timeout", "verifiers")
        assert env.reset(seed=0)[0]


def test_a_tool_that_raises_is_told_to_the_model_by_the_suite() -> None:
    with made("broken") as env:
        env.reset(seed=0)
        assert env.step('<tool_call>{"name": "_break", "arguments": {}}</tool_call>')[0] == "no such tool"


def test_a_rubric_that_breaks_is_a_failure_of_the_infrastructure() -> None:
    with made("judged") as env:
        env.reset(seed=0)
        step = env.step("<answer>1</answer>")
        assert step[1:4] == (0.0, False, True)
        assert step[4]["failure"]["kind"] == "crash"
        assert "the judge is gone" in step[4]["failure"]["message"]
    assert issubclass(InfrastructureError, Exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"env_id": "no-such-env"}, "env_id='no-such-env' cannot be loaded"),
        ({"env_id": MODULE, "config": {"kind": "groups"}}, "scores groups of rollouts together"),
        ({"env_id": MODULE, "solved_by": "_exac"}, "did you mean '_exact'"),
        ({"env_id": MODULE, "level": 2}, "level=2 does not exist"),
    ],
)
def test_what_cannot_be_driven_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        gymnasium.make("AgentRL/Verifiers-v0", **arguments)
