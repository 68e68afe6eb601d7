"""Signs of life: who is silent is named, the first reason stays, and rank 0 learns it as the others do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from agentrl.trainer.distributed import pulse
from agentrl.trainer.distributed.pulse import FAILED, Pulse
from agentrl.trainer.errors import RankError

NAMES = ["rank 0 on a", "rank 1 on b"]


@pytest.fixture
def store() -> Any:
    return TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5), use_libuv=True
    )


@pytest.fixture
def beating(store: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pulse]]:
    """Return a maker of pulses, which end with the test and never the test's process."""
    monkeypatch.setattr(pulse, "_GRACE_S", 1e9)
    made: list[Pulse] = []

    def make(rank: int, timeout_s: float = 1.0, asked: Callable[[str], None] = lambda said: None) -> Pulse:
        made.append(Pulse(store.clone(), rank, NAMES, timeout_s, asked))
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(done: Callable[[], object], within_s: float = 20.0) -> None:
    stop = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < stop
        time.sleep(0.02)


def test_ranks_that_live_are_left_alone(beating: Callable[..., Pulse]) -> None:
    first, second = beating(0, 5.0), beating(1, 5.0)
    time.sleep(2.0)
    first.check()
    second.check()


def test_a_silent_rank_is_named_on_both_sides(beating: Callable[..., Pulse], store: Any) -> None:
    first, second = beating(0), beating(1)
    until(lambda: store.check(["alive/1"]))
    second.close()  # killed
    until(lambda: first.reason)
    with pytest.raises(RankError, match=r"rank 1 on b has given no sign of life to rank 0 on a for 1 s"):
        first.check()
    third = beating(1, 60.0)  # one that was only slow learns what was decided
    until(lambda: third.reason)
    assert third.reason == first.reason


def test_a_silent_first_rank_is_named(beating: Callable[..., Pulse], store: Any) -> None:
    first, second = beating(0, 60.0), beating(1)
    until(lambda: store.check(["alive/0"]))
    first.close()
    until(lambda: second.reason)
    assert "rank 0 on a has given no sign of life to rank 1 on b" in second.reason


def test_the_first_reason_stays_and_is_acknowledged(beating: Callable[..., Pulse], store: Any) -> None:
    first, second = beating(0, 60.0), beating(1, 60.0)
    for reason in ("rank 1 on b failed: ValueError: x", "rank 0 on a failed: it came later"):
        store.compare_set(FAILED, "", reason)
    until(lambda: first.reason and second.reason)
    assert first.reason == second.reason == "rank 1 on b failed: ValueError: x"
    until(lambda: store.check(["seen/0", "seen/1"]))
    assert first.wait() == first.reason


def test_what_rank_0_has_left_is_passed_on_once(beating: Callable[..., Pulse], store: Any) -> None:
    heard: list[str] = []
    beating(1, 60.0, heard.append)
    store.set("left", "3")
    until(lambda: heard)
    store.set("left", "7")
    until(lambda: len(heard) > 1)
    assert heard == ["3", "7"]


def test_closing_waits_for_what_is_asked(beating: Callable[..., Pulse]) -> None:
    # A thread inside the store when the interpreter ends would abort the process, status and all.
    closed = beating(0, 60.0)
    closed.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "agentrl-pulse"]
    closed.close()
