"""A server as a plain process of this machine, for a user who says so: it may do what the user may.

One thread serves its pipes, so that a server that reads or writes nothing holds up nobody. It starts in an empty folder
with few variables of the environment. At the end its process group is killed, and whoever else carries the mark that
it was given in its environment: a child that left the group goes too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentrl.envs.errors import UsageError
from agentrl.envs.tools.mcp.feed import Feed

__all__ = ["MAX_OUTPUT_BYTES", "LocalProcess"]

MAX_OUTPUT_BYTES = 32 << 20
"""That a server may write in an episode."""
_MAX_QUEUED = 64 << 20
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_MARK = "AGENTRL_MCP_MARK"
_CHUNK = 65_536
_TAIL = 2000  # characters of standard error that are kept for messages
_CLOSE_S = 0.5  # after the end of its input, and again after SIGTERM


class LocalProcess:
    """A running server.

    Args:
        command: The program and its arguments.
        files: Path in its folder -> content.
        environment: Variables beside the few that it inherits.
        feed: Gets what it writes, and how it ended.

    Raises:
        UsageError: The program cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, files: Mapping[str, bytes], environment: Mapping[str, str], feed: Feed
    ) -> None:
        self._feed = feed
        self._mark = secrets.token_hex(8)
        self._folder = Path(tempfile.mkdtemp(prefix="agentrl-mcp-"))
        self._lock = threading.Lock()
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._closed = False
        self._stderr = ""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            for name, content in files.items():
                path = self._folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._process = subprocess.Popen(
                list(command),
                cwd=self._folder,
                env={**inherited, **environment, _MARK: self._mark},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise UsageError(
                f"the MCP server {command[0]!r} cannot be started here: {error}; give a program of this machine"
            ) from error
        self._bell, self._rung = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._end = os.pidfd_open(self._process.pid)
        self._thread = threading.Thread(target=self._serve, name="agentrl-mcp-local", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Write to its standard input; nothing where it has ended.

        Raises:
            BufferError: It reads nothing, and too much waits for it.
        """
        with self._lock:
            self._queue.append(memoryview(data))
            self._queued += len(data)
            if self._queued > _MAX_QUEUED:
                raise BufferError(f"more than {_MAX_QUEUED} bytes wait for it")
            self._ring()

    def close(self) -> None:
        """End it with all that it started; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._ring()
        if not self._ended(_CLOSE_S):  # its input ends first, as MCP asks for
            self._signal(signal.SIGTERM)
            self._ended(_CLOSE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        _kill_marked(self._mark)
        self._thread.join(5.0)
        for descriptor in (self._bell, self._rung, self._end):
            os.close(descriptor)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe rings as well as one more byte would
            os.write(self._rung, b"!")

    def _ended(self, timeout_s: float) -> bool:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _serve(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        stdin, stdout, stderr = process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()
        for each in (stdin, stdout, stderr):
            os.set_blocking(each, False)
        written = 0
        with selectors.DefaultSelector() as watched:
            for each in (stdout, stderr, self._bell, self._end):
                watched.register(each, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in watched.select()}
                if self._bell in ready:
                    _read(self._bell)
                    if self._closed and not process.stdin.closed:
                        if stdin in watched.get_map():
                            watched.unregister(stdin)
                        process.stdin.close()
                if not process.stdin.closed:
                    self._write(watched, stdin)
                if stderr in ready:
                    data = _read(stderr)
                    self._stderr = (self._stderr + data.decode("utf-8", "replace"))[-_TAIL:]
                    if not data:
                        watched.unregister(stderr)
                if stdout in ready or self._end in ready:
                    data = _read(stdout)
                    written += len(data)
                    if data and written > MAX_OUTPUT_BYTES:
                        self._feed.end(f"it wrote more than {MAX_OUTPUT_BYTES} bytes in one episode")
                        self._signal(signal.SIGKILL)
                    elif data:
                        self._feed.put(data)
                    elif self._end in ready:
                        break
                    elif stdout in watched.get_map():
                        watched.unregister(stdout)  # it closed its output, and runs on
        self._stderr = (self._stderr + _read(stderr).decode("utf-8", "replace"))[-_TAIL:]
        said = f"; it said: {self._stderr.strip()}" if self._stderr.strip() else ""
        code = process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._feed.end(f"it ended with {how}{said}")

    def _write(self, watched: selectors.BaseSelector, stdin: int) -> None:
        """Write what waits, as far as the pipe takes it; watch the pipe where something is left."""
        with self._lock:
            try:
                while self._queue:
                    sent = os.write(stdin, self._queue[0][:_CHUNK])
                    self._queued -= sent
                    rest = self._queue[0][sent:]
                    self._queue.popleft()
                    if rest:
                        self._queue.appendleft(rest)
            except BlockingIOError:
                pass
            except OSError:  # it reads no more; its end, or the deadline of a call, says what that means
                self._queue.clear()
                self._queued = 0
            is_watched = stdin in watched.get_map()
            if self._queue and not is_watched:
                watched.register(stdin, selectors.EVENT_WRITE)
            elif not self._queue and is_watched:
                watched.unregister(stdin)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _kill_marked(mark: str) -> None:
    """Kill every process of this user that has the mark in its environment, and those that they start meanwhile."""
    needle = f"{_MARK}={mark}".encode()
    for _ in range(10):
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _has(path, needle)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _has(process: Path, needle: bytes) -> bool:
    try:
        return needle in (process / "environ").read_bytes()
    except OSError:
        return False
