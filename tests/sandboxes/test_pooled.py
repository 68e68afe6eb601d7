"""The pool under a real backend: boxes that die on the shelf, an engine that goes away and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentrl.envs.tools.host import close_backends
from agentrl.sandboxes.docker.backend import DockerBackend
from agentrl.sandboxes.errors import SandboxDied, SandboxError, SandboxFileError, SandboxUnavailable
from agentrl.sandboxes.images import BASE_IMAGE
from agentrl.sandboxes.pool.pool import PoolStats
from agentrl.sandboxes.reaper import OWNER_LABEL, labels, owner_token
from agentrl.sandboxes.spec import SandboxSpec

pytestmark = pytest.mark.docker


ENGINE = "/var/run/docker.sock"
SPEC = SandboxSpec(memory_mb=128, pids=32, files={"start.txt": b"begin", "deep/er.txt": b"below"})


def eventually(backend: DockerBackend, holds: Callable[[PoolStats], bool], seconds: float = 60.0) -> PoolStats:
    ends = time.monotonic() + seconds
    while not holds(now := backend.stats()):
        assert time.monotonic() < ends, now
        time.sleep(0.02)
    return now


class Relay:
    """A socket before the engine's that can be cut: what is connected breaks, and nobody new gets in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._run(self._accept, self._listener)

    def cut(self) -> None:
        assert self._listener is not None
        self.path.unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs, self._threads = [], []

    def _run(self, work: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=work, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(ENGINE)
                self._pairs.append((near, far))
                self._run(self._copy, near, far)
                self._run(self._copy, far, near)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _alone() -> None:
    """Give back the boxes that environments keep warm in this process: tests here count and kill its containers."""
    close_backends()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    there = Relay(tmp_path / "docker.sock")
    yield there
    there.cut()


def mine() -> list[str]:
    """Return the names of the containers of this process."""
    import docker

    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": [f"{OWNER_LABEL}={owner_token()}"]})
        return [each["Names"][0] for each in found]
    finally:
        client.close()


def kill(names: list[str]) -> None:
    import docker

    client = docker.from_env()
    try:
        for name in names:
            client.api.remove_container(name, force=True)
    finally:
        client.close()


def test_files_are_there_and_the_box_is_used_again() -> None:
    with DockerBackend(image=BASE_IMAGE, max_boxes=2, warm=0) as backend:
        with backend.lease(SPEC) as box:
            assert box.read("start.txt") == b"begin"
            assert box.read("/work/deep/er.txt") == b"below"
            first = box.id
        with backend.lease(SandboxSpec(memory_mb=128, pids=32)) as box:
            assert box.id == first
            assert box.list() == []
        assert backend.stats().reused == 1
    assert mine() == []


def test_files_that_do_not_fit_are_the_callers_fault_and_lose_no_box() -> None:
    with DockerBackend(image=BASE_IMAGE, max_boxes=1, warm=0) as backend:
        for _ in range(2):
            with pytest.raises(SandboxFileError):
                backend.lease(SandboxSpec(disk_mb=1, files={"large": bytes(2_000_000)}))
        assert backend.run(["true"], spec=SandboxSpec(disk_mb=1)).ok


def test_boxes_that_are_killed_on_the_shelf_are_not_handed_out() -> None:
    with DockerBackend(image=BASE_IMAGE, max_boxes=3, warm=2) as backend:
        backend.prewarm(SPEC, 2)
        eventually(backend, lambda now: now.warm == 2)
        kill(mine())
        with backend.lease(SPEC) as box:
            assert box.read("start.txt") == b"begin"
        eventually(backend, lambda now: now.warm >= 2 and now.destroyed >= 2 and now.quarantined == 0)
    assert mine() == []


def test_a_container_that_was_made_late_is_removed() -> None:
    from agentrl.sandboxes.docker.engine import Engine
    from agentrl.sandboxes.docker.vessel import remove_late

    engine = Engine()
    try:
        for closing in (False, True):
            name = f"agentrl-late-{time.time_ns()}"
            with engine.client() as client:
                client.create_container(BASE_IMAGE, ["true"], name=name, labels=labels(name))
            engine.late.append((time.monotonic() + 100, name))
            remove_late(engine)
            assert [known for _, known in engine.late] == [name]
            assert mine() == [f"/{name}"]
            if not closing:
                engine.late[0] = (0.0, name)
            remove_late(engine, closing=closing)
            assert not engine.late
            assert mine() == []
    finally:
        engine.close()


def test_the_pool_recovers_when_the_engine_comes_back(relay: Relay) -> None:
    with DockerBackend(image=BASE_IMAGE, base_url=f"unix://{relay.path}", max_boxes=4, warm=1) as backend:
        box = backend.lease(SPEC)
        eventually(backend, lambda now: now.warm >= 1)
        relay.cut()
        with pytest.raises(SandboxDied):
            box.exec(["true"], timeout_s=2.0)
        box.close()
        began = time.monotonic()
        with pytest.raises(SandboxError) as caught:
            backend.lease(SPEC, wait_s=2.0)
        assert isinstance(caught.value, SandboxUnavailable)
        assert time.monotonic() - began < 30
        relay.mend()
        # By itself: nobody asks for a box meanwhile.
        eventually(backend, lambda now: now.warm >= 1 and now.quarantined == 0)
        with backend.lease(SPEC, wait_s=60.0) as box:
            assert box.exec(["true"]).ok
    assert mine() == []
