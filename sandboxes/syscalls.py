"""The system calls that a box may make: one policy as data, rendered as BPF for bubblewrap and as JSON for Docker.

The policy is an allow-list. A call that is not named gets ENOSYS, so that a C library falls back as on an older kernel;
one that is dangerous gets EPERM, so that a program says "not permitted"; a call of a foreign architecture, x32
included, kills the process. It is the second wall: each refused call is refused by namespaces or capabilities too.
"""

from __future__ import annotations

import errno
import platform
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.syscall_names import ALLOWED, REFUSED

__all__ = ["Rule", "Test", "docker_profile", "policy", "seccomp_bpf"]

# Flags of clone that make a namespace, time's (0x80) apart: in clone that bit belongs to the exit signal.
NAMESPACE_FLAGS = {
    "CLONE_NEWNS": 0x00020000,
    "CLONE_NEWCGROUP": 0x02000000,
    "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
HIGHEST_FAMILY = 47
NETLINK_ROUTE = 0  # getaddrinfo asks it which addresses the box has
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into a terminal; paste into a console
PERSONAS = (0x0, 0x20000, 0xFFFFFFFF)  # Linux, Linux that calls itself 2.6, and "which is it?"


@dataclass(frozen=True, kw_only=True)
class Test:
    """A comparison with one argument of a call, as 64 bits."""

    __test__ = False  # its name looks like a test class to pytest

    argument: int
    op: Literal["eq", "ge", "masked"]
    """masked: `argument & mask == value`."""
    value: int
    mask: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What becomes of some calls; where several rules name a call, no arguments fit two of them with different ends."""

    names: tuple[str, ...]
    error: int | None
    """The errno that the call gets; None: it is allowed."""
    why: str
    tests: tuple[Test, ...] = ()
    """All must hold; none: always."""


def policy() -> tuple[Rule, ...]:
    """Return the rules; a call that fits none gets ENOSYS."""
    rules = [Rule(names=tuple(names.split()), error=None, why=why) for why, names in ALLOWED.items()]
    rules += [Rule(names=tuple(names.split()), error=errno.EPERM, why=why) for why, names in REFUSED.items()]
    # Named although it is the default: Docker 20.10 knows no default errno and answers EPERM, at which glibc gives up.
    rules.append(Rule(names=("clone3",), error=errno.ENOSYS, why="its flags lie in memory, where no filter can look"))
    rules += _clone_rules() + _socket_rules() + _ioctl_rules()
    rules += [
        Rule(
            names=("personality",),
            error=None,
            why="other personas switch address randomisation off or change calls",
            tests=(Test(argument=0, op="masked", mask=0xFFFFFFFF, value=persona),),
        )
        for persona in PERSONAS
    ]
    return tuple(rules)


def seccomp_bpf() -> bytes:
    """Return the policy as a classic BPF program for this machine, as bwrap's `--seccomp` reads it.

    Raises:
        SandboxUnavailable: libseccomp is not installed.
    """
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise SandboxUnavailable(
            f"no system call filter can be built ({error}); run: apt-get install libseccomp2 && pip install pyseccomp"
        ) from error
    made = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    made.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    operators = {"eq": pyseccomp.EQ, "ge": pyseccomp.GE, "masked": pyseccomp.MASKED_EQ}
    for rule in policy():
        if rule.error == errno.ENOSYS:
            continue  # libseccomp refuses a rule that says what the default says
        action = pyseccomp.ALLOW if rule.error is None else pyseccomp.ERRNO(rule.error)
        tests = [
            pyseccomp.Arg(test.argument, operators[test.op], *((test.mask,) if test.op == "masked" else ()), test.value)
            for test in rule.tests
        ]
        for name in rule.names:
            try:
                number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
            except OSError:
                continue  # newer than this libseccomp: it falls under "not named"
            if number >= 0:  # below: the call exists elsewhere, not on this architecture
                made.add_rule(action, number, *tests)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def docker_profile() -> dict[str, Any]:
    """Return the policy as Docker's seccomp profile, for `security_opt=["seccomp=" + json.dumps(docker_profile())]`."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        # Only this one: any other, x32 included, is killed by libseccomp's default for a foreign architecture.
        "architectures": [_docker_architecture()],
        "syscalls": [_docker_rule(rule) for rule in policy()],
    }


def _docker_rule(rule: Rule) -> dict[str, Any]:
    made: dict[str, Any] = {"names": list(rule.names), "action": "SCMP_ACT_ALLOW", "comment": rule.why}
    if rule.error is not None:
        made |= {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    if rule.tests:
        made["args"] = [_docker_test(test) for test in rule.tests]
    return made


def _docker_test(test: Test) -> dict[str, Any]:
    if test.op == "masked":
        return {"index": test.argument, "value": test.mask, "valueTwo": test.value, "op": "SCMP_CMP_MASKED_EQ"}
    return {"index": test.argument, "value": test.value, "valueTwo": 0, "op": f"SCMP_CMP_{test.op.upper()}"}


def _docker_architecture() -> str:
    machine = platform.machine()
    known = {"x86_64": "SCMP_ARCH_X86_64", "amd64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
    if machine not in known:
        raise SandboxUnavailable(f"no system call filter is made for {machine!r}; use a machine of {sorted(known)}")
    return known[machine]


def _clone_rules() -> list[Rule]:
    every = sum(NAMESPACE_FLAGS.values())
    allowed = Rule(
        names=("clone",),
        error=None,
        why="processes and threads, without new namespaces",
        tests=(Test(argument=0, op="masked", mask=every, value=0),),
    )
    refused = [
        Rule(
            names=("clone",),
            error=errno.EPERM,
            why=f"{name}: a namespace of one's own opens much of the kernel",
            tests=(Test(argument=0, op="masked", mask=bit, value=bit),),
        )
        for name, bit in NAMESPACE_FLAGS.items()
    ]
    return [allowed, *refused]


def _socket_rules() -> list[Rule]:
    allowed = [
        Rule(
            names=("socket",),
            error=None,
            why="local and internet sockets; the box has its own empty network",
            tests=(Test(argument=0, op="eq", value=family),),
        )
        for family in (AF_UNIX, AF_INET, AF_INET6)
    ]
    netlink = Test(argument=0, op="eq", value=AF_NETLINK)
    allowed.append(
        Rule(
            names=("socket",),
            error=None,
            why="getaddrinfo lists the addresses of the box over NETLINK_ROUTE",
            tests=(netlink, Test(argument=2, op="eq", value=NETLINK_ROUTE)),
        )
    )
    why = "families that have had holes and that no job needs, such as AF_PACKET, AF_ALG and AF_VSOCK"
    others = [Test(argument=0, op="ge", value=HIGHEST_FAMILY)] + [
        Test(argument=0, op="eq", value=family)
        for family in range(HIGHEST_FAMILY)
        if family not in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
    ]
    refused = [Rule(names=("socket",), error=errno.EAFNOSUPPORT, why=why, tests=(test,)) for test in others]
    refused.append(
        Rule(
            names=("socket",),
            error=errno.EAFNOSUPPORT,
            why="every other kind of netlink",
            tests=(netlink, Test(argument=2, op="ge", value=NETLINK_ROUTE + 1)),
        )
    )
    return allowed + refused


def _ioctl_rules() -> list[Rule]:
    # The kernel reads 32 bits of the request, so the upper half must not make a forbidden one look like another.
    word = 0xFFFFFFFF
    forbidden = (TIOCSTI, TIOCLINUX)
    allowed = [
        Rule(
            names=("ioctl",),
            error=None,
            why="all requests but the forbidden ones",
            tests=(Test(argument=1, op="masked", mask=mask, value=value),),
        )
        for mask, value in _all_but(forbidden)
    ]
    refused = [
        Rule(
            names=("ioctl",),
            error=errno.EPERM,
            why="types into the terminal of whoever started the box",
            tests=(Test(argument=1, op="masked", mask=word, value=value),),
        )
        for value in forbidden
    ]
    return allowed + refused


def _all_but(values: Iterable[int], prefix: int = 0, mask: int = 0, bit: int = 31) -> Iterator[tuple[int, int]]:
    # "Neither a nor b" cannot be said in one rule. Walk the bits from the top: where a branch holds no forbidden
    # value, it is one masked comparison, and all of them together are disjoint and complete (35 for two values).
    values = tuple(values)
    if not values:
        yield mask, prefix
        return
    if bit < 0:
        return
    for side in (0, 1):
        inside = [value for value in values if value >> bit & 1 == side]
        yield from _all_but(inside, prefix | side << bit, mask | 1 << bit, bit - 1)
