"""What is added to vLLM's worker: take over weights, and say afterwards what is there.

Named to vLLM as `worker_extension_cls`, in process and for servers (`--worker-extension-cls`), so that
`collective_rpc("agentrl_load", …)` reaches it. vLLM's own `reload_weights` is not enough on a CPU: an output layer that
is tied to the embedding keeps a packed copy of its old weights there (seen with 0.32), and would answer with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["WeightsExtension"]


class WeightsExtension:
    """Mixed into the worker's class by vLLM."""

    model_runner: Any

    def agentrl_load(self, source: str | Iterable[tuple[str, Tensor]]) -> dict[str, int]:
        """Load weights in the layout of a checkpoint, from a folder of safetensors or as names and tensors.

        Returns:
            `tensors`: how many were offered and taken.
        """
        taken = 0

        def counted() -> Iterator[tuple[str, Tensor]]:
            nonlocal taken
            for pair in _of_folder(source) if isinstance(source, str) else source:
                yield pair
                taken += 1

        self.model_runner.reload_weights(weights_iterator=counted())
        _pack_again(self.model_runner.get_model())
        return {"tensors": taken}

    def agentrl_head_dtype(self) -> str:
        """Return the precision of logits, such as "float32": the model's where vLLM knows no other."""
        model: torch.nn.Module = self.model_runner.get_model()
        told = [getattr(part, "head_dtype", None) for part in model.modules()]
        found = next((each for each in told if isinstance(each, torch.dtype)), next(model.parameters()).dtype)
        return str(found).removeprefix("torch.")


@torch.no_grad()
def _pack_again(model: torch.nn.Module) -> None:
    for layer in model.modules():
        weight = getattr(layer, "weight", None)
        # Layers that are not output layers drop the plain weight when it is packed; those were packed by the reload.
        if hasattr(layer, "cpu_linear") and isinstance(weight, Tensor) and weight.numel():
            layer.quant_method.process_weights_after_loading(layer)  # type: ignore[operator, union-attr]


def _of_folder(folder: str) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="pt", device="cpu") as tensors:
            for name in tensors.keys():  # noqa: SIM118, it is no mapping
                yield name, tensors.get_tensor(name)
