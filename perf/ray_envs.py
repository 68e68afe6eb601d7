"""What holding environments in Ray workers costs, for 10, 100 and 1,000 that wait as a real one does.

Every environment waits in each step for a time from a log-normal distribution (sleeping_env.py), so that the ideal
throughput is the number of environments over the mean time of a step. `share` is what was reached of it: seconds that
steps were to wait, over seconds that environments had. `cost` is processor time a step of this process and the workers
together. Beside them: the same environments in threads of this process, and a bare loop of `asyncio.sleep`, which is
the least that waiting for so many can cost. `--limit` then makes steps shorter until the share falls below 0.9, or
longer until it is above.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import sleeping_env
from common import parser, report, versions

from agentrl.trainer.desk import Allowance, Desk, Desks
from agentrl.trainer.rollout import _reset, _step  # the jobs that a run sends
from agentrl.trainer.workers import RayWorkers
from agentrl.trainer.wrapping import WrapperConfig, make_env

_TICKS = os.sysconf("SC_CLK_TCK")
_WARM_S = 2.0
_ACTION = "Look there, and then tell me what you see. " * 5


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--counts", default="10,100,1000", metavar="N,N", help="environments at once")
    options.add_argument("--workers", type=int, default=8, metavar="N", help="Ray workers")
    options.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each measurement")
    options.add_argument("--limit", action="store_true", help="look for the limit, with the most environments")
    arguments = options.parse_args()
    counts = [int(word) for word in arguments.counts.split(",")]
    figures: dict[str, float] = {"mean_step_ms": 1e3 * sleeping_env.mean_s()}
    with RayWorkers(arguments.workers) as workers:
        pids = [int(place.rpartition(" ")[2]) for place in workers.places()]
        figures["worker_pss_mib"] = sum(map(_pss_mb, pids)) / len(pids)
        for count in counts:
            for name, measured in (
                ("ray", partial(at_desks, workers.desks, pids)),
                ("threads", partial(at_desks, Desks, [])),
                ("bare", bare),
            ):
                share, rate, cost = measured(count, arguments.seconds, 1.0)
                figures[f"{name}_{count}_share"] = share
                figures[f"{name}_{count}_steps_per_s"] = rate
                figures[f"{name}_{count}_cost_ms"] = 1e3 * cost
            figures[f"ray_over_bare_{count}_cost"] = figures[f"ray_{count}_cost_ms"] / figures[f"bare_{count}_cost_ms"]
        figures["ray_growth"] = figures[f"ray_{counts[-1]}_cost_ms"] / figures[f"ray_{counts[0]}_cost_ms"]
        scale, share = 1.0, figures[f"ray_{counts[-1]}_share"]
        is_late = share < 0.9
        while arguments.limit and (share < 0.9) == is_late and 0.01 < scale < 100:
            scale *= 1.4 if is_late else 0.7
            share, rate, cost = at_desks(workers.desks, pids, counts[-1], arguments.seconds, scale)
            told = f"limit_{1e3 * sleeping_env.mean_s(scale):.0f}ms"
            figures |= {f"{told}_share": share, f"{told}_steps_per_s": rate, f"{told}_cost_ms": 1e3 * cost}
    report(figures, versions("ray", "gymnasium"), arguments.json)


def at_desks(
    open_desks: Callable[[Callable[[str], Any]], Desks], pids: list[int], count: int, seconds: float, scale: float
) -> tuple[float, float, float]:
    """Return share, steps a second and processor seconds a step, of environments at desks."""
    desks = open_desks(partial(make_env, kwargs={"scale": scale}, wrapper=WrapperConfig()))
    lent = [desks.lend("Sleeping-v0") for _ in range(count)]
    try:
        return asyncio.run(_measure([partial(_act, desk) for desk in lent], pids, seconds, lent))
    finally:
        for desk in lent:
            desks.take_back("Sleeping-v0", desk)
        desks.close()


def bare(count: int, seconds: float, scale: float) -> tuple[float, float, float]:
    """Return the same of `asyncio.sleep` in this process."""

    async def act(rng: random.Random) -> float:
        slept = scale * rng.lognormvariate(0.0, sleeping_env._SIGMA) * sleeping_env.P50_S
        await asyncio.sleep(slept)
        return slept

    return asyncio.run(_measure([partial(act, random.Random(number)) for number in range(count)], [], seconds, []))


async def _act(desk: Desk) -> float:
    allowance = Allowance(turn_s=600.0, episode_s=600.0)
    outcome = await desk.call(partial(_step, action=_ACTION, num_turns=1), allowance, "step")
    return float(outcome.carry["slept"])


async def _measure(
    acts: list[Callable[[], Awaitable[float]]], pids: list[int], seconds: float, lent: list[Desk]
) -> tuple[float, float, float]:
    num_steps, slept = 0, 0.0
    allowance = Allowance(turn_s=600.0, episode_s=600.0)
    openings = [desk.call(partial(_reset, seed=seed, options={}), allowance, "reset") for seed, desk in enumerate(lent)]
    await asyncio.gather(*openings)
    end = time.monotonic() + _WARM_S + seconds

    async def go(act: Callable[[], Awaitable[float]]) -> None:
        nonlocal num_steps, slept
        while time.monotonic() < end:
            each = await act()
            num_steps += 1
            slept += each

    async def watch() -> tuple[float, float, float]:
        await asyncio.sleep(_WARM_S)
        began, steps, waited, spent = time.monotonic(), num_steps, slept, _spent(pids)
        await asyncio.sleep(end - 0.05 - time.monotonic())
        took, steps, waited = time.monotonic() - began, num_steps - steps, slept - waited
        return waited / (len(acts) * took), steps / took, (_spent(pids) - spent) / max(1, steps)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(go, acts))
    return await watching


def _spent(pids: list[int]) -> float:
    """Return processor seconds of this process and others."""
    total = time.process_time()
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def _pss_mb(pid: int) -> float:
    """Return what a process adds to the memory that is used, its part of shared pages included."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
