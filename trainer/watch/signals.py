"""What the watch measures in a training step: pure functions from episodes to figures.

Only episodes without an infrastructure failure count, and those of one environment at a time. The moments that the
statistics need are taken over groups, since episodes of one task are alike and a mean over them is less certain than
their number says.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any, Self

import numpy as np

from agentrl.trainer.metrics import success_rate
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.texts import Phrasebook, distinct, last_turn, overlap, shingles, turns_of

__all__ = ["Moments", "Signals", "figures_of", "signals_of"]

MAX_COMPONENTS = 24  # watched one by one
_MOST = 1e9  # a reward that is larger counts as this much


@dataclass(frozen=True, kw_only=True)
class Moments:
    """One figure of the episodes of a step: the reward, or a component."""

    mean: float
    solved: float  # sum over the solved episodes
    unsolved: float  # sum over the others
    spread: float  # standard deviation over episodes
    variance: float  # of the mean, from the means of groups
    covariance: float  # of the mean with that of success, likewise


@dataclass(frozen=True, kw_only=True)
class Signals:
    """The figures of one environment in one step; plain data, so that a checkpoint holds them."""

    step: int
    env_id: str
    level: int | None  # difficulty of all tasks; None where there are several
    num_episodes: int
    num_solved: int
    success: float | None  # share of solved episodes; None where the environment does not say
    success_variance: float  # of that share, from the means of groups
    reward: Moments
    paid: Moments  # the reward where it is above 0, else 0: a penalty that goes away pays nothing
    components: dict[str, Moments] = field(default_factory=dict)  # where they are above 0, likewise
    products: list[list[float]] = field(default_factory=list)  # mean products of (1, components, reward)
    reward_solved: float | None = None  # mean of the solved episodes
    reward_unsolved: float | None = None  # mean of the others
    association: float | None = None  # correlation of reward and success within groups
    length: float = 0.0  # sampled tokens an episode
    distinct: float | None = None  # different phrases, divided by all
    overlap: float | None = None  # phrases that neighbours in a group share
    common_turn: float = 0.0  # share of the most frequent last turn
    common_text: str = ""  # that turn
    tool: str = ""  # the most used tool
    tool_share: float | None = None  # its share of all calls
    phrase: str = ""  # the phrase that has spread most since the first steps
    phrase_share: float | None = None  # of the episodes that hold it
    phrase_before: float = 0.0  # the same in the first steps
    toolless: float = 0.0  # share of episodes that no tool answered
    toolless_reward: float | None = None  # their mean reward
    toolless_solved: float | None = None  # share of the solved episodes that no tool answered
    tamper: float = 0.0  # share of episodes that touched a trap
    cheats: dict[str, float] = field(default_factory=dict)  # unsolved and paid episodes that play like a known cheat

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """Make it from plain data."""
        told = dict(values)
        told["reward"], told["paid"] = Moments(**told["reward"]), Moments(**told["paid"])
        told["components"] = {name: Moments(**each) for name, each in told["components"].items()}
        return cls(**told)


def signals_of(
    step: int,
    episodes: Sequence[Episode],
    *,
    phrases: Phrasebook,
    match: Callable[[set[tuple[str, ...]]], str] | None = None,
) -> Signals | None:
    """Measure the episodes of one environment in one step.

    Args:
        step: Training step.
        episodes: Of one environment; those that failed, or whose reward is no number, are left out.
        phrases: The phrases of the first steps; it learns from this one.
        match: Names the known cheat that an episode with these phrases plays like, or "".

    Returns:
        The figures; None where no episode is left.
    """
    valid = [episode for episode in episodes if episode.failure is None and math.isfinite(episode.reward)]
    if not valid:
        return None
    solved = np.array([episode.success is True for episode in valid], dtype=float)
    places = {group: place for place, group in enumerate(dict.fromkeys(episode.group for episode in valid))}
    groups = np.array([places[episode.group] for episode in valid])
    names = sorted({name for episode in valid for name in episode.rewards if name != "tamper"})[:MAX_COMPONENTS]
    figures = figures_of(
        step,
        valid[0].env_id,
        rewards=np.array([_finite(episode.reward) for episode in valid]),
        solved=solved,
        components={name: np.array([_finite(episode.rewards.get(name, 0.0)) for episode in valid]) for name in names},
        groups=groups,
    )
    success, levels = success_rate(valid), {episode.level for episode in valid}
    told = [shingles(turns_of(episode)) for episode in valid]
    turns = Counter(text for text in map(last_turn, valid) if text)
    common_text, common = min(turns.items(), key=lambda item: (-item[1], item[0])) if turns else ("", 0)
    risen = phrases.note(told)
    replies = [[message for message in episode.messages if message.get("role") == "tool"] for episode in valid]
    tools = Counter(str(message.get("name", "")) for each in replies for message in each)
    tool, used = min(tools.items(), key=lambda item: (-item[1], item[0])) if tools else ("", 0)
    toolless = np.array([not each for each in replies], dtype=float)
    cheats: Counter[str] = Counter()
    if match is not None:
        for episode, each in zip(valid, told, strict=True):
            if episode.success is not True and episode.reward > 0 and (name := match(each)):
                cheats[name] += 1
    nothing: dict[str, Any] = {"reward_solved": None, "reward_unsolved": None, "association": None}
    return replace(
        figures,
        **(nothing if success is None else {}),
        success=success,
        level=levels.pop() if len(levels) == 1 else None,
        length=fmean(sum(episode.mask) for episode in valid),
        distinct=distinct(told),
        overlap=overlap([[told[each] for each in np.flatnonzero(groups == place)] for place in places.values()]),
        common_turn=common / len(valid) if len({episode.seed for episode in valid}) > 1 else 0.0,
        common_text=common_text,
        tool=tool,
        tool_share=used / tools.total() if tools else None,
        phrase=risen.phrase if risen else "",
        phrase_share=risen.share if risen else None,
        phrase_before=risen.before if risen else 0.0,
        toolless=float(toolless.mean()),
        toolless_reward=_mean(np.array([episode.reward for episode in valid])[toolless > 0]),
        toolless_solved=_mean(toolless[solved > 0]) if success is not None else None,
        tamper=fmean(_finite(episode.rewards.get("tamper", 0.0)) > 0 for episode in valid),
        cheats={name: count / len(valid) for name, count in sorted(cheats.items())},
    )


def figures_of(
    step: int,
    env_id: str,
    *,
    rewards: np.ndarray,
    solved: np.ndarray,
    components: Mapping[str, np.ndarray],
    groups: np.ndarray,
) -> Signals:
    """Measure rewards and success alone.

    Args:
        step: Training step.
        env_id: Of the environment.
        rewards: Of each episode.
        solved: Of each episode, 1 or 0.
        components: Of each episode, by name.
        groups: Of each episode the place of its group, from 0, none left out.
    """
    columns = np.column_stack([np.ones(len(rewards)), *components.values(), rewards])
    is_solved = solved > 0
    return Signals(
        step=step,
        env_id=env_id,
        level=None,
        num_episodes=len(rewards),
        num_solved=int(solved.sum()),
        success=float(solved.mean()),
        success_variance=_covariance(*[_group_means(solved, groups)] * 2),
        reward=_moments(rewards, solved, groups),
        paid=_moments(np.maximum(rewards, 0.0), solved, groups),
        components={name: _moments(np.maximum(values, 0.0), solved, groups) for name, values in components.items()},
        products=(columns.T @ columns / len(rewards)).tolist(),
        reward_solved=_mean(rewards[is_solved]),
        reward_unsolved=_mean(rewards[~is_solved]),
        association=_association(rewards, solved, groups),
    )


def _moments(values: np.ndarray, solved: np.ndarray, groups: np.ndarray) -> Moments:
    means, shares = _group_means(values, groups), _group_means(solved, groups)
    return Moments(
        mean=float(values.mean()),
        solved=float(values @ solved),
        unsolved=float(values.sum() - values @ solved),
        spread=float(values.std()),
        variance=_covariance(means, means),
        covariance=_covariance(means, shares),
    )


def _group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.bincount(groups, weights=values) / np.bincount(groups)
    return found


def _covariance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the covariance of two means over a step, from the means of its groups, which are independent."""
    num = len(one)
    return float((one - one.mean()) @ (other - other.mean())) / (num - 1) / num if num > 1 else 0.0


def _association(rewards: np.ndarray, solved: np.ndarray, groups: np.ndarray) -> float | None:
    """Return the correlation of reward and success about the means of their groups; None where either is constant."""
    one = rewards - _group_means(rewards, groups)[groups]
    other = solved - _group_means(solved, groups)[groups]
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 1e-12 else None


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _finite(value: Any) -> float:
    """Return a number whose products are numbers too; what is none is 0."""
    number = float(value)
    return max(-_MOST, min(_MOST, number)) if math.isfinite(number) else 0.0
