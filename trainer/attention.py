"""Attention for decoding with grouped queries: the queries that share a key-value head are one block of queries.

Transformers' sdpa path copies keys and values once for every query head when a mask is given, which is most of the time
of a decoding step on a CPU. With one query a row nothing has to be copied; every other shape goes the usual way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["NAME", "grouped_attention"]

NAME = "agentrl_grouped"
"""Pass it as `attn_implementation`."""


def grouped_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """Attend as sdpa does.

    Args:
        module: The attention layer.
        query: Shape (B, query heads, N, D).
        key: Shape (B, key-value heads, L, D), and `value` too.
        attention_mask: Shape (B, 1, N, L) or None.
        kwargs: What Transformers passes to every attention function.

    Returns:
        Shape (B, N, query heads, D), and None for the weights.
    """
    batch, heads, num_queries, size = query.shape
    shared = key.shape[1]
    plain = attention_mask is None or attention_mask.shape[1] != 1  # or a mask for each head
    if num_queries != 1 or heads == shared or plain or kwargs.get("dropout"):
        usual: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **kwargs
        )
        return usual
    blocks = query.view(batch, shared, heads // shared, size)
    out = torch.nn.functional.scaled_dot_product_attention(
        blocks, key, value, attn_mask=attention_mask, scale=kwargs.get("scaling")
    )
    return out.reshape(batch, 1, heads, size), None


AttentionInterface.register(NAME, grouped_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
