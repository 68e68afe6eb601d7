"""What only processes can do: die and be replaced, hang and be ended, be stopped and hold nobody."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest

from agentrl.envs.runner import Runner
from tests.envs.runner.test_runner import ODD, alive, begun, stepped


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    gym.register("OddProcess-v0", entry_point=ODD)
    yield
    del gym.registry["OddProcess-v0"]


def processes(**arguments: Any) -> Runner:
    return Runner("OddProcess-v0", workers="processes", **{"deadline_s": 30.0, **arguments})


@pytest.mark.parametrize(
    ("action", "said"),
    [("exit 7", "ended with status 7"), ("exit 0", "ended with status 0"), ("kill", "was killed by signal 9")],
)
def test_a_process_that_dies_is_replaced(action: str, said: str) -> None:
    with processes(num_slots=4, num_workers=2) as runner:
        pids = {event.slot: event.info["pid"] for event in begun(runner, 4)}
        assert pids[0] == pids[2] != pids[1] == pids[3]
        runner.step(1, "sleep 0.5")
        if action == "kill":
            runner.step(0, "hang")
            os.kill(pids[0], signal.SIGKILL)
        else:
            runner.step(0, action)
        event = runner.recv()
        assert event.slot == 0
        assert event.failure == {
            "kind": "died",
            "boundary": "worker",
            "message": f"the worker process {pids[0]} {said}",
        }
        assert runner.recv().failure is None  # slot 1 lives elsewhere
        event = stepped(runner, 2, "ok")  # lived in the same process
        assert event.failure is not None
        assert event.failure["kind"] == "died"
        for slot in (0, 2):
            runner.reset(slot)
            event = runner.recv()
            assert event.failure is None
            assert event.info["pid"] not in pids.values()
        assert stepped(runner, 0, "ok").failure is None
        assert not alive(pids[0])
        assert runner.num_restarts == 2


def test_a_process_for_each_slot_keeps_the_neighbours() -> None:
    with processes(num_slots=3, num_workers=3) as runner:
        assert len({event.info["pid"] for event in begun(runner, 3)}) == 3
        assert stepped(runner, 0, "exit 1").failure
        assert stepped(runner, 1, "ok").failure is None
        assert stepped(runner, 2, "ok").failure is None


def test_a_process_with_a_hang_is_ended_when_the_last_slot_has_left() -> None:
    with processes(num_slots=2, num_workers=1) as runner:
        (old,) = {event.info["pid"] for event in begun(runner, 2)}
        assert stepped(runner, 0, "hang", deadline_s=0.3).failure
        assert stepped(runner, 1, "ok").info["pid"] == old
        runner.reset(0)
        new = runner.recv().info["pid"]
        assert new != old
        assert runner.num_hanging == 1
        runner.reset(1)
        assert runner.recv().info["pid"] == new
        assert runner.num_hanging == 0
        deadline = time.monotonic() + 20
        while alive(old) and time.monotonic() < deadline:
            stepped(runner, 0, "sleep 0.1")
        assert not alive(old)


def test_a_process_that_is_stopped_holds_nobody() -> None:
    """It reads nothing, so a large action cannot be sent; the deadline holds all the same."""
    begin = time.monotonic()
    with processes(num_slots=2, num_workers=2) as runner:
        begun(runner, 2)
        runner.step(0, "stop", deadline_s=1.0)
        assert runner.recv().failure
        runner.reset(0)
        begun_again = runner.recv()
        os.kill(begun_again.info["pid"], signal.SIGSTOP)
        runner.step(0, "x" * 5_000_000, deadline_s=1.0)
        assert stepped(runner, 1, "ok").slot == 1
        event = runner.recv()
        assert (event.slot, event.failure and event.failure["kind"]) == (0, "timeout")
        pids = runner.pids
    assert [pid for pid in (*pids, begun_again.info["pid"]) if alive(pid)] == []
    assert time.monotonic() - begin < 60


def test_what_cannot_be_pickled_is_a_failure() -> None:
    with processes(num_slots=1) as runner:
        begun(runner, 1)
        event = stepped(runner, 0, "unpicklable")
        assert event.failure is not None
        assert "must be picklable" in event.failure["message"]


def test_start_up_does_not_count_against_the_deadline() -> None:
    """Starting an interpreter takes longer than this allows for a reset."""
    with processes(num_slots=2, deadline_s=0.2) as runner:
        begun(runner, 2)
