"""How well `agentrl plan` foretells a step: the model of scaling beside steps that were trained.

One probe measures workload and costs; then steps of other sizes are foretold, and trained for --steps each with a
learning rate of almost 0, so that the policy stays the one that was probed. `rollout` and `update` are what was
foretold over what was measured (the median): above 1, it took less than foretold. Sizes are groups a step, and
episodes at once (0: all); without a size given twice and half the recipe's groups are among them. A KL term has all
episodes computed, as the plan assumes.

    python perf/plan.py
    python perf/plan.py --size 12:24 --size 24:0 -- quickstart --device cpu --threads 2
    python perf/plan.py --shape 0.6b -- quickstart --device cuda      # a Qwen3 with random weights, in bfloat16
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from common import SHAPES, parser, random_qwen3, report, versions

from agentrl.cli.recipe import checked, parsed
from agentrl.trainer.config import TrainConfig, load_recipe
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.loop import Run
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.model import load_tokenizer, pick_device
from agentrl.trainer.plan import short_run
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.scaling.layouts import Cluster, Layout, ScalingModel, Step
from agentrl.trainer.scaling.probe import Measured, measure

_LINK = 10e9  # bytes a second; one device says nothing to another


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--size", action="append", metavar="GROUPS:AT_ONCE", help="may be given again")
    options.add_argument("--steps", type=int, default=4, help="trained of each size, after one that is not counted")
    options.add_argument("--shape", choices=SHAPES, help="a Qwen3 with random weights in place of the recipe's model")
    options.add_argument("options", nargs="*", help="a recipe and its options, as of `agentrl train`")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = arguments.options or ["quickstart", "--device", "cpu"]
        if arguments.shape:
            words += ["--model", str(_made(arguments.shape, Path(folder)))]
        words += ["--loss.beta", "0.001"]
        config = checked(parsed(load_recipe(words[0]), words), fresh=True)
        report(_figures(config, arguments), versions("torch", "transformers"), arguments.json)


def _made(shape: str, folder: Path) -> Path:
    """Write a model with the tokenizer of the one that comes with the package."""
    random_qwen3(shape, device=torch.device("cpu"), dtype=torch.bfloat16, attention="sdpa").save_pretrained(folder)
    load_tokenizer("bundled:search-tiny").save_pretrained(folder)
    return folder


def _figures(config: TrainConfig, arguments: argparse.Namespace) -> dict[str, float]:
    measured = measure(config)
    work, costs = measured.workload, measured.costs
    figures = {
        "turns": work.turns,
        "tokens": work.tokens,
        "env_ms": 1e3 * work.env_s,
        "env_computing_ms": 1e3 * work.env_cpu_s,
        "decoding_step_ms": 1e3 * costs.step_s,
        "decoding_turn_ms": 1e3 * costs.turn_s,
        "read_tokens_per_s": 1 / max(costs.prompt_s, 1e-12),
        "trained_tokens_per_s": 1 / costs.trained_s,
    }
    half = max(1, config.groups_per_step // 2)
    sizes = arguments.size or [f"{half}:0", f"{config.groups_per_step}:0", f"{2 * config.groups_per_step}:0"]
    for groups, at_once in (map(int, size.split(":")) for size in sizes):
        episodes = groups * config.group_size
        rollout = dataclasses.replace(config.rollout, concurrency=min(at_once or episodes, episodes))
        sized = dataclasses.replace(config, groups_per_step=groups, rollout=rollout)
        rollout_s, update_s = _foretold(sized, measured)
        took = _trained(sized, arguments.steps)
        name = f"{groups}x{config.group_size}_{rollout.concurrency}"
        figures |= {
            f"{name}_rollout_s": took[0],
            f"{name}_rollout_ratio": rollout_s / took[0],
            f"{name}_update_s": took[1],
            f"{name}_update_ratio": update_s / took[1],
            f"{name}_step_ratio": (rollout_s + update_s) / sum(took),
        }
    return figures


def _foretold(config: TrainConfig, measured: Measured) -> tuple[float, float]:
    model = ScalingModel(
        workload=measured.workload,
        costs={1: measured.costs},
        size=measured.size,
        step=Step.of(config),
        cluster=Cluster(devices=1, per_host=1, processors=float("inf"), inside=_LINK, network=_LINK),
    )
    layout = Layout(trainers=1, servers=0, tensor_parallel=1, environments=config.rollout.concurrency)
    found = model.predict(layout)
    return found.rollout.seconds, found.update_s + found.push_s


def _trained(config: TrainConfig, steps: int) -> tuple[float, float]:
    """Return seconds of rollouts, and of update, weights and proof."""
    short = short_run(config, groups=config.groups_per_step, num_steps=steps + 1)
    short = dataclasses.replace(short, optim=dataclasses.replace(short.optim, lr=1e-12))
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir.create(Path(folder), "steps", default="")
        settings = torch_settings(config.threads, pick_device(config.device))
        with settings, Run(short, run_dir, Progress()) as run:
            for _ in range(steps + 1):
                run.train_step()
        rows: Sequence[dict[str, float]] = read_metrics(run_dir.path / "metrics.jsonl")[1:]
    return tuple(statistics.median(row[f"perf/{part}_s"] for row in rows) for part in ("rollout", "update"))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
