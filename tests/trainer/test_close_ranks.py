"""Rows that stay when others end move to the first slots, and go on as if nothing had happened."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.kvcache import SlotCache
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.types import Completion


def test_slots_are_exchanged(tiny_model: Callable[..., Any]) -> None:
    config = tiny_model(seed=0).config
    cache = SlotCache(config, 4, torch.float32)
    states = torch.arange(4 * config.num_key_value_heads * 5 * config.head_dim, dtype=torch.float32)
    slots_B, tokens_B = torch.arange(4), torch.full((4,), 5)
    cache.aim(slots_B, torch.zeros(4, dtype=torch.long), tokens_B, 5)
    given = states.view(4, config.num_key_value_heads, 5, config.head_dim)
    for layer in cache.layers:
        layer.update(given, -given)
    cache.swap(torch.tensor([3, 2]), torch.tensor([0, 1]), 4)
    order = [3, 2, 1, 0]
    for layer in cache.layers:
        assert torch.equal(layer.keys[:, :, :4], given[order][:, :, :4])
        assert torch.equal(layer.values[:, :, :4], -given[order][:, :, :4])
        assert torch.equal(layer.keys[:, :, 4:5], given[:, :, 4:])  # beyond the length nothing moved


def test_a_cache_goes_with_its_last_reference(tiny_model: Callable[..., Any]) -> None:
    config = tiny_model(seed=0).config
    cache = SlotCache(config, 1, torch.float32)
    cache.aim(torch.arange(1), torch.zeros(1, dtype=torch.long), torch.full((1,), 5), 5)
    for layer in cache.layers:
        layer.update(*torch.zeros(2, 1, config.num_key_value_heads, 5, config.head_dim))
    keys = weakref.ref(cache.layers[0].keys)
    gc.disable()
    try:
        del cache, layer
        assert keys() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("lasting", [(7,), (3, 6, 7)])
def test_a_step_is_as_wide_as_the_rows_that_are_left(
    tiny_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, lasting: tuple[int, ...]
) -> None:
    model = tiny_model(seed=3)
    widths: list[int] = []
    aim = SlotCache.aim

    def watched(self: SlotCache, rows_B: Any, lengths_B: Any, new_B: Any, num_new: int, **more: Any) -> Any:
        if num_new == 1:
            widths.append(len(rows_B))
        return aim(self, rows_B, lengths_B, new_B, num_new, **more)

    def request(index: int, prompt: list[int], count: int, turn: int) -> Request:
        return Request(
            prompt_ids=prompt,
            max_new_tokens=count,
            temperature=1.0,
            seed=10 * index + turn,
            stop_ids=frozenset(),
            order=(index,),
        )

    async def play(engine: TorchEngine, indices: list[int]) -> dict[int, list[int]]:
        sessions = {index: engine.session() for index in indices}

        async def episode(index: int) -> list[int]:
            ids = [9 + index, 20, 30 + index]
            for turn, count in enumerate((30 if index in lasting else 4, 5)):
                done: Completion = await sessions[index].generate(request(index, ids, count, turn))
                ids = [*ids, *done.token_ids, 50 + turn]
            sessions[index].close()
            return ids

        found = await asyncio.gather(*map(episode, indices))
        return dict(zip(indices, found, strict=True))

    monkeypatch.setattr(SlotCache, "aim", watched)
    with TorchEngine(model) as engine:
        together = asyncio.run(play(engine, list(range(8))))
    assert widths.count(len(lasting)) >= 20  # of the 26 steps that they take without the others
    assert max(widths) == 8
    for index in range(8):
        with TorchEngine(model) as engine:
            assert asyncio.run(play(engine, [index]))[index] == together[index]
