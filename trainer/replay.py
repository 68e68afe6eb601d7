"""Solved tasks that are played again now and then, so that what was learnt is not forgotten unseen.

Replacing flat groups and raising the level both take what is solved out of sight. Here a bounded memory keeps a fair
sample of all tasks that were ever solved, and a small share of each step's places plays from it. A place replays tasks
of the environment that it would have played, so that the weights of a mixture hold.

A replayed group trains like any other: while it is still solved its rewards are equal and it teaches nothing (with
dynamic sampling a fresh task then takes its place); once it is not, it does. It was chosen because it had been solved,
so it counts neither in `success` nor towards the curriculum's next level, but in `replay/success`.

Source: Vitter, Random sampling with a reservoir, ACM TOMS 11 (1985), algorithm R.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

import numpy as np

from agentrl.trainer.errors import ConfigError, TrainerError
from agentrl.trainer.groups import Draw, Played
from agentrl.trainer.metrics import success_rate
from agentrl.trainer.rollout import Task
from agentrl.trainer.types import Episode

__all__ = ["Replay", "ReplayConfig", "Solved"]

_CAPACITY: Final = 1024
_SOLVED_AT: Final = 0.9  # success of a group
_DRAW, _KEEP = 1, 2  # keep the generators of one step apart


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """Solved tasks that are played again."""

    share: float = 0.0  # of a step's groups, on average; 0: none
    capacity: int | None = None  # tasks remembered; none: 1024

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ConfigError(f"replay.share is {self.share}, but must be 0 or more and below 1; write 0.1")
        if self.capacity is not None and not self.share:
            raise ConfigError(
                f"replay.capacity is {self.capacity}, which changes nothing without replay.share; leave it out, or "
                "write share = 0.1"
            )
        if self.capacity is not None and self.capacity < 1:
            raise ConfigError(f"replay.capacity is {self.capacity}, but must be 1 or more; write {_CAPACITY}")

    def check(self, groups_per_step: int) -> None:
        """Refuse a step that has no place to spare: one group at least is fresh.

        Raises:
            ConfigError: There is one group a step.
        """
        if self.share and groups_per_step < 2:
            raise ConfigError(
                f"replay.share is {self.share}, which changes nothing while groups_per_step is {groups_per_step}: one "
                "group at least plays a fresh task; leave it out, or write groups_per_step = 8"
            )


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A task that was solved."""

    env_id: str
    seed: int
    level: int | None  # None: the environment's default
    split: str


@dataclass(kw_only=True)
class Replay:
    """The memory; plain data within, for a checkpoint."""

    tasks: list[Solved] = field(default_factory=list)  # a fair sample of all that were solved
    num_solved: int = 0  # so many were

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Replay:
        """Return the memory that `dataclasses.asdict` wrote; an empty one for an empty mapping."""
        return cls(tasks=[Solved(**task) for task in state.get("tasks", ())], num_solved=state.get("num_solved", 0))

    def draw(self, fresh: Draw, step: int, config: ReplayConfig) -> list[Task]:
        """Return the tasks of the groups of a step that play again what was solved.

        Their number is `share * groups_per_step` on average; a place whose environment has nothing solved stays fresh.

        Args:
            fresh: Draws the step's other tasks; its seed and the step decide what is drawn.
            step: Training step.
            config: The share.
        """
        if not config.share or not self.tasks:
            return []
        rng = np.random.default_rng((fresh.seed, step, _DRAW))
        wanted = int(config.share * fresh.groups_per_step + rng.random())
        order = rng.permutation(fresh.groups_per_step)[: min(wanted, fresh.groups_per_step - 1)]
        left = [self.tasks[index] for index in rng.permutation(len(self.tasks))]
        drawn: list[Task] = []
        for place in sorted(int(place) for place in order):
            group = fresh.tasks(step, level=None, places=[place])
            again = next((task for task in left if task.env_id == group[0].env_id), None)
            if again is not None:
                left.remove(again)
                drawn += [dataclasses.replace(task, **vars(again)) for task in group]
        return drawn

    def note(
        self, played: Played, step: int, config: ReplayConfig, *, level: int | None, seed: int
    ) -> dict[str, float]:
        """Remember the fresh tasks of a step that were solved; return `replay/groups`, `/success` and `/size`.

        Args:
            played: The step's episodes; groups that were replaced, being flat, count as well.
            step: Training step.
            config: The capacity.
            level: Of the fresh tasks.
            seed: Of the run; with the step it decides what is forgotten when the memory is full.

        Raises:
            TrainerError: The environment does not tell success.
        """
        if not config.share:
            return {}
        groups = {episode.group for episode in played.replayed}
        fresh = [each for each in played.everything if each.failure is None and each.group not in groups]
        if fresh and success_rate(fresh) is None:
            raise TrainerError(
                f"replay.share is {config.share}, but the environment does not tell success; start again without replay"
            )
        rng = np.random.default_rng((seed, step, _KEEP))
        for episode in _solved(fresh):
            task = Solved(env_id=episode.env_id, seed=episode.seed, level=level, split=episode.split)
            if task not in self.tasks:
                self._remember(task, config.capacity or _CAPACITY, rng)
        again = success_rate([episode for episode in played.replayed if episode.failure is None])
        metrics = {"replay/groups": float(len(groups)), "replay/size": float(len(self.tasks))}
        return metrics | ({} if again is None else {"replay/success": again})

    def _remember(self, task: Solved, capacity: int, rng: np.random.Generator) -> None:
        del self.tasks[capacity:]  # of a run that is resumed with less
        self.num_solved += 1
        if len(self.tasks) < capacity:
            self.tasks.append(task)
        elif (slot := int(rng.integers(self.num_solved))) < capacity:
            self.tasks[slot] = task


def _solved(episodes: Iterable[Episode]) -> list[Episode]:
    """Return an episode of each solved group, in the order of groups; one valid episode alone proves nothing."""
    groups: defaultdict[int, list[Episode]] = defaultdict(list)
    for episode in episodes:
        groups[episode.group].append(episode)
    return [
        members[0]
        for _, members in sorted(groups.items())
        if len(members) > 1 and fmean(member.success is True for member in members) >= _SOLVED_AT
    ]
