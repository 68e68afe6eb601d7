"""An episode as plain as can be, from which tests make theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentrl.trainer.types import Episode

__all__ = ["blank_episode"]


def blank_episode(**changes: Any) -> Episode:
    """Return an episode of one sampled token and one turn, worth nothing, but for what is told."""
    blank = Episode(
        env_id="Toy",
        seed=0,
        step=1,
        group=0,
        member=0,
        attempt=0,
        split="train",
        level=0,
        task_id="",
        token_ids=[1],
        mask=[True],
        logprobs=[0.0],
        reward=0.0,
        rewards={},
        success=None,
        failure=None,
        truncated_by=None,
        messages=[],
        num_turns=1,
        versions=[],
        timings={},
        advantage=0.0,
    )
    return replace(blank, **changes)
