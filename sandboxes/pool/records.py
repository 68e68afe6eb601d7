"""What the pool keeps: boxes by kind, those who wait, those whose end is not sure; and what it asks of a box."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from agentrl.sandboxes.errors import LimitNotHeld, SandboxUnavailable, SpecError
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["Destroyable", "HalfMade", "Held", "Kind", "Lost", "PoolStats", "Poolable", "Waiter", "again"]


class Destroyable(Protocol):
    """What can be removed."""

    def destroy(self) -> bool:
        """Remove it; False when that was not confirmed. Called again later, it tries again."""


class Poolable(Destroyable, Protocol):
    """What the pool asks of a box. Only `reset` and `destroy` may take time; both have deadlines of their own."""

    @property
    def dirty(self) -> str | None:
        """Why it must not serve another lease; None while it may."""

    def alive(self) -> bool:
        """Say whether it still answers, from what is known already: no round trip, never raises."""

    def reset(self) -> bool:
        """Make it as new, and say whether that was verified. SandboxError and OSError count as no."""


B = TypeVar("B", bound=Poolable)


class HalfMade(SandboxUnavailable):
    """A box could not be made, and what was made of it could not be removed; `left.destroy()` tries again."""

    def __init__(self, message: str, left: Destroyable) -> None:
        super().__init__(message)
        self.left = left


@dataclass(frozen=True, kw_only=True)
class PoolStats:
    """How many boxes there are now, by state, and how many there were."""

    max_boxes: int
    leased: int
    warm: int
    """Ready to be leased."""
    making: int
    resetting: int
    destroying: int
    quarantined: int
    """Slots lost for now: the end of their boxes was not confirmed. Tried again in the background."""
    waiting: int
    """Leases that wait for a box."""
    made: int
    """Boxes made since the pool was opened."""
    reused: int
    """Leases that were served by a box that had served one before."""
    destroyed: int
    """Boxes whose end was confirmed."""
    failed: int
    """Boxes that could not be made."""


@dataclass(eq=False)
class Kind(Generic[B]):
    """All boxes of one shape. Compared by identity, for comparing shapes took most of the time of a lease."""

    shape: SandboxSpec
    used: float = float("-inf")
    """When a box of it was last asked for or given back."""
    total: int = 0
    """Boxes of it that `prewarm` asked for."""
    shelf: list[Held[B]] = field(default_factory=list)
    """Ready, the one that waits longest first."""
    num_asked: int = 0
    num_making: int = 0
    num_resetting: int = 0
    num_leased: int = 0
    num_made: int = 0
    num_failures: int = 0
    """Attempts to make one that failed, since the last that did not."""
    delay_s: float = 0.0
    not_before: float = 0.0
    error: Exception | None = None
    """Why the last attempt to make one failed; None when it did not."""

    def num_missing(self, warm: int) -> int:
        """Return how many more to make, for those who wait, `warm` on the shelf, and `total` in all."""
        ready = len(self.shelf) + self.num_making + self.num_resetting
        return max(self.num_asked + warm - ready, self.total - ready - self.num_leased, 0)

    def worked(self) -> None:
        """Note that one was made."""
        self.num_made += 1
        self.num_failures, self.delay_s, self.not_before, self.error = 0, 0.0, 0.0, None


@dataclass(eq=False)
class Held(Generic[B]):
    """A box of the pool."""

    box: B
    kind: Kind[B]
    since: float
    """When it was put on the shelf."""
    num_leases: int = 0

    def usable(self) -> bool:
        """Say whether it may serve another lease."""
        return self.box.alive() and self.box.dirty is None


@dataclass(eq=False)
class Waiter(Generic[B]):
    """One lease that waits. `told` is set after `held` or `error`."""

    kind: Kind[B]
    since: float = field(default_factory=time.monotonic)
    told: threading.Event = field(default_factory=threading.Event)
    held: Held[B] | None = None
    error: Exception | None = None


@dataclass(eq=False)
class Lost:
    """A box whose end was not confirmed."""

    left: Destroyable
    delay_s: float
    next_try: float
    trying: bool = False


def again(error: Exception) -> Exception:
    """Return the error anew, for each of several threads to raise: one exception carries one traceback."""
    for kind in (SpecError, LimitNotHeld):
        if isinstance(error, kind):
            fresh: Exception = kind(str(error))
            break
    else:
        fresh = SandboxUnavailable(str(error))
    fresh.__cause__ = error
    return fresh
