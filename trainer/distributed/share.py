"""One rank's share of an update: its micro-batches, and the sums over all ranks.

Every rank has all episodes of a step and so makes the same micro-batches; each computes its own, and as many as every
other, since all must gather the weights together. One that has none left computes one of the others' again and counts
it with a weight of zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.batching import MicroBatch
from agentrl.trainer.distributed.sharding import shard
from agentrl.trainer.distributed.world import World
from agentrl.trainer.spread import compute_dtype
from agentrl.trainer.types import Episode

__all__ = ["Share"]


class Share:
    """What a rank does of an update.

    Args:
        world: The ranks.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def spread(self, *models: PreTrainedModel | None) -> None:
        """Spread float32 models over the ranks; None is left out."""
        for model in models:
            if model is not None:
                shard(model, self._world.mesh, compute=compute_dtype(model))

    def width(self, episodes: Sequence[Episode], max_tokens: int) -> int:
        """Return how many tokens a micro-batch may have so that every rank gets some, `max_tokens` at most."""
        total = sum(len(episode.token_ids) for episode in episodes)
        return max(1, min(max_tokens, -(-total // self._world.size)))

    def of(self, batches: Iterable[MicroBatch]) -> Iterator[MicroBatch]:
        """Yield this rank's micro-batches, as many as each other rank has; those of a round are of like size."""
        ordered = sorted(batches, key=lambda batch: (-batch.computed, batch.places))
        size, rank = self._world.size, self._world.rank
        for first in range(0, len(ordered), size):
            turn = ordered[first : first + size]
            # Back and forth, so that no rank always has the largest of a round.
            at = rank if (first // size) % 2 == 0 else size - 1 - rank
            yield turn[at] if at < len(turn) else _blank(turn[0])

    def summed(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over all ranks."""
        return self._world.sum(sums)

    def exchanged(self, found: dict[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
        """Return values of tokens that each rank has of its own micro-batches, and 0 elsewhere, of all."""
        if found:
            flat = torch.cat(list(found.values()))
            self._world.sum_(flat)
            split = torch.split(flat, [len(values) for values in found.values()])
            return dict(zip(found, split, strict=True))
        return found


def _blank(batch: MicroBatch) -> MicroBatch:
    """Return the same tokens, of which none counts."""
    return replace(batch, mask_BT=torch.zeros_like(batch.mask_BT), num_tokens=0)
