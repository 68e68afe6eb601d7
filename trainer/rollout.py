"""Play episodes: many at once, environments in threads, turns sampled by the engine.

What the engine sampled is kept as sampled; what the environment says is appended as the chat template renders it, and
masked. When an environment fails, hangs or dies, the episode is played again in a fresh one, then given up and counted:
infrastructure is never a reward of 0.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gymnasium
import numpy as np

from agentrl.trainer.answers import Context, Opening, Outcome, read_reset, read_step
from agentrl.trainer.chat import Chat, TemplateError
from agentrl.trainer.desk import Allowance, Desk, Desks, EnvFailure
from agentrl.trainer.engines.base import Engine, Schedule, Session
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.groupscores import GroupScores
from agentrl.trainer.history import History
from agentrl.trainer.talks import Talks
from agentrl.trainer.textualize import make_text_env
from agentrl.trainer.types import Episode
from agentrl.trainer.wrapping import WrapperConfig, make_env

if TYPE_CHECKING:
    from agentrl.trainer.workers import RayWorkers

__all__ = ["RolloutConfig", "Rollouts", "Task", "make_text_env"]


_BARE: Final = WrapperConfig()


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How episodes are played."""

    concurrency: int = 128  # episodes at once
    max_turn_tokens: int = 256  # sampled in one turn at most
    max_episode_tokens: int = 2048  # of a whole episode, prompt and replies included
    turn_timeout_s: float = 60.0  # one reset or step of the environment
    episode_timeout_s: float = 600.0  # all resets and steps of an episode together, retries included
    max_retries: int = 2  # fresh attempts after an infrastructure failure
    schedule: Schedule | None = None  # "exact" (reproducible) or "eager" (slow environments); none: as it must be

    def __post_init__(self) -> None:
        for name in ("concurrency", "max_turn_tokens", "max_episode_tokens", "turn_timeout_s", "episode_timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"rollout.{name} is {getattr(self, name)!r}, but must be a number above 0")
        if self.max_retries < 0:
            raise ConfigError(f"rollout.max_retries is {self.max_retries!r}, but must be 0 or more")
        if self.schedule not in (None, "exact", "eager"):
            raise ConfigError(f"rollout.schedule is {self.schedule!r}; choose exact or eager")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One episode to play. Members of a group share the seed, and so the task."""

    step: int
    group: int
    member: int
    seed: int  # of the environment
    split: str
    level: int | None  # None: the environment's own default
    temperature: float
    env_id: str | None = None  # None: that of the rollouts


class Rollouts:
    """Plays tasks, each on its own environment id or on that of all.

    Args:
        env_id: Any registered Gymnasium id; spaces without text are spoken (`textualize.py`).
        env_kwargs: Passed to `gymnasium.make`.
        engine: Samples the turns.
        chat: Turns messages into tokens.
        config: Limits.
        wrapper: What the environments are wrapped in.
        workers: Processes that hold the environments; None: threads of this one do.
    """

    def __init__(
        self,
        *,
        env_id: str,
        env_kwargs: Mapping[str, Any],
        engine: Engine,
        chat: Chat,
        config: RolloutConfig,
        wrapper: WrapperConfig = _BARE,
        workers: RayWorkers | None = None,
    ) -> None:
        self._env_id = env_id
        self._engine = engine
        self._chat = chat
        self._config = config
        make = partial(make_env, kwargs=dict(env_kwargs), wrapper=wrapper)
        self._desks = Desks(make) if workers is None else workers.desks(make)
        self._groups = GroupScores(self._desks, turn_s=config.turn_timeout_s, max_retries=config.max_retries)

    def play(self, tasks: Sequence[Task]) -> list[Episode]:
        """Play every task; return the episodes in the order of the tasks, failed ones with `failure` set.

        Raises:
            EngineError: When the engine fails.
            ConfigError: When the environment cannot be made, or is not a text environment.
        """
        try:
            return asyncio.run(self._play(tasks))
        except ExceptionGroup as group:  # one reason is enough: the first stopped all the others
            raise group.exceptions[0] from None

    def score_groups(self, episodes: list[Episode]) -> list[Episode]:
        """Have finished groups scored together where their environment does that; return the same episodes.

        Called from a thread that runs no event loop.
        """
        self._groups.apply(episodes)
        return episodes

    def close(self) -> None:
        """Close the environments, those at work once their episode is over; what is played later has new ones.

        Waits at most five seconds; may be called twice.
        """
        self._desks.close()

    async def _play(self, tasks: Sequence[Task]) -> list[Episode]:
        episodes: list[Episode | None] = [None] * len(tasks)
        upcoming = iter(range(len(tasks)))
        # All sessions are opened before the first turn: the engine then knows for how many to wait.
        sessions = [self._engine.session() for _ in range(min(self._config.concurrency, len(tasks)))]

        async def work(session: Session) -> None:
            try:
                for index in upcoming:
                    episodes[index] = await self.play_one(tasks[index], session)
            finally:
                session.close()

        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(work(session))
        return [episode for episode in episodes if episode is not None]

    async def play_one(self, task: Task, session: Session) -> Episode:
        """Play one task; errors as of `play`."""
        env_id = self._env_of(task)
        desk = self._desks.lend(env_id)
        try:
            episode, desk = await self._persist(task, session, desk)
        finally:
            self._desks.take_back(env_id, desk)
        return episode

    async def _persist(self, task: Task, session: Session, desk: Desk) -> tuple[Episode, Desk]:
        """Play a task, again in a fresh environment while infrastructure fails."""
        # Time spent waiting for others is not counted: one straggler must not make its neighbours late.
        allowance = Allowance(turn_s=self._config.turn_timeout_s, episode_s=self._config.episode_timeout_s)
        for attempt in range(self._config.max_retries + 1):
            episode = _blank(self._env_of(task), task, attempt)
            start = time.perf_counter()
            try:
                await self._episode(episode, task, session, desk, allowance)
            except EnvFailure as failure:
                episode.failure = failure.as_dict()
            session.forget()
            episode.timings["episode_s"] = time.perf_counter() - start
            if episode.failure is None:
                break
            desk.abandon()
            desk = self._desks.fresh(self._env_of(task))
            if allowance.left_s <= 0:
                break
        return episode, desk

    async def _episode(self, episode: Episode, task: Task, session: Session, desk: Desk, allowance: Allowance) -> None:
        options = {"split": task.split, **({} if task.level is None else {"level": task.level})}
        opening = await desk.call(partial(_reset, seed=task.seed, options=options), allowance, "reset")
        episode.task_id = str(task.seed) if opening.task_id is None else opening.task_id
        episode.level = (task.level or 0) if opening.level is None else opening.level
        talks = Talks(self._begin)
        context = opening.context or Context(
            messages=[
                *([{"role": "system", "content": opening.system}] if opening.system else []),
                {"role": "user", "content": opening.observation},
            ],
            tools=opening.tools,
        )
        state = _state_key([opening.observation])
        sampled_s = env_s = 0.0
        num_turns = 0  # those that are not trained on included
        while True:
            episode.messages += map(_read, context.messages)
            if not self._hear(talks, context, is_first=not num_turns):  # nobody will answer it any more
                episode.truncated_by = "context"
                break
            if talks.moved:
                session.forget()
            seed = _request_seed(task, num_turns)
            began = time.perf_counter()
            completion = await session.generate(
                talks.request(temperature=task.temperature, seed=seed, order=(task.step, task.group, task.member))
            )
            sampled_s += time.perf_counter() - began
            if completion.finish == "abort":  # half a turn is no answer: the episode is played again
                raise EnvFailure("aborted", "engine", "a weight update ended the turn (engine.in_flight is 'abort')")
            action = talks.say(completion)
            num_turns += 1
            episode.messages.append({"role": "assistant", "content": action})
            if context.trained:
                episode.num_turns += 1
                episode.versions.append(completion.version)
                episode.turn_lengths.append(len(completion.token_ids))
                episode.turn_states.append(state)
            else:
                episode.messages[-1] = _read(episode.messages[-1])
            began = time.perf_counter()
            step = partial(_step, action=action, num_turns=num_turns)
            outcome = await desk.call(step, allowance, "step")
            env_s += time.perf_counter() - began
            if outcome.failure is not None:
                raise EnvFailure(**outcome.failure)
            _note(episode, outcome)
            if outcome.terminated or outcome.truncated:
                episode.success = outcome.success
                if outcome.answer is not None:
                    episode.messages.append({"role": "assistant", "content": f"<answer>{outcome.answer}</answer>"})
                cut, turned_off = context.trained and completion.finish == "length", not outcome.terminated
                episode.truncated_by = "length" if cut else "turns" if turned_off else None
                break
            context = outcome.context or Context(messages=outcome.replies, after=num_turns - 1)
            state = _state_key([str(message.get("content")) for message in context.messages])
        talks.write(episode)
        episode.timings.update(sample_s=sampled_s, env_s=env_s)

    def _begin(self, context: Context) -> History:
        return History(
            self._chat,
            context.messages,
            context.tools,
            max_turn_tokens=self._config.max_turn_tokens,
            max_episode_tokens=self._config.max_episode_tokens,
        )

    def _hear(self, talks: Talks, context: Context, *, is_first: bool) -> bool:
        """Read a context; one that the template cannot render is a program's, and costs its episode alone."""
        try:
            return talks.hear(context)
        except TemplateError as error:
            if is_first:
                raise
            raise EnvFailure("template", "chat", str(error)) from error

    def _env_of(self, task: Task) -> str:
        return task.env_id or self._env_id


def _reset(env: gymnasium.Env[Any, Any], seed: int, options: dict[str, Any]) -> Opening:
    return read_reset(env.reset(seed=seed, options=options))


def _step(env: gymnasium.Env[Any, Any], action: str, num_turns: int) -> Outcome:
    return read_step(env.step(action), num_turns)


def _read(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message that was read, as it is stored: one of the assistant was no turn of this episode."""
    return {**message, "given": True} if message["role"] == "assistant" else dict(message)


def _note(episode: Episode, outcome: Outcome) -> None:
    """Add what a turn earned.

    What one earns that is not trained on belongs to the one before it that is; to the first where there is none yet.
    """
    episode.reward += outcome.reward
    episode.carry = dict(outcome.carry)
    if len(episode.turn_rewards) < max(1, episode.num_turns):
        episode.turn_rewards.append(0.0)
        episode.turn_components.append({})
    episode.turn_rewards[-1] += outcome.reward
    for counted in (episode.rewards, episode.turn_components[-1]):
        for name, value in outcome.rewards.items():
            counted[name] = counted.get(name, 0.0) + value


def _state_key(texts: Sequence[str]) -> str:
    """Hash what a turn answers, so that turns before the same text can be compared."""
    joined = "\x00".join(texts).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def _request_seed(task: Task, turn: int) -> int:
    return int(
        np.random.SeedSequence([task.seed, task.step, task.group, task.member, turn]).generate_state(1, np.uint64)[0]
    )


def _blank(env_id: str, task: Task, attempt: int) -> Episode:
    return Episode(
        env_id=env_id,
        seed=task.seed,
        step=task.step,
        group=task.group,
        member=task.member,
        attempt=attempt,
        split=task.split,
        level=task.level or 0,
        task_id="",
        token_ids=[],
        mask=[],
        logprobs=[],
        reward=0.0,
        rewards={},
        success=None,
        failure=None,
        truncated_by=None,
        messages=[],
        num_turns=0,
        versions=[],
        timings={},
        advantage=0.0,
    )
