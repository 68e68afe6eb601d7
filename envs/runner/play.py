"""Play whole episodes on a runner: policies think in threads of their own while environments work."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentrl.envs.protocol import Failure, Policy
from agentrl.envs.runner.events import EpisodeRecord, Event, StepRecord

if TYPE_CHECKING:
    from agentrl.envs.runner.runner import Runner

__all__ = ["play"]


@dataclass(kw_only=True)
class _Episode:
    """One that is being played."""

    index: int
    seed: int
    attempt: int = 1
    policy: Policy | None = None
    observation: Any = None
    info: dict[str, Any] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    started_at: float = 0.0

    def record(self, failure: Failure | None) -> EpisodeRecord:
        """Return what was played."""
        return EpisodeRecord(
            seed=self.seed,
            observation=self.observation,
            info=self.info,
            steps=tuple(self.steps),
            failure=failure,
            num_attempts=self.attempt,
            seconds=time.monotonic() - self.started_at,
        )


@dataclass(frozen=True, kw_only=True)
class _Thought:
    """What a policy said, or what it raised."""

    slot: int
    action: Any = None
    error: BaseException | None = None


def play(
    runner: Runner,
    policy: Callable[[int], Policy] | str,
    seeds: Sequence[int],
    *,
    options: dict[str, Any] | None,
    max_steps: int | None,
    max_retries: int,
) -> list[EpisodeRecord]:
    """Play an episode for each seed; see `Runner.play`."""
    records: list[EpisodeRecord | None] = [None] * len(seeds)
    waiting = [_Episode(index=index, seed=seed) for index, seed in reversed(list(enumerate(seeds)))]
    playing: dict[int, _Episode] = {}
    thinkers: dict[int, _Thinker] = {}

    def begin(slot: int, episode: _Episode) -> None:
        playing[slot] = episode
        episode.steps, episode.started_at = [], time.monotonic()
        episode.policy = policy(episode.seed) if callable(policy) else None
        named = policy if isinstance(policy, str) else ""
        runner.reset(slot, seed=episode.seed, options=options, policy=named)

    def go_on(slot: int, event: Event) -> None:
        episode = playing[slot]
        if event.kind == "reset":
            episode.observation, episode.info = event.observation, event.info
        else:
            episode.steps.append(
                StepRecord(
                    action=event.action,
                    observation=event.observation,
                    reward=event.reward,
                    terminated=event.terminated,
                    truncated=event.truncated,
                    info=event.info,
                )
            )
        if event.failure is not None and episode.attempt <= max_retries:
            episode.attempt += 1
            begin(slot, episode)
        elif event.done or (max_steps is not None and len(episode.steps) >= max_steps):
            records[episode.index] = episode.record(event.failure)
            del playing[slot]
            if waiting:
                begin(slot, waiting.pop())
        elif episode.policy is None:
            runner.step(slot)
        else:
            if slot not in thinkers:
                thinkers[slot] = _Thinker(slot, runner._post)
            thinkers[slot].ask(episode.policy, event)

    try:
        for slot in range(min(runner.num_slots, len(seeds))):
            begin(slot, waiting.pop())
        while playing:
            item = runner._next()
            if isinstance(item, Event):
                go_on(item.slot, item)
            elif isinstance(item, _Thought) and item.error is not None:
                raise item.error
            elif isinstance(item, _Thought):
                runner.step(item.slot, item.action)
    except BaseException:
        runner.close()  # episodes are under way that nobody will hear of
        raise
    finally:
        for thinker in thinkers.values():
            thinker.leave()
    return [record for record in records if record is not None]


class _Thinker:
    """A thread in which one policy after another thinks; a daemon, since a policy may wait for ever."""

    def __init__(self, slot: int, post: Callable[[object], None]) -> None:
        self._slot = slot
        self._post = post
        self._inbox: queue.SimpleQueue[tuple[Policy, Event] | None] = queue.SimpleQueue()
        threading.Thread(target=self._think, name=f"runner-policy-{slot}", daemon=True).start()

    def ask(self, policy: Policy, event: Event) -> None:
        """Let a policy choose what to do about an event; a thought is posted later."""
        self._inbox.put((policy, event))

    def leave(self) -> None:
        """End the thread when it has nothing more to think about."""
        self._inbox.put(None)

    def _think(self) -> None:
        while (asked := self._inbox.get()) is not None:
            policy, event = asked
            try:
                thought = _Thought(slot=self._slot, action=policy(event.observation, event.info))
            except BaseException as error:
                thought = _Thought(slot=self._slot, error=error)
            self._post(thought)
