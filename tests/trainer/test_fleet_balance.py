"""Where an episode goes, that it stays there, and how turns end that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.fleet.balance import Load, least
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError, EngineError
from tests.trainer.fake_vllm import fakes
from tests.trainer.fleets import opened, play, turn, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1)


def test_members_of_a_group_stay_together_while_that_is_cheaper() -> None:
    def member(number: int, *, prompt: int, new: int) -> Request:
        ids = list(range(prompt))
        order = (1, 7, number)
        return Request(
            prompt_ids=ids, max_new_tokens=new, temperature=1.0, seed=number, stop_ids=frozenset(), order=order
        )

    loads = [Load(), Load()]
    turns = [member(number, prompt=100, new=20) for number in range(4)]
    homes = []
    for each in turns:
        homes.append(least(loads, each))
        loads[homes[-1]].begin(each)
    assert homes == [0, 1, 0, 1]  # what is under way there outweighs the prompt
    loads = [Load(), Load()]
    loads[0].end(loads[0].begin(turns[0]))  # done: only the prompt is there now
    busy = loads[1].begin(member(9, prompt=1, new=1))
    assert least(loads, turns[1]) == 0
    loads[1].end(busy)
    loads[0].emptied()
    loads[0].begin(member(9, prompt=1, new=1))
    assert least(loads, turns[1]) == 1


def test_an_episode_stays_and_the_work_is_spread(model: Any) -> None:
    with fakes(3, delay_s=0.02) as servers, opened(model, servers) as engine:
        play(engine, range(24), num_turns=4)
        homes = {each["seed"] // 1000: server.port for server in servers for each in server.turns}
        for server in servers:
            assert {homes[each["seed"] // 1000] for each in server.turns} == {server.port}
            assert len(server.turns) == 32


def test_a_session_may_move_once_its_episode_is_over(model: Any) -> None:
    with fakes(2, delay_s=0.2) as servers, opened(model, servers) as engine:

        async def run() -> list[int]:
            first, second = engine.session(), engine.session()
            await asyncio.gather(first.generate(turn(1)), second.generate(turn(2)))
            first.forget()
            second.forget()
            long = asyncio.create_task(first.generate(turn(3, tokens=300)))
            await asyncio.sleep(0.1)
            for seed in range(4, 7):
                await second.generate(turn(seed))
                second.forget()
            await long
            return [len(each.turns) for each in servers]

        assert sorted(asyncio.run(run())) == [2, 4]  # all short ones went to the server without the long one


def test_a_cancelled_turn_leaves_no_trace(model: Any) -> None:
    with fakes(1, delay_s=0.3) as servers, opened(model, servers) as engine:

        async def run() -> None:
            session = engine.session()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.generate(turn(1)), 0.05)
            assert len((await session.generate(turn(2))).token_ids) == 5

        asyncio.run(run())
        assert engine.metrics()["engine/servers_lost"] == 0.0


def test_closing_ends_turns_under_way(model: Any) -> None:
    with fakes(1, delay_s=2.0) as servers:
        engine = opened(model, servers)

        async def run() -> None:
            under_way = asyncio.create_task(engine.session().generate(turn(1)))
            await asyncio.to_thread(until, lambda: servers[0].under_way)
            await asyncio.to_thread(engine.close)
            with pytest.raises(EngineError, match="the engine is closed"):
                await under_way

        asyncio.run(asyncio.wait_for(run(), 10))
        engine.close()
        with pytest.raises(EngineError, match="the engine is closed"):
            engine.session()
    assert not [each for each in threading.enumerate() if each.name.startswith(("agentrl-servers", "agentrl-weights"))]


def test_where_weights_cannot_go_is_refused_at_once(model: Any) -> None:
    for more, message in (
        ({"urls": ("http://10.0.0.9:8000",)}, r"10\.0\.0\.9:8000 is on another machine .* engine\.weights_host = "),
        ({"urls": ("http://127.0.0.1:9",), "weights_host": "192.0.2.1"}, r"weights_host is '192\.0\.2\.1', .*be bound"),
    ):
        options = EngineConfig(name="vllm", **more)
        with pytest.raises(ConfigError, match=message):
            open_engine(model, max_tokens=9, max_sessions=1, schedule="eager", options=options)
