"""The metrics of a training run, of which a file may hold any number: read up to limits, numbers alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from agentrl.bench.errors import StoreError
from agentrl.bench.viewer.files import read_some
from agentrl.bench.viewer.runs import Run

__all__ = ["read_steps"]

MOST_BYTES = 64 << 20  # of a file
MOST_LINE = 1 << 20  # bytes of a line
MOST_VALUES = 2_000_000  # kept of a file


def read_steps(run: Run) -> tuple[list[Mapping[str, Any]], str]:
    """Return the metrics of each step, and what was left out in words; what is no number is None.

    Raises:
        TrainerError: A line is none of `agentrl train`.
        StoreError: The file is not to be read, or a line is too long.
    """
    from agentrl.trainer.metrics import parse_metrics  # the trainer is loaded where there is a run of it

    path = run.path / "metrics.jsonl"
    raw, more = read_some(path, run.tops, MOST_BYTES)
    lines = raw.split(b"\n")
    if (longest := max(map(len, lines))) > MOST_LINE:
        raise StoreError(f"{path}: a line has {longest:,} bytes, and is not read; agentrl train writes short ones")
    rows: list[Mapping[str, Any]] = []
    values = 0
    for row in parse_metrics(lines[:-1], path):
        values += len(row)
        if values > MOST_VALUES:
            more = True
            break
        rows.append({sys.intern(name): value if type(value) in (int, float) else None for name, value in row.items()})
    last = rows[-1]["step"] if rows else 0
    return rows, f"{path} is too long to be shown: what follows step {last} is left out" if more else ""
