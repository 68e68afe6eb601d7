"""What asynchronous rollouts gain where tools are slow: the same training, with and without running ahead.

The tiny model trains on AgentRL/Search-v0 whose every step waits --latency seconds, as a tool behind a network does.
Contestants take turns within one run; of each the median of the steps after the first two.

    sync_exact    rollout.schedule = "exact": reproducible, all wait for the slowest
    sync_eager    rollout.schedule = "eager"
    async_1       asynchronous, at most 1 step ahead; async_2: 2 steps

    python perf/asynchronous.py --json asynchronous.json
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
from common import parser, report, versions

import agentrl.envs
from agentrl.trainer.config import TrainConfig, from_mapping
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.loop import Run
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.model import pick_device
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir

del agentrl
WARM = 2  # steps that are not counted

CONTESTANTS: dict[str, dict[str, Any]] = {
    "sync_exact": {"rollout": {"schedule": "exact"}},
    "sync_eager": {"rollout": {"schedule": "eager"}},
    "async_1": {"asynchronous": True},
    "async_2": {"asynchronous": True, "max_staleness": 2},
}


class Slow(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Waits in each step."""

    latency_s = 0.0

    def step(self, action: Any) -> Any:
        """Step, late."""
        time.sleep(self.latency_s)
        return self.env.step(action)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--latency", type=float, default=1.0, help="of a step of the environment, in seconds")
    options.add_argument("--steps", type=int, default=8)
    options.add_argument("--rounds", type=int, default=2)
    arguments = options.parse_args()
    sys.setswitchinterval(0.0005)  # as `agentrl train` does
    Slow.latency_s = arguments.latency
    gymnasium.register("Slow/Search-v0", lambda **kwargs: Slow(gymnasium.make("AgentRL/Search-v0", **kwargs)))
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    staleness: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for name, keys in CONTESTANTS.items():
            lines = _train(keys, arguments.steps)
            rates[name].append(statistics.median(line["perf/episodes_per_s"] for line in lines[WARM:]))
            staleness[name] = max(line["staleness/max"] for line in lines)
    figures = {f"{name}_episodes_per_s": max(seen) for name, seen in rates.items()}
    best = max(figures["sync_exact_episodes_per_s"], figures["sync_eager_episodes_per_s"])
    for name in ("async_1", "async_2"):
        figures[f"{name}_ratio"] = figures[f"{name}_episodes_per_s"] / best
        figures[f"{name}_staleness_max"] = staleness[name]
    report(figures, versions("torch", "transformers"), arguments.json)


def _train(keys: dict[str, Any], steps: int) -> list[dict[str, float]]:
    values = {
        "env": "Slow/Search-v0",
        "level": 2,
        "num_steps": steps,
        "groups_per_step": 6,
        "loss": {"correction": "token_truncate"},
        "optim": {"lr": 3e-4},
        "eval": {"num_episodes": 0},
        "checkpoint": {"every": steps},
    }
    rollout = {"concurrency": 48, "max_turn_tokens": 48, "max_episode_tokens": 320, **keys.get("rollout", {})}
    config = from_mapping(TrainConfig, values | keys | {"rollout": rollout})
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir.create(Path(folder), "measured", default="")
        with torch_settings(0, pick_device("cpu")), Run(config, run_dir, Progress()) as run:
            for _ in range(steps):
                run.train_step()
        return read_metrics(run_dir.path / "metrics.jsonl")


if __name__ == "__main__":
    main()
