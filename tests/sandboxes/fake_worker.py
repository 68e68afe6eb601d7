"""Vessels without a box: a thread of the test speaks for the worker, and says whatever the test wants."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Callable
from typing import Any

from agentrl.sandboxes.vessel import Channel
from agentrl.sandboxes.worker.frames import END, NO_RUN, READY, Frame, Reader, pack_json

__all__ = ["READY_BODY", "FakeChannel", "FakeVessel", "Worker", "ended", "num_fds"]

READY_BODY: dict[str, Any] = {"python": "3.11.2", "lanes": 8, "split": "uids", "counters": {"oom": True, "pids": True}}


class FakeChannel:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def read_fd(self) -> int:
        return self._end.fileno()

    def write_fd(self) -> int:
        return self._end.fileno()

    def receive(self) -> bytes | None:
        try:
            return self._end.recv(1 << 20)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def send(self, data: memoryview) -> int:
        try:
            return self._end.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self._end.close()


class Worker:
    """The far end: what the test's script reads and writes."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._reader = Reader()
        self._frames: list[Frame] = []

    def say(self, data: bytes) -> None:
        """Send bytes; the host may be gone."""
        with contextlib.suppress(OSError):
            self.end.sendall(data)

    def ready(self, **more: Any) -> None:
        self.say(pack_json(READY, NO_RUN, {**READY_BODY, **more}))

    def frame(self, *kinds: int) -> Frame | None:
        """Return the next frame of these kinds, others dropped; None when the host is gone."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if not kinds or frame.kind in kinds:
                    return frame
            try:
                data = self.end.recv(1 << 18)
            except OSError:
                return None
            if not data:
                return None
            self._frames += self._reader.feed(data)


class FakeVessel:
    """A vessel whose worker is a function in a thread."""

    def __init__(self, script: Callable[[Worker], None], *, oom: bool = False, confirms: bool = True) -> None:
        self.id = f"fake-{uuid.uuid4().hex[:8]}"
        ours, theirs = socket.socketpair()
        self.channel: Channel = FakeChannel(ours)
        self.oom = oom
        self.confirms = confirms
        self.num_destroyed = 0
        self.autopsies: list[float] = []
        self._far = theirs
        self._thread = threading.Thread(target=self._run, args=(script, Worker(theirs)), daemon=True)
        self._thread.start()

    def autopsy(self, since: float) -> tuple[str, bool]:
        self.autopsies.append(since)
        return "it was a fake", self.oom

    def destroy(self, deadline_s: float = 10.0) -> bool:
        self.num_destroyed += 1
        self.channel.close()
        self._thread.join(deadline_s)
        return self.confirms

    def _run(self, script: Callable[[Worker], None], worker: Worker) -> None:
        with self._far:
            script(worker)


def ended(run: bytes, status: str = "ok", **more: Any) -> bytes:
    """Return an END frame."""
    body = {"status": status, "exit_code": 0, "signal": None, "wall_s": 0.1, "cpu_s": 0.0, "left": False}
    return pack_json(END, run, body | more)


def num_fds() -> int:
    return len(os.listdir("/proc/self/fd"))
