"""A case: one hostile or awkward program as data, and how it must end on every backend.

A program is given as Python source, as a shell script, as arguments, or as steps through the host's interface. What may
happen is named by a status of `ExecResult`, or by the name of the error that the call raises. A program that tries
things which must be refused says `refused NAME …` or `DONE NAME …` for each; see `ATTEMPT` and `refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.results import ExecResult
from agentrl.sandboxes.spec import SandboxSpec

__all__ = [
    "ATTEMPT",
    "Candidate",
    "Case",
    "CaseFailed",
    "Check",
    "Group",
    "attempts",
    "must",
    "refused",
    "says",
    "small",
]

Group = Literal["resources", "output", "kill", "files", "secrets", "escape", "network", "grader"]
Check = Callable[[ExecResult], str | None]


class CaseFailed(AssertionError):
    """A step of a case found something that must not be."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a grader case hands in: a module, and what somebody left in the box before it is graded."""

    source: str
    """The candidate's module; `solve` is what gets called."""
    prepare: Callable[[Sandbox], object] | None = None
    """What an earlier step of the episode did in the box."""
    flags: frozenset[str] = frozenset()
    """Flags that the grade must carry, where the attempt can be seen from outside."""
    share: float = 0.0
    """Of the inputs, how many it answers rightly, where it is not honest."""
    call_s: float = 5.0
    """Seconds for each call."""
    honest: bool = False
    """Whether it solves the task, and so must score 1."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program, its limits and how it must end. Exactly one of the six kinds of program is given."""

    name: str
    group: Group
    item: str
    """Key in `items.ITEMS` of what it stands for."""
    python: str | None = None
    """Source for `Sandbox.run_python`."""
    shell: str | None = None
    """A script for `Sandbox.exec`."""
    argv: tuple[str, ...] | None = None
    """Arguments for `Sandbox.exec`."""
    steps: Callable[[Sandbox], ExecResult | None] | None = None
    """Calls on a leased box; raises CaseFailed, or returns the result whose status counts (None: ok)."""
    backend_steps: Callable[[Backend], None] | None = None
    """Calls on the backend itself, with leases of its own."""
    candidate: Candidate | None = None
    stdin: bytes = b""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Fields of SandboxSpec that differ from `SMALL`. Those of its shape cost a box of their own."""
    timeout_s: float = 5.0
    """Wall time of the job. Cases that hang on purpose set less."""
    expected: frozenset[str] = frozenset({"ok"})
    """Statuses, or names of errors, of which one must come."""
    reason: str = ""
    """Why there is more than one."""
    check: Check | None = None
    """What else must hold of the result: None, or what is wrong."""
    needs: frozenset[str] = frozenset()
    """Names from `Capabilities.held` and `reported` without which the case says nothing."""

    def __post_init__(self) -> None:
        kinds = (self.python, self.shell, self.argv, self.steps, self.backend_steps, self.candidate)
        assert sum(kind is not None for kind in kinds) == 1, f"{self.name}: exactly one program"
        assert len(self.expected) == 1 or self.reason, f"{self.name}: say why more than one status is right"


ATTEMPT = """
import ctypes, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def system(number, *arguments):
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def attempt(name, action, *arguments):
    try:
        value = action(*arguments)
    except BaseException as error:
        print("refused", name, type(error).__name__, str(error)[:150], flush=True)
    else:
        print("DONE", name, repr(value)[:150], flush=True)

def overwrite(path, text="1"):
    with open(path, "w") as file:
        file.write(text)

def in_child(action):
    # For what ends the process where it works, or where a filter kills for it.
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException as error:
            print("(%s: %s)" % (type(error).__name__, error), flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if status:
        raise OSError("child ended with signal %d, exit code %d" % (status & 127, status >> 8))
"""
"""Beginning of a program that tries forbidden things; written for the Python of any box, 3.8 or later."""


# One shape for nearly all cases, so that warm boxes serve them; small, so that bombs go off at once.
SMALL: Mapping[str, Any] = MappingProxyType(
    {"cpus": 1.0, "memory_mb": 128, "pids": 40, "disk_mb": 16, "inodes": 1000, "wall_s": 20.0}
)


def small(**changes: Any) -> SandboxSpec:
    """Return the spec that cases run in, with some fields changed."""
    return SandboxSpec(**{**SMALL, **changes})


def attempts(body: str) -> str:
    """Return a program that begins with `ATTEMPT` and ends by saying so."""
    return f"{ATTEMPT}\n{body}\nprint('finished', flush=True)\n"


def refused(result: ExecResult) -> str | None:
    """Check that a program of attempts came to its end and that none succeeded."""
    lines = result.stdout_text.splitlines()
    done = [line for line in lines if line.startswith("DONE")]
    if done:
        return f"not refused: {'; '.join(done)[:600]}"
    if not any(line.startswith("refused") for line in lines):
        return f"nothing was attempted: {result.stdout_text[-200:]!r} {result.stderr_text[-300:]!r}"
    if "finished" not in lines:
        return f"did not come to its end: {result.stdout_text[-200:]!r} {result.stderr_text[-300:]!r}"
    return None


def says(*texts: str) -> Check:
    """Return a check that standard output holds each of the texts."""

    def check(result: ExecResult) -> str | None:
        absent = [text for text in texts if text not in result.stdout_text]
        if absent:
            return f"output lacks {absent}: {result.stdout_text[-300:]!r} {result.stderr_text[-300:]!r}"
        return None

    return check


def must(holds: object, text: str) -> None:
    """Fail the case with `text` unless `holds`.

    Raises:
        CaseFailed: It does not hold.
    """
    if not holds:
        raise CaseFailed(text)
