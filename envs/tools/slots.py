"""How many answers one process grades at once, whichever environment they are of."""

from __future__ import annotations

import os
import threading

__all__ = ["MOST_AT_ONCE", "grading_slot"]

MOST_AT_ONCE = max(8, 4 * (os.cpu_count() or 1))
"""With 64 answers of Code-v0 at once on two cores each took a minute, and boxes missed heartbeats."""

_lock = threading.Lock()
_slots: dict[int, threading.Semaphore] = {}  # by process: after a fork, the child has its own


def grading_slot() -> threading.Semaphore:
    """Return what is held by `with` while an answer is graded; it waits where `MOST_AT_ONCE` are."""
    with _lock:
        return _slots.setdefault(os.getpid(), threading.Semaphore(MOST_AT_ONCE))
