"""Every loss and every advantage by name, end to end: a few steps of a tiny model, with what each of them adds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from gymnasium.spaces import Text
from transformers import AutoModelForCausalLM

from agentrl.trainer.advantage import ADVANTAGES, TURN_ADVANTAGES
from agentrl.trainer.checkpoint import latest_checkpoint
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, load_recipe, to_toml
from agentrl.trainer.curriculum import CurriculumConfig
from agentrl.trainer.groups import GroupsConfig
from agentrl.trainer.loop import Run, train
from agentrl.trainer.loss import KINDS, LossConfig
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.replay import ReplayConfig
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore

NUM_STEPS = 2


class Letters(gymnasium.Env[str, str]):
    """Three turns, each paid for the letter e; the reply says whether it was there."""

    def __init__(self) -> None:
        self.action_space = self.observation_space = Text(10_000)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 3
        return "Say it.", {"task": {"id": str(seed)}}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        hit = "e" in action
        return "Good." if hit else "Bad.", float(hit), self.left == 0, False, {"success": hit}


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register(id="Toy/Letters-v0", entry_point=Letters, disable_env_checker=True)  # type: ignore[arg-type]
    yield
    gymnasium.registry.pop("Toy/Letters-v0")


def run(folder: Path, model: Path, **keys: Any) -> tuple[RunDir, list[dict[str, Any]]]:
    """Train; return the run and its rows of metrics."""
    defaults: dict[str, Any] = {
        "env": "Toy/Letters-v0",
        "model": str(model),
        "num_steps": NUM_STEPS,
        "groups_per_step": 3,
        "group_size": 4,
        "optim": OptimConfig(lr=1e-2, updates_per_step=2),
        "rollout": RolloutConfig(concurrency=12, max_turn_tokens=5),
        "eval": EvalConfig(num_episodes=0),
        "checkpoint": CheckpointConfig(every=100),
    }
    config = TrainConfig(**defaults | keys)
    run_dir = RunDir.create(folder, "run", default="x")
    run_dir.write_text("config.toml", to_toml(config))
    train(config, run_dir=run_dir)
    return run_dir, read_metrics(run_dir.path / "metrics.jsonl")


def assert_trained(run_dir: RunDir, model: Path) -> None:
    newest = latest_checkpoint(run_dir.checkpoints)
    assert newest is not None
    assert newest.name == f"step_{NUM_STEPS}"
    after, before = (AutoModelForCausalLM.from_pretrained(folder) for folder in (newest, model))
    assert weights_hash(after) != weights_hash(before)
    assert all(torch.isfinite(weight).all() for weight in after.parameters())
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = list(store.episodes(phase="train"))
    assert any(episode.advantage for episode in episodes)
    assert all(episode.failure is None for episode in episodes)


LOSSES: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in KINDS},
    "dapo": {"kind": "dapo", "mask_overlong": False},  # a model that knows nothing says everything to the last token
    "KL in the loss": {"beta": 0.1},
    "KL in the reward": {"kind": "sapo", "beta": 0.1, "kl_in": "reward"},
    "entropy bonus": {"kind": "cispo", "entropy_bonus": 0.01},
    "truncated weights of tokens": {"correction": "token_truncate"},
    "masked episodes": {"kind": "gspo", "correction": "sequence_mask", "correction_max": 2.0},
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(name: str, tmp_path: Path, model_folder: Path) -> None:
    loss = LossConfig(**LOSSES[name])
    run_dir, rows = run(tmp_path, model_folder, loss=loss, advantage="dr_grpo")
    assert_trained(run_dir, model_folder)
    assert len(rows) == NUM_STEPS
    for row in rows:
        assert row["grad_norm"] > 0
        assert ("kl" in row) == (loss.beta > 0)
        assert row["sampling/sampling_logp_difference/mean"] < 1e-4
        # Engine and trainer are in float32 on one machine: there is nothing to correct.
        assert ("sampling/importance_sampling_ratio/bound_ratio" in row) == (loss.correction != "none")
        if loss.correction != "none":
            assert row["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=1e-3)
            assert row["sampling/importance_sampling_ratio/bound_ratio"] == 0
    if loss.beta:
        assert rows[0]["kl"] == pytest.approx(0, abs=1e-5) or loss.kl_in == "loss"
        assert rows[-1]["kl"] != pytest.approx(0, abs=1e-5), "the model has left its reference"


@pytest.mark.parametrize("name", [*ADVANTAGES, *TURN_ADVANTAGES])
def test_every_advantage_trains(name: str, tmp_path: Path, model_folder: Path) -> None:
    run_dir, rows = run(tmp_path, model_folder, advantage=name)
    assert_trained(run_dir, model_folder)
    assert all(row["grad_norm"] > 0 for row in rows)
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = list(store.episodes(phase="train"))
    for episode in episodes:
        assert len(episode.turn_rewards) == episode.num_turns == 3
        assert len(episode.turn_advantages) == (3 if name in TURN_ADVANTAGES else 0)
    if name == "gigpo":  # the reply tells two states apart, and members of a group meet both
        assert 2 <= len({state for episode in episodes for state in episode.turn_states}) <= 3
        assert any(len(set(episode.turn_advantages)) > 1 for episode in episodes)


def test_flat_groups_are_replaced(tmp_path: Path, model_folder: Path) -> None:
    groups = GroupsConfig(dynamic_sampling=True, max_rounds=2)
    run_dir, rows = run(tmp_path, model_folder, groups=groups, group_size=2, groups_per_step=6)
    assert_trained(run_dir, model_folder)
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = list(store.episodes(phase="train"))
    assert sum(row["dynamic_sampling/replaced_groups"] for row in rows) > 0
    for row in rows:
        step = [episode for episode in episodes if episode.step == row["step"]]
        replaced = row["dynamic_sampling/replaced_groups"]
        assert len(step) == 2 * (6 + replaced)
        assert row.get("dropped/replaced/episodes", 0) == 2 * replaced
        assert row["dynamic_sampling/flat_groups"] == row.get("dropped/zero_advantage/episodes", 0) / 2
        teaching = {episode.group for episode in step if episode.teaches}
        assert len(teaching) == 6 - row["dynamic_sampling/flat_groups"]
        # What is told of the tasks is told of the first round, which nothing selected.
        first = [episode.reward for episode in step if episode.group < 6]
        assert row["reward"] == pytest.approx(sum(first) / len(first))
    assert json.loads((run_dir.path / "summary.json").read_text())["num_episodes"] == len(episodes)


def test_long_episodes_are_punished(tmp_path: Path, model_folder: Path) -> None:
    rollout = RolloutConfig(concurrency=12, max_turn_tokens=5, max_episode_tokens=60)
    run_dir, rows = run(tmp_path, model_folder, rollout=rollout, overlong_buffer=50, advantage="dr_grpo")
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = list(store.episodes(phase="train", step=1))
    penalties = [min(1.0, max(0.0, (len(episode.token_ids) - 10) / 50)) for episode in episodes]
    assert len(set(penalties)) > 1
    assert rows[0]["overlong_penalty"] == pytest.approx(sum(penalties) / len(penalties))
    for group in range(3):
        shaped = [e.reward - p for e, p in zip(episodes, penalties, strict=True) if e.group == group]
        advantages = [episode.advantage for episode in episodes if episode.group == group]
        mean = sum(shaped) / len(shaped)
        assert advantages == pytest.approx([reward - mean for reward in shaped], abs=1e-6)


def test_a_stopped_run_goes_on_with_its_rounds_its_level_and_its_memory(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, Any] = {
        "num_steps": 6,
        "level": 1,
        "group_size": 2,
        "groups": GroupsConfig(dynamic_sampling=True),
        "curriculum": CurriculumConfig(max_level=3, raise_at=0.0, window=2),
        "replay": ReplayConfig(share=0.6, capacity=3),
        "checkpoint": CheckpointConfig(every=1, keep=9),
        "eval": EvalConfig(num_episodes=2),
    }
    unbroken, rows = run(tmp_path / "unbroken", model_folder, **keys)
    assert [row["curriculum/level"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert rows[0]["replay/groups"] == 0
    assert rows[2]["replay/size"] > 0, "something to be restored"
    assert all(row["replay/groups"] in (1, 2) and "replay/success" in row for row in rows[3:])
    original = Run.save

    def stop(self: Run) -> None:
        original(self)
        if self.step == 3:  # in the middle of the window of level 2
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken", model_folder, **keys)
    broken = RunDir.existing(tmp_path / "broken" / "run")
    train(load_recipe(str(broken.path / "config.toml")), run_dir=broken)

    def told(run_dir: RunDir) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
        rows = read_metrics(run_dir.path / "metrics.jsonl")
        with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
            episodes = [vars(replace(episode, timings={})) for episode in store.episodes()]
        newest = latest_checkpoint(run_dir.checkpoints)
        kept = [{name: value for name, value in row.items() if not name.startswith("perf/")} for row in rows]
        return kept, episodes, weights_hash(AutoModelForCausalLM.from_pretrained(newest))

    assert told(broken) == told(unbroken)
    levels = {(episode["split"], episode["level"]) for episode in told(broken)[1]}
    assert levels == {("train", 1), ("train", 2), ("train", 3), ("test", 3)}, "held-out tasks are those of the end"
