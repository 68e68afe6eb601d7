"""AgentRL's parts of `perf/gpu.py`: the training step of `trainer/update.py` and the torch engine's generation."""

from __future__ import annotations

import math
import statistics
import sys

import torch
from common import SHAPES
from engine import Plan, run_engine
from peers.gpu_work import Job, Meter, emit, make_model, plans, sequences, training_flops
from transformers import PreTrainedModel

from agentrl.trainer.attention import NAME as ATTENTION
from agentrl.trainer.config import TrainConfig, from_mapping
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.engines import torch as torch_engine
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.model import Head
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater

__all__ = ["generate", "train"]


def train(job: Job) -> None:
    """Measure the training step of each workload; the optimizer has float32 weights and state whatever the dtype."""
    with torch_settings(job.threads, torch.device(job.device)):
        model = make_model(job, dtype=job.dtype, attention=ATTENTION)
        updater = Updater(model, None, _config(job))
        meter, step = Meter(job.device), 0
        for workload in job.workloads:
            episodes = _episodes(job, workload)
            tokens = sum(len(episode.token_ids) for episode in episodes)
            seconds: list[float] = []
            for turn in range(job.steps + 1):
                step += 1
                start = meter.now()
                metrics = updater.step(episodes, step)
                if turn:  # the first warms up
                    seconds.append(meter.now() - start)
                else:
                    meter.now()
                    meter.forget_peak()
                if metrics["skipped_updates"]:
                    raise RuntimeError(f"an update was skipped: {updater.trouble}")
            step_s = statistics.median(seconds)
            figures = {"tokens_per_s": tokens / step_s, "step_s": step_s, "tokens": float(tokens)} | meter.peaks()
            figures["micro_batch_tokens"] = float(updater.micro_batch_tokens)
            if "perf/computed_share" in metrics:
                figures["computed_share"] = metrics["perf/computed_share"]
            if job.peak_tflops and workload == "apart":
                figures["mfu"] = training_flops(job, workload) / step_s / (job.peak_tflops * 1e12)
            emit(workload=workload, figures=figures)


def generate(job: Job) -> None:
    """Measure the torch engine: one turn an episode, then several; its log-probabilities beside those of fresh passes.

    `replayed` is the number of decoding steps that were replayed from a recording (`trainer/engines/graphs.py`).
    """
    sys.setswitchinterval(0.0005)  # as `agentrl train` does
    if not job.graphs:
        torch_engine.graphs_for = lambda model: None  # type: ignore[attr-defined]
    with torch_settings(job.threads, torch.device(job.device)):
        model = make_model(job, dtype=job.dtype, attention=ATTENTION)
        meter = Meter(job.device)
        for workload in ("single", "turns"):
            todo = plans(job, workload)
            with TorchEngine(model) as engine:
                run_engine(engine, _short(todo), 0)  # warms up
                meter.now()
                meter.forget_peak()
                rate, episodes = run_engine(engine, todo, 1)
                figures = {"tokens_per_s": rate} | meter.peaks()
                graphs = engine._graphs
            if graphs is not None:
                figures["replayed"] = float(graphs.num_replayed)
            figures["logprob_difference_nats"] = statistics.fmean(_difference(model, *each) for each in episodes[:2])
            emit(workload=workload, figures=figures, trouble="" if graphs is None else graphs.trouble)


@torch.inference_mode()
def _difference(model: PreTrainedModel, ids: list[int], logprobs: list[float]) -> float:
    """Return the mean difference between log-probabilities as sampled and those of a pass over the whole episode."""
    seen_T = torch.tensor(logprobs[1:], device=model.device)
    sampled_T = seen_T != 0
    given = torch.tensor([ids], device=model.device)
    hidden_NH = model.base_model(input_ids=given, use_cache=False).last_hidden_state[0, :-1][sampled_T]
    all_NV = torch.log_softmax(Head(model)(hidden_NH).float(), -1)
    fresh_N = all_NV.gather(1, given[0, 1:][sampled_T][:, None])[:, 0]
    return float((fresh_N - seen_T[sampled_T]).abs().mean())


def _short(todo: list[Plan]) -> list[Plan]:
    return [Plan(prompt=plan.prompt, sampled=[8 for _ in plan.sampled], replies=plan.replies) for plan in todo]


def _config(job: Job) -> TrainConfig:
    values = {
        "num_steps": len(job.workloads) * (job.steps + 1),
        "groups_per_step": 1,
        "group_size": job.episodes,
        "micro_batch_tokens": job.micro_batch * job.tokens,
        "gradient_checkpointing": job.checkpointing,
        "compile": job.compiled,
        "loss": {"kind": "grpo"},
        "optim": {"lr": 1e-6},
        "rollout": {"max_episode_tokens": job.tokens},
    }
    return from_mapping(TrainConfig, values)


def _episodes(job: Job, workload: str) -> list[Episode]:
    uniform = -math.log(SHAPES[job.shape][-1])  # near what random weights give to any token
    return [
        Episode(
            env_id="synthetic",
            seed=0,
            step=0,
            group=0,
            member=member,
            attempt=0,
            split="train",
            level=0,
            task_id="",
            token_ids=prompt + sampled,
            mask=[False] * len(prompt) + [True] * len(sampled),
            logprobs=[0.0] * len(prompt) + [uniform] * len(sampled),
            reward=float(member % 2),
            rewards={},
            success=None,
            failure=None,
            truncated_by=None,
            messages=[],
            num_turns=1,
            versions=[0],
            timings={},
            advantage=1.0 if member % 2 else -1.0,  # every episode teaches: none is left out
        )
        for member, (prompt, sampled) in enumerate(sequences(job, workload))
    ]
