"""The runner, with threads and with processes: order, deadlines, failures, restarts; nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.runner import Event, Runner
from tests.envs.runner.odd import Odd

ODD = "tests.envs.runner.odd:Odd"
Start = Callable[..., Runner]


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    gym.register("Odd-v0", entry_point=ODD)
    yield
    del gym.registry["Odd-v0"]


@pytest.fixture(params=["threads", "processes"])
def workers(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def start(workers: str) -> Iterator[Start]:
    """Make runners of one kind; afterwards nothing of them is left."""
    before, files = {thread.ident for thread in threading.enumerate()}, open_files()
    made: list[Runner] = []
    pids: set[int] = set()

    def make(**arguments: Any) -> Runner:
        made.append(Runner("Odd-v0", workers=workers, **{"num_slots": 4, "deadline_s": 30.0, **arguments}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    num_hanging = sum(runner.num_hanging for runner in made) if workers == "threads" else 0
    for runner in made:
        pids |= set(runner.pids)
        runner.close()
        runner.close()
    # The pools of other tests' boxes start threads of their own, whenever they have to.
    now = [thread for thread in threading.enumerate() if not thread.name.startswith("sandbox-")]
    left = [thread for thread in now if thread.ident not in before]
    assert len(left) <= num_hanging, left
    assert [pid for pid in pids if alive(pid)] == []
    assert open_files() <= files


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def begun(runner: Runner, slots: int) -> list[Event]:
    """Reset the first slots and take their events."""
    for slot in range(slots):
        runner.reset(slot, seed=slot)
    events = [runner.recv() for _ in range(slots)]
    assert {event.slot for event in events} == set(range(slots))
    assert all(event.kind == "reset" and event.failure is None for event in events)
    return events


def stepped(runner: Runner, slot: int, action: str, **arguments: Any) -> Event:
    runner.step(slot, action, **arguments)
    return runner.recv()


# -- order -----------------------------------------------------------------------------------------------------------


def test_a_slow_environment_holds_no_fast_one(start: Start) -> None:
    runner = start()
    begun(runner, 3)
    runner.step(0, "sleep 1.5")
    runner.step(1, "sleep 0.3")
    order = []
    for _ in range(20):
        runner.step(2, "ok")
        order.append(runner.recv().slot)
    order += [event.slot for event in runner.ready()]
    assert order[-2:] == [1, 0]
    assert order.count(2) == 20


def test_an_event_says_what_happened(start: Start) -> None:
    runner = start(env_kwargs={"lasting": 2})
    (event,) = begun(runner, 1)
    assert (event.observation, event.reward, event.done, event.action) == ("reset 1", 0.0, False, None)
    event = stepped(runner, 0, "sleep 0.2")
    assert (event.slot, event.kind, event.action, event.observation) == (0, "step", "sleep 0.2", "did sleep 0.2")
    assert (event.reward, event.terminated, event.truncated, event.failure) == (1.0, False, False, None)
    assert 0.2 <= event.seconds < 5
    assert stepped(runner, 0, "é 🙂").done
    runner.reset(0)
    assert runner.recv().observation == "reset 2"  # the same environment


def test_ready_waits_for_what_its_body_starts(start: Start) -> None:
    runner = start()
    for slot in range(4):
        runner.reset(slot)
    num_steps = [0] * 4
    for event in runner.ready():
        num_steps[event.slot] += event.kind == "step"
        if num_steps[event.slot] < 5 + event.slot:
            runner.step(event.slot, "ok")
    assert num_steps == [5, 6, 7, 8]


def test_recv_waits_only_so_long(start: Start) -> None:
    runner = start()
    begun(runner, 1)
    runner.step(0, "sleep 0.6")
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"nothing has ended within 0.1 s; 1 are under way"):
        runner.recv(timeout_s=0.1)
    assert time.monotonic() - begin < 0.5
    assert runner.recv(timeout_s=10).observation == "did sleep 0.6"


def test_64_environments(start: Start) -> None:
    runner = start(num_slots=64, env_kwargs={"lasting": 5})
    begun(runner, 64)
    for slot in range(64):
        runner.step(slot, "sleep 0.02")
    num_done = 0
    for event in runner.ready():
        assert event.failure is None
        if event.done:
            num_done += 1
        else:
            runner.step(event.slot, "sleep 0.02")
    assert num_done == 64


def test_large_actions_go_through(start: Start) -> None:
    runner = start()
    begun(runner, 4)
    for slot in range(4):
        runner.step(slot, "x" * 3_000_000)
    assert sorted(len(event.action) for event in runner.ready()) == [3_000_000] * 4


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_missed_deadline_is_a_failure_and_the_slot_goes_on(start: Start, workers: str) -> None:
    runner = start(num_workers=2 if workers == "processes" else None)
    first = begun(runner, 2)
    runner.step(0, "hang", deadline_s=0.5)
    runner.step(1, "sleep 0.1")
    assert runner.recv().slot == 1
    begin = time.monotonic()
    event = runner.recv()
    assert time.monotonic() - begin < 5
    assert event.info == {
        "failure": {"kind": "timeout", "boundary": "environment", "message": "a step did not end within 0.5 s"}
    }
    assert (event.slot, event.reward, event.terminated, event.truncated) == (0, 0.0, False, True)
    assert runner.num_restarts == 1
    assert runner.num_hanging == (0 if runner.pids else 1)  # its process hosts no other slot
    with pytest.raises(UsageError, match=r"slot 0 has no episode; call reset\(0\) first"):
        runner.step(0, "ok")
    runner.reset(0, seed=0)
    event = runner.recv()
    assert event.observation == "reset 1"  # a fresh one
    assert event.info["drawn"] == next(each for each in first if each.slot == 0).info["drawn"]
    assert stepped(runner, 1, "ok").failure is None  # the neighbour's episode went on


def test_a_reset_has_a_deadline_too(start: Start) -> None:
    runner = start(num_slots=2)
    begun(runner, 2)
    runner.reset(0, options={"do": "hang"}, deadline_s=0.3)
    event = runner.recv()
    assert (event.kind, event.failure and event.failure["message"]) == ("reset", "a reset did not end within 0.3 s")
    assert event.done


@pytest.mark.parametrize(
    ("action", "kind", "boundary", "message"),
    [
        ("raise it broke", "error", "environment", "RuntimeError: it broke"),
        ("leave 3", "error", "environment", "SystemExit: 3"),
        ("infrastructure the disk is gone", "disk", "storage", "InfrastructureError: the disk is gone"),
    ],
)
def test_what_an_environment_raises(start: Start, action: str, kind: str, boundary: str, message: str) -> None:
    runner = start(num_slots=2)
    begun(runner, 2)
    event = stepped(runner, 0, action)
    assert event.info == {"failure": {"kind": kind, "boundary": boundary, "message": message}}
    assert event.done
    runner.reset(0, options={"do": action})
    assert runner.recv().info == event.info
    runner.reset(0)
    assert runner.recv().observation == "reset 1"
    assert stepped(runner, 1, "ok").failure is None
    assert runner.num_restarts == 2


def test_a_failure_that_the_environment_reports_makes_it_afresh(start: Start) -> None:
    runner = start()
    begun(runner, 1)
    event = stepped(runner, 0, "report it is away")
    assert event.failure == {"kind": "judge", "boundary": "judge", "message": "it is away"}
    runner.reset(0)
    assert runner.recv().observation == "reset 1"


def test_an_environment_that_cannot_be_made(start: Start) -> None:
    runner = start(env_kwargs={"broken": True})
    for _ in range(2):
        runner.reset(0)
        event = runner.recv()
        assert event.failure is not None
        assert "ValueError: made broken on purpose" in event.failure["message"]


# -- threads only ----------------------------------------------------------------------------------------------------


def test_threads_that_hang_are_bounded() -> None:
    with Runner("Odd-v0", num_slots=1, deadline_s=0.05) as runner:
        for _ in range(8):
            runner.reset(0, options={"do": "sleep 2"})
            assert runner.recv().failure
        assert runner.num_hanging == 8
        with pytest.raises(InfrastructureError, match=r"8 environments hang in threads.*use workers='processes'"):
            runner.reset(0)
        time.sleep(2)
        assert runner.num_hanging == 0
        runner.reset(0, deadline_s=10)
        assert runner.recv().failure is None


# -- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"workers": "thread"}, "did you mean 'threads'?"),
        ({"num_slots": 0}, "num_slots=0 must be a whole number of at least 1"),
        ({"num_slots": True}, "num_slots=True"),
        ({"num_workers": 2}, "num_workers=2 has no effect on threads; add workers='processes'"),
        ({"num_workers": 0, "workers": "processes"}, "num_workers=0 must be"),
        ({"deadline_s": 0}, "deadline_s=0 must be above 0"),
        ({"env_id": "Ood-v0"}, "env_id='Ood-v0' cannot be found"),
        ({"env_id": "no_such_module:Odd-v0"}, "cannot be found"),
        ({"workers": "processes", "env_kwargs": {"lock": threading.Lock()}}, "cannot be sent to a process"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Runner(**{"env_id": "Odd-v0", **arguments})
    assert said in str(caught.value)


def test_a_function_cannot_be_found_by_another_process() -> None:
    gym.register("OddFunction-v0", entry_point=lambda **kwargs: Odd(**kwargs))
    with pytest.raises(UsageError, match="entry_point='module:Class'"):
        Runner("OddFunction-v0", workers="processes")
    del gym.registry["OddFunction-v0"]


def test_commands_that_cannot_work(start: Start) -> None:
    runner = start(num_slots=2)
    with pytest.raises(UsageError, match="nothing is under way"):
        runner.recv()
    assert list(runner.ready()) == []
    for slot in (2, -1, "0"):
        with pytest.raises(UsageError, match="there are 0 to 1"):
            runner.reset(slot)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no episode"):
        runner.step(0, "ok")
    runner.reset(0)
    with pytest.raises(UsageError, match="slot 0 is busy"):
        runner.reset(0)
    runner.recv()
    assert stepped(runner, 0, "end").terminated
    with pytest.raises(UsageError, match="has no episode"):
        runner.step(0, "ok")
    runner.close()
    with pytest.raises(UsageError, match="the runner is closed"):
        runner.reset(0)
