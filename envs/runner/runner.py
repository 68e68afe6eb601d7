"""The runner: slots with an environment each, commands that return at once, events in the order in which they end.

A reset or step that misses its deadline, raises, or loses its process becomes an event with `info["failure"]`, never a
reward; the slot's next reset makes a fresh environment, and no other slot waits. One thread uses a runner at a time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Literal, Self

import gymnasium
from gymnasium.envs.registration import EnvSpec

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import Policy
from agentrl.envs.runner.child import maker
from agentrl.envs.runner.events import EpisodeRecord, Event
from agentrl.envs.runner.play import play
from agentrl.envs.runner.processes import Processes
from agentrl.envs.runner.seat import Command, Reply, failed
from agentrl.envs.runner.threads import Threads

__all__ = ["Runner"]

_WORKERS = ("threads", "processes")
_CLOSE_S = {"threads": 5.0, "processes": 20.0}  # the latter close what they share too, such as pools of boxes
_LOOK_S = 0.05  # how often deadlines are looked at


class Runner:
    """Run many environments of one id at once.

    Args:
        env_id: Any registered Gymnasium id; `module:ID` imports the module first.
        num_slots: How many environments there are at once.
        workers: "threads" of this process, or "processes", which use several cores and survive a crash.
        num_workers: How many processes share the slots; by default one for each core. As many as slots keeps a crash
            from costing the neighbours their episodes.
        deadline_s: Seconds that one reset or step may take.
        env_kwargs: Arguments of the environment.

    Raises:
        UsageError: An id, number or argument that cannot work.

    >>> with Runner("agentrl.envs:AgentRL/Math-v0", num_slots=2) as runner:
    ...     for slot in range(2):
    ...         runner.reset(slot, seed=slot)
    ...     for event in runner.ready():
    ...         if not event.done:
    ...             runner.step(event.slot, "<answer>1</answer>")
    """

    def __init__(
        self,
        env_id: str,
        *,
        num_slots: int = 8,
        workers: Literal["threads", "processes"] = "threads",
        num_workers: int | None = None,
        deadline_s: float = 60.0,
        env_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if workers not in _WORKERS:
            raise UsageError(
                f"workers={workers!r} does not exist{nearest(str(workers), _WORKERS)}; there are threads, processes"
            )
        if num_workers is not None and workers == "threads":
            raise UsageError(f"num_workers={num_workers!r} has no effect on threads; add workers='processes'")
        for name, number in (("num_slots", num_slots), ("num_workers", num_workers)):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise UsageError(f"{name}={number!r} must be a whole number of at least 1")
        if not deadline_s > 0:
            raise UsageError(f"deadline_s={deadline_s!r} must be above 0")
        spec, kwargs = _spec(env_id), dict(env_kwargs or {})
        self.num_slots = num_slots
        self.deadline_s = deadline_s
        self.num_restarts = 0  # environments that were given up after a failure
        self._workers: Threads | Processes
        if workers == "threads":
            self._workers = Threads(maker(spec, kwargs), num_slots)
        else:
            if not isinstance(spec.entry_point, str):
                raise UsageError(
                    f"{env_id!r} was registered with an object, which another process cannot find; register it with "
                    "entry_point='module:Class', or use workers='threads'"
                )
            try:
                self._workers = Processes((spec, kwargs), min(num_slots, num_workers or os.cpu_count() or 1))
            except Exception as error:
                raise UsageError(f"env_kwargs cannot be sent to a process: {error}; use workers='threads'") from error
        self._open: dict[int, str] = {}  # slot -> the player of its episode, "" where the caller plays
        self._pending: dict[int, tuple[Command, float, float]] = {}  # slot -> command, sent at, seconds allowed
        self._events: deque[Any] = deque()
        self._ticket = 0
        self._look_at = 0.0
        self._close_s = _CLOSE_S[workers]
        self._closed = False

    def reset(
        self,
        slot: int,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        policy: str = "",
        deadline_s: float | None = None,
    ) -> None:
        """Begin an episode; its event comes later.

        Args:
            slot: 0 to num_slots - 1; nothing of it may be under way.
            seed: As of `Env.reset`.
            options: As of `Env.reset`.
            policy: A player that the environment ships ("oracle", "noop", the name of a cheat) chooses the actions
                beside it; `step(slot)` then takes none.
            deadline_s: Seconds allowed, in place of the runner's.

        Raises:
            UsageError: No such slot, or it is busy.
            InfrastructureError: Too many environments hang in threads.
        """
        self._idle(slot)
        self._open[slot] = policy
        command = Command(slot, self._next_ticket(), True, seed=seed, options=options, policy=policy)
        self._send(command, deadline_s)

    def step(self, slot: int, action: Any = None, *, deadline_s: float | None = None) -> None:
        """Take a step; its event comes later.

        Raises:
            UsageError: No such slot, it is busy, its episode is over, or somebody else chooses the actions.
        """
        self._idle(slot)
        if slot not in self._open:
            raise UsageError(f"slot {slot} has no episode; call reset({slot}) first")
        policy = self._open[slot]
        if policy and action is not None:
            raise UsageError(f"policy={policy!r} chooses the actions of slot {slot}; call step({slot}) without one")
        self._send(Command(slot, self._next_ticket(), False, action=action, is_scripted=bool(policy)), deadline_s)

    def recv(self, timeout_s: float | None = None) -> Event:
        """Return the next event, in the order in which environments finish.

        Args:
            timeout_s: Wait at most so long; None: until there is one, which a deadline sees to.

        Raises:
            UsageError: Nothing is under way.
            TimeoutError: Nothing has ended in that time.
        """
        if not self._pending and not self._events:
            raise UsageError("nothing is under way; call reset(slot) or step(slot, action) first")
        event = self._next(timeout_s)
        assert isinstance(event, Event)
        return event

    def ready(self) -> Iterator[Event]:
        """Yield events until nothing is under way; what the loop's body starts is waited for too."""
        while self._pending or self._events:
            yield self.recv()

    def play(
        self,
        policy: Callable[[int], Policy] | str,
        seeds: Sequence[int],
        *,
        options: dict[str, Any] | None = None,
        max_steps: int | None = None,
        max_retries: int = 1,
    ) -> list[EpisodeRecord]:
        """Play an episode for each seed, as many at once as there are slots; return the records in the seeds' order.

        Args:
            policy: Makes the policy of one episode from its seed; each is called in a thread of its own, so that one
                that waits for a model holds no other. Or the name of a player that the environment ships, such as
                "oracle", which then runs beside it.
            seeds: One for each episode.
            options: Of every reset.
            max_steps: Steps after which an episode is left as it is; None: the environment decides.
            max_retries: Fresh attempts after a failure.

        Raises:
            UsageError: Something is under way already.
            Exception: What a policy raised; the other episodes are given up.
        """
        if self._pending or self._events:
            raise UsageError("events are under way; take them with recv() before play()")
        return play(self, policy, seeds, options=options, max_steps=max_steps, max_retries=max_retries)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers; none with threads."""
        return self._workers.pids

    @property
    def num_hanging(self) -> int:
        """Threads that were given up and still run; or processes that are kept only for other slots' episodes."""
        return self._workers.num_hanging

    def close(self) -> None:
        """Close every environment and end every worker, within 5 seconds, or 20 with processes; may be called twice."""
        if not self._closed:
            self._closed = True
            self._pending.clear()
            self._events.clear()
            self._workers.close(self._close_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _idle(self, slot: int) -> None:
        if self._closed:
            raise UsageError("the runner is closed; make a new one")
        if not isinstance(slot, int) or not 0 <= slot < self.num_slots:
            raise UsageError(f"slot={slot!r} does not exist; there are 0 to {self.num_slots - 1}")
        if slot in self._pending:
            raise UsageError(f"slot {slot} is busy; wait for its event with recv()")

    def _next_ticket(self) -> int:
        self._ticket += 1
        return self._ticket

    def _send(self, command: Command, deadline_s: float | None) -> None:
        self._workers.send(command)
        self._pending[command.slot] = (command, time.monotonic(), deadline_s or self.deadline_s)

    def _post(self, item: object) -> None:
        """Let `_next` return an item, from any thread."""
        if not self._closed:
            self._workers.post(item)

    def _next(self, timeout_s: float | None = None) -> Any:
        """Return the next event, or the next item that was posted."""
        stop = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._events:
            now = time.monotonic()
            if now >= self._look_at:
                self._receive(0.0)  # what came in time counts, however late it is read
                self._expire(now)
                if self._events:
                    break
            if stop is not None and now >= stop:
                raise TimeoutError(f"nothing has ended within {timeout_s} s; {len(self._pending)} are under way")
            self._receive(min(self._look_at, stop if stop is not None else self._look_at) - now)
        return self._events.popleft()

    def _receive(self, timeout_s: float) -> None:
        for item in self._workers.receive(timeout_s):
            if not isinstance(item, Reply):
                self._events.append(item)
            elif item.slot in self._pending and self._pending[item.slot][0].ticket == item.ticket:
                self._take(item)

    def _take(self, reply: Reply) -> None:
        command, sent_at, _ = self._pending.pop(reply.slot)
        if reply.terminated or reply.truncated:
            self._open.pop(reply.slot, None)
        if reply.info.get("failure") is not None:
            self.num_restarts += 1
        self._events.append(
            Event(
                slot=reply.slot,
                kind="reset" if command.is_reset else "step",
                observation=reply.observation,
                reward=reply.reward,
                terminated=reply.terminated,
                truncated=reply.truncated,
                info=reply.info,
                action=reply.action,
                seconds=max(0.0, reply.finished_at - sent_at),
            )
        )

    def _expire(self, now: float) -> None:
        self._look_at = now + _LOOK_S
        for slot, (command, sent_at, allowed_s) in list(self._pending.items()):
            if now - self._workers.begun(slot, sent_at) < allowed_s:
                continue
            self._workers.drop(slot)
            what = "reset" if command.is_reset else "step"
            message = f"a {what} did not end within {allowed_s:g} s"
            self._take(failed(command, {"kind": "timeout", "boundary": "environment", "message": message}))


def _spec(env_id: str) -> EnvSpec:
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            import_module(module)
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"env_id={env_id!r} cannot be found: {error}") from error
