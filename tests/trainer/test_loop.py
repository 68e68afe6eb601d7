"""Whole runs of a tiny model: success rises, and one seed gives the same bits, also for a run that was killed."""

from __future__ import annotations

import copy
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from gymnasium.spaces import Text
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.trainer import loop, rank
from agentrl.trainer.checkpoint import latest_checkpoint, load_state
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ParityError, RunFolderError, TrainerError
from agentrl.trainer.loop import train
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore

# A module of its own, so that the command can import it too (--env MODULE:ID).
BANDIT = '''
"""Two turns, each paid for the letter e: what a tiny model learns in a few steps."""
import gymnasium
from gymnasium.spaces import Text

class Bandit(gymnasium.Env):
    def __init__(self):
        self.action_space = self.observation_space = Text(10_000)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left, self.hits = 2, 0
        return ("Say " if seed % 2 else "Write ") + "it.", {"task": {"id": str(seed), **options}}

    def step(self, action):
        self.left -= 1
        hit = "e" in action
        self.hits += hit
        info = {"rewards": {"letters": float(hit)}}
        if not self.left:
            info["success"] = self.hits == 2
        return "Again.", hit / 2, not self.left, False, info

gymnasium.register(id="Toy/Bandit-v0", entry_point=Bandit, disable_env_checker=True)
'''
ENV = "bandit_for_tests:Toy/Bandit-v0"
NUM_KILLS = 10


@pytest.fixture(scope="module")
def bandit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the toy environment importable; return the folder it is in."""
    folder = tmp_path_factory.mktemp("toys")
    (folder / "bandit_for_tests.py").write_text(BANDIT)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def config(bandit: Path, model_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        env=ENV,
        model=str(model_folder),
        out=str(tmp_path / "runs"),
        num_steps=3,
        groups_per_step=3,
        group_size=4,
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=7, max_turn_tokens=6, turn_timeout_s=30.0),
        eval=EvalConfig(num_episodes=3),
        checkpoint=CheckpointConfig(every=1),
    )


def run(config: TrainConfig, name: str = "run") -> tuple[RunDir, dict[str, Any]]:
    run_dir = RunDir.create(Path(config.out), name, default="x")
    run_dir.write_text("config.toml", to_toml(config))
    return run_dir, train(config, run_dir=run_dir)


def final_weights(run_dir: RunDir) -> str:
    newest = latest_checkpoint(run_dir.checkpoints)
    assert newest is not None
    return weights_hash(AutoModelForCausalLM.from_pretrained(newest))


def episodes_of(run_dir: RunDir) -> list[dict[str, Any]]:
    """Every episode as stored, but for its timings."""
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        found = [asdict(episode) for episode in store.episodes()]
        assert store.count() == len(found)
    for episode in found:
        episode.pop("timings")
    return found


def rows_of(run_dir: RunDir) -> list[dict[str, Any]]:
    """Every row of metrics, but for timings."""
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    return [{name: value for name, value in row.items() if not name.startswith("perf/")} for row in rows]


def test_success_rises(config: TrainConfig) -> None:
    config = replace(
        config,
        num_steps=25,
        groups_per_step=4,
        group_size=8,
        optim=OptimConfig(lr=2e-2),
        eval=EvalConfig(num_episodes=16, every=10),
        checkpoint=CheckpointConfig(every=10, keep=2),
    )
    run_dir, summary = run(config)
    success = [row["success"] for row in rows_of(run_dir)]
    assert sum(success[:4]) / 4 < 0.35
    assert sum(success[-4:]) / 4 > 0.7
    assert summary["success_before"] < 0.4 < 0.6 < summary["success_after"]
    assert json.loads((run_dir.path / "summary.json").read_text()) == summary
    wanted = "success_before success_after greedy_before greedy_after num_episodes train_seconds seed model_parameters"
    assert set(wanted.split()) <= summary.keys()
    assert summary["num_episodes"] == 25 * 32
    assert "<html" in (run_dir.path / "report.html").read_text()
    assert sorted(path.name for path in run_dir.checkpoints.iterdir()) == ["step_20", "step_25"]
    assert [row["step"] for row in rows_of(run_dir) if "eval/success" in row] == [10, 20]
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        counts = [store.count(phase=phase) for phase in ("train", "eval_before", "eval", "eval_after")]
    assert counts == [25 * 32, 32, 64, 32]


def test_a_run_on_search(config: TrainConfig) -> None:
    config = replace(
        config,
        env="agentrl.envs:AgentRL/Search-v0",
        level=1,
        num_steps=2,
        rollout=RolloutConfig(concurrency=12, max_turn_tokens=8, max_episode_tokens=1500),
    )
    run_dir, summary = run(config)
    assert summary["success_before"] == 0.0
    episodes = episodes_of(run_dir)
    assert len(episodes) == 2 * 12 + 2 * 6
    for episode in episodes:
        assert episode["failure"] is None
        assert episode["num_turns"] >= 1
        assert episode["task_id"].startswith("train-1-" if episode["split"] == "train" else "test-1-")
    tasks = [{episode["task_id"] for episode in episodes if episode["split"] == split} for split in ("train", "test")]
    assert not tasks[0] & tasks[1]
    # Tasks of the held-out split are the same before and after, sampled and greedy.
    assert [len(each) for each in tasks] == [2 * 3, 3]


def test_the_checkpoint_is_a_model_folder(config: TrainConfig) -> None:
    run_dir, _ = run(replace(config, num_steps=1))
    folder = run_dir.checkpoints / "step_1"
    assert "agentrl" not in (folder / "config.json").read_text()  # it loads where AgentRL is not installed
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = AutoModelForCausalLM.from_pretrained(config.model)
    assert weights_hash(model) != weights_hash(start)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "Say it."}], tokenize=False)
    assert text == "<|user|>Say it.<|end|>"
    again = replace(config, model=str(folder), num_steps=1)
    assert run(again, "again")[1]["num_steps"] == 1


def test_the_same_seed_gives_the_same_bits(config: TrainConfig) -> None:
    first, second = (run(config, name)[0] for name in ("first", "second"))
    assert final_weights(first) == final_weights(second)
    assert episodes_of(first) == episodes_of(second)
    assert rows_of(first) == rows_of(second)
    other, _ = run(replace(config, seed=1), "other")
    assert final_weights(other) != final_weights(first)
    assert not {e["seed"] for e in episodes_of(other)} & {e["seed"] for e in episodes_of(first)}


@pytest.mark.parametrize(
    ("beta", "dtype", "head"),
    [(0.0, "float32", None), (0.2, "float32", None), (0.0, "bfloat16", None), (0.2, "bfloat16", "float32")],
)
def test_a_run_stopped_anywhere_goes_on_the_same(
    config: TrainConfig, beta: float, dtype: str, head: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(
        config,
        dtype=dtype,
        head_dtype=head,
        num_steps=4,
        checkpoint=CheckpointConfig(every=2),
        loss=LossConfig(beta=beta),
        eval=EvalConfig(num_episodes=2, every=1),
    )
    unbroken, _ = run(config, "unbroken")
    calls = 0
    original = loop.Run.save

    def stop(self: loop.Run) -> None:
        nonlocal calls
        calls += 1
        original(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.Run, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            run(config, "broken")
    broken = RunDir.existing(Path(config.out) / "broken")
    assert [row["step"] for row in rows_of(broken)] == [1, 2]
    train(config, run_dir=broken)
    assert calls == 1
    assert final_weights(broken) == final_weights(unbroken)
    assert episodes_of(broken) == episodes_of(unbroken)
    assert rows_of(broken) == rows_of(unbroken)
    # A run that is complete stays as it is.
    before = final_weights(broken)
    train(config, run_dir=broken)
    assert final_weights(broken) == before
    assert episodes_of(broken) == episodes_of(unbroken)


def start(arguments: list[str], *, folder: Path, bandit: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agentrl.cli.main", "train", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(bandit)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def num_rows(run_dir: Path) -> int:
    path = run_dir / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else -1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_at_ten_points_ends_as_an_unbroken_one(config: TrainConfig, bandit: Path, tmp_path: Path) -> None:
    config = replace(
        config,
        name="killed",
        out=str(tmp_path),
        num_steps=22,
        checkpoint=CheckpointConfig(every=2, keep=1),
        eval=EvalConfig(num_episodes=4, every=5),
    )
    (tmp_path / "recipe.toml").write_text(to_toml(config))
    with start(["recipe.toml", "--name", "unbroken"], folder=tmp_path, bandit=bandit) as whole:
        assert whole.wait() == 0, whole.stderr and whole.stderr.read()

    rng = random.Random(11)
    # From before the first step, held-out episodes included, to after the last.
    points = sorted(rng.uniform(-1, config.num_steps) for _ in range(NUM_KILLS))
    arguments = ["recipe.toml"]
    killed = tmp_path / "killed"
    for point in points:
        with start(arguments, folder=tmp_path, bandit=bandit) as process:
            while num_rows(killed) < int(point) and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
        if (killed / "config.toml").exists():
            arguments = ["--resume", "killed"]
    with start(arguments, folder=tmp_path, bandit=bandit) as last:
        assert last.wait() == 0, last.stderr and last.stderr.read()

    one, other = RunDir.existing(tmp_path / "unbroken"), RunDir.existing(killed)
    assert final_weights(one) == final_weights(other)
    states = [load_state(each.checkpoints / "step_22") for each in (one, other)]
    for name, value in states[0].optimizer["adamw"]["state"].items():
        for key, tensor in value.items():
            assert torch.equal(tensor, states[1].optimizer["adamw"]["state"][name][key])
    assert episodes_of(one) == episodes_of(other)
    assert len(episodes_of(other)) == 22 * 12 + (1 + 4 + 1) * 8
    assert rows_of(one) == rows_of(other)
    assert [row["step"] for row in rows_of(other)] == list(range(1, 23))
    summaries = [json.loads((each.path / "summary.json").read_text()) for each in (one, other)]
    for summary in summaries:
        summary.pop("train_seconds")
    assert summaries[0] == summaries[1]
    assert [path.name for path in other.checkpoints.iterdir()] == ["step_22"]  # no remains of what was killed


class Broken(gymnasium.Env[str, str]):
    """Fails always, or in the held-out split only."""

    def __init__(self, split: str = "") -> None:
        self.action_space = self.observation_space = Text(100)
        self.split = split

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        if (options or {}).get("split") == self.split or not self.split:
            raise OSError("no route to host")
        return "Go.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "", 1.0, True, False, {}


gymnasium.register(id="Toy/Broken-v0", entry_point=Broken, disable_env_checker=True)  # type: ignore[arg-type]


def test_a_run_whose_every_episode_fails_stops(config: TrainConfig) -> None:
    config = replace(config, env="Toy/Broken-v0", eval=EvalConfig(num_episodes=0))
    with pytest.raises(TrainerError, match=r"all 12 episodes of step 1 failed.*no route to host.*--resume"):
        run(config)
    assert len(episodes_of(RunDir(Path(config.out) / "run"))) == 12  # to be looked at
    with pytest.raises(TrainerError, match=r"all 3 held-out episodes of 'test' failed.*no route to host"):
        run(replace(config, env_kwargs={"split": "test"}, eval=EvalConfig(num_episodes=3)), "other")


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch, config: TrainConfig) -> TrainConfig:
    """Fail the first member of each group, the retries too."""
    module = importlib.import_module("bandit_for_tests")
    original = module.Bandit.step
    attempts: dict[int, int] = {}

    def step(self: Any, action: str) -> Any:
        seed = self._np_random_seed
        attempts.setdefault(seed, id(self))
        if attempts[seed] == id(self):
            raise OSError("no route to host")
        return original(self, action)

    monkeypatch.setattr(module.Bandit, "step", step)
    return replace(config, rollout=replace(config.rollout, max_retries=0), eval=EvalConfig(num_episodes=0))


def test_failed_episodes_are_counted_and_left_out(flaky: TrainConfig) -> None:
    run_dir, _ = run(replace(flaky, num_steps=2, groups_per_step=4))
    episodes = episodes_of(run_dir)
    for row in rows_of(run_dir):
        step = [episode for episode in episodes if episode["step"] == row["step"]]
        failed = [episode for episode in step if episode["failure"]]
        assert len(failed) >= 4
        assert row["failures/exception"] == row["dropped/infrastructure/episodes"] == len(failed)
        assert all(episode["advantage"] == 0 for episode in failed)
        valid = [episode for episode in step if not episode["failure"]]
        assert row["reward"] == pytest.approx(sum(episode["reward"] for episode in valid) / len(valid))
        for group in range(4):
            advantages = [episode["advantage"] for episode in valid if episode["group"] == group]
            assert sum(advantages) == pytest.approx(0, abs=1e-5)


def test_other_weights_in_the_engine_stop_the_run(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(model: Any, **more: Any) -> TorchEngine:
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(3)
        return TorchEngine(other)

    monkeypatch.setattr(rank, "open_engine", stale)
    config = replace(config, eval=EvalConfig(num_episodes=0))
    with pytest.raises(ParityError, match=r"update to version 0 .* more than max_probe_difference=0\.0001"):
        run(config, "probed")
    config = replace(config, max_probe_difference=100.0)
    with pytest.raises(ParityError, match=r"step 1: .* more than max_logp_difference=0\.1"):
        run(config)
    run_dir = RunDir(Path(config.out) / "run")
    assert latest_checkpoint(run_dir.checkpoints) is None
    assert rows_of(run_dir) == []


def test_a_run_ends_early_when_it_is_good_enough(config: TrainConfig) -> None:
    config = replace(config, num_steps=14, stop_at_success=0.0, optim=OptimConfig(lr=2e-2))
    run_dir, summary = run(replace(config, eval=EvalConfig(num_episodes=0)))
    assert summary["num_steps"] == 10
    assert summary["success_before"] is None
    assert latest_checkpoint(run_dir.checkpoints) == run_dir.checkpoints / "step_10"


def test_two_processes_cannot_train_one_run(config: TrainConfig) -> None:
    run_dir = RunDir.create(Path(config.out), "run", default="x")
    with run_dir.locked(), pytest.raises(RunFolderError, match="another process"):
        train(config, run_dir=run_dir)
    assert not (run_dir.path / "metrics.jsonl").exists()
