"""How fast Browse is: actions a second of 1, 8 and 32 episodes at once, resets, single actions, memory a context.

    python perf/browse.py [--seconds 20] [--at-once 1,8,32] [--browser PATH] [--json FILE]

Every episode has a thread, as in a trainer; its policy is the oracle, so that no time goes into a model. A step of the
oracle is one action in the browser, but for the last one, which is an answer and is not counted. Memory is the
proportional set size of all processes of the browser, with contexts that stand on the first page of a task of level 3.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import parser, percentile, report

from agentrl.envs.browse.browser import shared
from agentrl.envs.browse.chromium import find
from agentrl.envs.browse.env import BrowseEnv

LEVELS = (1, 2, 3, 4, 5)
CONTEXTS = 8  # of which the memory is measured


def play(index: int, until: float, browser: str | None) -> tuple[list[float], list[float]]:
    """Play episodes until a time; return the seconds of each reset and of each action."""
    env = BrowseEnv(browser=browser)
    resets: list[float] = []
    actions: list[float] = []
    seed = 1000 * index
    while time.perf_counter() < until:
        before = time.perf_counter()
        observation, info = env.reset(seed=seed, options={"level": LEVELS[seed % len(LEVELS)]})
        resets.append(time.perf_counter() - before)
        policy, is_over = env.oracle(), False
        while not is_over and time.perf_counter() < until:
            action = policy(observation, info)
            before = time.perf_counter()
            observation, reward, terminated, truncated, info = env.step(action)
            if "failure" in info:
                raise RuntimeError(str(info["failure"]))
            is_over = terminated or truncated
            if not is_over:
                actions.append(time.perf_counter() - before)
            elif reward != 1.0:
                raise RuntimeError(f"the oracle earned {reward} on seed {seed}")
        seed += 1
    env.close()
    return resets, actions


def tree(root: int) -> Iterator[tuple[int, list[str]]]:
    """Yield a process and all below it, each with the fields of its /proc/PID/stat behind the name."""
    found: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    waiting = [root]
    while waiting:
        process = waiting.pop()
        waiting += [each for each, fields in found.items() if int(fields[1]) == process]
        if process in found:
            yield process, found[process]


def memory_mb(root: int) -> float:
    """Return the proportional set size of a process and all below it, in MiB."""
    total = 0
    for process, _ in tree(root):
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def processor_s(root: int) -> float:
    """Return the processor time of a process and all below it, ended children included."""
    return sum(sum(map(int, fields[11:15])) for _, fields in tree(root)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=20.0, help="how long to play with each number of episodes")
    options.add_argument("--at-once", default="1,8,32", help="how many episodes, separated by commas")
    options.add_argument("--browser", default=None, help="path of a Chromium")
    given = options.parse_args()
    figures: dict[str, float] = {}
    before = time.perf_counter()
    env = BrowseEnv(browser=given.browser)
    env.reset(seed=0)
    figures["first reset, the browser's start included, s"] = time.perf_counter() - before
    browser = shared(find(given.browser))
    empty = memory_mb(browser.pid)
    more = [BrowseEnv(browser=given.browser, level=3) for _ in range(CONTEXTS)]
    for index, each in enumerate(more):
        each.reset(seed=index)
    figures["memory of the browser with one context, MiB"] = empty
    figures["memory a further context, MiB"] = (memory_mb(browser.pid) - empty) / CONTEXTS
    for each in (env, *more):
        each.close()
    for num in map(int, given.at_once.split(",")):
        used, began = processor_s(os.getpid()), time.perf_counter()
        with ThreadPoolExecutor(num) as pool:
            until = began + given.seconds
            played = list(pool.map(lambda index, until=until: play(index, until, given.browser), range(num)))
        took = time.perf_counter() - began
        resets = [each for found, _ in played for each in found]
        actions = [each for _, found in played for each in found]
        figures[f"{num} at once: actions a second"] = len(actions) / took
        used = processor_s(os.getpid()) - used
        figures[f"{num} at once: processor time an action, resets included, ms"] = 1000 * used / len(actions)
        figures[f"{num} at once: resets a second"] = len(resets) / took
        figures[f"{num} at once: reset p50, ms"] = 1000 * statistics.median(resets)
        figures[f"{num} at once: action p50, ms"] = 1000 * statistics.median(actions)
        figures[f"{num} at once: action p99, ms"] = 1000 * percentile(actions, 99)
    report(figures, {"browser": browser.version}, given.json)
    browser.close()


if __name__ == "__main__":
    main()
