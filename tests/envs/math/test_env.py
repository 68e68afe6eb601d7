"""Math-v0 as an environment: the oracle solves it, no cheat does, and nothing gives the answer away."""

import json
import math
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import agentrl.envs
from agentrl.envs.errors import UsageError
from agentrl.envs.math.answers import show
from agentrl.envs.math.env import MathEnv
from agentrl.envs.math.policies import CHEATS, FLAWS
from agentrl.envs.math.tasks import generate

LEVELS = range(1, 6)
SPLITS = ("train", "test")


def play(env: MathEnv, seed: int, action: str, **options: Any) -> tuple[float, bool, dict[str, Any]]:
    """Play one turn; return reward, whether the episode terminated, and the last info."""
    env.reset(seed=seed, options=options)
    _, reward, terminated, truncated, info = env.step(action)
    assert terminated or truncated
    return float(reward), terminated, info


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_solves_300_seeds_and_no_cheat_scores(level: int) -> None:
    env = MathEnv(level=level)
    oracle, noop, cheats = env.oracle(), env.noop(), env.cheats()
    assert len(cheats) >= 12
    for seed in range(300):
        observation, info = env.reset(seed=seed, options={"split": SPLITS[seed % 2]})
        start = env.snapshot()
        _, reward, terminated, truncated, last = env.step(oracle(observation, info))
        assert (reward, terminated, truncated, last["success"]) == (1.0, True, False, True), observation
        for name, cheat in {**cheats, "noop": noop}.items():
            env.restore(start)
            _, reward, _, _, last = env.step(cheat(observation, info))
            assert (reward, last["success"]) == (0.0, False), (name, observation)


@pytest.mark.parametrize("level", LEVELS)
def test_the_answer_is_not_given_away(level: int) -> None:
    """Neither as a number of the observation or of `info`, nor through the id."""
    env = MathEnv(level=level)
    for seed in range(100):
        observation, info = env.reset(seed=seed)
        task = env.snapshot()["_task"]
        told = {"system": info["system"], "task": info["task"], "observation": observation}
        assert set(info) == {"system", "task"}
        words = json.dumps(told).replace("-", " ").replace('"', " ").replace("$", " ").replace("%", " ").split()
        assert show(task.answer) not in {
            word.strip(".,?:}{") for word in words if word.strip(".,?:}{") not in "1 2 3 4 5"
        }


def truth(seed: int, **options: Any) -> str:
    env = MathEnv()
    env.reset(seed=seed, options=options)
    return show(env.snapshot()["_task"].answer)


@pytest.mark.parametrize(
    ("action", "reward"),
    [
        ("<answer>{}</answer>", 1.0),
        ("<think>a * b</think>So it is <answer> {} </answer>.", 1.0),
        ("<think><answer>7</answer></think><answer>{}</answer>", 1.0),
        ("<answer>{}.00</answer>", 1.0),
        ("<answer>${} dollars</answer>", 1.0),
        ("<answer>{}</answer><answer>{}</answer>", 0.0),
        ("<answer>{}</answer><answer>7</answer>", 0.0),
        ("<answer>{} or 7</answer>", 0.0),
        ("<answer>{}, 7</answer>", 0.0),
        ("<answer>{}-{}</answer>", 0.0),
        ("<answer>-{}</answer>", 0.0),
        ("<answer>{}1</answer>", 0.0),
        ("<answer>{}%</answer>", 0.0),
        ("{}", 0.0),
        ("<answer>{}", 0.0),
        ("<think><answer>{}</answer></think>", 0.0),
        ("<think><answer>{}</answer>", 0.0),
        ('<tool_call>{{"name": "answer", "arguments": {{"x": "<answer>7"}}}}</tool_call>', 0.0),
    ],
)
def test_what_an_action_earns(action: str, reward: float) -> None:
    env = MathEnv(level=2)
    seed = next(
        seed for seed in range(50) if truth(seed, level=2).isdigit() and env.reset(seed=seed)[0].count("dollar")
    )
    earned, _, info = play(env, seed, action.format(*[truth(seed, level=2)] * action.count("{}")))
    assert earned == reward
    assert info["success"] is (reward == 1.0)


def test_format_is_a_component_of_its_own() -> None:
    env = MathEnv(weights={"exact_match": 1.0, "format": 0.25})
    assert play(env, 1, "<answer>-7</answer>")[2]["rewards"] == {"exact_match": 0.0, "format": 1.0}
    assert play(env, 1, "<answer>-7</answer>")[0] == 0.25
    assert play(env, 1, "<answer>seven</answer>")[2]["rewards"] == {"exact_match": 0.0, "format": 0.0}
    assert play(env, 1, f"<answer>{truth(1)}</answer>")[0] == 1.25


def test_one_turn_is_all_there_is() -> None:
    reward, terminated, info = play(MathEnv(), 3, "I do not know.")
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    env = MathEnv(max_turns=2)
    env.reset(seed=3)
    observation, *_, truncated, info = env.step("I do not know.")
    assert not truncated
    assert "Write <answer>" in observation
    assert env.step(f"<answer>{truth(3)}</answer>")[1] == 1.0


def test_the_demonstrator_is_imperfect_in_known_proportions() -> None:
    env = MathEnv(level=3)
    for flaws, low, high in ((FLAWS, 0.15, 0.35), ({"none": 1.0}, 1.0, 1.0), ({"stops early": 1.0}, 0.0, 0.1)):
        policy = env.demonstrator(np.random.default_rng(5), flaws=flaws)
        solved = 0.0
        for seed in range(300):
            observation, info = env.reset(seed=seed)
            solved += float(env.step(policy(observation, info))[1])
        assert low <= solved / 300 <= high
    assert max(FLAWS, key=lambda name: FLAWS[name]) != "none"
    assert math.isclose(sum(FLAWS.values()), 1.0)
    first, second = (env.demonstrator(np.random.default_rng(9)) for _ in range(2))
    observation, info = env.reset(seed=0)
    assert [first(observation, info) for _ in range(20)] == [second(observation, info) for _ in range(20)]


def test_the_same_seed_gives_the_same_episode() -> None:
    for split in SPLITS:
        for level in LEVELS:
            one, two = MathEnv(split=split, level=level), MathEnv()
            first = one.reset(seed=11)
            assert first == two.reset(seed=11, options={"split": split, "level": level})
            assert first[1]["task"]["split"] == split
            assert first[1]["task"]["level"] == level
            assert one.reset()[0] == two.reset(options={"split": split, "level": level})[0] != first[0]


def test_gymnasium_has_nothing_to_say() -> None:
    assert agentrl.envs.__name__ == "agentrl.envs"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("agentrl.envs:AgentRL/Math-v0", level=2, render_mode="ansi")
        check_env(env.unwrapped)
        observation, _ = env.reset(seed=1)
        env.step("<answer>3</answer>")
        rendered = env.render()
        assert isinstance(rendered, str)
        assert observation in rendered
        env.close()
        env.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(mode: str) -> None:
    envs = gym.make_vec("AgentRL/Math-v0", num_envs=2, vectorization_mode=mode, level=1)
    try:
        observations, _ = envs.reset(seed=4)  # and 5 for the second
        single = MathEnv(level=1)
        assert tuple(observations) == (single.reset(seed=4)[0], single.reset(seed=5)[0])
        _, rewards, terminations, *_ = envs.step((f"<answer>{truth(4)}</answer>", "<answer>-1</answer>"))
        assert list(rewards) == [1.0, 0.0]
        assert list(terminations) == [True, True]
    finally:
        envs.close()


def test_wrong_use_is_named() -> None:
    with pytest.raises(UsageError, match="split='dev'"):
        MathEnv(split="dev")
    with pytest.raises(UsageError, match="level=6"):
        MathEnv(level=6)
    with pytest.raises(UsageError, match="call reset"):
        MathEnv().oracle()("", {})


def test_cheats_write_what_their_names_say() -> None:
    question = generate(1, "train", 2).question
    for name, cheat in CHEATS.items():
        action = cheat(question, {})
        assert isinstance(action, str), name
    assert CHEATS["the question"](question, {}) == f"<answer>{question}</answer>"
