"""Costs: a model is counted without its weights, sums are as they are written, and what is not known is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.scaling.costs import Costs, Size, find_device

MakeCosts = Callable[..., Costs]


def test_a_model_is_counted_on_its_configuration(tmp_path: Path) -> None:
    from transformers import Qwen3Config

    config = Qwen3Config(
        vocab_size=1000,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=128,
        tie_word_embeddings=True,
    )
    config.save_pretrained(tmp_path)  # no weights
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 2 * 16 + 3 * 64 * 128 + 2 * 64
    counted = Size.of(str(tmp_path), itemsize=2)
    assert counted.parameters == 1000 * 64 + 3 * layer + 64
    assert counted.weight_bytes == 2 * counted.parameters
    assert counted.kv_bytes == 2 * 3 * 2 * 16 * 2
    assert (counted.hidden, counted.layers) == (64, 3)


def test_a_model_that_is_there_is_counted_alike(model_folder: Path, tiny_model: Callable[..., Any]) -> None:
    assert Size.of(str(model_folder), itemsize=4) == Size.counted(tiny_model(), itemsize=4)


def test_experts_are_refused(tmp_path: Path) -> None:
    from transformers import Qwen3MoeConfig

    Qwen3MoeConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_experts=4).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="has 4 experts"):
        Size.of(str(tmp_path), itemsize=2)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Size.of(str(tmp_path), itemsize=2)


def test_devices_are_found_by_name() -> None:
    assert find_device("h200").name == "H200"
    assert find_device("rtx4090").name == "RTX 4090"
    with pytest.raises(ConfigError, match="did you mean 'H100'"):
        find_device("h1000")


def test_a_data_sheet(size: Size) -> None:
    device = find_device("H100")
    costs = Costs.of(device, size)
    assert costs.step_s == pytest.approx(0.003 + 2e9 / (0.7 * 3.35e12))
    assert costs.turn_s == pytest.approx(2e9 / (0.7 * 989e12))
    assert costs.trained_s == pytest.approx(6e9 / (0.35 * 989e12))
    wide = Costs.of(device, size, tensor_parallel=2)
    assert costs.step_s / 2 < wide.step_s < costs.step_s
    assert wide.trained_s == costs.trained_s  # servers alone are wide


def test_an_update(size: Size, make_costs: MakeCosts) -> None:
    costs = replace(make_costs(update_s=4.0, trained_s=0.001), overlaps=False, traffic_share=1.0)
    assert costs.training(10_000, trainers=1, size=size, micro_batch_tokens=1000, link=1e9) == pytest.approx(4 + 10)
    # Four ranks: three rounds of 1,000 tokens each, the last not full; eight bytes a weight and round, three quarters.
    four = costs.training(10_000, trainers=4, size=size, micro_batch_tokens=1000, link=8e9)
    assert four == pytest.approx(4 / 4 + 3 * 1.0 + 3 * 8e9 * 0.75 / 8e9)
    hidden = replace(costs, overlaps=True)
    assert hidden.training(10_000, trainers=4, size=size, micro_batch_tokens=1000, link=8e9) == pytest.approx(4.0)


def test_weights(size: Size, make_costs: MakeCosts) -> None:
    costs = replace(make_costs(), proof_s=0.5, traffic_share=1.0, pushed_bytes_per_s=1e9)
    alone = costs.pushing(0, trainers=1, size=size, link=1e9, out=1e9)
    assert alone == 0.5
    ranks = costs.pushing(0, trainers=2, size=size, link=4e9, out=1e9)
    assert ranks == pytest.approx(0.5 + 4e9 / 2 / 4e9)
    one = costs.pushing(1, trainers=1, size=size, link=1e9, out=100e9)
    assert one == pytest.approx(0.5 + 2 + 2)  # written, and fetched
    many = costs.pushing(8, trainers=1, size=size, link=1e9, out=2e9)
    assert many == pytest.approx(0.5 + 2 + 8)  # the network is narrower


def test_costs_survive_json(make_costs: MakeCosts) -> None:
    costs = make_costs(step_s=0.1)
    assert Costs.from_dict(costs.as_dict()) == costs
    with pytest.raises(ConfigError, match="measure again"):
        Costs.from_dict({"device": "x"})
    with pytest.raises(ConfigError, match=r"step_s is -0\.1"):
        make_costs(step_s=-0.1)
