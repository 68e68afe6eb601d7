"""The policy loss of GRPO and its kin: clipped ratio, k3 KL to a frozen reference, one weight for each token.

Pure: tensors in, `(loss, metrics)` out. What sets the kinds apart is how tokens are averaged over the WHOLE batch, and
that is in the weights alone: `policy_loss` is a weighted sum, so any split into micro-batches gives the same gradient.

    grpo     mean over episodes of the mean over an episode's tokens                  arXiv 2402.03300, equation 3
    dr_grpo  sum over all tokens / (episodes x longest completion allowed)            arXiv 2503.20783, section 3.2
    dapo     mean over all tokens of the batch; clip-higher; overlong masking         arXiv 2503.14476, equation 8

Shapes: B episodes of a micro-batch, T tokens. "Tokens" are sampled ones: text that the environment wrote is masked.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

import torch
from torch import Tensor

from agentrl.trainer.errors import ConfigError

__all__ = ["KINDS", "Kind", "LossConfig", "drop_overlong", "policy_loss", "token_weights"]

# exp(20) = 4.9e8 is still finite in float32 after any product here; past 88 the ratio is inf and its gradient NaN.
# A departure from the papers: beyond it a token's ratio and KL stay at their value there, without gradient.
MAX_LOG_RATIO: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What sets one kind of loss apart; a new kind is one entry of `KINDS` and its name in `LossConfig.kind`."""

    weights: Callable[[Tensor, int, int, int], Tensor]  # (mask_BT, num_sequences, num_tokens, max_completion) -> BT
    epsilon_high: float | None = None  # default of the upper clip; None: the same as the lower
    masks_overlong: bool = False  # whether episodes cut by length can be masked, and are by default


KINDS: Mapping[str, Kind] = {
    "grpo": Kind(weights=lambda mask, sequences, _tokens, _longest: mask / (sequences * _lengths(mask))),
    "dr_grpo": Kind(weights=lambda mask, sequences, _tokens, longest: mask / (sequences * longest)),
    "dapo": Kind(
        weights=lambda mask, _sequences, tokens, _longest: mask / max(tokens, 1), epsilon_high=0.28, masks_overlong=True
    ),
}


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Choose the loss.

    Raises:
        ConfigError: a value is out of range, or would change nothing under the chosen kind.
    """

    kind: Literal["grpo", "dr_grpo", "dapo"] = "grpo"
    epsilon_low: float = 0.2  # a token whose probability fell by more than this part, and should fall, is left alone
    epsilon_high: float | None = None  # the same upwards; None: epsilon_low, or 0.28 for dapo
    beta: float = 0.0  # weight of the KL to the reference model; 0: no reference model is loaded
    mask_overlong: bool | None = None  # dapo: leave out episodes cut by length; None: True for dapo

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = get_close_matches(str(self.kind), KINDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(KINDS)}"
            raise ConfigError(f"loss.kind is {self.kind!r}, which is no loss; {hint}")
        if not 0 < self.epsilon_low < 1:
            raise ConfigError(
                f"loss.epsilon_low is {self.epsilon_low!r}, but must lie between 0 and 1: a ratio never falls below 0, "
                "so that 1 or more would clip nothing; write 0.2"
            )
        if self.epsilon_high is not None and not 0 < self.epsilon_high < math.inf:
            raise ConfigError(
                f"loss.epsilon_high is {self.epsilon_high!r}, but must be a number above 0; leave it out for the "
                f"default of {self.kind}, {KINDS[self.kind].epsilon_high or self.epsilon_low}"
            )
        if not 0 <= self.beta < math.inf:
            raise ConfigError(
                f"loss.beta is {self.beta!r}, but must be 0 (no reference model) or a number above it, like 0.04"
            )
        if self.mask_overlong and not KINDS[self.kind].masks_overlong:
            kinds = " or ".join(name for name, kind in KINDS.items() if kind.masks_overlong)
            raise ConfigError(
                f"loss.mask_overlong is {self.mask_overlong!r}, which changes nothing under loss.kind {self.kind!r}; "
                f"leave it out, or set loss.kind to {kinds}"
            )

    @property
    def clip_high(self) -> float:
        """The upper clip in force."""
        if self.epsilon_high is not None:
            return self.epsilon_high
        default = KINDS[self.kind].epsilon_high
        return self.epsilon_low if default is None else default

    @property
    def drops_overlong(self) -> bool:
        """Whether `drop_overlong` is to be applied to the mask."""
        return KINDS[self.kind].masks_overlong if self.mask_overlong is None else self.mask_overlong


def drop_overlong(mask_BT: Tensor, overlong_B: Tensor) -> Tensor:
    """Mask every token of the episodes that were cut by length (DAPO's overlong filtering).

    Their tokens then count neither in the loss nor in `num_tokens` of `token_weights`; their reward stays in the
    baseline.
    """
    return mask_BT.bool() & ~overlong_B.bool().unsqueeze(1)


def token_weights(mask_BT: Tensor, kind: str, *, num_sequences: int, num_tokens: int, max_completion: int) -> Tensor:
    """Return the weights with which per-token losses, summed over all micro-batches, give the mean over the batch.

    Args:
        mask_BT: True where the token was sampled and is trained on, shape (B, T); one micro-batch.
        kind: a key of `KINDS`.
        num_sequences: episodes in the WHOLE batch, those whose tokens are all masked included.
        num_tokens: True entries of the mask over the WHOLE batch, after `drop_overlong`.
        max_completion: the most tokens that an episode may sample; the constant of dr_grpo.

    Returns:
        float32, shape (B, T), 0 where the mask is False.

    Raises:
        ValueError: an unknown kind, or a count that is too small to be that of the whole batch.
    """
    if kind not in KINDS:
        raise ValueError(f"loss.kind is {kind!r}, which is no loss; choose one of {', '.join(KINDS)}")
    if num_sequences < max(1, mask_BT.shape[0]):
        raise ValueError(
            f"num_sequences is {num_sequences}, but one micro-batch has {mask_BT.shape[0]}; count the whole batch"
        )
    if num_tokens < 0 or max_completion < 1:
        raise ValueError(
            f"num_tokens is {num_tokens} and max_completion {max_completion}, but they must be at least 0 and 1"
        )
    return KINDS[kind].weights(mask_BT.float(), num_sequences, num_tokens, max_completion)


def policy_loss(
    *,
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    ref_logprobs_BT: Tensor | None,
    advantages_B: Tensor,
    mask_BT: Tensor,
    weights_BT: Tensor,
    config: LossConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one micro-batch, to be added to that of the others, and its metrics.

    Per token: `-min(r A, clip(r, 1 - epsilon_low, 1 + epsilon_high) A) + beta k3`, with `r = exp(logprob - old)` and
    `k3 = exp(ref - logprob) - (ref - logprob) - 1` (http://joschu.net/blog/kl-approx.html).

    Args:
        logprobs_BT: log-probability of each token under the model in training, in nats, shape (B, T); has the gradient.
        old_logprobs_BT: the same under the model that sampled. No gradient is taken through it.
        ref_logprobs_BT: the same under the frozen reference; needed when `config.beta` is above 0, else only measured.
        advantages_B: shape (B,).
        mask_BT: True where the token is trained on. What stands elsewhere in the other tensors has no effect, even NaN.
        weights_BT: from `token_weights`.
        config: the loss.

    Returns:
        A scalar, and sums over this micro-batch's tokens, without gradient, which add up over micro-batches (divide by
        `num_tokens` for a mean): `ratio_sum`; `clip_low_sum`, `clip_high_sum`, `clip_region_sum`, the tokens that the
        clip stopped, as TRL counts them; `kl_sum` if there is a reference; `num_tokens`.

    Raises:
        ValueError: `config.beta` is above 0 without reference log-probabilities.
    """
    if config.beta > 0 and ref_logprobs_BT is None:
        raise ValueError(
            f"loss.beta is {config.beta}, but no reference log-probabilities were given; pass ref_logprobs_BT or set "
            "loss.beta to 0"
        )
    mask_BT = mask_BT.bool()
    # Before any exp: a NaN at a masked place times a weight of 0 would still be NaN.
    log_ratio_BT = torch.where(mask_BT, logprobs_BT.float() - old_logprobs_BT.detach().float(), 0.0)
    ratio_BT = log_ratio_BT.clamp(max=MAX_LOG_RATIO).exp()
    low, high = 1 - config.epsilon_low, 1 + config.clip_high
    advantages_B1 = advantages_B.detach().float().unsqueeze(1)
    loss_BT = -torch.min(ratio_BT * advantages_B1, ratio_BT.clamp(low, high) * advantages_B1)

    clip_low_BT = mask_BT & (ratio_BT < low) & (advantages_B1 < 0)
    clip_high_BT = mask_BT & (ratio_BT > high) & (advantages_B1 > 0)
    sums = {
        "num_tokens": mask_BT,
        "ratio_sum": torch.where(mask_BT, ratio_BT.detach(), 0.0),
        "clip_low_sum": clip_low_BT,
        "clip_high_sum": clip_high_BT,
        "clip_region_sum": clip_low_BT | clip_high_BT,
    }
    if ref_logprobs_BT is not None:
        kl_BT = _k3(torch.where(mask_BT, ref_logprobs_BT.detach().float() - logprobs_BT.float(), 0.0))
        sums["kl_sum"] = kl_BT.detach()
        if config.beta > 0:
            loss_BT = loss_BT + config.beta * kl_BT
    loss = (torch.where(mask_BT, loss_BT, 0.0) * weights_BT.float()).sum()
    return loss, {name: value.float().sum() for name, value in sums.items()}


def _k3(log_ratio: Tensor) -> Tensor:
    # exp(d) - d - 1 loses all digits near 0 in float32 and can come out negative; expm1 keeps them.
    log_ratio = log_ratio.clamp(max=MAX_LOG_RATIO)
    return (torch.expm1(log_ratio) - log_ratio).clamp(min=0)


def _lengths(mask_BT: Tensor) -> Tensor:
    return mask_BT.sum(dim=1, keepdim=True).clamp(min=1)
