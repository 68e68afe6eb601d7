"""Sixty-four episodes at once of every environment, its tools and code in Docker, played by the oracle.

Every episode must score 1.0 and none may be lost; otherwise the script says which and exits with 1. Printed are the
wall time and its parts: the first resets, which make the boxes, and resets and steps as their callers saw them, waiting
for a core included. With one environment after another, the pool of boxes is shared and warm from the second on.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from common import parser, percentile, report, versions

from agentrl.cli.registry import our_envs
from agentrl.envs.runner import Runner

KWARGS: dict[str, dict[str, Any]] = {"AgentRL/Math-v0": {"calculator": True}}  # without it there are no tools to box
UNBOXED = ("AgentRL/Browse-v0",)  # takes no backend: its browser is on this machine


def main() -> int:
    """Measure and report; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--backend", default="docker", choices=["docker", "bwrap", "auto"])
    options.add_argument("--slots", type=int, default=64, metavar="N", help="episodes at once")
    options.add_argument("--episodes", type=int, default=128, metavar="N", help="of each environment, levels in turn")
    options.add_argument("--envs", default="", help="some ids, separated by commas; all of AgentRL's by default")
    arguments = options.parse_args()
    ids = arguments.envs.split(",") if arguments.envs else our_envs()
    figures: dict[str, float] = {}
    wrong: list[str] = []
    began = time.perf_counter()
    for env_id in ids:
        name = env_id.removeprefix("AgentRL/").removesuffix("-v0").lower()
        found, lost = measured(env_id, arguments.slots, arguments.episodes, arguments.backend)
        figures |= {f"{name}_{key}": value for key, value in found.items()}
        wrong += lost
    figures["all_wall_s"] = time.perf_counter() - began
    figures["episodes_wrong_or_lost"] = len(wrong)
    report(figures, versions("gymnasium", "docker"), arguments.json)
    for each in wrong[:20]:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def measured(env_id: str, num_slots: int, num_episodes: int, backend: str) -> tuple[dict[str, float], list[str]]:
    """Play the episodes; return the figures, and what was not as it should be."""
    waiting = [(seed, 1 + seed % 5) for seed in reversed(range(num_episodes))]
    playing: dict[int, tuple[int, int]] = {}
    first: list[float] = []
    resets: list[float] = []
    steps: list[float] = []
    wrong: list[str] = []
    num_right = 0
    began = time.perf_counter()
    kwargs = {**({} if env_id in UNBOXED else {"backend": backend}), **KWARGS.get(env_id, {})}
    with Runner(env_id, num_slots=num_slots, deadline_s=300.0, env_kwargs=kwargs) as runner:

        def begin(slot: int) -> None:
            if waiting:
                seed, level = playing[slot] = waiting.pop()
                runner.reset(slot, seed=seed, options={"level": level}, policy="oracle")

        for slot in range(num_slots):
            begin(slot)
        for event in runner.ready():
            if event.kind == "step":
                steps.append(event.seconds)
            else:
                (first if len(first) < num_slots else resets).append(event.seconds)
            if not event.done:
                runner.step(event.slot)
                continue
            seed, level = playing.pop(event.slot)
            if event.failure or event.reward != 1.0:
                wrong.append(f"{env_id}, seed {seed}, level {level}: {event.failure or event.info}")
            else:
                num_right += 1
            begin(event.slot)
        played_s = time.perf_counter() - began
    figures = {
        "episodes_right": num_right,
        "wall_s": time.perf_counter() - began,
        "episodes_per_s": num_episodes / played_s,
        "steps": len(steps),
        "first_reset_p50_ms": percentile(first, 50) * 1e3,
        "first_reset_p99_ms": percentile(first, 99) * 1e3,
        "step_p50_ms": percentile(steps, 50) * 1e3,
        "step_p99_ms": percentile(steps, 99) * 1e3,
    }
    if resets:
        figures |= {"reset_p50_ms": percentile(resets, 50) * 1e3, "reset_p99_ms": percentile(resets, 99) * 1e3}
    return figures, wrong


if __name__ == "__main__":
    sys.exit(main())
