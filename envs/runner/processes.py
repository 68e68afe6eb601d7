"""Environments in worker processes: several cores, and a crash or a hang that can be ended.

A process hosts several slots, a thread for each. One that dies takes the episodes of its slots along, each of which
becomes a failure; one in which a slot hangs takes no new episodes, and is ended when the last of its slots has left.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from typing import Any

from agentrl.envs.protocol import Failure
from agentrl.envs.runner.child import READY
from agentrl.envs.runner.link import Frames, pack, start_worker
from agentrl.envs.runner.seat import Command, failed

__all__ = ["Processes"]

_START_S = 120.0  # to start an interpreter and import the environment, on a busy machine
_LEAVE_S = 15.0  # to close environments and the boxes that they hold
_LEAVE_HANGING_S = 2.0  # the same, where one hangs


class _Worker:
    """Our side of one process."""

    def __init__(self, hello: bytes) -> None:
        self.process, self.link = start_worker()
        self.frames = Frames()
        self.unsent = bytearray(hello)
        self.slots: set[int] = set()  # whose environments are here
        self.waiting: dict[int, Command] = {}  # by slot: what it was told and has not answered
        self.started_at = time.monotonic()
        self.ready_at: float | None = None
        self.alive = True
        self.retired = False  # takes no new episodes
        self.leave_by = 0.0

    def flush(self) -> None:
        """Send what the socket takes now."""
        with contextlib.suppress(BlockingIOError, ConnectionError):  # its end is noticed by reading
            while self.unsent:
                del self.unsent[: self.link.send(self.unsent)]

    def end(self) -> None:
        """Kill the process and all that it started, unless it has ended by itself; let go of the socket."""
        if self.process.returncode is None:  # so its number still is its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.link.close()


class Processes:
    """Worker processes, started at the first reset of one of their slots.

    Args:
        recipe: What a worker makes environments of: an `EnvSpec` and the arguments.
        num_workers: How many processes share the slots.
    """

    def __init__(self, recipe: object, num_workers: int) -> None:
        self._hello = pack(recipe)
        self._desks: list[_Worker | None] = [None] * num_workers  # the worker that takes new episodes of its slots
        self._homes: dict[int, _Worker] = {}
        self._leaving: list[_Worker] = []
        self._late: list[Any] = []  # replies that need no process
        self._posted: deque[object] = deque()
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        for end in (self._bell, self._ring):
            end.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that are not on their way out."""
        return tuple(worker.process.pid for worker in self._desks if worker is not None and worker.alive)

    @property
    def num_hanging(self) -> int:
        """Processes with an environment that hangs, kept for the episodes that go on in them."""
        return len({id(worker) for worker in self._homes.values() if worker.retired})

    def send(self, command: Command) -> None:
        """Start a command."""
        worker = self._homes.get(command.slot)
        if command.is_reset:
            try:
                worker = self._place(command.slot, worker)
            except OSError as error:
                failure: Failure = {"kind": "unavailable", "boundary": "worker", "message": f"no process: {error}"}
                self._late.append(failed(command, failure))
                return
        assert worker is not None
        if not worker.alive:
            self._late.append(failed(command, _death(worker)))
            return
        worker.unsent += pack(command)
        worker.waiting[command.slot] = command
        self._flush(worker)

    def receive(self, timeout_s: float) -> list[Any]:
        """Return replies, and what was posted; wait at most so long for the first sign of life."""
        self._reap()
        found, self._late = self._late, []
        for key, mask in self._selector.select(0.0 if found or self._posted else max(0.0, timeout_s)):
            worker: _Worker | None = key.data
            if worker is None:
                with contextlib.suppress(BlockingIOError):
                    while self._bell.recv(4096):
                        pass
                continue
            if mask & selectors.EVENT_WRITE:
                self._flush(worker)
            if mask & selectors.EVENT_READ:
                found += self._read(worker)
        while self._posted:
            found.append(self._posted.popleft())
        return found

    def post(self, item: object) -> None:
        """Let `receive` return an item; may be called from any thread."""
        self._posted.append(item)
        with contextlib.suppress(OSError):  # it rings already, or all is closed
            self._ring.send(b"\0")

    def begun(self, slot: int, sent_at: float) -> float:
        """Return when the time of a command began to count: not before its process was ready, if that comes in time."""
        worker = self._homes.get(slot)
        if worker is None:
            return sent_at
        return max(sent_at, worker.started_at + _START_S if worker.ready_at is None else worker.ready_at)

    def drop(self, slot: int) -> None:
        """Give up the environment of a slot, which hangs; the next reset makes another in a fresh process."""
        worker = self._homes[slot]
        worker.retired = True
        self._move_out(slot, worker)

    def close(self, timeout_s: float) -> None:
        """Close all environments and end all processes; those that need longer are killed."""
        workers = {id(worker): worker for worker in (*self._homes.values(), *self._desks) if worker is not None}
        self._homes.clear()
        self._desks = [None] * len(self._desks)
        for worker in workers.values():
            self._dismiss(worker)
        stop = time.monotonic() + timeout_s
        for worker in self._leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, min(stop, worker.leave_by) - time.monotonic()))
            worker.end()
        self._leaving.clear()
        for end in (self._bell, self._ring, self._selector):
            end.close()

    def _place(self, slot: int, home: _Worker | None) -> _Worker:
        """Return the worker for a slot's next episode."""
        if home is not None and home.alive and not home.retired:
            return home
        if home is not None:
            self._move_out(slot, home)
        number = slot % len(self._desks)
        worker = self._desks[number]
        if worker is None or not worker.alive or worker.retired:
            worker = self._desks[number] = _Worker(self._hello)
            self._selector.register(worker.link, selectors.EVENT_READ, worker)
        worker.slots.add(slot)
        self._homes[slot] = worker
        return worker

    def _move_out(self, slot: int, worker: _Worker) -> None:
        self._homes.pop(slot, None)
        worker.slots.discard(slot)
        worker.waiting.pop(slot, None)
        if worker.retired and not worker.slots:
            self._dismiss(worker)

    def _flush(self, worker: _Worker) -> None:
        worker.flush()
        if worker.alive:
            write = selectors.EVENT_WRITE if worker.unsent else 0
            self._selector.modify(worker.link, selectors.EVENT_READ | write, worker)

    def _read(self, worker: _Worker) -> list[Any]:
        try:
            data = worker.link.recv(1 << 20)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:
            return self._bury(worker)
        found = []
        for item in worker.frames.feed(data):
            if item == READY:
                worker.ready_at = time.monotonic()
            elif worker.waiting.get(item.slot, item).ticket == item.ticket:
                worker.waiting.pop(item.slot, None)
                found.append(item)
        return found

    def _bury(self, worker: _Worker) -> list[Any]:
        """Return the failures of all that a dead process was about to do."""
        self._unplug(worker)
        worker.end()
        replies = [failed(command, _death(worker)) for command in worker.waiting.values()]
        worker.waiting.clear()
        return replies

    def _unplug(self, worker: _Worker) -> None:
        if worker.alive:
            worker.alive = False
            self._selector.unregister(worker.link)
            with contextlib.suppress(OSError):
                worker.link.shutdown(socket.SHUT_RDWR)  # the child sees the end, and closes what it holds

    def _dismiss(self, worker: _Worker) -> None:
        self._unplug(worker)
        worker.leave_by = time.monotonic() + (_LEAVE_HANGING_S if worker.retired else _LEAVE_S)
        self._leaving.append(worker)

    def _reap(self) -> None:
        for worker in list(self._leaving):
            if worker.process.poll() is not None or time.monotonic() > worker.leave_by:
                worker.end()
                self._leaving.remove(worker)


def _death(worker: _Worker) -> Failure:
    status = worker.process.returncode
    how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    return {"kind": "died", "boundary": "worker", "message": f"the worker process {worker.process.pid} {how}"}
