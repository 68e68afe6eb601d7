"""Episodes to padded tensors of bounded size.

Padding stands at the right: with causal attention no real token looks at it, so that no mask has to be made.
Legend: B episodes, T tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agentrl.trainer.credit import token_advantages
from agentrl.trainer.types import Episode

__all__ = ["MicroBatch", "micro_batches"]


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Some episodes, ready for one forward pass. Place t of all but `ids_BT` speaks of the token at t."""

    ids_BT: Tensor  # int64; 0 where padded
    mask_BT: Tensor  # bool: sampled and trained on
    old_logprobs_BT: Tensor  # float32, as sampled
    advantages_BT: Tensor  # float32; 0 where not sampled
    overlong_B: Tensor  # bool, as Episode.overlong
    places: tuple[tuple[int, int], ...] = ()  # group and member of each row


def micro_batches(episodes: Sequence[Episode], *, max_tokens: int, device: torch.device) -> Iterator[MicroBatch]:
    """Split episodes into micro-batches of at most `max_tokens` tokens, padding included; long ones first.

    An episode longer than `max_tokens` stands alone. The order depends on the episodes only.
    """
    left = sorted(episodes, key=lambda episode: (-len(episode.token_ids), episode.group, episode.member))
    while left:
        count = max(1, max_tokens // len(left[0].token_ids))
        part, left = left[:count], left[count:]
        yield _padded(part, device)


def _padded(episodes: Sequence[Episode], device: torch.device) -> MicroBatch:
    shape = (len(episodes), len(episodes[0].token_ids))
    ids_BT = torch.zeros(shape, dtype=torch.long)
    mask_BT = torch.zeros(shape, dtype=torch.bool)
    old_BT, advantages_BT = torch.zeros(shape), torch.zeros(shape)
    for row, episode in enumerate(episodes):
        length = len(episode.token_ids)
        ids_BT[row, :length] = torch.tensor(episode.token_ids)
        mask_BT[row, :length] = torch.tensor(episode.mask)
        old_BT[row, :length] = torch.tensor(episode.logprobs)
        advantages_BT[row, :length] = token_advantages(episode)
    return MicroBatch(
        ids_BT=ids_BT.to(device),
        mask_BT=mask_BT.to(device),
        old_logprobs_BT=old_BT.to(device),
        advantages_BT=advantages_BT.to(device),
        overlong_B=torch.tensor([episode.overlong for episode in episodes], device=device),
        places=tuple((episode.group, episode.member) for episode in episodes),
    )
