"""An image without Python: the slower path keeps every limit, and says what it does not have."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

from agentrl.sandboxes.base import Sandbox
from agentrl.sandboxes.docker.backend import DockerBackend
from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.errors import (
    SandboxBusy,
    SandboxClosed,
    SandboxDied,
    SandboxFileError,
    SandboxUnavailable,
    SpecError,
)
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.engines import slow_socket

pytestmark = pytest.mark.docker


def _rootfs(programs: list[str]) -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox: run `apt-get install busybox-static`")
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add(busybox, "bin/busybox")
        for program in programs:
            link = tarfile.TarInfo(f"bin/{program}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        # A folder that only root could write to, as many images have one.
        work = tarfile.TarInfo("work")
        work.type, work.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(work)
    return held.getvalue()


def _imported(tag: str, programs: list[str]) -> Generator[str]:
    engine = Engine()
    name = f"{tag}-{os.urandom(6).hex()}:1"
    try:
        with engine.client() as client:
            client.import_image_from_data(_rootfs(programs), repository=name[:-2], tag="1")
        yield name
    finally:
        with engine.client() as client:
            client.remove_image(name, force=True)
        engine.close()


@pytest.fixture(scope="module")
def image() -> Generator[str]:
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    yield from _imported("agentrl-test-plain", [each for each in listed if each != "busybox"])


@pytest.fixture(scope="module")
def backend(image: str) -> Generator[DockerBackend]:
    with DockerBackend(image=image, max_boxes=8) as backend:
        yield backend


@pytest.fixture
def box(backend: DockerBackend) -> Generator[Sandbox]:
    with backend.lease(SandboxSpec(pids=32, memory_mb=64, disk_mb=8, inodes=64, output_bytes=100_000)) as box:
        yield box


def test_a_job_has_its_input_environment_folder_user_and_limits(backend: DockerBackend) -> None:
    spec = SandboxSpec(environment={"A": "spec", "B": "spec"}, open_files=77, user=1234)
    with backend.lease(spec) as box:
        script = "cat; pwd; id -u; echo $A $B $HOME; ulimit -n; ulimit -c; umask"
        result = box.exec(script, stdin=b"in\n", cwd="/tmp", environment={"B": "call"})
        assert result.stdout_text.split() == ["in", "/tmp", "1234", "spec", "call", "/work", "77", "0", "0002"]
        assert result.status == "ok"


def test_a_job_has_no_capability_and_cannot_gain_one(box: Sandbox) -> None:
    found = dict(line.split(":\t", 1) for line in box.exec("cat /proc/self/status").stdout_text.splitlines())
    assert {found["CapEff"], found["CapPrm"], found["CapInh"], found["CapAmb"]} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_both_streams_come_back_and_are_streamed(box: Sandbox) -> None:
    pieces: list[tuple[str, bytes]] = []
    result = box.exec("echo out; echo err >&2; exit 3", on_output=lambda *piece: pieces.append(piece))
    assert (result.status, result.exit_code, result.stdout, result.stderr) == ("nonzero", 3, b"out\n", b"err\n")
    assert sorted(pieces) == [("stderr", b"err\n"), ("stdout", b"out\n")]


def test_a_program_that_is_not_there_is_127(box: Sandbox) -> None:
    assert box.exec(["nosuch"]).exit_code == 127


def test_large_input_and_output_pass_whole(backend: DockerBackend) -> None:
    data = os.urandom(3_000_000)
    with backend.lease(SandboxSpec(output_bytes=4_000_000)) as box:
        assert box.exec(["cat"], stdin=data).stdout == data
        assert box.exec(["true"], stdin=data).status == "ok"


def test_endless_output_is_capped(box: Sandbox) -> None:
    result = box.exec("yes", timeout_s=30)
    assert result.status == "output_limit"
    assert len(result.stdout) == 100_000


def test_a_job_that_hangs_is_killed_with_all_that_it_started(box: Sandbox) -> None:
    result = box.exec("trap '' TERM; setsid sleep 1000 & sleep 1000", timeout_s=0.5)
    assert (result.status, result.signal, result.exit_code) == ("timeout", 9, None)
    assert b"sleep" not in box.exec(["ps"]).stdout


def test_what_a_job_leaves_running_is_killed_at_its_end(box: Sandbox) -> None:
    assert box.exec("setsid sleep 1000 >/dev/null 2>&1 & echo x").status == "ok"
    assert b"sleep 1000" not in box.exec(["ps"]).stdout


def test_a_job_that_closes_its_output_is_still_waited_for(box: Sandbox) -> None:
    result = box.exec("exec >&- 2>&-; sleep 0.7; exit 5", timeout_s=20)
    assert result.exit_code == 5
    assert result.wall_s > 0.6


def test_a_fork_bomb_meets_the_bound_and_is_over(box: Sandbox) -> None:
    assert box.exec("f() { f | f & }; f; sleep 20", timeout_s=20).status == "pids"
    assert box.exec("echo fine").stdout == b"fine\n"


def test_memory_is_a_bound_and_the_kernel_says_so(box: Sandbox) -> None:
    assert box.exec("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", timeout_s=60).status == "oom"
    assert box.exec("echo fine").stdout == b"fine\n"


def test_processor_time_is_a_bound(backend: DockerBackend) -> None:
    with backend.lease(SandboxSpec(cpu_s=0.5)) as box:
        result = box.exec("while :; do :; done", timeout_s=60)
        assert result.status == "cpu_timeout"
        assert result.cpu_s >= 0.5


def test_disk_and_inodes_are_bounds(box: Sandbox) -> None:
    full = box.exec("dd if=/dev/zero of=/work/big bs=1M count=20; rm /work/big")
    assert b"No space left" in full.stderr
    files = box.exec("i=0; while [ $i -lt 100 ]; do : >/work/$i || exit 9; i=$((i+1)); done", timeout_s=20)
    assert files.status == "nonzero"


def test_the_root_cannot_be_written_and_there_is_no_network(box: Sandbox) -> None:
    assert b"Read-only" in box.exec("touch /x").stderr
    assert box.exec("cat /proc/net/dev | grep -v lo: | grep -c :").stdout == b"0\n"


def test_a_job_cannot_signal_the_keeper(box: Sandbox) -> None:
    # `kill -1` reaches all that the job may signal, itself left out.
    box.exec("kill -9 -1; for p in /proc/[0-9]*; do kill -9 ${p#/proc/}; done", timeout_s=20)
    assert box.exec("echo fine").stdout == b"fine\n"


def test_files_go_in_and_out(box: Sandbox) -> None:
    content = os.urandom(300_000)
    box.write("deep/down/a", content, mode=0o600)
    assert box.read("deep/down/a") == content
    assert box.read("/work/deep/down/a") == content
    (entry,) = box.list("deep/down")
    assert (entry.name, entry.kind, entry.size, entry.mode) == ("a", "file", 300_000, 0o600)
    box.write("deep/down/a", b"")
    assert box.read("deep/down/a") == b""
    assert [(each.name, each.kind) for each in box.list()] == [("deep", "folder")]


def test_files_of_the_spec_are_there(backend: DockerBackend) -> None:
    with backend.lease(SandboxSpec(files={"in/x": b"1"})) as box:
        assert box.exec("cat in/x").stdout == b"1"


@pytest.mark.parametrize(
    ("attempt", "number"),
    [
        (lambda box: box.read("none"), errno.ENOENT),
        (lambda box: box.read("folder"), errno.EINVAL),
        (lambda box: box.read("link"), errno.EINVAL),
        (lambda box: box.read("fifo"), errno.EINVAL),
        (lambda box: box.read("closed"), errno.EACCES),
        (lambda box: box.read("large", max_bytes=99), errno.EFBIG),
        (lambda box: box.read("/dev/null"), errno.EINVAL),
        (lambda box: box.list("none"), errno.ENOENT),
        (lambda box: box.list("large"), errno.ENOENT),
        (lambda box: box.list(max_entries=2), errno.EFBIG),
        (lambda box: box.write("folder", b""), errno.EINVAL),
        (lambda box: box.write("fifo", b""), errno.EINVAL),
        (lambda box: box.write("link", b""), errno.EINVAL),
        (lambda box: box.write("/x", b""), errno.EROFS),
        (lambda box: box.write("big", bytes(20_000_000)), errno.ENOSPC),
    ],
)
def test_a_path_that_cannot_be_used_is_a_typed_error(
    box: Sandbox, attempt: Callable[[Sandbox], Any], number: int
) -> None:
    box.exec(
        "mkdir folder; ln -s /etc/passwd link; mkfifo fifo; echo >closed; chmod 0 closed; head -c 100 /dev/zero > large"
    )
    with pytest.raises(SandboxFileError) as caught:
        attempt(box)
    assert caught.value.errno == number


def test_hostile_names_are_listed_as_they_are(box: Sandbox) -> None:
    box.exec(["sh", "-c", 'touch "a\nffff 1 b" " x " -- "-n"; mkfifo p; ln -s / l'])
    found = {entry.name: entry.kind for entry in box.list()}
    assert found == {"a\nffff 1 b": "file", " x ": "file", "-n": "file", "p": "other", "l": "link"}


def test_background_jobs_run_beside_and_are_killed_alone(box: Sandbox) -> None:
    long, short = box.start("echo up; sleep 1000"), box.start("sleep 0.5; echo done")
    while long.output() != (b"up\n", b""):
        time.sleep(0.05)
    assert box.exec("echo front").stdout == b"front\n"
    assert long.poll() is None
    assert short.wait(30).stdout == b"done\n"
    with pytest.raises(TimeoutError):
        long.wait(0.05)
    assert long.kill().status == "signal"
    assert b"sleep 1000" not in box.exec(["ps"]).stdout


def test_what_needs_python_says_so(box: Sandbox) -> None:
    talk = partial(box.start, "cat", open_stdin=True)
    for attempt in (lambda: box.run_python("1"), box.python, lambda: box.call("f", source=""), talk):
        with pytest.raises(SpecError, match="needs Python"):
            attempt()


def test_an_allow_list_is_refused(backend: DockerBackend) -> None:
    with pytest.raises(SpecError, match="network"):
        backend.lease(SandboxSpec(network=["docs.example.org"]))


@pytest.mark.parametrize("command", [[], ["a\0b"], ["x" * 200_000], ["\udcff"]])
def test_arguments_that_cannot_work_are_a_spec_error(box: Sandbox, command: list[str]) -> None:
    with pytest.raises(SpecError):
        box.exec(command)


def test_a_box_that_is_gone_says_so(backend: DockerBackend) -> None:
    engine = Engine()
    with backend.lease() as box:
        with engine.client() as client:
            client.kill(box.id)
        with pytest.raises(SandboxDied, match=box.id):
            box.exec("true")
        with pytest.raises(SandboxDied):
            box.exec("true")
    box.close()
    with pytest.raises(SandboxClosed):
        box.exec("true")
    with engine.client() as client:
        assert not client.containers(all=True, filters={"name": box.id})
    engine.close()


def test_a_box_that_could_not_be_removed_gives_its_slot_back_later(image: str) -> None:
    with (
        slow_socket("/var/run/docker.sock", (b"DELETE ",)) as stub,
        DockerBackend(image=image, base_url=stub.url, timeout_s=3, max_boxes=1) as backend,
    ):
        stub.stalls = False  # for the trial of the image
        box = backend.lease()
        stub.stalls = True
        box.close()
        assert backend.stats().quarantined == 1
        with pytest.raises(SandboxBusy):
            backend.lease(wait_s=0.1)
        stub.stalls = False
        with backend.lease(wait_s=30) as box:
            assert box.exec("true").ok
        assert backend.stats().quarantined == 0


def test_an_error_of_the_callback_kills_the_job_and_leaves_the_box(box: Sandbox) -> None:
    def fail(stream: str, piece: bytes) -> None:
        raise KeyError(stream)

    with pytest.raises(KeyError):
        box.exec("echo x; sleep 1000", on_output=fail)
    assert b"sleep 1000" not in box.exec(["ps"]).stdout


def test_modes_of_files_are_kept_to_permissions(box: Sandbox) -> None:
    box.write("s", b"", mode=0o4755)
    assert not box.list()[0].mode & stat.S_ISUID


@pytest.fixture(scope="module")
def bare() -> Generator[str]:
    yield from _imported("agentrl-test-bare", ["true"])


def test_an_image_without_a_shell_is_refused_in_words(bare: str) -> None:
    with (
        DockerBackend(image=bare) as backend,
        pytest.raises(SandboxUnavailable, match=r"neither Python 3\.8 or later nor `sh`"),
    ):
        backend.lease()
