"""The environment over the toy domain: a dialogue, what is answered, what is scored, what a snapshot holds."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.scripted import call
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.policies import last_message, solution
from agentrl.envs.tooluse.tasks import Task
from tests.envs.tooluse.playing import played


@pytest.fixture
def env(toy: str) -> Iterator[ToolUseEnv]:
    made = ToolUseEnv(domain=toy, level=2, backend="local")
    made.reset(seed=1)
    yield made
    made.close()


def playing(family: str, *, level: int = 2, split: str = "train", seed: int = 1, **options: Any) -> ToolUseEnv:
    made = ToolUseEnv(domain="toy", family=family, level=level, split=split, backend="local", **options)
    made.reset(seed=seed)
    return made


def task_of(env: ToolUseEnv) -> Task:
    assert env._task is not None
    return env._task


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("level", range(1, 6))
def test_the_oracle_serves_every_task_and_no_cheat_any(toy: str, level: int, split: str) -> None:
    env = ToolUseEnv(domain=toy, level=level, split=split, backend="local")
    for seed in range(10):
        reward, info = played(env, env.oracle(), seed)
        assert (reward, info["success"]) == (1.0, True)
        for title, policy in {"noop": env.noop(), **env.cheats()}.items():
            assert played(env, policy, seed)[0] == 0.0, (title, seed)


def test_a_demonstrator_succeeds_now_and_then(toy: str) -> None:
    env = ToolUseEnv(domain=toy, level=2, backend="local")
    rng = np.random.default_rng(1)
    rewards = [played(env, env.demonstrator(rng), seed)[0] for seed in range(60)]
    assert 0.2 < sum(rewards) / len(rewards) < 0.95


def test_the_prompt_holds_the_role_the_day_and_the_policy(env: ToolUseEnv) -> None:
    system = env.instructions()
    (code, text), *_ = task_of(env).rules
    assert system.startswith("You keep boxes. Today is 2026-03-01. ")
    assert f"[{code}] {text}" in system
    assert "Policy:" not in _without_rules().instructions()


def _without_rules() -> ToolUseEnv:
    made = playing("shut")
    made._task = Task(**{**vars(task_of(made)), "rules": ()})
    return made


# -- the dialogue ----------------------------------------------------------------------------------------------------


def test_plain_text_goes_to_the_user_and_what_they_say_counts_as_known(toy: str) -> None:
    env = playing("price")
    reply = env.step("Which box is it?")[4]["replies"][0]
    (box,) = [row for row in task_of(env).rows["boxes"] if row[0] in reply["content"]]
    assert reply == {"role": "user", "name": "", "content": f"It is {box[0]}."}
    env.step(call("look", box=box[0]))
    _, reward, terminated, _, info = env.step(f"<answer>Your box {box[0]} costs {box[2]}.</answer>")
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    assert info["rewards"] == {"solved": 1.0, "database": 1.0, "told": 1.0, "format": 1.0}


def test_a_right_message_with_a_wrong_database_is_half_a_success(toy: str) -> None:
    env = playing("price")
    fact = task_of(env).case.tell[0].value
    env.step(call("add", state="open", price=fact))
    _, reward, _, _, info = env.step(f"<answer>{fact}</answer>")
    assert (reward, info["rewards"]["database"], info["rewards"]["told"], info["success"]) == (0.0, 0.0, 1.0, False)


def test_obeying_and_refusing_at_once_is_no_refusal(toy: str) -> None:
    env = playing("refused")
    task = task_of(env)
    env.step(call("add", state="open", price=task.case.tell[0].value))
    assert env.step(last_message(task))[1] == 0.0
    env = playing("refused")
    assert env.step(last_message(task_of(env)))[1] == 1.0


def test_free_text_may_be_anything(toy: str) -> None:
    env = playing("shut")
    box = next(row[0] for row in task_of(env).rows["boxes"] if row[0] in task_of(env).case.request)
    env.step(call("shut", box=box, note="as it was wished"))
    assert env.step("<answer>Done.</answer>")[1] == 1.0


@pytest.mark.parametrize("text", ["", "  ", "<answer>45.00", "45.00</answer>", "<tool_call>{]</tool_call>"])
def test_what_is_neither_a_call_nor_a_message_is_answered_and_costs_the_format(toy: str, text: str) -> None:
    env = playing("shut")
    observation, reward, terminated, _, _ = env.step(text)
    assert observation.startswith("Error")
    assert (reward, terminated) == (0.0, False)
    for turn in solution(task_of(env)):
        _, reward, _, _, info = env.step(turn)
    assert (reward, info["rewards"]["format"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (call("look"), "the argument box is missing"),
        (call("look", box="a", boxes="b"), "there is no argument"),
        (call("look", box=["a"]), "box must be"),
        (call("look", box="amber-nothing"), "Error: there is no box 'amber-nothing'"),
        (call("look", box="'; DROP TABLE boxes; --"), "there is no box"),
        (call("lok", box="a"), "lok"),
        (call("shut", box="x" * 10_000), "there is no box"),
    ],
)
def test_a_call_that_cannot_be_run_is_explained_and_changes_nothing(env: ToolUseEnv, text: str, words: str) -> None:
    before = env.snapshot()["toolset"]
    observation, reward, terminated, truncated, _ = env.step(text)
    assert words in observation
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert env.snapshot()["toolset"] == before


def test_a_refusal_of_a_tool_is_no_mistake_of_format(toy: str) -> None:
    env = playing("shut")
    turn, message = solution(task_of(env))
    env.step(turn)
    assert "is shut already" in env.step(turn)[0]
    assert env.step(message)[4]["rewards"]["format"] == 1.0


def test_a_tool_that_the_task_does_not_offer_is_not_run(toy: str) -> None:
    for seed in range(20):
        env = playing("shut", level=1, seed=seed)
        if "add" in task_of(env).tools:
            continue
        before = env.snapshot()["toolset"]
        env.step(call("add", state="open", price="1.00"))
        assert env.snapshot()["toolset"] == before
        return
    raise AssertionError("every task of level 1 offers add")


# -- snapshots -------------------------------------------------------------------------------------------------------


def test_an_episode_goes_on_from_the_middle_of_a_dialogue_in_another_environment(toy: str) -> None:
    """The user's state travels, too: who was asked before says so."""
    env = playing("price", seed=4)
    first = env.step("Which box is it?")[0]
    taken = pickle.loads(pickle.dumps(env.snapshot()))
    turns = ["Which box is it, please?", *solution(task_of(env))[1:]]
    mine = [env.step(turn) for turn in turns]

    other = ToolUseEnv(domain=toy, family="price", level=2, backend="local")
    other.restore(taken)
    theirs = [other.step(turn) for turn in turns]
    assert theirs == mine
    assert theirs[0][0].startswith("I said it: ")
    assert theirs[0][0] != first
    assert theirs[-1][1] == 1.0


def test_a_restored_database_is_the_one_of_then(toy: str) -> None:
    env = playing("shut", seed=2)
    fresh = env.snapshot()
    turn, message = solution(task_of(env))
    env.step(turn)
    shut = env.snapshot()
    assert env.step(message)[1] == 1.0
    env.restore(fresh)
    assert env.step(message)[1] == 0.0
    env.restore(shut)
    assert env.step(message)[1] == 1.0


def test_what_the_user_said_before_a_snapshot_is_still_known_after_it(toy: str) -> None:
    env = playing("price", seed=4)
    heard = env.step("Which box is it?")[0]
    box = next(row for row in task_of(env).rows["boxes"] if row[0] in heard)
    taken = env.snapshot()
    env.step("Which box?")
    env.restore(taken)
    assert env._said == [task_of(env).case.request, heard]
    assert env.step(f"<answer>{box[0]} costs {box[2]}</answer>")[1] == 1.0


# -- what cannot be made ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"domain": "toys"}, "domain='toys' does not exist; did you mean 'toy'"),
        ({"domain": "toy", "family": "shutt"}, "family='shutt' does not exist in toy; did you mean 'shut'"),
        ({"family": "shut"}, "needs its domain"),
        ({"domain": "toy", "family": "refused", "level": 1}, "has no tasks at level=1"),
        ({"domain": "toy", "level": 6}, "level=6 does not exist"),
    ],
)
def test_what_does_not_exist_is_named(toy: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ToolUseEnv(backend="local", **options)


def test_before_a_reset_there_is_no_task(toy: str) -> None:
    env = ToolUseEnv(domain=toy, backend="local")
    with pytest.raises(UsageError, match="reset"):
        env.question()


@pytest.mark.parametrize(
    ("value", "said"), [("\\ud800", "half of a character"), ("amber", "there is no order"), ("\x00", "there is no")]
)
def test_what_a_database_cannot_hold_is_refused_in_words(value: str, said: str) -> None:
    env = ToolUseEnv(domain="shop", level=3)
    env.reset(seed=1)
    action = '<tool_call>{"name": "get_order", "arguments": {"order": "VALUE"}}</tool_call>'.replace("VALUE", value)
    observation, reward, terminated, truncated, info = env.step(action)
    assert said in observation
    assert (reward, terminated, truncated, "failure" in info) == (0.0, False, False, False)


def test_a_number_that_a_database_cannot_hold_is_refused_in_words() -> None:
    env = ToolUseEnv(domain="travel", level=3)
    env.reset(seed=1)
    huge = {"booking": "amber-fox", "traveller": "amber-fox", "bags": 10**30}
    rows = [env._host.snapshot()["rows"]]  # type: ignore[union-attr]
    observation, *_ = env.step(call("add_bags", **huge))
    assert observation.startswith("Error:")
    assert env._host.snapshot()["rows"] == rows[0]  # type: ignore[union-attr]
