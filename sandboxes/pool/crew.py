"""A few background threads for work that must not hold up whoever leases a box; they end when there is none."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Crew"]

LINGER_S = 5.0


class Crew:
    """At most `most` daemon threads that do what was queued, in order. Work that raises ends its thread only."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._ready = threading.Condition()
        self._queue: deque[Callable[[], None]] = deque()
        self._threads: set[threading.Thread] = set()
        self._num_idle = 0
        self._ending = False

    def submit(self, work: Callable[[], None]) -> None:
        """Queue a piece of work; returns at once."""
        with self._ready:
            self._queue.append(work)
            if self._num_idle >= len(self._queue) or len(self._threads) >= self._most:
                self._ready.notify()
                return
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError:
                # The system has no thread to give, or the interpreter is ending. The work stays queued: the next thread
                # takes it, and a lease that waits for it meets its own deadline.
                self._threads.discard(thread)

    def end(self, deadline_s: float) -> bool:
        """Have the threads end once the queue is empty, and wait for them; say whether all did in time."""
        with self._ready:
            self._ending = True
            self._ready.notify_all()
            threads = list(self._threads)
        ends = time.monotonic() + deadline_s
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                work()
        finally:
            with self._ready:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Callable[[], None] | None:
        with self._ready:
            ends = time.monotonic() + LINGER_S
            while not self._queue:
                left = ends - time.monotonic()
                if self._ending or left <= 0:
                    # Here and not later: `submit` counts this thread until the lock is free.
                    self._threads.discard(threading.current_thread())
                    return None
                self._num_idle += 1
                try:
                    self._ready.wait(left)
                finally:
                    self._num_idle -= 1
            return self._queue.popleft()
