"""How many episodes to play at once: as many as the host carries and the throughput gains by, found while playing.

Throughput is measured over windows, in resets and steps a second, which are finer than episodes. From a few at once the
number is doubled while that pays; then it is changed by a quarter at a time, now up, now down, ever more seldom, and a
change stays only where it pays: more at once must bring a tenth of what they would at best, fewer must lose nothing to
speak of. Too much memory halves the number at once; a server that refuses for too many requests (429), or throughput
that falls by itself, lowers it by three tenths or a quarter. So it is additive increase and multiplicative decrease, as
of TCP, with the gradient of throughput in the place of lost packets.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from agentrl.bench.host import Host
from agentrl.bench.types import Pace

if TYPE_CHECKING:
    from agentrl.bench.crew import Crew

__all__ = ["Plan", "Regulator", "Window", "next_plan"]

_FIRST = 4
_PAYS = 0.1  # of the throughput that more at once would bring at best
_LOSES = 0.02  # of the throughput that fewer at once may cost
_FELL = 0.7
_LONGEST_PAUSE = 16  # windows
_WINDOW_S = 2.0
_SHORTEST_WINDOW_S = 0.5  # where there are many steps
_LONGEST_WINDOW_S = 20.0
_SETTLE_S = 0.3  # after a change, for environments to be made
_FIRST_SETTLE_S = 1.0  # everything is cold
_LONGEST_SETTLE_S = 5.0
_SAMPLE_S = 0.25
_RELEASE_S = 2.0  # until memory is free again after fewer play
_SAMPLE_SHARE = 0.02  # of the time goes into looking at memory, at most
_PART = 0.9  # of the memory that was given: it is looked at a few times a second, and programs come and go between
_RESERVE = 0.1  # of all memory is left to others
_PRESSURE = 0.2  # of the time spent waiting for memory is too much


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was measured while a number of episodes was played at once."""

    rate: float  # resets and steps a second
    room_mb: float = math.inf  # how much more memory may be taken; below 0, too much is
    each_mb: float = 0.0  # what one episode at once takes; 0: unknown
    num_refused: int = 0  # requests for which a server said that they were too many


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many to play at once, and why."""

    at_once: int  # in the next window
    base: int  # the best number known; another is on trial
    rate: float = 0.0  # of it; 0: not measured yet
    wait: int = 0  # windows until the next trial
    pause: int = 1  # windows from that trial to the one after it, where it fails
    num_slow: int = 0  # windows in which the throughput of the best known number had fallen
    is_doubling: bool = True
    is_upward: bool = True  # the next trial
    why: Literal["begin", "trial", "pays", "no gain", "steady", "memory", "refused", "slower", "most"] = "begin"


def next_plan(plan: Plan, window: Window, most: int) -> Plan:
    """Decide how many to play at once.

    Args:
        plan: What was played in the window.
        window: What came of it.
        most: At most so many, whatever the host carries.
    """
    now = plan.at_once
    fits = most
    if window.each_mb > 0 and math.isfinite(window.room_mb):
        fits = min(most, now + math.floor(window.room_mb / window.each_mb))
    later = min(2 * plan.pause, _LONGEST_PAUSE)
    if window.room_mb < 0 or window.num_refused:
        less = int(0.7 * now) if window.room_mb >= 0 else min(now // 2, fits)
        less = max(1, min(less, now - 1))
        why: Literal["memory", "refused"] = "memory" if window.room_mb < 0 else "refused"
        return Plan(at_once=less, base=less, wait=later, pause=later, is_doubling=False, why=why)
    if now > plan.base:
        if window.rate >= plan.rate * (1 + _PAYS * (now / plan.base - 1)):
            kept = replace(plan, base=now, rate=window.rate, pause=1, is_upward=True, why="pays")
            return _trial(kept, fits)
        return _back(plan, fits, later)
    if now < plan.base:
        if window.rate >= plan.rate * (1 - _LOSES):
            # Where the throughput had fallen by itself, it may come back by itself: more are tried again soon.
            upward, pause = (True, 1) if plan.num_slow else (False, plan.pause)
            return replace(
                plan, base=now, rate=window.rate, wait=pause, pause=pause, is_upward=upward, num_slow=0, why="pays"
            )
        return _back(plan, fits, later)
    if plan.rate and window.rate < _FELL * plan.rate and now > 1:
        if not plan.num_slow:  # once may be chance
            return replace(plan, num_slow=1, why="steady")
        return replace(
            plan, at_once=max(1, int(0.75 * now)), rate=window.rate, is_doubling=False, num_slow=2, why="slower"
        )
    plan = replace(plan, num_slow=0)
    rate = (plan.rate + window.rate) / 2 if plan.rate else window.rate
    if plan.wait > 0:
        return replace(plan, rate=rate, wait=plan.wait - 1, why="steady")
    return _trial(replace(plan, rate=rate), fits)


def _back(plan: Plan, fits: int, later: int) -> Plan:
    base = max(1, min(plan.base, fits))
    return replace(
        plan,
        at_once=base,
        base=base,
        wait=plan.pause,
        pause=later,
        num_slow=0,
        is_doubling=False,
        is_upward=not plan.is_upward,
        why="no gain",
    )


def _trial(plan: Plan, fits: int) -> Plan:
    """Try another number, if there is one to try."""
    step = plan.base if plan.is_doubling else max(1, plan.base // 4)
    tried = min(plan.base + step, max(1, fits)) if plan.is_upward else max(1, plan.base - step)
    if tried == plan.base or (plan.is_upward and tried < plan.base):
        at_once = min(plan.base, tried)
        later = min(2 * plan.pause, _LONGEST_PAUSE)
        return replace(
            plan, at_once=at_once, base=at_once, wait=later, pause=later, is_upward=not plan.is_upward, why="most"
        )
    return replace(plan, at_once=tried, why=plan.why if plan.why == "pays" else "trial")


def _is_long(seconds: float, num_steps: int, plan: Plan) -> bool:
    """Return whether a window tells enough. While the number is doubled differences are large: a hundred steps do."""
    if seconds >= _WINDOW_S:
        return num_steps >= 4 * plan.at_once or (seconds >= _LONGEST_WINDOW_S and num_steps > 0)
    return plan.is_doubling and seconds >= _SHORTEST_WINDOW_S and num_steps >= max(100, 16 * plan.at_once)


class Regulator:
    """Looks at a crew while it plays, and tells it how many to play at once.

    Args:
        most: At most so many at once.
        memory_mb: What the bench and its boxes may take; None: what the host has, less a tenth.
        host: Where memory is read.
    """

    def __init__(self, *, most: int, memory_mb: float | None, host: Host | None = None) -> None:
        self._host = host or Host()
        self._most = most
        self._memory_mb = _PART * memory_mb if memory_mb is not None else math.inf
        self._reserve_mb = _RESERVE * self._host.total_mb() if math.isfinite(self._host.total_mb()) else 0.0
        self._before_mb = self._host.taken_mb()
        first = min(most, _FIRST) if memory_mb is None else 1  # a bound that was given may be a small one
        self.plan = Plan(at_once=first, base=first)
        self.taken_mb = self._before_mb  # at the last look
        self._each_mb: deque[float] = deque(maxlen=8)
        self._num_refused = 0
        self._steps, self._since, self._is_settling = 0, time.monotonic(), True
        self._room_mb = math.inf  # the least of the window
        self._sample_at = 0.0
        self._hushed_until = 0.0

    def look(self, crew: Crew, num_refused: int) -> Pace | None:
        """Look at the crew, often; return what is to be noted where its number changed.

        Args:
            crew: Its `num_at_once` is set.
            num_refused: Requests refused so far by a server that said that they were too many.
        """
        now = time.monotonic()
        if now >= self._sample_at:
            self._sample(crew, now)
        if crew.num_playing > self.plan.at_once and self.plan.why == "memory":
            self._hushed_until = now + _RELEASE_S  # those that are too many go when their episodes end
        if self._room_mb >= 0:
            if self._is_settling:
                settle_s = _FIRST_SETTLE_S if self.plan.why == "begin" else _SETTLE_S
                if (now - self._since >= settle_s and crew.num_playing >= self.plan.at_once and crew.is_warm) or (
                    now - self._since >= _LONGEST_SETTLE_S
                ):
                    self._steps, self._since, self._is_settling = crew.num_steps, now, False
                return None
            num_steps = crew.num_steps - self._steps
            if not _is_long(now - self._since, num_steps, self.plan):
                return None
            self._sample(crew, now)  # nothing is decided by what was true a while ago
        seconds = max(now - self._since, 1e-3)
        window = Window(
            rate=(crew.num_steps - self._steps) / seconds,
            room_mb=self._room_mb,
            each_mb=max(self._each_mb, default=0.0),
            num_refused=num_refused - self._num_refused,
        )
        before, self.plan = self.plan.at_once, next_plan(self.plan, window, self._most)
        self._num_refused = num_refused
        crew.num_at_once = self.plan.at_once
        if self.plan.why == "memory":
            self._hushed_until = now + _RELEASE_S
        self._begin(crew.num_steps, now, is_settling=self.plan.at_once != before)
        if self.plan.at_once == before:
            return None
        return Pace(
            at=time.time(),
            num_at_once=self.plan.at_once,
            why=self.plan.why,
            steps_per_s=window.rate,
            taken_mb=self.taken_mb,
        )

    def _begin(self, num_steps: int, now: float, *, is_settling: bool = True) -> None:
        self._steps, self._since, self._is_settling = num_steps, now, is_settling
        self._room_mb = math.inf

    def _sample(self, crew: Crew, now: float) -> None:
        self.taken_mb = self._host.taken_mb()
        room_mb = min(self._memory_mb - self.taken_mb, self._host.available_mb() - self._reserve_mb)
        if self._host.pressure() > _PRESSURE:
            room_mb = min(room_mb, -1.0)
        if now < self._hushed_until:
            room_mb = max(0.0, room_mb)  # it was lowered, and what that frees is not free yet
        self._room_mb = min(self._room_mb, room_mb)
        self._each_mb.append(max(0.0, self.taken_mb - self._before_mb) / max(1, crew.num_playing))
        took = time.monotonic() - now
        self._sample_at = now + max(_SAMPLE_S, took / _SAMPLE_SHARE)
