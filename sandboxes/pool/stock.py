"""The pool's books: which box is where, who waits, and what the background threads do about it.

Public methods are called with `lock` held; the `_one` methods and `_keep` run in background threads. After every change
somebody calls `plan`, which alone decides: who waits is served in order, then shelves are refilled.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic

from agentrl.sandboxes.errors import LimitNotHeld, SandboxError, SandboxUnavailable, SpecError
from agentrl.sandboxes.pool.crew import Crew
from agentrl.sandboxes.pool.records import B, Destroyable, HalfMade, Held, Kind, Lost, PoolStats, Waiter, again
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["Rules", "Stock"]

# An engine that is back is noticed by the first of these tries that succeeds, which brings all others forward.
RETRY_LEAST_S, RETRY_MOST_S = 0.1, 2.0
CONFIRM_LEAST_S, CONFIRM_MOST_S = 0.5, 5.0
LOOK_S = 1.0  # how often waiting boxes are asked whether they live
CLEANERS = 8
HOPELESS = 3  # boxes in a row that died at their start, of a shape that never worked


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the pool was opened with; see `Pool`."""

    max_boxes: int
    warm: int
    idle_s: float
    makers: int


class Stock(Generic[B]):
    """All boxes of one pool in one process."""

    def __init__(self, make: Callable[[SandboxSpec], B], rules: Rules) -> None:
        self._make = make
        self._rules = rules
        self.lock = threading.Lock()
        self.tick = threading.Condition(self.lock)
        self.settled = threading.Condition(self.lock)
        self.closed = False
        self.waiters: dict[Waiter[B], None] = {}
        self.kinds: dict[SandboxSpec, Kind[B]] = {}
        self.leased: dict[int, Held[B]] = {}
        self.num_destroying = 0
        self.quarantined: list[Lost] = []
        self.num: Counter[str] = Counter()
        self.makers = Crew("sandbox-maker", rules.makers)
        self.cleaners = Crew("sandbox-cleaner", CLEANERS)
        self.keeper: threading.Thread | None = None
        self._next_look = 0.0

    def touch(self, shape: SandboxSpec) -> Kind[B]:
        """Note that somebody asks for a shape; return what is known of it."""
        kind = self.kinds.get(shape)
        if kind is None:
            kind = self.kinds[shape] = Kind(shape)
        kind.used = time.monotonic()
        return kind

    def plan(self) -> None:
        """Serve who waits, in order; then make what is missing on the shelf; see to it that somebody looks again."""
        if self.closed:
            self.settled.notify_all()
            return
        if self._serve():
            self._refill()
        if self.keeper is None and (self.kinds or self.quarantined):
            self.keeper = threading.Thread(target=self._keep, name="sandbox-keeper", daemon=True)
            try:
                self.keeper.start()
            except RuntimeError:
                self.keeper = None  # no thread to be had just now; the next call tries again
        elif self._next_look > time.monotonic() + LOOK_S and any(kind.shelf for kind in self.kinds.values()):
            self.tick.notify_all()

    def _serve(self) -> bool:
        """Give each waiter a box, or count it against one that is coming; say whether slots may be left over."""
        coming = {kind: kind.num_making + kind.num_resetting for kind in self.kinds.values()}
        num_freeing = self.num_destroying
        now = time.monotonic()
        for waiter in list(self.waiters):
            kind = waiter.kind
            if self._hand_over(waiter):
                continue
            if coming[kind] > 0:
                coming[kind] -= 1
            elif now < kind.not_before:
                continue
            elif self._num_free() > 0:
                self._begin(kind)
            elif num_freeing > 0:
                num_freeing -= 1
            elif idle := self.idle():
                # Rather one that nobody waits for.
                self.discard(min(idle, key=lambda held: (held.kind.num_asked > 0, held.since)))
            else:
                return False
        return True

    def _refill(self) -> None:
        now = time.monotonic()
        for kind in sorted(self.kinds.values(), key=lambda kind: -kind.used):
            if now >= kind.not_before and self._active(kind, now):
                for _ in range(min(kind.num_missing(self._rules.warm), self._num_free())):
                    self._begin(kind)

    def _active(self, kind: Kind[B], now: float) -> bool:
        return kind.used + self._rules.idle_s > now or kind.num_asked > 0

    def _hand_over(self, waiter: Waiter[B]) -> bool:
        shelf = waiter.kind.shelf
        while shelf:
            # The one that was used last: its memory is in the caches, and those below it may expire.
            held = shelf[-1]
            if not held.usable():
                self.discard(held)
                continue
            shelf.pop()
            self.num["reused"] += held.num_leases > 0
            held.num_leases += 1
            self.leased[id(held.box)] = held
            held.kind.num_leased += 1
            waiter.held = held
            self.leave(waiter)
            return True
        return False

    def leave(self, waiter: Waiter[B]) -> None:
        """Take a waiter out of the queue, and wake it."""
        del self.waiters[waiter]
        waiter.kind.num_asked -= 1
        waiter.told.set()

    def unlease(self, held: Held[B]) -> bool:
        """Note that nobody has it any more; False when that was known."""
        if self.leased.pop(id(held.box), None) is None:
            return False
        held.kind.num_leased -= 1
        return True

    def reset(self, held: Held[B]) -> None:
        """Have it made as new, and put on the shelf."""
        held.kind.num_resetting += 1
        self.cleaners.submit(partial(self._reset_one, held))

    def _begin(self, kind: Kind[B]) -> None:
        kind.num_making += 1
        self.makers.submit(partial(self._make_one, kind))

    def discard(self, held: Held[B]) -> None:
        """Take a box off the shelf and have it destroyed."""
        held.kind.shelf.remove(held)
        self.condemn(held)

    def condemn(self, held: Held[B]) -> None:
        """Have a box destroyed that is on no shelf."""
        self.num_destroying += 1
        self.cleaners.submit(partial(self._destroy_one, held.box))

    def shelve(self, held: Held[B]) -> None:
        """Put a box that is as new on the shelf; destroy it where the pool is closed."""
        if self.closed:
            self.condemn(held)
        else:
            held.since = time.monotonic()
            held.kind.shelf.append(held)

    def _make_one(self, kind: Kind[B]) -> None:
        with self.lock:
            kind.num_making -= 1
            if self.closed or not kind.num_missing(self._rules.warm):
                self.plan()  # whoever it was for has a box that came back, or gave up
                return
            kind.num_making += 1
            began = time.monotonic()
        try:
            box = self._make(kind.shape)
        except Exception as error:
            with self.lock:
                kind.num_making -= 1
                self.num["failed"] += 1
                self._not_made(kind, error, began)
                self.plan()
        else:
            with self.lock:
                kind.num_making -= 1
                self.num["made"] += 1
                if kind.num_failures:
                    self._engine_is_back()
                kind.worked()
                self.shelve(Held(box, kind, time.monotonic()))
                self.plan()

    def _not_made(self, kind: Kind[B], error: Exception, began: float) -> None:
        if isinstance(error, HalfMade):
            self.quarantine(error.left)
        if not isinstance(error, SandboxError | OSError):
            wrapped = SandboxUnavailable(f"a box could not be made: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            error = wrapped
        never = isinstance(error, SpecError | LimitNotHeld)
        kind.num_failures += 1
        hopeless = isinstance(error, SandboxUnavailable) or kind.num_failures >= HOPELESS
        if never or (hopeless and not kind.num_made):
            # A try from before somebody asked says nothing of what there is now.
            for waiter in [each for each in self.waiters if each.kind is kind and (never or each.since <= began)]:
                waiter.error = again(error)
                self.leave(waiter)
        if never:
            kind.used, kind.total = float("-inf"), 0  # nothing is kept ready of what cannot be
            return
        kind.delay_s = min(max(RETRY_LEAST_S, kind.delay_s * 2), RETRY_MOST_S)
        kind.not_before = time.monotonic() + kind.delay_s
        kind.error = error
        self.tick.notify_all()

    def _reset_one(self, held: Held[B]) -> None:
        clean = False
        try:
            clean = held.box.reset() and held.usable()
        except (SandboxError, OSError):
            clean = False
        finally:
            with self.lock:
                held.kind.num_resetting -= 1
                (self.shelve if clean else self.condemn)(held)
                self.plan()

    def _destroy_one(self, box: B) -> None:
        gone = False
        try:
            gone = box.destroy()
        except (SandboxError, OSError):
            gone = False
        finally:
            with self.lock:
                self.num_destroying -= 1
                self.num["destroyed"] += gone
                if not gone:
                    self.quarantine(box)
                self.plan()

    def quarantine(self, left: Destroyable) -> None:
        """Keep a slot taken until a later try confirms that what holds it is gone."""
        self.quarantined.append(Lost(left, CONFIRM_LEAST_S, time.monotonic() + CONFIRM_LEAST_S))
        self.tick.notify_all()

    def try_again(self, lost: Lost) -> None:
        """Have the end of a quarantined box confirmed after all, unless that is being tried."""
        if not lost.trying:
            lost.trying = True
            self.cleaners.submit(partial(self._confirm_one, lost))

    def _confirm_one(self, lost: Lost) -> None:
        gone = False
        try:
            gone = lost.left.destroy()
        except (SandboxError, OSError):
            gone = False
        finally:
            with self.lock:
                lost.trying = False
                lost.delay_s = min(lost.delay_s * 2, CONFIRM_MOST_S)
                lost.next_try = time.monotonic() + lost.delay_s
                if gone:
                    self.quarantined.remove(lost)
                    self.num["destroyed"] += 1
                    self._engine_is_back()
                self.plan()
                self.tick.notify_all()

    def _engine_is_back(self) -> None:
        """Try at once what failed while it was away, whatever the pauses had grown to."""
        now = time.monotonic()
        for lost in self.quarantined:
            lost.delay_s, lost.next_try = CONFIRM_LEAST_S, now
        for kind in self.kinds.values():
            kind.delay_s, kind.not_before = 0.0, now
        self.tick.notify_all()

    def _keep(self) -> None:
        with self.lock:
            try:
                while (pause := self._tend()) is not None:
                    self._next_look = time.monotonic() + pause
                    self.tick.wait(pause)
            finally:
                if self.keeper is threading.current_thread():
                    self.keeper = None

    def _tend(self) -> float | None:
        """Remove what is dead or idle, try again what failed; return the seconds to the next look, None for never."""
        if self.closed:
            return None
        now = time.monotonic()
        for kind in list(self.kinds.values()):
            active = self._active(kind, now)
            num_kept = max(self._rules.warm, kind.total) if active else 0
            for held in [each for each in kind.shelf if not each.usable()]:
                self.discard(held)
            for held in kind.shelf[: max(0, len(kind.shelf) - num_kept)]:
                if held.since + self._rules.idle_s <= now:
                    self.discard(held)
            if not active and not kind.shelf and not kind.num_making + kind.num_resetting + kind.num_leased:
                del self.kinds[kind.shape]
        for lost in self.quarantined:
            if lost.next_try <= now:
                self.try_again(lost)
        self.plan()
        times = [lost.next_try for lost in self.quarantined if not lost.trying]
        for kind in self.kinds.values():
            times += [now + LOOK_S] * bool(kind.shelf)
            times += [kind.used + self._rules.idle_s, kind.not_before]
            times += [held.since + self._rules.idle_s for held in kind.shelf]
        times = [each for each in times if each > now]
        return min(times) - now if times else None

    def idle(self) -> list[Held[B]]:
        """Return the boxes on the shelves."""
        return [held for kind in self.kinds.values() for held in kind.shelf]

    def _num_coming(self) -> int:
        return sum(kind.num_making + kind.num_resetting for kind in self.kinds.values())

    def _num_free(self) -> int:
        num_used = len(self.leased) + self.num_destroying + len(self.quarantined)
        for kind in self.kinds.values():
            num_used += len(kind.shelf) + kind.num_making + kind.num_resetting
        return self._rules.max_boxes - num_used

    def all_settled(self) -> bool:
        """Say whether no background thread is at work on a box."""
        return not self.num_destroying + self._num_coming() + sum(lost.trying for lost in self.quarantined)

    def stats(self) -> PoolStats:
        """Return the numbers of now."""
        return PoolStats(
            max_boxes=self._rules.max_boxes,
            leased=len(self.leased),
            warm=len(self.idle()),
            making=sum(kind.num_making for kind in self.kinds.values()),
            resetting=sum(kind.num_resetting for kind in self.kinds.values()),
            destroying=self.num_destroying,
            quarantined=len(self.quarantined),
            waiting=len(self.waiters),
            made=self.num["made"],
            reused=self.num["reused"],
            destroyed=self.num["destroyed"],
            failed=self.num["failed"],
        )
