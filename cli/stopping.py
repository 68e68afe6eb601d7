"""Ctrl-C and SIGTERM of a command that keeps what it did: the first asks it to end, the second ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Self

__all__ = ["Stop"]


class Stop:
    """Listens to SIGINT and SIGTERM; a context manager, for the main thread. In another thread it hears nothing.

    While `is_patient` is False, as in the beginning, a signal raises KeyboardInterrupt. While it is True the first one
    prints a line and sets `signal`, which whoever works looks at; the second raises.

    Args:
        said: The line.
    """

    def __init__(self, said: str) -> None:
        self.signal = 0
        self.is_patient = False
        self._said = said
        self._before: dict[int, object] = {}

    @property
    def status(self) -> int:
        """The exit status that says what ended the command, as a shell has it."""
        return 128 + (self.signal or signal.SIGINT)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as it was given
        self._before.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        was_asked, self.signal = bool(self.signal), self.signal or number
        if was_asked or not self.is_patient:
            raise KeyboardInterrupt
        print(f"\n{self._said}", file=sys.stderr, flush=True)
