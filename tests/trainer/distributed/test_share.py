"""A rank's share: every micro-batch on one rank, as many on each, and nothing counted twice."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.batching import MicroBatch, micro_batches
from agentrl.trainer.distributed.share import Share
from agentrl.trainer.distributed.team import _split
from agentrl.trainer.groups import Draw
from tests.trainer.test_batching import episode


def share(rank: int, size: int) -> Share:
    world: Any = SimpleNamespace(rank=rank, size=size)
    return Share(world)


def sampled(batches: list[MicroBatch]) -> list[tuple[int, int, int]]:
    """Return the rows in which a token counts."""
    return [
        place for batch in batches for place, mask_T in zip(batch.places, batch.mask_BT, strict=True) if mask_T.any()
    ]


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 14), st.integers(1, 80), st.integers(1, 5))
def test_every_row_is_computed_once_and_all_ranks_have_as_many(seed: int, num: int, tokens: int, size: int) -> None:
    rng = Random(seed)
    episodes = [episode(rng, member) for member in range(num)]
    every = list(micro_batches(episodes, max_tokens=tokens, device=torch.device("cpu")))
    parts = [list(share(rank, size).of(iter(every))) for rank in range(size)]
    assert len({len(part) for part in parts}) == 1
    assert sorted(place for part in parts for place in sampled(part)) == sorted(sampled(every))
    assert sum(batch.num_tokens for part in parts for batch in part) == sum(batch.num_tokens for batch in every)


def test_a_micro_batch_leaves_work_for_the_others() -> None:
    episodes = [episode(Random(1), member) for member in range(8)]
    total = sum(len(each.token_ids) for each in episodes)
    assert share(0, 4).width(episodes, 10**6) == -(-total // 4)
    assert share(0, 4).width(episodes, 5) == 5


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_group_stays_on_one_rank_and_tasks_are_the_same(size: int) -> None:
    draw = Draw(seed=3, envs={"A": 0.5, "B": 0.5}, groups_per_step=6, group_size=4, temperature=1.0)
    tasks = draw.tasks(2, level=None, places=range(6))
    parts = _split(tasks, size)
    assert sorted(index for part in parts for index in part) == list(range(len(tasks)))
    ranks: dict[int, set[int]] = {}
    for rank, part in enumerate(parts):
        for index in part:
            ranks.setdefault(tasks[index].group, set()).add(rank)
    assert all(len(each) == 1 for each in ranks.values())
    assert max(map(len, parts)) - min(map(len, parts)) <= 4
