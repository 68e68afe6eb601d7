"""What every engine owes the trainer, on the same model: the contract of `engines/base.py`, torch and vLLM alike."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from agentrl.trainer.engines import ENGINES
from agentrl.trainer.engines.base import Engine, Request, Session
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import EngineError
from tests.trainer.talks import Plan, Talk, assert_right, converse, converse_all, no_pause

MAX_TOKENS = 200
WORDS = 300
STOPS = frozenset(range(5, WORDS, 7))


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=3, hidden=64, layers=2, scale=4)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, model: Any) -> Iterator[Engine]:
    if request.param == "vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    options = EngineConfig(name=request.param)
    with open_engine(model, max_tokens=MAX_TOKENS, max_sessions=16, schedule="exact", options=options) as made:
        yield made


def plan(number: int) -> Plan:
    """An episode that its number decides; groups of three share a prompt."""
    world = random.Random(number // 3)
    return Plan(
        seed=number,
        prompt=tuple(world.randrange(2, WORDS) for _ in range(40)),
        temperature=(1.0, 0.6, 1.7, 0.0)[number % 4],
        stops=STOPS,
        group=number // 3,
        vocabulary=WORDS,
    )


def play(engine: Engine, count: int, *, sessions: int, timing: int | None = None) -> list[Talk]:
    rng = random.Random(timing)

    async def pause() -> None:
        await asyncio.sleep(rng.choice((0, rng.random() * 0.02)))

    plans = [plan(number) for number in range(count)]
    return converse_all(engine, plans, sessions=sessions, pause=no_pause if timing is None else pause)


def said(talks: list[Talk]) -> list[Any]:
    return [(talk.ids, talk.logprobs) for talk in talks]


def endless(max_new_tokens: int = MAX_TOKENS - 3) -> Request:
    return Request(
        prompt_ids=[5, 6, 7], max_new_tokens=max_new_tokens, temperature=1.0, seed=1, stop_ids=frozenset[int]()
    )


def test_logprobs_are_those_of_a_fresh_pass(engine: Engine, model: Any) -> None:
    talks = play(engine, 24, sessions=7)
    assert_right(model, talks)
    ends = {completion.finish for talk in talks for completion in talk.completions}
    assert ends == {"stop", "length"}
    assert len({str(talk.ids) for talk in talks}) == 24  # each request has a seed of its own


def test_the_same_bits_whatever_the_timing(engine: Engine) -> None:
    engine.update_weights(engine.version)  # empties the caches: hits round otherwise
    first = play(engine, 24, sessions=12, timing=1)
    engine.update_weights(engine.version)
    assert said(play(engine, 24, sessions=12, timing=2)) == said(first)


def test_more_sessions_than_fit_wait_their_turn(engine: Engine, model: Any) -> None:
    assert_right(model, play(engine, 24, sessions=24))


def test_an_update_takes_over_the_weights_and_drops_the_caches(engine: Engine, model: Any) -> None:
    before = play(engine, 6, sessions=6)
    with torch.no_grad():
        for parameter in model.parameters():  # the tied output layer is among them
            parameter.mul_(1.1)
    engine.update_weights(41)
    after = play(engine, 6, sessions=6)
    assert_right(model, after)
    assert {completion.version for talk in after for completion in talk.completions} == {41}
    assert before[0].completions[0].version != 41
    with pytest.raises(AssertionError):
        assert_right(model, before)


def test_an_update_between_two_turns_of_an_episode(engine: Engine, model: Any) -> None:
    async def run() -> Talk:
        session, talk = engine.session(), Talk(ids=list(range(2, 60)))
        for version in range(50, 53):
            request = Request(
                prompt_ids=list(talk.ids), max_new_tokens=9, temperature=1.0, seed=version, stop_ids=frozenset()
            )
            completion = await session.generate(request)
            talk.sampled_at = list(range(len(talk.ids), len(talk.ids) + len(completion.token_ids)))
            talk.ids, talk.logprobs = talk.ids + completion.token_ids, completion.logprobs
            assert_right(model, [talk])
            talk.ids.append(33)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(1.05)
            engine.update_weights(version)
        session.close()
        return talk

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_cancelled_turn_does_not_disturb_its_neighbours(engine: Engine, model: Any) -> None:
    rng = random.Random(0)

    async def run() -> list[Talk]:
        async def steady(number: int, session: Session) -> Talk:
            talk = await converse(session, plan(number))
            session.close()
            return talk

        opened = [engine.session() for _ in range(3)]
        wavering = engine.session()
        neighbours = [asyncio.create_task(steady(number, session)) for number, session in enumerate(opened)]
        for _ in range(10):
            doomed = asyncio.create_task(wavering.generate(endless()))
            await asyncio.sleep(rng.random() * 0.01)
            doomed.cancel()
            await asyncio.gather(doomed, return_exceptions=True)
            assert doomed.cancelled()
        talk = await converse(wavering, plan(9))  # the session itself is as good as new
        wavering.close()
        return [talk, *[await neighbour for neighbour in neighbours]]

    assert_right(model, asyncio.run(asyncio.wait_for(run(), 120)))


def test_wrong_use_of_a_session_is_an_error_and_no_wait(engine: Engine) -> None:
    async def run() -> None:
        session = engine.session()
        task = asyncio.create_task(session.generate(endless()))
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="still samples"):
            await session.generate(endless())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(EngineError, match="max_new_tokens=0"):
            await session.generate(endless(0))
        session.close()
        session.close()
        with pytest.raises(EngineError, match="session is closed"):
            await session.generate(endless())

    asyncio.run(asyncio.wait_for(run(), 60))


def test_close_twice_and_what_waits_hears_of_it(engine: Engine) -> None:  # the last one: the engine is gone
    async def run() -> None:
        session = engine.session()
        task = asyncio.create_task(session.generate(endless()))
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        with pytest.raises(EngineError, match="closed"):
            await task
        with pytest.raises(EngineError, match="closed"):
            await session.generate(endless())
        session.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.session()
    with pytest.raises(EngineError, match="closed"):
        engine.update_weights(99)
