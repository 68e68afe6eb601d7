"""Owners and workers are killed, engines stop, stall and run out of disk: typed errors in time, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from agentrl.sandboxes import SandboxBusy, SandboxDied, SandboxSpec, SandboxUnavailable, open_backend
from agentrl.sandboxes.pool.pool import PoolStats
from agentrl.sandboxes.pooled import PooledBackend
from agentrl.sandboxes.reaper import OWNER_LABEL
from tests.sandboxes.engines import PrivateEngine, slow_socket

BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]
GONE_S = 10.0
SPEC = SandboxSpec(memory_mb=128, disk_mb=8)

# An owner that stops for good at one stage, and says so. The engine's calls and Popen are wrapped, not replaced.
OWNER = r"""
import subprocess, sys, threading, time
backend_name, stage = sys.argv[1:]
from agentrl.sandboxes import SandboxSpec, open_backend
from agentrl.sandboxes.reaper import owner_token

def here(*_):
    print(owner_token(), flush=True)
    time.sleep(600)

def wrap(kind, name, before):
    real = getattr(kind, name)
    def wrapped(*args, **kwargs):
        if before:
            here()
        real(*args, **kwargs)
        here()
    setattr(kind, name, wrapped)

backend = open_backend(backend_name, warm=0)
backend.capabilities()
if backend_name == "docker":
    from docker import APIClient
    if stage == "before":
        wrap(APIClient, "create_container_from_config", True)
    if stage == "created":
        wrap(APIClient, "create_container_from_config", False)
elif stage in ("before", "created"):
    real = subprocess.Popen.__init__
    def popen(self, command, *args, **kwargs):
        if "janitor" not in str(command) and stage == "before":
            here()
        real(self, command, *args, **kwargs)
        if "janitor" not in str(command):
            here()
    subprocess.Popen.__init__ = popen
box = backend.lease(SandboxSpec(memory_mb=128, disk_mb=8))
if stage == "leased":
    here()
threading.Timer(0.5, here).start()
box.exec("sleep 300 & setsid sleep 300 & sleep 300", timeout_s=300)
"""


def _left_of(token: str) -> list[str]:
    """Return what of an owner is still on this machine."""
    left = []
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={token}"})
        left += [f"container {each['Names']} {each['State']}" for each in found]
    finally:
        client.close()
    # Not by glob, which fails where a folder goes while it looks.
    left += [f"cgroup {folder}" for folder, _, _ in os.walk("/sys/fs/cgroup") if folder.endswith(f"/agentrl/{token}")]
    left += [f"folder {path}" for path in Path("/tmp").glob(f"agentrl-{token}-*")]
    pid = token.split("-")[-2]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if token.encode() in words or (b"agentrl" in words and f"\0{pid}\0".encode() in words):
                left.append(f"process {entry.name} {words[:200]!r}")
    return left


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stage", ["before", "created", "leased", "job"])
def test_a_killed_owner_leaves_nothing(backend: str, stage: str) -> None:
    before = _sleepers()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, backend, stage], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        token = owner.stdout.readline().strip()
        assert token, "the owner ended before its stage"
        if stage in ("leased", "job"):
            assert _left_of(token), "nothing to lose: this test would prove nothing"
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()  # type: ignore[union-attr]
    deadline = time.monotonic() + GONE_S
    while (left := _left_of(token) + sorted(_sleepers() - before)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def _sleepers() -> set[str]:
    """Return the processes that only the job above would start, as seen from the host."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == b"sleep\x00300\x00":
                    found.add(entry.name)
            except OSError:
                continue
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_worker_is_a_typed_error_and_the_pool_goes_on(backend: str) -> None:
    marker = f"{time.time_ns()}"
    with open_backend(backend, warm=0, max_boxes=1) as boxes:
        box = boxes.lease(SPEC)
        job = box.start(["sleep", f"3{marker}"])
        worker = _worker_above(f"3{marker}")
        os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(SandboxDied):
            box.exec(["true"])
        with pytest.raises(SandboxDied):
            job.wait(5)
        assert time.monotonic() - began < 15
        box.close()
        with boxes.lease(SPEC, wait_s=30) as another:
            assert another.exec(["true"]).ok


def _worker_above(argument: str) -> int:
    """Return the process id, on the host, of the worker whose job has this argument: the job's parent's parent."""
    for _ in range(200):
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if f"sleep\0{argument}\0".encode() == (entry / "cmdline").read_bytes():
                    return _parent(_parent(int(entry.name)))
            except OSError:
                continue
        time.sleep(0.02)
    raise AssertionError("the job never started")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.docker
@pytest.mark.slow
def test_an_engine_that_stops_fills_up_and_comes_back() -> None:
    with (
        PrivateEngine(size_mb=1500) as engine,
        open_backend("docker", base_url=engine.url, warm=1, timeout_s=5) as boxes,
    ):
        box = boxes.lease(SPEC)
        assert box.exec(["true"]).ok

        job = box.start(["sleep", "100"])
        engine.stop()
        with pytest.raises(SandboxDied):
            job.wait(20)
        with pytest.raises(SandboxDied):
            box.exec(["true"])
        box.close()
        began = time.monotonic()
        with pytest.raises((SandboxUnavailable, SandboxBusy)):
            boxes.lease(SPEC, wait_s=1)
        assert time.monotonic() - began < 15

        engine.start()
        with boxes.lease(SPEC, wait_s=60) as again:
            assert again.exec(["true"]).ok

        filler = engine.root / "filler"
        full = subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True, text=True)
        assert "No space left" in full.stderr
        other = SandboxSpec(memory_mb=129, disk_mb=8)  # another shape, so that no warm box helps
        with pytest.raises((SandboxUnavailable, SandboxBusy)) as caught:
            boxes.lease(other, wait_s=3)
        assert "no space left" in str(caught.value)
        filler.unlink()
        with boxes.lease(other, wait_s=60) as again:
            assert again.exec(["true"]).ok


@pytest.mark.docker
def test_an_engine_that_never_answers() -> None:
    with slow_socket() as stub, open_backend("docker", base_url=stub.url, timeout_s=1) as boxes:
        began = time.monotonic()
        with pytest.raises(SandboxUnavailable, match="did not answer"):
            boxes.lease(SPEC, wait_s=3)
        assert time.monotonic() - began < 10


@pytest.mark.docker
def test_an_engine_that_hangs_on_kill_costs_its_slot_until_it_answers() -> None:
    with slow_socket("/var/run/docker.sock", (b"DELETE ",)) as stub:
        boxes = open_backend("docker", base_url=stub.url, timeout_s=3, warm=0, max_boxes=1)
        assert isinstance(boxes, PooledBackend)
        try:
            stub.stalls = False  # the trial of the image is removed too
            box = boxes.lease(SPEC)
            stub.stalls = True
            # A box that timed out is destroyed at the end of its lease, not used again.
            assert box.exec(["sleep", "60"], timeout_s=0.2).status == "timeout"
            box.close()
            with pytest.raises(SandboxBusy):
                boxes.lease(SPEC, wait_s=1)
            assert boxes.stats().destroying + boxes.stats().quarantined == 1
            _eventually(boxes, lambda now: now.quarantined == 1)
            assert (boxes.stats().destroying, boxes.stats().made, boxes.stats().destroyed) == (0, 1, 0)
            with pytest.raises(SandboxBusy, match="1 quarantined"):
                boxes.lease(SPEC, wait_s=1)
            stub.stalls = False
            _eventually(boxes, lambda now: now.quarantined == 0)
            assert boxes.stats().destroyed == 1
            with boxes.lease(SPEC) as another:
                assert another.exec(["true"]).ok
        finally:
            boxes.close()


def _eventually(boxes: PooledBackend, holds: Callable[[PoolStats], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not holds(now := boxes.stats()):
        assert time.monotonic() < ends, now
        time.sleep(0.02)
