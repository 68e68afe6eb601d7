"""A model whose weights may be spread over ranks: how to run it, and how to read it, whether they are or not.

What spreads it is `agentrl.trainer.distributed.sharding`; here a model in one piece costs a look at an attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from torch import Tensor, nn

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["COMPUTE_DTYPE", "INSIDE", "architecture", "compute_dtype", "inside", "is_sharded", "tied_names", "whole"]

T = TypeVar("T")

COMPUTE_DTYPE: Final = "agentrl_compute_dtype"
"""Attribute of a model whose weights have another precision than its passes."""

INSIDE: Final = "agentrl_inside"
"""Method of a model that is spread: runs a function while the model's own weights are whole."""


def architecture(model: nn.Module) -> str:
    """Return the name of a model's class, as its configuration has it."""
    name = type(model).__name__
    return name.removeprefix("FSDP") if is_sharded(model) else name


def compute_dtype(model: PreTrainedModel) -> torch.dtype:
    """Return the precision of a forward pass: that of the weights, unless these are spread over ranks in float32."""
    found: torch.dtype = getattr(model, COMPUTE_DTYPE, model.dtype)
    return found


def is_sharded(model: nn.Module) -> bool:
    """Return whether each rank holds a part of the weights only."""
    return hasattr(model, INSIDE)


def inside(model: nn.Module, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return `work(*args, **kwargs)`, run while the model's own weights are whole.

    A model that is spread gathers them, so that all its ranks must be here at once; any other is as it always is.
    """
    run: Callable[..., T] | None = getattr(model, INSIDE, None)
    return work(*args, **kwargs) if run is None else run(work, *args, **kwargs)


def whole(weight: Tensor) -> Tensor:
    """Return a weight as a whole; where it is spread over ranks all of them must ask for it at once."""
    gather: Callable[[], Tensor] | None = getattr(weight, "full_tensor", None)
    return weight if gather is None else gather()


def tied_names(model: nn.Module) -> set[str]:
    """Return the names of weights that are another's under an earlier name."""
    owners: dict[int, str] = {}
    named = model.named_parameters(remove_duplicate=False)
    return {name for name, weight in named if owners.setdefault(id(weight), name) != name}
