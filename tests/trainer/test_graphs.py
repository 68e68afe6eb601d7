"""Decoding steps that are recorded and replayed.

Here a recording is a list of the kernels with the tensors they were called with, which is what a CUDA graph is: what
Python decided is fixed, and only what stands in memory may differ. Whether CUDA records them is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import PreTrainedModel

from agentrl.trainer.engines import graphs
from agentrl.trainer.engines import torch as torch_engine
from agentrl.trainer.engines.graphs import DecodeGraphs
from agentrl.trainer.engines.torch import TorchEngine
from tests.trainer.talks import CONFIGS, assert_right, converse_all, model_of, some_plans


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result


class Tape:
    """Records kernels; replays them on the tensors that stand where those of the recording stood."""

    def __init__(self) -> None:
        self.num_recorded = 0

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        with _Kernels() as kernels:
            result = compute()
        self.num_recorded += 1
        calls = kernels.calls

        def replay() -> Tensor:
            now: dict[int, Tensor] = {}

            def current(value: Any) -> Any:
                return now.get(id(value), value) if isinstance(value, Tensor) else value

            for func, args, kwargs, made in calls:
                again = func(*tree_map(current, args), **tree_map(current, kwargs))
                now |= {id(old): new for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True)}
            return now[id(result)]

        return replay


class Zeros(Tape):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        zeros = torch.zeros_like(compute())
        return lambda: zeros


class Refusing(Tape):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture(params=["qwen3", "qwen3, one layer with a window", "gemma2, windows and capped logits"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    assert request.param in CONFIGS
    return model_of(request.param)


@pytest.fixture
def open_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[PreTrainedModel, Tape], TorchEngine]]:
    opened: list[TorchEngine] = []

    def make(model: PreTrainedModel, recorder: Tape) -> TorchEngine:
        monkeypatch.setattr(torch_engine, "graphs_for", lambda model: DecodeGraphs(model, recorder))
        opened.append(TorchEngine(model))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def graphs_of(engine: TorchEngine) -> DecodeGraphs:
    assert engine._graphs is not None
    return engine._graphs


@pytest.mark.parametrize("unit", [16, 256])
def test_replayed_steps_say_what_fresh_passes_say(
    model: PreTrainedModel, unit: int, open_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_TOKENS", unit)
    tape = Tape()
    engine = open_with(model, tape)
    plans = some_plans(30)
    talks = converse_all(engine, plans, sessions=10)
    assert_right(model, talks)
    assert graphs_of(engine).num_replayed > 20
    assert tape.num_recorded > (3 if unit == 16 else 0)
    with TorchEngine(model) as usual:
        assert [talk.ids for talk in converse_all(usual, plans, sessions=10)] == [talk.ids for talk in talks]


def test_weights_that_are_trained_in_place_are_seen(open_with: Any) -> None:
    model = model_of("qwen3")
    tape = Tape()
    engine = open_with(model, tape)
    converse_all(engine, some_plans(4))
    recorded = tape.num_recorded
    assert recorded > 0
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.8)
    engine.update_weights(1)
    assert_right(model, converse_all(engine, some_plans(4, seed=6)))
    for weight in model.parameters():  # elsewhere, which a recording does not see
        weight.data = weight.data * 0.8
    engine.update_weights(2)
    assert_right(model, converse_all(engine, some_plans(4, seed=7)))
    assert tape.num_recorded > recorded


@pytest.mark.parametrize(("recorder", "reason"), [(Zeros(), "logits differ by"), (Refusing(), "not permitted")])
def test_a_recording_that_fails_or_is_wrong_is_not_used(recorder: Tape, reason: str, open_with: Any) -> None:
    model = model_of("qwen3")
    engine = open_with(model, recorder)
    with pytest.warns(RuntimeWarning, match=f"not recorded, which is slower: .*{reason}"):
        talks = converse_all(engine, some_plans(6))
    assert_right(model, talks)
    assert graphs_of(engine).num_replayed == 0


def test_nothing_is_recorded_on_a_cpu() -> None:
    with TorchEngine(model_of("qwen3")) as engine:
        assert engine._graphs is None
