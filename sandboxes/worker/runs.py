"""One run as the worker sees it: what was asked, its pipes, what went through them, and how it ended."""

from __future__ import annotations

import os
import signal
import time
from collections import deque

from agentrl.sandboxes.worker.frames import END as END_FRAME
from agentrl.sandboxes.worker.frames import ERR, OUT, VALUE, Frame, FrameError, body_of, pack, pack_json

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["FILE_MODES", "MOST_WAITING", "Run"]

PIECE = 65_536
FILE_MODES = ("write", "read", "list")
MODES = ("exec", "python", "session", "call", *FILE_MODES)
# In this order: the first that holds is the status.
CAUSES = ("oom", "pids", "output_limit", "cpu_timeout", "timeout")
MOST_WAITING = 256 << 20
# The kernel sends SIGXCPU by its ticks, and tells the time used by a finer clock: on a busy machine it is early.
CPU_DOUBT = 0.25


class Run:
    """A run from START to END; `Worker` drives it.

    Raises:
        FrameError: The START cannot be understood.
    """

    def __init__(self, frame: Frame, send: Callable[[bytes], None], forget: Callable[[int], None]) -> None:
        self.id = frame.run
        body = body_of(frame)
        _check(body)
        self.mode: str = body["mode"]
        self.back = body.get("lane") == "back"
        self.is_file = self.mode in FILE_MODES
        self.body = frame.body
        self.request = body if self.mode == "exec" else None
        self.cpu_limit_s: float | None = body.get("cpu_s")
        self.lane = 0
        self.pid = 0
        self.process = -1  # a pidfd, where the worker itself is the parent
        self.began = time.monotonic()
        self.deadline = self.began + body["timeout_s"] if body.get("timeout_s") is not None else None
        self.kill_at: float | None = None
        self.lost_at: float | None = None
        self.causes: set[str] = set()
        self.stopping = False
        self.left = False
        self.wait_status: int | None = None
        self.cpu_s = 0.0
        self._seen_cpu_s = 0.0
        self.error: dict[str, Any] | None = None
        self.pipes: dict[int, int] = {}  # frame kind -> the end that is read here
        self.input = -1
        self._send = send
        self._forget = forget
        self._caps = {"output": body.get("output_bytes", 0), "value": body.get("value_bytes", 0)}
        self._room = dict(self._caps)
        self._complaint = b""
        self._waiting: deque[memoryview] = deque()
        self._num_waiting = 0
        self._ended = False

    def open(self) -> list[int]:
        """Make the pipes and return the job's ends of them: 0, 1, 2 and, where it has one, the result channel."""
        theirs, self.input = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.input, False)
        fds = [theirs]
        for kind in (OUT, ERR) if self.mode in ("exec", "python") else (OUT, ERR, VALUE):
            self.pipes[kind], theirs = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self.pipes[kind], False)
            fds.append(theirs)
        return fds

    @property
    def waits(self) -> bool:
        """Whether the job's input is full and some waits."""
        return bool(self._waiting) and self.input >= 0

    @property
    def was_killed(self) -> bool:
        """Whether it ended, by SIGKILL or a shell's word for that, and not by this worker's doing."""
        status = self.wait_status
        return self.lost_at is None and status is not None and status in (signal.SIGKILL, (128 + signal.SIGKILL) << 8)

    def spent(self, cpu_s: float) -> float:
        """Take what the whole lane has been seen to use; return the most so far, since what is reaped may drop out."""
        self._seen_cpu_s = max(self._seen_cpu_s, cpu_s)
        return self._seen_cpu_s

    def feed(self, data: bytes) -> bool:
        """Take bytes for the job's standard input; False when far too much of it waits unread."""
        if self.input >= 0 and not self._ended:
            self._waiting.append(memoryview(data))
            self._num_waiting += len(data)
            self.push()
        return self._num_waiting <= MOST_WAITING

    def new_cell(self) -> None:
        """Give a session its whole room for output again; the host has sent another cell."""
        self._room.update(self._caps)

    def end_input(self) -> None:
        """Close the job's standard input when all of it is written."""
        self._ended = True
        self.push()

    def push(self) -> None:
        """Write what the job's input takes now."""
        while self._waiting and self.input >= 0:
            try:
                count = os.write(self.input, self._waiting[0])
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.close_input()
                return
            self._num_waiting -= count
            if count == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][count:]
        if self._ended:
            self.close_input()

    def close_input(self) -> None:
        """Drop what waits and close."""
        self._waiting.clear()
        self._num_waiting = 0
        if self.input >= 0:
            self._forget(self.input)
            os.close(self.input)
            self.input = -1

    def pull(self, kind: int) -> bool:
        """Pass on one piece of output; False when there is none now. At the end of the pipe it is gone from `pipes`.

        The caps are exact: what is over them is read, so that the pipe empties, and dropped.
        """
        fd = self.pipes.get(kind)
        if fd is None:
            return False
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return False
        if not data:
            del self.pipes[kind]
            self._forget(fd)
            os.close(fd)
            return False
        if self.is_file and kind == ERR:
            self._complaint = (self._complaint + data)[:8192]
            return True
        self._pass_on(kind, data)
        return True

    def complain(self, words: bytes) -> None:
        """Say something on the job's standard error in its place; it counts as its output."""
        self._pass_on(ERR, words)

    def _pass_on(self, kind: int, data: bytes) -> None:
        which = "value" if kind == VALUE else "output"
        kept = data[: self._room[which]]
        self._room[which] -= len(kept)
        if len(kept) < len(data):
            self.causes.add("output_limit")
        if kept:
            self._send(pack(kind, self.id, kept))

    def drain(self, *kinds: int) -> None:
        """Pass on all that is in these pipes now, for as long as it is within the caps."""
        for kind in kinds:
            while self.pull(kind) and "output_limit" not in self.causes:
                pass

    def finish(self) -> None:
        """Close everything and send END."""
        self.close_input()
        self.drain(OUT, ERR, VALUE)
        for fd in self.pipes.values():
            self._forget(fd)
            os.close(fd)
        self.pipes.clear()
        assert self.wait_status is not None
        number = os.WTERMSIG(self.wait_status) if os.WIFSIGNALED(self.wait_status) else None
        code = os.WEXITSTATUS(self.wait_status) if number is None else None
        if self.cpu_limit_s is not None:
            used = max(self.cpu_s, self._seen_cpu_s)
            # A program can send SIGXCPU to itself, so the time counts.
            if used >= self.cpu_limit_s * (1 - CPU_DOUBT if number == signal.SIGXCPU else 1):
                self.causes.add("cpu_timeout")
        status = next((cause for cause in CAUSES if cause in self.causes), None)
        if status is None:
            status = "signal" if number is not None else "nonzero" if code or self.error else "ok"
        body: dict[str, Any] = {
            "status": status,
            "exit_code": code,
            "signal": number,
            "wall_s": time.monotonic() - self.began,
            "cpu_s": self.cpu_s,
            "left": self.left,
        }
        if self._complaint:
            self.error = _error_of(self._complaint)
        if self.error:
            body["error"] = self.error
        self._send(pack_json(END_FRAME, self.id, body))


def _error_of(complaint: bytes) -> dict[str, Any]:
    import json

    try:
        error = json.loads(complaint)
        return {"errno": error["errno"], "message": error["message"]}
    except (ValueError, KeyError, TypeError):
        return {"errno": None, "message": complaint.decode("utf-8", "replace")}


def _check(body: dict[str, Any]) -> None:
    """Raise FrameError unless a START has what its mode needs; what a program may get wrong is not looked at."""
    mode = body.get("mode")
    if mode not in MODES:
        raise FrameError(f"START: mode {mode!r:.100}")
    needs: dict[str, Any] = {"timeout_s": (int, float, type(None)), "cpu_s": (int, float, type(None))}
    if mode in FILE_MODES:
        needs["path"] = str
        needs[{"write": "permissions", "read": "max_bytes", "list": "max_entries"}[mode]] = int
    else:
        needs.update({"output_bytes": int, "open_files": int, "cwd": str, "env": dict})
    if mode not in ("exec", "python", "write"):
        needs["value_bytes"] = int
    if mode == "exec":
        needs["argv"] = list
    if mode == "python":
        needs["source_bytes"] = int
    if mode == "call":
        needs.update(source_bytes=int, payload_bytes=int, function=str, path=(str, type(None)))
    for name, kind in needs.items():
        value = body.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FrameError(f"START: {name}: {value!r:.100}")
        if isinstance(value, (int, float)) and not 0 <= value < 2**53:
            raise FrameError(f"START: {name}: {value!r}")
    texts = [*body.get("env", {}).values(), *body.get("argv", [])]
    if not all(isinstance(text, str) for text in texts) or body.get("argv", texts) == []:
        raise FrameError("START: argv and env must be texts, and argv not empty")
