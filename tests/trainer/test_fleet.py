"""Who takes part: faults of the wire, one at a time, against servers that speak vLLM's protocol on the loopback."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.trainer.engines.base import Probe
from agentrl.trainer.errors import EngineError, ParityError
from tests.trainer.fake_vllm import Handler, bias_of, fakes
from tests.trainer.fleets import learn, opened, play, total, turn, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1)


# -- the wire -----------------------------------------------------------------------------------------------------


def refuse(handler: Handler, path: str, body: dict[str, Any]) -> bool:
    if path == "/v1/completions":
        handler.say({"error": "overloaded"}, 500)
    return path == "/v1/completions"


def half(handler: Handler, path: str, body: dict[str, Any]) -> bool:
    if path == "/v1/completions":
        handler.say({"choices": [{"token_ids": [1, 2], "logprobs": {"token_logprobs": [-1.0]}}]})
    return path == "/v1/completions"


def cut(handler: Handler, path: str, body: dict[str, Any]) -> bool:
    if path == "/v1/completions":
        handler.say({"choices": [{"token_ids": [1, 2]}]}, cut_at=9)
    return path == "/v1/completions"


def no_json(handler: Handler, path: str, body: dict[str, Any]) -> bool:
    if path == "/v1/completions":
        handler.send_response(200)
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"<html>")
    return path == "/v1/completions"


def hang(handler: Handler, path: str, body: dict[str, Any]) -> bool:
    """All of it, as a process that is stopped."""
    time.sleep(3)
    handler.close_connection = True
    return True


@pytest.mark.parametrize("fault", [refuse, half, cut, no_json, hang], ids=lambda fault: fault.__name__)
def test_turns_go_on_elsewhere(model: Any, fault: Any) -> None:
    with fakes(2) as servers, opened(model, servers) as engine:
        servers[0].fault = fault
        said = play(engine, range(12), num_turns=3)
        assert [[len(each.token_ids) for each in turns] for turns in said] == [[5] * 3] * 12
        seeds = [each["seed"] for each in servers[1].turns]
        assert sorted(seeds) == sorted(seed * 1000 + number for seed in range(12) for number in range(3))  # once each
        seen = engine.metrics()
        assert seen["engine/servers_up"] == 1.0
        assert seen["engine/servers_lost"] >= 1.0
        assert seen["engine/reissued_turns"] >= 1.0
        assert servers[0].turns == []


def test_a_server_that_dies_with_turns_under_way(model: Any) -> None:
    with fakes(2, delay_s=0.3) as servers, opened(model, servers) as engine:

        def die() -> None:
            until(lambda: servers[0].under_way and servers[1].under_way)
            servers[0].stop()

        said = play(engine, range(16), num_turns=2, meanwhile=die)
        assert all(len(each.token_ids) == 5 for turns in said for each in turns)
        assert len(said) == 16
        assert engine.metrics()["engine/reissued_turns"] >= 1.0
        servers[0].start()


def test_the_same_turn_whoever_samples_it(model: Any) -> None:
    with fakes(2) as servers, opened(model, servers) as engine:
        before = play(engine, range(6), num_turns=2)
        servers[0].fault = refuse
        assert play(engine, range(6), num_turns=2) == before


def test_what_a_request_does_wrong_is_no_fault_of_the_server(model: Any) -> None:
    def refuse_it(handler: Handler, path: str, body: dict[str, Any]) -> bool:
        if path == "/v1/completions":
            handler.say({"error": "Token id 99999999 is out of vocabulary"}, 400)
        return path == "/v1/completions"

    with fakes(1) as servers, opened(model, servers) as engine:
        servers[0].fault = refuse_it
        with pytest.raises(EngineError, match=r"refused while sampling a turn of 3 prompt tokens .*: 400 .*vocabulary"):
            play(engine, range(1))
        servers[0].fault = None
        assert len(play(engine, range(3))) == 3
        assert engine.metrics() == {
            "engine/servers_up": 1.0,
            "engine/servers_lost": 0.0,
            "engine/servers_returned": 0.0,
            "engine/servers_restarted": 0.0,
            "engine/reissued_turns": 0.0,
        }


def test_the_run_ends_once_none_has_answered_for_the_time(model: Any) -> None:
    with fakes(2) as servers, opened(model, servers, timeout_s=1.5) as engine:
        for each in servers:
            each.stop()
        began = time.monotonic()
        with pytest.raises(EngineError) as caught:
            play(engine, range(3))
        assert 1.0 < time.monotonic() - began < 10
        for each in servers:
            assert each.url in str(caught.value)
        assert "engine.timeout_s=1.5" in str(caught.value)
        with pytest.raises(EngineError, match="no server has answered"):
            engine.update_weights(1)
        with pytest.raises(EngineError, match="no server has answered"):
            engine.probes()
        for each in servers:
            each.start()


def test_turns_wait_for_the_only_server_to_return(model: Any) -> None:
    with fakes(1) as servers, opened(model, servers, timeout_s=20.0) as engine:
        servers[0].stop()

        def come_back() -> None:
            time.sleep(0.5)
            servers[0].start()

        said = play(engine, range(4), meanwhile=come_back)
        assert len(said) == 4
        assert said[0][0].logprobs[0] == pytest.approx(bias_of(model))


# -- weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["http", "folder"])
def test_every_update_reaches_all(model: Any, tmp_path: Any, shared: bool) -> None:
    more = {"weights_dir": str(tmp_path)} if shared else {}
    with fakes(2) as servers, opened(model, servers, **more) as engine:
        for version in range(1, 4):
            learn(model)
            engine.update_weights(version)
            said = [turns[0] for turns in play(engine, range(8))]
            assert {each.version for each in said} == {version}
            assert [each.logprobs[0] for each in said] == pytest.approx([bias_of(model)] * 8)
        assert [len(each.loads) for each in servers] == [4, 4]
        assert len(set(servers[0].loads)) == 4
        assert [len(list(folder.iterdir())) for folder in tmp_path.iterdir()] == ([1] if shared else [])
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_returns_gets_the_weights_of_today(model: Any) -> None:
    with fakes(2) as servers, opened(model, servers) as engine:
        servers[0].stop()
        until(lambda: total(engine, {})["engine/servers_up"] == 1.0)
        learn(model)
        engine.update_weights(1)
        servers[0].start()
        seen: dict[str, float] = {}
        until(lambda: total(engine, seen)["engine/servers_up"] == 2.0)
        assert seen["engine/servers_returned"] == 1.0
        said = [turns[0] for turns in play(engine, range(8))]
        assert {each.version for each in said} == {1}
        assert [each.logprobs[0] for each in said] == pytest.approx([bias_of(model)] * 8)
        assert servers[0].turns


def test_one_that_was_started_again_unseen_never_answers(model: Any) -> None:
    # No look at it falls into the time: only the new connection tells.
    with fakes(2) as servers, opened(model, servers, health_s=30.0) as engine:
        play(engine, range(8))
        servers[0].stop()
        servers[0].start()
        said = [turns[0] for turns in play(engine, range(100, 108))]
        assert [each.logprobs[0] for each in said] == pytest.approx([bias_of(model)] * 8)
        assert engine.metrics()["engine/servers_lost"] == 1.0


def test_without_the_push_it_would_answer_with_stale_weights(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentrl.trainer.engines.fleet.server import Server

    with fakes(2) as servers, opened(model, servers) as engine:

        async def skip(self: Server, weights: Any, pause: str) -> None:
            self._name, self.version = weights.name, weights.version
            self.ready.set()

        seen: dict[str, float] = {}
        with monkeypatch.context() as planted:
            planted.setattr(Server, "take", skip)
            engine.update_weights(1)
            until(lambda: total(engine, seen).get("engine/servers_lost", 0.0) >= 2.0)  # the look tells
        until(lambda: total(engine, seen)["engine/servers_up"] == 2.0)
        assert [each[0].logprobs[0] for each in play(engine, range(4))] == pytest.approx([bias_of(model)] * 4)


@pytest.mark.parametrize("lie", ["tensors", "version", "refused", "cache"])
def test_a_server_that_does_not_take_weights_is_left_out(model: Any, lie: str) -> None:
    def tell(handler: Handler, path: str, body: dict[str, Any]) -> bool:
        if path == "/collective_rpc" and lie != "cache":
            if body["method"] == "agentrl_load" and lie == "refused":
                handler.say({"error": "no space left"}, 500)
                return True
            held = handler.fake.rpc(body["method"], body.get("args", []))
            wrong = {"tensors": {"tensors": 3}, "version": {"version": "an older one"}}[lie]
            handler.say({"results": [held | wrong]})
            return True
        if path == "/reset_prefix_cache" and lie == "cache":
            handler.say({"success": False})
            return True
        return False

    with fakes(2) as servers, opened(model, servers) as engine:
        learn(model)
        servers[0].fault = tell
        engine.update_weights(1)
        said = [turns[0] for turns in play(engine, range(8))]
        assert {each.version for each in said} == {1}
        assert servers[0].turns == []
        assert engine.metrics()["engine/servers_up"] == 1.0
        servers[0].fault = None
        until(lambda: engine.metrics()["engine/servers_up"] == 2.0)


def test_none_that_takes_weights_ends_the_run(model: Any) -> None:
    def full(handler: Handler, path: str, body: dict[str, Any]) -> bool:
        if path == "/collective_rpc":
            handler.say({"error": "no space left"}, 500)
        return path == "/collective_rpc"

    with fakes(2) as servers, opened(model, servers, timeout_s=1.0) as engine:
        for each in servers:
            each.fault = full
        with pytest.raises(EngineError, match=r"no server has answered .*no space left.*no space left"):
            engine.update_weights(1)


def test_one_that_is_being_proved_is_not_asked_for_newer_weights(model: Any) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def prove(probe: Probe) -> None:
        begun.set()
        assert go_on.wait(20)

    with fakes(2) as servers, opened(model, servers) as engine:
        engine.keep_proof(prove)
        servers[0].stop()
        until(lambda: engine.metrics()["engine/servers_up"] == 1.0)
        servers[0].start()
        assert begun.wait(20)  # it has the weights of version 0, and is not up
        assert len(engine.probes()) == 2
        engine.update_weights(1)
        assert [each.name for each in engine.probes()] == [servers[1].url]
        go_on.set()
        until(lambda: len(engine.probes()) == 2)
        assert engine.metrics()["engine/servers_up"] == 1.0  # what it passed was for the version before
        engine.keep_proof(prove)
        until(lambda: engine.metrics()["engine/servers_up"] == 2.0)


def test_what_a_server_that_returns_has_to_pass(model: Any) -> None:
    asked: list[str] = []
    passes = threading.Event()

    def prove(probe: Probe) -> None:
        asked.append(probe.name)
        session = probe.session()
        assert asyncio.run(session.generate(turn())).token_ids
        session.close()
        if not passes.is_set():
            raise ParityError("it does not answer as the others do")

    with fakes(2) as servers, opened(model, servers) as engine:
        assert [each.name for each in engine.probes()] == [each.url for each in servers]
        engine.keep_proof(prove)
        servers[0].stop()
        until(lambda: engine.metrics()["engine/servers_up"] == 1.0)
        servers[0].start()
        until(lambda: len(asked) > 1)
        assert engine.metrics()["engine/servers_up"] == 1.0
        passes.set()
        until(lambda: engine.metrics()["engine/servers_up"] == 2.0)
        assert set(asked) == {servers[0].url}
