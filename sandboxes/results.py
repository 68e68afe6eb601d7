"""What comes back from a box: records only. A status is what was observed, never guessed from an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CallResult", "CellResult", "Entry", "ExecResult", "Status"]

Status = Literal["ok", "nonzero", "signal", "timeout", "cpu_timeout", "oom", "pids", "output_limit"]


@dataclass(frozen=True, kw_only=True)
class ExecResult:
    """How a job ended, and what it wrote."""

    status: Status
    """The first that holds: oom, pids, output_limit, cpu_timeout, timeout, signal, nonzero, ok."""
    exit_code: int | None
    """Exit status of the job's first process; None when a signal ended it."""
    signal: int | None
    """Number of the signal that ended the job's first process; None when it exited."""
    stdout: bytes
    """What it wrote, raw, up to the output limit."""
    stderr: bytes
    wall_s: float
    """Seconds from start to end, as the box saw them."""
    cpu_s: float
    """Seconds of processor time of the first process and of the children that it waited for."""

    @property
    def ok(self) -> bool:
        """Whether the job exited with 0 and met no limit."""
        return self.status == "ok"

    @property
    def stdout_text(self) -> str:
        """Standard output as UTF-8, with the replacement character for bytes that are not."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def stderr_text(self) -> str:
        """Standard error as UTF-8, with the replacement character for bytes that are not."""
        return self.stderr.decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """How one cell of an interpreter session ended."""

    status: Status
    """ok; nonzero: the cell raised; any other: the session was stopped and its state is lost. The first two are the
    cell's own word, since it shares the process with what reports: judge by what it made, not by them."""
    value: str | None
    """`repr` of the cell's last expression, capped; None when there is none."""
    error: str | None
    """The traceback of what the cell raised, or why the session was stopped; None when it ended well."""
    stdout: bytes
    stderr: bytes
    wall_s: float
    restarted: bool
    """Whether this cell began with a fresh interpreter because the one before was stopped."""


@dataclass(frozen=True, kw_only=True)
class CallResult:
    """How one call of a candidate's function ended. All of it is the candidate's word: compare it on the host."""

    status: Status
    """ok: the function returned and the value could be carried; nonzero: it raised or left without returning."""
    returned: bool
    """Whether a value came back."""
    value: Any
    """The value, of exact type: None, bool, int, float, str, bytes, list, tuple, dict, set or frozenset of these."""
    error: str | None
    """The last line of the traceback, or what else kept a value from coming back."""
    stdout: bytes
    stderr: bytes
    wall_s: float
    flags: tuple[str, ...]
    """What looked like an attempt to cheat, in words for counting, such as "exited" or "several_values"."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name in a folder of the box."""

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    """Bytes of a file; 0 for all else."""
    mode: int
    """Permission bits."""
