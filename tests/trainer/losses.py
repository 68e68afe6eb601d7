"""What tests of the loss share: two episodes, and the loss of a problem with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agentrl.trainer.loss import LossConfig, policy_loss, token_weights

__all__ = ["ADVANTAGES", "MASK", "RATIOS", "config_of", "loss_of", "run"]

# Two episodes, the second one token shorter; old log-probabilities of 0, so that exp(log-probability) is the ratio.
RATIOS = torch.tensor([[1.5, 0.5, 1.1], [1.5, 0.5, 9.9]])
MASK = torch.tensor([[True, True, True], [True, True, False]])
ADVANTAGES = torch.tensor([2.0, -1.0])


def loss_of(
    logprobs: Tensor,
    config: LossConfig,
    *,
    old: Tensor | None = None,
    ref: Tensor | None = None,
    advantages: Tensor = ADVANTAGES,
    mask: Tensor = MASK,
    weights: Tensor | None = None,
    **more: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    if weights is None:
        counts: dict[str, Any] = {"num_sequences": len(mask), "num_tokens": int(mask.sum())}
        weights = token_weights(mask, config.kind, max_completion=10, **counts)
    return policy_loss(
        logprobs_BT=logprobs,
        old_logprobs_BT=torch.zeros_like(logprobs) if old is None else old,
        ref_logprobs_BT=ref,
        advantages_BT=advantages if advantages.ndim == 2 else advantages.unsqueeze(1),
        mask_BT=mask,
        weights_BT=weights,
        config=config,
        **more,
    )


def config_of(kind: str, **more: Any) -> LossConfig:
    return LossConfig(kind=kind, **more)  # type: ignore[arg-type]


def run(problem: dict[str, Any], rows: list[int] | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss, gradient and metrics of some rows, weighted as parts of the whole."""
    mask = problem["mask"]
    rows = list(range(len(mask))) if rows is None else rows
    counts: dict[str, Any] = {"num_sequences": len(mask), "num_tokens": int(mask.sum()), "max_completion": 5}
    logprobs = problem["logprobs"][rows].clone().requires_grad_()
    loss, metrics = loss_of(
        logprobs,
        problem["config"],
        old=problem["old"][rows],
        ref=problem["ref"][rows],
        advantages=problem["advantages"][rows],
        mask=mask[rows],
        weights=token_weights(mask[rows], problem["config"].kind, **counts),
        **{f"{name}_BT": problem[name][rows] for name in ("entropy", "correction") if name in problem},
    )
    return loss.detach(), torch.autograd.grad(loss, logprobs)[0], metrics
