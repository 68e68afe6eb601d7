"""`--concurrency auto` beside fixed numbers: how much of the best one's throughput it finds, while it looks for it.

Two loads: `AgentRL/Python-v0` played by its oracle in boxes, which compute, and `AgentRL/Math-v0` with an agent that
waits 50 milliseconds, as for a server. Whole runs count, so auto pays for what it tries: the best number takes about
ten seconds each. Contestants take turns, each a run of its own; a figure is the median of the rounds, in resets and
steps a second.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from common import parser, report, versions

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore


def waits(messages: list[dict[str, Any]], seed: int) -> str:
    """Answer after a while."""
    time.sleep(0.05)
    return f"<answer>{seed}</answer>"


def played(settings: Settings) -> tuple[float, int]:
    """Return resets and steps a second, and how many episodes were played at once at the end."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run(settings, Path(folder))
        seconds = time.perf_counter() - began
        with BenchStore(Path(folder)) as store:
            num_steps = sum(each.num_turns + 1 for each in store.episodes(with_messages=False))
            return num_steps / seconds, store.paces()[-1].num_at_once


def main() -> int:
    """Measure and report; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, metavar="N")
    options.add_argument("--backend", default="bwrap", choices=["docker", "bwrap"])
    options.add_argument("--boxes", type=int, default=2000, metavar="N", help="episodes of Python-v0 a run")
    options.add_argument("--waits", type=int, default=12000, metavar="N", help="episodes of Math-v0 a run")
    arguments = options.parse_args()
    sys.modules["bench_pace"] = sys.modules["__main__"]  # the agent's module is this script, loaded once
    loads: dict[str, tuple[Settings, tuple[int, ...]]] = {
        "boxes": (
            Settings(
                envs=("AgentRL/Python-v0",),
                agent="oracle",
                num_tasks=arguments.boxes,
                levels=(1,),
                env_kwargs={"backend": arguments.backend},
            ),
            (1, 2, 4, 8, 16),
        ),
        "waits": (
            Settings(envs=("AgentRL/Math-v0",), agent="python:bench_pace:waits", num_tasks=arguments.waits),
            (16, 64),
        ),
    }
    figures: dict[str, float] = {}
    for name, (settings, numbers) in loads.items():
        kinds: list[int | Literal["auto"]] = [*numbers, "auto"]
        rates: dict[int | Literal["auto"], list[float]] = {each: [] for each in kinds}
        ended: list[int] = []
        for _ in range(arguments.rounds):
            for each in rates:
                rate, last = played(replace(settings, concurrency=each))
                rates[each].append(rate)
                if each == "auto":
                    ended.append(last)
        middle = {each: statistics.median(rates[each]) for each in rates}
        figures |= {f"{name}_at_{each}_steps_per_s": rate for each, rate in middle.items()}
        figures[f"{name}_auto_ended_at"] = statistics.median(ended)
        figures[f"{name}_auto_to_best"] = middle["auto"] / max(middle[each] for each in numbers)
    report(figures, versions("gymnasium", "docker"), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
