"""One attempt at one episode, in the thread that calls it: no hop to another thread for a step or a turn.

Before anything that may hang (a reset, a step, a turn of the agent) an attempt writes down what it is about to do and
until when. Whoever watches may give it up from another thread, with the episode as far as it came.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium
import numpy as np

from agentrl.bench.conversation import Conversation
from agentrl.bench.errors import AgentError, OutOfRoom
from agentrl.bench.types import Episode, Job
from agentrl.envs.protocol import Failure, Policy
from agentrl.envs.runner import Event, Runner

if TYPE_CHECKING:
    from agentrl.bench.faraway import FarPlace
    from agentrl.bench.run import Settings

__all__ = ["Attempt", "Deed", "Place"]

_MOST_TOKENS = 2**53  # a count beyond it is no count
_GRACE_S = 1.0  # an agent on the event loop is cancelled there first, which is tidier


class Deed(NamedTuple):
    """Something that may hang."""

    what: Literal["reset", "step", "turn"]
    allowed_s: float
    until: float  # time.monotonic()


class Place:
    """Where a thread plays: one environment, kept from episode to episode, made anew after it failed.

    Args:
        env_id: Of Gymnasium.
        kwargs: Arguments of the environment.
        workers: "threads": it lives here. "processes": in a process of its own.
        deadline_s: Seconds that one reset or step may take.
    """

    def __init__(self, env_id: str, kwargs: Mapping[str, Any], workers: str, deadline_s: float) -> None:
        self.env_id = env_id
        self.deadline_s = deadline_s
        self.is_watched = workers == "processes"  # the runner there ends what hangs
        self._kwargs = dict(kwargs)
        self._runner: Runner | None = None
        self._env: gymnasium.Env[Any, Any] | None = None
        self._policy: Policy | None = None
        self._seen: tuple[Any, dict[str, Any]] = (None, {})

    def reset(self, seed: int, options: dict[str, Any], player: str) -> Event:
        """Begin an episode; what the environment raises becomes the event's failure.

        Args:
            seed: Of the task.
            options: Of the reset.
            player: One that the environment ships chooses the actions; empty: the caller does.
        """
        if self.is_watched:
            if self._runner is None:
                self._runner = Runner(
                    self.env_id,
                    num_slots=1,
                    workers="processes",
                    deadline_s=self.deadline_s,
                    env_kwargs=self._kwargs,
                )
            self._runner.reset(0, seed=seed, options=options, policy=player)
            return self._runner.recv()
        try:
            if self._env is None:
                self._env = gymnasium.make(self.env_id, disable_env_checker=True, **self._kwargs)
            self._seen = self._env.reset(seed=seed, options=options)
            self._policy = _shipped(self._env.unwrapped, player) if player else None
            return self._event("reset", None, 0.0, False, False)
        except BaseException as error:  # SystemExit too: it is somebody else's code
            return self._failed("reset", None, error)

    def step(self, action: str | None) -> Event:
        """Take a step; without an action the environment's own player chooses it."""
        if self._runner is not None:
            self._runner.step(0, action)
            return self._runner.recv()
        assert self._env is not None
        try:
            if self._policy is not None:
                action = self._policy(*self._seen)
            observation, reward, terminated, truncated, info = self._env.step(action)
            self._seen = observation, info
            return self._event("step", action, float(reward), bool(terminated), bool(truncated))
        except BaseException as error:
            return self._failed("step", action, error)

    def close(self) -> None:
        """Close the environment; calling it again does nothing."""
        env, self._env = self._env, None
        if env is not None:
            with suppress(BaseException):  # it failed already, or has been played to its end
                env.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def _event(
        self, kind: Literal["reset", "step"], action: str | None, reward: float, terminated: bool, truncated: bool
    ) -> Event:
        observation, info = self._seen
        if info.get("failure") is not None:
            self.close()
        return Event(
            slot=0,
            kind=kind,
            observation=observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info=info,
            action=action,
        )

    def _failed(self, kind: Literal["reset", "step"], action: str | None, error: BaseException) -> Event:
        self.close()
        which, boundary = getattr(error, "kind", None), getattr(error, "boundary", None)
        if not isinstance(which, str) or not isinstance(boundary, str):  # as InfrastructureError has them
            which, boundary = "error", "environment"
        failure: Failure = {"kind": which, "boundary": boundary, "message": f"{type(error).__name__}: {error}"}
        self._seen = None, {"failure": failure}
        return self._event(kind, action, 0.0, False, True)


class Attempt:
    """One attempt at an episode.

    Args:
        job: Which.
        player: A policy, or the name of a player that the environment ships.
        settings: Of the bench.
        number: Of the attempt, from 1.
    """

    def __init__(self, job: Job, player: str | Policy, settings: Settings, number: int) -> None:
        self.job = job
        self.number = number
        self.deed: Deed | None = None  # what may hang now
        self.num_done = 0  # resets and steps that have ended
        self._player = player
        self._settings = settings
        self._began = time.monotonic()
        self._talk: Conversation | None = None
        self._task_id = str(job.seed)
        self._latencies: list[float] = []
        self._rewards: dict[str, float] = {}
        self._by_turn: list[tuple[float, dict[str, float]]] = []
        self._reward = 0.0
        self._event: Event | None = None
        self._is_left = False  # by the agent

    def play(self, place: Place | FarPlace) -> Episode:
        """Play to the end, and have the player let go of what it holds.

        Raises:
            AgentError: The agent cannot be used at all.
        """
        try:
            return self._play(place)
        finally:
            close = getattr(self._player, "close", None)
            if close is not None:
                close()

    def _play(self, place: Place | FarPlace) -> Episode:
        name, policy = (self._player, None) if isinstance(self._player, str) else ("", self._player)
        job, settings = self.job, self._settings
        options: dict[str, Any] = {"split": settings.split, **({"level": job.level} if job.level else {})}
        self._begin("reset", place)
        event = place.reset(job.seed, options, name)
        wrong = self._hear(event)
        while not event.done and wrong is None:
            action = None
            if policy is not None:
                try:
                    action = self._turn(policy, event)
                except AgentError:
                    raise  # the next episode would say the same
                except OutOfRoom:
                    self.deed = None
                    self._latencies.pop()  # it was no turn
                    self._is_left = True
                    return self.ended(None)
                except (Exception, SystemExit) as error:  # sys.exit ends its episode, not the bench
                    self.deed = None
                    kind = "timeout" if isinstance(error, TimeoutError) else "error"
                    return self.ended(Failure(kind=kind, boundary="agent", message=f"{type(error).__name__}: {error}"))
            self._begin("step", place)
            event = place.step(action)
            wrong = self._hear(event)
        return self.ended(wrong or _told(event.failure))

    def ended(self, failure: Failure | None) -> Episode:
        """Return the episode as far as it came; from any thread."""
        event, talk = self._event, self._talk
        if failure is None and not math.isfinite(self._reward):
            failure = Failure(kind="reward", boundary="environment", message=f"the reward is {self._reward}, no number")
        success = event.info.get("success") if event is not None and event.kind == "step" else None
        success = False if self._is_left else success  # as the trainer counts it
        return Episode(
            job=self.job,
            task_id=self._task_id,
            prompt=talk.prompt if talk else "",
            reward=self._reward if failure is None else 0.0,
            rewards=self._rewards if failure is None else {},
            turn_rewards=tuple(reward for reward, _ in self._by_turn) if failure is None else (),
            turn_components=tuple(components for _, components in self._by_turn) if failure is None else (),
            success=bool(success) if failure is None and success is not None else None,
            truncated=self._is_left or (event is not None and event.truncated),
            num_turns=max(0, self.num_done - 1),
            failure=failure,
            num_attempts=self.number,
            seconds=time.monotonic() - self._began,
            latencies=tuple(self._latencies),
            prompt_tokens=_counted(getattr(self._player, "prompt_tokens", None)),
            completion_tokens=_counted(getattr(self._player, "completion_tokens", None)),
            messages=tuple(talk.log) if talk else (),
        )

    def late(self, now: float) -> Failure | None:
        """Return the failure of what has taken longer than it may; None where nothing has."""
        deed = self.deed
        if deed is None or now < deed.until:
            return None
        if deed.what == "turn":
            message = f"the agent did not answer within {deed.allowed_s:g} s"
            return Failure(kind="timeout", boundary="agent", message=message)
        message = f"a {deed.what} did not end within {deed.allowed_s:g} s"
        return Failure(kind="timeout", boundary="environment", message=message)

    def _begin(self, what: Literal["reset", "step"], place: Place | FarPlace) -> None:
        if not place.is_watched:
            self.deed = Deed(what, place.deadline_s, time.monotonic() + place.deadline_s)

    def _turn(self, policy: Policy, event: Event) -> str:
        began = time.monotonic()
        turn_s = self._settings.turn_s
        self.deed = Deed("turn", turn_s, began + turn_s + _GRACE_S)
        try:
            action = policy(event.observation, event.info)
        finally:
            self._latencies.append(time.monotonic() - began)
        self.deed = None
        assert self._talk is not None
        self._talk.say(action)
        return action

    def _hear(self, event: Event) -> Failure | None:
        """Take down what the environment said; return its failure where that is outside the protocol."""
        self.deed = None
        self._event = event
        self.num_done += 1
        if event.failure is None and (wrong := _wrong(event, self.num_done - 1)) is not None:
            return wrong
        observation = "" if event.observation is None else event.observation
        if event.kind == "reset":
            self._talk = Conversation(observation, event.info)
            self._task_id = str((event.info.get("task") or {}).get("id", self.job.seed))
            return None
        assert self._talk is not None
        if isinstance(self._player, str):
            self._talk.say("" if event.action is None else event.action)
        self._talk.hear(observation, event.info)
        if event.done:
            self._talk.end(event.info)
        self._reward += event.reward
        components = {name: float(value) for name, value in (event.info.get("rewards") or {}).items()}
        self._by_turn.append((event.reward, components))
        for name, value in components.items():
            self._rewards[name] = self._rewards.get(name, 0.0) + value
        return None


def _wrong(event: Event, num_turns: int) -> Failure | None:
    """Return the failure of an environment that answered what the protocol does not know, as the trainer reads it."""
    from agentrl.trainer.answers import AnswerError, read_reset, read_step  # lazily: whoever reads runs needs it not

    success = event.info.get("success")
    if event.kind == "step" and success is not None and not isinstance(success, bool | np.bool_):
        message = f"info['success'] is {success!r:.80}, but must be True, False or None"
        return Failure(kind="success", boundary="environment", message=message)
    try:
        if event.kind == "reset":
            read_reset((event.observation, event.info))
        else:  # the reward is looked at when the episode has ended
            read_step((event.observation, 0.0, event.terminated, event.truncated, event.info), num_turns)
    except AnswerError as error:
        return Failure(kind="answer", boundary="environment", message=str(error))
    return None


def _told(failure: object) -> Failure | None:
    """Return a failure as plain text, whatever the environment put there."""
    if not failure:
        return None
    told = failure if isinstance(failure, Mapping) else {"message": repr(failure)[:200]}
    return Failure(
        kind=str(told.get("kind", "unknown")),
        boundary=str(told.get("boundary", "environment")),
        message=str(told.get("message", "no message")),
    )


def _counted(count: object) -> int | None:
    """Return a number of tokens; None for what a server gave that can be none."""
    return count if isinstance(count, int) and 0 <= count <= _MOST_TOKENS else None


def _shipped(env: Any, name: str) -> Policy:
    """Return a cheat of the environment by its name, or its oracle or floor; the agent has seen that it is there."""
    cheats = dict(env.cheats()) if hasattr(env, "cheats") else {}
    policy: Policy = cheats[name] if name in cheats else getattr(env, name)()
    return policy
