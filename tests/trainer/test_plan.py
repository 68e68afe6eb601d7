"""A plan: what can be counted is what one counts by hand, what is measured comes from episodes that were played."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agentrl.trainer.config import EvalConfig, TrainConfig
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.model import load_model
from agentrl.trainer.plan import Plan, _memory, make_plan
from agentrl.trainer.rollout import RolloutConfig

PARAMETERS = 1_049_984  # of the bundled model, float32: 4 layers, 2 key-value heads of 32, 2,048 words


@pytest.fixture(scope="module")
def plan() -> Plan:
    config = TrainConfig(
        env="agentrl.envs:AgentRL/Search-v0",
        model="bundled:search-tiny",
        device="cpu",
        threads=1,
        level=1,
        num_steps=50,
        groups_per_step=6,
        group_size=2,
        micro_batch_tokens=1000,
        loss=LossConfig(beta=0.04),
        rollout=RolloutConfig(concurrency=8, max_turn_tokens=32, max_episode_tokens=320),
        eval=EvalConfig(num_episodes=99),
    )
    return make_plan(config)


def test_what_is_counted(plan: Plan) -> None:
    mb = 4 * PARAMETERS / 2**20
    assert (plan.parameters, plan.trained_parameters, plan.device) == (PARAMETERS, PARAMETERS, "cpu")
    assert (plan.weights_mb, plan.reference_mb) == pytest.approx((mb, mb))
    assert plan.optimizer_mb == pytest.approx(3 * mb)  # a gradient and two moments
    assert plan.cache_mb == pytest.approx(2 * 4 * 2 * 32 * 4 * 8 * 320 / 2**20)
    assert plan.logits_mb == pytest.approx(4 * 1000 * 2048 / 2**20)
    assert plan.most_tokens_per_step == 6 * 2 * 320


def test_a_bound_of_the_cache_is_counted() -> None:
    config = TrainConfig(
        model="bundled:search-tiny",
        engine=EngineConfig(kv_cache_mb=3),
        rollout=RolloutConfig(concurrency=8, max_turn_tokens=32, max_episode_tokens=320),
    )
    model = load_model(config.model, device=torch.device("cpu"))
    assert _memory(model, config)["cache_mb"] == 3
    wide = replace(config, engine=EngineConfig(kv_cache_mb=99))
    assert _memory(model, wide)["cache_mb"] == pytest.approx(5)


def test_what_is_measured(plan: Plan) -> None:
    assert plan.probe_episodes == 4
    assert 10 < plan.tokens_per_episode < 320
    assert plan.probe_peak_mb > plan.weights_mb
    assert plan.rollout_s > 0
    assert plan.update_s > 0
    assert plan.total_s == pytest.approx(50 * (plan.rollout_s + plan.update_s))


def test_it_can_be_read(plan: Plan) -> None:
    text = "\n".join(plan.lines())
    assert "1,049,984 parameters on cpu" in text
    assert "estimate" in text
    assert "50 steps" in text


def test_nothing_is_left_behind(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentrl.cli.main import main

    monkeypatch.chdir(tmp_path)
    words = ["train", "quickstart", "--dry-run", "--threads", "1", "--group-size", "2", "--rollout.concurrency", "4"]
    assert main(words) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_exist_yet_cannot_be_planned() -> None:
    from agentrl.cli.train import run

    with pytest.raises(ConfigError, match="--dry-run needs a model that is there"):
        run(["--env", "FrozenLake-v1", "--dry-run"])
