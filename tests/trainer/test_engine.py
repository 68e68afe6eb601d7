"""The torch engine on real models: right log-probabilities, the same bits whatever the timing, and clean failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GptOssConfig,
    PreTrainedModel,
    Qwen3NextConfig,
)

from agentrl.trainer.engines.base import Request, Session
from agentrl.trainer.engines.kvcache import SlotCache
from agentrl.trainer.engines.sampling import draw
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.model import load_model
from agentrl.trainer.types import Completion
from tests.trainer.talks import (
    CONFIGS,
    SMALL,
    VOCAB,
    Plan,
    Talk,
    assert_right,
    converse,
    converse_all,
    model_of,
    some_plans,
)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return model_of("qwen3")


@pytest.fixture
def engine(model: PreTrainedModel) -> Iterator[TorchEngine]:
    with TorchEngine(model) as made:
        yield made


@pytest.mark.parametrize("schedule", ["exact", "eager"])
@pytest.mark.parametrize("name", CONFIGS)
def test_logprobs_are_those_of_a_fresh_pass(name: str, schedule: Any, tmp_path: Path) -> None:
    model_of(name).save_pretrained(tmp_path)
    model = load_model(str(tmp_path), device=torch.device("cpu"))
    with TorchEngine(model, schedule=schedule) as engine:
        talks = converse_all(engine, some_plans(12), sessions=5)
        assert_right(model, talks)
        assert max(len(talk.ids) for talk in talks) > 60  # far beyond the window
        assert engine.num_generated >= sum(len(talk.logprobs) for talk in talks)


def test_a_model_with_other_layers_is_refused() -> None:
    more: dict[str, Any] = {"num_hidden_layers": 4, "num_experts": 2, "num_experts_per_tok": 1}
    config = Qwen3NextConfig(**SMALL | more, moe_intermediate_size=16)
    with pytest.raises(ConfigError, match=r"linear_attention.*try a Qwen3"):
        TorchEngine(AutoModelForCausalLM.from_config(config))


def test_a_model_that_computes_otherwise_with_a_cache_is_refused() -> None:
    sizes = {"vocab_size": VOCAB, "hidden_size": 32, "n_layer": 2, "n_head": 4}
    with pytest.raises(ConfigError, match="BloomForCausalLM attends in a way"):  # takes no mask of four dimensions
        TorchEngine(AutoModelForCausalLM.from_config(BloomConfig(**sizes)))


def test_eager_attention_serves_too() -> None:
    """It adds the mask to its scores, which booleans would not survive."""
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"](), attn_implementation="eager").eval()
    with TorchEngine(model) as engine:
        assert_right(model, converse_all(engine, some_plans(6), sessions=3))


def test_a_model_with_an_attention_of_its_own_is_refused(tmp_path: Path) -> None:
    config = GptOssConfig(
        **SMALL, num_local_experts=2, num_experts_per_tok=1, rope_parameters={"rope_type": "default", "rope_theta": 1e4}
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="attention of its own"):
        load_model(str(tmp_path), device=torch.device("cpu"))


def test_a_prompt_is_computed_once_a_group_and_caches_are_kept(model: PreTrainedModel, engine: TorchEngine) -> None:
    prompt = tuple(range(2, 32))
    plans = [Plan(seed=seed, prompt=prompt, num_turns=3) for seed in range(4)]
    talks = converse_all(engine, plans)
    assert_right(model, talks)
    later = 0
    for talk in talks:
        ends = [len(prompt)]  # tokens known after each turn's prompt
        for completion in talk.completions:
            ends.append(ends[-1] + len(completion.token_ids))
        # All but the last token of a turn were cached when sampled; what the last turn is answered never is.
        sampled = sum(len(completion.token_ids) - 1 for completion in talk.completions[:-1])
        last_prompt = talk.sampled_at[-1] + 1 - len(talk.completions[-1].token_ids)
        later += last_prompt - len(prompt) - sampled
    assert engine.num_prefilled == len(prompt) + later


@pytest.mark.parametrize("sessions", [4, 24])
def test_the_same_bits_whatever_the_timing(model: PreTrainedModel, sessions: int) -> None:
    plans = some_plans(24)

    def played(timing: int, engine: TorchEngine) -> tuple[list[tuple[list[int], list[float]]], list[Any]]:
        rng = random.Random(timing)
        batches = []  # where a row stands may decide how its sums are rounded: on this machine or on another
        hook = model.base_model.register_forward_pre_hook(
            lambda _, args, kwargs: batches.append(kwargs["input_ids"].tolist()), with_kwargs=True
        )

        async def pause() -> None:
            await asyncio.sleep(rng.choice((0, 0, rng.random() * 0.02)))

        talks = converse_all(engine, plans, sessions=sessions, pause=pause)
        hook.remove()
        return [(talk.ids, talk.logprobs) for talk in talks], batches

    with TorchEngine(model) as engine, TorchEngine(model) as other:
        first = played(1, engine)
        assert played(2, engine) == first  # what was before does not matter either
        assert played(3, other) == first


def test_stop_tokens_and_the_limit(engine: TorchEngine) -> None:
    stops = frozenset(range(0, VOCAB, 3))
    plans = [Plan(seed=seed, prompt=(5, seed + 2), stops=stops, max_new=6) for seed in range(16)]
    endings = set()
    for plan, talk in zip(plans, converse_all(engine, plans), strict=True):
        world = random.Random(plan.seed)
        for completion in talk.completions:
            limit = world.randint(1, plan.max_new)
            [world.randrange(2, VOCAB) for _ in range(world.randint(1, 9))]
            endings.add((completion.finish, len(completion.token_ids) == limit))
    assert endings == {("stop", True), ("stop", False), ("length", True)}


def endless(seed: int = 0, *, max_new_tokens: int = 5000) -> Request:
    prompt, never = [5, 6, 7], frozenset[int]()
    return Request(
        prompt_ids=prompt, max_new_tokens=max_new_tokens, temperature=1.0, seed=seed, stop_ids=never, order=(seed,)
    )


async def sampling(engine: TorchEngine) -> None:
    """Wait until the engine has sampled something more."""
    before = engine.num_generated
    while engine.num_generated <= before + 1:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("schedule", ["exact", "eager"])
def test_a_cancelled_request_does_not_disturb_its_neighbours(model: PreTrainedModel, schedule: Any) -> None:
    rng = random.Random(0)

    async def run(engine: TorchEngine) -> list[Talk]:
        async def steady(seed: int, session: Session) -> Talk:
            talk = await converse(session, Plan(seed=seed, prompt=(9, 8, 7), num_turns=12))
            session.close()
            return talk

        opened = [engine.session() for _ in range(3)]
        wavering = engine.session()
        neighbours = [asyncio.create_task(steady(seed, session)) for seed, session in enumerate(opened)]
        for attempt in range(25):
            doomed = asyncio.create_task(wavering.generate(endless(attempt)))
            await asyncio.sleep(rng.random() * 0.01)
            doomed.cancel()
            await asyncio.gather(doomed, return_exceptions=True)
            assert doomed.cancelled()
        talk = await converse(wavering, Plan(seed=99, prompt=(4, 4, 4)))  # the session itself is as good as new
        wavering.close()
        return [talk, *[await neighbour for neighbour in neighbours]]

    with TorchEngine(model, schedule=schedule) as engine:
        assert_right(model, asyncio.run(asyncio.wait_for(run(engine), 60)))


def test_sessions_left_in_the_middle_leave_no_trace(model: PreTrainedModel, engine: TorchEngine) -> None:
    plans = some_plans(6)
    clean = [talk.logprobs for talk in converse_all(engine, plans)]

    async def leave() -> None:
        sessions = [engine.session() for _ in range(7)]
        tasks = [asyncio.create_task(session.generate(endless(seed))) for seed, session in enumerate(sessions)]
        await sampling(engine)
        for task, session in zip(tasks, sessions, strict=True):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            session.close()

    for _ in range(5):
        asyncio.run(leave())
        assert [talk.logprobs for talk in converse_all(engine, plans)] == clean


def test_sessions_that_come_later_find_room(model: PreTrainedModel) -> None:
    async def run(engine: TorchEngine) -> list[Talk]:
        early = asyncio.create_task(converse(engine.session(), Plan(seed=1, prompt=(9, 8, 7), num_turns=20)))
        late: list[asyncio.Task[Talk]] = []
        for seed in range(2, 12):
            await sampling(engine)
            late.append(asyncio.create_task(converse(engine.session(), Plan(seed=seed, prompt=(seed,) * seed))))
        return [await early, *[await task for task in late]]

    with TorchEngine(model, schedule="eager") as engine:
        assert_right(model, asyncio.run(asyncio.wait_for(run(engine), 60)))


def test_a_slot_has_little_more_room_than_it_needs_and_is_seldom_made_anew(model: PreTrainedModel) -> None:
    cache = SlotCache(model.config, 1, model.dtype)
    rooms = []
    for length in range(1, 4000):
        cache.aim(torch.tensor([0]), torch.tensor([length - 1]), torch.tensor([1]), 1)
        rooms.append(cache.capacity)
        assert length <= cache.capacity <= max(256, 1.125 * length + 320)
    assert len(set(rooms)) < 13


def test_an_error_reaches_all_who_wait() -> None:
    model = model_of("qwen3")
    calls = 0

    def break_down(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise RuntimeError("out of memory, say")

    async def run(engine: TorchEngine) -> list[Completion | BaseException]:
        sessions = [engine.session() for _ in range(4)]
        return await asyncio.gather(
            *[session.generate(endless(seed)) for seed, session in enumerate(sessions)], return_exceptions=True
        )

    with TorchEngine(model) as engine:
        model.base_model.register_forward_hook(break_down)
        errors = asyncio.run(asyncio.wait_for(run(engine), 60))
        assert [type(error) for error in errors] == [EngineError] * 4
        assert all("out of memory, say" in str(error) for error in errors)
        with pytest.raises(EngineError, match="out of memory, say"):
            engine.session()
        with pytest.raises(EngineError, match="out of memory, say"):
            engine.update_weights(1)


def test_weights_cannot_change_while_a_turn_is_sampled(model: PreTrainedModel, engine: TorchEngine) -> None:
    async def run() -> None:
        session = engine.session()
        task = asyncio.create_task(session.generate(endless()))
        await sampling(engine)
        with pytest.raises(EngineError, match="await the running turns"):
            engine.update_weights(7)
        assert engine.version == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        engine.update_weights(7)
        completion = await session.generate(endless(max_new_tokens=3))
        assert completion.version == 7
        session.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_an_update_drops_what_older_weights_computed() -> None:
    model = model_of("qwen3")

    async def run(engine: TorchEngine) -> Talk:
        session = engine.session()
        talk = Talk(ids=list(range(2, 20)), temperature=1.0)
        for version in range(3):
            talk.sampled_at, talk.logprobs = [], []
            request = Request(
                prompt_ids=list(talk.ids), max_new_tokens=9, temperature=1.0, seed=version, stop_ids=frozenset()
            )
            completion = await session.generate(request)
            assert completion.version == version
            talk.sampled_at += range(len(talk.ids), len(talk.ids) + 9)
            talk.ids += completion.token_ids
            talk.logprobs += completion.logprobs
            assert_right(model, [talk])
            talk.ids.append(33)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(1.1)
            engine.update_weights(version + 1)
        session.close()
        return talk

    with TorchEngine(model) as engine:
        asyncio.run(asyncio.wait_for(run(engine), 60))


def test_close_twice_and_what_waits_hears_of_it(model: PreTrainedModel) -> None:
    engine = TorchEngine(model)

    async def run() -> None:
        session = engine.session()
        task = asyncio.create_task(session.generate(endless(max_new_tokens=100_000)))
        await sampling(engine)
        await asyncio.to_thread(engine.close)
        with pytest.raises(EngineError, match="closed"):
            await task
        with pytest.raises(EngineError, match="closed"):
            await session.generate(endless())
        session.close()
        session.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.session()


def test_wrong_use_of_a_session_is_an_error_and_no_wait(engine: TorchEngine) -> None:
    async def run() -> None:
        session = engine.session()
        task = asyncio.create_task(session.generate(endless()))
        await sampling(engine)
        with pytest.raises(EngineError, match="still samples"):
            await session.generate(endless())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(EngineError, match="max_new_tokens=0"):
            await session.generate(endless(max_new_tokens=0))
        session.close()
        with pytest.raises(EngineError, match="session is closed"):
            await session.generate(endless())

    asyncio.run(asyncio.wait_for(run(), 60))


def test_eager_does_not_wait_for_a_slow_environment(model: PreTrainedModel) -> None:
    async def run(engine: TorchEngine) -> list[Talk]:
        others_done = asyncio.Event()
        slow = asyncio.create_task(converse(engine.session(), Plan(seed=1, prompt=(5, 6)), others_done.wait))
        fast = [asyncio.create_task(converse(engine.session(), Plan(seed=s, prompt=(7, 8)))) for s in range(2, 6)]
        talks = [await task for task in fast]
        assert not slow.done()
        others_done.set()
        return [*talks, await slow]

    with TorchEngine(model, schedule="eager") as engine:
        assert_right(model, asyncio.run(asyncio.wait_for(run(engine), 60)))


def test_exact_waits_for_the_slow_one(engine: TorchEngine) -> None:
    async def run() -> None:
        slow, fast = engine.session(), engine.session()
        await_it = asyncio.create_task(fast.generate(endless(max_new_tokens=2)))
        await asyncio.sleep(0.1)
        assert engine.num_generated == 0
        await slow.generate(endless(1, max_new_tokens=2))
        await await_it
        slow.close()
        fast.close()

    asyncio.run(asyncio.wait_for(run(), 60))


@given(
    st.lists(st.sampled_from([-torch.inf, -3.0, 0.0, 2.0, 80.0]), min_size=2, max_size=40).filter(
        lambda row: max(row) > -torch.inf
    ),
    st.sampled_from([0.0, 1e-12, 0.3, 0.5, 0.9999999, 0.99999999999, 1 - 2**-53]),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_a_draw_is_possible_and_where_the_uniform_says(row: list[float], uniform: float, temperature: float) -> None:
    tokens, logprobs = draw(torch.tensor([row]), [temperature], [uniform])
    token = int(tokens[0])
    probabilities = torch.softmax(torch.tensor(row, dtype=torch.float64) / (temperature or 1.0), -1)
    assert float(logprobs[0]) == pytest.approx(float(probabilities[token].log()), abs=1e-4)
    assert row[token] > -torch.inf
    if temperature == 0:
        assert row[token] == max(row)
    else:
        before = float(probabilities[:token].sum())
        assert before - 1e-5 <= uniform <= before + float(probabilities[token]) + 1e-5


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_draws_follow_the_distribution(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 12, generator=generator)
    uniforms = torch.rand(4000, generator=generator, dtype=torch.float64).tolist()
    tokens, _ = draw(logits.expand(4000, -1), [0.7] * 4000, uniforms)
    shares = torch.bincount(tokens, minlength=12) / 4000
    wanted = torch.softmax(logits[0] / 0.7, -1)
    assert float((shares - wanted).abs().max()) < 5 * (0.25 / 4000) ** 0.5
