"""Advantages: how much better an episode, or a turn of it, did than the others that played the same task.

Pure: tensors in, a tensor out. Episodes that the infrastructure spoilt are invalid: they are left out of every baseline
and get 0. So does a group with fewer than two valid episodes, but for reinforce++, which compares the whole batch.

    grpo, dapo            (R - mean) / deviation, in the group                   arXiv 2402.03300, section 4.1.2
    dr_grpo               R - mean, in the group                                 arXiv 2503.20783, section 3.2
    rloo                  R - mean of the others in the group                    arXiv 2402.14740
    maxrl                 (R - mean) / mean, in the group, for rewards from 0    arXiv 2602.02710v3, algorithm 1
    reinforce++           (R - mean) / deviation, in the batch                   arXiv 2501.03262v9, section 3
    reinforce++_baseline  R - mean in the group, / deviation of that in the batch        the same
    turn                  as grpo, of each turn's discounted sum of the rewards from it on
    gigpo                 grpo of the episode, and of turns that answered the same state   arXiv 2505.10978v3, section 4

The deviation is the sample deviation (n - 1) with 1e-4 added, as in TRL 1.16; the papers leave both open. Departures:
the paper on reinforce++ also takes the KL off each token's reward, here that is `loss.kl_in`; the one on maxrl has
rewards of 0 and 1 alone.

Shapes: N episodes, M turns of all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import torch
from torch import Tensor

__all__ = [
    "ADVANTAGES",
    "NORMALISED",
    "TURN_ADVANTAGES",
    "Estimator",
    "TurnEstimator",
    "batch_advantages",
    "gigpo_advantages",
    "group_advantages",
    "returns_to_go",
    "turn_advantages",
]

STD_EPSILON: Final = 1e-4
SCALES: Final = ("group", "batch", "mean", "others", "none")

Estimator = Callable[[Tensor, Tensor, Tensor], Tensor]  # (rewards_N, groups_N, valid_N) -> advantages_N


def group_advantages(
    rewards_N: Tensor, groups_N: Tensor, valid_N: Tensor, *, scale: Literal["group", "batch", "mean", "others", "none"]
) -> Tensor:
    """Return each episode's reward minus its group's mean, scaled.

    Args:
        rewards_N: reward of each episode, shape (N,).
        groups_N: whole numbers, shape (N,); episodes with the same number played the same task. Any order, any numbers.
        valid_N: bool, shape (N,); False where the episode has no reward to trust; NaN is fine there.
        scale: what the difference is divided by. "group" and "batch": its sample deviation there + 1e-4; "mean": the
            group's mean, and 0 where that is 0; "others": (n - 1) / n, so that the mean is that of the others;
            "none": nothing.

    Returns:
        float32, shape (N,): 0 for invalid episodes and for groups with fewer than two valid ones.

    Raises:
        ValueError: shapes differ, `scale` is unknown, the reward of a valid episode is not finite, or below 0 with
            "mean".

    >>> rewards, groups = torch.tensor([1.0, 0.0, 1.0, 0.0, 5.0]), torch.tensor([7, 7, 7, 7, 9])
    >>> group_advantages(rewards, groups, torch.ones(5, dtype=torch.bool), scale="none").tolist()
    [0.5, -0.5, 0.5, -0.5, 0.0]
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; write one of {', '.join(SCALES)}")
    values_N, valid_N = _checked(rewards_N, groups_N, valid_N)
    if scale == "mean" and bool((values_N < 0).any()):
        bad = int(torch.nonzero(values_N < 0)[0])
        raise ValueError(
            f"the reward of episode {bad} is {float(values_N[bad])}, but maxrl divides by the mean and needs rewards "
            "of 0 or more; choose another advantage"
        )
    if values_N.numel() == 0:
        return values_N.float()

    index_N = torch.unique(groups_N, return_inverse=True)[1]
    num_groups = int(index_N.max()) + 1

    def group_sum(x_N: Tensor) -> Tensor:
        return x_N.new_zeros(num_groups).index_add_(0, index_N, x_N)

    # Measured from the best of the group, equal rewards are exact zeros; rounding would be an advantage once over 1e-4.
    best_G = values_N.new_full((num_groups,), -torch.inf)
    best_G = best_G.scatter_reduce(0, index_N[valid_N], values_N[valid_N], "amax")
    values_N = torch.where(valid_N, values_N - best_G[index_N], 0.0)
    count_G = group_sum(valid_N.double())
    mean_G = group_sum(values_N) / count_G.clamp(min=1)
    compared_N = valid_N & (count_G >= 2)[index_N]
    centred_N = torch.where(compared_N, values_N - mean_G[index_N], 0.0)
    if scale == "none":
        return centred_N.float()
    if scale == "others":
        return (centred_N * (count_G / (count_G - 1).clamp(min=1))[index_N]).float()
    if scale == "mean":
        level_N = torch.where(compared_N, best_G[index_N] + mean_G[index_N], 0.0)
        return torch.where(level_N > 0, centred_N / torch.where(level_N > 0, level_N, 1.0), 0.0).float()
    if scale == "batch":
        variance = centred_N.square().sum() / (compared_N.sum() - 1).clamp(min=1)  # their mean is 0 already
        return (centred_N / (variance.sqrt() + STD_EPSILON)).float()
    variance_G = group_sum(centred_N.square()) / (count_G - 1).clamp(min=1)
    return (centred_N / (variance_G.sqrt()[index_N] + STD_EPSILON)).float()


def batch_advantages(rewards_N: Tensor, groups_N: Tensor, valid_N: Tensor) -> Tensor:
    """Return each reward minus the mean of the batch, divided by its deviation; groups play no part.

    Arguments, result and errors are those of `group_advantages`.
    """
    return group_advantages(rewards_N, torch.zeros_like(groups_N), valid_N, scale="group")


def returns_to_go(rewards_M: Tensor, episodes_M: Tensor, *, gamma: float) -> Tensor:
    """Return for each turn the discounted sum of the rewards from it to the end of its episode.

    Args:
        rewards_M: reward of each turn, shape (M,); the turns of an episode in their order.
        episodes_M: whole numbers, shape (M,): the episode of each turn.
        gamma: discount a turn, from 0 to 1.

    Returns:
        float64, shape (M,).

    >>> returns_to_go(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0, 0, 3]), gamma=0.5).tolist()
    [0.5, 1.0, 2.0]
    """
    later: dict[int, float] = {}
    found = []
    for reward, episode in zip(reversed(rewards_M.tolist()), reversed(episodes_M.tolist()), strict=True):
        later[episode] = reward + gamma * later.get(episode, 0.0)
        found.append(later[episode])
    return torch.tensor(found[::-1], dtype=torch.float64)


def turn_advantages(
    rewards_M: Tensor, episodes_M: Tensor, states_M: Tensor, groups_N: Tensor, valid_N: Tensor, *, gamma: float
) -> Tensor:
    """Return each turn's return to go, normalised over all turns of its group.

    The outcome is the reward of the last turn, so that with gamma = 1 every turn carries it in full.

    Args:
        rewards_M: reward of each turn, shape (M,); the turns of an episode in their order.
        episodes_M: row of `groups_N` and `valid_N` of each turn, shape (M,).
        states_M: not used: turns are compared whatever they answered.
        groups_N: as in `group_advantages`.
        valid_N: as in `group_advantages`.
        gamma: discount a turn, from 0 to 1.

    Returns:
        float32, shape (M,): 0 where the episode is invalid or alone in its group.

    Raises:
        ValueError: as `group_advantages`.
    """
    returns_M = returns_to_go(rewards_M, episodes_M, gamma=gamma)
    compared_N = valid_N.bool() & (_num_valid(groups_N, valid_N) >= 2)
    return group_advantages(returns_M, groups_N[episodes_M], compared_N[episodes_M], scale="group")


def gigpo_advantages(
    rewards_M: Tensor,
    episodes_M: Tensor,
    states_M: Tensor,
    groups_N: Tensor,
    valid_N: Tensor,
    *,
    gamma: float,
    step_weight: float,
) -> Tensor:
    """Return the episode's advantage plus `step_weight` times that of the turn among turns before the same state.

    Args:
        rewards_M: reward of each turn, shape (M,); the turns of an episode in their order.
        episodes_M: row of `groups_N` and `valid_N` of each turn, shape (M,).
        states_M: whole numbers, shape (M,): what each turn answered; compared within a group only. An episode that came
            back to a state counts each time.
        groups_N: as in `group_advantages`.
        valid_N: as in `group_advantages`.
        gamma: discount a turn, from 0 to 1; of the steps' returns alone.
        step_weight: weight of the steps' part, 0 or more.

    Returns:
        float32, shape (M,); the steps' part is 0 where a state was met once.

    Raises:
        ValueError: as `group_advantages`.
    """
    rewards_N = torch.zeros(len(groups_N), dtype=torch.float64).index_add_(0, episodes_M, rewards_M.double())
    episode_N = group_advantages(rewards_N, groups_N, valid_N, scale="group")
    compared_N = valid_N.bool() & (_num_valid(groups_N, valid_N) >= 2)
    pairs_M2 = torch.stack([groups_N[episodes_M], states_M], dim=1)
    steps_M = torch.unique(pairs_M2, dim=0, return_inverse=True)[1] if len(pairs_M2) else states_M
    returns_M = returns_to_go(rewards_M, episodes_M, gamma=gamma)
    return episode_N[episodes_M] + step_weight * group_advantages(
        returns_M, steps_M, compared_N[episodes_M], scale="group"
    )


def _checked(rewards_N: Tensor, groups_N: Tensor, valid_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rewards in double precision, 0 where invalid, and the mask."""
    if not rewards_N.shape == groups_N.shape == valid_N.shape or rewards_N.ndim != 1:
        shapes = [tuple(tensor.shape) for tensor in (rewards_N, groups_N, valid_N)]
        raise ValueError(f"rewards, groups and valid must share one shape (N,); they have {shapes}")
    valid_N = valid_N.bool()
    values_N = torch.where(valid_N, rewards_N.detach().double(), 0.0)
    if not bool(torch.isfinite(values_N).all()):
        bad = int(torch.nonzero(~torch.isfinite(values_N))[0])
        raise ValueError(
            f"the reward of episode {bad} is {float(rewards_N[bad])}, which is not finite; mend the environment's "
            "reward, or mark the episode as failed so that it is left out"
        )
    return values_N, valid_N


def _num_valid(groups_N: Tensor, valid_N: Tensor) -> Tensor:
    """Return for each episode how many of its group are valid."""
    return ((groups_N[:, None] == groups_N[None, :]) & valid_N.bool()[None, :]).sum(1)


# DAPO changes the loss, not the advantage. A new estimator is one function and one line here.
ADVANTAGES: Mapping[str, Estimator] = {
    "grpo": partial(group_advantages, scale="group"),
    "dr_grpo": partial(group_advantages, scale="none"),
    "dapo": partial(group_advantages, scale="group"),
    "rloo": partial(group_advantages, scale="others"),
    "maxrl": partial(group_advantages, scale="mean"),
    "reinforce++": batch_advantages,
    "reinforce++_baseline": partial(group_advantages, scale="batch"),
}


@dataclass(frozen=True, kw_only=True)
class TurnEstimator:
    """An estimator that gives each turn its own advantage, with the defaults of its settings."""

    estimate: Callable[..., Tensor]  # (rewards_M, episodes_M, states_M, groups_N, valid_N, *, …) -> advantages_M
    gamma: float
    step_weight: float | None = None  # None: it has none


TURN_ADVANTAGES: Mapping[str, TurnEstimator] = {
    "turn": TurnEstimator(estimate=turn_advantages, gamma=1.0),
    "gigpo": TurnEstimator(estimate=gigpo_advantages, gamma=0.95, step_weight=1.0),
}

NORMALISED = ("grpo", "dapo", "reinforce++", "reinforce++_baseline", *TURN_ADVANTAGES)
"""Estimators that divide by a deviation."""
