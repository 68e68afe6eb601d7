"""Group-relative advantages: how much better an episode did than the others that played the same task.

Pure: tensors in, a tensor out. Episodes that the infrastructure spoilt are invalid: they are left out of their group's
baseline and get 0. So does a group with fewer than two valid episodes, or with equal rewards: it teaches nothing.

Sources: GRPO, arXiv 2402.03300, section 4.1.2; Dr. GRPO (no division by the deviation), arXiv 2503.20783, section 3.2.
The deviation is the sample deviation (n - 1) with 1e-4 added, as in TRL 1.16; the papers leave both open.

Shapes: N episodes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Literal

import torch
from torch import Tensor

__all__ = ["ADVANTAGES", "Estimator", "group_advantages"]

STD_EPSILON: Final = 1e-4

Estimator = Callable[[Tensor, Tensor, Tensor], Tensor]  # (rewards_N, groups_N, valid_N) -> advantages_N


def group_advantages(
    rewards_N: Tensor, groups_N: Tensor, valid_N: Tensor, *, scale: Literal["group", "none"]
) -> Tensor:
    """Return each episode's reward minus its group's mean, divided by its group's deviation where `scale` is "group".

    Args:
        rewards_N: reward of each episode, shape (N,).
        groups_N: whole numbers, shape (N,); episodes with the same number played the same task. Any order, any numbers.
        valid_N: bool, shape (N,); False where the episode has no reward to trust; NaN is fine there.
        scale: "group" divides by the group's sample deviation + 1e-4; "none" does not.

    Returns:
        float32, shape (N,): 0 for invalid episodes and for groups with fewer than two valid ones.

    Raises:
        ValueError: shapes differ, `scale` is unknown, or the reward of a valid episode is not finite.

    >>> rewards, groups = torch.tensor([1.0, 0.0, 1.0, 0.0, 5.0]), torch.tensor([7, 7, 7, 7, 9])
    >>> group_advantages(rewards, groups, torch.ones(5, dtype=torch.bool), scale="none").tolist()
    [0.5, -0.5, 0.5, -0.5, 0.0]
    """
    if scale not in ("group", "none"):
        raise ValueError(f'scale is {scale!r}; write "group" or "none"')
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
    centred_N = torch.where(valid_N & (count_G >= 2)[index_N], values_N - mean_G[index_N], 0.0)
    if scale == "none":
        return centred_N.float()
    variance_G = group_sum(centred_N.square()) / (count_G - 1).clamp(min=1)
    return (centred_N / (variance_G.sqrt()[index_N] + STD_EPSILON)).float()


# DAPO changes the loss, not the advantage. A new estimator is one function and one line here.
ADVANTAGES: Mapping[str, Estimator] = {
    "grpo": partial(group_advantages, scale="group"),
    "dr_grpo": partial(group_advantages, scale="none"),
    "dapo": partial(group_advantages, scale="group"),
}
