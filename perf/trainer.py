"""How fast GRPO trains, beside TRL: the same tiny model on the same task of several turns with tools, on this machine.

Both play AgentRL/Search-v0, TRL through its `environment_factory`; same groups, temperature, learning rate and loss
(see `perf/peers/training.py`). Contestants run one after the other, in rounds, a process each, so that peak memory is
their own:

    speed     --steps steps each; episodes a second over the steps after the first, peak memory of the process
    success   both train until the mean success of the last 5 steps is at --goal, or --most-steps are over (--success)

A ratio above 1 for speed and time is in our favour; peak_memory_ratio is ours to TRL's, below 1 in our favour.

    python perf/trainer.py --json trainer.json
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import parser, report

PEER = Path(__file__).parent / "peers" / "training.py"


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=6, help="of a speed run")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--level", type=int, default=2)
    options.add_argument("--groups", type=int, default=12)
    options.add_argument("--group-size", type=int, default=8)
    options.add_argument("--success", action="store_true", help="also train both to --goal: takes long")
    options.add_argument("--goal", type=float, default=0.9)
    options.add_argument("--most-steps", type=int, default=250)
    arguments = options.parse_args()
    job = {
        "steps": arguments.steps,
        "groups": arguments.groups,
        "group_size": arguments.group_size,
        "level": arguments.level,
        "temperature": 1.0,
        "lr": 3e-4,
        "turn_tokens": 48,
        "episode_tokens": 320,
        "turns": 5,
        "seed": 0,
        "goal": 2.0,  # never
    }
    episodes = arguments.groups * arguments.group_size
    rates: dict[str, list[float]] = {"agentrl": [], "trl": []}
    peaks: dict[str, float] = {}
    peers: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for name in rates:
            seen = _run(name, job)
            rates[name].append(episodes / statistics.median(seen["steps_s"][1:]))
            peaks[name] = max(peaks.get(name, 0.0), seen["peak_mb"])
            peers[name] = seen["version"]
    figures = {f"{name}_episodes_per_s": max(rates[name]) for name in rates}
    figures["episodes_per_second_ratio"] = figures["agentrl_episodes_per_s"] / figures["trl_episodes_per_s"]
    figures |= {f"{name}_peak_mb": peak for name, peak in peaks.items()}
    figures["peak_memory_ratio"] = peaks["agentrl"] / peaks["trl"]
    if arguments.success:
        for name in rates:
            seen = _run(name, job | {"steps": arguments.most_steps, "goal": arguments.goal})
            figures[f"{name}_last_success"] = statistics.fmean(seen["success"][-5:])
            figures[f"{name}_steps"] = float(len(seen["steps_s"]))
            figures[f"{name}_seconds"] = sum(seen["steps_s"])
        figures["time_to_success_ratio"] = figures["trl_seconds"] / figures["agentrl_seconds"]
    report(figures, peers, arguments.json)


def _run(name: str, job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PEER), name, json.dumps(job)],
        env=os.environ | {"TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
