"""AdamW that also learns where weights have few bits.

bfloat16 keeps eight bits: a usual step of 1e-6 on a weight of 0.01 is rounded away, every time. There the steps are
taken on float32 copies, and the model gets them rounded. A float32 model is stepped itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from agentrl.trainer.config import OptimConfig

__all__ = ["Optimizer"]


class Optimizer:
    """Steps a model's parameters after a backward pass.

    Args:
        model: All its parameters that want a gradient are trained, in place.
        config: Settings; the rate of each step is given with it.
    """

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._precise = all(weight.dtype == torch.float32 for weight in self._weights)
        self._stepped = self._weights if self._precise else [_copy(weight) for weight in self._weights]
        betas = (config.beta1, config.beta2)
        self._adamw = torch.optim.AdamW(
            self._stepped, lr=config.lr, betas=betas, weight_decay=config.weight_decay, foreach=True
        )
        self._max_grad_norm = config.max_grad_norm

    def forget(self) -> None:
        """Drop all gradients."""
        for weight in (*self._weights, *self._stepped):
            weight.grad = None

    def clip(self) -> float:
        """Scale the gradient down to the largest norm allowed; return the norm it had."""
        if not self._precise:
            for weight, copy in zip(self._weights, self._stepped, strict=True):
                copy.grad = None if weight.grad is None else weight.grad.float()
                weight.grad = None
        return float(torch.nn.utils.clip_grad_norm_(self._stepped, self._max_grad_norm))

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step with the learning rate `rate`, after `clip`."""
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._adamw.step()
        if not self._precise:
            for weight, copy in zip(self._weights, self._stepped, strict=True):
                weight.copy_(copy)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, beside the model's weights."""
        copies: list[Tensor] = [] if self._precise else [copy.detach() for copy in self._stepped]
        return {"adamw": self._adamw.state_dict(), "copies": copies}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._adamw.load_state_dict(state["adamw"])
        if not self._precise:
            for copy, kept in zip(self._stepped, state["copies"], strict=True):
                copy.copy_(kept)


def _copy(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(weight.detach().float().clone())
