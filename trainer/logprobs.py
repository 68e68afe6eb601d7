"""Log-probability and entropy of sampled tokens, without the logits of a whole batch ever existing.

A row of logits has an entry for every word of the vocabulary, so that those of one micro-batch can take more memory
than the model. Here rows are made in chunks of a bounded number of entries. A chunk's logits are forgotten after the
forward pass and made again in the backward pass, which costs one product with the output layer more; a batch that
fits one chunk keeps them and pays nothing.

Legend: B episodes, T tokens, N sampled tokens of the batch, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from agentrl.trainer.batching import MicroBatch
from agentrl.trainer.model import Head
from agentrl.trainer.prefixes import forest_inputs
from agentrl.trainer.spread import compute_dtype, inside

__all__ = ["MAX_LOGITS", "Chunk", "chunk_logprobs", "token_logprobs"]

MAX_LOGITS: Final = 2**26
"""Entries of a chunk of logits: 256 MiB in float32, 441 rows of a vocabulary of 151,936."""

Chunk = Callable[[Head, Tensor, Tensor, float, bool], tuple[Tensor, Tensor]]
"""As `chunk_logprobs`."""


def token_logprobs(
    model: PreTrainedModel,
    head: Head,
    batch: MicroBatch,
    temperature: float,
    *,
    entropy_grad: bool = False,
    max_logits: int = MAX_LOGITS,
    chunk: Chunk | None = None,
) -> tuple[Tensor, Tensor]:
    """Return log-probability and entropy at each sampled token, 0 elsewhere.

    Args:
        model: What runs over `batch.ids_BT`.
        head: The model's output layer.
        batch: Some episodes; `mask_BT` says which tokens were sampled.
        temperature: What the logits are divided by, as when they were sampled.
        entropy_grad: Whether the entropy has a gradient, for a bonus on it.
        max_logits: Entries of the logits that exist at once; at least one row is made.
        chunk: What computes those of one chunk; None: `chunk_logprobs`.

    Returns:
        Both float32, shape (B, T), in nats.
    """
    return inside(model, _token_logprobs, model, head, batch, temperature, entropy_grad, max_logits, chunk)


def _token_logprobs(
    model: PreTrainedModel,
    head: Head,
    batch: MicroBatch,
    temperature: float,
    entropy_grad: bool,
    max_logits: int,
    chunk: Chunk | None,
) -> tuple[Tensor, Tensor]:
    chunk = chunk or chunk_logprobs
    hidden_NH, ids_N = _hidden(model, batch)
    rows = max(1, max_logits // model.get_output_embeddings().weight.shape[0])
    split = zip(torch.split(hidden_NH, rows), torch.split(ids_N, rows), strict=True)
    again = len(ids_N) > rows and torch.is_grad_enabled()
    parts = [
        checkpoint(chunk, head, *part, temperature, entropy_grad, use_reentrant=False, preserve_rng_state=False)
        if again
        else chunk(head, *part, temperature, entropy_grad)
        for part in split
    ]
    blank_BT = torch.zeros_like(batch.old_logprobs_BT)
    logprobs_N, entropy_N = (torch.cat(each) for each in zip(*parts, strict=True))
    if batch.forest is not None:
        logprobs_N, entropy_N = logprobs_N[batch.forest.spread_M], entropy_N[batch.forest.spread_M]
    return blank_BT.masked_scatter(batch.mask_BT, logprobs_N), blank_BT.masked_scatter(batch.mask_BT, entropy_N)


def _hidden(model: PreTrainedModel, batch: MicroBatch) -> tuple[Tensor, Tensor]:
    """Return the hidden states that predict the sampled tokens, and these; with a forest, each distinct one once."""
    if (forest := batch.forest) is not None:
        hidden_RNH = model.base_model(**forest_inputs(forest, compute_dtype(model)), use_cache=False).last_hidden_state
        return hidden_RNH.flatten(0, 1).index_select(0, forest.before_S), forest.ids_RN.flatten()[forest.sampled_S]
    hidden_BTH = model.base_model(input_ids=batch.ids_BT, use_cache=False).last_hidden_state
    # The token at t is predicted at t - 1; logits are made for those places only.
    wanted_BT = batch.mask_BT[:, 1:]
    return hidden_BTH[:, :-1][wanted_BT], batch.ids_BT[:, 1:][wanted_BT]


def chunk_logprobs(
    head: Head, hidden_NH: Tensor, ids_N: Tensor, temperature: float, entropy_grad: bool
) -> tuple[Tensor, Tensor]:
    """Return log-probability and entropy of some tokens, both float32 (N,), in nats.

    Args:
        head: The model's output layer.
        hidden_NH: Hidden states, shape (N, H), each that of the place before a token.
        ids_N: The tokens, int64 (N,).
        temperature: What the logits are divided by.
        entropy_grad: Whether the entropy has a gradient.
    """
    all_NV = torch.log_softmax(head(hidden_NH).float() / temperature, dim=-1)
    with torch.set_grad_enabled(entropy_grad and torch.is_grad_enabled()):
        entropy_N = -(all_NV.exp() * all_NV).sum(-1)
    return all_NV.gather(1, ids_N[:, None])[:, 0], entropy_N
