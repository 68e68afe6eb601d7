"""AdamW that also learns where weights have few bits.

bfloat16 keeps eight bits: a usual step of 1e-6 on a weight of 0.01 is rounded away, every time. There the steps are
taken on float32 copies, and the model gets them rounded. A float32 model is stepped itself.

Copies and state are 12 bytes a weight beside the 4 of a bfloat16 model and its gradient. No more is added but for some
weights at a time: float32 gradients of all, and the temporary tensors of an AdamW that is not fused, would be 8 more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from agentrl.trainer.spread import whole

if TYPE_CHECKING:
    from agentrl.trainer.config import OptimConfig

__all__ = ["MAX_STEPPED", "Optimizer"]

MAX_STEPPED: Final = 2**28
"""Float32 gradients that exist at once beside those of a bfloat16 model: 1 GiB."""


class Optimizer:
    """Steps a model's parameters after a backward pass.

    Args:
        model: All its parameters that want a gradient are trained, in place.
        config: Settings; the rate of each step is given with it.
        max_stepped: Entries of float32 gradients that exist at once where there are copies; at least one weight's.
    """

    def __init__(self, model: nn.Module, config: OptimConfig, *, max_stepped: int = MAX_STEPPED) -> None:
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._names, self._weights = list(trained), list(trained.values())
        self._precise = all(weight.dtype == torch.float32 for weight in self._weights)
        self._stepped = self._weights if self._precise else [_copy(weight) for weight in self._weights]
        self._parts = list(_parts(zip(self._weights, self._stepped, strict=True), max_stepped))
        self._scale: Tensor | None = None  # of the gradient, from `clip`, where there are copies
        fused = all(weight.device.type == "cuda" for weight in self._weights)
        self._adamw = torch.optim.AdamW(
            self._stepped,
            lr=config.lr,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            foreach=not fused,
            fused=fused,
        )
        self._max_grad_norm = config.max_grad_norm

    def forget(self) -> None:
        """Drop all gradients."""
        for weight in (*self._weights, *self._stepped):
            weight.grad = None

    def clip(self) -> float:
        """Have the next step take the gradient scaled to the largest norm allowed; return the norm it had."""
        if self._precise:
            return float(whole(torch.nn.utils.clip_grad_norm_(self._weights, self._max_grad_norm)))
        grads = [weight.grad for weight in self._weights if weight.grad is not None]
        norms = [torch.linalg.vector_norm(grad, dtype=torch.float32) for grad in grads]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        self._scale = (self._max_grad_norm / (norm + 1e-6)).clamp(max=1.0)  # as clip_grad_norm_
        return float(norm)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step with the learning rate `rate`, after `clip`."""
        for group in self._adamw.param_groups:
            group["lr"] = rate
        if self._precise:
            self._adamw.step()
            return
        assert self._scale is not None, "clip comes first"
        for part in self._parts:
            for weight, copy in part:
                copy.grad = None if weight.grad is None else weight.grad.float() * self._scale
                weight.grad = None
            self._adamw.step()  # what has no gradient is left alone
            for weight, copy in part:
                copy.grad = None
                weight.copy_(copy)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, beside the model's weights."""
        copies: list[Tensor] = [] if self._precise else [copy.detach() for copy in self._stepped]
        return {"adamw": self._adamw.state_dict(), "copies": copies}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, of a model in one piece, whether this one is spread over ranks or not.

        Copies of a bfloat16 run become the weights of a model that keeps float32 itself.
        """
        adamw = dict(state["adamw"])
        adamw["state"] = {
            index: {name: _spread(value, self._stepped[index]) for name, value in kept.items()}
            for index, kept in adamw["state"].items()
        }
        self._adamw.load_state_dict(adamw)
        for weight, kept in zip(self._stepped, state["copies"], strict=False):
            weight.copy_(_spread(kept, weight))

    def tensors(self) -> dict[str, Tensor]:
        """Return all that the next step depends on, by name, for a checkpoint that ranks write and read in parts.

        What is loaded into them counts, once `loaded` was called. They are there from the first call on.
        """
        kinds = ("step", "exp_avg", "exp_avg_sq")
        found: dict[str, Tensor] = {}
        for name, weight in zip(self._names, self._stepped, strict=True):
            if not (state := self._adamw.state[weight]):
                state.update(
                    step=torch.zeros(()), exp_avg=torch.zeros_like(weight), exp_avg_sq=torch.zeros_like(weight)
                )
            found |= {f"weight/{name}": weight.detach(), **{f"{kind}/{name}": state[kind] for kind in kinds}}
        return found

    @torch.no_grad()
    def loaded(self) -> None:
        """Give the model what was loaded into `tensors`."""
        if not self._precise:
            for weight, copy in zip(self._weights, self._stepped, strict=True):
                weight.copy_(copy)


def _parts(
    pairs: Iterable[tuple[nn.Parameter, nn.Parameter]], most: int
) -> Iterator[list[tuple[nn.Parameter, nn.Parameter]]]:
    """Split weights and their copies into runs of bounded size, of at least one each."""
    part: list[tuple[nn.Parameter, nn.Parameter]] = []
    for pair in pairs:
        if part and sum(weight.numel() for weight, _ in (*part, pair)) > most:
            yield part
            part = []
        part.append(pair)
    if part:
        yield part


def _copy(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(weight.detach().float().clone())


def _spread(value: Any, like: Tensor) -> Any:
    """Return a tensor as `like` is: whole, or the parts of it that this rank holds."""
    mesh = getattr(like, "device_mesh", None)
    if mesh is None or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), mesh, like.placements)  # type: ignore[attr-defined]
