"""Which tasks a step plays: drawn by seed, and replaced where all rewards of a group are equal.

Every seed is a function of (run's seed, step, place, round), so that a resumed run draws what an unbroken one would
have drawn.

Source: dynamic sampling, DAPO, arXiv 2503.14476, section 3.2. There a batch is filled until it is full; here the number
of further rounds is bounded, and what is still flat then is kept.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.metrics import SAME_REWARD
from agentrl.trainer.mixture import pick_env
from agentrl.trainer.rollout import Task
from agentrl.trainer.types import Episode

__all__ = ["Draw", "GroupsConfig", "Played", "flat_groups", "play_step"]

# Keeps the seeds of held-out tasks apart from those of training, where an environment has no splits.
_HELD_OUT: Final = 1_000_003

_MAX_ROUNDS: Final = 3


@dataclass(frozen=True, kw_only=True)
class GroupsConfig:
    """What becomes of groups in which all rewards are equal."""

    dynamic_sampling: bool = False  # replace them by groups of fresh tasks
    max_rounds: int | None = None  # at most so many times a step; none: 3

    def __post_init__(self) -> None:
        if self.max_rounds is not None and not self.dynamic_sampling:
            raise ConfigError(
                f"groups.max_rounds is {self.max_rounds}, which changes nothing without groups.dynamic_sampling; leave "
                "it out, or write dynamic_sampling = true"
            )
        if self.max_rounds is not None and self.max_rounds < 1:
            raise ConfigError(f"groups.max_rounds is {self.max_rounds}, but must be 1 or more; write 3")

    @property
    def rounds(self) -> int:
        """Further rounds a step may have."""
        return (self.max_rounds or _MAX_ROUNDS) if self.dynamic_sampling else 0


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draws tasks; what it gives depends on its arguments only."""

    seed: int  # of the run
    envs: Mapping[str, float]  # weights of the environments, by id
    groups_per_step: int
    group_size: int
    temperature: float

    def tasks(self, step: int, *, level: int | None, places: Iterable[int], round: int = 0) -> list[Task]:
        """Return the tasks of a step's groups.

        Args:
            step: Training step.
            level: Difficulty; None: the environment's default.
            places: Groups, from 0.
            round: 0, or the how-manyth time these places are drawn anew.
        """
        return [
            Task(
                step=step,
                group=round * self.groups_per_step + place,
                member=member,
                seed=_seed(self.seed, step, place, *([round] if round else [])),
                split="train",
                level=level,
                temperature=self.temperature,
                env_id=pick_env(self.envs, (step - 1) * self.groups_per_step + place, seed=self.seed),
            )
            for place in places
            for member in range(self.group_size)
        ]

    def held_out(
        self, step: int, *, num_tasks: int, split: str, level: int | None, member: int, temperature: float
    ) -> list[Task]:
        """Return the held-out tasks of each environment, always the same ones, to be played once each."""
        return [
            Task(
                step=step,
                group=number * num_tasks + index,
                member=member,
                seed=_seed(self.seed, _HELD_OUT, index),
                split=split,
                level=level,
                temperature=temperature,
                env_id=env_id,
            )
            for number, env_id in enumerate(self.envs)
            for index in range(num_tasks)
        ]


@dataclass(frozen=True, kw_only=True)
class Played:
    """The episodes of a step."""

    kept: list[Episode]  # to be trained on
    replaced: list[Episode]  # of groups that were replaced
    first: list[Episode]  # fresh ones of the first round: a fair sample of the tasks, which the others are not
    rounds: int  # further rounds
    replayed: list[Episode] = field(default_factory=list)  # of tasks that were solved before

    @property
    def everything(self) -> list[Episode]:
        """All that was played."""
        return self.kept + self.replaced

    def metrics(self) -> dict[str, float]:
        """Return how many groups were replaced, and how many flat ones are left."""
        return {
            "dynamic_sampling/rounds": float(self.rounds),
            "dynamic_sampling/replaced_groups": float(len({episode.group for episode in self.replaced})),
            "dynamic_sampling/flat_groups": float(len(flat_groups(self.kept))),
        }


def play_step(
    play: Callable[[Sequence[Task]], list[Episode]],
    draw: Draw,
    step: int,
    *,
    level: int | None,
    max_rounds: int,
    replayed: Sequence[Task] = (),
) -> Played:
    """Play a step's groups, and again with fresh tasks where all rewards of a group were equal.

    Args:
        play: Plays tasks.
        draw: Draws them.
        step: Training step.
        level: Difficulty; None: the environment's default.
        max_rounds: Further rounds at most; 0: none.
        replayed: Tasks of whole groups that are played in the first round in place of fresh ones.
    """
    again = {task.group for task in replayed}
    fresh_places = [place for place in range(draw.groups_per_step) if place not in again]
    kept = opening = play([*draw.tasks(step, level=level, places=fresh_places), *replayed])
    replaced: list[Episode] = []
    rounds = 0
    while rounds < max_rounds and (flat := flat_groups(kept)) and any(episode.failure is None for episode in kept):
        rounds += 1
        places = [group % draw.groups_per_step for group in flat]
        fresh = play(draw.tasks(step, level=level, places=places, round=rounds))
        replaced += [episode for episode in kept if episode.group in flat]
        kept = [episode for episode in kept if episode.group not in flat] + fresh
    return Played(
        kept=kept,
        replaced=replaced,
        first=[episode for episode in opening if episode.group not in again],
        rounds=rounds,
        replayed=[episode for episode in opening if episode.group in again],
    )


def flat_groups(episodes: Iterable[Episode]) -> list[int]:
    """Return the groups without two valid episodes of different rewards, in order."""
    rewards: defaultdict[int, list[float]] = defaultdict(list)
    for episode in episodes:
        rewards[episode.group] += [episode.reward] if episode.failure is None else []
    return sorted(
        group for group, values in rewards.items() if len(values) < 2 or statistics.stdev(values) <= SAME_REWARD
    )


def _seed(*parts: int) -> int:
    """Mix numbers into an environment seed below 2**31."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) >> 1
