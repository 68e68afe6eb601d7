"""The environment under check: makes instances of it, plays episodes, and knows what it offers.

Every call that may hang leaves a crumb. Instances are closed after each check. Episodes that several checks look at
are played once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np

from agentrl.envs.checker.crumbs import Crumbs
from agentrl.envs.checker.episodes import Episode, Step, Task, kept, last_line, shown
from agentrl.envs.checker.job import Job
from agentrl.envs.checker.players import random_player
from agentrl.envs.checker.record import NotApplicable
from agentrl.envs.checker.surroundings import Surroundings
from agentrl.envs.protocol import SPLITS
from agentrl.envs.turns import final_answers

__all__ = ["Env", "Facts", "Subject"]

Env = gymnasium.Env[Any, Any]
Policy = Callable[[str, dict[str, Any]], str]
_FEW_STEPS = 200  # where neither the environment nor its registration says after how many turns it ends


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the environment offers, by looking at it."""

    offers: frozenset[str]  # of oracle, noop, cheats, snapshot, restore, box
    levels: tuple[int, ...]  # to be checked; empty where there are none
    unknown_levels: tuple[int, ...]  # asked for and not there
    splits: tuple[str, ...]
    runs_code: bool
    max_turns: int | None
    weights: dict[str, float] | None
    protocol: bool  # whether it speaks the text-agent protocol: `reset` says which task this is


class Subject:
    """One environment on one backend.

    Args:
        job: Which, and how much is asked.
        crumbs: Where to say what is being done.
    """

    def __init__(self, job: Job, crumbs: Crumbs) -> None:
        self.job = job
        self.profile = job.profile
        self.crumbs = crumbs
        self.reset_s: list[float] = []
        self.step_s: list[float] = []
        self.surroundings = Surroundings.now()
        self.elsewhere: Any = None  # what a fresh process answered; see `elsewhere.py`
        self._open: list[Env] = []
        self._played: dict[str, list[Episode]] = {}
        self._begun: dict[tuple[str | None, int | None], list[Episode]] = {}
        self._solutions: dict[Task, Episode] = {}

    # -- one call --------------------------------------------------------------------------------------------------

    def make(self, **more: Any) -> Env:
        """Make an instance; it is closed after the check."""
        with self.crumbs.during("making the environment"):
            env: Env = gymnasium.make(self.job.env_id, disable_env_checker=True, **{**self.job.kwargs, **more})
        self._open.append(env)
        return env

    def release(self) -> None:
        """Close what this check has made."""
        for env in self._open:
            with contextlib.suppress(Exception), self.crumbs.during("close()"):
                env.close()
        self._open.clear()

    def reset(self, env: Env, task: Task) -> tuple[Any, Any]:
        """Begin an episode."""
        options = {name: value for name, value in (("level", task.level), ("split", task.split)) if value is not None}
        before = time.perf_counter()
        with self.crumbs.during(f"reset({task})"):
            observation, info = env.reset(seed=task.seed, **({"options": options} if options else {}))
        self.reset_s.append(time.perf_counter() - before)
        return observation, kept(info)

    def step(self, env: Env, action: Any, task: Task | None = None) -> Step:
        """Take a turn."""
        before = time.perf_counter()
        with self.crumbs.during(f"step({shown(action)!r})" + (f" of {task}" if task else "")):
            observation, reward, terminated, truncated, info = env.step(action)
        self.step_s.append(time.perf_counter() - before)
        return Step(observation=observation, reward=reward, terminated=terminated, truncated=truncated, info=kept(info))

    # -- episodes --------------------------------------------------------------------------------------------------

    def play(
        self, env: Env, make_policy: Callable[[Any], Policy], task: Task, *, role: str, max_steps: int | None = None
    ) -> Episode:
        """Play an episode; what is raised is written down in it.

        Args:
            env: An instance.
            make_policy: Called after the reset with the unwrapped environment.
            task: What to reset to.
            role: Who plays.
            max_steps: Turns after which it is left; None: `most_steps`.
        """
        episode = Episode(role=role, task=task)
        try:
            episode.observation, episode.info = self.reset(env, task)
            policy = make_policy(env.unwrapped)
            observation, info = episode.observation, episode.info
            for _ in range(max_steps if max_steps is not None else self.most_steps):
                with self.crumbs.during(f"the policy of {episode}"):
                    action = policy(observation, info)
                episode.actions.append(action)
                episode.steps.append(self.step(env, action, task))
                if episode.ended:
                    break
                observation, info = episode.steps[-1].observation, episode.steps[-1].info
        except Exception as error:
            episode.error = last_line(error)
        return episode

    def replay(self, env: Env, task: Task, actions: Sequence[str]) -> Episode:
        """Play given actions, as far as the episode goes; what is raised passes through."""
        episode = Episode(role="replay", task=task)
        episode.observation, episode.info = self.reset(env, task)
        for action in actions:
            episode.actions.append(action)
            episode.steps.append(self.step(env, action, task))
            if episode.ended:
                break
        return episode

    def script(self, env: Env, task: Task) -> Episode:
        """Play an episode worth repeating: a few random turns, then the solution where there is one."""

        def mixed(inner: Any) -> Policy:
            wild = random_player(np.random.default_rng(task.seed or 0), answers=False)
            solver = inner.oracle() if "oracle" in self.facts.offers else random_player(np.random.default_rng(1))
            turns = iter(range(10**9))
            return lambda observation, info: (wild if next(turns) < 2 else solver)(observation, info)

        return self.play(env, mixed, task, role="a mixed player")

    def tasks(self, num: int, split: str | None = None) -> list[Task]:
        """Return `num` tasks of each level; seeds count from 0."""
        split = split if split in self.facts.splits else None
        levels: Iterable[int | None] = self.facts.levels or (None,)
        return [Task(seed=seed, level=level, split=split) for level in levels for seed in range(num)]

    def few_tasks(self, num: int) -> list[Task]:
        """Return `num` tasks spread over the levels, with different seeds."""
        levels: Sequence[int | None] = self.facts.levels or (None,)
        return [Task(seed=1000 + index, level=levels[index % len(levels)]) for index in range(num)]

    def solution(self, task: Task) -> Episode:
        """Return the oracle's episode of a task."""
        if task not in self._solutions:
            env = self.make()
            self._solutions[task] = self.play(env, lambda inner: inner.oracle(), task, role="oracle")
        return self._solutions[task]

    def right_answer(self, task: Task) -> str | None:
        """Return what the oracle answers: the content of its answer tag, or a short last action as it is."""
        episode = self.solution(task)
        if not episode.actions or not episode.ended:
            return None
        answers = final_answers(episode.actions[-1])
        if len(answers) == 1:
            return answers[0]
        whole = episode.actions[-1].strip()
        return whole if 0 < len(whole) <= 200 else None

    def played(self, role: str) -> list[Episode]:
        """Return the episodes of "oracle", "noop" or "random", played once; empty where it is not offered."""
        if role not in self._played:
            self._played[role] = list(self._play_all(role))
        return self._played[role]

    def starts(self, split: str | None = None, level: int | None = None) -> list[Episode]:
        """Return the first observations of many tasks of a split and level, begun once."""
        split = split or next(iter(self.facts.splits), None)
        key = (split, level)
        if key not in self._begun:
            # Where only the tools are in a box, a task is the same without one, and sooner begun.
            env = self.make() if self.facts.runs_code or self.job.backend == "-" else self.make(backend="auto")
            self._begun[key] = []
            for seed in range(self.profile.starts):
                task = Task(seed=seed, level=level, split=split)
                observation, info = self.reset(env, task)
                self._begun[key].append(Episode(role="start", task=task, observation=observation, info=info))
        return self._begun[key]

    def _play_all(self, role: str) -> Iterator[Episode]:
        if role != "random" and role not in self.facts.offers:
            return
        env = self.make()
        if role == "oracle":
            tasks = self.tasks(self.profile.seeds, "train")
            if "test" in self.facts.splits:
                tasks += self.tasks(max(1, self.profile.seeds // 3), "test")
            for task in tasks:
                self._solutions[task] = self.play(env, lambda inner: inner.oracle(), task, role=role)
                yield self._solutions[task]
            return
        for task in self.tasks(self.profile.floors):
            if role == "noop":
                yield self.play(env, lambda inner: inner.noop(), task, role=role)
            else:
                generator = np.random.default_rng(task.seed)
                yield self.play(env, lambda inner, drawn=generator: random_player(drawn), task, role=role)  # type: ignore[misc]

    # -- what it offers --------------------------------------------------------------------------------------------

    @cached_property
    def facts(self) -> Facts:
        """What the environment offers."""
        env = self.make()
        inner: Any = env.unwrapped
        _, info = self.reset(env, Task(seed=0))
        names = ("oracle", "noop", "cheats", "snapshot", "restore")
        offers = {name for name in names if callable(getattr(inner, name, None))}
        # A wrapper that has its own, or refuses, holds state that the environment's does not know.
        offers -= {
            name for name in ("snapshot", "restore") if name in offers and _outer(env, name) != getattr(inner, name)
        }
        levels = tuple(each for each in getattr(inner, "levels", ()) if isinstance(each, int))
        splits: tuple[str, ...] = ()
        asked = self.job.levels or ()
        unknown = tuple(each for each in asked if each not in levels)
        if asked:
            levels = tuple(each for each in levels if each in asked)
        if isinstance(info, dict) and isinstance(info.get("task"), dict) and "split" in info["task"]:
            with contextlib.suppress(Exception):
                seen = [self.reset(env, Task(seed=0, split=split))[1]["task"]["split"] for split in SPLITS]
                splits = SPLITS if tuple(seen) == SPLITS else ()
        turns = _outer(env, "max_turns") or (env.spec.max_episode_steps if env.spec else None)
        weights = getattr(inner, "weights", None)
        return Facts(
            offers=frozenset(offers),
            levels=levels,
            unknown_levels=unknown,
            splits=splits,
            runs_code=bool(getattr(inner, "runs_code", False)),
            max_turns=turns if isinstance(turns, int) else None,
            weights=dict(weights) if isinstance(weights, dict) else None,
            protocol=isinstance(info, dict) and "task" in info,
        )

    @property
    def most_steps(self) -> int:
        """Turns after which an episode must be over; a guess where nobody says."""
        return self.facts.max_turns or _FEW_STEPS

    def require(self, *names: str) -> None:
        """Go on only where the environment offers all of `names`.

        Raises:
            NotApplicable: One is missing.
        """
        missing = [name for name in names if name not in self.facts.offers]
        if missing:
            raise NotApplicable(f"the environment has no {missing[0]}()")


def _outer(env: gymnasium.Env[Any, Any], name: str) -> Any:
    """Return an attribute as the outermost wrapper has it that has one; None where nobody has."""
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
