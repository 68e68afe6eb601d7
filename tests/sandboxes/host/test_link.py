"""The host's side against a worker that is slow, silent, loud or gone: it ends in time and within its memory."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from agentrl.sandboxes.errors import SandboxClosed, SandboxDied
from agentrl.sandboxes.host import link as link_module
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.host.link import Hub
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker.frames import (
    BEAT,
    DATA,
    ERR,
    KILL,
    OUT,
    RESET,
    START,
    Frame,
    pack,
)
from tests.sandboxes.fake_worker import FakeVessel, Worker, ended, num_fds
from tests.sandboxes.host.leases import SPEC, answering, lease


def test_a_run_comes_back_whole() -> None:
    def answer(frame: Frame) -> bytes:
        assert json.loads(frame.body)["argv"] == ["sh", "-c", "echo"]
        return pack(OUT, frame.run, b"a") + pack(ERR, frame.run, b"b") + pack(OUT, frame.run, b"c") + ended(frame.run)

    vessel = FakeVessel(answering(answer))
    with lease(vessel) as box:
        result = box.exec("echo")
        assert (result.status, result.exit_code, result.stdout, result.stderr) == ("ok", 0, b"ac", b"b")
    assert vessel.num_destroyed == 1


def test_frames_cut_anywhere_are_put_together() -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame(START):
            data = pack(OUT, frame.run, b"x" * 100) + ended(frame.run)
            for byte in data:
                worker.say(bytes([byte]))

    with lease(FakeVessel(script)) as box:
        assert box.exec("x").stdout == b"x" * 100


def test_a_worker_that_went_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "GRACE_S", 0.3)
    vessel = FakeVessel(answering(lambda frame: b""))
    with lease(vessel) as box:
        began = time.monotonic()
        with pytest.raises(SandboxDied, match="did not end within its limit"):
            box.exec("x", timeout_s=0.2)
        assert 0.4 < time.monotonic() - began < 4.0
    assert vessel.num_destroyed >= 1


def test_a_background_job_that_nobody_waits_for_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "GRACE_S", 0.3)
    with lease(FakeVessel(answering(lambda frame: b""))) as box:
        process = box.start("x", timeout_s=0.1)
        began = time.monotonic()
        while box._box.alive() and time.monotonic() - began < 10.0:
            time.sleep(0.05)
        assert not box._box.alive()
        with pytest.raises(SandboxDied, match="did not end"):
            process.wait()


def test_a_flood_is_bounded() -> None:
    def flood(worker: Worker) -> None:
        worker.ready()
        frame = worker.frame(START)
        assert frame
        piece = pack(OUT, frame.run, b"xy") * 10_000
        for _ in range(1000):
            worker.end.sendall(piece)

    def script(worker: Worker) -> None:
        try:
            flood(worker)
        except OSError:
            return

    spec = SandboxSpec(output_bytes=1_000_000, wall_s=30.0)
    with lease(FakeVessel(script), spec) as box:
        tracemalloc.start()
        try:
            with pytest.raises(SandboxDied, match="more output than"):
                box.exec("x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Two buffers of a megabyte, what was received at once, and the test's own piece and queue.
    assert peak < 12_000_000


def test_input_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "STUCK_S", 0.5)
    stop = threading.Event()

    def script(worker: Worker) -> None:
        worker.ready()
        stop.wait(30.0)

    vessel = FakeVessel(script)
    try:
        box = Box(vessel, SPEC.shape())
        leased = LeasedSandbox(box, SPEC, lambda box: None)
        began = time.monotonic()
        timer = threading.Timer(6.0, stop.set)
        timer.start()
        with pytest.raises(SandboxDied, match="has taken no input"):
            leased.exec("x", stdin=bytes(8_000_000))
        assert time.monotonic() - began < 20.0
        timer.cancel()
    finally:
        stop.set()
        leased.close()
        box.destroy()


def test_large_input_arrives_whole_through_a_slow_pipe() -> None:
    content = os.urandom(3_000_001)
    got = bytearray()

    def script(worker: Worker) -> None:
        worker.ready()
        start = worker.frame(START)
        assert start
        while len(got) < len(content) and (frame := worker.frame(DATA)):
            assert frame.run == start.run
            got.extend(frame.body)
        worker.say(ended(start.run))
        worker.frame(RESET)

    with lease(FakeVessel(script)) as box:
        assert box.exec("x", stdin=content).ok
    assert bytes(got) == content


def test_a_run_that_ended_early_is_fed_no_more() -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        start = worker.frame(START)
        assert start
        worker.say(ended(start.run))
        while worker.frame():
            pass

    with lease(FakeVessel(script)) as box:
        assert box.exec("x", stdin=bytes(5_000_000)).ok


def test_the_heart_beats() -> None:
    beats: list[float] = []

    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame():
            if frame.kind == BEAT:
                beats.append(time.monotonic())

    with lease(FakeVessel(script)):
        time.sleep(5.0)
    assert 1 <= len(beats) <= 4


def test_many_threads_share_a_link() -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame(START):
            argv = json.loads(frame.body)["argv"]
            worker.say(pack(OUT, frame.run, argv[0].encode()) + ended(frame.run))

    wrong: list[object] = []

    def use(name: str) -> None:
        for _ in range(50):
            result = box.exec([name])
            if result.stdout != name.encode():
                wrong.append(result)

    with lease(FakeVessel(script)) as box:
        threads = [threading.Thread(target=use, args=(f"job-{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_nothing_is_left_of_a_hundred_boxes() -> None:
    def use() -> None:
        for answer in (lambda frame: b"\xff" * 100, lambda frame: ended(frame.run)):
            with lease(FakeVessel(answering(answer))) as box, suppress(SandboxDied):
                box.exec("x")

    use()
    gc.collect()
    before, threads, links = num_fds(), threading.active_count(), len(Hub.current()._links)
    for _ in range(50):
        use()
    gc.collect()
    assert (num_fds(), threading.active_count(), len(Hub.current()._links)) == (before, threads, links)


def _in_child(check: Callable[[], None]) -> int:
    """Run something in a forked child; return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_leaves_the_parents_box_alone_and_opens_its_own() -> None:
    vessel = FakeVessel(answering(lambda frame: ended(frame.run)))

    def check() -> None:
        signal.alarm(20)
        for use in (lambda: box.exec("x"), lambda: box.read("x"), lambda: box.start("x"), lambda: box.python()):
            with pytest.raises(SandboxClosed, match=r"made by a fork since; lease another one here"):
                use()
        box.close()
        assert box._box.destroy() is True
        assert vessel.num_destroyed == 0
        with lease(FakeVessel(answering(lambda frame: ended(frame.run)))) as own:
            assert own.exec("x").ok

    with lease(vessel) as box:
        assert box.exec("x").ok
        assert _in_child(check) == 0
        assert box.exec("x").ok


def test_a_child_that_lives_on_does_not_keep_the_channel_open() -> None:
    gone = threading.Event()

    def script(worker: Worker) -> None:
        worker.ready()
        while worker.frame():
            pass
        gone.set()

    vessel = FakeVessel(script)
    box = Box(vessel, SPEC.shape())
    child = os.fork()
    if child == 0:
        # The far end is this process's too, by the fork; only the near end counts here.
        vessel._far.close()
        time.sleep(60)
        os._exit(0)
    try:
        box.link.close()
        assert gone.wait(10.0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        box.destroy()


def test_kill_is_sent_once_the_caller_is_interrupted() -> None:
    killed = threading.Event()

    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame(START, KILL):
            if frame.kind == KILL:
                killed.set()
                worker.say(ended(frame.run, "signal", exit_code=None, signal=15))
            else:
                worker.say(pack(OUT, frame.run, b"hi"))

    def stop(name: str, data: bytes) -> None:
        raise ZeroDivisionError

    with lease(FakeVessel(script)) as box:
        with pytest.raises(ZeroDivisionError):
            box.exec("x", on_output=stop)
        assert killed.is_set()
        assert box._box.dirty == "a run was interrupted by ZeroDivisionError"
        assert box._box.link.num_runs() == 0
