"""The model spread over ranks by FSDP2: each holds a part of every weight, its gradient and the optimizer's state.

A layer's weights are whole on a rank while it is computed, and parts again afterwards. Where the run computes in
bfloat16 the parts are float32 all the same, so that small steps are not rounded away: layers are cast as they are
gathered, and gradients are added up in float32.

Source: PyTorch FSDP2, https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from agentrl.trainer.spread import COMPUTE_DTYPE, INSIDE

__all__ = ["shard"]

T = TypeVar("T")


def shard(model: PreTrainedModel, mesh: DeviceMesh, *, compute: torch.dtype) -> None:
    """Spread a float32 model over the ranks of a mesh, in place; every rank must hold the same weights.

    Afterwards what needs whole weights is run by `agentrl.trainer.model.inside`, by all ranks at once.

    Args:
        model: With adapters or without; layers are found by Transformers' own class for them.
        mesh: One dimension, all ranks.
        compute: Of the forward and backward passes.
    """
    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    for part in [*layers, model]:  # the rest, such as an embedding that is tied to the output layer, is the model's own
        policy = MixedPrecisionPolicy(
            param_dtype=None if compute == torch.float32 else compute,
            reduce_dtype=torch.float32,
            cast_forward_inputs=part is not model,  # which is called with log-probabilities besides
        )
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            # Losses are divided by the counts of the whole step, so that gradients are summed, not averaged.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    setattr(model, COMPUTE_DTYPE, compute)
    setattr(model, INSIDE, types.MethodType(_inside, model))
    register_fsdp_forward_method(model, INSIDE)


def _inside(model: nn.Module, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return work(*args, **kwargs)
