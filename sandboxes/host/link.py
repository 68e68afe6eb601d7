"""One worker's channel on the host.

The hub's thread cuts what the worker sends into frames and hands them to the runs that they belong to; a caller sends
from its own thread and waits on its own run, so a round trip has one hop between threads. Nothing from the worker is
trusted: a frame that fits no run, a cap that is passed, a deadline that is missed or a body of another shape ends the
link, once, with a reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentrl.sandboxes.errors import SandboxClosed, SandboxDied, SpecError
from agentrl.sandboxes.host.hub import BEAT_S, Hub
from agentrl.sandboxes.host.runs import Run, ended_of
from agentrl.sandboxes.vessel import Channel
from agentrl.sandboxes.worker.frames import (
    BEAT,
    DATA,
    END,
    EOF,
    ERR,
    FATAL,
    KILL,
    LARGEST,
    NET_CLOSE,
    NET_DATA,
    NET_END,
    NET_MORE,
    NET_OPEN,
    NO_RUN,
    OUT,
    READY,
    VALUE,
    Frame,
    FrameError,
    Reader,
    body_of,
    pack,
)

__all__ = ["GRACE_S", "Hub", "Link", "Ready"]

# What the worker may take beyond a run's own limit: 0.2 s for SIGTERM, 2 s to see the lane empty, and a busy machine.
GRACE_S = 5.0
# A worker always reads; one that has taken nothing for this long is stuck.
STUCK_S = 15.0
# Bytes that may wait for a slow pipe before the sender waits with them.
WINDOW = 1_048_576
# Where nothing may wait, this much in the queue says that the worker asks without reading.
MOST_QUEUED = 67_108_864
CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a worker says of itself when it is up."""

    python: str
    """Its version."""
    lanes: int
    """Jobs that can run at one moment."""
    split: str
    """What keeps a job from the worker: "uids", or what else; empty for nothing."""
    counters: tuple[str, ...]
    """Statuses that it can tell from the kernel's counters: of "oom" and "pids"."""


class Link:
    """The channel to one worker. Every method but those named for the hub may be called from any thread."""

    def __init__(self, channel: Channel, *, first: bytes = b"") -> None:
        """Start to listen.

        Args:
            channel: Non-blocking; closed by the link when it ends.
            first: Bytes to send before any frame.
        """
        self.channel = channel
        self.read_fd, self.write_fd = channel.read_fd(), channel.write_fd()
        self.on_tunnel: Callable[[Frame], None] | None = None
        """Called by the hub's thread with NET_* frames; without it they break the protocol. Must not block."""
        self.on_end: Callable[[], None] | None = None
        """Called when it has ended, by whichever thread ends it. Must not block."""
        self.dead: str | None = None
        """Why the link ended, or None."""
        self.ended_itself = False
        """Whether it was the worker that went, as against one that the host gave up on."""
        self.said: Ready | None = None
        self._pid = os.getpid()
        self._reader = Reader()
        self._lock = threading.Lock()
        self._runs: dict[bytes, Run] = {}
        self._up = threading.Event()
        self._sending = threading.Condition()
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._moved = time.monotonic()
        self._deaf: float | None = None
        self._closed = threading.Event()
        self._hub = Hub.current()
        self._hub.adopt(self)
        if first:
            self._send(first)

    def check_process(self) -> None:
        """Raise SandboxClosed in a process that was forked from the owner's since."""
        if os.getpid() != self._pid:
            raise SandboxClosed(
                f"this box belongs to process {self._pid}, and this is {os.getpid()}, made by a fork since; "
                "lease another one here"
            )

    def ready(self, deadline_s: float) -> Ready:
        """Wait for the worker to come up.

        Raises:
            SandboxDied: It did not within `deadline_s`.
        """
        self.check_process()
        if not self._up.wait(deadline_s):
            self.fail(f"the worker was not up within {deadline_s:g} s")
        if self.said is None:
            raise SandboxDied(str(self.dead))
        return self.said

    def begin(
        self,
        kind: int,
        body: dict[str, Any],
        *,
        data: bytes = b"",
        eof: bool = True,
        output_bytes: int = 0,
        value_bytes: int = 0,
        limit_s: float | None = None,
        eager: bool = False,
    ) -> Run:
        """Start a run and send its input.

        Args:
            kind: START, LISTEN or RESET.
            body: What to run; see the worker's protocol.
            data: Its input.
            eof: Whether that is all of it.
            output_bytes: Most bytes of output that are taken.
            value_bytes: Most bytes of value that are taken.
            limit_s: Seconds within which the worker ends it; the link fails `GRACE_S` after. None: no such time.
            eager: See `Run`.

        Raises:
            SpecError: The request does not fit one frame.
            SandboxDied: The link has ended.
        """
        self.check_process()
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(text) > LARGEST:
            raise SpecError(f"arguments and environment take {len(text)} bytes as a request; the most is {LARGEST}")
        until = float("inf") if limit_s is None else time.monotonic() + limit_s + GRACE_S
        run = Run(os.urandom(8), output_bytes=output_bytes, value_bytes=value_bytes, until=until, eager=eager)
        with self._lock:
            if self.dead is not None:
                raise SandboxDied(self.dead)
            self._runs[run.nonce] = run
        first = pack(kind, run.nonce, text)
        try:
            if len(data) <= CHUNK:
                first += pack(DATA, run.nonce, data) if data else b""
                self._send(first + (pack(EOF, run.nonce) if eof else b""))
            else:
                self._send(first)
                self.feed(run, data, eof=eof)
        except BaseException:
            self.stop(run)
            raise
        return run

    def feed(self, run: Run, data: bytes, *, eof: bool = False) -> None:
        """Send more of a run's input; stops where the run has ended."""
        for start in range(0, len(data), CHUNK):
            if run.done:
                return
            self._send(pack(DATA, run.nonce, data[start : start + CHUNK]))
        if eof:
            self._send(pack(EOF, run.nonce))

    def end_input(self, run: Run) -> None:
        """Say that no more of a run's input comes; nothing where the link has ended."""
        with contextlib.suppress(SandboxDied):
            self._send(pack(EOF, run.nonce), wait=False)

    def stop(self, run: Run) -> None:
        """Have a run killed; its end must come within `GRACE_S`, or the link fails. Does not wait."""
        with self._lock:
            if run.done or self.dead is not None:
                return
            run.until = min(run.until, time.monotonic() + GRACE_S)
        with contextlib.suppress(SandboxDied):
            self._send(pack(KILL, run.nonce, b"{}"), wait=False)

    def send_frame(self, kind: int, run: bytes = NO_RUN, body: bytes = b"") -> None:
        """Queue one frame; does not wait, so what calls it needs a window of its own (tunnels have one).

        Raises:
            SandboxDied: The link has ended.
        """
        self.check_process()
        self._send(pack(kind, run, body), wait=False)

    def num_runs(self) -> int:
        """Return how many runs have not ended."""
        with self._lock:
            return len(self._runs)

    def runs(self) -> list[Run]:
        """Return the runs that have not ended."""
        with self._lock:
            return list(self._runs.values())

    def fail(self, reason: str, *, itself: bool = False) -> None:
        """End the link; the first reason stands. What ran is lost, and the channel is closed."""
        with self._lock:
            if self.dead is not None:
                return
            self.ended_itself = itself
            self.dead = reason
            runs = list(self._runs.values())
            self._runs.clear()
        for run in runs:
            run.end(None)
        self._up.set()
        with self._sending:
            self._queue.clear()
            self._queued = 0
            self._sending.notify_all()
        if (tell := self.on_end) is not None:
            tell()
        self._hub.drop(self)

    def close(self) -> None:
        """End the link and wait till its descriptors are closed; idempotent."""
        if os.getpid() != self._pid:
            return
        self.fail("the box was closed")
        if not self._hub.is_mine():
            self._closed.wait(5.0)

    # What follows is the hub's.

    def hub_read(self) -> None:
        """Take what the worker sent, once."""
        try:
            data = self.channel.receive()
            if data is None:
                return
            if not data:
                self.fail("the worker's output ended", itself=True)
                return
            for frame in self._reader.feed(data):
                self._take(frame)
                if self.dead is not None:
                    return
        except FrameError as error:
            self.fail(f"the worker broke the protocol: {error}")
        except OSError as error:
            self.fail(f"the worker's output ended: {error}", itself=True)

    def hub_write(self) -> bool:
        """Send what waits; return whether all of it is gone."""
        with self._sending:
            self._flush()
            if self._queued <= WINDOW:
                self._sending.notify_all()
            return not self._queue

    def hub_tick(self, now: float) -> None:
        """Send the heartbeat and hold the deadlines."""
        with self._lock:
            late = [run for run in self._runs.values() if now > run.until]
        with self._sending:
            queued = bool(self._queue)
        if late:
            self.fail("a run did not end within its limit and grace")
        elif self._deaf is not None and now - self._deaf > GRACE_S:
            self.fail("the worker closed its input", itself=True)
        elif queued and now - self._moved > STUCK_S:
            self.fail(f"the worker has taken no input for {STUCK_S:g} s")
        elif not queued and self.dead is None:
            with contextlib.suppress(SandboxDied):
                self._send(pack(BEAT, NO_RUN, b"{}"), wait=False)

    def hub_close(self) -> None:
        """Close the channel; no thread is in `send` then."""
        with self._sending:
            self.channel.close()
        self._closed.set()

    def _take(self, frame: Frame) -> None:
        kind, nonce, body = frame
        if kind in (OUT, ERR, VALUE, END):
            # Found and left under the lock, so that `stop` cannot kill a run that ended.
            ended = ended_of(body_of(frame)) if kind == END else None
            with self._lock:
                run = self._runs.pop(nonce, None) if ended else self._runs.get(nonce)
            if run is None:
                raise FrameError(f"a frame of kind {kind} for a run that is not there")
            if ended:
                run.end(ended)
            else:
                run.take(kind, body)
        elif kind in (NET_OPEN, NET_DATA, NET_CLOSE, NET_MORE, NET_END):
            tunnel = self.on_tunnel
            if tunnel is None:
                raise FrameError("a tunnel, where no network was allowed")
            tunnel(frame)
        elif nonce != NO_RUN:
            raise FrameError(f"a frame of kind {kind} that names a run")
        elif kind == READY and self.said is None:
            self.said = _ready_of(body_of(frame))
            self._up.set()
        elif kind == FATAL:
            self.fail(f"the worker gave up: {str(body_of(frame).get('reason'))[:300]!r}", itself=True)
        else:
            raise FrameError(f"a frame of kind {kind}")

    def _send(self, data: bytes, *, wait: bool = True) -> None:
        mine = self._hub.is_mine()
        with self._sending:
            if self.dead is not None:
                raise SandboxDied(self.dead)
            if self._deaf is not None:
                return
            was_empty = not self._queue
            if was_empty:
                self._moved = time.monotonic()
            self._queue.append(memoryview(data))
            self._queued += len(data)
            if was_empty:
                self._flush()
                if not self._queue:
                    return
                self._hub.want_write(self)
            if self._queued > MOST_QUEUED:
                self.fail(f"the worker let more than {MOST_QUEUED} bytes wait for it")
            if mine or not wait:
                return
            while self._queued > WINDOW and self.dead is None and self._deaf is None:
                self._sending.wait(BEAT_S)
                # The hub holds this deadline too; this is for the case that the hub's own thread is stuck.
                if self._queued > WINDOW and time.monotonic() - self._moved > STUCK_S + BEAT_S:
                    self.fail(f"the worker has taken no input for {STUCK_S:g} s")
            if self.dead is not None:
                raise SandboxDied(self.dead)

    def _flush(self) -> None:
        try:
            while self._queue:
                sent = self.channel.send(self._queue[0])
                if not sent:
                    return
                self._moved = time.monotonic()
                self._queued -= sent
                if sent == len(self._queue[0]):
                    self._queue.popleft()
                else:
                    self._queue[0] = self._queue[0][sent:]
        except OSError:
            # Not the end yet: what the worker wrote before it went (its reason, say) is still to be read.
            self._deaf = time.monotonic()
            self._queue.clear()
            self._queued = 0
        except BaseException:
            # An interrupt between a write and its record: what is on the wire is no longer known.
            self.fail("sending was interrupted")
            raise


def _ready_of(body: dict[str, Any]) -> Ready:
    python, lanes, split, counters = (body.get(name) for name in ("python", "lanes", "split", "counters"))
    if not isinstance(python, str) or not isinstance(split, str | bool | None):
        raise FrameError("READY without python or split")
    if not isinstance(lanes, int) or isinstance(lanes, bool) or not 1 <= lanes <= 64:
        raise FrameError("READY with a number of lanes that is not from 1 to 64")
    if isinstance(counters, dict):
        counters = [name for name, there in counters.items() if there]
    if not isinstance(counters, list) or not all(isinstance(name, str) for name in counters):
        raise FrameError("READY without counters")
    held = split[:100] if isinstance(split, str) else "uids" if split else ""
    return Ready(python=python[:100], lanes=lanes, split=held, counters=tuple(name[:100] for name in counters[:20]))
