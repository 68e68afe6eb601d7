"""What every registered environment must hold: the protocol, determinism, snapshots, vectors, floor and cheats."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agentrl.cli.registry import our_envs
from agentrl.envs.core import TextEnv
from agentrl.envs.protocol import Policy

IDS = our_envs()


def bare(env_id: str, **kwargs: Any) -> TextEnv:
    env = gym.make(env_id, **kwargs).unwrapped
    assert isinstance(env, TextEnv)
    return env


def played(env: gym.Env[str, str], policy: Policy, observation: str, info: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Play an episode to its end; return what each step gave."""
    steps: list[tuple[Any, ...]] = []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        steps.append(env.step(policy(observation, info)))
        observation, info = steps[-1][0], steps[-1][4]
    return steps


def runs_code(env_id: str) -> bool:
    env = bare(env_id)  # made, since an entry point may be a function that chooses a class; this leases no box
    try:
        return env.runs_code
    finally:
        env.close()


# An environment that runs a model's code needs boxes. A run there takes milliseconds, so the sweeps take fewer seeds.
RUN_CODE = frozenset(filter(runs_code, IDS))
FEW = RUN_CODE | {"AgentRL/Browse-v0"}  # of which an episode takes boxes, or a browser: fewer seeds
MARKED = [pytest.param(env_id, marks=pytest.mark.docker) if env_id in RUN_CODE else env_id for env_id in IDS]

every = pytest.mark.parametrize("env_id", MARKED)


def test_there_are_environments() -> None:
    assert "AgentRL/Search-v0" in IDS


@every
@pytest.mark.parametrize("kwargs", [{}, {"render_mode": "ansi", "split": "test", "level": 5}])
def test_gymnasium_s_checker_has_nothing_to_say(env_id: str, kwargs: dict[str, Any]) -> None:
    env = gym.make(env_id, **kwargs)  # a warning is an error here
    check_env(env.unwrapped)
    observation, _ = env.reset(seed=3)
    assert observation in env.observation_space
    env.step(env.action_space.sample())
    env.close()


@every
@pytest.mark.parametrize("level", range(1, 6))
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_protocol_over_whole_episodes(env_id: str, split: str, level: int) -> None:
    env = gym.make(env_id, split=split, level=level, render_mode="ansi")
    inner = env.unwrapped
    assert isinstance(inner, TextEnv)
    for seed in range(1 if env_id in FEW else 3):
        observation, info = env.reset(seed=seed)
        assert set(info) <= {"system", "tools", "task"}
        assert info["task"]["split"] == split
        assert info["task"]["level"] == level
        assert json.loads(json.dumps(info)) == info
        assert observation in env.observation_space
        steps = played(env, inner.oracle(), observation, info)
        for told, reward, terminated, truncated, info in steps:
            assert told in env.observation_space
            assert told == "\n\n".join(reply["content"] for reply in info["replies"])
            assert json.loads(json.dumps(info)) == info
            assert reward == sum(inner.weights[name] * value for name, value in info["rewards"].items())
            assert all(0 <= value <= 1 for value in info["rewards"].values())
            assert ("success" in info) == (terminated or truncated)
        assert set(info["rewards"]) == set(inner.components)
        assert (reward, info["success"], terminated, truncated) == (1.0, True, True, False)
        shown = env.render()
        assert isinstance(shown, str)
        assert shown.startswith(f"user> {observation}")
    env.close()


@every
def test_options_override_split_and_level_for_one_episode(env_id: str) -> None:
    env = bare(env_id, split="train", level=1)
    other = bare(env_id, split="test", level=4)
    assert env.reset(seed=9, options={"split": "test", "level": 4}) == other.reset(seed=9)
    assert env.reset(seed=9)[1]["task"]["level"] == 1
    assert env.reset(seed=9)[1]["task"]["split"] == "train"


@every
def test_without_a_seed_episodes_go_on_from_the_generator(env_id: str) -> None:
    env, other = bare(env_id), bare(env_id)
    first = [env.reset(seed=4)] + [env.reset() for _ in range(3)]
    second = [other.reset(seed=4)] + [other.reset() for _ in range(3)]
    assert first == second
    assert len({info["task"]["id"] for _, info in first}) == 4
    assert env.reset()[1]["task"]["id"] != bare(env_id).reset()[1]["task"]["id"]


def generators() -> tuple[object, bytes]:
    """Return the state of the process's generators."""
    return random.getstate(), pickle.dumps(np.random.get_state())


@every
def test_global_generators_are_left_alone(env_id: str) -> None:
    before = generators()
    env = bare(env_id, level=3)
    for seed in (None, 1):
        observation, info = env.reset(seed=seed)
        played(env, env.oracle(), observation, info)
    assert generators() == before


EPISODES = """
import hashlib, json, sys
import gymnasium as gym
env = gym.make(f"agentrl.envs:{sys.argv[1]}").unwrapped
told = hashlib.sha256()
for level in range(1, 6):
    for split in ("train", "test"):
        for seed in range(int(sys.argv[2])):
            observation, info = env.reset(seed=seed, options={"split": split, "level": level})
            policy, done = env.oracle(), False
            while not done:
                action = policy(observation, info)
                told.update(json.dumps([observation, info, action]).encode())
                observation, reward, terminated, truncated, info = env.step(action)
                done = terminated or truncated
            told.update(json.dumps([observation, reward, info]).encode())
print(told.hexdigest(), "torch" in sys.modules)
"""


@every
def test_every_process_plays_the_same_episodes(env_id: str) -> None:
    """Also: the id with the module in it needs no import before, and no torch is loaded."""
    said = set()
    for number in ("0", "4242") if env_id in FEW else ("0", "1", "4242"):
        environ = {**os.environ, "PYTHONHASHSEED": number}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", EPISODES, env_id, "1" if env_id in FEW else "3"],
            capture_output=True,
            text=True,
            env=environ,
        )
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1
    assert said.pop().endswith(" False\n")


@every
def test_an_import_is_enough_to_make_it(env_id: str) -> None:
    code = f"import gymnasium, agentrl.envs; print(gymnasium.make({env_id!r}).reset(seed=1)[1]['task']['id'])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == bare(env_id).reset(seed=1)[1]["task"]["id"], done.stderr


@every
@pytest.mark.parametrize(
    "mode",
    [
        {"vectorization_mode": "sync"},
        {"vectorization_mode": "async"},
        {"vectorization_mode": "async", "vector_kwargs": {"shared_memory": False}},
    ],
    ids=["sync", "async", "async-without-shared-memory"],
)
def test_vectors_of_environments_play_what_single_ones_play(env_id: str, mode: dict[str, Any]) -> None:
    single = [bare(env_id, level=2) for _ in range(2)]
    vector = gym.make_vec(env_id, num_envs=2, level=2, **mode)
    try:
        observations, infos = vector.reset(seed=11)
        begun = [env.reset(seed=11 + index) for index, env in enumerate(single)]
        assert tuple(observations) == tuple(observation for observation, _ in begun)
        assert [task["id"] for task in _column(infos, "task")] == [info["task"]["id"] for _, info in begun]
        policies = [env.oracle() for env in single]
        told = [(observation, info) for observation, info in begun]
        ended = [False, False]
        while not all(ended):
            actions = tuple(
                "" if over else policy(*seen) for policy, seen, over in zip(policies, told, ended, strict=True)
            )
            observations, rewards, terminations, truncations, infos = vector.step(actions)
            for index, env in enumerate(single):
                if not ended[index]:
                    observation, reward, terminated, truncated, info = env.step(actions[index])
                    assert observations[index] == observation
                    assert (rewards[index], terminations[index], truncations[index]) == (reward, terminated, truncated)
                    told[index], ended[index] = (observation, info), terminated or truncated
                    if ended[index]:
                        assert bool(infos["success"][index]) is info["success"] is True
        observations, *_ = vector.step(("", ""))  # both ended, so this begins the next episodes
        assert all(observation for observation in observations)
    finally:
        vector.close()


def _column(infos: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Undo what a vector does to a dictionary in info: {"id": array} in place of an array of dictionaries."""
    column = infos[name]
    return [{key: values[index] for key, values in column.items() if not key.startswith("_")} for index in range(2)]


@every
def test_a_snapshot_holds_the_whole_episode(env_id: str) -> None:
    env, other = (bare(env_id, level=4, render_mode="ansi") for _ in range(2))
    other.reset(seed=99)
    for seed in range(3 if env_id in FEW else 10):
        observation, info = env.reset(seed=seed)
        policy, turns = env.oracle(), []
        steps: list[tuple[Any, ...]] = []
        taken = env.snapshot()
        packed = pickle.dumps(taken)
        while not steps or not (steps[-1][2] or steps[-1][3]):
            if len(steps) == 1:
                taken = env.snapshot()
                packed = pickle.dumps(taken)
            turns.append(policy(observation, info))
            steps.append(env.step(turns[-1]))
        shown, then = env.render(), env.reset()
        for again, snapshot in ((env, taken), (other, pickle.loads(packed)), (other, taken)):
            again.restore(snapshot)
            start = 1 if len(steps) > 1 else 0
            assert [again.step(turn) for turn in turns[start:]] == steps[start:]
            assert again.render() == shown
            assert again.reset() == then  # the generator is a part of it
    env.close()
    other.close()


@every
def test_close_may_be_called_again(env_id: str) -> None:
    env = gym.make(env_id)
    env.close()
    env.reset(seed=1)
    env.close()
    env.close()


@every
def test_the_floor_earns_nothing(env_id: str) -> None:
    for level in range(1, 6):
        env = bare(env_id, level=level)
        for seed in range(1 if env_id in FEW else 5):
            observation, info = env.reset(seed=seed)
            steps = played(env, env.noop(), observation, info)
            assert sum(step[1] for step in steps) == 0
            assert steps[-1][4]["success"] is False


@every
def test_there_are_cheats_and_they_earn_nothing_and_move_no_generator(env_id: str) -> None:
    env, before = bare(env_id), generators()
    assert len(env.cheats()) >= 5
    for level in range(1, 6):
        for seed in [level] if env_id in FEW else range(5):
            for name, _ in env.cheats().items():
                observation, info = env.reset(seed=seed, options={"level": level})
                steps = played(env, env.cheats()[name], observation, info)
                assert sum(step[1] for step in steps) == 0, name
                assert steps[-1][4]["success"] is False, name
    assert generators() == before
