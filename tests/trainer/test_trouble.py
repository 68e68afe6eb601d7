"""What goes wrong in an update: figures that are not finite, memory that runs out."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentrl.trainer import update
from agentrl.trainer.batching import MicroBatch
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig
from agentrl.trainer.credit import set_advantages
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.logprobs import token_logprobs
from agentrl.trainer.loop import train
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from tests.trainer.updates import config, flat, made_episodes


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1, hidden=48, layers=2)


@pytest.fixture
def episodes(model: Any) -> list[Episode]:
    return made_episodes(model)


@pytest.mark.parametrize("broken", [float("nan"), float("-inf")])
def test_a_gradient_that_is_not_finite_leaves_the_weights(model: Any, episodes: list[Episode], broken: float) -> None:
    set_advantages(episodes, "grpo")
    run = config(beta=0.1)
    updater = Updater(model, copy.deepcopy(model), run)
    before = copy.deepcopy(model.state_dict())
    poisoned = next(parameter for name, parameter in updater._reference.named_parameters() if "embed" in name)  # type: ignore[union-attr]
    kept = poisoned.detach().clone()
    with torch.no_grad():
        poisoned.fill_(float("nan"))
    if broken != broken:
        metrics = updater.step(episodes, 1)
        assert updater.trouble == "the loss of step 1 is nan"
    else:
        hook = model.get_output_embeddings().register_forward_hook(lambda *args: args[2] * broken)
        metrics = updater.step(episodes, 1)
        assert re.match(r"the (loss|gradient) of step 1 is ", updater.trouble)
        hook.remove()
    assert metrics["skipped_updates"] == 1.0
    assert all(math.isfinite(value) for value in metrics.values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        poisoned.copy_(kept)
    assert updater.step(episodes, 1)["skipped_updates"] == 0.0
    assert not all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_where_memory_runs_out_micro_batches_are_halved(
    model: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    """The gradient is that of an update that had memory enough."""
    set_advantages(episodes, "grpo")
    plenty = Updater(copy.deepcopy(model), None, config())
    whole = plenty.step(episodes, 1)
    scarce, sizes = Updater(model, None, config()), []

    def bounded(model: Any, head: Any, batch: MicroBatch, temperature: float, **more: Any) -> Any:
        sizes.append(batch.ids_BT.numel())
        logprobs = token_logprobs(model, head, batch, temperature, **more)
        if batch.ids_BT.numel() > 200:
            raise error
        return logprobs

    monkeypatch.setattr(update, "token_logprobs", bounded)
    metrics = scarce.step(episodes, 1)
    assert sizes[0] > 200
    assert metrics["perf/micro_batch_tokens"] == scarce.micro_batch_tokens < sizes[0]
    assert metrics["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-5)  # Adam's first step would hide a scale
    torch.testing.assert_close(flat(model), flat(plenty._model), rtol=1e-3, atol=1e-5)
    sizes.clear()
    scarce.step(episodes, 2)
    assert max(sizes) <= 200  # once is enough


def test_memory_that_holds_not_one_episode_is_said(
    model: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    set_advantages(episodes, "grpo")
    monkeypatch.setattr(update, "token_logprobs", full)
    with pytest.raises(TrainerError, match=r"memory does not suffice for an episode of \d+ tokens alone"):
        Updater(model, None, config()).step(episodes, 1)


def test_other_errors_are_not_taken_for_it(
    model: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("shapes differ")

    set_advantages(episodes, "grpo")
    monkeypatch.setattr(update, "token_logprobs", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        Updater(model, None, config()).step(episodes, 1)


def test_updates_that_are_not_finite_are_skipped_then_end_the_run(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is skipped and trained past; four in a row end the run, and it goes on once it was mended."""
    broken = {2, 4, 5, 6, 7}
    step = Updater.step

    def sometimes(self: Updater, episodes: list[Episode], number: int) -> dict[str, float]:
        if number not in broken:
            return step(self, episodes, number)
        with monkeypatch.context() as patch:
            patch.setattr(update, "policy_loss", lambda **given: (given["logprobs_BT"].sum() * float("nan"), {}))
            return step(self, episodes, number)

    monkeypatch.setattr(Updater, "step", sometimes)
    settings = TrainConfig(
        env="agentrl.envs:AgentRL/Math-v0",
        level=1,
        model=str(model_folder),
        device="cpu",
        threads=1,
        num_steps=8,
        groups_per_step=2,
        group_size=2,
        optim=OptimConfig(lr=1e-2, max_skipped=3),
        rollout=RolloutConfig(concurrency=4, max_turn_tokens=6),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=1),
    )
    run_dir = RunDir.create(tmp_path, "run", default="")
    with pytest.raises(TrainerError, match=r"4 updates in a row were skipped.*loss of step 7 is nan.*--resume"):
        train(settings, run_dir=run_dir)
    skipped = {row["step"]: row["skipped_updates"] for row in read_metrics(run_dir.path / "metrics.jsonl")}
    assert skipped == {1: 0.0, 2: 1.0, 3: 0.0, 4: 1.0, 5: 1.0, 6: 1.0}
    broken.clear()
    train(settings, run_dir=run_dir)
    assert [row["step"] for row in read_metrics(run_dir.path / "metrics.jsonl")] == list(range(1, 9))
