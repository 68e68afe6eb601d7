"""What a run will cost, before it is begun: tokens, memory, and the time of a step from a short probe.

The probe trains for two small steps in a folder that is thrown away; the second is measured. Nothing comes from a
table: sizes are counted on the loaded model, speeds and lengths are those of the probe's own episodes, and what was
scaled up from them is called an estimate.
"""

from __future__ import annotations

import dataclasses
import resource
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.config import CheckpointConfig, EvalConfig, TrainConfig
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.engines.kvcache import token_bytes
from agentrl.trainer.logprobs import MAX_LOGITS
from agentrl.trainer.loop import Run
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.model import pick_device
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir

__all__ = ["Plan", "make_plan", "short_run"]

_PROBE_GROUPS: Final = 2
_PROBE_STEPS: Final = 2  # the first warms up
_FLOAT: Final = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was counted and measured; memory in MiB, times in seconds."""

    parameters: int
    trained_parameters: int
    device: str
    weights_mb: float
    optimizer_mb: float  # gradients, both moments, and float32 copies where the model has fewer bits
    reference_mb: float  # the frozen copy of a KL term
    cache_mb: float  # keys and values of `rollout.concurrency` episodes at their longest, up to `engine.kv_cache_mb`
    logits_mb: float  # one chunk, in float32
    probe_episodes: int
    probe_peak_mb: float  # of the process, or of the GPU
    tokens_per_episode: float  # measured
    most_tokens_per_step: int  # were every episode at its limit
    rollout_s: float  # a step's, scaled from the probe
    update_s: float  # the same
    num_steps: int

    @property
    def total_s(self) -> float:
        """Seconds of all steps, evaluations left out."""
        return self.num_steps * (self.rollout_s + self.update_s)

    def lines(self) -> list[str]:
        """Return the plan as lines for people."""
        kept = self.weights_mb + self.optimizer_mb + self.reference_mb + self.cache_mb + self.logits_mb
        share = f" ({self.trained_parameters:,} of them trained)" if self.trained_parameters < self.parameters else ""
        return [
            f"model       {self.parameters:,} parameters{share} on {self.device}",
            f"memory      {kept:,.0f} MiB counted: weights {self.weights_mb:,.0f}, optimizer {self.optimizer_mb:,.0f}, "
            f"reference {self.reference_mb:,.0f}, cache at most {self.cache_mb:,.0f}, logits {self.logits_mb:,.0f}; "
            "activations come on top",
            f"            the probe of {self.probe_episodes} episodes peaked at {self.probe_peak_mb:,.0f} MiB",
            f"tokens      {self.tokens_per_episode:,.0f} an episode in the probe; at most "
            f"{self.most_tokens_per_step:,} a step",
            f"time        about {self.rollout_s + self.update_s:,.1f} s a step (rollouts {self.rollout_s:,.1f}, update "
            f"{self.update_s:,.1f}), an estimate that grows from the probe in proportion: larger batches do better",
            f"            about {self.total_s / 60:,.0f} min for {self.num_steps} steps, without evaluations",
        ]


def make_plan(config: TrainConfig) -> Plan:
    """Load the model, train for two small steps in a temporary folder, and return what that says of the run.

    Raises:
        ConfigError: The environment or the model does not fit.
        TrainerError: No episode of the probe could be played.
    """
    groups = min(_PROBE_GROUPS, config.groups_per_step)
    probe = short_run(config, groups=groups, num_steps=_PROBE_STEPS)
    with tempfile.TemporaryDirectory(prefix="agentrl-plan-") as folder:
        run_dir = RunDir.create(Path(folder), "probe", default="")
        with torch_settings(config.threads, pick_device(config.device)), Run(probe, run_dir, Progress()) as run:
            for _ in range(_PROBE_STEPS):
                run.train_step()
            peak_mb, device = _peak_mb(run.own.model.device), str(run.own.model.device)
            memory = _memory(run.own.model, config)
        *_, last = read_metrics(run_dir.path / "metrics.jsonl")
    episodes = groups * config.group_size
    scale = config.groups_per_step / groups
    return Plan(
        **memory,
        parameters=_count(run.own.model.parameters()),
        trained_parameters=_count(weight for weight in run.own.model.parameters() if weight.requires_grad),
        device=device,
        probe_episodes=episodes,
        probe_peak_mb=peak_mb,
        tokens_per_episode=last["num_tokens"] / _PROBE_STEPS / episodes,
        most_tokens_per_step=config.groups_per_step * config.group_size * config.rollout.max_episode_tokens,
        rollout_s=last["perf/rollout_s"] * scale,
        update_s=last["perf/update_s"] * scale,
        num_steps=config.num_steps,
    )


def short_run(config: TrainConfig, *, groups: int, num_steps: int) -> TrainConfig:
    """Return a run's configuration with fewer groups and steps, in one process, to be measured and thrown away."""
    return dataclasses.replace(
        config,
        groups_per_step=groups,
        num_steps=num_steps + 1,  # the last step of a run is kept
        asynchronous=False,  # what overlaps would be measured twice
        max_staleness=None,
        optim=dataclasses.replace(config.optim, updates_per_step=1, warmup_steps=0),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=num_steps + 1),
    )


def _memory(model: PreTrainedModel, config: TrainConfig) -> dict[str, float]:
    """Return what can be counted, in MiB."""
    weights = list(model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    copied = any(weight.dtype != torch.float32 for weight in trained)
    text = model.config.get_text_config()
    cache = token_bytes(text, model.dtype) * config.rollout.concurrency * config.rollout.max_episode_tokens
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    counted = {
        # Beside the training the torch engine samples from a copy.
        "weights_mb": size * (2 if config.asynchronous and config.engine.name == "torch" else 1),
        # A gradient like the weight; two moments, and where weights have few bits copies of them and the gradients.
        "optimizer_mb": sum(
            weight.numel() * (weight.element_size() + _FLOAT * (4 if copied else 2)) for weight in trained
        ),
        "reference_mb": size if config.loss.beta > 0 else 0,
        "cache_mb": cache if config.engine.kv_cache_mb is None else min(cache, config.engine.kv_cache_mb << 20),
        "logits_mb": _FLOAT * min(MAX_LOGITS, config.micro_batch_tokens * text.vocab_size),
    }
    return {name: value / 2**20 for name, value in counted.items()}


def _count(weights: Iterable[Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
