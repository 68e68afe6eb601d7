"""An episode as plain data for other programs: every text is valid Unicode, every number finite or null."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from agentrl.bench.stored import StoredEpisode, StoredRun

__all__ = ["TOKENS", "clean", "rows_of"]

TOKENS = ("token_ids", "mask", "logprobs")
"""Columns of a training run that hold a value for each token."""


def rows_of(run: StoredRun, *, tokens: bool) -> Iterator[dict[str, Any]]:
    """Yield an object for each episode, all with the same keys.

    Args:
        run: A bench or a training run.
        tokens: Whether to add what a training run stores for each token.
    """
    agent = str(run.identity.get("agent", ""))
    for stored in run.episodes():
        yield clean({"run": run.folder.name, "agent": agent, **_row(stored, tokens)})


def clean(value: Any) -> Any:
    """Return plain data in which half a surrogate pair is an escape, and what is no finite number is null.

    >>> clean({"a": [float("nan"), "half " + chr(0xD800)]})
    {'a': [None, 'half \\\\ud800']}
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(str(name)): clean(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each) for each in value]
    return value


def _row(stored: StoredEpisode, tokens: bool) -> dict[str, Any]:
    episode = stored.episode
    plain = {each.name: getattr(episode, each.name) for each in dataclasses.fields(episode) if each.name != "job"}
    more = {name: value for name, value in stored.more.items() if tokens or name not in TOKENS}
    return {**vars(episode.job), **plain, **more}
