"""Whole episodes on a runner: the same as with one environment, in any order, and gone when the runner is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import pytest

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.runner import EpisodeRecord, Runner
from tests.envs.runner.test_runner import alive

Workers = Literal["threads", "processes"]
both = pytest.mark.parametrize("workers", ["threads", "processes"])


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    gym.register("OddPlay-v0", entry_point="tests.envs.runner.odd:Odd")
    yield
    del gym.registry["OddPlay-v0"]


def says(*turns: str) -> Callable[[int], Policy]:
    """Return a factory of policies that say these turns one after another."""

    def make(seed: int) -> Policy:
        left = iter(turns)
        return lambda observation, info: next(left, "end")

    return make


def single(env_id: str, name: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Play one episode without a runner."""
    env = gym.make(env_id)
    observation, info = env.reset(seed=seed, options=options)
    inner: Any = env.unwrapped
    policy = inner.cheats()[name] if name in inner.cheats() else getattr(inner, name)()
    steps, done, seen = [], False, (observation, info)
    while not done:
        action = policy(*seen)
        told, reward, terminated, truncated, last = env.step(action)
        steps.append((action, told, reward, terminated, truncated, last))
        seen, done = (told, last), terminated or truncated
    env.close()
    return plain(seed, observation, info, steps)


def plain(seed: int, observation: Any, info: Any, steps: list[Any]) -> dict[str, Any]:
    return {"seed": seed, "observation": observation, "info": info, "steps": steps}


def as_plain(record: EpisodeRecord) -> dict[str, Any]:
    steps = [
        (each.action, each.observation, each.reward, each.terminated, each.truncated, each.info)
        for each in record.steps
    ]
    return plain(record.seed, record.observation, record.info, steps)


@both
@pytest.mark.parametrize("env_id", ["agentrl.envs:AgentRL/Math-v0", "AgentRL/Search-v0"])
def test_the_same_episodes_as_one_environment_plays(env_id: str, workers: Workers) -> None:
    options = {"split": "test", "level": 3}
    with Runner(env_id, num_slots=6, workers=workers) as runner:
        for name, reward in (("oracle", 1.0), ("noop", 0.0)):
            records = runner.play(name, range(12), options=options)
            assert [record.seed for record in records] == list(range(12))
            assert [record.reward for record in records] == [reward] * 12
            assert [record.success for record in records] == [reward == 1.0] * 12
            assert [as_plain(record) for record in records] == [
                single(env_id, name, seed, options) for seed in range(12)
            ]
        assert runner.num_restarts == 0


@both
def test_policies_of_the_caller_think_beside_each_other(workers: Workers) -> None:
    thinking, most = set(), 0
    lock = threading.Lock()

    def make(seed: int) -> Policy:
        turns = iter(["sleep 0.01", f"seed {seed}", "end"])

        def policy(observation: str, info: dict[str, Any]) -> str:
            nonlocal most
            with lock:
                thinking.add(seed)
                most = max(most, len(thinking))
            time.sleep(0.05)
            with lock:
                thinking.discard(seed)
            return next(turns)

        return policy

    with Runner("OddPlay-v0", num_slots=8, workers=workers) as runner:
        records = runner.play(make, range(20))
    assert [[step.action for step in record.steps] for record in records] == [
        ["sleep 0.01", f"seed {seed}", "end"] for seed in range(20)
    ]
    assert all(record.failure is None and record.num_attempts == 1 for record in records)
    assert 4 <= most <= 8


@both
def test_a_failure_is_tried_again_then_recorded_and_is_no_reward(workers: Workers) -> None:
    with Runner("OddPlay-v0", num_slots=2, workers=workers) as runner:
        (record,) = runner.play(says("ok", "raise broken"), [5])
        assert record.num_attempts == 2
        assert record.failure is not None
        assert record.failure["message"] == "RuntimeError: broken"
        assert [step.action for step in record.steps] == ["ok", "raise broken"]
        tries = iter([says("ok", "raise once"), says("ok")])
        (record,) = runner.play(lambda seed: next(tries)(seed), [5])
        assert (record.num_attempts, record.failure, record.reward) == (2, None, 2.0)
        (record,) = runner.play(says("raise broken"), [5], max_retries=0)
        assert record.num_attempts == 1
        assert record.success is None


@both
def test_an_episode_without_an_end_is_left(workers: Workers) -> None:
    with Runner("OddPlay-v0", num_slots=2, workers=workers) as runner:
        records = runner.play(lambda seed: lambda observation, info: "on", range(5), max_steps=3)
    assert [len(record.steps) for record in records] == [3] * 5
    assert not records[0].steps[-1].truncated


@both
def test_what_a_policy_raises_comes_out(workers: Workers) -> None:
    def make(seed: int) -> Policy:
        def policy(observation: str, info: dict[str, Any]) -> str:
            raise ZeroDivisionError(f"of seed {seed}")

        return policy

    with Runner("OddPlay-v0", num_slots=2, workers=workers) as runner:
        with pytest.raises(ZeroDivisionError, match="of seed 0"):
            runner.play(make, [0])
        with pytest.raises(UsageError, match="the runner is closed"):
            runner.reset(0)


def test_players_that_do_not_exist_name_the_near_miss() -> None:
    with Runner("AgentRL/Math-v0", num_slots=1) as runner:
        (record,) = runner.play("orcale", [1], max_retries=0)
        assert record.failure is not None
        assert "did you mean 'oracle'?" in record.failure["message"]
        runner.reset(0, policy="oracle")
        runner.recv()
        with pytest.raises(UsageError, match=r"chooses the actions of slot 0; call step\(0\) without one"):
            runner.step(0, "mine")
        runner.step(0)
        with pytest.raises(UsageError, match="are under way"):
            runner.play("oracle", [1])


def test_any_gymnasium_environment() -> None:
    pytest.importorskip("gymnasium.envs.toy_text")
    with Runner("FrozenLake-v1", num_slots=3, workers="processes", env_kwargs={"is_slippery": False}) as runner:
        for slot in range(3):
            runner.reset(slot, seed=slot)
        assert [event.observation for event in runner.ready()] == [0, 0, 0]
        runner.step(1, 2)
        event = runner.recv()
        assert (event.observation, event.reward, event.done) == (1, 0.0, False)


# -- what is left ----------------------------------------------------------------------------------------------------

WAITS = """
import sys
from agentrl.envs.runner import Runner
import gymnasium
gymnasium.register("Odd-v0", entry_point="tests.envs.runner.odd:Odd")
with Runner("Odd-v0", num_slots=4, workers=sys.argv[1]) as runner:
    for slot in range(4):
        runner.reset(slot)
    for slot in range(4):
        runner.recv()
    print(*runner.pids, flush=True)
    for slot in range(4):
        runner.step(slot, "hang" if slot == 0 else "sleep 0.2")
    for event in runner.ready():
        if event.slot != 0:
            runner.step(event.slot, "sleep 0.01")
"""


@pytest.mark.parametrize(
    ("workers", "signum"),
    [
        ("threads", signal.SIGINT),
        ("processes", signal.SIGINT),
        ("processes", signal.SIGKILL),
        ("processes", signal.SIGTERM),
    ],
)
def test_a_runner_that_is_stopped_leaves_no_process(workers: Workers, signum: signal.Signals) -> None:
    """Also: a script without `if __name__ == "__main__"` may use processes."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, workers], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        assert script.stderr is not None
        pids = [int(word) for word in script.stdout.readline().split()]
        assert len(pids) == (min(4, os.cpu_count() or 1) if workers == "processes" else 0)
        time.sleep(0.3)
        script.send_signal(signum)
        assert script.wait(30) == -signum
        if signum == signal.SIGINT:
            assert script.stderr.read().rstrip().endswith("KeyboardInterrupt")
    assert left_of(pids) == []


def left_of(pids: Iterable[int]) -> list[int]:
    """Return which processes are there still, after at most 20 seconds: the end of one is noticed by others."""
    stop = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < stop:
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


def descendants(pid: int) -> set[int]:
    """Return the processes below one."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = set(), [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found |= set(below)
        waiting += below
    return found


@pytest.mark.bwrap
def test_boxes_of_episodes_are_gone_with_the_runner() -> None:
    with Runner(
        "AgentRL/Search-v0", num_slots=4, workers="processes", num_workers=1, env_kwargs={"backend": "bwrap"}
    ) as runner:
        records = runner.play("oracle", range(6))
        assert [record.reward for record in records] == [1.0] * 6
        runner.reset(0, seed=1)
        runner.recv()
        (pid,) = runner.pids
        below = descendants(pid)
        assert below
    assert not alive(pid)
    assert left_of(below) == []


LIGHT = """
import sys, threading
import agentrl.envs.runner.runner
print(sorted({"torch", "transformers", "docker"} & set(sys.modules)), threading.active_count())
"""


def test_importing_it_starts_nothing_and_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"
