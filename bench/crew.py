"""The threads that play: jobs are handed out, what hangs is given up, what failed is tried again.

Each thread plays whole episodes by itself. The caller's thread looks at them now and then: an environment that misses
its deadline, or an agent that misses its own, is left alone in its thread, which nothing can stop, and another thread
takes its place. Past a bound no more are left alone. How many play at once may change at any time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from agentrl.bench.agents import Agent
from agentrl.bench.attempt import Attempt, Place
from agentrl.bench.errors import BenchError
from agentrl.bench.faraway import FarPlace
from agentrl.bench.types import Episode, Job

if TYPE_CHECKING:
    from agentrl.bench.run import Settings

__all__ = ["Crew"]

_LOOK_S = 0.05  # how often deadlines are looked at
_LEAVE_S = 10.0
_MOST_HANGING = 64
_MOST_TOGETHER = 64  # episodes: what ends with one write


class Crew:
    """Plays jobs; used by one thread, which gets the episodes.

    Args:
        jobs: To be played, in this order.
        agent: Who plays.
        settings: Of the bench.
        num_at_once: How many episodes at once, to begin with.
        place: Opens a place to play an environment.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        agent: Agent,
        settings: Settings,
        num_at_once: int,
        place: Callable[[str], Place | FarPlace],
    ) -> None:
        self.place = place
        self.num_at_once = num_at_once
        self.num_done = 0  # resets and steps that have ended, of attempts that are over
        self._agent = agent
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting = deque((job, 1) for job in jobs)
        self._num_left = len(jobs)
        self._ended: queue.SimpleQueue[Episode | BaseException] = queue.SimpleQueue()
        self._players: dict[int, _Player] = {}
        self._num_players = 0
        self._hanging: list[_Player] = []
        self._stopped = False

    @property
    def num_playing(self) -> int:
        """How many threads play now."""
        return len(self._players)

    @property
    def num_steps(self) -> int:
        """How many resets and steps have ended so far; grows within episodes."""
        return self.num_done + sum(each.attempt.num_done for each in list(self._players.values()) if each.attempt)

    @property
    def is_warm(self) -> bool:
        """Whether each thread has an environment that has taken a step."""
        return all(
            each.has_stepped or (each.attempt is not None and each.attempt.num_done > 1)
            for each in list(self._players.values())
        )

    def episodes(self, timeout_s: float = _LOOK_S) -> Iterator[list[Episode]]:
        """Yield what has ended, together what ended together; an empty list each time that nothing has for a while.

        Args:
            timeout_s: How long a while is.

        Raises:
            AgentError: The agent cannot be used at all.
            BenchError: Too many threads hang.
        """
        look_at = time.monotonic() + _LOOK_S
        while self._num_left:
            self._fill()
            found: list[Episode] = []
            try:
                item = self._ended.get(timeout=timeout_s)
                while True:
                    if isinstance(item, BaseException):
                        raise item
                    found.append(item)
                    if len(found) == _MOST_TOGETHER:
                        break
                    item = self._ended.get_nowait()
            except queue.Empty:
                pass
            self._num_left -= len(found)
            yield found
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK_S
                self._give_up(now)

    def rest(self) -> list[Episode]:
        """Return what ended after the last look, once the crew is closed."""
        found: list[Episode] = []
        with suppress(queue.Empty):
            while True:
                item = self._ended.get_nowait()
                if isinstance(item, Episode):
                    found.append(item)
        return found

    def close(self) -> None:
        """Let all threads end what they play, waiting ten seconds at most; calling it again does nothing."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()
            players = list(self._players.values())
        stop = time.monotonic() + _LEAVE_S
        for player in players:
            player.thread.join(max(0.0, stop - time.monotonic()))

    def take(self, player: _Player) -> tuple[Job, int] | None:
        """Return what a thread is to play, and the number of the attempt; None: it is to end."""
        with self._lock:
            if self._stopped or player.is_given_up or len(self._players) > self.num_at_once or not self._waiting:
                self._players.pop(player.number, None)
                return None
            return self._waiting.popleft()

    def hand_in(self, player: _Player, attempt: Attempt, episode: Episode) -> bool:
        """Take an episode of a thread; return whether it is to try again."""
        with self._lock:
            if player.is_given_up:  # while it ended: the episode is somebody else's now
                return False
            player.attempt = None
            player.has_stepped = True
            self.num_done += attempt.num_done
            if self._may_retry(episode):
                return True
        self._ended.put(episode)
        return False

    def fail(self, player: _Player, error: BaseException) -> None:
        """Take what a thread could not handle; the bench ends with it."""
        with self._lock:
            self._players.pop(player.number, None)
            if player.is_given_up:
                return
        self._ended.put(error)

    def _may_retry(self, episode: Episode) -> bool:
        return episode.failure is not None and episode.num_attempts <= self._settings.max_retries and not self._stopped

    def _fill(self) -> None:
        """Start threads while there are too few."""
        with self._lock:
            for _ in range(min(self.num_at_once - len(self._players), len(self._waiting))):
                self._num_players += 1
                player = self._players[self._num_players] = _Player(
                    self._num_players, self, self._agent, self._settings
                )
                player.thread.start()

    def _give_up(self, now: float) -> None:
        """Leave those alone that hang; their episodes are tried again, or have failed."""
        for player in list(self._players.values()):
            attempt = player.attempt
            failure = attempt.late(now) if attempt is not None else None
            if attempt is None or failure is None:
                continue
            with self._lock:
                if player.attempt is not attempt:
                    continue  # it has just ended
                player.is_given_up = True
                player.attempt = None
                self._players.pop(player.number, None)
                self.num_done += attempt.num_done
                self._hanging = [each for each in self._hanging if each.thread.is_alive()] + [player]
                episode = attempt.ended(failure)
                if self._may_retry(episode):
                    self._waiting.appendleft((episode.job, episode.num_attempts + 1))
                else:
                    self._ended.put(episode)
            if len(self._hanging) > _MOST_HANGING:
                raise BenchError(
                    f"{len(self._hanging)} threads hang, which nothing can stop; the last: {failure['message']}. Mend "
                    "what hangs, or use --workers processes where it is the environment, and type the same command "
                    "to go on"
                )


class _Player:
    """A thread that plays one episode after another."""

    def __init__(self, number: int, crew: Crew, agent: Agent, settings: Settings) -> None:
        self.number = number
        self.attempt: Attempt | None = None
        self.is_given_up = False
        self.has_stepped = False
        # A daemon, since an agent may wait for ever.
        self.thread = threading.Thread(target=self._work, name=f"bench-{number}", daemon=True)
        self._crew = crew
        self._agent = agent
        self._settings = settings
        self._place: Place | FarPlace | None = None

    def _work(self) -> None:
        try:
            while (taken := self._crew.take(self)) is not None:
                job, number = taken
                while True:
                    place = self._at(job.env_id)
                    attempt = self.attempt = Attempt(job, self._agent.player(job), self._settings, number)
                    if not self._crew.hand_in(self, attempt, attempt.play(place)):
                        break
                    number += 1
        except BaseException as error:
            self._crew.fail(self, error)
        finally:
            if self._place is not None:
                self._place.close()

    def _at(self, env_id: str) -> Place | FarPlace:
        if self._place is None or self._place.env_id != env_id:
            if self._place is not None:
                self._place.close()
            self._place = self._crew.place(env_id)
        return self._place
