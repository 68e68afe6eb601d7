"""Whole runs on environments without text, and on several at once: they learn, and a stop changes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Discrete, Text
from transformers import AutoModelForCausalLM

from agentrl.cli.main import main
from agentrl.trainer import loop
from agentrl.trainer.checkpoint import latest_checkpoint
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.loop import train
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore


class Lock(gymnasium.Env[int, int]):
    """One of three numbers pays 1, always the same. Four times; solved if it was said every time."""

    def __init__(self) -> None:
        self.action_space = self.observation_space = Discrete(3)  # type: ignore[assignment]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.left, self.hits = 4, 0
        return int(self.np_random.integers(3)), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        hit = int(action) == 2
        self.hits, self.left = self.hits + hit, self.left - 1
        told = {} if self.left else {"is_success": self.hits == 4}
        return int(self.np_random.integers(3)), float(hit), self.left == 0, False, told


class Letter(gymnasium.Env[str, str]):
    """One turn of text, paid for a letter: a model that knows nothing says it now and then."""

    def __init__(self, letter: str) -> None:
        self.action_space = self.observation_space = Text(10_000)
        self.letter = letter

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return f"Say {self.letter}.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "", float(self.letter in action), True, False, {"success": self.letter in action}


MAKE: Any = Lock
gymnasium.register(id="Toy/Lock-v0", entry_point=MAKE, disable_env_checker=True)
ENVS = {"Toy/LetterE-v0": 2.0, "Toy/LetterA-v0": 1.0}
for _letter in "EA":
    MAKE = Letter
    _id = f"Toy/Letter{_letter}-v0"
    gymnasium.register(id=_id, entry_point=MAKE, disable_env_checker=True, kwargs={"letter": _letter.lower()})


def config_of(model: Path, out: Path) -> TrainConfig:
    return TrainConfig(
        env=ENVS,
        model=str(model),
        out=str(out),
        num_steps=4,
        groups_per_step=3,
        group_size=4,
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=5, max_turn_tokens=8, turn_timeout_s=30.0),
        eval=EvalConfig(num_episodes=3),
        checkpoint=CheckpointConfig(every=2),
    )


def told(run_dir: RunDir) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the weights' hash, all episodes and all rows, without timings."""
    newest = latest_checkpoint(run_dir.checkpoints)
    assert newest is not None
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = [asdict(replace(episode, timings={})) for episode in store.episodes()]
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    plain = [{name: value for name, value in row.items() if not name.startswith("perf/")} for row in rows]
    return weights_hash(AutoModelForCausalLM.from_pretrained(newest)), episodes, plain


def test_a_run_on_several_environments_stopped_goes_on_the_same(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(model_folder, tmp_path)
    runs = []
    for name in ("unbroken", "broken"):
        runs.append(RunDir.create(tmp_path, name, default="x"))
        runs[-1].write_text("config.toml", to_toml(config))
    unbroken, broken = runs
    summary = train(config, run_dir=unbroken)
    original = loop.Run.save

    def stop(self: loop.Run) -> None:
        original(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.Run, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, run_dir=broken)
    train(config, run_dir=broken)
    assert told(broken) == told(unbroken)

    _, episodes, rows = told(unbroken)
    trained = [episode for episode in episodes if episode["split"] == "train"]
    groups = {(episode["step"], episode["group"]): episode["env_id"] for episode in trained}
    assert len(groups) == 12
    assert 7 <= sum(env == "Toy/LetterE-v0" for env in groups.values()) <= 9
    for row in rows:
        played = {env for (step, _), env in groups.items() if step == row["step"]}
        if len(played) == 2:
            assert {f"{what}/{env}" for env in played for what in ("reward", "success")} <= row.keys()
    held_out = [episode for episode in episodes if episode["split"] == "test"]
    assert {episode["env_id"] for episode in held_out} == set(ENVS)
    assert len(held_out) == 2 * 2 * 2 * 3  # before and after, sampled and greedy, two environments, three tasks
    before = json.loads((unbroken.path / "eval_before.json").read_text())
    assert {"success/Toy/LetterE-v0", "success_reward/Toy/LetterA-v0", "greedy/Toy/LetterA-v0"} <= before.keys()
    assert told(unbroken)[0] != weights_hash(AutoModelForCausalLM.from_pretrained(model_folder))
    assert summary["env"] == ENVS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tiny_model_made_on_the_spot_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = "--num-steps 15 --group-size 8 --eval.num-episodes 32 --eval.no-greedy --gamma 0 --threads 1"
    words = f"train --env Toy/Lock-v0 --name lock --out {tmp_path} {short}"
    assert main(words.split()) == 0
    run = tmp_path / "lock"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["success_before"] < 0.2  # 1 of 81 by chance
    assert summary["success_after"] > 0.6
    assert (run / "start" / "model" / "config.json").is_file()
    rows = read_metrics(run / "metrics.jsonl")
    assert rows[-1]["rewards/environment/mean"] > rows[0]["rewards/environment/mean"]
    assert "success" in capsys.readouterr().out
