"""The watch over a stored run takes in what the watch of the run took in, whatever the run replaced and replayed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.checkpoint import latest_checkpoint, load_state
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.groups import GroupsConfig
from agentrl.trainer.loop import train
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.replay import ReplayConfig
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.watch import watch_stored
from agentrl.trainer.watch.stored import FINGERPRINTS, load_fingerprints
from tests.trainer.watch.hacks import ENV, MODULE, SOURCE


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make the environment importable."""
    folder = tmp_path_factory.mktemp("hacked")
    (folder / f"{MODULE}.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def config(toy: None, model_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        env=ENV,
        model=str(model_folder),
        out=str(tmp_path),
        threads=1,
        num_steps=6,
        groups_per_step=4,
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=32, max_turn_tokens=8),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1),
    )


@pytest.mark.parametrize(
    ("changes", "stored_more"),
    [
        ({"groups": GroupsConfig(dynamic_sampling=True), "env_kwargs": {"hole": 0.0}, "group_size": 2}, True),
        ({"replay": ReplayConfig(share=0.5), "env_kwargs": {"hole": 0.0}, "group_size": 2}, False),
        ({"asynchronous": True, "loss": LossConfig(correction="token_truncate")}, False),
        ({"env": {ENV: 1.0, "FrozenLake-v1": 1.0}}, False),
    ],
    ids=["replaced", "replayed", "asynchronous", "mixed"],
)
def test_what_was_live_is_found_again(config: TrainConfig, changes: dict[str, Any], stored_more: bool) -> None:
    config = dataclasses.replace(config, **changes)
    run_dir = RunDir.create(Path(config.out), "run", default="x")
    run_dir.write_text("config.toml", to_toml(config))
    train(config, run_dir=run_dir)
    newest = latest_checkpoint(run_dir.checkpoints)
    assert newest is not None
    live, offline = load_state(newest).watch, watch_stored(run_dir.path, config).state()
    assert {name: live[name] for name in offline} == offline
    taken = sum(row["num_episodes"] for track in live["tracks"].values() for row in track["history"])
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        played = store.count(phase="train")
    if stored_more:
        assert taken == config.num_steps * config.groups_per_step * config.group_size < played
    elif config.replay.share:
        assert taken < played
    else:
        assert taken == played
    assert set(live["tracks"]) == set(config.env if isinstance(config.env, dict) else [config.env])


def test_damaged_fingerprints_are_named(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / FINGERPRINTS).write_text('{"a": 1}')
    with pytest.raises(RunFolderError, match=f"{FINGERPRINTS} cannot be read.*delete it"):
        load_fingerprints(tmp_path, config)
