"""The pool when making, resetting and destroying fail: typed errors, quarantine, recovery; also under many threads."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from agentrl.sandboxes.errors import LimitNotHeld, SandboxBusy, SandboxDied, SandboxError, SandboxUnavailable
from agentrl.sandboxes.pool.pool import HalfMade
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.pool.maker import LARGE, SMALL, Box, Maker, eventually, pool_of, unavailable, until


def test_a_spec_that_cannot_be_fails_at_once_and_is_tried_anew() -> None:
    tries: list[SandboxSpec] = []

    def refuse(shape: SandboxSpec) -> None:
        tries.append(shape)
        raise LimitNotHeld("disk_mb cannot be held here")

    with pool_of(Maker(on_make=refuse), max_boxes=4, warm=2) as pool:
        for _ in range(3):
            with pytest.raises(LimitNotHeld, match="disk_mb"):
                pool.take(SMALL, wait_s=30)
        eventually(pool, lambda now: now.making == 0 and now.failed == len(tries))  # the refill may be under way
        assert len(tries) <= 12


def test_no_engine_from_the_start_is_told_at_once() -> None:
    maker = Maker(on_make=unavailable)
    with pool_of(maker, max_boxes=4, warm=1) as pool:
        began = time.monotonic()
        with pytest.raises(SandboxUnavailable, match="run `dockerd`"):
            pool.take(SMALL, wait_s=60)
        assert time.monotonic() - began < 30
        maker.on_make = lambda shape: None
        assert pool.take(SMALL, wait_s=30)


def test_a_try_from_before_somebody_asked_does_not_turn_them_away() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(shape: SandboxSpec) -> None:
        begun.set()
        go.wait(30)
        raise SandboxUnavailable("no engine answers; run `dockerd`")

    maker = Maker(on_make=slow)
    # One box at most: no other try begins before this one has ended.
    with pool_of(maker, max_boxes=1, warm=1) as pool, ThreadPoolExecutor(1) as executor:
        pool.prewarm(SMALL, 1)
        assert begun.wait(30)
        maker.on_make = lambda shape: None
        taken = executor.submit(pool.take, SMALL, wait_s=30)
        eventually(pool, lambda now: now.waiting == 1)
        go.set()
        assert taken.result(30)


def test_boxes_that_die_at_their_start_are_told_before_the_wait_is_over() -> None:
    def die(shape: SandboxSpec) -> None:
        raise SandboxDied("the worker did not come up")

    maker = Maker(on_make=die)
    with pool_of(maker, max_boxes=4, warm=0) as pool:
        began = time.monotonic()
        with pytest.raises(SandboxUnavailable, match="did not come up"):
            pool.take(SMALL, wait_s=60)
        assert time.monotonic() - began < 30
        assert pool.stats().failed >= 3


def test_an_engine_that_worked_may_come_back_within_the_wait() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=2, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)
        maker.on_make = unavailable
        began = time.monotonic()
        with pytest.raises(SandboxUnavailable, match=r"no box could be made within 0\.5 s: no engine"):
            pool.take(SMALL, wait_s=0.5)
        assert 0.5 <= time.monotonic() - began < 30
        timer = threading.Timer(0.3, lambda: setattr(maker, "on_make", lambda shape: None))
        timer.start()
        assert pool.take(SMALL, wait_s=30) is not box
        timer.join()
        assert pool.stats().failed >= 2


def test_the_shelf_is_filled_again_by_itself_when_the_engine_is_back() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=4, warm=2) as pool:
        pool.prewarm(SMALL, 2)
        eventually(pool, lambda now: now.warm == 2)
        maker.on_make, maker.on_destroy = unavailable, lambda box: False
        for box in list(maker.there):
            box.is_alive = False
        eventually(pool, lambda now: now.quarantined == 2 and now.failed > 1)
        maker.on_make, maker.on_destroy = lambda shape: None, lambda box: True
        eventually(pool, lambda now: now.quarantined == 0 and now.warm == 2)


def test_a_strange_error_of_the_maker_is_typed_and_loses_no_slot() -> None:
    def broken(shape: SandboxSpec) -> None:
        raise KeyError("Id")

    maker = Maker(on_make=broken)
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        with pytest.raises(SandboxUnavailable, match="KeyError: 'Id'"):
            pool.take(SMALL, wait_s=30)
        maker.on_make = lambda shape: None
        assert pool.take(SMALL, wait_s=30)


def test_a_maker_that_hangs_does_not_hold_the_lease_beyond_its_wait() -> None:
    go = threading.Event()
    maker = Maker(on_make=until(go))
    with pool_of(maker, max_boxes=2, warm=0) as pool:
        with pytest.raises(SandboxBusy, match="1 being made"):
            pool.take(SMALL, wait_s=0.2)
        go.set()


def test_an_unconfirmed_end_keeps_its_slot() -> None:
    maker = Maker(on_destroy=lambda box: False)
    with pool_of(maker, gone=False, max_boxes=2, warm=0) as pool:
        for expected in (1, 2):
            box = pool.take(SMALL, wait_s=10)
            box.dirty = "timeout"
            pool.give_back(box)
            eventually(pool, lambda now, expected=expected: now.quarantined == expected)  # type: ignore[misc]
        with pytest.raises(SandboxBusy, match="2 quarantined"):
            pool.take(SMALL, wait_s=1.5)
        assert maker.most == 2
        assert pool.stats().destroyed == 0


def test_a_later_confirmation_frees_the_slot() -> None:
    maker = Maker(on_destroy=lambda box: False)
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)
        box.dirty = "timeout"
        pool.give_back(box)
        eventually(pool, lambda now: now.quarantined == 1)
        maker.on_destroy = lambda box: True
        assert pool.take(SMALL, wait_s=30) is not box
        assert pool.stats().destroyed == 1


def test_what_is_handed_over_to_be_destroyed_takes_a_slot_until_it_is_gone() -> None:
    maker = Maker(on_destroy=lambda box: False)
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        pool.quarantine(maker(LARGE))
        assert pool.stats().quarantined == 1
        with pytest.raises(SandboxBusy, match="1 quarantined"):
            pool.take(SMALL, wait_s=0.1)
        maker.on_destroy = lambda box: True
        assert pool.take(SMALL, wait_s=30)
        assert maker.most == 1


def test_what_was_half_made_and_could_not_be_removed_keeps_its_slot() -> None:
    maker = Maker(on_destroy=lambda box: False)

    def half(shape: SandboxSpec) -> None:
        maker.on_make = lambda shape: None
        raise HalfMade("create timed out", maker(shape))

    maker.on_make = half
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        with pytest.raises(SandboxUnavailable, match="create timed out"):
            pool.take(SMALL, wait_s=10)
        assert pool.stats().quarantined == 1
        with pytest.raises(SandboxError):
            pool.take(SMALL, wait_s=0.5)
        maker.on_destroy = lambda box: True
        assert pool.take(SMALL, wait_s=30)
        assert maker.most == 1


@pytest.mark.parametrize("seed", range(3))
def test_many_threads_lose_no_lease_and_never_exceed_the_bound(seed: int) -> None:
    """64 threads, 5,000 leases, three shapes, failures of every kind; each lease ends with a box or a typed error."""
    chance = random.Random(seed)
    guard = threading.Lock()
    shapes = [SMALL, LARGE, SandboxSpec(cpus=2.0).shape()]

    def happens(share: float) -> bool:
        with guard:
            return chance.random() < share

    def make(shape: SandboxSpec) -> None:
        if happens(0.05):
            raise SandboxUnavailable("the engine refused")
        if happens(0.05):
            raise OSError("too many open files")

    num_unsure = count()
    maker = Maker(
        on_make=make,
        on_reset=lambda box: not happens(0.05),
        on_destroy=lambda box: not (happens(0.02) and next(num_unsure) < 6),
    )
    outcomes: Counter[str] = Counter()
    orders: list[int] = []
    with pool_of(maker, max_boxes=16, warm=2) as pool:

        def one(number: int) -> None:
            try:
                box = pool.take(shapes[number % 16 % 3], wait_s=120)
            except SandboxError as error:
                with guard:
                    outcomes[type(error).__name__] += 1
                return
            with guard:
                box.users += 1
                assert box.users == 1, "two leases have one box"
                assert box in maker.there
                assert box.shape == shapes[number % 16 % 3]
                box.dirty = "timeout" if chance.random() < 0.05 else None
                box.is_alive = chance.random() > 0.02
                outcomes["served"] += 1
            time.sleep(0)
            with guard:
                box.users -= 1
            pool.give_back(box)

        with ThreadPoolExecutor(64) as threads:
            for each in [threads.submit(one, number) for number in range(5000)]:
                each.result(240)
        orders.append(pool.stats().reused)
        assert pool.stats().leased == pool.stats().waiting == 0
        assert pool.stats().max_boxes == 16
    assert maker.most <= 16
    assert outcomes.total() == 5000
    assert set(outcomes) <= {"served", "SandboxUnavailable"}
    assert outcomes["served"] > 4500
    assert orders[0] > 1000


def test_waiting_leases_and_quarantined_slots_never_exceed_the_bound() -> None:
    """Half of the slots are lost for good; the rest serve everybody."""
    lost: set[int] = set()

    def destroy(box: Box) -> bool:
        if len(lost) < 4:
            lost.add(box.number)
        return box.number not in lost

    maker = Maker(on_destroy=destroy)
    with pool_of(maker, gone=False, max_boxes=8, warm=1) as pool:

        def one(number: int) -> int:
            box = pool.take(SMALL, wait_s=120)
            box.dirty = "timeout" if number % 3 == 0 else None
            pool.give_back(box)
            return box.number

        with ThreadPoolExecutor(32) as threads:
            served = list(threads.map(one, range(1000)))
        assert len(served) == 1000
        eventually(pool, lambda now: now.quarantined == 4)
    assert maker.most <= 8
