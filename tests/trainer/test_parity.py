"""The parity gate on real engines: silent where both sides agree, and right about what was planted."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from agentrl.trainer.engines.base import Engine, Request, Session
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ParityError
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.types import Completion

TEMPERATURE = 1.3


def made(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=3, hidden=64, layers=2, scale=3)


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return made(tiny_model)


@pytest.fixture(scope="module")
def vllm_pair(tiny_model: Callable[..., Any]) -> Iterator[tuple[Any, Any]]:
    """A model and the one vLLM engine of this module."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    from agentrl.trainer.engines.vllm import VllmEngine

    model = made(tiny_model)
    with VllmEngine(model, max_tokens=64, max_sessions=32) as engine:
        yield model, engine


@torch.no_grad()
def learn(model: Any, *, seed: int = 0) -> None:
    """Move the weights about as far as a step of training of a small model does."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.01 * parameter.abs().mean())


def gate(model: Any, engine: Engine, *, max_tokens: int = 64, **more: Any) -> ParityGate:
    return ParityGate(model, engine, seed=7, temperature=TEMPERATURE, max_tokens=max_tokens, **more)


@pytest.mark.parametrize("max_tokens", [64, 13, 4])
def test_both_sides_agree(model: Any, max_tokens: int) -> None:
    with TorchEngine(model) as engine:
        checked = gate(model, engine, max_tokens=max_tokens)
        random_state = torch.get_rng_state()
        for version in range(3):
            engine.update_weights(version)
            metrics = checked.check(version)
            assert metrics.keys() == {"sampling/logp_difference", "sampling/logp_difference_max"}
            assert 0 < metrics["sampling/logp_difference"] <= metrics["sampling/logp_difference_max"] < 1e-4
            learn(model, seed=version)
        assert torch.equal(torch.get_rng_state(), random_state)


def test_the_same_probe_gives_the_same_bits(model: Any) -> None:
    with TorchEngine(model) as engine, TorchEngine(model) as other:
        assert gate(model, engine).check(0) == gate(model, other).check(0)


def test_a_missed_update_is_named(model: Any) -> None:
    with TorchEngine(copy.deepcopy(model)) as engine:
        checked = gate(model, engine)
        checked.check(4)
        learn(model)
        with pytest.raises(ParityError, match=r"update to version 5 .* stale weights: .* of version 4"):
            checked.check(5)


class _Altered(Engine):
    """Another engine, at another temperature."""

    def __init__(self, inner: Engine, temperature: float) -> None:
        self.inner, self.temperature = inner, temperature

    def session(self) -> Session:
        inner, temperature = self.inner.session(), self.temperature

        class Altered(Session):
            async def generate(self, request: Request) -> Completion:
                return await inner.generate(replace(request, temperature=temperature))

            def forget(self) -> None:
                inner.forget()

            def close(self) -> None:
                inner.close()

        return Altered()

    def update_weights(self, version: int) -> None:
        self.inner.update_weights(version)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_wrong_temperature_is_named(model: Any, temperature: float) -> None:
    with (
        _Altered(TorchEngine(model), temperature) as engine,
        pytest.raises(ParityError, match=rf"wrong temperature: .* temperature {temperature:g} .* training is at 1.3"),
    ):
        gate(model, engine).check(0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_another_precision_is_named(model: Any, dtype: torch.dtype) -> None:
    with TorchEngine(copy.deepcopy(model).to(dtype=dtype)) as engine:
        with pytest.raises(ParityError, match=r"another precision: .* trainer works in float32; set dtype"):
            gate(model, engine).check(0)
        gate(model, engine, bound=0.5).check(0)  # a bound that allows it


def test_a_model_in_bfloat16_agrees_within_its_bound(model: Any) -> None:
    model = model.to(dtype=torch.bfloat16)
    with TorchEngine(model) as engine:
        assert gate(model, engine).check(0)["sampling/logp_difference"] < 0.1


def test_weights_that_only_partly_arrived(model: Any) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.mul_(0.5)
    with (
        TorchEngine(other) as engine,
        pytest.raises(ParityError, match=r"none of a missed update, .* explains it"),
    ):
        gate(model, engine).check(0)


def test_vllm_agrees_after_each_update(vllm_pair: tuple[Any, Any]) -> None:
    model, engine = vllm_pair
    checked = gate(model, engine)
    for version in range(3):
        engine.update_weights(version)
        assert checked.check(version)["sampling/logp_difference_max"] < 1e-4
        learn(model, seed=version)


def test_a_missed_update_of_vllm_is_named(vllm_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, engine = vllm_pair
    engine.update_weights(0)
    checked = gate(model, engine)
    checked.check(0)
    learn(model)
    monkeypatch.setattr(engine._vllm, "load", lambda: None)
    engine.update_weights(1)
    with pytest.raises(ParityError, match=r"stale weights: .* of version 0"):
        checked.check(1)


def test_a_stale_prefix_cache_of_vllm_is_named(vllm_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, engine = vllm_pair
    engine.update_weights(0)
    add = engine._vllm.add
    monkeypatch.setattr(engine._vllm, "add", lambda id, request, *, salt: add(id, request, salt="always"))
    checked = gate(model, engine)
    checked.check(0)
    learn(model)
    monkeypatch.setattr(engine._vllm._llm, "reset_prefix_cache", lambda **_: True)
    engine.update_weights(1)
    with pytest.raises(ParityError, match=r"stale prefix cache: .* must be emptied"):
        checked.check(1)


def test_a_salt_alone_keeps_stale_prefixes_out(vllm_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, engine = vllm_pair
    monkeypatch.setattr(engine._vllm._llm, "reset_prefix_cache", lambda **_: True)
    checked = gate(model, engine)
    for version in (10, 11):
        engine.update_weights(version)
        assert checked.check(version)["sampling/logp_difference_max"] < 1e-4
        learn(model)


def test_a_wrong_temperature_of_vllm_is_named(vllm_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, engine = vllm_pair
    engine.update_weights(20)
    add = engine._vllm.add
    monkeypatch.setattr(
        engine._vllm, "add", lambda id, request, **more: add(id, replace(request, temperature=1.0), **more)
    )
    with pytest.raises(ParityError, match=r"wrong temperature: .* temperature 1 .* training is at 1.3"):
        gate(model, engine).check(20)
