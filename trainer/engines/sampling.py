"""Draw tokens from logits with one number from [0, 1) each, so that a draw depends on its own row alone.

Legend: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["draw"]


def draw(logits_BV: Tensor, temperatures: Sequence[float], uniforms: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the tokens (B,) and their log-probabilities (B,) after temperature, in nats.

    Args:
        logits_BV: Logits, shape (B, V).
        temperatures: One a row; 0 takes the most likely token, and its log-probability at temperature 1.
        uniforms: One a row, from [0, 1); the token is where the cumulated probability first exceeds it.

    >>> draw(torch.tensor([[0.0, 0.0], [0.0, 9.0]]), [1.0, 0.0], [0.6, 0.0])[0].tolist()
    [1, 1]
    """
    temperature_B = torch.tensor(temperatures, device=logits_BV.device, dtype=torch.float32)
    greedy_B = temperature_B == 0
    scale_B = torch.where(greedy_B, 1.0, temperature_B)
    logprobs_BV = torch.log_softmax(logits_BV.float() / scale_B[:, None], dim=-1)
    cumulative_BV = logprobs_BV.exp().cumsum(-1)
    total_B = cumulative_BV[:, -1]
    uniform_B = torch.tensor(uniforms, device=logits_BV.device, dtype=torch.float32)
    # Rounding may lift the product to the total; strictly below it a token of probability 0 is never met.
    target_B = torch.minimum(uniform_B * total_B, torch.nextafter(total_B, torch.zeros_like(total_B)))
    drawn_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    tokens_B = torch.where(greedy_B, logits_BV.argmax(-1), drawn_B)
    return tokens_B, logprobs_BV.gather(1, tokens_B[:, None])[:, 0]
