"""A `Sandbox` over a box: one lease, from the moment that the box is taken until it is given back.

What runs in the foreground (programs, calls, files) has one lane of the box and so runs one after another, held by a
lock; background jobs and interpreter sessions have lanes of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from agentrl.sandboxes.base import Interpreter, OnOutput, Process, Sandbox
from agentrl.sandboxes.errors import SandboxBusy, SandboxClosed, SpecError
from agentrl.sandboxes.host.background import BackgroundProcess
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.calls import call_input, call_result
from agentrl.sandboxes.host.entries import LONGEST_ENTRY, entries_of, file_error
from agentrl.sandboxes.host.interpreter import SessionInterpreter
from agentrl.sandboxes.host.requests import argv_of, environment_of, path_of, request, seconds_of
from agentrl.sandboxes.host.runs import Run
from agentrl.sandboxes.results import CallResult, Entry, ExecResult
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker.frames import NET_CLOSE, NET_OPEN, Frame

__all__ = ["LeasedSandbox"]

FILE_S = 60.0
# Input that a job does not read waits in the worker's memory, which is the box's.
INPUT_SHARE = 4
LEAST_VALUE_BYTES = 65_536


class LeasedSandbox(Sandbox):
    """A lease of a box. Safe from several threads; in a process forked since, all but `close()` raises."""

    def __init__(self, box: Box, spec: SandboxSpec, release: Callable[[Box], None]) -> None:
        """Take a box for one episode.

        Args:
            box: Clean; nobody else uses it.
            spec: What was asked for. Its `files` are not written here.
            release: Called once with the box, by `close()`; it resets or destroys it.
        """
        self.spec = spec
        self._box = box
        self._release = release
        # Parsed, a value takes up to some 50 times its bytes; whoever needs larger ones raises `output_bytes`.
        self._value_bytes = max(LEAST_VALUE_BYTES, spec.output_bytes)
        self._path: str | None = getattr(box.vessel, "path", None)
        self._state = threading.Lock()
        self._front = threading.Lock()
        self._front_owner: int | None = None
        self._back_lock = threading.Lock()
        self._back: list[Run] = []
        self._closed = False
        self._routes: Any = None
        if spec.network or spec.services:
            self._routes = _routes(spec, box)
            box.link.on_tunnel, box.link.on_end = self._routes.handle, self._routes.close
        else:
            box.link.on_tunnel = self._refuse_tunnel

    def open_services(self) -> None:
        """Have the spec's services listen in the box; once, before its first job.

        Raises:
            SandboxDied: The box cannot, and is gone.
        """
        if self.spec.services:
            from agentrl.sandboxes.network.services import door_settings

            self._box.listen(door_settings(list(self.spec.services)))

    @property
    def id(self) -> str:
        """The name of the box, unique on this host."""
        return self._box.id

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
        """Run a program and wait for its end; see `Sandbox.exec`."""
        body = self._body("exec", timeout_s, cwd, environment, argv=argv_of(command))
        return self._job(body, _input(stdin, self.spec), on_output)

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
        """Run a Python program in a fresh process; see `Sandbox.run_python`."""
        text = _source(source)
        body = self._body("python", timeout_s, cwd, environment, source_bytes=len(text))
        return self._job(body, text + _input(stdin, self.spec), on_output)

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
        """Run a program in the background; see `Sandbox.start`."""
        body = self._body("exec", timeout_s, cwd, environment, lane="back", argv=argv_of(command))
        data = _input(stdin, self.spec)
        run = self._begin_back(body, data=data, eof=not open_stdin, eager=on_output is not None)
        check = partial(_input, spec=self.spec) if open_stdin else None
        return BackgroundProcess(self._box, run, on_output, check)

    def python(self) -> Interpreter:
        """Start an interpreter session; see `Sandbox.python`."""
        self._check_open()
        return SessionInterpreter(
            self._box, self._begin_session, usual_s=self.spec.wall_s, output_bytes=self.spec.output_bytes
        )

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
        """Call a candidate's function in a fresh process; see `Sandbox.call`.

        Raises:
            SpecError: Neither or both of `source` and `path`, or arguments that cannot be carried.
        """
        if (source is None) == (path is None):
            raise SpecError("name one of source= (the module as text) and path= (a file in the box)")
        text = _source(source or "")
        payload = call_input(args, kwargs or {})
        body = self._body(
            "call",
            timeout_s,
            "/work",
            None,
            value_bytes=self._value_bytes,
            source_bytes=len(text),
            payload_bytes=len(payload),
            function=function,
            path=None if path is None else path_of(path),
        )
        with self._in_front():
            run = self._begin(body, data=_input(text + payload, self.spec), value_bytes=self._value_bytes)
            ended = self._box.finish(run)
        return call_result(run, ended)

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file as the job's user; see `Sandbox.write`."""
        if not isinstance(mode, int) or not 0 <= mode <= 0o777:
            raise SpecError(f"mode={mode!r} must be permission bits, from 0 to 0o777")
        self._file("write", path, data=_input(content, self.spec), permissions=mode)

    def read(self, path: str, *, max_bytes: int = 16_777_216) -> bytes:
        """Return a regular file, read as the job's user; see `Sandbox.read`."""
        _check_bound("max_bytes", max_bytes)
        return bytes(self._file("read", path, value_bytes=max_bytes, max_bytes=max_bytes).value)

    def list(self, path: str = "/work", *, max_entries: int = 10_000) -> list[Entry]:
        """Return what is in a folder, by name; see `Sandbox.list`."""
        _check_bound("max_entries", max_entries)
        value_bytes = (max_entries + 1) * LONGEST_ENTRY
        run = self._file("list", path, value_bytes=value_bytes, max_entries=max_entries)
        try:
            return entries_of(bytes(run.value), max_entries)
        except ValueError as error:
            self._box.link.fail(f"the worker broke the protocol: {error}")
            raise self._box.death() from None

    def close(self) -> None:
        """Give the box back; idempotent. Jobs that run are killed."""
        if self._box.foreign():
            self._closed = True
            return
        with self._state:
            if self._closed:
                return
            self._closed = True
        try:
            runs = self._box.link.runs()
            for run in runs:
                self._box.link.stop(run)
            for run in runs:
                self._box.stop(run)
        finally:
            # What the tunnels had under way still comes, until the reset.
            self._box.link.on_tunnel, self._box.link.on_end = _drop, None
            if self._routes is not None:
                self._routes.close()
            self._release(self._box)

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxClosed(f"box {self.id} was given back; lease another one")
        self._box.link.check_process()

    def _body(
        self,
        mode: str,
        timeout_s: float | None,
        cwd: str,
        environment: Mapping[str, str] | None,
        **more: Any,
    ) -> dict[str, Any]:
        whole = environment_of(self.spec, environment, self._path)
        seconds = seconds_of(timeout_s, self.spec.wall_s)
        return request(mode, self.spec, timeout_s=seconds, cwd=cwd, environment=whole, **more)

    def _begin(self, body: dict[str, Any], *, output_bytes: int | None = None, **more: Any) -> Run:
        """Start a run. Under the lock, so that `close` finds each: none may begin on a box that was given back."""
        with self._state:
            self._check_open()
            return self._box.begin(body, output_bytes=output_bytes or self.spec.output_bytes, **more)

    def _begin_back(self, body: dict[str, Any], **more: Any) -> Run:
        with self._back_lock:
            self._back = [run for run in self._back if not run.done]
            most = self._box.ready.lanes - 1
            if len(self._back) >= most:
                raise SandboxBusy(
                    f"{most} background jobs and sessions run in box {self.id}, which is as many as it takes; "
                    "wait for one to end, or kill it"
                )
            run = self._begin(body, **more)
            self._back.append(run)
            return run

    def _begin_session(self) -> Run:
        environment = environment_of(self.spec, None, self._path)
        body = request(
            "session", self.spec, timeout_s=None, lane="back", environment=environment, value_bytes=self._value_bytes
        )
        # Output between two cells has the room of the one before, so a cell may come with twice as much.
        return self._begin_back(
            body, eof=False, eager=True, output_bytes=2 * self.spec.output_bytes, value_bytes=2 * self._value_bytes
        )

    def _job(self, body: dict[str, Any], data: bytes, on_output: OnOutput | None) -> ExecResult:
        with self._in_front():
            run = self._begin(body, data=data, eager=on_output is not None)
            ended = self._box.finish(run, on_output)
        return run.result(ended)

    def _file(self, mode: str, path: str, *, data: bytes = b"", value_bytes: int = 0, **more: Any) -> Run:
        whole = path_of(path)
        body = self._body(mode, FILE_S, "/work", None, value_bytes=value_bytes, path=whole, **more)
        with self._in_front():
            run = self._begin(body, data=data, value_bytes=value_bytes)
            ended = self._box.finish(run)
        if ended.status != "ok":
            raise file_error(ended, whole)
        return run

    @contextmanager
    def _in_front(self) -> Iterator[None]:
        self._check_open()
        if self._front_owner == threading.get_ident():
            raise SandboxBusy(
                "a call of this box waits for its on_output, which cannot call the box itself; use start()"
            )
        with self._front:
            self._front_owner = threading.get_ident()
            try:
                self._check_open()
                yield
            finally:
                self._front_owner = None

    def _refuse_tunnel(self, frame: Frame) -> None:
        if frame.kind == NET_OPEN:
            self._box.link.send_frame(NET_CLOSE, frame.run)


def _routes(spec: SandboxSpec, box: Box) -> Any:
    from agentrl.sandboxes.network.services import Routes

    proxy = None
    if spec.network:
        from agentrl.sandboxes.network.proxy import Tunnels

        proxy = Tunnels(tuple(spec.network), box.link.send_frame)
    return Routes(proxy, spec.targets(), box.link.send_frame)


def _drop(frame: Frame) -> None:
    """Take a frame of a tunnel that is closed already."""


def _input(data: bytes, spec: SandboxSpec) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise SpecError(f"input must be bytes, not {type(data).__name__}; write text.encode()")
    most = (spec.memory_mb << 20) // INPUT_SHARE
    if len(data) > most:
        raise SpecError(f"input of {len(data)} bytes; the most is {most}, a quarter of memory_mb={spec.memory_mb}")
    return bytes(data)


def _source(source: str) -> bytes:
    if not isinstance(source, str):
        raise SpecError(f"source must be a str, not {type(source).__name__}")
    return source.encode("utf-8", "surrogatepass")


def _check_bound(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**31:
        raise SpecError(f"{name}={value!r} must be a whole number from 0 to 2**31")
