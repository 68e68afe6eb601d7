"""The parity gate on an engine of several parts: each is asked, named, and proved again when it comes back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from agentrl.trainer.engines.base import Engine, Probe, Proof, Request, Session
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ParityError, PartLost
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.types import Completion


class _Gone(Session):
    async def generate(self, request: Request) -> Completion:
        raise PartLost("two does not answer")

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


class Two(Engine):
    """Two torch engines, each with a model of its own."""

    def __init__(self, models: dict[str, Any]) -> None:
        self.parts = {name: TorchEngine(model) for name, model in models.items()}
        self.gone: set[str] = set()
        self.proof: Proof | None = None
        self.asked = 0

    def session(self) -> Session:
        return self.parts["one"].session()

    def probe(self, name: str) -> Probe:
        return Probe(name=name, session=_Gone if name in self.gone else self.parts[name].session)

    def probes(self) -> Sequence[Probe]:
        self.asked += 1
        return [self.probe(name) for name in self.parts]

    def keep_proof(self, proof: Proof) -> None:
        self.proof = proof

    def update_weights(self, version: int) -> None:
        for each in self.parts.values():
            each.update_weights(version)

    def close(self) -> None:
        for each in self.parts.values():
            each.close()


@torch.no_grad()
def learn(*models: Any) -> None:
    for model in models:
        for parameter in model.parameters():
            parameter.mul_(1.05)


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=3, hidden=64, layers=2, scale=3)


@pytest.fixture
def two(model: Any) -> Iterator[Two]:
    with ExitStack() as stack:
        yield stack.enter_context(Two({"one": copy.deepcopy(model), "two": copy.deepcopy(model)}))


def models(engine: Two) -> list[Any]:
    return [each._model for each in engine.parts.values()]


def gate(model: Any, engine: Engine) -> ParityGate:
    return ParityGate(model, engine, seed=7, temperature=1.0, max_tokens=64)


def test_the_part_that_missed_an_update_is_named(model: Any, two: Two) -> None:
    checked = gate(model, two)
    assert checked.check(4)["sampling/logp_difference"] < 1e-4
    learn(model, *models(two))
    two.update_weights(5)
    assert checked.check(5)["sampling/logp_difference"] < 1e-4
    learn(model, models(two)[0])
    two.update_weights(6)
    with pytest.raises(ParityError, match=r"version 6 two's log-probabilities .* stale weights: .* of version 5"):
        checked.check(6)


def test_a_part_that_is_lost_is_left_out(model: Any, two: Two) -> None:
    two.gone = {"two"}
    assert gate(model, two).check(0)["sampling/logp_difference"] < 1e-4
    two.gone = {"one", "two"}
    two.asked = 0
    with pytest.raises(PartLost, match="two does not answer"):
        gate(model, two).check(0)
    assert two.asked == 10


def test_what_proves_a_part_that_comes_back(model: Any, two: Two) -> None:
    gate(model, two).check(0)
    assert two.proof is not None
    learn(model)  # the trainer has gone on: what it said then counts
    two.proof(two.probe("two"))
    learn(models(two)[1])
    two.update_weights(0)
    with pytest.raises(ParityError, match="two came back and does not answer as version 0 did"):
        two.proof(two.probe("two"))
