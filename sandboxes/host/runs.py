"""One run of a box, as the host sees it: what has come back so far, how it ended, and the way to wait for that.

The hub's thread fills it, callers wait on it. The caps are the host's own: a worker that sends more than was allowed
has broken the protocol, so nothing here grows past `output_bytes` and `value_bytes`, whatever it sends.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from agentrl.sandboxes.results import ExecResult, Status
from agentrl.sandboxes.worker.frames import ERR, OUT, FrameError

__all__ = ["Ended", "Run", "ended_of"]

STATUSES = frozenset(get_args(Status))
LONGEST_MESSAGE = 500


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The worker's last word on a run, checked."""

    status: Status
    exit_code: int | None = None
    signal: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    errno: int | None = None
    """Of a file that could not be used, where the system said so."""
    message: str | None = None
    """Why a file could not be used or a run not begun; at most 500 characters."""


def ended_of(body: Mapping[str, Any]) -> Ended:
    """Return the body of an END frame as a record.

    Raises:
        FrameError: A field that is missing, of another type or out of its range.
    """
    status = body.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise FrameError(f"END with status {str(status)[:40]!r}")
    exit_code, signal = _whole(body, "exit_code", 0, 255), _whole(body, "signal", 1, 64)
    if status == "ok" and (exit_code or signal):
        raise FrameError(f"END with status 'ok', exit code {exit_code} and signal {signal}")
    error = body.get("error")
    if isinstance(error, str):
        error = {"message": error}
    if error is not None and not isinstance(error, dict):
        raise FrameError("END with an error that is no object")
    message = error.get("message") if error else None
    if message is not None and not isinstance(message, str):
        raise FrameError("END with a message that is no text")
    return Ended(
        status=cast(Status, status),
        exit_code=exit_code,
        signal=signal,
        wall_s=_seconds(body, "wall_s"),
        cpu_s=_seconds(body, "cpu_s"),
        errno=_whole(error, "errno", 0, 4095) if error else None,
        message=message[:LONGEST_MESSAGE] if message is not None else None,
    )


class Run:
    """What came back of one run. Filled by the hub's thread, read by any."""

    def __init__(self, nonce: bytes, *, output_bytes: int, value_bytes: int, until: float, eager: bool = False) -> None:
        """Expect a run.

        Args:
            nonce: Its name on the wire.
            output_bytes: Most bytes of standard output and error together.
            value_bytes: Most bytes on the result channel.
            until: `time.monotonic()` by which its end must have come.
            eager: Wake who waits at each piece, not only at the end.
        """
        self.nonce = nonce
        self.until = until
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.value = bytearray()
        self.ended: Ended | None = None
        self.lost = False
        """Whether the box went before the run ended."""
        self.began = time.time()
        self._output_bytes = output_bytes
        self._value_bytes = value_bytes
        self._eager = eager
        self._discarding = False
        # Not a Condition: an interrupt while that takes its lock again leaves it broken. Here who waits holds nothing.
        self._changed = threading.Lock()
        self._waiters: list[threading.Lock] = []

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.ended is not None or self.lost

    def take(self, kind: int, body: bytes) -> None:
        """Keep a piece of output or value.

        Raises:
            FrameError: It is empty, or more than was allowed.
        """
        if not body:
            raise FrameError("a piece of output without a byte in it")
        with self._changed:
            if self._discarding:
                return
            if kind in (OUT, ERR):
                if len(self.stdout) + len(self.stderr) + len(body) > self._output_bytes:
                    raise FrameError(f"more output than the {self._output_bytes} bytes that were allowed")
                (self.stdout if kind == OUT else self.stderr).extend(body)
            else:
                if len(self.value) + len(body) > self._value_bytes:
                    raise FrameError(f"a value above the {self._value_bytes} bytes that were allowed")
                self.value.extend(body)
            if self._eager:
                self._wake()

    def end(self, ended: Ended | None) -> None:
        """Note how it ended; None: the box went first."""
        with self._changed:
            if not self.done:
                self.ended, self.lost = ended, ended is None
            self._wake()

    def discard(self) -> None:
        """Keep nothing more: nobody will ask."""
        with self._changed:
            self._discarding = True
            self.stdout.clear()
            self.stderr.clear()
            self.value.clear()

    def drain(self) -> tuple[bytes, bytes]:
        """Return the output so far and forget it, which gives its bytes free for more."""
        with self._changed:
            taken = bytes(self.stdout), bytes(self.stderr)
            self.stdout.clear()
            self.stderr.clear()
            return taken

    def line(self) -> bytes | None:
        """Take the first line of the value, without its end; None when there is no whole one."""
        with self._changed:
            end = self.value.find(b"\n")
            if end < 0:
                return None
            line = bytes(self.value[:end])
            del self.value[: end + 1]
            return line

    def pieces(self, seen: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return the output past what was `seen` of standard output and of standard error."""
        with self._changed:
            return bytes(self.stdout[seen[0] :]), bytes(self.stderr[seen[1] :])

    def held(self) -> int:
        """Return how many bytes of output and value are here."""
        with self._changed:
            return len(self.stdout) + len(self.stderr) + len(self.value)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most `timeout_s` and never past `until`; return whether it came."""
        most = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        return self._wait_for(lambda: self.done, most)

    def wait_news(self, held: int, most: float) -> bool:
        """Wait until more than `held` bytes are here, or the end is; False when `most` or `until` passed first."""
        return self._wait_for(
            lambda: self.done or len(self.stdout) + len(self.stderr) + len(self.value) > held,
            most,
        )

    def result(self, ended: Ended) -> ExecResult:
        """Return the record that a caller is given."""
        return ExecResult(
            status=ended.status,
            exit_code=ended.exit_code,
            signal=ended.signal,
            stdout=bytes(self.stdout),
            stderr=bytes(self.stderr),
            wall_s=ended.wall_s,
            cpu_s=ended.cpu_s,
        )

    def _wait_for(self, true: Callable[[], bool], most: float) -> bool:
        while True:
            waiter = threading.Lock()
            waiter.acquire()
            with self._changed:
                if true():
                    return True
                self._waiters.append(waiter)
            try:
                # `until` may come nearer meanwhile, by a kill, and a wait of days overflows on some systems.
                left = min(most, self.until) - time.monotonic()
                if left <= 0 or not waiter.acquire(timeout=min(left, 3600.0)):
                    with self._changed:
                        if true():
                            return True
                    if time.monotonic() >= min(most, self.until):
                        return False
            finally:
                with self._changed:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.release()
        self._waiters.clear()


def _whole(body: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise FrameError(f"END with {name}={str(value)[:40] if not isinstance(value, int) else 'out of range'}")
    return value


def _seconds(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9 or math.isnan(value):
        raise FrameError(f"END with {name} that is no number of seconds")
    return float(value)
