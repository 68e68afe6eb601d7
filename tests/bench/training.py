"""A training run of two steps, small and real, from which tests read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.loop import train
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir

__all__ = ["train_tiny"]


def train_tiny(folder: Path, **changes: Any) -> Path:
    """Train the bundled model for two steps, with every checkpoint kept and evaluated; return the run's folder."""
    config = TrainConfig(
        env="agentrl.envs:AgentRL/Search-v0",
        env_kwargs={"max_turns": 5},
        level=2,
        num_steps=2,
        groups_per_step=2,
        group_size=2,
        threads=1,
        seed=3,
        optim=OptimConfig(lr=3e-3),
        rollout=RolloutConfig(concurrency=8, max_turn_tokens=40, max_episode_tokens=320),
        eval=EvalConfig(num_episodes=12, every=1, temperature=0.8),
        checkpoint=CheckpointConfig(every=1, keep=2),
    )
    config = replace(config, **changes)
    made = RunDir.create(folder, "tiny", default="")
    made.write_text("config.toml", to_toml(config))
    train(config, run_dir=made)
    return made.path
