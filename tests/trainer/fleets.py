"""What tests of several servers share: engines over servers that speak vLLM's protocol, and episodes of some turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import torch

from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.types import Completion
from tests.trainer.fake_vllm import FakeVllm

HEALTH_S = 0.2


def opened(model: Any, servers: list[FakeVllm], **more: Any) -> Engine:
    options = EngineConfig(
        name="vllm",
        urls=tuple(each.url for each in servers),
        **{"timeout_s": 5.0, "health_s": HEALTH_S, **more},
    )
    return open_engine(model, max_tokens=512, max_sessions=64, schedule="eager", options=options)


def turn(seed: int = 1, *, tokens: int = 5, order: tuple[int, ...] = ()) -> Request:
    return Request(
        prompt_ids=[7, 8, seed % 90],
        max_new_tokens=tokens,
        temperature=1.0,
        seed=seed,
        stop_ids=frozenset(),
        order=order,
    )


def play(engine: Engine, seeds: range, *, num_turns: int = 1, meanwhile: Callable[[], None] | None = None) -> Any:
    """Play episodes of some turns at once, with something done while they are under way; return their turns."""

    async def episode(seed: int) -> list[Completion]:
        session = engine.session()
        said = [await session.generate(turn(seed * 1000 + number)) for number in range(num_turns)]
        session.close()
        return said

    async def run() -> list[list[Completion]]:
        tasks = [asyncio.create_task(episode(seed)) for seed in seeds]
        if meanwhile is not None:
            await asyncio.to_thread(meanwhile)
        return await asyncio.gather(*tasks)

    return asyncio.run(asyncio.wait_for(run(), 40))


def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop
        time.sleep(0.01)


@torch.no_grad()
def learn(model: Any) -> None:
    for parameter in model.parameters():
        parameter.mul_(1.01)


def total(engine: Engine, sums: dict[str, float]) -> dict[str, float]:
    """Add up what happened; `servers_up` is as it is now."""
    for name, value in engine.metrics().items():
        sums[name] = value if name.endswith("_up") else sums.get(name, 0.0) + value
    return sums
