"""vLLM over HTTP: a real server on the loopback answers, takes weights through a folder, and is named when it dies."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.engines.fleet import server as server_module
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_setup import check_head
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.model import load_model
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.types import Completion

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MAX_TOKENS = 512
LONG = 400  # tokens of a turn that is still under way when the test gets there


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=3, hidden=64, layers=2, scale=3)


@pytest.fixture(scope="module")
def server(
    model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a server of other weights; return its address and process."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    folder = tmp_path_factory.mktemp("served")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--load-format", "dummy"]
    command += ["--max-model-len", str(MAX_TOKENS), "--max-num-seqs", "16", "--kv-cache-memory-bytes", str(2**24)]
    command += ["--enforce-eager", "--no-enable-chunked-prefill", "--block-size", "32"]
    command += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"]
    command += ["--worker-extension-cls", "agentrl.trainer.engines.vllm_worker.WeightsExtension"]
    settings = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(2400):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text()[-3000:])
        yield url, process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def opened(model: Any, url: str, *, max_tokens: int = MAX_TOKENS, **more: Any) -> Engine:
    options = EngineConfig(name="vllm", urls=(url,), **more)
    return open_engine(model, max_tokens=max_tokens, max_sessions=16, schedule="eager", options=options)


@torch.no_grad()
def learn(model: Any) -> None:
    for parameter in model.parameters():
        parameter.mul_(1.05)


def test_a_server_takes_each_update_and_agrees(server: tuple[str, Any], model: Any, tmp_path: Path) -> None:
    url, _ = server
    with opened(model, url, weights_dir=str(tmp_path)) as engine:
        gate = ParityGate(model, engine, seed=1, temperature=1.3, max_tokens=MAX_TOKENS)
        for version in range(1, 4):
            learn(model)
            engine.update_weights(version)
            assert gate.check(version)["sampling/logp_difference_max"] < 1e-4
        assert [each.name for each in tmp_path.iterdir()] == ["version_3"]  # for a server that returns
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_asked_for_the_precision_of_its_logits(
    server: tuple[str, Any], model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = server
    told: list[Any] = []

    def check(model: Any, found: list[str], *, url: str) -> None:
        told.append((found, url))
        check_head(model, found, url=url)

    monkeypatch.setattr(server_module, "check_head", check)
    model.save_pretrained(tmp_path)
    opened(load_model(str(tmp_path), device=torch.device("cpu"), dtype="bfloat16"), url).close()
    assert told == []
    opened(load_model(str(tmp_path), device=torch.device("cpu"), dtype="bfloat16", head_dtype="float32"), url).close()
    assert told == [(["float32"], url)]  # in which the whole server was started


def test_turns_of_a_server(server: tuple[str, Any], model: Any) -> None:
    url, _ = server
    stops = frozenset(range(5, 300, 7))

    def turn(seed: int, temperature: float = 1.0) -> Request:
        return Request(prompt_ids=[7, 8, 9], max_new_tokens=20, temperature=temperature, seed=seed, stop_ids=stops)

    async def play(engine: Engine) -> None:
        sessions = [engine.session() for _ in range(12)]
        turns = await asyncio.gather(*[each.generate(turn(seed)) for seed, each in enumerate(sessions)])
        assert {each.finish for each in turns} <= {"stop", "length"}
        for each in turns:
            assert not stops.intersection(each.token_ids[:-1])
            assert (each.finish == "stop") == (each.token_ids[-1] in stops)
        assert len({str(each.token_ids) for each in turns}) > 6  # a seed each
        again = await sessions[3].generate(turn(3))
        assert again.token_ids == turns[3].token_ids
        best = await sessions[0].generate(turn(1, 0.0))
        logits = model(input_ids=torch.tensor([[7, 8, 9]])).logits[0, -1]
        assert best.token_ids[0] == int(logits.argmax())
        sessions[0].close()
        with pytest.raises(EngineError, match="session is closed"):
            await sessions[0].generate(turn(1))

    with opened(model, url) as engine:
        asyncio.run(play(engine))
    with pytest.raises(EngineError, match="closed"):
        engine.session()


async def first_token(url: str) -> None:
    """Wait for a token of a request that was sent after all others: those are in the batch then."""
    body = {"prompt": [7, 8], "max_tokens": LONG, "ignore_eos": True, "stream": True}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("POST", f"{url}/v1/completions", json=body) as answer,
    ):
        assert answer.status_code == 200
        async for _ in answer.aiter_lines():
            return


@pytest.mark.parametrize("in_flight", ["finish", "keep", "abort"])
def test_turns_under_way_at_an_update(server: tuple[str, Any], model: Any, in_flight: str) -> None:
    url, _ = server

    async def play(engine: Engine) -> list[Completion]:
        tasks = [
            asyncio.create_task(
                engine.session().generate(
                    Request(prompt_ids=[7, 8], max_new_tokens=LONG, temperature=1.0, seed=seed, stop_ids=frozenset())
                )
            )
            for seed in range(4)
        ]
        await first_token(url)
        assert not any(task.done() for task in tasks)
        learn(model)
        await asyncio.to_thread(engine.update_weights, 1)
        return [await task for task in tasks]

    with opened(model, url, in_flight=in_flight) as engine:
        turns = asyncio.run(asyncio.wait_for(play(engine), 120))
        ParityGate(model, engine, seed=1, temperature=1.0, max_tokens=MAX_TOKENS).check(1)
    assert {turn.version for turn in turns} == {0}
    if in_flight == "abort":
        assert {turn.finish for turn in turns} == {"abort"}
        assert all(len(turn.token_ids) < LONG for turn in turns)
    else:
        assert {(turn.finish, len(turn.token_ids)) for turn in turns} == {("length", LONG)}


def test_what_does_not_fit_is_a_configuration_error(server: tuple[str, Any], model: Any) -> None:
    url, _ = server
    with pytest.raises(
        ConfigError, match=rf"takes {MAX_TOKENS} tokens, .* start it with --max-model-len {MAX_TOKENS + 1}"
    ):
        opened(model, url, max_tokens=MAX_TOKENS + 1)
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=rf"engine.urls: {nobody} failed while asking whether it is there"):
        opened(model, nobody)
    with pytest.raises(ConfigError, match=r"servers batch turns as they come; type --rollout.schedule eager"):
        open_engine(
            model, max_tokens=9, max_sessions=1, schedule="exact", options=EngineConfig(name="vllm", urls=(url,))
        )


def test_a_server_that_hangs_or_dies_is_named(server: tuple[str, Any], model: Any) -> None:  # the last one: it is gone
    url, process = server
    request = Request(prompt_ids=[7, 8], max_new_tokens=9, temperature=1.0, seed=1, stop_ids=frozenset())

    async def play(engine: Engine) -> None:
        await engine.session().generate(request)

    with opened(model, url, timeout_s=3.0, health_s=30.0) as engine:
        os.killpg(process.pid, signal.SIGSTOP)
        with pytest.raises(EngineError, match=rf"{url} did not answer within engine.timeout_s=3 while sampling a turn"):
            asyncio.run(play(engine))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(EngineError, match=r"no server has answered for engine.timeout_s=3"):
            asyncio.run(play(engine))
        with pytest.raises(EngineError, match=rf"{url} .* while"):
            engine.update_weights(1)
