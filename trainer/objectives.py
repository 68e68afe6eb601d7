"""What each kind of loss pays for a token, and how far a token that other weights sampled may count.

Pure: tensors in, tensors out. `r` is the ratio of the model's probability of a token to that at the start of the step.

    clipped            min(r A, clip(r, low, high) A)                          GRPO, arXiv 2402.03300, equation 3
    sequence_clipped   the same with s, the geometric mean of an episode's r   GSPO, arXiv 2507.18071, section 4.3
    detached           sg(min(r, high)) A logprob                              CISPO, arXiv 2506.13585, equation 4
    soft_gate          4 / tau sigmoid(tau (r - 1)) A                          SAPO, arXiv 2511.20347, equation 6

Shapes: B episodes of a micro-batch, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

__all__ = [
    "CORRECTIONS",
    "MAX_LOG_RATIO",
    "Correction",
    "Terms",
    "clipped",
    "detached",
    "importance_weights",
    "sequence_clipped",
    "soft_gate",
]

# exp(20) = 4.9e8 is still finite in float32 after any product here; past 88 the ratio is inf and its gradient NaN.
# A departure from the papers: beyond it a token's ratio and KL stay at their value there, without gradient.
MAX_LOG_RATIO: Final = 20.0

Correction = Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an objective is computed from; finite everywhere, masked places included."""

    logprobs_BT: Tensor  # 0 where masked; has the gradient
    log_ratio_BT: Tensor  # logprobs minus those at the start of the step; 0 where masked; has the gradient
    advantages_BT: Tensor  # or (B, 1)
    mask_BT: Tensor  # bool: trained on
    low: float  # bounds of the ratio
    high: float
    temperature_pos: float  # of the gate, where the advantage is above 0
    temperature_neg: float  # elsewhere


def clipped(terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the clipped gain of each token and its ratio, both (B, T)."""
    return _clip(terms, terms.log_ratio_BT)


def sequence_clipped(terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the gain and the ratio of each token's episode, as GSPO-token has them.

    Every token has its episode's ratio as a value and its own log-probability's gradient. With one advantage an
    episode this is GSPO itself; with one a turn each token still moves by its own advantage.
    """
    mask_BT, log_ratio_BT = terms.mask_BT, terms.log_ratio_BT
    mean_B1 = (log_ratio_BT * mask_BT).sum(1, keepdim=True) / mask_BT.sum(1, keepdim=True).clamp(min=1)
    return _clip(terms, mean_B1.detach() + log_ratio_BT - log_ratio_BT.detach())


def detached(terms: Terms) -> tuple[Tensor, Tensor]:
    """Return log-probability times advantage times the capped ratio, through which no gradient goes, and the ratio.

    Every token keeps a gradient, also one that is far from where it was sampled.
    """
    ratio_BT = _ratio(terms.log_ratio_BT.detach())
    return ratio_BT.clamp(max=terms.high) * terms.advantages_BT * terms.logprobs_BT, ratio_BT


def soft_gate(terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the gain behind a sigmoid of the ratio, and the ratio.

    At a ratio of 1 the gradient is that without a gate; it fades on both sides, the faster the higher the temperature.
    """
    ratio_BT = _ratio(terms.log_ratio_BT)
    sharpness_BT = torch.where(terms.advantages_BT > 0, terms.temperature_pos, terms.temperature_neg)
    gate_BT = torch.sigmoid(sharpness_BT * (ratio_BT - 1)) * 4 / sharpness_BT
    return gate_BT * terms.advantages_BT, ratio_BT


def importance_weights(
    start_logprobs_BT: Tensor, sampled_logprobs_BT: Tensor, mask_BT: Tensor, *, correction: Correction, maximum: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return how much each token counts because other weights, or another precision, sampled it.

    The weight is p / q, the probability at the start of the step over that of the sampler: of the token alone, or
    the product over its episode. Above `maximum` it is set to `maximum` ("truncate"; V-trace, arXiv 1802.01561,
    section 4.1) or to 0 ("mask"). The four are those of TRL 1.16.

    Args:
        start_logprobs_BT: log-probability of each token in the trainer before the step's first update, shape (B, T).
        sampled_logprobs_BT: the same in the engine that sampled.
        mask_BT: True where the token is trained on; other places are not read.
        correction: which weight, and what becomes of a large one.
        maximum: the bound, above 0.

    Returns:
        float32, shape (B, T), without gradient, 1 where masked; and sums over tokens: `correction_sum`, of the
        weights, and `correction_bound_sum`, of the tokens above the bound.

    Raises:
        ValueError: an unknown correction.
    """
    if correction not in CORRECTIONS:
        raise ValueError(f"correction is {correction!r}; choose one of {', '.join(CORRECTIONS)}")
    mask_BT = mask_BT.bool()
    difference_BT = torch.where(mask_BT, start_logprobs_BT.detach().float() - sampled_logprobs_BT.float(), 0.0)
    if correction.startswith("sequence"):
        difference_BT = torch.where(mask_BT, difference_BT.sum(1, keepdim=True), 0.0)
    weights_BT = torch.ones_like(difference_BT) if correction == "none" else _ratio(difference_BT)
    above_BT = mask_BT & (weights_BT > maximum)
    weights_BT = torch.where(above_BT, 0.0 if correction.endswith("mask") else maximum, weights_BT)
    sums = {"correction_sum": torch.where(mask_BT, weights_BT, 0.0).sum(), "correction_bound_sum": above_BT.sum()}
    return weights_BT, {name: value.float() for name, value in sums.items()}


def _clip(terms: Terms, log_ratio_BT: Tensor) -> tuple[Tensor, Tensor]:
    ratio_BT = _ratio(log_ratio_BT)
    advantages_BT = terms.advantages_BT
    return torch.min(ratio_BT * advantages_BT, ratio_BT.clamp(terms.low, terms.high) * advantages_BT), ratio_BT


def _ratio(log_ratio_BT: Tensor) -> Tensor:
    return log_ratio_BT.clamp(max=MAX_LOG_RATIO).exp()
