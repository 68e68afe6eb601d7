"""The output layer in float32 over a model of bfloat16, on both sides alike; and attention that is not as it seems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.lora import LoraConfig, add_adapters
from agentrl.trainer.model import Head, head_dtype, load_model
from agentrl.trainer.parity import ParityGate

CPU = torch.device("cpu")


def load(model_folder: Path, **keys: Any) -> Any:
    return load_model(str(model_folder), device=CPU, **keys).eval()


def hidden_of(model: Any) -> Any:
    return model.base_model(input_ids=torch.arange(60)[None]).last_hidden_state


@torch.no_grad()
def test_logits_are_the_exact_product_of_bfloat16_weights(model_folder: Path) -> None:
    plain = load(model_folder, dtype="bfloat16")
    model = load(model_folder, dtype="bfloat16", head_dtype="float32")
    hidden = hidden_of(model)
    assert hidden.dtype == model.dtype == torch.bfloat16
    exact = hidden.double() @ model.get_output_embeddings().weight.double().T
    logits = Head(model)(hidden)
    assert logits.dtype == torch.float32
    assert float((logits - exact).abs().max()) < 1e-5 * float(exact.abs().max())
    rounded = Head(plain)(hidden)
    assert rounded.dtype == torch.bfloat16
    assert float((rounded - exact).abs().max()) > 1e-3 * float(exact.abs().max())


def test_the_gradient_is_that_of_a_float32_head(model_folder: Path) -> None:
    model = load(model_folder, dtype="bfloat16", head_dtype="float32")
    hidden = hidden_of(model).detach().requires_grad_()
    torch.log_softmax(Head(model)(hidden), -1)[0, :, 7].sum().backward()  # type: ignore[no-untyped-call]
    weight = model.get_output_embeddings().weight
    wide = weight.detach().float().requires_grad_()
    again = hidden.detach().float().requires_grad_()
    torch.log_softmax(again @ wide.T, -1)[0, :, 7].sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad.dtype == hidden.grad.dtype == torch.bfloat16
    for got, wanted in ((weight.grad, wide.grad), (hidden.grad, again.grad)):
        torch.testing.assert_close(got.float(), wanted, rtol=2**-8, atol=1e-6)


@torch.no_grad()
def test_a_logit_scale_and_a_cap_are_applied_in_float32(model_folder: Path) -> None:
    model = load(model_folder, dtype="bfloat16", head_dtype="float32")
    hidden = hidden_of(model)
    head = Head(model)
    plain = head(hidden)
    head._scale, head._softcap = 0.5, 2.0
    torch.testing.assert_close(head(hidden), 2 * torch.tanh(plain / 4))


def test_engine_and_trainer_come_closer() -> None:
    apart = {}
    for head in (None, "float32"):
        model = load_model("bundled:search-tiny", device=CPU, dtype="bfloat16", head_dtype=head).eval()
        with TorchEngine(model) as engine:
            gate = ParityGate(model, engine, seed=1, temperature=1.0, max_tokens=200, bound=1.0)
            apart[head] = gate.check(0)["sampling/logp_difference"]
    assert 0 < apart["float32"] < apart[None]


def test_a_saved_model_keeps_it(model_folder: Path, tmp_path: Path) -> None:
    load(model_folder, dtype="bfloat16", head_dtype="float32").save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved", dtype="bfloat16")
    assert head_dtype(again) == torch.float32
    assert head_dtype(load(tmp_path / "saved", dtype="float32")) == torch.float32
    assert head_dtype(load(model_folder, dtype="bfloat16")) == torch.bfloat16


def test_a_float32_model_has_nothing_to_widen(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"changes nothing where dtype='auto' is float32 \(cpu\).*--dtype bfloat16"):
        load(model_folder, head_dtype="float32")


def test_adapters_on_the_output_layer_are_refused(tiny_model: Callable[..., Any]) -> None:
    pytest.importorskip("peft", reason="peft is not installed: make .venv/installed-dev")
    model = tiny_model()
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model = model.bfloat16()
    model.config.head_dtype = "float32"
    add_adapters(model, LoraConfig(rank=2, layers="lm_head"), seed=0)
    with pytest.raises(ConfigError, match=r"head_dtype is 'float32', but the output layer .* leave head_dtype out"):
        Head(model)


def test_a_cap_inside_attention_is_refused(tmp_path: Path) -> None:
    """Transformers' sdpa would leave it out without a word."""
    config = Gemma2Config(hidden_size=16, intermediate_size=16, num_hidden_layers=1, head_dim=8, vocab_size=32)
    for cap in (50.0, None):
        config.attn_logit_softcapping = cap
        Gemma2ForCausalLM(config).save_pretrained(tmp_path)
        if cap is None:
            load_model(str(tmp_path), device=CPU)
        else:
            with pytest.raises(
                ConfigError, match=r"Gemma2ForCausalLM caps its attention \(attn_logit_softcapping=50\)"
            ):
                load_model(str(tmp_path), device=CPU)
