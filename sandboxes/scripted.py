"""A backend that runs nothing: it gives the answers that a test wrote down, and notes what it was asked.

For tests of code that uses sandboxes. It is strict: a call that no answer was written for, or an answer of the wrong
kind, is an `UnexpectedCall`, which is an AssertionError, so no handler of sandbox errors takes it for one. Files are
kept in memory, one set for each lease.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agentrl.sandboxes.base import Backend, Capabilities, Interpreter, OnOutput, Process, Sandbox
from agentrl.sandboxes.errors import SandboxClosed, SandboxDied, SandboxFileError
from agentrl.sandboxes.host.calls import call_input
from agentrl.sandboxes.host.requests import argv_of, environment_of, path_of, request, seconds_of
from agentrl.sandboxes.results import CallResult, CellResult, Entry, ExecResult, Status
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["Answer", "Asked", "ScriptedBackend", "UnexpectedCall", "cell_result", "exec_result"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call that a lease was given."""

    kind: Literal["exec", "start", "run_python", "cell", "call"]
    what: Sequence[str] | str
    """The command as it was given, the source, the cell, or the name of the function."""
    stdin: bytes = b""
    cwd: str = "/work"
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    path: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The files of the lease, by whole path, as they were then."""


Answer = ExecResult | CallResult | CellResult | BaseException
"""What a call returns, or raises."""
R = TypeVar("R", ExecResult, CallResult, CellResult)


class UnexpectedCall(AssertionError):
    """A call that no answer was written for, or whose answer is of another kind."""


def exec_result(
    stdout: bytes | str = b"", *, stderr: bytes | str = b"", status: Status = "ok", exit_code: int | None = None
) -> ExecResult:
    """Return the result of a program, with little to write.

    >>> exec_result("42").stdout
    b'42'
    """
    code = {"ok": 0, "nonzero": 1}.get(status) if exit_code is None else exit_code
    signal = None if code is not None else 9
    return ExecResult(
        status=status,
        exit_code=code,
        signal=signal,
        stdout=_bytes(stdout),
        stderr=_bytes(stderr),
        wall_s=0.0,
        cpu_s=0.0,
    )


def cell_result(
    value: str | None = None, *, stdout: bytes | str = b"", status: Status = "ok", error: str | None = None
) -> CellResult:
    """Return the result of a cell, with little to write."""
    return CellResult(
        status=status, value=value, error=error, stdout=_bytes(stdout), stderr=b"", wall_s=0.0, restarted=False
    )


class ScriptedBackend(Backend):
    """Answers from a list, in order, or from a function.

    >>> backend = ScriptedBackend([exec_result("hello")])
    >>> with backend.lease() as box:
    ...     box.exec(["greet"]).stdout_text
    'hello'
    >>> backend.asked[0].what
    ['greet']
    """

    name = "scripted"

    def __init__(self, answers: Sequence[Answer] | Callable[[Asked], Answer] = ()) -> None:
        """Write down the answers.

        Args:
            answers: One for each call, in order over all leases; or a function of the call. Errors are raised.
        """
        self.asked: list[Asked] = []
        """Every call, in order."""
        self.leases: list[SandboxSpec] = []
        """The spec of every lease, in order."""
        self._function = answers if callable(answers) else None
        self._answers = [] if callable(answers) else list(answers)
        self._lock = threading.Lock()
        self._closed = False

    @property
    def left(self) -> int:
        """How many answers of the list were not asked for."""
        return len(self._answers)

    def lease(self, spec: SandboxSpec | None = None, *, wait_s: float = 60.0) -> Sandbox:
        """Hand over a new box."""
        with self._lock:
            if self._closed:
                raise SandboxClosed("the backend was closed; make another")
            spec = spec or SandboxSpec()
            self.leases.append(spec)
            return _ScriptedSandbox(self, spec, f"scripted-{len(self.leases)}")

    def capabilities(self) -> Capabilities:
        """Return that nothing is held, since nothing runs."""
        return Capabilities(
            backend="scripted", held=frozenset(), reported=frozenset(), missing={"all": "a script runs nothing"}
        )

    def close(self) -> None:
        """Have every lease end; idempotent."""
        self._closed = True

    def answer(self, asked: Asked, kind: type[R]) -> R:
        """Note a call and return or raise its answer; for the leases."""
        with self._lock:
            if self._closed:
                raise SandboxDied("the backend was closed")
            self.asked.append(asked)
            if self._function is None:
                if not self._answers:
                    raise UnexpectedCall(f"no answer is left for call {len(self.asked)}: {asked.kind} {asked.what!r}")
                answer = self._answers.pop(0)
        if self._function is not None:
            answer = self._function(asked)
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, kind):
            raise UnexpectedCall(
                f"{asked.kind} {asked.what!r} takes a {kind.__name__}, and the answer is a {type(answer).__name__}"
            )
        return answer


class _ScriptedSandbox(Sandbox):
    def __init__(self, backend: ScriptedBackend, spec: SandboxSpec, name: str) -> None:
        self.spec = spec
        self._backend = backend
        self._id = name
        self._files = {path_of(path): (bytes(content), 0o644) for path, content in spec.files.items()}
        self._closed = False

    @property
    def id(self) -> str:
        return self._id

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
        return self._job("exec", command, argv_of(command), stdin, cwd, environment, timeout_s, on_output)

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
        return self._job("run_python", source, [], stdin, cwd, environment, timeout_s, on_output)

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
        return _ScriptedProcess(
            self._job("start", command, argv_of(command), stdin, cwd, environment, timeout_s, on_output)
        )

    def python(self) -> Interpreter:
        self._check_open()
        return _ScriptedInterpreter(self)

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
        call_input(args, kwargs or {})
        if (source is None) == (path is None):
            raise UnexpectedCall(f"call {function!r} must name one of source= and path=")
        return self.ask(
            CallResult,
            kind="call",
            what=function,
            args=tuple(args),
            kwargs=dict(kwargs or {}),
            source=source,
            path=path,
            timeout_s=timeout_s,
        )

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        self._check_open()
        whole = os.path.normpath(path_of(path))
        if self._is_folder(whole):
            raise SandboxFileError(errno.EISDIR, "Is a directory", whole)
        if any(whole.startswith(name + "/") for name in self._files):
            raise SandboxFileError(errno.ENOTDIR, "Not a directory", whole)
        self._files[whole] = bytes(content), mode

    def read(self, path: str, *, max_bytes: int = 16_777_216) -> bytes:
        self._check_open()
        whole = os.path.normpath(path_of(path))
        if self._is_folder(whole):
            raise SandboxFileError(errno.EISDIR, "Is a directory", whole)
        if whole not in self._files:
            raise SandboxFileError(errno.ENOENT, "No such file or directory", whole)
        content = self._files[whole][0]
        if len(content) > max_bytes:
            raise SandboxFileError(errno.EFBIG, f"more than {max_bytes} bytes", whole)
        return content

    def list(self, path: str = "/work", *, max_entries: int = 10_000) -> list[Entry]:
        self._check_open()
        whole = os.path.normpath(path_of(path))
        if whole in self._files:
            raise SandboxFileError(errno.ENOTDIR, "Not a directory", whole)
        if not self._is_folder(whole):
            raise SandboxFileError(errno.ENOENT, "No such file or directory", whole)
        found: dict[str, Entry] = {}
        for name, (content, mode) in self._files.items():
            first, *rest = name.removeprefix(whole.rstrip("/") + "/").split("/")
            if not name.startswith(whole.rstrip("/") + "/"):
                continue
            if rest:
                found[first] = Entry(name=first, kind="folder", size=0, mode=0o775)
            else:
                found[first] = Entry(name=first, kind="file", size=len(content), mode=mode)
        if len(found) > max_entries:
            raise SandboxFileError(errno.EFBIG, f"more than {max_entries} names", whole)
        return [found[name] for name in sorted(found)]

    def close(self) -> None:
        self._closed = True

    def ask(self, result: type[R], **asked: Any) -> R:
        """Return the answer to a call."""
        self._check_open()
        seconds_of(asked["timeout_s"], self.spec.wall_s)
        files = {path: content for path, (content, _) in self._files.items()}
        return self._backend.answer(Asked(**asked, files=files), result)

    def _job(
        self,
        kind: str,
        what: Sequence[str] | str,
        argv: Sequence[str],
        stdin: bytes,
        cwd: str,
        environment: Mapping[str, str] | None,
        timeout_s: float | None,
        on_output: OnOutput | None,
    ) -> ExecResult:
        # What a real box refuses is refused here too.
        whole = environment_of(self.spec, environment)
        request("exec", self.spec, timeout_s=timeout_s, cwd=cwd, environment=whole, argv=argv)
        result = self.ask(
            ExecResult,
            kind=kind,
            what=what,
            stdin=bytes(stdin),
            cwd=cwd,
            environment=dict(environment or {}),
            timeout_s=timeout_s,
        )
        if on_output is not None:
            for name, data in (("stdout", result.stdout), ("stderr", result.stderr)):
                if data:
                    on_output(name, data)
        return result

    def _is_folder(self, whole: str) -> bool:
        below = whole.rstrip("/") + "/"
        return whole in ("/", "/work", "/tmp") or any(name.startswith(below) for name in self._files)

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxClosed(f"box {self.id} was given back; lease another one")


class _ScriptedProcess(Process):
    def __init__(self, result: ExecResult) -> None:
        self._result = result

    def poll(self) -> ExecResult | None:
        return self._result

    def wait(self, timeout_s: float | None = None) -> ExecResult:
        return self._result

    def kill(self) -> ExecResult:
        return self._result

    def output(self) -> tuple[bytes, bytes]:
        return self._result.stdout, self._result.stderr

    def send(self, data: bytes) -> None:
        """Do nothing: it has ended."""

    def end_input(self) -> None:
        """Do nothing: it has ended."""


class _ScriptedInterpreter(Interpreter):
    def __init__(self, box: _ScriptedSandbox) -> None:
        self._box = box
        self._closed = False

    def run(self, cell: str, *, timeout_s: float | None = None) -> CellResult:
        if self._closed:
            raise SandboxClosed("the session was closed; start another with box.python()")
        return self._box.ask(CellResult, kind="cell", what=cell, timeout_s=timeout_s)

    def close(self) -> None:
        self._closed = True


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
