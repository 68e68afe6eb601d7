"""The pool with boxes in memory: the bound, the order, what is kept warm, and its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from agentrl.sandboxes.errors import SandboxBusy, SandboxDied, SandboxUnavailable, SpecError
from agentrl.sandboxes.pool import crew
from agentrl.sandboxes.pool.pool import Pool
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.pool.maker import LARGE, SMALL, Box, Maker, eventually, pool_of, until


def test_a_returned_box_is_reset_and_serves_again() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=4, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)
        assert box.shape == SMALL
        pool.give_back(box)
        eventually(pool, lambda now: now.warm == 1)
        assert pool.take(SMALL, wait_s=10) is box
        assert box.num_resets == 1
        now = pool.stats()
        assert (now.made, now.reused, now.leased) == (1, 1, 1)
        pool.give_back(box)


def test_warm_boxes_are_made_behind_the_back_of_the_lease() -> None:
    with pool_of(Maker(), max_boxes=8, warm=3) as pool:
        pool.take(SMALL, wait_s=10)
        assert eventually(pool, lambda now: now.warm == 3).made == 4


def test_prewarm_returns_at_once_and_counts_what_is_leased() -> None:
    go = threading.Event()
    maker = Maker(on_make=until(go))
    with pool_of(maker, max_boxes=8, warm=0) as pool:
        pool.prewarm(SMALL, 5)
        assert pool.stats().making == 5
        go.set()
        eventually(pool, lambda now: now.warm == 5)
        for _ in range(5):
            pool.take(SMALL, wait_s=0.0)
        time.sleep(0.05)
        assert pool.stats().made == 5


def test_prewarm_never_exceeds_the_bound() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=3, warm=2) as pool:
        pool.prewarm(SMALL, 50)
        eventually(pool, lambda now: now.warm == 3)
        assert maker.most == 3


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda box: setattr(box, "dirty", "timeout"), "dirty"),
        (lambda box: setattr(box, "is_alive", False), "dead"),
        (lambda box: setattr(box.maker, "on_reset", lambda _: False), "reset not verified"),
    ],
)
def test_what_is_not_clean_is_replaced(spoil: Callable[[Box], None], why: str) -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=2, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)
        spoil(box)
        pool.give_back(box)
        eventually(pool, lambda now: now.destroyed == 1)
        maker.on_reset = lambda _: True
        assert pool.take(SMALL, wait_s=10) is not box, why


def test_a_reset_that_raises_destroys_the_box() -> None:
    def broken(box: Box) -> bool:
        raise SandboxDied("lost its worker")

    maker = Maker(on_reset=broken)
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        first = pool.take(SMALL, wait_s=10)
        pool.give_back(first)
        assert pool.take(SMALL, wait_s=10) is not first


def test_a_box_that_died_on_the_shelf_is_never_handed_out() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=4, warm=2) as pool:
        pool.prewarm(SMALL, 2)
        eventually(pool, lambda now: now.warm == 2)
        for box in list(maker.there):
            box.is_alive = False
        assert pool.take(SMALL, wait_s=10).is_alive


def test_a_box_that_died_on_the_shelf_is_noticed_and_replaced() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=4, warm=2) as pool:
        pool.prewarm(SMALL, 2)
        eventually(pool, lambda now: now.warm == 2)
        next(iter(maker.there)).is_alive = False
        eventually(pool, lambda now: now.destroyed == 1 and now.warm == 2)


def test_idle_boxes_expire_and_threads_end() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=8, warm=2, idle_s=0.3) as pool:
        pool.give_back(pool.take(SMALL, wait_s=10))
        now = eventually(pool, lambda now: now.destroyed > 0 and now.warm + now.making + now.destroying == 0)
        assert now.made == now.destroyed
        eventually(pool, lambda _: pool._stock.keeper is None)
        assert not pool._stock.kinds


def test_a_double_return_and_a_strange_box_are_ignored() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=4, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)
        pool.give_back(box)
        pool.give_back(box)
        eventually(pool, lambda now: now.warm == 1)
        pool.give_back(box)
        pool.give_back(Box(maker, SMALL, 99))
        assert (pool.stats().warm, pool.stats().resetting, box.num_resets) == (1, 0, 1)


def test_busy_names_the_numbers() -> None:
    with pool_of(Maker(), max_boxes=2, warm=2) as pool:
        held = [pool.take(SMALL, wait_s=10) for _ in range(2)]
        began = time.monotonic()
        with pytest.raises(
            SandboxBusy, match=r"within 0\.2 s: of max_boxes=2, 2 are leased, .* 1 leases waited.*wait_s"
        ):
            pool.take(SMALL, wait_s=0.2)
        assert time.monotonic() - began >= 0.2
        assert pool.stats().waiting == 0
        pool.give_back(held[0])
        assert pool.take(SMALL, wait_s=10) is held[0]


def test_another_shape_displaces_an_idle_box() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=2, warm=2) as pool:
        pool.prewarm(SMALL, 2)
        eventually(pool, lambda now: now.warm == 2)
        assert pool.take(LARGE, wait_s=10).shape == LARGE
        assert pool.take(LARGE, wait_s=10).shape == LARGE
        assert maker.most == 2


def test_leases_are_served_in_the_order_of_asking() -> None:
    served: list[int] = []
    lock = threading.Lock()
    with pool_of(Maker(), max_boxes=1, warm=0) as pool:
        box = pool.take(SMALL, wait_s=10)

        def ask(number: int) -> None:
            # Every other one wants another shape: the order holds across shapes.
            mine = pool.take((SMALL, LARGE)[number % 2], wait_s=60)
            with lock:
                served.append(number)
            pool.give_back(mine)

        threads = []
        for number in range(20):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            eventually(pool, lambda now, number=number: now.waiting == number + 1)  # type: ignore[misc]
        pool.give_back(box)
        for thread in threads:
            thread.join(60)
    assert served == list(range(20))


def test_who_gives_up_waiting_does_not_hold_up_the_next() -> None:
    with pool_of(Maker(), max_boxes=1, warm=0) as pool, ThreadPoolExecutor(2) as threads:
        box = pool.take(SMALL, wait_s=10)
        first = threads.submit(pool.take, SMALL, wait_s=0.1)
        eventually(pool, lambda now: now.waiting == 1)
        second = threads.submit(pool.take, SMALL, wait_s=30)
        with pytest.raises(SandboxBusy):
            first.result(20)
        pool.give_back(box)
        assert second.result(20) is box


def test_who_is_interrupted_while_waiting_holds_up_nobody() -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    with pool_of(Maker(), max_boxes=1, warm=0) as pool:
        try:
            box = pool.take(SMALL, wait_s=10)
            timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1))
            timer.start()
            with pytest.raises(Interrupted):
                pool.take(SMALL, wait_s=30)
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert (pool.stats().waiting, pool.stats().leased) == (0, 1)
        pool.give_back(box)
        assert pool.take(SMALL, wait_s=10) is box


def test_close_fails_those_who_wait_and_takes_leased_boxes() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=1, warm=0) as pool, ThreadPoolExecutor(1) as threads:
        box = pool.take(SMALL, wait_s=10)
        waiting = threads.submit(pool.take, SMALL, wait_s=60)
        eventually(pool, lambda now: now.waiting == 1)
        assert pool.close()
        with pytest.raises(SandboxUnavailable, match="closed"):
            waiting.result(20)
        assert not maker.there
        pool.give_back(box)
        with pytest.raises(SandboxUnavailable, match="open another"):
            pool.take(SMALL, wait_s=1)
        assert pool.close()


def test_what_is_made_during_close_is_destroyed() -> None:
    go, begun = threading.Event(), threading.Event()

    def slow(shape: SandboxSpec) -> None:
        begun.set()
        go.wait(30)

    maker = Maker(on_make=slow)
    with pool_of(maker, max_boxes=1, warm=0) as pool:
        pool.prewarm(SMALL, 1)
        assert begun.wait(20)
        assert not pool.close(deadline_s=0.1)
        go.set()
        eventually(pool, lambda now: now.destroyed == 1)


@pytest.mark.parametrize("options", [{"max_boxes": 0}, {"warm": -1}, {"idle_s": 0}, {"max_boxes": True}, {"makers": 0}])
def test_numbers_that_cannot_work_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Pool(Maker(), **options)


def test_nothing_starts_before_the_first_lease() -> None:
    before = threading.active_count()
    with pool_of(Maker(), max_boxes=2, warm=2):
        assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_empty_and_leaves_the_parents_boxes() -> None:
    maker = Maker()
    with pool_of(maker, max_boxes=1, warm=1) as pool:
        box = pool.take(SMALL, wait_s=10)
        pool._stock.lock.acquire()  # as if another thread were in the middle of something
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                pool.give_back(box)
                now = pool.stats()
                mine = pool.take(SMALL, wait_s=10)
                fine = (now.leased, now.warm, now.made) == (0, 0, 0) and mine is not box
                closed = pool.close(deadline_s=10)
                code = 0 if fine and closed and maker.there == {box} and box.num_resets == 0 else 2
            finally:
                os._exit(code)
        pool._stock.lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert pool.stats().leased == 1
        pool.give_back(box)
        assert pool.take(SMALL, wait_s=10) is box


def test_a_crew_loses_no_work_while_its_threads_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LINGER_S", 0.0005)
    workers = crew.Crew("test", 3)
    done: list[int] = []

    def submit(start: int) -> None:
        for number in range(start, start + 500):
            workers.submit(partial(done.append, number))
            if number % 7 == 0:
                time.sleep(0.0006)

    threads = [threading.Thread(target=submit, args=(start,)) for start in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workers.end(30)
    assert sorted(done) == list(range(2000))
    assert not workers._threads
