"""When memory is short: every episode ends, with what it would have said, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from agentrl.trainer.config import EvalConfig, TrainConfig
from agentrl.trainer.engines.base import Request, Schedule, Session
from agentrl.trainer.engines.copied import CopiedEngine
from agentrl.trainer.engines.kvcache import SlotCache, _SlotLayer, token_bytes
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.loop import train
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from tests.trainer.talks import Plan, Talk, converse, converse_all, fresh_logprobs, model_of, some_plans

Engines = type[TorchEngine]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return model_of("qwen3").double()


def megabytes(model: PreTrainedModel, num_tokens: float) -> float:
    return num_tokens * token_bytes(model.config, model.dtype) / 2**20


def assert_exact(model: PreTrainedModel, talks: list[Talk]) -> None:
    for talk in talks:
        every = fresh_logprobs(model, talk)
        wanted = torch.tensor([float(every[at - 1, talk.ids[at]]) for at in talk.sampled_at])
        torch.testing.assert_close(torch.tensor(talk.logprobs), wanted, rtol=0, atol=1e-5)


def said(talks: list[Talk]) -> list[Any]:
    return [(talk.ids, talk.logprobs) for talk in talks]


def tokens(talks: list[Talk]) -> list[list[int]]:
    return [talk.ids for talk in talks]


def long_plans(count: int, *, num_turns: int = 4) -> list[Plan]:
    """Plans whose turns take much of what a slot is made with."""
    return [replace(each, max_new=90, num_turns=num_turns) for each in some_plans(count)]


def jitter(seed: int) -> Callable[[], Coroutine[Any, Any, object]]:
    rng = random.Random(seed)

    async def pause() -> None:
        await asyncio.sleep(rng.choice((0, 0, rng.random() * 0.01)))

    return pause


@contextmanager
def watched(engine: TorchEngine) -> Iterator[list[int]]:
    """Collect what the cache could hold at each pass of the model."""
    sizes: list[int] = []
    hook = engine._model.base_model.register_forward_pre_hook(
        lambda *_: (
            sizes.append(sum(layer.keys[..., 0].numel() for layer in engine._slots.cache.layers[:1]))
            if engine._slots.cache.layers[0].is_initialized
            else None
        )
    )
    yield sizes
    hook.remove()


@pytest.mark.parametrize("schedule", ["exact", "eager"])
@pytest.mark.parametrize("share", [3, 8])
def test_all_episodes_end_as_they_would_have(model: PreTrainedModel, schedule: Schedule, share: int) -> None:
    plans = long_plans(9)
    with TorchEngine(model, schedule=schedule) as engine:
        free = converse_all(engine, plans)
        assert engine.num_evicted == engine.num_recomputed == 0
        assert engine.metrics() == {}
    longest = max(len(talk.ids) for talk in free)
    bound = max(longest, longest * len(plans) // share)
    heads = model.config.num_key_value_heads
    with (
        TorchEngine(model, schedule=schedule, kv_cache_mb=megabytes(model, bound)) as engine,
        watched(engine) as sizes,
    ):
        talks = converse_all(engine, plans, pause=jitter(1))
        assert tokens(talks) == tokens(free)
        assert_exact(model, talks)
        assert max(sizes) <= heads * bound
        assert engine.num_evicted > 0
        assert 0 < engine.num_recomputed < engine.num_prefilled
        told = engine.metrics()
        assert told == {"engine/evicted": engine.num_evicted, "engine/recomputed_tokens": engine.num_recomputed}
        assert set(engine.metrics().values()) == {0.0}


@pytest.mark.parametrize("sessions", [5, 9])
def test_exact_says_the_same_bits_whatever_the_timing(sessions: int) -> None:
    model = model_of("qwen3")  # float32: another order of the sums would show
    plans = long_plans(9, num_turns=3)
    bound = megabytes(model, 600)

    def played(timing: int, engine: TorchEngine) -> Any:
        batches: list[Any] = []
        hook = model.base_model.register_forward_pre_hook(
            lambda _, args, kwargs: batches.append(kwargs["input_ids"].tolist()), with_kwargs=True
        )
        talks = converse_all(engine, plans, sessions=sessions, pause=jitter(timing))
        hook.remove()
        return said(talks), batches

    with TorchEngine(model, kv_cache_mb=bound) as engine, TorchEngine(model, kv_cache_mb=bound) as other:
        first = played(1, engine)
        assert engine.num_evicted > 0
        assert played(2, engine) == first
        assert played(3, other) == first


def greedy(member: int, *, prompt: int, new: int) -> Request:
    return Request(
        prompt_ids=[5 + place % 90 for place in range(prompt)],
        max_new_tokens=new,
        temperature=0.0 if member < 4 else 1.0,
        seed=member,
        stop_ids=frozenset(),
        order=(member,),
    )


def test_rows_that_follow_another_give_way_too(model: PreTrainedModel) -> None:
    """Four go the same way to the end, two part from them; there is room for three."""

    async def turn(session: Session, member: int) -> list[int]:
        done = await session.generate(greedy(member, prompt=40, new=100 + 30 * member))
        session.close()
        return done.token_ids

    async def run(engine: TorchEngine) -> list[list[int]]:
        sessions = [engine.session() for _ in range(6)]
        return await asyncio.gather(*[turn(session, member) for member, session in enumerate(sessions)])

    with TorchEngine(model) as engine:
        wanted = asyncio.run(asyncio.wait_for(run(engine), 60))
    with TorchEngine(model, kv_cache_mb=megabytes(model, 3 * 200)) as engine:
        assert asyncio.run(asyncio.wait_for(run(engine), 60)) == wanted
        assert engine.num_evicted >= 3


@pytest.mark.parametrize("schedule", ["exact", "eager"])
def test_cancelled_turns_disturb_nobody(model: PreTrainedModel, schedule: Schedule) -> None:
    rng = random.Random(0)

    async def steady(session: Session, seed: int) -> Talk:
        talk = await converse(session, Plan(seed=seed, prompt=(9, 8, 7), num_turns=9, max_new=60))
        session.close()
        return talk

    async def run(engine: TorchEngine) -> list[Talk]:
        opened, wavering = [engine.session() for _ in range(4)], [engine.session() for _ in range(2)]
        neighbours = [asyncio.create_task(steady(session, seed)) for seed, session in enumerate(opened)]
        for attempt in range(25):
            doomed = [
                asyncio.create_task(session.generate(greedy(attempt % 7, prompt=30, new=200))) for session in wavering
            ]
            await asyncio.sleep(rng.random() * 0.02)
            for task in doomed:
                task.cancel()
            await asyncio.gather(*doomed, return_exceptions=True)
        for session in wavering:
            session.close()
        return await asyncio.gather(*neighbours)

    with TorchEngine(model, schedule=schedule, kv_cache_mb=megabytes(model, 700)) as engine:
        assert_exact(model, asyncio.run(asyncio.wait_for(run(engine), 60)))
        assert engine.num_evicted > 0


def test_an_update_between_turns(model: PreTrainedModel) -> None:
    own = model_of("qwen3").double()
    with TorchEngine(own, kv_cache_mb=megabytes(own, 400)) as engine:
        assert_exact(own, converse_all(engine, long_plans(6)))
        with torch.no_grad():
            for weight in own.parameters():
                weight.mul_(1.1)
        engine.update_weights(1)
        assert_exact(own, converse_all(engine, long_plans(6)))
        assert engine.num_evicted > 0


def test_turns_that_were_put_back_end_with_the_weights_they_began_with() -> None:
    model = model_of("qwen3").double()
    older = model_of("qwen3").double()

    async def turn(engine: TorchEngine, member: int, new: int) -> Any:
        session = engine.session()
        done = await session.generate(greedy(member, prompt=40, new=new))
        session.close()
        return done

    async def turns(engine: TorchEngine) -> list[Any]:
        return await asyncio.gather(*[turn(engine, member, 200) for member in range(4, 10)])

    with CopiedEngine(model, kv_cache_mb=megabytes(model, 2.5 * 240)) as engine, ThreadPoolExecutor(1) as other:
        running = other.submit(lambda: asyncio.run(asyncio.wait_for(turns(engine), 60)))
        while not engine.num_evicted:
            assert not running.done()
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.1)
        engine.update_weights(1)
        done = running.result()
    assert Counter(each.version for each in done)[0] >= 3
    for each in done:
        talk = Talk(ids=[*greedy(0, prompt=40, new=1).prompt_ids, *each.token_ids], logprobs=each.logprobs)
        talk.sampled_at = list(range(40, 240))
        assert_exact(older if each.version == 0 else model, [talk])


def test_an_episode_that_does_not_fit_alone_is_told_and_others_go_on(model: PreTrainedModel) -> None:
    async def run(engine: TorchEngine) -> Any:
        sessions = [engine.session() for _ in range(3)]
        asked = (greedy(0, prompt=40, new=30), greedy(1, prompt=200, new=5), greedy(2, prompt=40, new=100))
        done = await asyncio.gather(
            *[session.generate(request) for session, request in zip(sessions, asked, strict=True)],
            return_exceptions=True,
        )
        after = await sessions[1].generate(greedy(3, prompt=9, new=3)) if engine._schedule == "eager" else None
        return [*done, after]

    for schedule in ("exact", "eager"):
        with TorchEngine(model, schedule=schedule, kv_cache_mb=megabytes(model, 120)) as engine:
            fine, never, outgrown, after = asyncio.run(asyncio.wait_for(run(engine), 60))
        assert len(fine.token_ids) == 30
        for error, length in ((never, 200), (outgrown, 121)):
            assert isinstance(error, EngineError)
            assert f"an episode of {length} tokens takes" in str(error)
            assert "MiB of keys and values, more than engine.kv_cache_mb=" in str(error)
            assert "write --engine.kv_cache_mb 1 or more, or lower rollout.max_episode_tokens" in str(error)
        assert after is None or len(after.token_ids) == 3


@pytest.mark.parametrize("beside", [False, True])
def test_a_bound_for_less_than_an_episode_is_refused_at_the_start(model: PreTrainedModel, beside: bool) -> None:
    options = EngineConfig(kv_cache_mb=2)
    longest = int(2 / megabytes(model, 1))
    common: Any = {"max_sessions": 4, "schedule": "eager", "options": options, "beside": beside}
    with pytest.raises(ConfigError, match=r"kv_cache_mb is 2, but one episode .* takes 3 MiB .*kv_cache_mb 3 or more"):
        open_engine(model, max_tokens=longest + 1, **common)
    with open_engine(model, max_tokens=longest, **common) as engine:
        assert isinstance(engine, CopiedEngine if beside else TorchEngine)
        assert engine.metrics() == {"engine/evicted": 0.0, "engine/recomputed_tokens": 0.0}


@pytest.mark.parametrize("schedule", ["exact", "eager"])
@pytest.mark.parametrize("where", ["growing", "making", "passing"])
def test_memory_that_runs_out_is_survived(
    model: PreTrainedModel, schedule: Schedule, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the device had room for `most` tokens: growing in the second layer, at first, or in the pass itself."""
    most, plans, failed = 900, long_plans(4, num_turns=6), []
    with TorchEngine(model, schedule=schedule) as engine:
        free = converse_all(engine, plans, sessions=3)
    empty = _SlotLayer._empty

    def short(layer: _SlotLayer, like: torch.Tensor) -> Any:
        owner = layer._owner
        last = layer is owner.layers[-1]
        if owner.num_tokens > most and last and (where == "making" or layer.is_initialized):
            failed.append(owner.num_tokens)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate more than there is")
        return empty(layer, like)

    with TorchEngine(model, schedule=schedule) as engine:
        if where == "passing":

            def crowded(*_: object) -> None:
                if engine._slots.cache.num_tokens > most:
                    failed.append(engine._slots.cache.num_tokens)
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate activations")

            model.base_model.layers[-1].mlp.register_forward_hook(crowded)
        else:
            monkeypatch.setattr(_SlotLayer, "_empty", short)
        with pytest.warns(RuntimeWarning, match=r"memory ran out: .* MiB at most, .* set engine.kv_cache_mb"):
            talks = converse_all(engine, plans, sessions=3)
        monkeypatch.undo()
        model.base_model.layers[-1].mlp._forward_hooks.clear()
        assert tokens(talks) == tokens(free)
        assert_exact(model, talks)
        assert failed
        assert engine._slots.max_tokens <= most
        assert engine.metrics()["engine/evicted"] > 0


def test_memory_that_never_suffices_is_an_error(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with TorchEngine(model) as engine:
        monkeypatch.setattr(_SlotLayer, "_empty", none_left)
        with pytest.warns(RuntimeWarning, match="memory ran out"), pytest.raises(ExceptionGroup) as errors:
            converse_all(engine, some_plans(3))
    for error in errors.value.exceptions:
        assert isinstance(error, EngineError)
        assert "and memory ran out beyond" in str(error)


def test_slots_that_move_keep_what_they_hold(model: PreTrainedModel) -> None:
    cache = SlotCache(model.config, 4, model.dtype)
    rows, none, three = torch.arange(4), torch.zeros(4, dtype=torch.long), torch.full((4,), 3)
    with torch.no_grad():
        positions, mask = cache.aim(rows, none, three, 3)
        ids = torch.arange(12).view(4, 3)
        model.base_model(input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=cache)
    held = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
    cache.reshape(3, 64, [3, 1])
    for layer, (keys, values) in zip(cache.layers, held, strict=True):
        assert layer.keys.shape[0] == 3
        assert layer.keys.shape[2] == 64
        assert torch.equal(layer.keys[:2, :, :3], keys[[3, 1], :, :3])
        assert torch.equal(layer.values[:2, :, :3], values[[3, 1], :, :3])


def test_a_run_tells_how_often_rows_gave_way(model_folder: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        env="FrozenLake-v1",
        model=str(model_folder),
        num_steps=1,
        groups_per_step=4,
        group_size=4,
        engine=EngineConfig(kv_cache_mb=1),
        rollout=RolloutConfig(concurrency=16, max_turn_tokens=8, max_episode_tokens=1500),
        eval=EvalConfig(num_episodes=0),
    )
    run_dir = RunDir.create(tmp_path, "run", default="x")
    train(config, run_dir=run_dir)
    (row,) = read_metrics(run_dir.path / "metrics.jsonl")
    assert row["engine/evicted"] > 0
    assert row["engine/recomputed_tokens"] > 0
