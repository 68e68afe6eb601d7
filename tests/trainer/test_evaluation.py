"""An evaluation that was left in the middle is done by the resume, and its step's metrics are there once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.checkpoint import latest_checkpoint, load_state
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig
from agentrl.trainer.evaluation import HeldOut
from agentrl.trainer.loop import train
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.stopping import Terminated
from agentrl.trainer.store import RolloutStore


@pytest.mark.parametrize("every", [1, 1000])  # whether the checkpoint is written again after the evaluation
def test_a_stop_in_an_evaluation_loses_nothing(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    config = TrainConfig(
        env="agentrl.envs:AgentRL/Math-v0",
        level=1,
        model=str(model_folder),
        num_steps=4,
        groups_per_step=2,
        group_size=2,
        threads=1,
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=6, max_episode_tokens=512),
        eval=EvalConfig(num_episodes=3, every=2),
        checkpoint=CheckpointConfig(every=every),
    )
    whole, parted = (RunDir.create(tmp_path, name, default="") for name in ("whole", "parted"))
    train(config, run_dir=whole)
    play = HeldOut.play

    def stop(self: HeldOut, phase: Any, step: int) -> dict[str, float]:
        if phase == "eval":
            raise Terminated
        return play(self, phase, step)

    monkeypatch.setattr(HeldOut, "play", stop)
    with pytest.raises(Terminated):
        train(config, run_dir=parted)
    kept = latest_checkpoint(parted.checkpoints)
    assert kept is not None
    assert load_state(kept).step == 2
    assert len(read_metrics(parted.path / "metrics.jsonl")) == 1
    monkeypatch.setattr(HeldOut, "play", play)
    for _ in range(2):  # the second time nothing is left to do
        train(replace(config), run_dir=parted)
        lines, wanted = (read_metrics(run.path / "metrics.jsonl") for run in (parted, whole))
        assert [line["step"] for line in lines] == [1, 2, 3, 4]
        for line, other in zip(lines, wanted, strict=True):
            timed = {name for name in line if name.startswith("perf/")}
            assert {name: line[name] for name in line.keys() - timed} == {
                name: other[name] for name in other.keys() - timed
            }
        with RolloutStore(parted.path / "rollouts.sqlite", read_only=True) as store:
            assert store.count(phase="eval", step=2) == 6
