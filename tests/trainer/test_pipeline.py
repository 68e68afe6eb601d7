"""Rollouts that run ahead: bounded staleness, every episode once, and nothing lost or played twice by a resume."""

from __future__ import annotations

import asyncio
import importlib.util
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from gymnasium.spaces import Text

from agentrl.trainer.checkpoint import latest_checkpoint, load_state
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig
from agentrl.trainer.curriculum import CurriculumConfig
from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.copied import CopiedEngine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.groups import Draw, GroupsConfig
from agentrl.trainer.loop import train
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.pipeline import Pipeline, Upcoming
from agentrl.trainer.progress import Progress
from agentrl.trainer.replay import ReplayConfig
from agentrl.trainer.rollout import RolloutConfig, Task
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.types import Episode
from tests.trainer.players import player

Place = tuple[int, int, int]
RESETS: list[int] = []
"""The seed of each episode that was begun."""


class Letters(gymnasium.Env[str, str]):
    """Two turns, paid for the letter e; a reset takes its time, some more than others."""

    def __init__(self) -> None:
        self.action_space = self.observation_space = Text(10_000)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        RESETS.append(seed or 0)
        time.sleep(0.02 * (1 + (seed or 0) % 3))
        self.left, self.hits = 2, 0
        return "Say it.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        self.hits += (hit := "e" in action)
        return "Again.", hit / 2, not self.left, False, {} if self.left else {"success": self.hits == 2}


@pytest.fixture(scope="module", autouse=True)
def letters() -> Iterator[None]:
    gymnasium.register(id="Toy/Letters-v0", entry_point=lambda **_: Letters(), disable_env_checker=True)
    yield
    del gymnasium.registry["Toy/Letters-v0"]


@pytest.fixture
def config(model_folder: Path) -> TrainConfig:
    return TrainConfig(
        env="Toy/Letters-v0",
        model=str(model_folder),
        num_steps=5,
        groups_per_step=3,
        group_size=4,
        threads=1,
        asynchronous=True,
        loss=LossConfig(correction="token_truncate"),
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=7, max_turn_tokens=6, turn_timeout_s=30.0),
        eval=EvalConfig(num_episodes=3),
        checkpoint=CheckpointConfig(every=1),
    )


def stored(folder: Path) -> list[Place]:
    """Return the place of each training episode that a run kept."""
    with sqlite3.connect(folder / "rollouts.sqlite") as db:
        rows = db.execute("SELECT step, group_id, member FROM episodes WHERE phase = 'train'").fetchall()
    return sorted(rows)


def places(config: TrainConfig) -> list[Place]:
    sizes = (config.num_steps, config.groups_per_step, config.group_size)
    return [
        (step + 1, group, member) for step in range(sizes[0]) for group in range(sizes[1]) for member in range(sizes[2])
    ]


@pytest.mark.parametrize("ahead", [None, 2])
def test_every_episode_is_trained_on_once_and_no_staler_than_allowed(
    config: TrainConfig, tmp_path: Path, ahead: int | None
) -> None:
    config = replace(config, max_staleness=ahead)
    run_dir = RunDir.create(tmp_path, "run", default="")
    train(config, run_dir=run_dir)
    assert stored(run_dir.path) == places(config)
    ages = [line["staleness/max"] for line in read_metrics(run_dir.path / "metrics.jsonl")]
    assert 1 <= max(ages) <= (ahead or 1)  # rollouts did run ahead, and not too far


def test_vllm_samples_while_the_model_is_trained(config: TrainConfig, tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    engine = EngineConfig(name="vllm", in_flight="keep", kv_cache_mb=8)
    run_dir = RunDir.create(tmp_path, "run", default="")
    train(replace(config, engine=engine), run_dir=run_dir)
    lines = read_metrics(run_dir.path / "metrics.jsonl")
    assert stored(run_dir.path) == places(config)
    assert max(line["staleness/max"] for line in lines) <= 1
    assert max(line["sampling/logp_difference"] for line in lines) < 1e-4  # each update arrived whole


class Stopping(Progress):
    """Ends a run after a step, as a crash would."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def update(self, metrics: Any, step: int, num_steps: int) -> None:
        if step == self.after:
            raise MemoryError("planted")


def test_a_resume_plays_what_was_not_finished_and_nothing_else(config: TrainConfig, tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "run", default="")
    with pytest.raises(MemoryError, match="planted"):
        train(config, run_dir=run_dir, progress=Stopping(after=2))
    checkpoint = latest_checkpoint(run_dir.checkpoints)
    assert checkpoint is not None
    queue = [Upcoming.restore(state) for state in load_state(checkpoint).queue]
    assert [upcoming.step for upcoming in queue] == [3, 4]
    finished = sum(len(upcoming.finished) for upcoming in queue)
    RESETS.clear()
    train(replace(config, eval=EvalConfig(num_episodes=0)), run_dir=run_dir)
    assert stored(run_dir.path) == places(config)
    assert len(RESETS) == 3 * 12 - finished  # steps 3, 4 and 5


def test_curriculum_dynamic_sampling_and_replay_run_ahead_too(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(
        config,
        level=0,
        curriculum=CurriculumConfig(max_level=2, raise_at=0.0, window=1),
        groups=GroupsConfig(dynamic_sampling=True, max_rounds=1),
        replay=ReplayConfig(share=0.5),
    )
    run_dir = RunDir.create(tmp_path, "run", default="")
    train(config, run_dir=run_dir)
    lines = read_metrics(run_dir.path / "metrics.jsonl")
    levels = [line["curriculum/level"] for line in lines]
    assert levels[:2] == [0.0, 0.0]  # both begun before anything was solved
    assert levels == sorted(levels)
    for step in range(1, 6):
        replaced = lines[step - 1]["dynamic_sampling/replaced_groups"]
        assert sum(place[0] == step for place in stored(run_dir.path)) == 4 * (3 + replaced)


# -- the pipeline alone ----------------------------------------------------------------------------------------------


class Seat:
    """A session that does nothing."""

    def close(self) -> None:
        pass


class Tables:
    """An engine that has seats, and rollouts that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[Place] = []
        self.gates: dict[Place, threading.Event] = {}
        self.may_end = threading.Event()
        self.error: Exception | None = None
        self._play, _ = player(lambda task: float(task.member % 2))

    def session(self) -> Seat:
        return Seat()

    def score_groups(self, episodes: list[Episode]) -> list[Episode]:
        return episodes

    async def play_one(self, task: Task, session: Seat) -> Episode:
        self.begun.append((task.step, task.group, task.member))
        while not self.may_end.is_set() and task.step:
            await asyncio.sleep(0.001)
        if self.error is not None:
            raise self.error
        return self._play([task])[0]


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def pipeline(tables: Tables) -> Iterator[Pipeline]:
    draw = Draw(seed=0, envs={"Toy": 1.0}, groups_per_step=2, group_size=2, temperature=1.0)
    made = Pipeline(tables, tables, draw=draw, max_rounds=0, num_workers=2)  # type: ignore[arg-type]
    yield made
    made.close()
    made.close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_earlier_steps_come_first_and_held_out_tasks_before_all(pipeline: Pipeline, tables: Tables) -> None:
    pipeline.start(Upcoming(step=4, level=None))
    wait_until(lambda: len(tables.begun) == 2)
    pipeline.start(Upcoming(step=3, level=None))
    held_out = Draw(seed=0, envs={"Toy": 1.0}, groups_per_step=2, group_size=2, temperature=1.0).held_out(
        0, num_tasks=2, split="test", level=None, member=0, temperature=0.0
    )
    with ThreadPoolExecutor(1) as other:
        evaluated = other.submit(pipeline.play, held_out)
        wait_until(lambda: pipeline._queue.qsize() == 8)
        tables.may_end.set()
        assert [episode.step for episode in evaluated.result()] == [0, 0]
    assert [episode.step for episode in pipeline.take(4)[1].kept] == [4] * 4
    assert [place[0] for place in tables.begun] == [4, 4, 0, 0, 3, 3, 3, 3, 4, 4]


def test_what_is_finished_is_kept_and_not_played_again(tables: Tables, pipeline: Pipeline) -> None:
    play, _ = player(lambda task: 1.0)
    draw = Draw(seed=0, envs={"Toy": 1.0}, groups_per_step=2, group_size=2, temperature=1.0)
    first, *_ = play(draw.tasks(7, level=3, places=[1]))
    upcoming = Upcoming(step=7, level=3, finished={(1, 0): first})
    again = Upcoming.restore(upcoming.state())
    assert again.state() == upcoming.state()
    pipeline.start(again)
    tables.may_end.set()
    taken, played = pipeline.take(7)
    assert taken is again
    assert sorted(tables.begun) == [(7, 0, 0), (7, 0, 1), (7, 1, 1)]
    assert [(episode.group, episode.member) for episode in played.kept] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert pipeline.state() == []


def test_an_error_reaches_whoever_takes_the_step(pipeline: Pipeline, tables: Tables) -> None:
    tables.error = EngineError("planted")
    tables.may_end.set()
    pipeline.start(Upcoming(step=1, level=None))
    with pytest.raises(EngineError, match="planted"):
        pipeline.take(1)


def test_closing_leaves_what_is_under_way(pipeline: Pipeline, tables: Tables) -> None:
    pipeline.start(Upcoming(step=1, level=None))
    wait_until(lambda: len(tables.begun) == 2)
    pipeline.close()
    for _ in range(2):
        with pytest.raises(EngineError, match="the rollouts are closed"):
            pipeline.take(1)
    pipeline.start(Upcoming(step=2, level=None))
    with pytest.raises(EngineError, match="the rollouts are closed"):
        pipeline.take(2)


# -- the engine with weights of its own ------------------------------------------------------------------------------


def request(prompt: list[int], tokens: int) -> Request:
    return Request(prompt_ids=prompt, max_new_tokens=tokens, temperature=1.0, seed=3, stop_ids=frozenset())


def logprobs(model: Any, ids: list[int], start: int) -> torch.Tensor:
    with torch.no_grad():
        rows_TV = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)
    return rows_TV[:-1].gather(1, torch.tensor(ids)[1:, None])[start - 1 :, 0]


def test_turns_end_with_the_weights_they_began_with(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(seed=4)
    older = tiny_model(seed=4)
    prompt = list(range(5, 25))
    with CopiedEngine(model) as engine:

        async def turn(session: Any, ids: list[int], tokens: int) -> Any:
            return await session.generate(request(ids, tokens))

        with ThreadPoolExecutor(1) as other:
            session = engine.session()
            running = other.submit(lambda: asyncio.run(turn(session, prompt, 60)))
            wait_until(lambda: engine.num_generated > 5)
            with torch.no_grad():  # as a step of the trainer does, in the middle of a turn
                for weight in model.parameters():
                    weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
            engine.update_weights(1)
            assert running.done() or engine._at_rest()
            first = running.result(timeout=20)
            second = asyncio.run(turn(session, prompt + first.token_ids + [7], 6))
    ids = prompt + first.token_ids
    assert first.version == 0
    assert torch.allclose(torch.tensor(first.logprobs), logprobs(older, ids, 20), atol=1e-5)
    ids = [*ids, 7]
    assert second.version == 1  # over a cache computed anew
    start = len(ids)
    assert torch.allclose(torch.tensor(second.logprobs), logprobs(model, ids + second.token_ids, start), atol=1e-5)
    assert not torch.allclose(torch.tensor(second.logprobs), logprobs(older, ids + second.token_ids, start), atol=1e-3)


def test_an_update_of_a_closed_engine_is_refused(tiny_model: Callable[..., Any]) -> None:
    engine = CopiedEngine(tiny_model())
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.update_weights(1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_staleness": 1, "asynchronous": False}, "changes nothing without asynchronous"),
        ({"max_staleness": 0}, r"must be 1 or more; for 0 leave asynchronous out"),
        ({"loss": LossConfig()}, "write loss.correction = 'token_truncate'"),
        ({"rollout": RolloutConfig(schedule="exact")}, "leave rollout.schedule out"),
    ],
)
def test_what_does_not_go_together_is_refused(config: TrainConfig, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(config, **values)


@pytest.mark.parametrize("kind", [TorchEngine, CopiedEngine])
def test_an_engine_that_hangs_is_named(tiny_model: Callable[..., Any], kind: type[TorchEngine]) -> None:
    model, may_end = tiny_model(), threading.Event()

    def hang(*_: Any) -> None:
        may_end.wait(60)

    with kind(model, timeout_s=0.5) as engine:
        engine._model.base_model.register_forward_pre_hook(hang)
        session = engine.session()
        with pytest.raises(EngineError, match=r"a pass of the torch engine did not end within engine.timeout_s=0.5"):
            asyncio.run(session.generate(request([5, 6, 7], 3)))
        with pytest.raises(EngineError, match=r"timeout_s=0.5: it computes 1 episodes"):
            engine.update_weights(1)
        may_end.set()
        engine.update_weights(1)  # it did come back
        session.close()


def test_finished_episodes_of_other_tasks_are_played_again(tables: Tables, pipeline: Pipeline) -> None:
    play, _ = player(lambda task: 1.0)
    draw = Draw(seed=1, envs={"Toy": 1.0}, groups_per_step=2, group_size=2, temperature=1.0)  # the run's seed was 0
    finished = {(episode.group, episode.member): episode for episode in play(draw.tasks(7, level=None, places=[0, 1]))}
    pipeline.start(Upcoming(step=7, level=None, finished=finished))
    tables.may_end.set()
    _, played = pipeline.take(7)
    assert len(tables.begun) == 4
    assert all(len({episode.seed for episode in played.kept if episode.group == group}) == 1 for group in (0, 1))
