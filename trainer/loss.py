"""The policy loss of GRPO and its kin: an objective for each token, k3 KL to a frozen reference, one weight a token.

Pure: tensors in, `(loss, metrics)` out. What sets the kinds apart (`kinds.py`) is the objective (`objectives.py`) and
how tokens are averaged over the WHOLE batch, and that is in the weights alone: `policy_loss` is a weighted sum, so any
split into micro-batches gives the same gradient.

Shapes: B episodes of a micro-batch, T tokens. "Tokens" are sampled ones: text that the environment wrote is masked.
"""

import torch
from torch import Tensor

from agentrl.trainer.kinds import KINDS, Kind, LossConfig
from agentrl.trainer.objectives import MAX_LOG_RATIO, Terms

__all__ = ["KINDS", "Kind", "LossConfig", "drop_overlong", "policy_loss", "token_weights"]


def drop_overlong(mask_BT: Tensor, overlong_B: Tensor) -> Tensor:
    """Mask every token of the episodes that were cut by length (DAPO's overlong filtering).

    Their tokens then count neither in the loss nor in `num_tokens` of `token_weights`; their reward stays in the
    baseline.
    """
    return mask_BT.bool() & ~overlong_B.bool().unsqueeze(1)


def token_weights(
    mask_BT: Tensor,
    kind: str,
    *,
    num_sequences: int,
    num_tokens: int,
    max_completion: int,
    sampled_B: Tensor | None = None,
) -> Tensor:
    """Return the weights with which per-token losses, summed over all micro-batches, give the mean over the batch.

    Args:
        mask_BT: True where the token was sampled and is trained on, shape (B, T); one micro-batch.
        kind: a key of `KINDS`.
        num_sequences: episodes in the WHOLE batch, those whose tokens are all masked included.
        num_tokens: True entries of the mask over the WHOLE batch, after `drop_overlong`.
        max_completion: the most tokens that an episode may sample; the constant of dr_grpo.
        sampled_B: sampled tokens of the episode that each row belongs to, where an episode has several rows; None: each
            row is an episode.

    Returns:
        float32, shape (B, T), 0 where the mask is False.

    Raises:
        ValueError: an unknown kind, or a count that is too small to be that of the whole batch.
    """
    if kind not in KINDS:
        raise ValueError(f"loss.kind is {kind!r}, which is no loss; choose one of {', '.join(KINDS)}")
    if num_sequences < (max(1, mask_BT.shape[0]) if sampled_B is None else 1):
        raise ValueError(
            f"num_sequences is {num_sequences}, but one micro-batch has {mask_BT.shape[0]}; count the whole batch"
        )
    if num_tokens < 0 or max_completion < 1:
        raise ValueError(
            f"num_tokens is {num_tokens} and max_completion {max_completion}, but they must be at least 0 and 1"
        )
    sampled_B1 = (mask_BT.sum(dim=1) if sampled_B is None else sampled_B).float().unsqueeze(1)
    return KINDS[kind].weights(mask_BT.float(), sampled_B1, num_sequences, num_tokens, max_completion)


def policy_loss(
    *,
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    ref_logprobs_BT: Tensor | None,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    weights_BT: Tensor,
    config: LossConfig,
    correction_BT: Tensor | None = None,
    entropy_BT: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one micro-batch, to be added to that of the others, and its metrics.

    Per token: `-correction * gain + beta * k3 - entropy_bonus * entropy`, with the gain of the kind's objective, which
    for most is `min(r A, clip(r, 1 - epsilon_low, 1 + epsilon_high) A)` with `r = exp(logprob - old)`, and
    `k3 = exp(ref - logprob) - (ref - logprob) - 1` (http://joschu.net/blog/kl-approx.html). The entropy is averaged as
    the kind averages tokens; TRL takes the mean over tokens under every kind.

    Args:
        logprobs_BT: log-probability of each token under the model in training, in nats, shape (B, T); has the gradient.
        old_logprobs_BT: the same under the model at the start of the step, or that which sampled. No gradient is taken
            through it.
        ref_logprobs_BT: the same under the frozen reference; needed when `config.kl_weight` is above 0, else only
            measured.
        advantages_BT: shape (B, T), or (B, 1) where an episode has one advantage.
        mask_BT: True where the token is trained on. What stands elsewhere in the other tensors has no effect, even NaN.
        weights_BT: from `token_weights`.
        config: the loss.
        correction_BT: from `importance_weights`; None: 1 everywhere.
        entropy_BT: entropy of the model's distribution at each token, with the gradient; needed for an entropy bonus.

    Returns:
        A scalar, and sums over this micro-batch's tokens, without gradient, which add up over micro-batches (divide by
        `num_tokens` for a mean): `ratio_sum`; `clip_low_sum`, `clip_high_sum`, `clip_region_sum`, the tokens that the
        clip stopped, as TRL counts them; `kl_sum` if there is a reference; `num_tokens`.

    Raises:
        ValueError: what `config` asks for was not given.
    """
    if config.kl_weight > 0 and ref_logprobs_BT is None:
        raise ValueError(
            f"loss.beta is {config.beta}, but no reference log-probabilities were given; pass ref_logprobs_BT or set "
            "loss.beta to 0"
        )
    if config.entropy_bonus > 0 and entropy_BT is None:
        raise ValueError(
            f"loss.entropy_bonus is {config.entropy_bonus}, but no entropy was given; pass entropy_BT or set "
            "loss.entropy_bonus to 0"
        )
    mask_BT = mask_BT.bool()
    low, high = 1 - config.clip_low, 1 + config.clip_high
    # Before any exp: a NaN at a masked place times a weight of 0 would still be NaN.
    terms = Terms(
        logprobs_BT=torch.where(mask_BT, logprobs_BT.float(), 0.0),
        log_ratio_BT=torch.where(mask_BT, logprobs_BT.float() - old_logprobs_BT.detach().float(), 0.0),
        advantages_BT=torch.where(mask_BT, advantages_BT.detach().float(), 0.0),
        mask_BT=mask_BT,
        low=low,
        high=high,
        temperature_pos=config.temperatures[0],
        temperature_neg=config.temperatures[1],
    )
    gain_BT, ratio_BT = KINDS[config.kind].objective(terms)
    ratio_BT = ratio_BT.detach()
    loss_BT = -gain_BT if correction_BT is None else -gain_BT * torch.where(mask_BT, correction_BT.detach(), 0.0)

    clip_low_BT = mask_BT & (ratio_BT < low) & (terms.advantages_BT < 0)
    clip_high_BT = mask_BT & (ratio_BT > high) & (terms.advantages_BT > 0)
    sums = {
        "num_tokens": mask_BT,
        "ratio_sum": torch.where(mask_BT, ratio_BT, 0.0),
        "clip_low_sum": clip_low_BT,
        "clip_high_sum": clip_high_BT,
        "clip_region_sum": clip_low_BT | clip_high_BT,
    }
    if ref_logprobs_BT is not None:
        kl_BT = _k3(torch.where(mask_BT, ref_logprobs_BT.detach().float() - logprobs_BT.float(), 0.0))
        sums["kl_sum"] = kl_BT.detach()
        if config.kl_weight > 0:
            loss_BT = loss_BT + config.kl_weight * kl_BT
    if config.entropy_bonus > 0 and entropy_BT is not None:
        loss_BT = loss_BT - config.entropy_bonus * torch.where(mask_BT, entropy_BT.float(), 0.0)
    loss = (torch.where(mask_BT, loss_BT, 0.0) * weights_BT.float()).sum()
    return loss, {name: value.float().sum() for name, value in sums.items()}


def _k3(log_ratio: Tensor) -> Tensor:
    # exp(d) - d - 1 loses all digits near 0 in float32 and can come out negative; expm1 keeps them.
    log_ratio = log_ratio.clamp(max=MAX_LOG_RATIO)
    return (torch.expm1(log_ratio) - log_ratio).clamp(min=0)
