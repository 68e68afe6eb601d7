"""An environment that leaks memory: made anew where that helps, and named with a checkpoint where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import pytest
from gymnasium.spaces import Text

from agentrl.trainer import memory
from agentrl.trainer.checkpoint import latest_checkpoint, load_state
from agentrl.trainer.config import CheckpointConfig, EvalConfig, TrainConfig
from agentrl.trainer.errors import ConfigError, TrainerError
from agentrl.trainer.loop import train
from agentrl.trainer.memory import MemoryWatch, available_mb, resident_mb
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir

LEAK_MB = 16


class Leaky(gymnasium.Env[str, str]):
    """Keeps some memory of each episode, in the instance or in the class."""

    made = 0
    everybody: ClassVar[list[bytearray]] = []

    def __init__(self, shared: bool = False) -> None:
        self.action_space = self.observation_space = Text(10_000)
        type(self).made += 1
        self.kept = self.everybody if shared else []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.kept.append(bytearray(b"x" * (LEAK_MB * 2**20)))
        return "Say it.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "", float(len(action) % 2), True, False, {}


@pytest.fixture
def config(model_folder: Path) -> Iterator[TrainConfig]:
    gymnasium.register(id="Toy/Leaky-v0", entry_point=lambda **kwargs: Leaky(**kwargs), disable_env_checker=True)
    Leaky.made = 0
    yield TrainConfig(
        env="Toy/Leaky-v0",
        model=str(model_folder),
        num_steps=6,
        groups_per_step=2,
        group_size=2,
        threads=1,
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=4, turn_timeout_s=30.0),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1000),
    )
    Leaky.everybody.clear()
    del gymnasium.registry["Toy/Leaky-v0"]


def room(mb: float) -> float:
    """Return a limit that leaves some MiB beside what a run needs anyhow."""
    return (resident_mb() or 0.0) + 200 + mb


def test_what_instances_keep_is_freed(config: TrainConfig, tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "run", default="")
    limit = room(100)
    train(replace(config, max_memory_mb=limit, num_steps=12), run_dir=run_dir)
    lines = read_metrics(run_dir.path / "metrics.jsonl")
    renewed = sum(line.get("environments_renewed", 0.0) for line in lines)
    assert renewed >= 1  # 48 episodes of 16 MiB are 768
    assert Leaky.made == 1 + 4 * (1 + renewed)  # one is asked for known cheats
    assert max(line["perf/memory_mb"] for line in lines) <= limit


def test_what_is_kept_elsewhere_stops_the_run_at_a_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "run", default="")
    config = replace(config, env_kwargs={"shared": True}, max_memory_mb=room(0), num_steps=50)
    with pytest.raises(TrainerError, match=r"what Toy/Leaky-v0 keeps outside its instances.*--resume"):
        train(config, run_dir=run_dir)
    kept = latest_checkpoint(run_dir.checkpoints)
    assert kept is not None
    assert 1 <= load_state(kept).step == len(read_metrics(run_dir.path / "metrics.jsonl")) < 50


def test_the_limit_of_a_control_group_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, none = tmp_path / "memory.max", tmp_path / "other"
    own.write_text(f"{512 * 2**20}\n")
    none.write_text("max\n")
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (own, none, tmp_path / "missing"))
    assert available_mb() == 512
    own.write_text("max\n")
    assert available_mb() > 512


def test_where_the_system_says_nothing_nothing_is_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_STATM", tmp_path / "missing")
    assert MemoryWatch(1.0, lambda: None).check("Toy") == {}


def test_a_limit_of_nothing_is_refused(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="max_memory_mb is 0"):
        replace(config, max_memory_mb=0.0)
