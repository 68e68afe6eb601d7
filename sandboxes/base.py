"""The contract that every backend keeps: `Backend.lease(spec)` gives a `Sandbox`, a context manager for one episode.

    with open_backend("auto") as backend, backend.lease(SandboxSpec(memory_mb=256)) as box:
        print(box.exec(["python3", "-c", "print(6 * 7)"]).stdout_text)

All calls are synchronous and safe from several threads; the jobs of one box run one after another, except background
jobs and interpreter sessions. A program that fails is a result; a box that fails is an exception.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from agentrl.sandboxes.results import CallResult, CellResult, Entry, ExecResult
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["Backend", "Capabilities", "Interpreter", "OnOutput", "Process", "Sandbox"]

OnOutput = Callable[[str, bytes], None]
"""Called with "stdout" or "stderr" and the bytes as they come, from one thread, before the call returns."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend holds on this machine, as found by a real run, not by reading versions."""

    backend: str
    """Its name, with the runtime where there are several: "docker", "docker+runsc", "bubblewrap"."""
    held: frozenset[str]
    """Names of what is held: of the limits "cpus", "memory_mb", "pids", "disk_mb", "inodes", "output_bytes", "wall_s",
    "cpu_s", "open_files"; and "network" (none but the allowed names), "split" (a job cannot signal or read the worker),
    "seccomp", "images" (any image, not only the default)."""
    reported: frozenset[str]
    """Statuses that can be told for certain, such as "oom" and "pids"."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What is not held or not reported -> why, and the command that mends it where there is one."""


class Process(ABC):
    """A job that was started in the background."""

    @abstractmethod
    def poll(self) -> ExecResult | None:
        """Return how it ended, or None while it runs."""

    @abstractmethod
    def wait(self, timeout_s: float | None = None) -> ExecResult:
        """Wait for its end.

        Raises:
            TimeoutError: It still runs after `timeout_s`; it goes on running.
            SandboxDied: The box is gone.
        """

    @abstractmethod
    def kill(self) -> ExecResult:
        """Stop it and all that it started; return how it ended."""

    @abstractmethod
    def output(self) -> tuple[bytes, bytes]:
        """Return standard output and standard error so far."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send more of its input; nothing where it has ended. What it does not read waits in the box's own memory.

        Raises:
            SpecError: It was started without `open_stdin`, its input has been ended, or this is too much at once.
            SandboxDied, SandboxClosed: The box is gone.
        """

    @abstractmethod
    def end_input(self) -> None:
        """Say that no more input comes; idempotent."""


class Interpreter(ABC):
    """A Python session in the box: state survives from cell to cell."""

    @abstractmethod
    def run(self, cell: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell. One that hangs or meets a limit is killed with its session; the next cell starts a fresh one.

        Raises:
            SandboxDied, SandboxClosed: The box is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """End the session; idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Sandbox(ABC):
    """A leased box. Give it back with `close()`, or by leaving its `with` block.

    Every method raises `SandboxDied` where the box is gone or broke the protocol, and `SandboxClosed` after `close()`.
    """

    spec: SandboxSpec

    @property
    @abstractmethod
    def id(self) -> str:
        """The name of the box, unique on this host."""

    @abstractmethod
    def exec(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        environment: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run a program and wait for its end; whatever it left running is killed.

        Args:
            command: A program with its arguments; or a string, which `sh -c` runs.
            stdin: What it reads; end of file follows at once.
            cwd: Where it starts, in the box.
            environment: Variables added to those of the spec.
            timeout_s: Seconds of wall time; None: the spec's `wall_s`.
            on_output: Called with each piece of output as it comes.

        Raises:
            SpecError: No command, an argument with NUL, or more of them than the system takes.
            SandboxDied, SandboxClosed: The box is gone.
        """

    @abstractmethod
    def start(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        environment: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        on_output: OnOutput | None = None,
        open_stdin: bool = False,
    ) -> Process:
        """Run a program in the background; it is killed with the box, or after `timeout_s`.

        Args:
            command: As of `exec`.
            stdin: As of `exec`.
            cwd: As of `exec`.
            environment: As of `exec`.
            timeout_s: As of `exec`.
            on_output: As of `exec`.
            open_stdin: No end of file follows `stdin`: more comes by `Process.send`, until `Process.end_input`.

        Raises:
            SpecError: As `exec`; or an input that stays open, in an image without Python.
            SandboxBusy: As many run in the background as a box takes (`BACKGROUND_LANES`).
        """

    @abstractmethod
    def run_python(
        self,
        source: str,
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        environment: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        """Run a Python program in a fresh process, as `python3 -c` would, from an interpreter that is warm already."""

    @abstractmethod
    def python(self) -> Interpreter:
        """Start an interpreter session."""

    @abstractmethod
    def call(
        self,
        function: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        source: str | None = None,
        path: str | None = None,
        timeout_s: float | None = None,
    ) -> CallResult:
        """Call a candidate's function in a fresh process; input goes in, output comes out, nothing expected is inside.

        Args:
            function: Its name in the module; dots reach into classes.
            args: Of None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset.
            kwargs: By name.
            source: The module as text; or
            path: the module as a file in the box, which is then importable by its siblings too.
        """

    @abstractmethod
    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file as the job's user; folders on the way are made.

        Raises:
            SandboxFileError: Not permitted, no space, or something that is not a regular file is there.
        """

    @abstractmethod
    def read(self, path: str, *, max_bytes: int = 16_777_216) -> bytes:
        """Return a regular file, read as the job's user.

        Raises:
            SandboxFileError: Missing, not a regular file, not permitted, or more than `max_bytes` long.
        """

    @abstractmethod
    def list(self, path: str = "/work", *, max_entries: int = 10_000) -> list[Entry]:
        """Return what is in a folder, by name; links are not followed.

        Raises:
            SandboxFileError: Missing, not a folder, not permitted, or more than `max_entries` names.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the box back; idempotent, never raises for a box that is gone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Backend(ABC):
    """Makes boxes. Close it, or leave its `with` block, and every box it made is gone."""

    name: str

    @abstractmethod
    def lease(self, spec: SandboxSpec | None = None, *, wait_s: float = 60.0) -> Sandbox:
        """Hand over a box for one episode: a warm one where there is one, else a new one.

        Args:
            spec: What it must be; None: `SandboxSpec()`.
            wait_s: Seconds to wait where as many boxes are out as the backend may have.

        Raises:
            SandboxBusy: None became free within `wait_s`.
            SandboxUnavailable: The engine or the image is not there; names the command that mends it.
            LimitNotHeld: The spec is strict, and a limit cannot be held here.
            SpecError: The spec asks for what this backend does not have.
        """

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Return what is held on this machine; probed with a real run once, then remembered.

        Raises:
            SandboxUnavailable: Nothing can run here at all.
        """

    @abstractmethod
    def close(self) -> None:
        """Destroy every box and stop every thread; idempotent."""

    def run(
        self,
        command: Sequence[str] | str,
        *,
        spec: SandboxSpec | None = None,
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run one program in a box of its own; see `Sandbox.exec`."""
        with self.lease(spec) as box:
            return box.exec(command, stdin=stdin, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
