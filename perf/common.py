"""What every measurement shares: the JSON file, the table, and the machine that the figures are of."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["SHAPES", "machine", "parser", "percentile", "random_qwen3", "report", "time_calls", "versions"]

# Of Qwen3 with random weights: hidden size, layers, heads, key-value heads, head size, inner size, vocabulary.
SHAPES = {
    "tiny": (128, 4, 4, 2, 32, 384, 512),
    "50m": (512, 12, 8, 4, 64, 1536, 32_000),
    "0.6b": (1024, 28, 16, 8, 128, 3072, 151_936),
    "4b": (2560, 36, 32, 8, 128, 9728, 151_936),
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the argument parser of a measurement: it has `--json FILE`; add your own options to it."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return options


def report(figures: Mapping[str, float], peers: Mapping[str, str], path: Path | None) -> None:
    """Print the figures as a table and, with a path, write {"figures", "peers", "machine"} as JSON.

    Args:
        figures: Name, which ends in its unit, to number.
        peers: Name of each program that was measured beside ours, or that the figures depend on, to its version.
        path: Where to write, or None.
    """
    where = machine()
    table = Table("figure", "value", caption=f"{where['cpu']}, {where['cores']} cores, Python {where['python']}")
    table.columns[1].justify = "right"
    for name, value in figures.items():
        table.add_row(name, _shown(value))
    console = Console()
    console.print(table)
    for name, version in peers.items():
        console.print(f"{name} {version}", highlight=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"figures": dict(figures), "peers": dict(peers), "machine": where}
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, str | int | float]:
    """Return what figures depend on: processor, cores that this process may use, memory, system, Python, GPU if any."""
    found: dict[str, str | int | float] = {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
    gpus = Path("/proc/driver/nvidia/gpus")
    if gpus.is_dir():
        names = [
            line for file in gpus.glob("*/information") for line in file.read_text().splitlines() if "Model" in line
        ]
        found["gpu"] = ", ".join(line.partition(":")[2].strip() for line in names)
    return found


def versions(*distributions: str) -> dict[str, str]:
    """Return the installed version of each distribution, left out where it is not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def time_calls(function: Callable[[], object], num_calls: int) -> list[float]:
    """Return the seconds that each of some calls took."""
    seconds = []
    for _ in range(num_calls):
        start = perf_counter()
        function()
        seconds.append(perf_counter() - start)
    return seconds


def random_qwen3(shape: str, *, device: torch.device, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """Return a Qwen3 with random weights, the same each time on a device, made there: nothing is copied from the host.

    Args:
        shape: A key of `SHAPES`.
        device: Where it is made.
        dtype: Of its weights.
        attention: What Transformers calls `attn_implementation`.
    """
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    hidden, layers, heads, shared, size, inner, words = SHAPES[shape]
    config = Qwen3Config(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=size,
        intermediate_size=inner,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    with device:
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    return model


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile from 1 to 99 of at least one value.

    >>> percentile([1.0, 2.0, 3.0], 50)
    2.0
    """
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
