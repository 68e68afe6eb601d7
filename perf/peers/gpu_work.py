"""What the contestants of `perf/gpu.py` work on, what it costs at least, and how time and memory are taken.

Every contestant is a process of its own, so that its peak of memory is its own. It prints a line of JSON for each thing
it has measured, at once: what is killed later loses nothing.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from common import SHAPES, random_qwen3
from engine import Plan
from transformers import PreTrainedModel

__all__ = ["WORKLOADS", "Job", "Meter", "emit", "make_model", "plans", "sequences", "training_flops"]

WORKLOADS = ("apart", "shared", "mixed")
"""Of training: equal lengths and nothing in common; equal lengths after one prompt; mixed lengths after one prompt."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One contestant's work."""

    shape: str  # of SHAPES
    device: str
    dtype: str  # float32 or bfloat16; TRL's weights are float32 under autocast then, unless `states` says otherwise
    states: str  # of TRL: dtype of its weights, and so of the optimizer's state
    workloads: list[str]  # of training
    episodes: int  # of a training step
    tokens: int  # of the longest episode, prompt included
    prompt: int  # tokens of an episode that were not sampled
    micro_batch: int  # episodes of one forward and backward pass
    checkpointing: bool
    compiled: bool  # ours, by torch.compile
    steps: int  # timed ones, after one that is not
    batch: int  # episodes generated at once
    group: int  # of them with the same prompt
    generated: int  # tokens that the longest turn samples
    graphs: bool  # whether our engine may record decoding steps; on CUDA only
    threads: int  # of torch on the CPU
    peak_tflops: float  # of the device in this dtype; 0: unknown


class Meter:
    """Takes time and the peak of memory on a device."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._start = 0.0

    def now(self) -> float:
        """Wait for the device; return the seconds since some fixed moment."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return perf_counter()

    def forget_peak(self) -> None:
        """Begin a new peak; on the CPU it is the process's own, whatever was before."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def peaks(self) -> dict[str, float]:
        """Return the peak of what tensors took; on CUDA also of what the allocator held."""
        if self._device.type == "cuda":
            allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            return {"peak_mb": allocated / 2**20, "reserved_mb": reserved / 2**20}
        lines = Path("/proc/self/status").read_text().splitlines()
        return {"peak_mb": next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))}


def emit(**values: object) -> None:
    """Print what was measured, at once, on the stream that the process began with."""
    print(json.dumps(values), file=sys.__stdout__, flush=True)


def make_model(job: Job, *, dtype: str, attention: str) -> PreTrainedModel:
    """Return the job's model with random weights."""
    return random_qwen3(
        job.shape, device=torch.device(job.device), dtype=getattr(torch, dtype), attention=attention
    ).eval()


def sequences(job: Job, workload: str) -> list[tuple[list[int], list[int]]]:
    """Return the prompt and the sampled tokens of each episode of a training step."""
    generator = random.Random(workload)
    words, most = SHAPES[job.shape][-1], job.tokens - job.prompt
    one = _some(generator, words, job.prompt)
    found = []
    for index in range(job.episodes):
        prompt = _some(generator, words, job.prompt) if workload == "apart" else one
        length = most if workload != "mixed" or index == 0 else generator.randint(max(1, most // 8), most)
        found.append((prompt, _some(generator, words, length)))
    return found


def training_flops(job: Job, workload: str) -> float:
    """Return the operations of a step without recomputation and padding.

    6 a weight and token that passes it, the output layer's for sampled tokens only; causal attention has
    2 * T * T operations a head and entry of it going forward, and twice as many going back.
    """
    hidden, layers, heads, shared, size, inner, words = SHAPES[job.shape]
    weights = layers * hidden * (2 * heads * size + 2 * shared * size + 3 * inner)
    lengths = [(len(prompt), len(sampled)) for prompt, sampled in sequences(job, workload)]
    dense = sum(6.0 * weights * (before + after) + 6.0 * words * hidden * after for before, after in lengths)
    return dense + sum(6.0 * layers * heads * size * (before + after) ** 2 for before, after in lengths)


def plans(job: Job, workload: str) -> list[Plan]:
    """Return what is generated: "single", a turn an episode, or "turns", three with replies between.

    Prompts are 3/8 to 7/8 of an episode and each is that of a whole group; a turn samples between an eighth and all of
    `generated`. A "turns" episode shares out as much among its turns and as much again among the replies.
    """
    generator = random.Random(workload)
    words, turns = SHAPES[job.shape][-1], 1 if workload == "single" else 3
    most = job.generated // turns
    room = job.tokens - (1 if turns == 1 else 2) * job.generated
    found: list[Plan] = []
    while len(found) < job.batch:
        prompt = _some(generator, words, generator.randint(3 * job.tokens // 8, min(room, 7 * job.tokens // 8)))
        for _ in range(min(job.group, job.batch - len(found))):
            sampled = [generator.randint(max(1, most // 8), most) for _ in range(turns)]
            replies = [_some(generator, words, generator.randint(max(1, most // 8), most)) for _ in range(turns - 1)]
            found.append(Plan(prompt=prompt, sampled=sampled, replies=replies))
    return found


def _some(generator: random.Random, words: int, count: int) -> list[int]:
    return [generator.randrange(9, words) for _ in range(count)]
