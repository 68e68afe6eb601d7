"""Episodes played against costs: who waits for whom, so that stragglers, queues and tails count as they do in a run.

An episode samples a turn on its server, passes through the trainer's process, waits for its environment and samples
the next; one that ends makes room for another. Turns on a server share its decoding steps. Prompts that are read hold
the others up. What an environment computes queues for processors. Nothing is random but the order of the episodes.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agentrl.trainer.scaling.costs import Costs
from agentrl.trainer.scaling.workload import Play

__all__ = ["Flow", "Rollout", "simulate"]

_ADMIT_SHARE: Final = 0.25  # as of `trainer/engines/threaded.py`
_RESET: Final = -1  # in place of a turn's number


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What episodes flow through."""

    servers: int
    environments: int  # episodes at once
    processors: float  # for environments; infinite: they never queue
    slots: float  # turns that a server samples at once; infinite: all
    exact: bool = False  # the schedule: turns join once all that wait have their answers
    apart: bool = False  # each server is a rank's own engine: it has whole groups, and a process, of its own


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What playing a step's episodes took."""

    seconds: float
    sampling: float  # share of the time that servers were at work, on average
    computing: float  # seconds of processors that environments took
    clerk: float  # share of the time that the trainer's process was at work
    sampled: int  # tokens


def simulate(plays: Sequence[Play], costs: Costs, flow: Flow, *, group_size: int = 1) -> Rollout:
    """Return what it takes to play episodes, in their order.

    Args:
        plays: Episodes; `group_size` in a row have the same prompt, which a server reads once.
        costs: Of one server, and of the trainer's process.
        flow: What they flow through.
        group_size: Members of a group.
    """
    return _Simulation(plays, costs, flow, group_size).run()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A turn that asks for its tokens."""

    read: int
    sampled: int
    context: float  # tokens before it


@dataclass(kw_only=True)
class _Server:
    """One server: turns share its steps; what is read comes first."""

    index: int
    costs: Costs
    slots: float
    exact: bool
    now: float = 0.0
    progress: float = 0.0  # tokens that each active turn has got since the beginning
    reading: float = 0.0  # seconds of prompts that have still to be read
    busy: float = 0.0
    context: float = 0.0  # tokens of the active turns
    members: int = 0  # episodes that are open here
    active: list[tuple[float, int, float]] = field(default_factory=list)  # progress at its end, episode, context
    waiting: deque[tuple[int, _Asked]] = field(default_factory=deque)
    seen: set[int] = field(default_factory=set)  # groups whose prompt was read
    epoch: int = 0  # changes whenever its next end does

    def step_s(self) -> float:
        costs = self.costs
        return costs.step_s + len(self.active) * costs.turn_s + self.context * costs.context_s

    def stalled(self) -> bool:
        """Whether it waits, as the schedule has it, for episodes that are in their environments."""
        return self.exact and self._is_due() and len(self.waiting) < self.members - len(self.active)

    def advance(self, time: float) -> None:
        left, self.now = time - self.now, time
        if not self.active or self.stalled():
            return
        self.busy += left
        read = min(left, self.reading)
        self.reading -= read
        if left > read:
            self.progress += (left - read) / self.step_s()

    def end(self) -> float:
        """Return when the next turn ends; infinite: none does."""
        if not self.active or self.stalled():
            return math.inf
        return self.now + self.reading + max(0.0, self.active[0][0] - self.progress) * self.step_s()

    def admit(self) -> None:
        """Let turns that wait join, where the schedule and the room allow it."""
        if self.exact and (not self._is_due() or self.stalled()):
            return
        joining = min(len(self.waiting), self.slots - len(self.active))
        if joining > 0:  # the fewer of the batch they are, the less it is held up
            self.reading += self.costs.begin_s * joining / (joining + len(self.active))
        while self.waiting and len(self.active) < self.slots:
            episode, asked = self.waiting.popleft()
            self.reading += asked.read * self.costs.prompt_s
            context = asked.context + asked.sampled / 2
            heapq.heappush(self.active, (self.progress + asked.sampled, episode, context))
            self.context += context

    def _is_due(self) -> bool:
        return not self.active or self.members - len(self.active) >= max(1, round(_ADMIT_SHARE * self.members))


class _Simulation:
    def __init__(self, plays: Sequence[Play], costs: Costs, flow: Flow, group_size: int) -> None:
        self.plays, self.costs, self.flow, self.group_size = plays, costs, flow, group_size
        self.servers = [
            _Server(index=index, costs=costs, slots=flow.slots, exact=flow.exact) for index in range(flow.servers)
        ]
        self.home: dict[int, _Server] = {}
        self.turn: dict[int, int] = {}
        self.context: dict[int, float] = {}
        self.events: list[tuple[float, int, int, int, int]] = []  # time, order, server or -1, episode or epoch, turn
        self.order = itertools.count()
        everything = range(len(plays))
        num = flow.servers
        self.upcoming = (
            [iter([each for each in everything if each // group_size % num == own]) for own in range(num)]
            if flow.apart
            else [iter(everything)]
        )
        self.clerks_free = [0.0] * len(self.upcoming)
        queues = flow.processors < min(flow.environments, len(plays))
        self.processors = [0.0] * max(1, round(flow.processors)) if queues else []
        self.stretch = len(self.processors) / flow.processors if queues else 1.0  # of parts of a processor
        self.clerk_busy = self.computing = self.last = 0.0
        self.sampled = 0

    def run(self) -> Rollout:
        # All sessions are open before the first turn, as in a run: the schedule counts them.
        each_at_once = max(1, self.flow.environments // len(self.upcoming))
        for own, upcoming in enumerate(self.upcoming):
            for episode in list(itertools.islice(upcoming, each_at_once)):
                self._open(episode, own, 0.0)
        while self.events:
            time, _, server, which, turn = heapq.heappop(self.events)
            if server >= 0:
                if which == self.servers[server].epoch:
                    self._end_turns(server, time)
            elif turn == len(self.plays[which].turns):
                self._close(which, time)
            else:
                self._ask(which, turn, time)
        total = max(self.last, 1e-12)
        busy = sum(server.busy for server in self.servers) / len(self.servers)
        return Rollout(
            seconds=self.last,
            sampling=busy / total,
            computing=self.computing,
            clerk=self.clerk_busy / len(self.clerks_free) / total,
            sampled=self.sampled,
        )

    def _open(self, episode: int, own: int, time: float) -> None:
        server = self.servers[own] if self.flow.apart else min(self.servers, key=lambda each: each.members)
        server.advance(time)
        server.members += 1
        self.home[episode], self.context[episode] = server, 0.0
        play = self.plays[episode]
        self._answer(episode, _RESET, play.reset_s, play.reset_cpu_s, time)

    def _close(self, episode: int, time: float) -> None:
        self.last = max(self.last, time)
        server = self.home.pop(episode)
        server.advance(time)
        server.members -= 1
        own = server.index if self.flow.apart else 0
        if (upcoming := next(self.upcoming[own], None)) is not None:
            self._open(upcoming, own, time)
        self._plan(server)

    def _ask(self, episode: int, turn: int, time: float) -> None:
        """Have a turn sampled."""
        server, asked = self.home[episode], self.plays[episode].turns[turn]
        self.turn[episode] = turn
        server.advance(time)
        group, read = episode // self.group_size, asked.read
        if turn == 0 and self.group_size > 1:
            read = 0 if group in server.seen else read
            server.seen.add(group)
        self.context[episode] += asked.read
        server.waiting.append((episode, _Asked(read=read, sampled=asked.sampled, context=self.context[episode])))
        self._plan(server)

    def _end_turns(self, index: int, time: float) -> None:
        server = self.servers[index]
        server.advance(time)
        server.progress = max(server.progress, server.active[0][0])
        while server.active and server.active[0][0] <= server.progress + 1e-9:
            _, episode, context = heapq.heappop(server.active)
            server.context = max(0.0, server.context - context)
            turn = self.turn[episode]
            done = self.plays[episode].turns[turn]
            self.sampled += done.sampled
            self.context[episode] += done.sampled
            own = server.index if self.flow.apart else 0
            begin = self.clerks_free[own] = max(time, self.clerks_free[own]) + self.costs.clerk_s
            self.clerk_busy += self.costs.clerk_s
            self._answer(episode, turn, done.env_s, done.env_cpu_s, begin)
        self._plan(server)

    def _answer(self, episode: int, turn: int, seconds: float, cpu_s: float, time: float) -> None:
        """Have the environment answer: it waits for what it waits for, and then for a processor."""
        self.computing += cpu_s
        end = time + seconds
        if cpu_s and self.processors:
            free = heapq.heappop(self.processors)
            end = max(time + seconds - cpu_s, free) + cpu_s * self.stretch
            heapq.heappush(self.processors, end)
        heapq.heappush(self.events, (end, next(self.order), -1, episode, turn + 1))

    def _plan(self, server: _Server) -> None:
        """Note when the server's next turn ends, now that something changed."""
        server.admit()
        server.epoch += 1
        if (end := server.end()) < math.inf:
            heapq.heappush(self.events, (end, next(self.order), server.index, server.epoch, 0))
