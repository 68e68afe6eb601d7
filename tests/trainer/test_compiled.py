"""The trained passes under torch.compile: the same update, and the model as it was afterwards.

The graphs are taken by torch.compile and run by torch itself ("aot_eager"): a C++ compiler is no part of the tests.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from agentrl.trainer import logprobs
from agentrl.trainer.compiled import CompiledPasses
from agentrl.trainer.credit import set_advantages
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from tests.trainer.updates import config, flat, made_episodes


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1, hidden=48, layers=2)


@pytest.fixture
def episodes(model: Any) -> list[Episode]:
    made = made_episodes(model)
    set_advantages(made, "grpo")
    return made


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have torch.compile count the graphs that it takes, and run them as they are."""
    taken: list[Any] = []

    def run(graph: Any, inputs: Any) -> Any:
        taken.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=run))
    torch._dynamo.reset()
    return taken


@pytest.mark.parametrize("forgetful", [False, True])
def test_it_is_the_same_update(
    model: Any, episodes: list[Episode], graphs: list[Any], monkeypatch: pytest.MonkeyPatch, forgetful: bool
) -> None:
    defaults = logprobs.token_logprobs.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "max_logits", 2000)  # several chunks
    run = replace(config(lr=1e-3), gradient_checkpointing=forgetful)
    other = copy.deepcopy(model)
    usual = Updater(model, None, run).step(episodes, 1)
    assert not graphs
    found = Updater(other, None, replace(run, compile=True)).step(episodes, 1)
    assert len(graphs) >= 2  # of a layer, and of a chunk
    assert found == pytest.approx(usual, rel=1e-4, abs=1e-6)
    torch.testing.assert_close(flat(other), flat(model), rtol=1e-4, atol=1e-6)
    assert not any("forward" in vars(layer) for layer in other.model.layers)  # an engine calls the model as it is


def test_what_cannot_be_compiled_is_computed_as_usual(
    model: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=refuse))
    torch._dynamo.reset()
    other = copy.deepcopy(model)
    Updater(model, None, config(lr=1e-3)).step(episodes, 1)
    updater = Updater(other, None, replace(config(lr=1e-3), compile=True))
    with pytest.warns(RuntimeWarning, match="Failed to find C compiler.*write compile = false"):
        updater.step(episodes, 1)
    assert torch.equal(flat(other), flat(model))
    updater.step(episodes, 2)  # says nothing again: warnings are errors here


def test_left_open_it_is_for_cuda_alone(model: Any, graphs: list[Any]) -> None:
    assert not CompiledPasses(model, None).active
    assert CompiledPasses(model, True).active
