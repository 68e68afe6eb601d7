"""The engine of a rank that does not sample: servers do, and rank 0 alone talks to them."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Engine, Session
from agentrl.trainer.errors import EngineError
from agentrl.trainer.lora import merged_weights
from agentrl.trainer.spread import inside

__all__ = ["Elsewhere"]


class Elsewhere(Engine):
    """Takes this rank's part in what rank 0 does with its engine: gathering weights, and running the trainer's model.

    Args:
        model: Spread over the ranks.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self.update_weights(0)  # rank 0 gives servers the weights when it finds them

    def session(self) -> Session:
        raise EngineError("rank 0 alone samples on servers")

    def update_weights(self, version: int) -> None:
        """Help rank 0 to gather the weights."""
        for _ in merged_weights(self._model):
            pass
        self.version = version

    @torch.no_grad()
    def join_probe(self) -> None:
        """Help rank 0 to run the model over its probe."""
        ids = torch.zeros((1, 2), dtype=torch.long, device=self._model.device)
        inside(self._model, self._model.base_model, input_ids=ids, use_cache=False)

    def close(self) -> None:
        """Nothing is open."""
