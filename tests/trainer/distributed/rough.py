"""A rough link: a program that passes frames between two TAP devices, each after a delay, and loses some of them.

What netem does in kernels that have it. Both directions get the same; which frames are lost follows from the seed and
their order alone. Frames are whole: a TAP device takes no offloads, so that the kernel cuts segments and computes
checksums before they come here.

    python rough.py NEAR FAR DELAY_S LOSS SEED

Prints a line once it passes frames; at SIGTERM it prints how many it passed and how many it lost, and ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import struct
import sys
import time
from collections import deque
from typing import Final

__all__ = ["main"]

_TUNSETIFF: Final = 0x400454CA
_TAP: Final = 0x0002
_NO_HEADER: Final = 0x1000
_LONGEST: Final = 65_600  # bytes of a frame


class _Direction:
    """Frames on their way from one device to the other."""

    def __init__(self, source: int, sink: int, *, delay_s: float, loss: float, seed: str) -> None:
        self._source, self._sink, self._delay_s, self._loss = source, sink, delay_s, loss
        self._random = random.Random(seed)
        self._frames: deque[tuple[float, bytes]] = deque()  # when each is due
        self.num_passed = self.num_lost = 0

    def take(self) -> None:
        """Take all frames that are there."""
        while True:
            try:
                frame = os.read(self._source, _LONGEST)
            except BlockingIOError:
                return
            if self._random.random() < self._loss:
                self.num_lost += 1
            else:
                self._frames.append((time.monotonic() + self._delay_s, frame))

    def give(self) -> float | None:
        """Pass on what is due; return when the next one is, None: when nothing is on its way."""
        while self._frames:
            due_s, frame = self._frames[0]
            if due_s > time.monotonic():
                return due_s
            self._frames.popleft()
            os.write(self._sink, frame)
            self.num_passed += 1
        return None


def _opened(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_HEADER))
    return device


def main(near: str, far: str, delay_s: str, loss: str, seed: str) -> None:
    """Pass frames until SIGTERM.

    Args:
        near: A TAP device, of the host whose link is rough.
        far: Another, of the rest.
        delay_s: Of each frame, either way.
        loss: Probability that a frame is lost, either way.
        seed: Of which are.
    """
    ends = {_opened(near): "out", _opened(far): "in"}
    devices = list(ends)
    ways = [
        _Direction(source, sink, delay_s=float(delay_s), loss=float(loss), seed=f"{seed} {ends[source]}")
        for source, sink in (devices, reversed(devices))
    ]
    # A signal in the middle of a frame would lose it: it is read from a pipe, in turn with the frames.
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    _say("passing")
    due: list[float] = []
    while True:
        rest_s = max(0.0, min(due) - time.monotonic()) if due else None
        ready, _, _ = select.select([*devices, woken], [], [], rest_s)
        if woken in ready:
            break
        for way in ways:
            way.take()
        due = [each for way in ways if (each := way.give()) is not None]
    _say(f"{sum(way.num_passed for way in ways)} {sum(way.num_lost for way in ways)}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
