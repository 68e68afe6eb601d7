"""The sweep with real owners, containers and control groups: what is dead goes, what lives or is foreign stays."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentrl.sandboxes import reaper
from agentrl.sandboxes.images import BASE_IMAGE
from agentrl.sandboxes.reaper import OWNER_LABEL, Swept, judge, owner_token, sweep, temporary_prefix

NOWHERE = "unix:///nowhere/docker.sock"
# Makes what an owner makes: a container in each state, a network, a volume, a folder; then waits to be killed.
OWNER = """
import sys, tempfile, time
import docker
from agentrl.sandboxes.janitor import ensure_janitor
from agentrl.sandboxes.reaper import labels, owner_token, temporary_prefix
client = docker.from_env()
if sys.argv[2] == "janitor":
    ensure_janitor()
tempfile.mkdtemp(prefix=temporary_prefix())
options = dict(labels=labels("test"), network_mode="none")
client.containers.create(sys.argv[1], ["sleep", "100"], **options)
client.containers.run(sys.argv[1], ["sleep", "100"], detach=True, **options)
client.containers.run(sys.argv[1], ["true"], detach=True, **options).wait()
client.volumes.create(labels=labels("test"))
print(owner_token(), flush=True)
time.sleep(600)
"""


def dead_token() -> str:
    """Return the token of a process that is gone."""
    script = "from agentrl.sandboxes.reaper import owner_token; print(owner_token())"
    return subprocess.check_output([sys.executable, "-c", script], text=True).strip()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def test_a_token_names_machine_boot_namespace_process_and_start() -> None:
    assert re.fullmatch(rf"[0-9a-f]{{8}}-[0-9a-f]{{8}}-\d+-{os.getpid()}-\d+", owner_token())
    assert owner_token() == owner_token()
    assert temporary_prefix() == f"agentrl-{owner_token()}-"
    assert reaper.labels("agentrl-1") == {OWNER_LABEL: owner_token(), "agentrl.sandbox": "agentrl-1"}


def test_this_process_lives_and_one_that_ended_does_not() -> None:
    assert judge(owner_token()) == "alive"
    assert judge(dead_token()) == "dead"


def test_a_process_id_that_was_given_anew_is_not_the_owner() -> None:
    *rest, started = owner_token().split("-")
    assert judge("-".join([*rest, str(int(started) - 1)])) == "dead"


def test_a_zombie_is_dead() -> None:
    script = "from agentrl.sandboxes.reaper import owner_token; print(owner_token(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    token = process.stdout.readline().strip()
    assert judge(token) == "alive"
    process.kill()
    assert within(20, lambda: judge(token) == "dead")
    assert Path(f"/proc/{process.pid}").exists()  # nobody has waited for it yet
    process.communicate()


@pytest.mark.parametrize("field", [0, 1])
def test_what_another_machine_made_is_not_judged(field: int) -> None:
    parts = dead_token().split("-")
    parts[0] = "0123abcd"
    parts[1] = ("0123abcd", parts[1])[field]
    # The same kernel under another machine id is a container here: its processes are judged by their namespace.
    assert judge("-".join(parts)) == ("foreign", "dead")[field]


def test_another_boot_of_this_machine_is_dead() -> None:
    machine, _, *rest = owner_token().split("-")
    assert judge("-".join([machine, "0123abcd", *rest])) == ("foreign" if machine == "00000000" else "dead")


@pytest.mark.parametrize("token", ["", "x", "a-b-c-d-e", "../../etc", "{}-1", "{}\n", "x{}", "{}" + "9" * 21])
def test_what_is_no_token_is_not_judged(token: str) -> None:
    assert judge(token.format(owner_token())) == "foreign"


def test_another_namespace_is_judged_only_where_it_can_be_seen() -> None:
    if os.geteuid() != 0:
        pytest.skip("a process namespace of its own needs root here")
    script = "from agentrl.sandboxes.reaper import owner_token; print(owner_token(), flush=True); input()"
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    token = process.stdout.readline().strip()
    sees = owner_token().split("-")[2] == reaper.FIRST_NAMESPACE
    assert token.split("-")[3] == "1"
    assert judge(token) == ("alive" if sees else "foreign")
    process.kill()
    process.communicate()
    assert within(20, lambda: judge(token) == ("dead" if sees else "foreign"))


def test_folders_of_the_dead_go_and_of_the_living_stay(tmp_path: Path) -> None:
    token = dead_token()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    gone = Path(tempfile.mkdtemp(prefix=f"agentrl-{token}-", dir=tmp_path))
    (gone / "deep" / "er").mkdir(parents=True)
    (gone / "deep" / "link").symlink_to(outside)
    (gone / "deep").chmod(0o500)
    stay = [Path(tempfile.mkdtemp(prefix=prefix, dir=tmp_path)) for prefix in (temporary_prefix(), "agentrl-x-", "x-")]
    link = tmp_path / f"agentrl-{token}-link"
    link.symlink_to(outside)
    assert list(sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE, dry_run=True)) == [f"folder {gone}"]
    assert gone.exists()
    swept = sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE)
    if os.geteuid() == 0:  # others cannot empty a folder that they may not write to
        assert swept.folders == (str(gone),)
        assert not gone.exists()
    assert (outside / "kept").exists()
    assert all(each.exists() for each in [*stay, link])
    assert swept.engine is not None
    assert "nowhere" in swept.engine
    assert sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE).folders == ()


def test_a_sweep_for_one_owner_leaves_others_and_the_living(tmp_path: Path) -> None:
    one, other = dead_token(), dead_token()
    for token in (one, other, owner_token()):
        (tmp_path / f"agentrl-{token}-x").mkdir()
    assert len(sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE, owner=one).folders) == 1
    assert not sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE, owner=owner_token()).folders
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"agentrl-{each}-x" for each in (other, owner_token())
    )


def test_a_folder_with_a_mount_is_left_and_said(tmp_path: Path) -> None:
    folder = tmp_path / f"agentrl-{dead_token()}-x"
    (folder / "mount point").mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder / "mount point"], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        swept = sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE)
        assert swept.folders == ()
        assert "umount" in swept.left[f"folder: {folder}"]
    finally:
        subprocess.run(["umount", folder / "mount point"], check=True)
    assert sweep(tmp=tmp_path, cgroup_roots=[], engine_url=NOWHERE).folders == (str(folder),)


def test_cgroup_folders_of_the_dead_go_with_their_processes() -> None:
    places = [root for root in reaper._cgroup_roots() if (root / "pids.max").exists() or (root / "pids").is_dir()]
    roots = [root for root in reaper._cgroup_roots() if "pids" in root.parts] or places
    roots = [root for root in roots if os.access(root, os.W_OK)][:1]
    if not roots or os.geteuid() != 0:
        pytest.skip("no control group can be made here")
    token = dead_token()
    dead, alive = (roots[0] / "agentrl" / name / "agentrl-1" for name in (token, owner_token()))
    try:
        for folder in (dead, alive):
            folder.mkdir(parents=True)
        join = 'echo $$ > "$1/cgroup.procs" && exec sleep 600'
        victims = [subprocess.Popen(["sh", "-c", join, "sh", dead]) for _ in range(3)]
        neighbour = subprocess.Popen(["sh", "-c", join, "sh", alive])
        assert within(20, lambda: len((dead / "cgroup.procs").read_text(encoding="ascii").split()) == 3)
        swept = sweep(cgroup_roots=roots, tmp="/nowhere", engine_url=NOWHERE)
        assert str(dead.parent) in swept.cgroups
        assert not dead.parent.exists()
        assert [victim.wait(20) for victim in victims] == [-signal.SIGKILL] * 3
        assert alive.exists()
        assert neighbour.poll() is None
        neighbour.kill()
        neighbour.wait()
    finally:
        for folder in (dead, alive):
            for each in (folder, folder.parent):
                # This process's own folder may hold boxes of other tests.
                with contextlib.suppress(OSError):
                    each.rmdir()


def test_an_engine_that_hangs_meets_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It accepts, and sends a byte now and then, so that no single read ever times out.
    monkeypatch.setattr(reaper, "ENGINE_S", 0.5)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "docker.sock"))
    listener.listen()
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.1):
                connection.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    (tmp_path / f"agentrl-{dead_token()}-x").mkdir()
    began = time.monotonic()
    swept = sweep(tmp=tmp_path, cgroup_roots=[], engine_url=f"unix://{tmp_path}/docker.sock")
    took = time.monotonic() - began
    stop.set()
    thread.join()
    listener.close()
    assert took < 30
    assert swept.engine is not None
    assert "did not answer" in swept.engine
    assert len(swept.folders) == 1
    assert within(20, lambda: not any(each.name == "sandbox-sweep" for each in threading.enumerate()))


def test_an_engine_that_refuses_is_reported(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "docker.sock"))
    listener.close()
    swept = sweep(tmp=tmp_path, cgroup_roots=[], engine_url=f"unix://{tmp_path}/docker.sock")
    assert swept.engine is not None
    assert "refused" in swept.engine
    assert list(swept) == []


@pytest.fixture
def engine() -> Iterator[Any]:
    import docker

    client = docker.from_env(timeout=30)
    yield client
    client.close()


@pytest.fixture
def owner(tmp_path: Path, engine: Any) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """Start an owner that has made everything; what it made is gone at the end."""
    started: list[tuple[subprocess.Popen[str], str]] = []

    def begin(how: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, BASE_IMAGE, how],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert process.stdout is not None
        started.append((process, process.stdout.readline().strip()))
        assert judge(started[-1][1]) == "alive"
        return started[-1]

    yield begin
    for process, token in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        sweep(engine, [], tmp_path, owner=token)
        assert things(engine, token) == []


def things(engine: Any, token: str) -> list[str]:
    only = {"label": [f"{OWNER_LABEL}={token}"]}
    containers = engine.api.containers(all=True, filters=only)
    volumes = engine.api.volumes(filters=only)["Volumes"] or []
    return [each["State"] for each in containers] + [each["Name"] for each in volumes]


@pytest.mark.docker
def test_a_killed_owner_leaves_nothing_and_its_neighbour_is_kept(
    owner: Callable[[str], tuple[subprocess.Popen[str], str]], engine: Any, tmp_path: Path
) -> None:
    victim, token = owner("janitor")
    _, neighbour = owner("janitor")
    before = things(engine, token)
    assert {"created", "running", "exited"} <= set(before)
    assert len(before) == 4
    victim.kill()
    assert within(10, lambda: things(engine, token) == [] and not list(tmp_path.glob(f"agentrl-{token}-*")))
    assert len(things(engine, neighbour)) == 4
    assert len(list(tmp_path.glob(f"agentrl-{neighbour}-*"))) == 1


@pytest.mark.docker
def test_two_sweeps_at_once_do_no_harm(
    owner: Callable[[str], tuple[subprocess.Popen[str], str]], engine: Any, tmp_path: Path
) -> None:
    victim, token = owner("alone")
    _, neighbour = owner("alone")
    victim.kill()
    assert within(20, lambda: judge(token) == "dead")
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(sweep, None, [], tmp_path) for _ in range(2)]
        done: list[Swept] = [each.result(120) for each in both]
    assert not any(name for each in done for name in each.left if token in name)
    assert [each.engine for each in done] == [None, None]
    assert within(20, lambda: things(engine, token) == [])
    assert len(things(engine, neighbour)) == 4
    assert sweep(engine, [], tmp_path, owner=neighbour) == Swept()
