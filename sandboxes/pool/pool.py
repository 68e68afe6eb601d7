"""A bounded number of started boxes, kept warm by shape, handed out in the order of asking.

`take` and `give_back` only move a box from one list to another; making, resetting and destroying happen in background
threads. Leases are served strictly in order: whoever waits longest gets the next slot, and a box of another shape that
idles in it is destroyed. A box whose end was not confirmed is quarantined: its slot is not used again, unless a later
try confirms that the box is gone. After `os.fork` the child's pool is empty and knows nothing of the parent's boxes.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Generic

from agentrl.sandboxes.errors import SandboxBusy, SandboxError, SandboxUnavailable, SpecError
from agentrl.sandboxes.pool.records import B, Destroyable, HalfMade, Kind, Poolable, PoolStats, Waiter
from agentrl.sandboxes.pool.stock import Rules, Stock
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["HalfMade", "Pool", "PoolStats", "Poolable"]


class Pool(Generic[B]):
    """Boxes of any shapes, at most `max_boxes` of them. Safe from several threads."""

    def __init__(
        self,
        make: Callable[[SandboxSpec], B],
        *,
        max_boxes: int = 64,
        warm: int = 2,
        idle_s: float = 120.0,
        makers: int = 4,
    ) -> None:
        """Start nothing yet.

        Args:
            make: Makes a box of a shape; called from up to `makers` background threads at once, with its own deadline.
            max_boxes: Boxes at one moment, whatever their state.
            warm: Boxes to keep ready for each shape that was used within `idle_s`.
            idle_s: Seconds after which a box that nobody took is destroyed.
            makers: Boxes made at one moment.

        Raises:
            SpecError: A number that cannot work.
        """
        for name, value, least in (("max_boxes", max_boxes, 1), ("warm", warm, 0), ("makers", makers, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SpecError(f"{name}={value!r} must be a whole number of at least {least}")
        if not isinstance(idle_s, int | float) or not idle_s > 0:
            raise SpecError(f"idle_s={idle_s!r} must be a number of seconds above 0")
        rules = Rules(max_boxes=max_boxes, warm=warm, idle_s=float(idle_s), makers=makers)
        self._new_stock = partial(Stock[B], make, rules)
        self._stock: Stock[B] = self._new_stock()
        _remember(self)

    def take(self, shape: SandboxSpec, *, wait_s: float) -> B:
        """Return a box that is the caller's until `give_back`.

        Raises:
            SandboxBusy: None became free within `wait_s`.
            SandboxUnavailable: None can be made now: told early if a box of this shape was never made, else at the
                end of `wait_s`, for an engine that worked before may be back by then. Also when the pool is closed.
            SpecError, LimitNotHeld: It can never be made.
        """
        stock = self._stock
        with stock.lock:
            if stock.closed:
                raise SandboxUnavailable("this backend was closed; open another one")
            waiter: Waiter[B] = Waiter(stock.touch(shape))
            waiter.kind.num_asked += 1
            stock.waiters[waiter] = None
            stock.plan()
        try:
            waiter.told.wait(min(max(0.0, wait_s), threading.TIMEOUT_MAX))
        except BaseException:
            # Somebody pressed Ctrl-C: a box that was handed over in that moment must not be lost.
            with stock.lock:
                if waiter in stock.waiters:
                    stock.leave(waiter)
                elif waiter.held is not None and stock.unlease(waiter.held):
                    stock.shelve(waiter.held)
                stock.plan()
            raise
        with stock.lock:
            if waiter.held is not None:
                return waiter.held.box
            if waiter.error is None:
                waiter.error = _too_late(stock, waiter.kind, wait_s)
                stock.leave(waiter)
                stock.plan()
        raise waiter.error

    def give_back(self, box: B) -> None:
        """Take a box back, to be reset or destroyed in the background. One that is not leased from here is ignored."""
        stock = self._stock
        with stock.lock:
            held = stock.leased.get(id(box))
            if held is None:
                return
            stock.unlease(held)
            held.kind.used = time.monotonic()
            if held.usable():
                stock.reset(held)
            else:
                stock.condemn(held)
            stock.plan()

    def quarantine(self, left: Destroyable) -> None:
        """Have something destroyed in the background that resisted, tried again and again; it takes a slot meanwhile.

        Where the pool is closed, nothing is tried.
        """
        stock = self._stock
        with stock.lock:
            if not stock.closed:
                stock.quarantine(left)
                stock.plan()

    def prewarm(self, shape: SandboxSpec, num_boxes: int) -> None:
        """Have boxes made until there are `num_boxes` of this shape, leased ones included; returns at once."""
        stock = self._stock
        with stock.lock:
            if not stock.closed:
                stock.touch(shape).total = num_boxes
                stock.plan()

    def stats(self) -> PoolStats:
        """Return the numbers of this moment."""
        stock = self._stock
        with stock.lock:
            return stock.stats()

    def close(self, *, deadline_s: float = 30.0) -> bool:
        """Destroy every box, leased ones too, fail those who wait, end the threads; idempotent.

        Returns:
            Whether every box's end was confirmed within the deadline.
        """
        stock = self._stock
        ends = time.monotonic() + deadline_s
        with stock.lock:
            stock.closed = True
            for waiter in list(stock.waiters):
                waiter.error = SandboxUnavailable("this backend was closed while the lease waited")
                stock.leave(waiter)
            for held in list(stock.leased.values()):
                stock.unlease(held)
                stock.condemn(held)
            for held in stock.idle():
                stock.discard(held)
            for lost in stock.quarantined:
                stock.try_again(lost)
            stock.tick.notify_all()
            while not stock.all_settled() and (left := ends - time.monotonic()) > 0:
                stock.settled.wait(left)
            gone = stock.all_settled() and not stock.quarantined
            keeper = stock.keeper
        for crew in (stock.makers, stock.cleaners):
            crew.end(max(0.0, ends - time.monotonic()))
        if keeper is not None:
            keeper.join(max(0.0, ends - time.monotonic()))
        return gone

    def _forget(self) -> None:
        # A new lock too: the parent's may be held by a thread that the child does not have.
        closed = self._stock.closed
        self._stock = self._new_stock()
        self._stock.closed = closed


def _too_late(stock: Stock[B], kind: Kind[B], wait_s: float) -> SandboxError:
    if kind.error is not None:
        error = SandboxUnavailable(f"no box could be made within {wait_s:g} s: {kind.error}")
        error.__cause__ = kind.error
        return error
    now = stock.stats()
    return SandboxBusy(
        f"no box became free within {wait_s:g} s: of max_boxes={now.max_boxes}, {now.leased} are leased, "
        f"{now.making} being made, {now.resetting + now.destroying} being cleaned, {now.quarantined} quarantined; "
        f"{now.waiting} leases waited. Close leases sooner, wait longer (wait_s), or open the backend with a larger "
        "max_boxes"
    )


_POOLS: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()
_HOOKED: list[bool] = []


def _remember(pool: Pool[Any]) -> None:
    _POOLS.add(pool)
    if not _HOOKED:
        _HOOKED.append(True)
        os.register_at_fork(after_in_child=_forget_boxes)


def _forget_boxes() -> None:
    for pool in list(_POOLS):
        pool._forget()
