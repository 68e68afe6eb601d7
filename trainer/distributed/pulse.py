"""Signs of life: every rank gives one a second, and learns within a deadline that another has failed, and why.

Rank 0 keeps a store that all reach. A rank that fails writes its reason there; of one that was killed or cut off rank 0
misses the signs, and the others miss those of rank 0. Whoever waits is told (`check`); a rank that is stuck inside a
collective operation, which nothing interrupts, is ended after a grace, its reason on standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from agentrl.trainer.errors import RankError

__all__ = ["FAILED", "STATUS", "Pulse"]

STATUS: Final = 70
"""Exit status of a rank that was stuck when another failed: EX_SOFTWARE of sysexits.h."""

FAILED: Final = "failed"
"""Where the store keeps why the run fails; the first reason stays."""

_LEFT: Final = "left"  # where it keeps which command rank 0 has left
_GRACE_S: Final = 5.0
_END_S: Final = 5.0  # that a question to the store has to be answered when all is over
_LOOK_S: Final = 0.1


class Pulse:
    """Beats until it is closed.

    Args:
        store: Of this thread alone.
        rank: This one's.
        names: How each rank is called in messages.
        timeout_s: A rank without a sign of life for so long has failed.
        asked: Told which command rank 0 has left, where this is another.
    """

    def __init__(
        self, store: TCPStore, rank: int, names: Sequence[str], timeout_s: float, asked: Callable[[str], None]
    ) -> None:
        self._store, self._rank, self._names = store, rank, names
        self.timeout_s = timeout_s
        """May be changed while it beats."""
        self._asked, self._heard = asked, ""
        self.reason = ""
        """Why the run fails; empty while it does not."""
        self._closed = threading.Event()
        self._last_s = time.monotonic()  # when the store answered last
        self._threads = [
            threading.Thread(target=work, name="agentrl-pulse", daemon=True) for work in (self._beat, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raise what is known.

        Raises:
            RankError: A rank has failed, or does not answer.
        """
        if self.reason:
            raise RankError(self.reason)

    def wait(self) -> str:
        """Return why the run fails, once that is known or the deadline is over; empty if nobody has failed."""
        stop = time.monotonic() + self.timeout_s + 2 * _GRACE_S
        while not self.reason and time.monotonic() < stop and not self._closed.is_set():
            time.sleep(_LOOK_S)
        return self.reason

    def close(self) -> None:
        """Stop; may be called twice."""
        self._closed.set()
        # A thread that is inside the store when the interpreter ends aborts the process ("terminate called without an
        # active exception"); on a slow link it nearly always is.
        stop = time.monotonic() + _END_S
        for thread in self._threads:
            thread.join(max(0.0, stop - time.monotonic()))

    # -- in threads ----------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        others = range(1, len(self._names)) if self._rank == 0 else range(1)
        keys = [FAILED, _LEFT, *(f"alive/{other}" for other in others)]
        are_there = False
        seen = {other: ("", time.monotonic()) for other in others}
        count = 0
        while not self._closed.wait(min(1.0, self.timeout_s / 10)):
            count += 1
            try:
                self._store.set(f"alive/{self._rank}", str(count))
                if not are_there:  # so that all are read at once: on a slow link each question costs
                    for key in keys:
                        self._store.compare_set(key, "", "")
                    are_there = True
                reason, left, *signs = [value.decode() for value in self._store.multi_get(keys)]
                if reason:
                    self._note(reason)
                    self._store.set(f"seen/{self._rank}", "1")
                for other, sign in zip(others, signs, strict=True):
                    if sign != seen[other][0]:
                        seen[other] = sign, time.monotonic()
                    elif time.monotonic() - seen[other][1] > self.timeout_s:
                        self._note(self._silent(other))
                if self._rank and left != self._heard:
                    self._heard = left
                    self._asked(left)
            except Exception as error:  # the store's own kinds; rank 0 is gone, or about to say so
                if self._rank == 0:
                    self._note(f"rank 0's own store failed: {error}")
                elif (
                    time.monotonic() - self._last_s > self.timeout_s or "reset" in str(error) or "closed" in str(error)
                ):
                    self._note(self._silent(0))
                continue
            self._last_s = time.monotonic()

    def _watch(self) -> None:
        failed_s = 0.0
        while not self._closed.wait(_LOOK_S):
            if not self.reason and time.monotonic() - self._last_s > self.timeout_s + 2.0:
                self._note(self._silent(0) if self._rank else "rank 0 cannot reach its own store")
            failed_s = failed_s + _LOOK_S if self.reason else 0.0
            if failed_s > _GRACE_S:
                with contextlib.suppress(OSError):
                    sys.stderr.write(f"\nagentrl: {self._names[self._rank]}: {self.reason}\n")
                    sys.stderr.flush()
                os._exit(STATUS)

    def _silent(self, other: int) -> str:
        return (
            f"{self._names[other]} has given no sign of life to {self._names[self._rank]} for "
            f"{self.timeout_s:g} s (distributed.timeout_s): it was killed, or its link is cut"
        )

    def _note(self, reason: str) -> None:
        if self.reason:
            return
        self.reason = reason
        if self._rank == 0:
            with contextlib.suppress(Exception):
                self._store.compare_set(FAILED, "", reason)
