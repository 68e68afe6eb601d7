"""Two real vLLM servers on the CPU: one is killed in the middle of turns, comes back, and is given today's weights."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agentrl.trainer.config import CheckpointConfig, EvalConfig, TrainConfig, to_toml
from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.engines.fleet.launching import arguments_of, served_config
from agentrl.trainer.engines.fleet.process import Launched
from agentrl.trainer.engines.fleet.server import Server
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import EngineError, ParityError
from agentrl.trainer.loop import train
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.model import load_model
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Completion
from tests.trainer.relay import Relay

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Now and then httpcore forgets sockets of a dead server when requests are cancelled while it closes them; they are
    # closed when they are collected.
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]
MAX_TOKENS = 512
MODEL = "bundled:search-tiny"


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(MODEL, device=torch.device("cpu"), dtype="float32").eval()


@pytest.fixture(scope="module")
def servers(model: Any) -> Iterator[list[Launched]]:
    """Start two servers, each with a keeper, as `engine.servers` does."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    options = EngineConfig(name="vllm", servers=2)
    command, settings = arguments_of(model, max_tokens=MAX_TOKENS, max_sessions=16, options=options)
    files = {"config.json": json.dumps(served_config(model))}
    started = [Launched(command, each, files=files) for each in settings]
    try:
        for each in started:
            each.start()
        for each in started:
            wait_for(each)
        yield started
    finally:
        for each in started:
            each.close()


def wait_for(server: Launched) -> None:
    async def until_it_answers() -> None:
        asked = Server(server.url, timeout_s=10, health_s=10, launched=server)
        try:
            while True:
                assert server.ended() is None, server.tail()
                with suppress(EngineError):
                    return await asked.healthy()
                await asyncio.sleep(0.2)
        finally:
            await asked.close()

    asyncio.run(asyncio.wait_for(until_it_answers(), 580))


def kill(server: Launched) -> None:
    """Kill the API server alone, as the kernel does when memory is short; its keeper ends the rest."""
    (child,) = (int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split())
    os.kill(child, signal.SIGKILL)


def opened(model: Any, servers: list[Launched], **more: Any) -> Engine:
    options = EngineConfig(name="vllm", urls=tuple(each.url for each in servers), health_s=2.0, **more)
    return open_engine(model, max_tokens=MAX_TOKENS, max_sessions=16, schedule="eager", options=options)


@torch.no_grad()
def learn(model: Any, factor: float = 1.02) -> None:
    for parameter in model.parameters():
        parameter.mul_(factor)


def until(true: Callable[[], Any], seconds: float) -> None:
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop
        time.sleep(0.05)


def episodes(engine: Engine, seeds: range, *, num_turns: int, tokens: int, meanwhile: Callable[[], None]) -> Any:
    """Play episodes of some turns; return each one's completions, and its whole sequence."""

    async def play(seed: int) -> tuple[list[Completion], list[int]]:
        session, ids, said = engine.session(), [7, 8, 9 + seed], []
        for number in range(num_turns):
            request = Request(
                prompt_ids=list(ids),
                max_new_tokens=tokens,
                temperature=1.0,
                seed=100 * seed + number,
                stop_ids=frozenset(),
            )
            said.append(await session.generate(request))
            ids += [*said[-1].token_ids, 5]
        session.close()
        return said, ids

    async def run() -> list[tuple[list[Completion], list[int]]]:
        tasks = [asyncio.create_task(play(seed)) for seed in seeds]
        await asyncio.to_thread(meanwhile)
        return await asyncio.gather(*tasks)

    return asyncio.run(asyncio.wait_for(run(), 240))


def test_both_are_proved_after_each_update(servers: list[Launched], model: Any) -> None:
    with opened(model, servers) as engine:
        gate = ParityGate(model, engine, seed=1, temperature=1.2, max_tokens=MAX_TOKENS)
        assert len(engine.probes()) == 2
        for version in range(1, 3):
            learn(model)
            engine.update_weights(version)
            assert gate.check(version)["sampling/logp_difference_max"] < 1e-4


def test_a_missed_update_of_one_is_named(servers: list[Launched], model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = servers[1].url

    async def skip(self: Server, weights: Any, pause: str) -> None:
        if self.url != stale:
            return await take(self, weights, pause)
        self._name, self.version = weights.name, weights.version
        return None

    with opened(model, servers) as engine:
        gate = ParityGate(model, engine, seed=1, temperature=1.0, max_tokens=MAX_TOKENS)
        gate.check(0)
        learn(model)
        take = Server.take
        monkeypatch.setattr(Server, "take", skip)
        monkeypatch.setattr(Server, "_same", lambda self, held, *, weights: None)  # what would tell at once
        engine.update_weights(1)
        with pytest.raises(ParityError, match=rf"version 1 {stale}'s log-prob.* stale weights: .* of version 0"):
            gate.check(1)


def test_a_server_killed_in_the_middle_of_turns_and_back(servers: list[Launched], model: Any) -> None:
    with opened(model, servers, timeout_s=200.0) as engine:
        gate = ParityGate(model, engine, seed=1, temperature=1.0, max_tokens=MAX_TOKENS)
        gate.check(0)

        def die() -> None:
            loads = [each.load for each in engine._fleet.servers]  # type: ignore[attr-defined]
            until(lambda: all(each.under_way for each in loads), 60)
            time.sleep(0.2)
            kill(servers[0])

        played = episodes(engine, range(8), num_turns=3, tokens=60, meanwhile=die)
        assert [[len(each.token_ids) for each in said] for said, _ in played] == [[60] * 3] * 8
        seen = engine.metrics()
        assert seen["engine/servers_lost"] == 1.0
        assert seen["engine/servers_up"] == 1.0
        assert 1.0 <= seen["engine/reissued_turns"] <= 8.0  # those under way there, once each
        for said, ids in played:  # whole, and of the weights that are trained
            at = 3
            with torch.no_grad():
                logits = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)
            for each in said:
                own = [float(logits[at + i - 1, token]) for i, token in enumerate(each.token_ids)]
                assert own == pytest.approx(each.logprobs, abs=1e-3)
                at += 61

        until(lambda: servers[0].ended() is not None, 30)  # the keeper has ended what was left
        learn(model)
        engine.update_weights(1)
        assert gate.check(1)["sampling/logp_difference_max"] < 1e-4
        servers[0].start()  # with an empty cache and random weights, on the same port
        until(lambda: engine.metrics()["engine/servers_up"] == 2.0, 300)
        assert gate.check(1)["sampling/logp_difference_max"] < 1e-4
        assert len(engine.probes()) == 2


def config_of(tmp_path: Path, urls: list[str], **more: Any) -> TrainConfig:
    return TrainConfig(
        env="agentrl.envs:AgentRL/Search-v0",
        level=2,
        model=MODEL,
        out=str(tmp_path),
        num_steps=3,
        groups_per_step=2,
        group_size=4,
        rollout=RolloutConfig(concurrency=8, max_turn_tokens=48, max_episode_tokens=320),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1),
        engine=EngineConfig(name="vllm", urls=tuple(urls), health_s=2.0) if urls else EngineConfig(),
        **more,
    )


def assert_complete(run_dir: RunDir, steps: range) -> None:
    """Every episode that was to be played is there once, played to its end."""
    with RolloutStore(run_dir.path / "rollouts.sqlite") as store:
        played = list(store.episodes(phase="train"))
    wanted = [(step, group, member) for step in steps for group in range(2) for member in range(4)]
    assert sorted((each.step, each.group, each.member) for each in played) == wanted
    assert not any(each.failure for each in played)
    assert all(each.num_turns > 0 and len(each.token_ids) == len(each.mask) for each in played)


def test_a_run_goes_on_when_its_link_to_a_server_is_cut(servers: list[Launched], tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "cut", default="")
    with Relay(servers[0]) as relay:
        urls = [relay.url, servers[1].url]
        loss = LossConfig(correction="token_truncate")
        config = config_of(tmp_path, urls, asynchronous=True, max_staleness=2, loss=loss)
        config = replace(config, num_steps=6)

        def cut() -> None:
            until(lambda: num_steps_of(run_dir) >= 1, 200)
            relay.cut()
            until(lambda: num_steps_of(run_dir) >= 3, 200)
            relay.restore()

        cutter = threading.Thread(target=cut)
        cutter.start()
        train(config, run_dir=run_dir)
        cutter.join()
    assert_complete(run_dir, range(1, 7))
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    assert sum(row["engine/servers_lost"] for row in rows) >= 1
    assert min(row["engine/servers_up"] for row in rows) == 1
    assert max(row["staleness/max"] for row in rows) <= 2


def test_a_run_goes_on_when_a_server_is_killed(servers: list[Launched], tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "killed", default="")

    def die() -> None:
        until(lambda: num_steps_of(run_dir) >= 1, 200)
        kill(servers[0])  # in step 2

    killer = threading.Thread(target=die)
    killer.start()
    train(config_of(tmp_path, [each.url for each in servers]), run_dir=run_dir)
    killer.join()
    assert_complete(run_dir, range(1, 4))
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    assert [row["engine/servers_up"] for row in rows] == [2.0, 1.0, 1.0]
    assert [row["engine/servers_lost"] for row in rows] == [0.0, 1.0, 0.0]


def test_sigterm_ends_a_run_on_servers(servers: list[Launched], tmp_path: Path) -> None:
    config = config_of(tmp_path, [servers[1].url], asynchronous=True, loss=LossConfig(correction="token_truncate"))
    process, run_dir = begun(replace(config, num_steps=1000), tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, (tmp_path / "output").read_text()[-2000:]
    assert list(run_dir.checkpoints.iterdir())


def test_servers_of_a_killed_run_end_with_it(tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    config = config_of(tmp_path, [])
    engine = EngineConfig(name="vllm", servers=1)
    process, _ = begun(replace(config, engine=engine, num_steps=1000), tmp_path)
    mine = {pid for pid in of_folder(tmp_path) if pid != process.pid}
    assert len(mine) >= 3  # keeper, API server, and what that starts
    (folder,) = (line[line.index(b"-I") + 3] for line in map(line_of, mine) if b"-I" in line)  # as the keeper is told
    assert b"agentrl-server-" in folder
    assert Path(os.fsdecode(folder)).is_dir()
    process.kill()
    process.wait()
    until(lambda: not of_folder(tmp_path), 30)
    assert not Path(os.fsdecode(folder)).exists()
    assert not [each for each in (tmp_path / "tmp").iterdir() if each.name.startswith("agentrl-")]


def begun(config: TrainConfig, tmp_path: Path) -> tuple[subprocess.Popen[bytes], RunDir]:
    """Start a run in a process of its own; return it once its first step is done."""
    (tmp_path / "recipe.toml").write_text(to_toml(config))
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "agentrl.cli.main", "train", str(tmp_path / "recipe.toml"), "--name", "run"]
    settings = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "AGENTRL_TEST": str(tmp_path)}
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(command, env=settings, stdout=output, stderr=subprocess.STDOUT)
    run_dir = RunDir(tmp_path / "run")
    try:
        until(lambda: process.poll() is not None or num_steps_of(run_dir), 500)
        assert process.poll() is None, (tmp_path / "output").read_text()[-3000:]
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, run_dir


def line_of(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def num_steps_of(run_dir: RunDir) -> int:
    metrics = run_dir.path / "metrics.jsonl"
    return len(read_metrics(metrics)) if metrics.exists() else 0


def of_folder(folder: Path) -> set[int]:
    """Return the processes that were started by a run of a folder, and live."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"AGENTRL_TEST={folder}".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found
