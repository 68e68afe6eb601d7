"""Adapters alone are pushed into vLLM, which adds them in itself: the same log-probabilities after every update."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loop import train
from agentrl.trainer.lora import LoraConfig, add_adapters
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from tests.trainer.test_vllm import apart, turn

ENGINE = EngineConfig(name="vllm", adapters=True, kv_cache_mb=8)


@pytest.fixture(autouse=True)
def vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")


def test_each_update_of_the_adapters_arrives(tiny_model: Callable[..., Any]) -> None:
    from agentrl.trainer.engines.vllm import VllmEngine

    model = tiny_model(seed=3, hidden=64, layers=2)
    add_adapters(model, LoraConfig(rank=4), seed=1)
    generator = torch.Generator().manual_seed(2)
    with VllmEngine(model, max_tokens=200, max_sessions=4, options=ENGINE) as engine:

        async def answer() -> Any:
            session = engine.session()
            completion = await session.generate(request)
            session.close()
            return completion

        request = turn(3, prompt=70, max_new_tokens=40)  # the prompt fills blocks of the prefix cache
        said = []
        for version in range(3):
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if ".lora_B" in name and version:  # the first adapters add nothing
                        parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
            engine.update_weights(version)
            completion = asyncio.run(answer())
            assert completion.version == version
            assert float(apart(model, request, completion).max()) < 1e-4
            said.append(completion.token_ids)
        assert said[0] != said[1] != said[2]
        kept = Path(engine._vllm._folder.name)
        assert len(list(kept.iterdir())) == 1  # those that were replaced are gone
    assert not kept.exists()


def test_a_run_trains_adapters_with_vllm(model_folder: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        env="agentrl.envs:AgentRL/Math-v0",
        level=1,
        model=str(model_folder),
        num_steps=2,
        groups_per_step=2,
        group_size=2,
        threads=1,
        engine=ENGINE,
        lora=LoraConfig(rank=12),
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=8, max_episode_tokens=512),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1),
    )
    run_dir = RunDir.create(tmp_path, "run", default="")
    train(config, run_dir=run_dir)
    lines = read_metrics(run_dir.path / "metrics.jsonl")
    assert len(lines) == 2
    assert max(line["sampling/logp_difference"] for line in lines) < 1e-4
    train(replace(config, num_steps=3), run_dir=run_dir)  # resumed: the adapters of the checkpoint
    assert len(read_metrics(run_dir.path / "metrics.jsonl")) == 3


def test_adapters_that_are_not_trained_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine.adapters is true, but there are no adapters: write lora.rank = 16"):
        TrainConfig(engine=ENGINE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "torch"}, "changes nothing with engine.name 'torch'"),
        ({"urls": ("http://127.0.0.1:1",), "kv_cache_mb": None}, "changes nothing beside engine.urls"),
        ({"in_flight": "keep"}, r"does not go with engine.in_flight = 'keep'"),
        ({"sleep_level": 2, "kv_cache_mb": None}, r"does not go with engine.sleep_level = 2"),
    ],
)
def test_what_does_not_go_with_adapters_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(ENGINE, **values)
