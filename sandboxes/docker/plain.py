"""The slower path for images without Python: a sandbox whose jobs go through `docker exec`, with every limit kept.

Wall time, output and processor time are watched by the caller's thread; memory, processes, cores and folder sizes are
the container's. What needs Python in the box (`run_python`, `python`, `call`, network and services) is a
`SpecError`. The image needs `sh`; reading files needs `tar`, listing them `find` and `stat`. A box of this kind
serves one lease only.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentrl.sandboxes.base import Interpreter, OnOutput, Process, Sandbox
from agentrl.sandboxes.docker.args import create_arguments
from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.docker.exec import ExecJob
from agentrl.sandboxes.docker.files import list_folder, read_file, write_file
from agentrl.sandboxes.docker.keeper import CAPABILITIES, COMMAND, Keeper
from agentrl.sandboxes.docker.vessel import start_vessel
from agentrl.sandboxes.errors import (
    SandboxBusy,
    SandboxClosed,
    SandboxDied,
    SandboxUnavailable,
    SpecError,
)
from agentrl.sandboxes.host.requests import argv_of, environment_of, path_of, request, seconds_of
from agentrl.sandboxes.pool.records import HalfMade
from agentrl.sandboxes.results import CallResult, Entry, ExecResult
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["PlainProcess", "PlainSandbox", "check_plain"]

LANES = 8
FILE_S = 30.0


def check_plain(spec: SandboxSpec) -> None:
    """Refuse what this path does not have.

    Raises:
        SpecError: The spec asks for it.
    """
    for name, value in (("network", list(spec.network)), ("services", spec.services)):
        if value:
            raise SpecError(
                f"{name}={value!r} needs Python 3.8 or later in the image, and {spec.image!r} has none; "
                f"add python3 to it, or leave {name} out"
            )


class PlainSandbox(Sandbox):
    """A lease on a container that has `sh` but no Python."""

    def __init__(
        self,
        engine: Engine,
        spec: SandboxSpec,
        image: str,
        box_id: str,
        *,
        labels: Mapping[str, str],
        runtime: str | None,
        seccomp: Mapping[str, Any] | None,
        release: Callable[[PlainSandbox, bool], None],
    ) -> None:
        """Start the container.

        Args:
            engine: Where.
            spec: What it must be.
            image: The image's id.
            box_id: The container's name.
            labels: Whose it is.
            runtime: As in `create_arguments`.
            seccomp: As in `create_arguments`.
            release: Called when the lease ends, and whether the box is gone; where not, `destroy` tries again.

        Raises:
            SandboxUnavailable: It could not be made, or the image has no `sh`.
            HalfMade: The same, and what was made of it may still be there.
        """
        self.spec = spec
        self._engine, self._release = engine, release
        self._front = threading.RLock()
        self._crowd = threading.Lock()
        self._back: dict[int, PlainProcess] = {}
        self._closed = False
        self._death: str | None = None
        arguments = create_arguments(
            spec,
            image=image,
            command=COMMAND,
            labels=labels,
            runtime=runtime,
            seccomp=seccomp,
            capabilities=CAPABILITIES,
        )
        self._keeper = Keeper(start_vessel(engine, arguments, box_id))
        try:
            self._keeper.count()
        except BaseException as error:
            words = self._keeper.vessel.autopsy(0.0)[0] if isinstance(error, SandboxDied) else ""
            gone = self._keeper.vessel.destroy()
            if not isinstance(error, SandboxDied):
                raise
            why = f"the image {spec.image!r} has neither Python 3.8 or later nor `sh` ({words}); add python3 to it"
            if not gone:
                raise HalfMade(why, self._keeper.vessel) from error
            raise SandboxUnavailable(why) from error

    @property
    def id(self) -> str:
        """The container's name."""
        return self._keeper.vessel.id

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
        with self._front:
            job = self._job(0, argv_of(command), stdin, cwd, environment, timeout_s, on_output)
            return self._run(job)

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
        if open_stdin:
            raise self._without("open_stdin")
        argv = argv_of(command)
        with self._crowd:
            free = [lane for lane in range(1, LANES) if lane not in self._back]
            if not free:
                raise SandboxBusy(f"{LANES - 1} jobs run in the background, as many as a box takes; wait for one")
            job = self._job(free[0], argv, stdin, cwd, environment, timeout_s, on_output)
            process = PlainProcess(job, self._run, lambda: self._left(free[0]))
            self._back[free[0]] = process
        process.begin()
        return process

    def run_python(self, source: str, **_: Any) -> ExecResult:
        """Refuse: there is no Python."""
        raise self._without("run_python")

    def python(self) -> Interpreter:
        """Refuse: there is no Python."""
        raise self._without("python()")

    def call(self, function: str, *_: Any, **__: Any) -> CallResult:
        """Refuse: there is no Python."""
        raise self._without("call")

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file as the job's user; see `Sandbox.write`."""
        write_file(self._inner, path, content, mode)

    def read(self, path: str, *, max_bytes: int = 16_777_216) -> bytes:
        """Return a regular file; see `Sandbox.read`."""
        return read_file(self._inner, path, max_bytes)

    def list(self, path: str = "/work", *, max_entries: int = 10_000) -> builtins.list[Entry]:
        """Return what is in a folder; see `Sandbox.list`."""
        return list_folder(self._inner, path, max_entries)

    def close(self) -> None:
        """Destroy the box; idempotent."""
        with self._crowd:
            if self._closed:
                return
            self._closed = True
            running = list(self._back.values())
        gone = False
        try:
            gone = self._keeper.vessel.destroy()
            for process in running:
                process.join(5.0)
        finally:
            self._release(self, gone)

    def destroy(self) -> bool:
        """Try again to remove a box whose lease has ended; return whether it is gone."""
        gone = self._keeper.vessel.destroy()
        if gone:
            self._release(self, True)
        return gone

    def _job(
        self,
        lane: int,
        argv: Sequence[str],
        stdin: bytes,
        cwd: str,
        environment: Mapping[str, str] | None,
        timeout_s: float | None,
        on_output: OnOutput | None,
        output_bytes: int | None = None,
    ) -> ExecJob:
        if self._closed:
            raise SandboxClosed(f"the lease on box {self.id} was given back")
        if self._death is not None:
            raise SandboxDied(self._death)
        whole = environment_of(self.spec, environment)
        # Checked as a request to a worker is; the engine's is JSON, so a text must be UTF-8 besides.
        request("exec", self.spec, timeout_s=None, cwd=cwd, environment=whole, argv=argv)
        _check_texts([*argv, cwd, *whole.values()])
        return ExecJob(
            self._engine,
            self._keeper,
            argv,
            user=self.spec.user + lane,
            group=self.spec.user,
            stdin=stdin,
            cwd=path_of(cwd),
            environment=whole,
            timeout_s=seconds_of(timeout_s, self.spec.wall_s),
            cpu_s=self.spec.cpu_s,
            open_files=self.spec.open_files,
            output_bytes=self.spec.output_bytes if output_bytes is None else output_bytes,
            end_lane=lambda: self._end_lane(lane),
            on_output=on_output,
        )

    def _run(self, job: ExecJob) -> ExecResult:
        try:
            result = job.run()
        except SandboxDied as error:
            if self._closed:
                raise SandboxClosed(f"the lease on box {self.id} was given back") from error
            words, oom = self._keeper.vessel.autopsy(job.began)
            self._give_up(f"box {self.id} died: {error}; {words}")
            if not oom:
                raise SandboxDied(self._death) from error
            return job.ended_for_memory()
        except BaseException:
            # Raised by `on_output`, or a signal: nothing of the job may stay.
            if not self._closed and not job.end():
                self._give_up(f"box {self.id}: a job that was interrupted could not be killed")
            raise
        if job.lost:
            self._give_up(f"box {self.id}: a job could not be killed")
        return result

    def _give_up(self, reason: str) -> None:
        self._death = self._death or reason
        self._keeper.vessel.destroy()

    def _end_lane(self, lane: int) -> bool:
        """Kill all of one lane's user; return whether none is left."""
        with self._crowd:
            if all(other == lane for other in self._back):
                if lane == 0:
                    return self._keeper.kill_all()
                if self._front.acquire(blocking=False):
                    try:
                        return self._keeper.kill_all()
                    finally:
                        self._front.release()
        return self._kill_by_exec(lane)

    def _kill_by_exec(self, lane: int) -> bool:
        who = f"{self.spec.user + lane}:{self.spec.user}"
        for _ in range(5):
            with self._engine.client(5.0) as client:
                # Output is attached, for otherwise the call does not wait for the end.
                made = client.exec_create(self._keeper.vessel.container, ["sh", "-c", "kill -9 -1"], user=who)
                client.exec_start(made["Id"])
            if not self._keeper.any_of(self.spec.user + lane):
                return True
        return False

    def _left(self, lane: int) -> None:
        with self._crowd:
            self._back.pop(lane, None)

    def _inner(
        self, argv: Sequence[str], stdin: bytes, output_bytes: int, on_output: OnOutput | None = None
    ) -> ExecResult:
        with self._front:
            return self._run(self._job(0, argv, stdin, "/", None, FILE_S, on_output, output_bytes))

    def _without(self, what: str) -> SpecError:
        return SpecError(
            f"{what} needs Python 3.8 or later in the image, and {self.spec.image!r} has none; add python3"
        )


class PlainProcess(Process):
    """A background job, run by a thread of its own."""

    def __init__(self, job: ExecJob, run: Callable[[ExecJob], ExecResult], left: Callable[[], None]) -> None:
        self._job, self._run, self._left = job, run, left
        self._result: ExecResult | None = None
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="agentrl-exec", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, once its box is gone."""
        self._job.kill()
        self._thread.join(timeout_s)

    def poll(self) -> ExecResult | None:
        """Return how it ended, or None while it runs."""
        return self.wait() if self._ended.is_set() else None

    def wait(self, timeout_s: float | None = None) -> ExecResult:
        """Wait for its end; see `Process.wait`."""
        if not self._ended.wait(timeout_s):
            raise TimeoutError(f"the job still runs after {timeout_s:g} s")
        if self._result is None:
            raise self._error or SandboxDied("the box is gone")
        return self._result

    def kill(self) -> ExecResult:
        """Stop it and all that it started; return how it ended."""
        self._job.kill()
        return self.wait()

    def output(self) -> tuple[bytes, bytes]:
        """Return standard output and standard error so far."""
        return self._job.output()

    def send(self, data: bytes) -> None:
        """Refuse: its input has ended."""
        raise SpecError("this job's input has ended; an image with Python takes open_stdin=True")

    def end_input(self) -> None:
        """Do nothing: its input has ended."""

    def _carry(self) -> None:
        try:
            self._result = self._run(self._job)
        except Exception as error:  # handed to whoever waits
            self._error = error
        finally:
            self._left()
            self._ended.set()


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise SpecError(f"{text!r:.100} is not UTF-8, which an image without Python takes only") from None
