"""Hosts and drivers that die: no episode is lost or counted twice, and no process is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.chat import Chat
from agentrl.trainer.desk import Allowance
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.workers import RayWorkers
from agentrl.trainer.wrapping import WrapperConfig, make_env
from tests.trainer.workers import toys

DRIVER = """
import sys, time
from functools import partial
from agentrl.trainer.workers import RayConfig, RayWorkers
with RayWorkers(2, RayConfig(address=sys.argv[1])) as workers:
    print("workers:", *(place.rpartition(" ")[2] for place in workers.places()), flush=True)
    time.sleep(600)
"""


def test_a_host_that_dies_costs_no_episode(
    ray_cluster: Any, tiny_model: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    tasks = [
        Task(step=1, group=group, member=member, seed=group, split="train", level=None, temperature=1.0)
        for group in range(6)
        for member in range(4)
    ]
    other = ray_cluster.add_node(num_cpus=8, resources={"box": 8}, object_store_memory=80 * 2**20)
    with TorchEngine(tiny_model()) as engine, RayWorkers(2) as workers:
        there = [place for place in workers.places() if _node_of(_pid(place)) == _node_of_node(other)]
        assert len(there) == 1  # one worker each
        rollouts = Rollouts(
            env_id="Toy/Far-v0",
            env_kwargs={"folder": str(tmp_path), "pause_s": 0.4},
            engine=engine,
            chat=Chat(tokenizer),
            config=RolloutConfig(concurrency=8, max_turn_tokens=5),
            workers=workers,
        )
        killing = threading.Timer(1.5, ray_cluster.remove_node, args=(other,), kwargs={"allow_graceful": False})
        killing.start()
        episodes = rollouts.play(tasks)
        killing.join()
        rollouts.close()
    assert [(episode.group, episode.member) for episode in episodes] == [(task.group, task.member) for task in tasks]
    assert [episode.failure for episode in episodes] == [None] * len(tasks)
    assert {episode.task_id for episode in episodes} == {f"task {group}" for group in range(6)}
    assert 1 <= sum(episode.attempt > 0 for episode in episodes) <= 4  # those that were there
    assert all(episode.num_turns == 2 and episode.success for episode in episodes)


def _pid(place: str) -> int:
    return int(place.rpartition(" ")[2])


def _node_of(pid: int) -> int:
    """Return the process id of the raylet that a worker is of."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _node_of_node(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def test_a_killed_driver_leaves_no_worker(ray_cluster: Any) -> None:
    command = [sys.executable, "-c", DRIVER, ray_cluster.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": ""}) as driver:
        try:
            pids = _told(driver)
            assert len(pids) == 2
            assert all(_is_alive(pid) for pid in pids)
        finally:
            driver.send_signal(signal.SIGKILL)
    _wait_for_the_end(pids)


def test_a_killed_driver_leaves_nothing_of_a_cluster_of_its_own() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", DRIVER.replace("address=sys.argv[1]", "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
        try:
            workers = _told(driver)
            pids = [pid for pid in _below(driver.pid) if "Agent" not in _name(pid)]  # Ray's agents take a minute
            assert {*workers} < {*pids}
            assert {"gcs_server", "raylet"} <= {*map(_name, pids)}
        finally:
            driver.send_signal(signal.SIGKILL)
    _wait_for_the_end(pids)


def _told(driver: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the workers that a driver has told of, whatever Ray prints besides."""
    assert driver.stdout is not None
    while not (line := driver.stdout.readline()).startswith("workers: "):
        assert line, "the driver has ended"
    return list(map(int, line.split()[1:]))


def _name(pid: int) -> str:
    return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name


def _below(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_below(child)]
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_for_the_end(pids: list[int]) -> None:
    end = time.monotonic() + 30
    while left := [pid for pid in pids if _is_alive(pid)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def test_an_address_where_nobody_is() -> None:
    began = time.monotonic()
    code = "from agentrl.trainer.workers import RayConfig, RayWorkers\nRayWorkers(1, RayConfig(address='127.0.0.1:1'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert "ConfigError: no Ray head answers at 127.0.0.1:1" in done.stderr
    assert "ray start --head --port 1" in done.stderr
    assert time.monotonic() - began < 45


@pytest.mark.bwrap
def test_a_box_is_on_the_host_of_its_environment(ray_cluster: Any) -> None:
    import agentrl.envs  # noqa: F401

    with RayWorkers(1) as workers:
        make = partial(make_env, kwargs={"backend": "bwrap"}, wrapper=WrapperConfig())
        desks = workers.desks(make)
        desk = desks.lend("AgentRL/Python-v0")

        async def play() -> tuple[int, list[int]]:
            allowance = Allowance(turn_s=60.0, episode_s=60.0)
            await desk.call(toys.first_move, allowance, "step")
            pid = await desk.call(toys.process, allowance, "process")
            return pid, _below(pid)

        pid, below = asyncio.run(play())
        assert pid == _pid(workers.places()[0]) != os.getpid()
        assert "bwrap" in {*map(_name, below)}
        desks.close()
    _wait_for_the_end(below)


def test_the_command_trains_the_same(ray_cluster: Any, tmp_path: Path) -> None:
    options = [
        *("--num-steps", "1", "--eval.num-episodes", "0", "--groups-per-step", "2", "--group-size", "2"),
        *("--threads", "1", "--out", str(tmp_path)),
    ]
    rows = []
    for name, more in (("here", []), ("there", ["--env-workers", "ray:2"])):
        command = [sys.executable, "-m", "agentrl.cli.main", "train", "quickstart", *options, "--name", name, *more]
        environment = {**os.environ, "RAY_ADDRESS": ray_cluster.address}
        subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)
        with sqlite3.connect(tmp_path / name / "rollouts.sqlite") as store:
            query = "SELECT group_id, member, reward, token_ids, mask, logprobs, failure FROM episodes ORDER BY 1, 2"
            rows.append(store.execute(query).fetchall())
        store.close()
    assert len(rows[0]) == 4
    assert rows[0] == rows[1]
