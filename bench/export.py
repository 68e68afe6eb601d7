"""Write a run's episodes to a file that other programs read: JSON lines, Parquet, or Inspect's log.

The file appears whole or not at all, and one that is there is replaced only when that is asked for. Episodes pass
through one page at a time, so that any number fits into memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.stored import StoredRun
from agentrl.envs.errors import nearest

__all__ = ["ENDINGS", "export", "keep_runs", "whole_file"]

ENDINGS: dict[str, tuple[str, ...]] = {
    "jsonl": (".jsonl",),
    "parquet": (".parquet",),
    "inspect": (".eval", ".json"),
}
"""Formats with the endings of their files; Inspect knows its logs by them."""

_OF_RUNS = ("bench.sqlite", "bench.sqlite.lock", "metrics.jsonl", "rollouts.sqlite")


def keep_runs(path: Path) -> None:
    """Refuse a name that files of runs have, whatever is there.

    Raises:
        UsageError: It is one.
    """
    if path.name.lower() in _OF_RUNS:
        raise UsageError(f"{path} is named as the file of a run, which is never changed; name another file with --out")


def export(run: StoredRun, path: Path, *, format: str, tokens: bool = False, force: bool = False) -> int:
    """Write a run's episodes to a file; return how many there were.

    Args:
        run: A bench or a training run; read only.
        path: The file; its folder is made when absent.
        format: One of `ENDINGS`.
        tokens: Of a training run, in JSON lines and Parquet: also token ids, mask and log-probabilities.
        force: Replace a file that is there.

    Raises:
        UsageError: A format, ending or option that cannot work, a file that is there, or a library that is missing.
        StoreError: The file cannot be written.
    """
    if format not in ENDINGS:
        raise UsageError(f"format={format!r} does not exist{nearest(format, ENDINGS)}; there are {', '.join(ENDINGS)}")
    if tokens and (format == "inspect" or run.kind == "bench"):
        what = "Inspect's log" if format == "inspect" else f"{run.folder}, which is a bench"
        raise UsageError(f"tokens has no effect on {what}; leave it out, or export a training run as jsonl or parquet")
    if format == "inspect" and path.suffix not in ENDINGS["inspect"]:
        raise UsageError(f"{path} must end with .eval or .json, or Inspect does not take it for a log")
    if path.is_dir():
        name = f"{run.folder.resolve().name}{ENDINGS[format][0]}"
        raise UsageError(f"{path} is a folder; name a file in it: {path / name}")
    if path.exists() and path.samefile(run.path):
        raise UsageError(f"{path} is the run itself, which is never changed; name another file")
    keep_runs(path)
    if path.exists() and not force:
        raise UsageError(f"{path} exists; type --force to replace it, or name another file with --out")
    with whole_file(path) as temporary:
        if format == "jsonl":
            from agentrl.bench.exports.jsonl import write_jsonl

            return write_jsonl(run, temporary, tokens=tokens)
        if format == "parquet":
            from agentrl.bench.exports.parquet import write_parquet

            return write_parquet(run, temporary, tokens=tokens)
        from agentrl.bench.exports.inspectlog import write_inspect

        return write_inspect(run, temporary, as_json=path.suffix == ".json")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes its name once it is whole and on the disk.

    Raises:
        StoreError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}; see that the disk has room and that you may write "
            "there, or name another file with --out"
        ) from error
    finally:
        with suppress(OSError):  # there is no such folder
            temporary.unlink(missing_ok=True)
