"""A Python session over one run: cells go in with length and number before them, replies come back as lines of JSON.

The host times the cells. A cell that passes its time is killed with its session, whose state is lost; the next cell
starts another, and says so by `restarted`. Replies are the session's word, and a program in it may forge them: they are
bounded, parsed and never trusted to be more than text.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from agentrl.sandboxes.base import Interpreter
from agentrl.sandboxes.errors import SandboxBusy, SandboxClosed, SpecError
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.requests import seconds_of
from agentrl.sandboxes.host.runs import Ended, Run
from agentrl.sandboxes.results import CellResult, Status

__all__ = ["SessionInterpreter"]

LARGEST_CELL = 8_388_608
# An interpreter that is told to end has this long before it is killed.
CLOSE_S = 1.0
REASONS: dict[Status, str] = {
    "timeout": "the cell did not end within {seconds:g} s; the session was stopped and its state is lost",
    "oom": "the cell met the memory limit; the session was stopped and its state is lost",
    "pids": "the cell met the limit on processes; the session was stopped and its state is lost",
    "output_limit": "the cell wrote more than its output limit; the session was stopped and its state is lost",
    "cpu_timeout": "the session used up its processor time; it was stopped and its state is lost",
}
FORGED = "the session answered with what is no reply: the cell wrote to its result channel; the session was stopped"


class SessionInterpreter(Interpreter):
    """An `Interpreter`. Cells of several threads run one after another."""

    def __init__(self, box: Box, begin: Callable[[], Run], *, usual_s: float, output_bytes: int) -> None:
        """Start a session.

        Args:
            box: Where.
            begin: Starts a session's run.
            usual_s: Seconds for a cell that names none.
            output_bytes: Most bytes of output in a result.
        """
        self._box = box
        self._begin = begin
        self._usual_s = usual_s
        self._output_bytes = output_bytes
        self._turn = threading.Lock()
        self._closed = False
        self._restarted = False
        self._number = 0
        self._run: Run | None = begin()

    def run(self, cell: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell; see `Interpreter.run`."""
        if not isinstance(cell, str):
            raise SpecError(f"cell must be a str, not {type(cell).__name__}")
        source = cell.encode("utf-8", "surrogatepass")
        if len(source) > LARGEST_CELL:
            raise SpecError(f"cell of {len(source)} bytes; the most is {LARGEST_CELL}")
        seconds = seconds_of(timeout_s, self._usual_s)
        with self._turn:
            self._check_open()
            if self._run is None or self._run.done:
                if self._run is not None:
                    self._box.outcome(self._run)
                self._run, self._restarted = self._begin(), True
            return self._cell(self._run, source, seconds)

    def close(self) -> None:
        """End the session; idempotent."""
        self._closed = True
        if self._box.foreign():
            return
        with self._turn:
            run, self._run = self._run, None
        if run is not None and not run.done and self._box.alive():
            self._box.link.end_input(run)
            if not run.wait(CLOSE_S):
                self._box.stop(run)

    def _check_open(self) -> None:
        self._box.link.check_process()
        if self._closed:
            raise SandboxClosed("the session was closed; start another with box.python()")

    def _cell(self, run: Run, source: bytes, seconds: float) -> CellResult:
        began = time.monotonic()
        restarted, self._restarted = self._restarted, False
        try:
            while run.line() is not None:
                pass  # it answers nothing that was asked
            self._number += 1
            self._box.send(run, len(source).to_bytes(4, "big") + self._number.to_bytes(4, "big") + source)
            line = self._reply(run, began + seconds)
            late = line is None and not run.done
            if late:
                self._box.soil("a cell did not end in time")
                self._box.stop(run)
            elif line is not None and _answer(line)[2] == FORGED:
                self._box.soil("a session answered with what is no reply")
                self._box.stop(run)
        except BaseException as fault:
            self._box.soil(f"a cell was interrupted by {type(fault).__name__}")
            self._box.stop(run)
            raise
        ended = self._box.outcome(run) if line is None else None
        stdout, stderr = run.drain()
        status, value, error = _answer(line) if ended is None else _stopped(ended, late, seconds)
        return CellResult(
            status=status,
            value=value,
            error=error,
            stdout=stdout[: self._output_bytes],
            stderr=stderr[: max(0, self._output_bytes - len(stdout))],
            wall_s=time.monotonic() - began,
            restarted=restarted,
        )

    def _reply(self, run: Run, until: float) -> bytes | None:
        """Wait for a line of the value; None where the session ended first, or time did."""
        ended = False
        while True:
            held = run.held()
            line = run.line()
            if line is None:
                if ended:
                    return None
                ended = run.done or not run.wait_news(held, until)
            elif self._answers(line):
                return line
            elif time.monotonic() > until:
                return None

    def _answers(self, line: bytes) -> bool:
        """Say whether a line is no reply to another cell, such as a process that one has forked may send."""
        reply = _parsed(line)
        return not isinstance(reply, dict) or reply.get("cell") == self._number


def _answer(line: bytes | None) -> tuple[Status, str | None, str | None]:
    reply = _parsed(line or b"")
    if isinstance(reply, dict):
        status, value, error = reply.get("status"), reply.get("value"), reply.get("error")
        texts = isinstance(value, str | None) and isinstance(error, str | None)
        if texts and status == "ok":
            return "ok", value, None
        if texts and status == "error":
            return "nonzero", None, error or "the cell raised"
    return "nonzero", None, FORGED


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _stopped(ended: Ended, late: bool, seconds: float) -> tuple[Status, str | None, str | None]:
    # What the kernel or the worker saw comes before our own kill, which only shows as a signal.
    status: Status = "timeout" if late and ended.status in ("ok", "nonzero", "signal") else ended.status
    if status in REASONS:
        return status, None, REASONS[status].format(seconds=seconds)
    if ended.message:
        raise SandboxBusy(f"the session could not start: {ended.message}")
    how = f"signal {ended.signal}" if status == "signal" else f"exit code {ended.exit_code}"
    return "signal" if status == "signal" else "nonzero", None, f"the session ended with {how}; its state is lost"
