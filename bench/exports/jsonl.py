"""JSON lines: an object for each episode, in UTF-8."""

from __future__ import annotations

import json
from pathlib import Path

from agentrl.bench.exports.rows import rows_of
from agentrl.bench.stored import StoredRun

__all__ = ["write_jsonl"]


def write_jsonl(run: StoredRun, path: Path, *, tokens: bool) -> int:
    """Write a run's episodes; return how many there were."""
    num_episodes = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows_of(run, tokens=tokens):
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            num_episodes += 1
    return num_episodes
