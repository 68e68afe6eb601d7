"""Benches of real environments: scores, failures, resumption, and agents that are somebody else's code."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.agents import open_agent
from agentrl.bench.errors import AgentError, BenchError, StoreError, UsageError
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode
from agentrl.envs.spaces import Unicode

MATH, TOOLS = "AgentRL/Math-v0", "AgentRL/ToolUse-v0"


def _settings(agent: str = "oracle", **changes: Any) -> Settings:
    return replace(Settings(envs=(MATH,), agent=agent, num_tasks=4), **changes)


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


def _plain(episodes: list[Episode]) -> list[Episode]:
    return [replace(each, seconds=0.0, latencies=()) for each in episodes]


def test_the_oracle_solves_every_task_and_the_floor_none(tmp_path: Path) -> None:
    settings = _settings(envs=(MATH, TOOLS), levels=(1, 2), num_tasks=2)
    assert run(settings, tmp_path / "oracle") == 8
    run(replace(settings, agent="noop"), tmp_path / "noop")
    best, floor = _stored(tmp_path / "oracle"), _stored(tmp_path / "noop")
    assert [each.success for each in best] == [True] * 8
    assert [each.success for each in floor] == [False] * 8
    assert all(each.reward == pytest.approx(1.0) for each in best)
    for each in best:
        assert len(each.turn_rewards) == len(each.turn_components) == each.num_turns
        assert sum(each.turn_rewards) == pytest.approx(each.reward)
        totals = {name: sum(turn.get(name, 0.0) for turn in each.turn_components) for name in each.rewards}
        assert totals == pytest.approx(each.rewards)
    assert {(each.job.env_id, each.job.level) for each in best} == {
        (env, level) for env in (MATH, TOOLS) for level in (1, 2)
    }
    # The same tasks, told alike.
    assert [(each.task_id, each.prompt) for each in best] == [(each.task_id, each.prompt) for each in floor]
    assert len({each.task_id for each in best}) == 8
    roles = [message["role"] for message in next(each for each in best if each.job.env_id == TOOLS).messages]
    assert roles[:3] == ["system", "user", "assistant"]
    assert "tool" in roles


def test_random_differs_by_sample_and_is_the_same_again(tmp_path: Path) -> None:
    settings = _settings("random", num_samples=3)
    run(settings, tmp_path / "one")
    run(replace(settings, concurrency=1), tmp_path / "two")
    one, two = _stored(tmp_path / "one"), _stored(tmp_path / "two")
    assert _plain(one) == _plain(two)
    said = [[m["content"] for m in each.messages if m["role"] == "assistant"] for each in one[:3]]
    assert said[0] != said[1] != said[2]
    assert len(one[0].latencies) == one[0].num_turns


def test_a_cheat_of_the_environment_and_one_for_any(tmp_path: Path) -> None:
    env = gymnasium.make(TOOLS)
    env.reset(seed=0)
    name = next(iter(env.unwrapped.cheats()))  # type: ignore[attr-defined]
    env.close()
    for each in (name, "many answers"):
        run(_settings(f"cheat:{each}", envs=(TOOLS,), num_tasks=2), tmp_path / each.replace("/", " "))
        assert [episode.success for episode in _stored(tmp_path / each.replace("/", " "))] == [False, False]
    with pytest.raises(UsageError, match=rf"has no cheat 'many anwsers'; did you mean 'many answers'.*{name}"):
        run(_settings("cheat:many anwsers", envs=(TOOLS,)), tmp_path / "none")


def test_a_run_goes_on_with_what_is_missing(tmp_path: Path, module: Callable[[str], None]) -> None:
    module("import time\ndef f(messages, seed):\n    time.sleep(0.01)\n    return f'<answer>{seed}</answer>'\n")
    settings = _settings("python:mine:f", num_tasks=30, concurrency=3)
    run(settings, tmp_path / "whole")
    played = 0

    def stop(episode: Episode) -> None:
        nonlocal played
        played += 1
        if played == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "cut", on_episode=stop)
    told: list[tuple[int, int]] = []
    num_written = len(_stored(tmp_path / "cut"))
    assert 7 <= num_written < 30  # those that ended together are written together, before they are told of
    assert run(settings, tmp_path / "cut", on_start=lambda *each: told.append(each)) == 30 - num_written
    assert told == [(30, num_written)]
    assert _plain(_stored(tmp_path / "cut")) == _plain(_stored(tmp_path / "whole"))
    assert run(settings, tmp_path / "cut") == 0
    with pytest.raises(StoreError, match="num_tasks was 30 and is 31"):
        run(replace(settings, num_tasks=31), tmp_path / "cut")


SYNC = """
import json
def answer(messages, *, tools, seed):
    assert [m["role"] for m in messages[:2]] == ["system", "user"]
    messages.clear()  # a copy: what it does to it is its own affair
    return f"<answer>{seed + 0}</answer>"
def nothing(messages):
    return None
class Agent:
    async def __call__(self, messages, **more):
        return json.dumps(sorted(more))
agent = Agent()
"""


def test_a_function_of_the_user_plays(tmp_path: Path, module: Callable[[str], None]) -> None:
    module(SYNC)
    run(_settings("python:mine:answer", num_tasks=2), tmp_path / "sync")
    episodes = _stored(tmp_path / "sync")
    said = [next(m["content"] for m in each.messages if m["role"] == "assistant") for each in episodes]
    assert said == ["<answer>0</answer>", "<answer>1</answer>"]
    assert all(len(each.latencies) == each.num_turns >= 1 for each in episodes)
    run(_settings("python:mine:agent", num_tasks=1), tmp_path / "async")
    assert _stored(tmp_path / "async")[0].messages[2]["content"] == '["sample", "seed", "tools"]'
    with pytest.raises(AgentError, match="returned None, a NoneType; return the assistant's text"):
        run(_settings("python:mine:nothing"), tmp_path / "none")


ASYNC = """
import asyncio
running = most = 0
async def slow(messages):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.2)
    running -= 1
    return "<answer>1</answer>"
async def hangs(messages):
    await asyncio.sleep(3600)
"""


def test_async_agents_wait_side_by_side(tmp_path: Path, module: Callable[[str], None]) -> None:
    module(ASYNC)
    before = threading.active_count()
    run(_settings("python:mine:slow", num_tasks=8, concurrency=8), tmp_path / "run")
    assert sys.modules["mine"].most == 8
    stop = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < stop:
        time.sleep(0.02)
    assert threading.active_count() <= before


def test_an_async_agent_that_hangs_is_a_failure(tmp_path: Path, module: Callable[[str], None]) -> None:
    module(ASYNC)
    run(_settings("python:mine:hangs", num_tasks=1, turn_s=0.2, max_retries=1), tmp_path / "run")
    episode = _stored(tmp_path / "run")[0]
    assert episode.failure is not None
    assert (episode.failure["boundary"], episode.num_attempts) == ("agent", 2)
    assert episode.failure["message"] == "TimeoutError: the agent did not answer within 0.2 s"
    assert episode.failure["kind"] == "timeout"
    assert [message["role"] for message in episode.messages] == ["system", "user"]


BLOCKS = """
import threading, time
waiting = threading.Event()
def blocks(messages, seed):
    if seed == 1:
        waiting.wait(60)
    return "<answer>1</answer>"
async def blocks_the_loop(messages, seed):
    if seed == 1:
        waiting.wait(60)
    return "<answer>1</answer>"
def always(messages):
    waiting.wait(60)
    return ""
"""


@pytest.mark.parametrize("name", ["blocks", "blocks_the_loop"])
def test_an_agent_that_blocks_costs_its_episode_and_no_slot(
    name: str, tmp_path: Path, module: Callable[[str], None]
) -> None:
    module(BLOCKS)
    settings = _settings(f"python:mine:{name}", num_tasks=3, turn_s=0.3, max_retries=0, concurrency=1)
    try:
        run(settings, tmp_path / "run")
    finally:
        sys.modules["mine"].waiting.set()
    episodes = _stored(tmp_path / "run")
    failure = episodes[1].failure
    assert failure is not None
    assert (failure["kind"], failure["boundary"]) == ("timeout", "agent")
    assert "did not answer within 0.3 s" in failure["message"]
    assert [message["role"] for message in episodes[1].messages] == ["system", "user"]
    # A loop that is blocked answers nobody.
    assert [each.failure is None for each in episodes] == [True, False, name == "blocks"]


def test_threads_that_hang_are_bounded(
    tmp_path: Path, module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    module(BLOCKS)
    monkeypatch.setattr("agentrl.bench.crew._MOST_HANGING", 3)
    settings = _settings("python:mine:always", num_tasks=20, turn_s=0.1, max_retries=1, concurrency=4)
    try:
        with pytest.raises(BenchError, match=r"threads hang, .* the agent did not answer within 0.1 s"):
            run(settings, tmp_path / "run")
    finally:
        sys.modules["mine"].waiting.set()


FLAKY = """
calls = {}
def flaky(messages, seed):
    calls[seed] = calls.get(seed, 0) + 1
    if seed == 1 and calls[seed] < 3:
        raise ConnectionError("the line is down")
    return "<answer>1</answer>"
def dead(messages):
    raise ConnectionError("the line is down")
def alive(messages):
    return "<answer>1</answer>"
"""


def test_an_agent_that_raises_is_tried_again(tmp_path: Path, module: Callable[[str], None]) -> None:
    module(FLAKY)
    run(_settings("python:mine:flaky", max_retries=2), tmp_path / "run")
    episodes = _stored(tmp_path / "run")
    assert [each.num_attempts for each in episodes] == [1, 3, 1, 1]
    assert [each.failure for each in episodes] == [None] * 4


def test_a_dead_agent_stops_the_bench_and_what_failed_is_tried_again(
    tmp_path: Path, module: Callable[[str], None]
) -> None:
    module(FLAKY)
    settings = _settings("python:mine:dead", num_tasks=40, max_retries=0)
    with pytest.raises(BenchError, match=r"20 episodes failed one after another.*the line is down.*same command"):
        run(settings, tmp_path / "run")
    assert 20 <= len(_stored(tmp_path / "run")) <= 40
    sys.modules["mine"].dead = sys.modules["mine"].alive  # type: ignore[attr-defined]
    assert run(settings, tmp_path / "run") == 40
    assert [each.failure for each in _stored(tmp_path / "run")] == [None] * 40


class Trouble(gymnasium.Env[str, str]):
    """Fails on seed 1, hangs on seed 2, pays no number on seed 3, and is fine else."""

    def __init__(self) -> None:
        self.action_space = Unicode(100)
        self.observation_space = Unicode(100)
        self.seed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.seed = seed or 0
        return "go", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if self.seed == 1:
            raise OSError("the disk is gone")
        if self.seed == 2:
            time.sleep(3)
        return "", float("nan") if self.seed == 3 else 0.5, True, False, {"success": action == "yes"}


def test_failures_of_an_environment_are_no_scores(tmp_path: Path, module: Callable[[str], None]) -> None:
    module("def yes(messages):\n    return 'yes'\n")
    gymnasium.register(id="BenchTrouble-v0", entry_point=lambda **kwargs: Trouble(), disable_env_checker=True)
    try:
        settings = Settings(
            envs=("BenchTrouble-v0",), agent="python:mine:yes", num_tasks=5, deadline_s=0.5, max_retries=1
        )
        run(settings, tmp_path / "run")
        with pytest.raises(UsageError, match="BenchTrouble-v0 ships no oracle"):
            run(replace(settings, agent="oracle"), tmp_path / "oracle")
    finally:
        del gymnasium.registry["BenchTrouble-v0"]
    episodes = _stored(tmp_path / "run")
    kinds = [each.failure["kind"] if each.failure else None for each in episodes]
    assert kinds == [None, "error", "timeout", "reward", None]
    assert [each.success for each in episodes] == [True, None, None, None, True]
    assert [each.num_attempts for each in episodes] == [1, 2, 2, 2, 1]
    assert episodes[1].failure is not None
    assert episodes[1].failure["message"] == "OSError: the disk is gone"
    assert [each.task_id for each in episodes] == ["0", "1", "2", "3", "4"]


def test_an_agent_that_was_edited_is_another(tmp_path: Path, module: Callable[[str], None]) -> None:
    module(FLAKY)
    settings = _settings("python:mine:alive", num_tasks=1)
    run(settings, tmp_path / "run")
    before = settings.identity()
    module(FLAKY + "# edited\n")
    assert settings.identity() != before
    with pytest.raises(StoreError, match=r'agent_settings was {"source": "\w{16}"} and is'):
        run(settings, tmp_path / "run")


def test_an_environment_that_was_edited_is_another(module: Callable[[str], None]) -> None:
    source = "import gymnasium\ngymnasium.register(id='BenchEdited-v0', entry_point='mine:Env')\n"
    settings = _settings(envs=("mine:BenchEdited-v0", MATH))
    module(source)
    sys.path.append(".")
    try:
        (before,) = settings.identity()["env_sources"].items()  # of ours the version says which it is
        gymnasium.registry.pop("BenchEdited-v0")
        module(source + "# edited\n")
        assert settings.identity()["env_sources"] != dict([before])
    finally:
        del gymnasium.registry["BenchEdited-v0"]


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("orcale", "did you mean 'oracle'"),
        ("chaet:x", "did you mean 'cheat:'"),
        ("cheat:", "there are oracle, noop, random, cheat:NAME"),
        ("python:nowhere:f", "the module 'nowhere' cannot be imported"),
        ("python:json", "type python:MODULE:CALLABLE"),
        ("python:json:dmups", "did you mean 'dumps'"),
        ("python:json:__doc__", "is a str"),
    ],
)
def test_an_agent_that_is_not_there_is_told(agent: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_agent(agent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"envs": ()},
        {"envs": (MATH, MATH)},
        {"levels": (1, 1)},
        {"num_tasks": 0},
        {"num_samples": 0},
        {"concurrency": 0},
        {"seed": -1},
        {"deadline_s": 0.0},
        {"split": "tset"},
    ],
)
def test_settings_that_cannot_work_are_told(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name}="):
        _settings(**wrong)


def test_what_an_environment_cannot_do_is_told_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"AgentRL/Math-v0 has no level 9; there are 1, 2, 3, 4, 5"):
        run(_settings(levels=(9,)), tmp_path / "run")
    with pytest.raises(UsageError, match="not text"):
        run(_settings("random", envs=("CartPole-v1",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_processes_play_as_threads_do(tmp_path: Path) -> None:
    settings = _settings("random", num_tasks=3, concurrency=2)
    run(settings, tmp_path / "threads")
    run(replace(settings, workers="processes"), tmp_path / "processes")
    assert _plain(_stored(tmp_path / "threads")) == _plain(_stored(tmp_path / "processes"))


def test_the_identity_is_plain_data_and_holds_no_speed() -> None:
    identity = _settings().identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity == _settings(concurrency=9, workers="processes", max_retries=0).identity()
    assert identity != _settings(split="train").identity()
