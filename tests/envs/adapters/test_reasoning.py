"""Data sets of reasoning-gym: whole answers are paid, the suite's own partial credit is not unless it is asked for."""

from __future__ import annotations

import random
from typing import Any

import gymnasium
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.adapters.foreign import package
from agentrl.envs.adapters.reasoning import ReasoningGymEnv
from agentrl.envs.errors import UsageError
from tests.envs.adapters.playing import solved


def made(dataset: str, **arguments: Any) -> ReasoningGymEnv:
    env = gymnasium.make("AgentRL/ReasoningGym-v0", dataset=dataset, **arguments).unwrapped
    assert isinstance(env, ReasoningGymEnv)
    return env


@pytest.mark.parametrize("dataset", ["leg_counting", "countdown", "simple_equations", "spell_backward", "mini_sudoku"])
def test_the_answer_of_the_suite_solves_it(dataset: str) -> None:
    with made(dataset) as env:
        for level in (env.levels[0], env.levels[-1]):
            for split in ("train", "test"):
                observation, reward, terminated, _, info = solved(env, seed=5, split=split, level=level)
                assert (reward, terminated, info["success"]) == (1.0, True, True)
                assert info["rewards"] == {"exact": 1.0, "score": 1.0}
                assert observation == ""


def test_what_contains_the_answer_is_paid_by_the_suite_and_not_here() -> None:
    with made("leg_counting") as env:
        env.reset(seed=0)
        entry = env._entry
        hedged = f"{entry['answer']} or 1 or 2 or 3"
        suite = package("reasoning_gym", "this test", "pip install reasoning-gym")
        paid = suite.create_dataset("leg_counting").score_answer(hedged, entry)
        assert 0 < paid < 1
        _, reward, terminated, _, info = env.step(f"<answer>{hedged}</answer>")
        assert (reward, terminated, info["success"]) == (0.0, True, False)
        assert info["rewards"] == {"exact": 0.0, "score": paid}
    with made("leg_counting", threshold=paid, weights={"exact": 0.0, "score": 1.0}) as env:
        env.reset(seed=0)
        _, reward, _, _, info = env.step(f"<answer>{hedged}</answer>")
        assert (reward, info["success"]) == (paid, True)


def test_splits_share_no_question_and_seeds_decide_the_task() -> None:
    asked: dict[str, set[str]] = {"train": set(), "test": set()}
    before = random.getstate()
    with made("leg_counting", level=1) as env, made("leg_counting", level=1) as other:
        for split, questions in asked.items():
            for seed in range(60):
                first = env.reset(seed=seed, options={"split": split})
                assert first == other.reset(seed=seed, options={"split": split})
                questions.add(first[0])
        assert not asked["train"] & asked["test"]
        assert min(map(len, asked.values())) >= 8  # level 1 has few questions, so that seeds alone would not part them
    assert random.getstate() == before


def test_levels_are_those_of_the_curriculum() -> None:
    with made("leg_counting") as env:
        assert env.levels == range(1, 6)
        animals = [
            len(str(env.reset(seed=seed, options={"level": level})[0])) for level in (1, 5) for seed in range(20)
        ]
        assert sum(animals[20:]) > sum(animals[:20]) + 20 * 5
    with made("gsm_symbolic") as env:
        assert env.levels == range(1, 2)
    with made("leg_counting", config='{"min_animals": 9, "max_animals": 9}') as env:
        assert env.reset(seed=1)[0].count(",") >= 8


def test_an_answer_that_would_be_evaluated_for_ever_is_wrong_at_once() -> None:
    with made("countdown") as env:
        env.reset(seed=0)
        _, reward, terminated, _, info = env.step("<answer>9**9**9**9**9</answer>")
        assert (reward, terminated, info["success"]) == (0.0, True, False)


def test_no_answer_costs_a_turn_and_two_are_none() -> None:
    with made("leg_counting") as env:
        env.reset(seed=0)
        assert env.step("Hm.")[0] == "Error: no answer found. Write <answer>your answer</answer>."
        answer = env.references()[0]
        assert env.step(f"<answer>{answer}</answer><answer>1</answer>")[1:3] == (0.0, True)


def test_a_data_set_without_answers_has_no_oracle() -> None:
    with made("graph_color") as env:
        env.reset(seed=0)
        assert not hasattr(env, "oracle")
        assert env.references() == ()
    with made("leg_counting") as env:
        assert hasattr(env, "oracle")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"dataset": "leg_countin"}, "did you mean 'leg_counting'"),
        ({"dataset": "composite"}, "is none of reasoning-gym"),
        ({"dataset": "leg_counting", "config": {"max_animal": 3}}, "did you mean 'max_animals'"),
        ({"dataset": "leg_counting", "config": {"seed": 3}}, "leg_counting has no 'seed'"),
        ({"dataset": "leg_counting", "threshold": 0}, "threshold=0 must be a number above 0"),
        ({"dataset": "leg_counting", "level": 6}, "level=6 does not exist"),
    ],
)
def test_what_does_not_exist_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        made(**arguments)
