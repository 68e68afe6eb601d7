"""TRL's parts of `perf/gpu.py`: `GRPOTrainer`'s training step on prepared completions, and Hugging Face generation.

What `GRPOTrainer` would generate is handed to it, so that only its loss, backward pass and optimizer are timed. It gets
what it has by default where that is not said in the job: float32 weights under bfloat16 autocast, the fused AdamW of
Transformers, its own fused output layer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from engine import run_generate
from peers.gpu_work import Job, Meter, emit, make_model, plans, sequences, training_flops

__all__ = ["generate", "generate_in_trainer", "train"]


class _Enough(Exception):
    """What was to be measured is measured: the trainer need not go on."""


def train(job: Job) -> None:
    """Measure the training step of each workload."""
    prepared = {workload: sequences(job, workload) for workload in job.workloads}
    order = [workload for workload in job.workloads for _ in range(job.steps + 1)]
    meter = Meter(job.device)
    seconds: dict[str, list[float]] = {workload: [] for workload in job.workloads}
    handed = iter(order)

    def batch(trainer: Any) -> dict[str, Any]:
        return _batch(prepared[next(handed)], trainer.accelerator.device)

    def ended(step: int, step_s: float) -> None:
        workload, turn = order[step - 1], (step - 1) % (job.steps + 1)
        if turn == 0:  # the first of a workload warms up
            meter.forget_peak()
            return
        seconds[workload].append(step_s)
        if turn < job.steps:
            return
        median_s = statistics.median(seconds[workload])
        tokens = sum(len(prompt) + len(sampled) for prompt, sampled in prepared[workload])
        figures = {"tokens_per_s": tokens / median_s, "step_s": median_s, "tokens": float(tokens)} | meter.peaks()
        if job.peak_tflops and workload == "apart":
            figures["mfu"] = training_flops(job, workload) / median_s / (job.peak_tflops * 1e12)
        emit(workload=workload, figures=figures)

    _run(job, len(order), batch, ended, meter)


def generate(job: Job) -> None:
    """Measure `generate` of a model in the job's dtype on the whole batch, padded at the left."""
    torch.set_num_threads(job.threads or torch.get_num_threads())
    model = make_model(job, dtype=job.dtype, attention="sdpa")
    meter = Meter(job.device)
    for workload in ("single", "turns"):
        todo = plans(job, workload)
        model.generate(torch.ones(job.batch, 8, dtype=torch.long, device=job.device), max_new_tokens=8)  # warms up
        meter.now()
        meter.forget_peak()
        rate = run_generate(model, todo)
        emit(workload=workload, figures={"tokens_per_s": rate} | meter.peaks())


def generate_in_trainer(job: Job) -> None:
    """Measure `GRPOTrainer`'s own path to `generate`, on the weights that it trains, before its first step."""
    meter = Meter(job.device)

    def batch(trainer: Any) -> dict[str, Any]:
        todo = plans(job, "single")
        ids = [plan.prompt for plan in todo]
        trainer._generate_single_turn([each[:8] for each in ids], None, {}, None)  # warms up
        start = meter.now()
        meter.forget_peak()
        trainer._generate_single_turn(ids, None, {}, None)
        seconds = meter.now() - start
        # It goes on until the longest is done; what the shorter ones sample beyond their end is of no use.
        rate = sum(sum(plan.sampled) for plan in todo) / seconds
        emit(workload="single", figures={"tokens_per_s": rate} | meter.peaks())
        raise _Enough

    try:
        _run(job, 1, batch, lambda step, step_s: None, meter)
    except _Enough:
        return


def _run(
    job: Job,
    steps: int,
    batch: Callable[[Any], dict[str, Any]],
    ended: Callable[[int, float], None],
    meter: Meter,
) -> None:
    """Train for some steps on what `batch` returns; call `ended` after each with its number, from 1, and seconds."""
    sys.modules["vllm"] = None  # type: ignore[assignment]  # TRL loads it wherever it is installed
    import datasets
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from agentrl.trainer.model import load_tokenizer

    torch.set_num_threads(job.threads or torch.get_num_threads())
    tokenizer = load_tokenizer("bundled:search-tiny")  # wanted by the trainer; no text is made or read
    tokenizer.padding_side = "left"
    longest = max(max(plan.sampled) for plan in plans(job, "single"))

    class Trainer(GRPOTrainer):  # type: ignore[misc]
        """Has its completions from elsewhere."""

        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return batch(self)

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Takes the time from the end of one step to the end of the next."""

        since = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            # The first step's batch is made before; it is not timed.
            self.since = self.since or meter.now()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            now = meter.now()
            ended(state.global_step, now - self.since)
            self.since = now

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=job.micro_batch,
            gradient_accumulation_steps=job.episodes // job.micro_batch,
            num_generations=job.episodes,
            max_completion_length=longest,
            generation_kwargs={"min_new_tokens": longest},
            temperature=1.0,
            learning_rate=1e-6,
            lr_scheduler_type="constant",
            max_steps=steps,
            loss_type="grpo",
            beta=0.0,
            max_grad_norm=1.0,
            adam_beta2=0.99,
            weight_decay=0.0,
            use_cpu=job.device == "cpu",
            bf16=job.dtype == "bfloat16",
            gradient_checkpointing=job.checkpointing,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        rows = [{"prompt": ""} for _ in range(steps)]
        trainer = Trainer(
            model=make_model(job, dtype=job.states, attention="sdpa"),
            reward_funcs=lambda completions, **_: [0.0 for _ in completions],
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.train()


def _batch(found: list[tuple[list[int], list[int]]], device: torch.device) -> dict[str, Any]:
    """Return what the trainer makes of completions: prompts are equally long, completions padded at the right."""
    longest = max(len(sampled) for _, sampled in found)
    prompt_ids = torch.tensor([prompt for prompt, _ in found], device=device)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": torch.ones_like(prompt_ids),
        "completion_ids": torch.tensor(
            [sampled + [0] * (longest - len(sampled)) for _, sampled in found], device=device
        ),
        "completion_mask": torch.tensor(
            [[1] * len(sampled) + [0] * (longest - len(sampled)) for _, sampled in found], device=device
        ),
        "advantages": torch.tensor([1.0 if row % 2 else -1.0 for row in range(len(found))], device=device),
        "num_items_in_batch": torch.tensor(sum(len(sampled) for _, sampled in found), device=device),
    }
