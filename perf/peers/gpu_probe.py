"""What `perf/gpu.py` runs on: device, versions, and how fast it multiplies matrices."""

from __future__ import annotations

import torch
from common import time_calls, versions
from peers.gpu_work import Meter, emit

__all__ = ["probe"]

_SIZE = 8192


def probe(device: str) -> None:
    """Print what the device is; on CUDA also its memory and its rate on bfloat16 matrices of 8192 x 8192."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = versions("agentrl-gym", "torch", "transformers", "trl", "accelerate", "triton")
    figures: dict[str, float] = {"cores": float(torch.get_num_threads())}
    if device == "cuda":
        meter = Meter(device)
        found[f"device {torch.cuda.get_device_name()}"] = f"CUDA {torch.version.cuda}"
        first, second = (torch.randn(_SIZE, _SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))

        def multiply() -> None:
            torch.mm(first, second)
            meter.now()

        seconds = min(time_calls(multiply, 10))
        figures = {
            "memory_mb": torch.cuda.get_device_properties(0).total_memory / 2**20,
            "matrix_tflops": 2.0 * _SIZE**3 / seconds / 1e12,
        }
    emit(workload=device, peers=found, figures=figures)
