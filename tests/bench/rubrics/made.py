"""A bench of made episodes in a real store: tasks of four samples that differ in length, form and calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.protocol import Failure

__all__ = ["RUBRIC", "made_run"]

RUBRIC = """
[[component]]
name = "short"
use = "length"
weight = 0.5
with = {soft = 0, hard = 100}

[[component]]
name = "form"
use = "format_tags"
weight = 0.1
with = {tags = ["answer"]}

[[component]]
name = "quick"
use = "num_turns"
weight = 0.4
with = {soft = 0, hard = 10}
"""

_IDENTITY = {
    "agent": "made",
    "agent_settings": {},
    "envs": ["Made-v0"],
    "levels": [1],
    "split": "test",
    "seed": 0,
    "num_tasks": 60,
    "num_samples": 4,
    "env_kwargs": {},
    "versions": {},
}


def made_run(folder: Path, *, num_tasks: int = 60, **changes: Any) -> list[Episode]:
    """Write a bench and return its episodes; an episode succeeds where it is well formed and not lengthy.

    Args:
        folder: Of the bench.
        num_tasks: Of four samples each.
        changes: Of the first episode.
    """
    rng = np.random.default_rng(0)
    episodes = [_episode(rng, seed, sample) for seed in range(num_tasks) for sample in range(4)]
    episodes[0] = dataclasses.replace(episodes[0], **changes)
    with BenchStore(folder, _IDENTITY) as store:
        store.add_all(episodes)
    return episodes


def _episode(rng: np.random.Generator, seed: int, sample: int) -> Episode:
    num_words, num_turns, formed = int(rng.integers(1, 90)), int(rng.integers(1, 9)), bool(rng.integers(2))
    last = " ".join(["word"] * num_words)
    said = ["Hm."] * (num_turns - 1) + [f"<answer>{last}</answer>" if formed else last]
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Task {seed}?"}]
    for turn in said:
        messages += [{"role": "assistant", "content": turn}, {"role": "user", "content": "Go on."}]
    odds = 8 * (0.5 * formed - 0.5 * num_words / 100)
    return Episode(
        job=Job(env_id="AgentRL/Made-v0", level=1, seed=seed, sample=sample),
        task_id=str(seed),
        prompt=str(seed),
        reward=float(formed),
        rewards={"form": float(formed)},
        success=bool(rng.random() < 1 / (1 + np.exp(-odds))),
        num_turns=num_turns,
        messages=tuple(messages[:-1]),
    )


def failed() -> Failure:
    return Failure(kind="timeout", boundary="sandbox", message="no answer")
