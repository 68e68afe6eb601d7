"""SIGTERM: what a scheduler sends before it takes a machine away. The run saves where it stands, then ends.

Rollouts are left at once: nothing of them is kept, and a resumed run plays them again, the same. An update is finished
first, since weights in the middle of one belong to no step.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopper", "Terminated"]


class Terminated(SystemExit):
    """The process was asked to end.

    No Exception, so that nothing takes it for a failure of an environment; of the two kinds that asyncio lets through
    from within a task, while it wraps any other in a group.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Stopper:
    """Turns SIGTERM into `Terminated`, at places where a run may be left.

    In a thread that is not the main one signals cannot be caught; nothing is changed there.
    """

    def __init__(self) -> None:
        self._asked = False
        self._may_leave = False
        self._num_shields = 0

    @property
    def asked(self) -> bool:
        """Whether SIGTERM came."""
        return self._asked

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to SIGTERM; what listened before does so again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def may_leave(self) -> Iterator[None]:
        """Say that what is done here can be left at any point.

        Raises:
            Terminated: SIGTERM came, now or before.
        """
        self._may_leave = True
        try:
            self.check()
            yield
        finally:
            self._may_leave = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Put leaving off until the end of this block, where it would leave something half said.

        Raises:
            Terminated: SIGTERM came meanwhile, and here a run may be left.
        """
        self._num_shields += 1
        try:
            yield
        finally:
            self._num_shields -= 1
        if self._asked and self._may_leave:
            self._may_leave = False
            raise Terminated

    def go_on(self) -> None:
        """Take it that who asked was heard: the next place may be entered again."""
        self._asked = False

    def check(self) -> None:
        """Leave if SIGTERM came.

        Raises:
            Terminated: It did.
        """
        if self._asked:
            raise Terminated

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._may_leave and not self._num_shields:
            self._may_leave = False  # once: cleaning up must not be left too
            raise Terminated
