"""A job in the background of a box."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agentrl.sandboxes.base import OnOutput, Process
from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.runs import Run
from agentrl.sandboxes.results import ExecResult

__all__ = ["BackgroundProcess"]


class BackgroundProcess(Process):
    """A `Process` over a run. With `on_output` a thread of its own calls that; what it raises comes out of `wait`."""

    def __init__(
        self,
        box: Box,
        run: Run,
        on_output: OnOutput | None = None,
        check: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Take over a run that has begun; `check` returns input that may be sent, and is None where none is."""
        self._box = box
        self._check = check
        self._run = run
        self._lock = threading.Lock()
        self._result: ExecResult | None = None
        self._error: BaseException | None = None
        self._reader: threading.Thread | None = None
        if on_output is not None:
            self._reader = threading.Thread(
                target=self._read, args=(on_output,), name="agentrl-sandbox-output", daemon=True
            )
            self._reader.start()

    def poll(self) -> ExecResult | None:
        """Return how it ended, or None while it runs."""
        if not self._run.done or (self._reader is not None and self._reader.is_alive()):
            return None
        return self._end()

    def wait(self, timeout_s: float | None = None) -> ExecResult:
        """Wait for its end; see `Process.wait`. What `on_output` raised is raised here."""
        if self._reader is not None:
            self._reader.join(timeout_s)
            running = self._reader.is_alive()
        else:
            running = not self._run.wait(timeout_s) and timeout_s is not None
        if running:
            raise TimeoutError(f"the job still runs after {timeout_s:g} s; wait again, or kill() it")
        return self._end()

    def kill(self) -> ExecResult:
        """Stop it and all that it started; return how it ended."""
        self._box.stop(self._run)
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()
        return self._end()

    def output(self) -> tuple[bytes, bytes]:
        """Return standard output and standard error so far."""
        return self._run.pieces((0, 0))

    def send(self, data: bytes) -> None:
        """Send more of its input; see `Process.send`."""
        self._box.link.check_process()
        if self._check is None:
            raise SpecError("this job's input has ended; start it with open_stdin=True to send more")
        data = self._check(data)
        if data and not self._run.done:
            self._box.send(self._run, data)

    def end_input(self) -> None:
        """Say that no more input comes; idempotent."""
        check, self._check = self._check, None
        if check is not None and not self._run.done:
            self._box.link.end_input(self._run)

    def _end(self) -> ExecResult:
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._result is None:
                self._result = self._run.result(self._box.outcome(self._run))
            return self._result

    def _read(self, on_output: OnOutput) -> None:
        try:
            self._box.finish(self._run, on_output)
        except BaseException as error:  # whatever it is, it belongs to whoever waits
            self._error = error
