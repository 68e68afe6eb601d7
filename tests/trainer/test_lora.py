"""Adapters: what is trained, what a checkpoint holds, and that peft and Transformers read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loop import train
from agentrl.trainer.lora import LoraConfig, add_adapters, load_adapters, merged_weights, save_adapters
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir

IDS = torch.arange(1, 12)[None]


@pytest.fixture
def base(tiny_model: Callable[..., Any], tmp_path: Path) -> Path:
    tiny_model(seed=4, hidden=32, layers=2).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def adapted(base: Path, *, seed: int = 5, moved: float = 0.0, **options: Any) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    add_adapters(model, LoraConfig(**{"rank": 4, **options}), seed=seed)
    generator = torch.Generator().manual_seed(6)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += moved * torch.randn(weight.shape, generator=generator)
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits  # type: ignore[no-any-return]


def test_adapters_begin_as_nothing_and_are_all_that_is_trained(base: Path) -> None:
    plain, model = AutoModelForCausalLM.from_pretrained(base), adapted(base)
    torch.testing.assert_close(logits(model), logits(plain))
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained
    assert all(".lora_" in name for name in trained)
    assert {name.split(".")[-4] for name in trained} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }


def test_the_seed_decides_and_no_global_generator_is_touched(base: Path) -> None:
    state = torch.get_rng_state()
    one, same, other = adapted(base), adapted(base), adapted(base, seed=9)
    assert torch.equal(torch.get_rng_state(), state)
    values = [torch.cat([weight.flatten() for weight in model.parameters()]) for model in (one, same, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_adapters_of_a_bfloat16_model_are_float32(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    add_adapters(model, LoraConfig(rank=2, layers="q_proj, v_proj"), seed=0)
    kinds = {(weight.requires_grad, weight.dtype) for weight in model.parameters()}
    assert kinds == {(False, torch.bfloat16), (True, torch.float32)}
    assert logits(model).dtype == torch.bfloat16


def test_merged_weights_are_a_plain_model_that_computes_the_same(base: Path, tmp_path: Path) -> None:
    model = adapted(base, moved=0.1)
    assert not torch.allclose(logits(model), logits(AutoModelForCausalLM.from_pretrained(base)), atol=1e-3)
    model.save_pretrained(tmp_path / "merged", state_dict=dict(merged_weights(model)))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not any("lora" in name or "base_layer" in name for name in merged.state_dict())
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-4, atol=1e-5)


def test_without_adapters_merged_weights_are_the_models_own(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    merged = dict(merged_weights(model))
    assert merged.keys() == model.state_dict().keys()
    assert all(torch.equal(merged[name], weight) for name, weight in model.state_dict().items())


def test_saved_adapters_are_read_back_and_by_peft(base: Path, tmp_path: Path) -> None:
    model = adapted(base, moved=0.1)
    save_adapters(model, tmp_path / "adapter")
    again = adapted(base, seed=77)
    load_adapters(again, tmp_path / "adapter")
    assert torch.equal(logits(again), logits(model))
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter")
    torch.testing.assert_close(logits(peft), logits(model))


def test_what_is_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"lora.alpha is 8, which changes nothing without adapters"):
        LoraConfig(alpha=8)
    with pytest.raises(ConfigError, match=r"lora.merge is False, which changes nothing"):
        LoraConfig(merge=False)
    with pytest.raises(ConfigError, match=r"lora.rank is -1"):
        LoraConfig(rank=-1)
    with pytest.raises(ConfigError, match=r"lora.layers is 'query', but the model has none of them; it has down_proj"):
        adapted(base, layers="query")


def run(folder: Path, base: Path, name: str, steps: int, **lora: Any) -> RunDir:
    config = TrainConfig(
        env="agentrl.envs:AgentRL/Math-v0",
        level=1,
        model=str(base),
        out=str(folder),
        device="cpu",
        threads=1,
        num_steps=steps,
        groups_per_step=2,
        group_size=2,
        optim=OptimConfig(lr=1e-2),
        loss=LossConfig(entropy_bonus=0.1),  # an untrained model earns nothing; this moves the adapters all the same
        lora=LoraConfig(**{"rank": 2, **lora}),
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=8),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1, keep=9),
    )
    existing = folder / name
    run_dir = RunDir.existing(existing) if existing.exists() else RunDir.create(folder, name, default="")
    run_dir.write_text("config.toml", to_toml(config))
    train(config, run_dir=run_dir)
    return run_dir


@pytest.mark.parametrize("merge", [True, False])
def test_a_run_keeps_adapters_and_goes_on_from_them(base: Path, tokenizer: Any, tmp_path: Path, merge: bool) -> None:
    tokenizer.save_pretrained(base)
    whole = run(tmp_path, base, "whole", 3, merge=merge)
    parted = run(tmp_path, base, "parted", 2, merge=merge)
    run(tmp_path, base, "parted", 3, merge=merge)
    last = [each.checkpoints / "step_3" for each in (whole, parted)]
    weights = [(folder / "adapter" / "adapter_model.safetensors").read_bytes() for folder in last]
    assert weights[0] == weights[1]
    assert weights[0] != (whole.checkpoints / "step_1" / "adapter" / "adapter_model.safetensors").read_bytes()
    assert (last[0] / "model.safetensors").exists() is merge
    if merge:
        model = AutoModelForCausalLM.from_pretrained(last[0])
        peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), last[0] / "adapter")
        torch.testing.assert_close(logits(model), logits(peft), rtol=1e-4, atol=1e-5)
