"""Boxes in memory for tests of the pool, and a maker that knows which of them are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.pool.pool import Pool, PoolStats
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["LARGE", "SMALL", "Box", "Maker", "eventually", "pool_of", "unavailable", "until"]

SMALL = SandboxSpec(memory_mb=64).shape()
LARGE = SandboxSpec(memory_mb=128).shape()


@dataclass(eq=False)
class Box:
    """A box without a process; `Maker` counts it as there until it says that it is destroyed."""

    maker: Maker
    shape: SandboxSpec
    number: int
    dirty: str | None = None
    is_alive: bool = True
    users: int = 0
    num_resets: int = 0

    def alive(self) -> bool:
        return self.is_alive

    def reset(self) -> bool:
        assert self.users == 0, "a box was reset while somebody used it"
        self.num_resets += 1
        return self.maker.on_reset(self)

    def destroy(self) -> bool:
        gone = self.maker.on_destroy(self)
        if gone:
            with self.maker.lock:
                self.maker.there.discard(self)
        return gone


@dataclass
class Maker:
    """Makes boxes and knows which of them are there; what fails is set from outside."""

    on_make: Callable[[SandboxSpec], None] = lambda shape: None
    on_reset: Callable[[Box], bool] = lambda box: True
    on_destroy: Callable[[Box], bool] = lambda box: True
    there: set[Box] = field(default_factory=set)
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self, shape: SandboxSpec) -> Box:
        self.on_make(shape)
        with self.lock:
            box = Box(self, shape, next(self.numbers))
            self.there.add(box)
            self.most = max(self.most, len(self.there))
            return box


@contextmanager
def pool_of(maker: Maker, *, gone: bool = True, **options: float) -> Iterator[Pool[Box]]:
    """Open a pool, and see afterwards that it left no box and no thread."""
    pool = Pool(maker, **options)  # type: ignore[arg-type]
    try:
        yield pool
    finally:
        assert pool.close(deadline_s=20.0) is gone
        assert (not maker.there) is gone
        now = pool.stats()
        assert (now.leased, now.warm, now.making, now.resetting, now.destroying) == (0, 0, 0, 0, 0)
        stock = pool._stock
        assert (stock.makers._threads, stock.cleaners._threads, stock.keeper) == (set(), set(), None)


def eventually(pool: Pool[Box], holds: Callable[[PoolStats], bool], seconds: float = 20.0) -> PoolStats:
    """Wait until the numbers are as they should be."""
    ends = time.monotonic() + seconds
    while not holds(now := pool.stats()):
        assert time.monotonic() < ends, now
        time.sleep(0.005)
    return now


def unavailable(shape: SandboxSpec) -> None:
    raise SandboxUnavailable("no engine answers; run `dockerd`")


def until(event: threading.Event) -> Callable[[SandboxSpec], None]:
    """Return a step that waits."""

    def wait(shape: SandboxSpec) -> None:
        event.wait(30)

    return wait
