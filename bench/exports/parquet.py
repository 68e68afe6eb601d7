"""Parquet: a typed column for each field, a row group at a time; the run's identity is in the file's metadata."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from agentrl.bench.errors import UsageError
from agentrl.bench.exports.rows import TOKENS, clean, rows_of
from agentrl.bench.stored import StoredRun

__all__ = ["write_parquet"]

_ROWS = 1000  # of a row group, which is what is held in memory
_ROWS_WITH_TOKENS = 100


def write_parquet(run: StoredRun, path: Path, *, tokens: bool) -> int:
    """Write a run's episodes; return how many there were.

    Raises:
        UsageError: pyarrow is missing.
    """
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(f"Parquet needs pyarrow ({error}); type: pip install 'agentrl-gym[export]'") from error
    identity = json.dumps(clean(run.identity))
    schema = _schema(pyarrow, run.kind == "training", tokens).with_metadata({"agentrl": identity})
    num_episodes = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        page: list[dict[str, Any]] = []
        for row in rows_of(run, tokens=tokens):
            page.append({**row, "messages": [_message(each) for each in row["messages"]]})
            num_episodes += 1
            if len(page) == (_ROWS_WITH_TOKENS if tokens else _ROWS):
                writer.write_table(pyarrow.Table.from_pylist(page, schema))
                page = []
        if page or not num_episodes:
            writer.write_table(pyarrow.Table.from_pylist(page, schema))
    return num_episodes


def _schema(pa: Any, training: bool, tokens: bool) -> Any:
    text, number, whole, flag = pa.string(), pa.float64(), pa.int64(), pa.bool_()
    failure = pa.struct([("kind", text), ("boundary", text), ("message", text)])
    message = pa.struct([("role", text), ("name", text), ("content", text)])
    columns = {
        "run": text,
        "agent": text,
        "env_id": text,
        "level": whole,
        "seed": whole,
        "sample": whole,
        "task_id": text,
        "prompt": text,
        "reward": number,
        "rewards": pa.map_(text, number),
        "success": flag,
        "truncated": flag,
        "num_turns": whole,
        "failure": failure,
        "num_attempts": whole,
        "seconds": number,
        "latencies": pa.list_(number),
        "prompt_tokens": whole,
        "completion_tokens": whole,
        "messages": pa.list_(message),
    }
    if training:
        columns |= {"phase": text, "step": whole, "group": whole, "member": whole, "split": text, "truncated_by": text}
        columns |= {"advantage": number, "versions": pa.list_(whole), "timings": pa.map_(text, number)}
        columns |= {f"turn_{name}": pa.list_(number) for name in ("rewards", "advantages")}
        columns |= dict.fromkeys(("turn_lengths", "turn_segments", "segments"), pa.list_(whole))
        kinds = (pa.list_(pa.int32()), pa.list_(flag), pa.list_(pa.float32()))
        columns |= dict(zip(TOKENS, kinds, strict=True)) if tokens else {}
    return pa.schema(list(columns.items()))


def _message(told: dict[str, Any]) -> dict[str, Any]:
    content = told.get("content")
    return {
        "role": str(told.get("role", "")),
        "name": told.get("name"),
        "content": content if isinstance(content, str) else json.dumps(content),
    }
