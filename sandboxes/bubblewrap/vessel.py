"""A worker in a bubblewrap box as a `Vessel`: two pipes, and a namespace that ends with its first process."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import IO

from agentrl.sandboxes.bubblewrap.chain import Started
from agentrl.sandboxes.vessel import Channel

__all__ = ["BwrapVessel", "PipeChannel"]

SETTLE_S = 1.0
KILLED = 137  # how bwrap says that the box's first program died by SIGKILL


class PipeChannel:
    """Two pipes of this process, the worker's standard input and output at their other ends."""

    def __init__(self, stdout: IO[bytes], stdin: IO[bytes]) -> None:
        self._stdout, self._stdin = stdout, stdin
        for pipe in (stdout, stdin):
            os.set_blocking(pipe.fileno(), False)
        self._read_fd, self._write_fd = stdout.fileno(), stdin.fileno()

    def read_fd(self) -> int:
        """Return the descriptor that turns readable when `receive` has something."""
        return self._read_fd

    def write_fd(self) -> int:
        """Return the descriptor that turns writable when `send` may go on."""
        return self._write_fd

    def receive(self) -> bytes | None:
        """Return some of the worker's output; None when there is none now; b"" at its end."""
        try:
            return os.read(self._read_fd, 1 << 20)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        """Write what fits now and return how much."""
        try:
            return os.write(self._write_fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close both ends; idempotent."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


class BwrapVessel:
    """A `Vessel` in a bubblewrap box."""

    def __init__(self, box: str, started: Started, first: bytes, path: str) -> None:
        """Take over a box that runs.

        Args:
            box: Its id.
            started: The box.
            first: What the worker is to read before any frame.
            path: PATH in the box.
        """
        assert started.process.stdin
        assert started.process.stdout
        self.id = box
        self.first = first
        self.path = path
        self.started = started
        self.channel: Channel = PipeChannel(started.process.stdout, started.process.stdin)

    def autopsy(self, since: float) -> tuple[str, bool]:
        """Say how it ended in a few words, and whether the kernel killed it for memory.

        The group's counter has no times, so it counts only where the worker itself was killed: a job that was killed
        earlier is no reason for the box to end.
        """
        cgroup = self.started.cgroup
        try:
            code = self.started.process.wait(SETTLE_S)
        except subprocess.TimeoutExpired:
            words, oom = "it still runs, but answers no more", False
        else:
            words = f"its first program ended with {code}"
            oom = code == KILLED and cgroup is not None and bool(cgroup.counters().oom_kills)
        if oom:
            words += "; the kernel killed for memory"
        if last := self.started.last_words():
            words += f"; its last words: {last[-600:]!r}"
        return words, oom

    def destroy(self, deadline_s: float = 10.0) -> bool:
        """Kill it and remove all of it; idempotent. False when that was not confirmed in time."""
        self.channel.close()
        return self.started.end(deadline_s)
