"""The system call policy: complete and free of contradictions as data, and effective in both of its forms."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.syscalls import NAMESPACE_FLAGS, Rule, Test, docker_profile, policy, seccomp_bpf

WORD = 0xFFFFFFFF
only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="call numbers below are those of x86-64")

# Prints a JSON list of [label, errno]; numbers are x86-64's.
PROBE = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*values):
    ctypes.set_errno(0)
    libc.syscall(*[ctypes.c_ulong(value) for value in values])
    return ctypes.get_errno()
made = {
    "clone3": call(435, 0, 0), "unknown": call(999), "unshare": call(272, 0x10000000), "setns": call(308, 0, 0),
    "clone_user": call(56, 0x10000011, 0, 0, 0, 0), "mount": call(165, 0, 0, 0, 0, 0), "chroot": call(161, 0),
    "pivot_root": call(155, 0, 0), "ptrace": call(101, 0, 0, 0, 0), "keyctl": call(250, 0, 0),
    "bpf": call(321, 0, 0, 0),
    "perf": call(298, 0, 0, 0, 0, 0), "userfaultfd": call(323, 0), "io_uring": call(425, 1, 0),
    "by_handle": call(304, 0, 0, 0), "settime": call(227, 0, 0), "reboot": call(169, 0, 0, 0, 0),
    "vm_readv": call(310, 1, 0, 0, 0, 0, 0), "persona": call(135, 0x40000), "persona_asked": call(135, 0xFFFFFFFF),
    "tiocsti": call(16, 0, 0x5412, 0), "tiocsti_high": call(16, 0, 0x5412 | 1 << 32, 0),
    "tioclinux": call(16, 0, 0x541C, 0), "other_ioctl": call(16, 99, 0x5401, 0), "getpid": call(39),
}
for family in (1, 2, 10, 16, 17, 38, 40, 200):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
        made[f"family_{family}"] = 0
    except OSError as error:
        made[f"family_{family}"] = error.errno
try:
    socket.socket(16, socket.SOCK_DGRAM, 12)
    made["netfilter"] = 0
except OSError as error:
    made["netfilter"] = error.errno
child = os.fork()
if not child:
    libc.syscall(0x40000000 | 39)
    os._exit(0)
made["x32"] = -os.WTERMSIG(os.waitpid(child, 0)[1])
print(json.dumps(made))
"""
REFUSED = (
    "unshare setns clone_user mount chroot pivot_root ptrace keyctl bpf perf userfaultfd io_uring by_handle settime "
    "reboot vm_readv tiocsti tiocsti_high tioclinux"
)
EXPECTED = (
    dict.fromkeys(REFUSED.split(), errno.EPERM)
    | dict.fromkeys(["family_17", "family_38", "family_40", "family_200", "netfilter"], errno.EAFNOSUPPORT)
    | dict.fromkeys(["family_1", "family_2", "family_10", "family_16", "getpid", "persona_asked"], 0)
    | {"clone3": errno.ENOSYS, "other_ioctl": errno.EBADF, "x32": -31}
)


def verdict(name: str, *arguments: int) -> set[int | None]:
    """Return every end that the rules give to a call; -1 where no rule fits."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    return {
        rule.error for rule in policy() if name in rule.names and all(fits(each, padded) for each in rule.tests)
    } or {-1}


def fits(test: Test, arguments: list[int]) -> bool:
    value = arguments[test.argument]
    return {
        "eq": value == test.value,
        "ge": value >= test.value,
        "masked": value & test.mask == test.value,
    }[test.op]


def unconditional() -> Iterator[Rule]:
    return (rule for rule in policy() if not rule.tests)


def test_no_call_is_both_allowed_and_refused() -> None:
    for one, other in combinations(list(unconditional()), 2):
        assert not set(one.names) & set(other.names)
    whole = {name for rule in unconditional() for name in rule.names}
    assert not whole & {name for rule in policy() if rule.tests for name in rule.names}


def test_every_rule_has_a_reason() -> None:
    assert all(rule.why and rule.names for rule in policy())


@pytest.mark.parametrize("name", ["setresuid", "setresgid", "setgroups", "kill", "prctl", "execve", "futex", "recvmsg"])
def test_the_worker_may(name: str) -> None:
    assert verdict(name) == {None}


@pytest.mark.parametrize("name", ["kexec_load", "init_module", "quotactl", "acct", "fanotify_init", "iopl", "syslog"])
def test_nobody_may(name: str) -> None:
    assert verdict(name) == {errno.EPERM}


@given(st.integers(0, WORD))
def test_clone_is_refused_exactly_with_a_namespace_flag(flags: int) -> None:
    asks = any(flags & bit for bit in NAMESPACE_FLAGS.values())
    assert verdict("clone", flags) == ({errno.EPERM} if asks else {None})


@given(st.integers(0, 2**64 - 1) | st.sampled_from([0x5412, 0x541C, 0x5413, 0x5412 | 1 << 40]))
def test_ioctl_is_refused_exactly_where_the_kernel_would_see_a_forbidden_request(request: int) -> None:
    expected = errno.EPERM if request & WORD in (0x5412, 0x541C) else None
    assert verdict("ioctl", 0, request) == {expected}


@given(st.integers(0, WORD), st.integers(0, WORD))
def test_sockets_are_local_or_internet(family: int, protocol: int) -> None:
    allowed = family in (1, 2, 10) or (family == 16 and protocol == 0)
    assert verdict("socket", family, 1, protocol) == ({None} if allowed else {errno.EAFNOSUPPORT})


def test_the_docker_form_says_the_same() -> None:
    profile = docker_profile()
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == errno.ENOSYS
    assert len(profile["architectures"]) == 1
    assert len(profile["syscalls"]) == len(policy())
    for rule, shown in zip(policy(), profile["syscalls"], strict=True):
        assert tuple(shown["names"]) == rule.names
        assert shown.get("errnoRet") == rule.error
        assert len(shown.get("args", [])) == len(rule.tests)
    assert json.loads(json.dumps(profile)) == profile


def test_the_program_is_a_classic_filter() -> None:
    program = seccomp_bpf()
    assert program
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096


@only_x86
@pytest.mark.bwrap
def test_the_filter_holds_in_bubblewrap() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(seccomp_bpf())
        file.seek(0)
        command = ["bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for name in ("bin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                command += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
            elif os.path.isdir(f"/{name}"):
                command += ["--ro-bind", f"/{name}", f"/{name}"]
        command += ["--seccomp", str(file.fileno()), "--", "/usr/bin/python3", "-I", "-c", PROBE]
        done = subprocess.run(command, capture_output=True, text=True, pass_fds=[file.fileno()], timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert {name: seen[name] for name in EXPECTED} == EXPECTED
    assert seen["unknown"] == errno.ENOSYS
    assert seen["persona"] != 0


@only_x86
@pytest.mark.docker
def test_the_profile_holds_in_docker() -> None:
    import docker

    client = docker.from_env()
    try:
        image = next((image for image in client.images.list() if any("agentrl" in tag for tag in image.tags)), None)
        if image is None:
            pytest.skip("there is no image of `agentrl sandbox build` here")
        said = client.containers.run(
            image.id,
            ["-I", "-c", PROBE],
            entrypoint="python3",
            security_opt=["no-new-privileges:true", "seccomp=" + json.dumps(docker_profile())],
            network_mode="none",
            remove=True,
        )
    finally:
        client.close()
    seen = json.loads(said)
    assert {name: seen[name] for name in EXPECTED} == EXPECTED
    assert seen["unknown"] != 0
