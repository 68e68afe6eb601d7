"""A real worker on this machine, in namespaces of its own and no box: for tests of the worker and of the host's side.

It has its own process ids, mounts (fresh /work, /tmp and /dev/shm), IPC objects and an empty network, so that jobs of
many users and kill(-1) stay inside. No cgroup and no seccomp filter: nothing hostile to memory or to the kernel belongs
here. Needs root, util-linux and Debian's /usr/bin/python3.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.sandboxes.vessel import Channel, Vessel
from agentrl.sandboxes.worker.frames import (
    DATA,
    END,
    EOF,
    ERR,
    FATAL,
    OUT,
    READY,
    START,
    VALUE,
    Frame,
    Reader,
    body_of,
    pack,
    pack_json,
)
from agentrl.sandboxes.worker.source import BOOTSTRAP, bundle

__all__ = ["CONFIG", "Client", "Done", "LocalVessel", "PipeChannel"]

CONFIG: dict[str, Any] = {
    "user": 1000,
    "lanes": 8,
    "silence_s": 8.0,
    "memory_mb": 512,
    "pids": 128,
    "disk_mb": 64,
    "open_files": 256,
    "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/work", "LANG": "C.UTF-8", "TMPDIR": "/tmp"},
    "split": True,
    # The kernel counts a user's processes over all vessels that run at once; only a bomb needs a bound that is near.
    "nproc": 8192,
    "tunnel_port": 0,
    "folders": ["/work", "/tmp", "/dev/shm"],
}

# The shell stays as process 1 and reaps orphans, as tini and bubblewrap do in a box. A mount that fails ends it all,
# since otherwise a reset would empty this machine's own folders.
SETUP = """\
set -e
mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
if [ -n "$COUNTERS" ]; then mount --bind "$COUNTERS" /sys/fs/cgroup; fi
if [ ! -d /work ]; then mkdir /work; fi
if [ -n "$LOOPBACK" ]; then /usr/bin/python3 -I -c "$LOOPBACK"; fi
for folder in /work /tmp /dev/shm; do mount -t tmpfs -o size=64m,nr_inodes=25000,mode=0777 tmpfs "$folder"; done
cd /
unset COUNTERS LOOPBACK
/usr/bin/python3 -I -B -u -c "$0"
exit $?
"""
# A fresh network has its loopback down; both engines bring it up.
LOOPBACK = """\
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH22x", b"lo", 0x41))
"""


class PipeChannel:
    """The worker's standard input and output as two pipes of this process."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._closed = False

    def read_fd(self) -> int:
        return self._read_fd

    def write_fd(self) -> int:
        return self._write_fd

    def receive(self) -> bytes | None:
        try:
            return os.read(self._read_fd, 1 << 20)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        try:
            return os.write(self._write_fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._read_fd)
            os.close(self._write_fd)


class LocalVessel:
    """A started worker; its bundle is sent already, READY is still to be read.

    Args:
        counters: A folder that the worker sees as /sys/fs/cgroup, so that a test can make its counters rise.
        config: What differs from `CONFIG`.
    """

    def __init__(self, *, counters: Path | None = None, **config: Any) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.config = {**CONFIG, **config}
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        environment["COUNTERS"] = str(counters) if counters else ""
        environment["LOOPBACK"] = LOOPBACK if self.config["tunnel_port"] else ""
        unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--mount", "--ipc", "--net", "--"]
        self.process = subprocess.Popen(
            [*unshare, "/bin/sh", "-c", SETUP, BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        read_fd, write_fd = os.dup(self.process.stdout.fileno()), os.dup(self.process.stdin.fileno())
        self.process.stdout.close()
        self.process.stdin.close()
        self.channel: Channel = PipeChannel(read_fd, write_fd)
        rest = memoryview(bundle(self.config))
        while rest:
            rest = rest[os.write(write_fd, rest) :]
        for fd in (read_fd, write_fd):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)

    def autopsy(self, since: float) -> tuple[str, bool]:
        try:
            return f"the worker ended with {self.process.wait(1.0)}", False
        except subprocess.TimeoutExpired:
            return "the worker still runs", False

    def destroy(self, deadline_s: float = 10.0) -> bool:
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def worker_pid(self) -> int:
        """Return the worker's process id as this process sees it."""
        pid = self.process.pid
        for _ in range(2):  # unshare, then the shell, then the worker
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def __enter__(self) -> LocalVessel:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()


_: type[Vessel] = LocalVessel


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a run."""

    end: dict[str, Any]
    out: bytes
    err: bytes
    value: bytes
    order: list[tuple[int, bytes]]

    @property
    def status(self) -> str:
        return str(self.end["status"])


class Client:
    """A plain host for tests of the worker itself: one thread, every wait with a deadline."""

    def __init__(self, vessel: LocalVessel) -> None:
        self.vessel = vessel
        self._reader = Reader()
        self._frames: list[Frame] = []
        self.ready = body_of(self.wait_for(READY))

    def begin(self, mode: str = "exec", data: bytes = b"", *, eof: bool = True, **body: Any) -> bytes:
        """Send START, the data and perhaps EOF; return the nonce."""
        run = os.urandom(8)
        whole: dict[str, Any] = {
            "mode": mode,
            "lane": "front",
            "timeout_s": 20.0,
            "cpu_s": None,
            "output_bytes": 1 << 20,
            "value_bytes": 1 << 20,
            "cwd": "/work",
            "env": CONFIG["environment"],
            "open_files": 256,
        }
        self.send(pack_json(START, run, {**whole, **body}))
        self.feed(run, data)
        if eof:
            self.send(pack(EOF, run))
        return run

    def feed(self, run: bytes, data: bytes) -> None:
        for start in range(0, len(data), 65_536):
            self.send(pack(DATA, run, data[start : start + 65_536]))

    def run(self, mode: str = "exec", data: bytes = b"", **body: Any) -> Done:
        return self.finish(self.begin(mode, data, **body))

    def python(self, source: str, stdin: bytes = b"", **body: Any) -> Done:
        code = source.encode()
        return self.run("python", code + stdin, source_bytes=len(code), **body)

    def shell(self, script: str, **body: Any) -> Done:
        return self.run(argv=["sh", "-c", script], **body)

    def finish(self, run: bytes, limit_s: float = 30.0) -> Done:
        """Wait for the END of a run; frames of other runs stay for later."""
        order: list[tuple[int, bytes]] = []
        while True:
            frame = self.wait_for(OUT, ERR, VALUE, END, run=run, limit_s=limit_s)
            if frame.kind == END:
                parts = {kind: b"".join(body for each, body in order if each == kind) for kind in (OUT, ERR, VALUE)}
                return Done(end=body_of(frame), out=parts[OUT], err=parts[ERR], value=parts[VALUE], order=order)
            order.append((frame.kind, frame.body))

    def wait_for(self, *kinds: int, run: bytes | None = None, limit_s: float = 30.0) -> Frame:
        """Return the next such frame.

        Raises:
            EOFError: The worker is gone; its FATAL, if any, is in the message.
            TimeoutError: None came.
        """
        deadline = time.monotonic() + limit_s
        while True:
            for number, frame in enumerate(self._frames):
                if frame.kind in kinds and run in (None, frame.run):
                    return self._frames.pop(number)
                if frame.kind == FATAL:
                    raise EOFError(body_of(frame)["reason"])
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.vessel.channel.read_fd()], [], [], left)[0]:
                raise TimeoutError(f"no frame of {kinds} within {limit_s} s")
            data = self.vessel.channel.receive()
            if data == b"":
                raise EOFError("the worker is gone")
            self._frames += self._reader.feed(data or b"")

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            select.select([], [self.vessel.channel.write_fd()], [], 30)
            rest = rest[self.vessel.channel.send(rest) :]
