"""What is added to vLLM's worker: take over weights, and say afterwards what is there.

Named to vLLM as `worker_extension_cls`, in process and for servers (`--worker-extension-cls`), so that
`collective_rpc("agentrl_load", …)` reaches it. vLLM's own `reload_weights` is not enough on a CPU: an output layer that
is tied to the embedding keeps a packed copy of its old weights there (seen with 0.32), and would answer with them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["WeightsExtension"]

_CHUNK = 1 << 20
_SILENT_S = 60.0  # of whoever serves weights


class WeightsExtension:
    """Mixed into the worker's class by vLLM."""

    model_runner: Any

    def agentrl_load(
        self, source: str | Iterable[tuple[str, Tensor]], told: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Load weights in the layout of a checkpoint: of a folder of safetensors, of a URL of one, or pair by pair.

        Args:
            source: A folder, an address, or names and tensors.
            told: Their `version`, and of a URL the `bytes` and `crc32` of the file; kept, and said by `agentrl_held`.

        Returns:
            What is held now; `tensors`: how many were offered and taken.

        Raises:
            ValueError: What came over HTTP is not what was promised.
        """
        told = told or {}
        self._agentrl_held: dict[str, Any] = {}  # a load that fails leaves some of each
        tensors = values = 0

        def counted() -> Iterator[tuple[str, Tensor]]:
            nonlocal tensors, values
            for name, value in pairs:
                yield name, value
                tensors += 1
                values += value.numel() * value.element_size()

        with _opened(source, told) as pairs:
            self.model_runner.reload_weights(weights_iterator=counted())
        _pack_again(self.model_runner.get_model())
        self._agentrl_held = {"version": told.get("version"), "tensors": tensors, "tensor_bytes": values}
        return self.agentrl_held()

    def agentrl_held(self) -> dict[str, Any]:
        """Return what was loaded last, nothing where that failed, and `instance`, which no other process has."""
        if not hasattr(self, "_agentrl_instance"):
            self._agentrl_instance = os.urandom(8).hex()
        return {"instance": self._agentrl_instance, **getattr(self, "_agentrl_held", {})}

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


@contextlib.contextmanager
def _opened(source: str | Iterable[tuple[str, Tensor]], told: dict[str, Any]) -> Iterator[Iterable[tuple[str, Tensor]]]:
    if not isinstance(source, str):
        yield source
    elif source.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory(prefix="agentrl-weights-") as folder:
            _fetch(source, Path(folder) / "model.safetensors", told)
            yield _of_folder(folder)
    else:
        yield _of_folder(source)


def _fetch(url: str, path: Path, told: dict[str, Any]) -> None:
    crc = size = 0
    # No proxy of the environment: the trainer is where its address says.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=_SILENT_S) as answer, path.open("wb") as file:
        while piece := answer.read(_CHUNK):
            file.write(piece)
            crc, size = zlib.crc32(piece, crc), size + len(piece)
    if (size, crc) != (told.get("bytes"), told.get("crc32")):
        raise ValueError(
            f"the weights came as {size} bytes with checksum {crc}, not {told.get('bytes')} with {told.get('crc32')}"
        )


def _of_folder(folder: str) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="pt", device="cpu") as tensors:
            for name in tensors.keys():  # noqa: SIM118, it is no mapping
                yield name, tensors.get_tensor(name)
