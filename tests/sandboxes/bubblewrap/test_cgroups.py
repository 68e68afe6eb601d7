"""Control groups: where they may be had, from the text of /proc; and, as root, that their limits hold and they go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrl.sandboxes.bubblewrap.cgroups import (
    Cgroup,
    Hierarchy,
    Limits,
    make_cgroup,
    parse_hierarchy,
    usable_hierarchy,
)
from agentrl.sandboxes.errors import SandboxUnavailable

V1 = """\
36 31 0:33 / {0}/memory rw - cgroup cgroup rw,memory
37 31 0:34 / {0}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
"""
V2 = "41 31 0:38 / {0} rw shared:5 - cgroup2 cgroup2 rw,nsdelegate"


def second_version(root: Path, *parts: str, writable: bool = True) -> Path:
    """Make folders that look like a hierarchy of version 2, down to a group of this process."""
    folder = root
    for part in ("", *parts):
        folder = folder / part
        folder.mkdir(exist_ok=True)
        for name, text in (("controllers", "cpuset cpu io memory pids"), ("procs", ""), ("subtree_control", "")):
            (folder / f"cgroup.{name}").write_text(text)
    return folder


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    for name in ("memory", "cpu,cpuacct"):
        (tmp_path / name).mkdir()
    found = parse_hierarchy(V1.format(tmp_path), "4:memory:/somewhere\n")
    assert found.version == 1
    assert found.folders == {
        "memory": tmp_path / "memory",
        "cpu": tmp_path / "cpu,cpuacct",
        "cpuacct": tmp_path / "cpu,cpuacct",
    }
    assert found.roots() == (tmp_path / "memory/agentrl", tmp_path / "cpu,cpuacct/agentrl")


def test_version_2_without_controllers_beside_version_1_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified/cgroup.controllers").write_text("\n")
    both = V1.format(tmp_path) + V2.format(tmp_path / "unified")
    assert parse_hierarchy(both, "0::/\n").version == 1


def test_version_2_starts_at_the_topmost_folder_that_may_be_used(tmp_path: Path) -> None:
    second_version(tmp_path, "user.slice", "session.scope")
    found = parse_hierarchy(V2.format(tmp_path), "0::/user.slice/session.scope\n")
    assert found == Hierarchy(version=2, folders=dict.fromkeys(("memory", "pids", "cpu"), tmp_path))
    assert found.roots() == (tmp_path / "agentrl",)


def test_a_delegated_subtree_is_found_below_what_is_closed(tmp_path: Path) -> None:
    inner = second_version(tmp_path, "user.slice", "mine")
    for each in (tmp_path, tmp_path / "user.slice"):
        (each / "cgroup.subtree_control").unlink()  # closed even to root, for whom no permission is missing
    found = parse_hierarchy(V2.format(tmp_path), "0::/user.slice/mine\n")
    assert set(found.folders.values()) == {inner}


def test_where_nothing_may_be_used_there_are_no_folders(tmp_path: Path) -> None:
    second_version(tmp_path)
    (tmp_path / "cgroup.procs").unlink()
    assert not parse_hierarchy(V2.format(tmp_path), "0::/../../elsewhere\n").folders
    assert not parse_hierarchy("", "").folders


def test_a_mount_point_with_a_space_is_read(tmp_path: Path) -> None:
    root = tmp_path / "with space"
    second_version(root)
    assert parse_hierarchy(V2.format(str(root).replace(" ", "\\040")), "0::/\n").folders["memory"] == root


def test_version_2_shows_one_folder_with_all_counters(tmp_path: Path) -> None:
    group = Cgroup(Hierarchy(version=2), dict.fromkeys(("memory", "pids", "cpu"), tmp_path))
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (tmp_path / "pids.events").write_text("max 5\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (tmp_path / "cgroup.procs").write_text("17\n18\n")
    counters = group.counters()
    assert (counters.oom_kills, counters.pids_refused, counters.cpu_s) == (2, 5, 1.5)
    assert group.binds() == {"/sys/fs/cgroup": tmp_path}
    assert group.join_files() == (tmp_path / "cgroup.procs",)
    assert group.processes() == [17, 18]


def test_a_counter_that_is_not_there_is_none_and_not_nought(tmp_path: Path) -> None:
    group = Cgroup(Hierarchy(version=1), {"memory": tmp_path})
    counters = group.counters()
    assert (counters.oom_kills, counters.pids_refused, counters.cpu_s) == (None, None, None)


def test_version_2_turns_controllers_on_and_sets_limits(tmp_path: Path) -> None:
    hierarchy = Hierarchy(version=2, folders=dict.fromkeys(("memory", "pids", "cpu"), tmp_path))
    second_version(tmp_path, "agentrl", "owner", "box")
    group = make_cgroup(hierarchy, "owner", "box", Limits(memory_mb=64, pids=10, cpus=1.5))
    folder = group.folders["memory"]
    assert folder == tmp_path / "agentrl/owner/box"
    for each in (tmp_path, tmp_path / "agentrl", tmp_path / "agentrl/owner"):
        assert (each / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert not (folder / "cgroup.subtree_control").read_text()
    assert (folder / "memory.max").read_text() == str(64 << 20)
    assert (folder / "pids.max").read_text() == "10"
    assert (folder / "cpu.max").read_text() == "150000 100000"
    assert not (folder / "memory.swap.max").exists()  # not accounted for here


def test_what_the_kernel_refuses_is_said_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "agentrl").write_text("in the way")
    with pytest.raises(SandboxUnavailable, match="systemd-run"):
        make_cgroup(Hierarchy(version=1, folders={"memory": tmp_path}), "owner", "box", Limits(memory_mb=64))


@pytest.fixture
def group() -> Iterator[Cgroup]:
    hierarchy = usable_hierarchy()
    if os.geteuid() != 0 or not {"memory", "pids", "cpu"} <= set(hierarchy.folders):
        pytest.skip("needs root and writable control groups")
    owner = f"test-{uuid.uuid4().hex[:12]}"
    made = make_cgroup(hierarchy, owner, "box", Limits(memory_mb=64, pids=8, cpus=0.5))
    yield made
    made.kill()
    assert made.remove()
    assert not any(folder.exists() or folder.parent.exists() for folder in made.folders.values())


def inside(group: Cgroup, program: str) -> subprocess.Popen[bytes]:
    script = "\n".join([*(f"echo 0 > {file}" for file in group.join_files()), 'exec "$@"'])
    python = [sys.executable, "-I", "-S", "-c", program]
    return subprocess.Popen(["sh", "-c", script, "sh", *python], stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.bwrap
def test_memory_is_held_and_the_kill_is_counted(group: Cgroup) -> None:
    assert inside(group, "x = bytearray(300 << 20); x[::4096] = b'x' * len(x[::4096])").wait(60) == -9
    assert (group.counters().oom_kills or 0) >= 1
    assert group.counters().pids_refused == 0


@pytest.mark.bwrap
def test_forks_are_held_and_the_refusal_is_counted(group: Cgroup) -> None:
    program = (
        "import os, time\ntry:\n for _ in range(30):\n  if not os.fork(): time.sleep(60)\nexcept OSError: os._exit(5)"
    )
    assert inside(group, program).wait(60) == 5
    assert (group.counters().pids_refused or 0) >= 1
    assert group.processes()
    assert not group.remove(0.05)
    group.kill()
    assert group.remove()
    assert group.remove()


@pytest.mark.bwrap
def test_processor_time_is_counted(group: Cgroup) -> None:
    assert inside(group, "import time\nwhile time.process_time() < 0.3: pass").wait(60) == 0
    spent = group.counters().cpu_s
    assert spent is not None
    assert spent >= 0.25


@pytest.mark.bwrap
def test_many_at_once_leave_nothing() -> None:
    hierarchy = usable_hierarchy()
    if os.geteuid() != 0 or not hierarchy.folders:
        pytest.skip("needs root and writable control groups")
    owner = f"test-{uuid.uuid4().hex[:12]}"
    failed: list[str] = []

    def work(number: int) -> None:
        for turn in range(10):
            made = make_cgroup(hierarchy, owner, f"{number}-{turn}", Limits(pids=8))
            if not made.remove():
                failed.append(f"{number}-{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    until = time.monotonic() + 5
    while any((root / owner).exists() for root in hierarchy.roots()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any((root / owner).exists() for root in hierarchy.roots())
