"""The passes that are trained, through torch.compile: on a GPU most of the time goes into what is between products.

Compiled are the layers of the model, for as long as a gradient is computed and no longer, since an engine that samples
from the same weights calls them with other shapes at every step; and the log-probabilities of a chunk. What cannot be
compiled is computed as usual, and a warning says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from agentrl.trainer.logprobs import Chunk, chunk_logprobs

__all__ = ["CompiledPasses"]


class CompiledPasses:
    """Compiles the layers of a model and the log-probabilities of a chunk, each when it is first called.

    Args:
        model: Layers are found by Transformers' own class for them.
        wanted: None: on CUDA, where it pays within a few steps. Compiling takes some ten seconds, and again when shapes
            differ for the first time.
    """

    def __init__(self, model: PreTrainedModel, wanted: bool | None) -> None:
        self.active = model.device.type == "cuda" if wanted is None else wanted
        self._layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
        self._forwards: list[Callable[..., Any]] = []
        self._chunk: Chunk = chunk_logprobs
        if self.active:
            # torch 2.13 looks at it itself while it takes a graph, and warns of that.
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf Tensor")
            self._forwards = [torch.compile(layer.forward) for layer in self._layers]
            self._chunk = torch.compile(chunk_logprobs)

    @property
    def chunk(self) -> Chunk:
        """What computes log-probability and entropy of a chunk."""
        return self._chunk if self.active else chunk_logprobs

    @contextmanager
    def layers(self) -> Iterator[None]:
        """Have the model call its compiled layers, the backward pass included; afterwards it is as it was."""
        if self.active:
            for layer, forward in zip(self._layers, self._forwards, strict=True):
                layer.forward = forward
        try:
            yield
        finally:
            for layer in self._layers:
                layer.__dict__.pop("forward", None)

    def give_up(self, error: BaseException) -> None:
        """Compute as usual from now on, because of an error."""
        self.active = False
        said = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
        warnings.warn(
            f"torch.compile failed, so training goes on without it, which is slower: {said}; write compile = false "
            "to have it so from the start",
            RuntimeWarning,
            stacklevel=3,
        )
