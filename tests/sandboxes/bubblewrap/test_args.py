"""The launch chain of a bubblewrap box, field by field; nothing is run here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from agentrl.sandboxes.bubblewrap.args import (
    ETC,
    IDS,
    MASKED,
    WORKER_CAPABILITIES,
    Findings,
    Launch,
    bwrap_arguments,
    etc_files,
    id_map,
    last_arguments,
    launch_command,
    mount_table,
    path_variable,
)
from agentrl.sandboxes.bubblewrap.host import IdRange, parse_ranges
from agentrl.sandboxes.host.requests import PATH
from agentrl.sandboxes.spec import SandboxSpec

FOLDER = Path("/tmp/some folder")
TOOLS = {name: f"/usr/bin/{name}" for name in ("bwrap", "unshare", "nsenter", "mount", "setpriv", "sh", "cat")}
FINDINGS = Findings(
    mode="root",
    folder=FOLDER,
    system={"bin": "usr/bin", "lib": None},
    masked=("keys", "kcore"),
    python="/opt/langs/python",
    packages=("/opt/langs/python/lib/python3.11/site-packages",),
    tools=TOOLS,
)
LAUNCH = Launch(
    shape=SandboxSpec(disk_mb=7, inodes=99, user=1234),
    holder=4321,
    first_id=200_000,
    command=["python3", "-c", "print(1)"],
    environment={"PATH": "/usr/bin", "EMPTY": ""},
    join=[Path("/sys/fs/cgroup/memory/agentrl/x/tasks")],
    counters={"/sys/fs/cgroup/memory": Path("/sys/fs/cgroup/memory/agentrl/x")},
    mounts=FOLDER / "mounts-1",
    args_fd=11,
    info_fd=12,
)
Mode = Literal["root", "mapped", "single"]


def values(arguments: list[str], option: str, count: int = 2) -> list[tuple[str, ...]]:
    return [tuple(arguments[at + 1 : at + 1 + count]) for at, each in enumerate(arguments) if each == option]


def script_with(command: list[str], word: str) -> str:
    return next(each for each in command if word in each and "\n" in each)


def told(findings: Findings, launch: Launch) -> list[str]:
    return [*bwrap_arguments(findings, launch), *last_arguments(findings, launch)]


@pytest.mark.parametrize("kind", ["pid", "ipc", "net", "uts", "cgroup-try"])
def test_every_namespace_is_its_own(kind: str) -> None:
    assert f"--unshare-{kind}" in told(FINDINGS, LAUNCH)
    assert "--share-net" not in told(FINDINGS, LAUNCH)


def test_the_environment_is_only_what_was_given() -> None:
    made = told(FINDINGS, LAUNCH)
    assert made.index("--clearenv") < made.index("--setenv")
    assert values(made, "--setenv") == [("PATH", "/usr/bin"), ("EMPTY", "")]


def test_nothing_of_the_host_is_bound_but_what_is_listed() -> None:
    made = told(FINDINGS, LAUNCH)
    assert values(made, "--ro-bind") == [
        ("/usr", "/usr"),
        ("/lib", "/lib"),
        (f"{FOLDER}/etc-1234", "/etc"),
        ("/opt/langs/python", "/opt/langs/python"),
        (f"{FOLDER}/nothing", "/opt/langs/python/lib/python3.11/site-packages"),
        (f"{FOLDER}/empty", "/proc/keys"),
        (f"{FOLDER}/empty", "/proc/kcore"),
        ("/sys/fs/cgroup/memory/agentrl/x", "/sys/fs/cgroup/memory"),
    ]
    assert values(made, "--bind") == [
        (f"{FOLDER}/shm", "/dev/shm"),
        (f"{FOLDER}/work", "/work"),
        (f"{FOLDER}/tmp", "/tmp"),
    ]
    assert values(made, "--symlink") == [("usr/bin", "/bin")]
    assert not {"--dev-bind", "--bind-try", "--dev-bind-try"} & set(made)


def test_what_is_on_the_way_to_a_mount_can_be_passed_but_shows_no_siblings() -> None:
    made = told(FINDINGS, LAUNCH)
    assert [path for (path,) in values(made, "--dir", 1)] == ["/opt", "/opt/langs", "/sys", "/sys/fs", "/sys/fs/cgroup"]
    assert made.count("--perms") == made.count("--dir")


def test_what_has_no_size_is_read_only() -> None:
    made = told(FINDINGS, LAUNCH)
    assert values(made, "--remount-ro", 1) == [("/dev",), ("/",)]
    assert made.index("--remount-ro") > max(at for at, each in enumerate(made) if each in ("--bind", "--dev", "--dir"))
    assert "--tmpfs" not in made


def test_capabilities_are_dropped_before_the_few_are_added() -> None:
    made = told(FINDINGS, LAUNCH)
    assert made.index("--cap-drop") < made.index("--cap-add")
    assert values(made, "--cap-drop", 1) == [("ALL",)]
    assert tuple(name for (name,) in values(made, "--cap-add", 1)) == WORKER_CAPABILITIES
    assert not {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", "CAP_MKNOD"} & set(WORKER_CAPABILITIES)


def test_with_one_id_there_are_no_capabilities_and_the_user_is_not_root() -> None:
    made = told(replace(FINDINGS, mode="single"), LAUNCH)
    assert "--cap-add" not in made
    assert values(made, "--cap-drop", 1) == [("ALL",)]
    assert values(made, "--uid", 1) == values(made, "--gid", 1) == [("1234",)]


def test_a_terminal_is_never_shared_and_the_name_is_not_the_hosts() -> None:
    made = told(FINDINGS, LAUNCH)
    assert "--new-session" in made
    assert values(made, "--hostname", 1) == [("sandbox",)]
    assert values(made, "--seccomp", 1) == [("9",)]
    assert values(made, "--info-fd", 1) == [("12",)]


@pytest.mark.parametrize("dies", [True, False])
def test_it_dies_with_its_thread_only_where_asked(dies: bool) -> None:
    made = told(FINDINGS, replace(LAUNCH, die_with_parent=dies))
    assert ("--die-with-parent" in made) == dies


def test_as_root_mounts_come_first_and_then_the_user_namespace() -> None:
    command = launch_command(FINDINGS, LAUNCH)
    assert command[:5] == ["/usr/bin/unshare", "--mount", "--propagation", "private", "--"]
    enter = command.index("/usr/bin/nsenter")
    assert command[enter + 1] == "--user=/proc/4321/ns/user"
    assert command[enter + 2 : enter + 6] == ["-S", "0", "-G", "0"]
    script = script_with(command, "mount").splitlines()
    assert script[0] == "set -e"
    assert script[1] == "exec 6>/proc/self/fd/11"
    assert script[2].startswith("{ /usr/bin/mount -a -T '/tmp/some folder/mounts-1' && printf '%s\\0' /work --bind ")
    assert script[2].endswith(" >&6; } &")
    assert script[3] == "exec 6>&-"
    assert script[4] == "echo 0 > /sys/fs/cgroup/memory/agentrl/x/tasks"
    assert script[-1] == 'exec "$@"'
    assert command[-6:] == ["--args", "11", "--", "python3", "-c", "print(1)"]


def test_the_last_arguments_complete_the_first_and_hold_nothing_of_the_environment() -> None:
    assert bwrap_arguments(FINDINGS, LAUNCH)[-1] == "--chdir"
    assert last_arguments(FINDINGS, LAUNCH)[0] == "/work"
    assert "--setenv" not in last_arguments(FINDINGS, LAUNCH)
    assert not any("--setenv" in each for each in launch_command(FINDINGS, LAUNCH))


@pytest.mark.parametrize("mode", ["mapped", "single"])
def test_without_root_the_user_namespace_comes_first(mode: Mode) -> None:
    command = launch_command(replace(FINDINGS, mode=mode), LAUNCH)
    assert command[0] == "/usr/bin/sh"
    assert command.index("/usr/bin/nsenter") < command.index("/usr/bin/unshare") < command.index("/usr/bin/bwrap")
    assert ("--preserve-credentials" in command) == (mode == "single")
    assert "agentrl/x/tasks" in command[2]
    assert "mount -a" in script_with(command[3:], "mount -a")


def test_the_box_cannot_read_the_hosts_paths_from_a_command_line() -> None:
    command = launch_command(FINDINGS, LAUNCH)
    last = command[command.index("/usr/bin/bwrap") :]
    assert not any("some folder" in each or "agentrl" in each for each in last)


def test_folders_have_a_size_and_a_number_of_files_and_belong_to_the_boxs_root() -> None:
    lines = [line.split() for line in mount_table(FINDINGS, LAUNCH).splitlines()]
    assert [line[1] for line in lines] == [f"/tmp/some\\040folder/{name}" for name in ("work", "tmp", "shm")]
    for line in lines:
        options = line[3].split(",")
        assert line[2] == "tmpfs"
        assert {"size=7m", "nr_inodes=99", "uid=200000", "gid=200000", "nosuid", "nodev"} <= set(options)
    unprivileged = mount_table(replace(FINDINGS, mode="mapped"), LAUNCH)
    assert "uid=0,gid=0" in unprivileged
    assert "200000" not in unprivileged


def test_a_python_that_others_cannot_reach_is_mounted_before_the_ids_change() -> None:
    hidden = replace(FINDINGS, python_hidden=True)
    assert "/opt/langs/python /tmp/some\\040folder/python none bind 0 0" in mount_table(hidden, LAUNCH)
    assert (f"{FOLDER}/python", "/opt/langs/python") in values(told(hidden, LAUNCH), "--ro-bind")


def test_path_puts_this_python_first() -> None:
    assert path_variable(FINDINGS) == f"/opt/langs/python/bin:{PATH}"
    assert path_variable(replace(FINDINGS, python=None)) == PATH


def test_redirects_are_quoted() -> None:
    command = launch_command(FINDINGS, replace(LAUNCH, redirects={8: "/proc/1/fd/3; rm -rf /"}))
    assert "exec 8> '/proc/1/fd/3; rm -rf /'" in script_with(command, "set -e")


@pytest.mark.parametrize("user", [1, 1000, 60_000])
def test_the_map_has_root_and_the_lanes_and_stays_in_its_share(user: int) -> None:
    first, second = (tuple(map(int, line.split())) for line in id_map(user, 200_000).splitlines())
    assert first == (0, 200_000, 1)
    assert second == (user, 200_001, IDS - 1)
    assert parse_ranges(id_map(user, 200_000)) == [first, second]


def test_the_made_files_know_the_job_and_nobody_of_the_host() -> None:
    files = etc_files(1000)
    users = [line.split(":") for line in files["passwd"].splitlines()]
    assert {int(each[2]) for each in users} == {0, 65534, *range(1000, 1000 + IDS - 1)}
    assert all(each[1] == "x" for each in users)
    assert re.search(r"^sandbox:x:1000:", files["group"], re.MULTILINE)
    assert set(files) == {"passwd", "group", "hosts", "nsswitch.conf"}


def test_nothing_secret_is_on_the_lists() -> None:
    assert not [name for name in ETC if any(word in name for word in ("shadow", "private", "ssh", "sudo", "krb"))]
    assert {"kcore", "keys", "kmsg", "timer_list"} <= set(MASKED)


def test_shares_of_ids_do_not_overlap_and_come_again() -> None:
    ids = IdRange(first=1000, count=10 * IDS + 5)
    firsts = [ids.slot(number) for number in range(10)]
    assert len(set(firsts)) == 10
    assert all(first >= 1000 and first + IDS <= 1000 + ids.count for first in firsts)
    assert ids.slot(10) == ids.slot(0)
