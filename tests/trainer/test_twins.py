"""Rows that are the same so far are computed once, and each finds its own cache when they part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.engines.base import Request, Schedule
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.engines.twins import TwinRow, diverge, leave
from agentrl.trainer.types import Completion

TEMPERATURE = 0.1  # low enough that members stay together for a while


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 3))
def test_each_row_finds_its_own_tokens(seed: int, size: int, words: int) -> None:
    rng = Random(seed)
    rows = [TwinRow(slot=slot) for slot in range(size)]
    for row in rows[1:]:
        row.like = rows[0]
    cache: dict[int, list[int]] = {row.slot: [-1] for row in rows}  # garbage, but for the first
    cache[0] = []

    def copy(pairs: list[tuple[TwinRow, TwinRow]]) -> None:
        for source, target in pairs:
            cache[target.slot] = list(cache[source.slot])

    while rows:
        for row in rows:
            row.tokens.append(rng.randrange(words))
        copy(diverge(rows))
        gone = [row for row in rows if rng.random() < 0.15]
        rows = [row for row in rows if row not in gone]
        copy(leave(gone, rows))
        for row in rows:
            if row.like is None:
                cache[row.slot].append(row.tokens[-1])
        for row in rows:
            assert cache[(row.like or row).slot] == row.tokens
        assert sum(row.like is None for row in rows) == len({tuple(row.tokens) for row in rows})


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Any]) -> Any:
    made = tiny_model(seed=3, hidden=64, layers=2)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return made


def asked(group: int, member: int, tokens: int) -> Request:
    return Request(
        prompt_ids=[5 + (7 * group + place) % 200 for place in range(9)],
        max_new_tokens=tokens,
        temperature=TEMPERATURE,
        seed=100 * group + member,
        stop_ids=frozenset(range(0, 300, 29)),
        order=(group, member),
    )


def play(engine: TorchEngine, requests: list[Request], *, cancelled: frozenset[int] = frozenset()) -> list[Any]:
    """Play two turns of each request; some are cancelled in the first."""

    async def episode(index: int) -> list[tuple[list[int], Completion]]:
        request, session, turns = requests[index], sessions[index], []
        try:
            ids = list(request.prompt_ids)
            for turn in range(2):
                completion = await session.generate(
                    Request(
                        prompt_ids=list(ids),
                        max_new_tokens=request.max_new_tokens + turn,
                        temperature=request.temperature,
                        seed=request.seed + turn,
                        stop_ids=request.stop_ids,
                        order=request.order,
                    )
                )
                turns.append((list(ids), completion))
                ids += [*completion.token_ids, 8, 9]
        finally:
            session.close()
        return turns

    async def everything() -> list[Any]:
        tasks = [asyncio.ensure_future(episode(index)) for index in range(len(requests))]
        while engine.num_generated - before < 3 * len(requests):
            await asyncio.sleep(0.001)
        for index in cancelled:
            tasks[index].cancel()
        results = []
        for index, task in enumerate(tasks):
            with contextlib.suppress(asyncio.CancelledError):
                results.append((index, await task))
        return results

    before = engine.num_generated
    sessions = [engine.session() for _ in requests]
    return asyncio.run(everything())


@torch.no_grad()
def check(model: Any, played: list[Any]) -> None:
    for _, turns in played:
        for prompt, completion in turns:
            ids = [*prompt, *completion.token_ids]
            every = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float() / TEMPERATURE, -1)
            places = torch.arange(len(prompt), len(ids)) - 1
            wanted = every[places, torch.tensor(completion.token_ids)]
            assert torch.allclose(torch.tensor(completion.logprobs), wanted, atol=1e-4)


@pytest.mark.parametrize("schedule", ["exact", "eager"])
def test_groups_are_computed_once_where_they_agree(model: Any, schedule: Schedule) -> None:
    requests = [asked(group, member, tokens=20 + member % 3) for group in range(3) for member in range(6)]
    with TorchEngine(model, schedule=schedule) as engine:
        played = play(engine, requests)
        shared = engine.num_generated - engine.num_decoded
        again = play(engine, requests)
    check(model, played)
    assert len(played) == len(requests)
    first = 2 * len(requests)  # sampled after a prompt, not after a token
    assert shared > first + 0.05 * sum(len(turn.token_ids) for _, turns in played for _, turn in turns)
    if schedule == "exact":
        assert again == played
    for group in range(3):  # they did part
        assert len({tuple(turns[0][1].token_ids) for index, turns in played if index // 6 == group}) > 1


def test_a_row_that_others_follow_may_be_cancelled(model: Any) -> None:
    requests = [asked(group, member, tokens=40) for group in range(2) for member in range(6)]
    with TorchEngine(model, schedule="eager") as engine:
        played = play(engine, requests, cancelled=frozenset({0, 1, 6}))
    check(model, played)
    assert {index for index, _ in played} >= {2, 3, 4, 5, 7, 8, 9, 10, 11}


def test_members_that_never_part_end_together(model: Any) -> None:
    requests = [asked(0, member, tokens=12) for member in range(5)]
    greedy = [Request(**vars(each) | {"temperature": 0.0, "stop_ids": frozenset()}) for each in requests]
    with TorchEngine(model) as engine:
        played = play(engine, greedy)
        assert engine.num_decoded == 11 + 12  # of 5 x (11 + 12) after the first token of each turn
    check_tokens = {tuple(turn.token_ids) for _, turns in played for _, turn in turns[:1]}
    assert len(played) == 5
    assert len(check_tokens) == 1
