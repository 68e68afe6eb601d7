"""Boxes in a real engine: what a worker finds inside, how a box dies, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from agentrl.sandboxes.docker.args import create_arguments
from agentrl.sandboxes.docker.backend import DockerBackend
from agentrl.sandboxes.docker.engine import Engine, Refused
from agentrl.sandboxes.docker.images import BASE_IMAGE
from agentrl.sandboxes.docker.vessel import DockerVessel, start_vessel
from agentrl.sandboxes.errors import LimitNotHeld, SandboxUnavailable, SpecError
from agentrl.sandboxes.reaper import labels
from agentrl.sandboxes.spec import SandboxSpec

pytestmark = pytest.mark.docker

ECHO = """
import sys
while True:
    line = sys.stdin.buffer.raw.read(1000)
    if not line:
        break
    sys.stdout.buffer.raw.write(line)
"""
BOMB = "import sys\nsys.stdin.buffer.raw.read(1)\nheld = []\nwhile True:\n    held.append(bytearray(b'a') * 10**6)"


@pytest.fixture
def engine() -> Generator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def image(engine: Engine) -> str:
    with engine.client() as client:
        found: str = client.inspect_image(BASE_IMAGE)["Id"]
        return found


def _name() -> str:
    return f"agentrl-{os.urandom(6).hex()}"


def _started(engine: Engine, image: str, program: str, spec: SandboxSpec | None = None, **more: Any) -> DockerVessel:
    name = _name()
    command = ["python3", "-I", "-c", program]
    arguments = create_arguments(spec or SandboxSpec(), image=image, command=command, labels=labels(name), **more)
    return start_vessel(engine, arguments, name)


def _there(engine: Engine, name: str) -> bool:
    with engine.client() as client:
        return bool(client.containers(all=True, filters={"name": f"^/{name}$"}))


def _gone_within(engine: Engine, name: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not _there(engine, name):
            return True
        time.sleep(0.02)
    return False


def _next(vessel: DockerVessel) -> bytes:
    while vessel.pipe.wait(20):
        data = vessel.channel.receive()
        if data is not None:
            return data
    pytest.fail("the box says nothing")


def test_what_is_sent_comes_back_and_nothing_is_left(engine: Engine, image: str) -> None:
    vessel = _started(engine, image, ECHO)
    try:
        vessel.channel.send(memoryview(b"hello"))
        assert _next(vessel) == b"hello"
    finally:
        assert vessel.destroy()
    assert vessel.destroy()
    assert not _there(engine, vessel.id)


def test_a_death_for_memory_is_told_by_the_kernel(engine: Engine, image: str) -> None:
    vessel = _started(engine, image, BOMB, SandboxSpec(memory_mb=64))
    since = time.time()
    vessel.channel.send(memoryview(b"x"))
    assert _next(vessel) == b""
    words, oom = vessel.autopsy(since)
    assert oom
    assert "killed for memory" in words
    assert vessel.destroy()


def test_an_exit_with_137_is_no_death_for_memory(engine: Engine, image: str) -> None:
    vessel = _started(engine, image, "import os, sys\nprint('farewell', file=sys.stderr)\nos._exit(137)")
    assert _next(vessel) == b""
    words, oom = vessel.autopsy(time.time() - 30)
    assert not oom
    assert "137" in words
    assert "farewell" in words
    assert vessel.destroy()


def test_a_caller_that_is_killed_leaves_no_box(engine: Engine, image: str) -> None:
    program = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from agentrl.sandboxes.docker.args import create_arguments
from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.docker.vessel import start_vessel
from agentrl.sandboxes.spec import SandboxSpec
made = create_arguments(SandboxSpec(), image={image!r}, command=["python3", "-I", "-c", {ECHO!r}], labels={{}})
vessel = start_vessel(Engine(), made, {(name := _name())!r})
print("up", flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"up\n"
        assert _there(engine, name)
        caller.send_signal(signal.SIGKILL)
    assert _gone_within(engine, name, 10)


def test_a_program_that_is_not_there_leaves_nothing(engine: Engine, image: str) -> None:
    name = _name()
    made = create_arguments(SandboxSpec(), image=image, command=["/bin/nosuch"], labels=labels(name))
    vessel = start_vessel(engine, made, name)
    assert _next(vessel) == b""
    assert "nosuch" in vessel.autopsy(time.time() - 30)[0]
    assert vessel.destroy()


def test_an_error_after_create_leaves_nothing(engine: Engine, image: str) -> None:
    name = _name()
    made = create_arguments(SandboxSpec(), image=image, command=["true"], labels=labels(name))
    # The engine takes this at `create`, and the runtime refuses it at `start`.
    made["HostConfig"]["Tmpfs"]["/work"] = "size=nonsense"
    with pytest.raises(SandboxUnavailable):
        start_vessel(engine, made, name)
    assert not _there(engine, name)


def test_a_name_that_is_taken_is_not_removed_from_its_owner(engine: Engine, image: str) -> None:
    vessel = _started(engine, image, ECHO)
    made = create_arguments(SandboxSpec(), image=image, command=["true"], labels=labels(vessel.id))
    with pytest.raises(Refused, match="in use"):
        start_vessel(engine, made, vessel.id)
    assert _there(engine, vessel.id)
    assert vessel.destroy()


def test_many_threads_share_an_engine(engine: Engine, image: str) -> None:
    failed: list[BaseException] = []

    def one() -> None:
        try:
            vessel = _started(engine, image, ECHO)
            vessel.channel.send(memoryview(b"x"))
            assert _next(vessel) == b"x"
            assert vessel.destroy()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed


def test_every_limit_is_held_as_seen_from_inside() -> None:
    with DockerBackend() as backend:
        found = backend.capabilities()
        assert found.backend == "docker"
        assert {"memory_mb", "pids", "cpus", "disk_mb", "inodes", "network", "split", "seccomp"} <= found.held
        assert found == backend.capabilities()


def test_a_job_runs_in_a_leased_box_and_the_box_is_gone_after(engine: Engine) -> None:
    with DockerBackend(warm=0) as backend:
        with backend.lease() as box:
            result = box.exec("id -u; cat", stdin=b"hello")
            assert (result.status, result.stdout) == ("ok", b"1000\nhello")
            assert _there(engine, box.id)
        name = box.id
    assert not _there(engine, name)


def test_a_missing_base_image_names_the_command_that_builds_it() -> None:
    with (
        DockerBackend(image="agentrl/none:0") as backend,
        pytest.raises(SandboxUnavailable, match="agentrl sandbox build"),
    ):
        backend.lease()


def test_a_name_that_is_no_image_is_a_spec_error() -> None:
    with DockerBackend() as backend, pytest.raises(SpecError, match="image='Not A Name'"):
        backend.lease(SandboxSpec(image="Not A Name"))


def test_a_runtime_that_the_engine_does_not_know_names_the_file_to_change() -> None:
    with (
        DockerBackend(runtime="nosuch") as backend,
        pytest.raises(SandboxUnavailable, match=r"/etc/docker/daemon\.json"),
    ):
        backend.lease()


def test_an_image_with_volumes_is_refused(engine: Engine, image: str) -> None:
    tag = _name()
    with engine.client() as client:
        made = client.create_container(image, ["true"], network_disabled=True)["Id"]
        try:
            client.commit(made, repository=tag, tag="1", changes=["VOLUME /data"])
        finally:
            client.remove_container(made, force=True)
    try:
        with DockerBackend() as backend, pytest.raises(SpecError, match="/data"):
            backend.lease(SandboxSpec(image=f"{tag}:1"))
    finally:
        with engine.client() as client:
            client.remove_image(f"{tag}:1", force=True)


@pytest.fixture
def runsc(engine: Engine) -> Generator[DockerBackend]:
    with engine.client() as client:
        if "runsc" not in client.info()["Runtimes"]:
            pytest.skip("runsc: put it into /etc/docker/daemon.json under runtimes, and `kill -HUP $(pidof dockerd)`")
    with DockerBackend(runtime="runsc", warm=0) as backend:
        yield backend


def test_gvisor_says_what_it_does_not_hold(runsc: DockerBackend) -> None:
    found = runsc.capabilities()
    assert found.backend == "docker+runsc"
    assert {"memory_mb", "cpus", "disk_mb", "network"} <= found.held
    assert {"pids", "inodes", "seccomp"} <= set(found.missing)
    assert "pids" not in found.reported
    with pytest.raises(LimitNotHeld, match="pids"):
        runsc.lease(SandboxSpec(strict=True))


def test_a_job_runs_under_gvisor(runsc: DockerBackend) -> None:
    with runsc.lease() as box:
        result = box.exec("id -u; cat /proc/version", timeout_s=60)
        assert result.status == "ok"
        assert result.stdout.startswith(b"1000\nLinux version 4.4.0")


REACH = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "auxv"):
        try:
            if os.stat(f"/proc/{pid}").st_uid == 0 and open(f"/proc/{pid}/{name}", "rb").read(1):
                print(name)
        except PermissionError:
            pass
"""
BUSY = """
import os, time
end = time.monotonic() + 2
for _ in range(4):
    if not os.fork():
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(4):
    os.wait()
"""


@pytest.mark.parametrize("runtime", [None, "runsc"])
def test_the_split_is_claimed_where_no_job_reads_the_worker(
    request: pytest.FixtureRequest, runtime: str | None
) -> None:
    if runtime is not None:
        request.getfixturevalue("runsc")  # skips where there is none
    with DockerBackend(runtime=runtime, warm=0) as backend:
        with backend.lease() as box:
            done = box.run_python(REACH)
            assert done.ok, done
        found = backend.capabilities()
        assert ("split" in found.held) == (not done.stdout), done
        for name in set(done.stdout_text.split()):
            assert f"/proc/WORKER/{name}" in found.missing["split"]


@pytest.mark.parametrize("runtime", [None, "runsc"])
def test_processor_time_is_bounded_and_counted_as_it_is_said(
    request: pytest.FixtureRequest, engine: Engine, runtime: str | None
) -> None:
    if runtime is not None:
        request.getfixturevalue("runsc")

    def used(name: str) -> float:
        with engine.client() as client:
            return float(client.stats(name, stream=False)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    with DockerBackend(runtime=runtime, warm=0) as backend, backend.lease(SandboxSpec(cpus=1.0)) as box:
        before, began = used(box.id), time.monotonic()
        done = box.run_python(BUSY)
        spent, wall_s = used(box.id) - before, time.monotonic() - began
        assert done.ok, done
        found = backend.capabilities()
        # The engine counts what the host's processors did; a quarter more is for what the box does besides.
        assert "cpus" in found.held
        assert spent <= 1.25 * wall_s
        if "cpu_s" in found.held:
            assert done.cpu_s <= 1.25 * spent + 0.1
        else:
            assert "waiting for a core" in found.missing["cpu_s"]
            with pytest.raises(LimitNotHeld, match="cpu_s"):
                backend.lease(SandboxSpec(strict=True))
