"""The torch engine with weights of its own, so that it samples while the trainer steps.

An update waits for the turns under way, which end with the weights they began with; turns that ask meanwhile begin with
the new ones, and every cache of older ones is computed anew. It costs the memory of a second model.
"""

from __future__ import annotations

import copy

import torch
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import TIMEOUT_S, Schedule
from agentrl.trainer.engines.torch import LOOK_S, TorchEngine, _Row
from agentrl.trainer.spread import whole

__all__ = ["CopiedEngine"]


class CopiedEngine(TorchEngine):
    """Sample from a copy of `model`; `update_weights` brings it up to date.

    Args:
        model: The model that is trained.
        own: Of the same shapes, to sample from; None: a copy is made.
        schedule: As of the torch engine.
        kv_cache_mb: The same.
        timeout_s: The same.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        own: PreTrainedModel | None = None,
        schedule: Schedule = "eager",
        kv_cache_mb: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._trained = model
        self._updating = False  # no turn begins
        own = (copy.deepcopy(model) if own is None else own).requires_grad_(False)
        super().__init__(own, schedule=schedule, kv_cache_mb=kv_cache_mb, timeout_s=timeout_s)

    def update_weights(self, version: int) -> None:
        """Take over the weights once the turns under way are done.

        Raises:
            EngineError: The engine stopped, or does not get on.
        """
        with self._wake:
            self._updating = True
            try:
                while not self._wake.wait_for(self._at_rest, LOOK_S):
                    self._check()
                    self._check_pass()
                self._check()
                with torch.no_grad():
                    for own, trained in zip(self._model.parameters(), self._trained.parameters(), strict=True):
                        if trained.requires_grad:
                            own.copy_(whole(trained))
                self._forget_all()
                self.version = version
            finally:
                self._updating = False
                self._wake.notify_all()

    def _at_rest(self) -> bool:
        return not self._busy and not self._under_way()

    def _under_way(self) -> list[_Row]:
        """Return rows whose turn has begun, those that were put back included."""
        return [row for row in self._rows.values() if row.request and row.tokens]

    def _may_go_on(self) -> bool:
        return bool(self._under_way()) if self._updating else super()._may_go_on()

    def _waiting(self) -> list[_Row]:
        return [row for row in super()._waiting() if row.tokens or not self._updating]
