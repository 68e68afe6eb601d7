"""Play episodes in an environment, ours or another project's, and print what they took as JSON.

Called by `perf/environments.py` under an interpreter that has the project installed: NAME TASKS URL ROUNDS. TASKS is a
JSON file of episodes, each {"question", "answer", "turns"} and, for code, {"inputs", "outputs"}; every contestant gets
the same ones, in its own dress. Prints {"version", "resets_s", "steps_s", "memory_mb"}: of the round whose sum was
smallest, and of one instance beside what the first one loaded.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # perf/, under whatever interpreter this runs

from peers.contest import Episode, Make, Player

NUM_INSTANCES = 20


def main() -> None:
    """Measure and print."""
    name, path, url, rounds, *options = sys.argv[1:]
    episodes = json.loads(Path(path).read_text(encoding="utf-8"))
    distribution, where = CONTESTANTS[name]
    module, _, function = where.partition(":")
    prepare: Make = getattr(importlib.import_module(f"peers.contest.{module}"), function)
    make = prepare(episodes, Path(path).parent, url, options)
    player = make()
    play(player, episodes[:10])  # what is loaded late
    best: tuple[list[float], list[float]] | None = None
    for _ in range(int(rounds)):
        taken = play(player, episodes)
        if best is None or sum(map(sum, taken)) < sum(map(sum, best)):
            best = taken
    assert best is not None
    before = memory_mb()
    more = [make() for _ in range(min(NUM_INSTANCES, len(episodes)))]
    for each in more:
        each.reset(episodes[0])
    memory = (memory_mb() - before) / len(more)
    resets_s, steps_s = best
    version = metadata.version(distribution)
    print(json.dumps({"version": version, "resets_s": resets_s, "steps_s": steps_s, "memory_mb": memory}))
    sys.stdout.flush()
    for each in more:
        getattr(each, "close", lambda: None)()


def play(player: Player, episodes: Sequence[Episode]) -> tuple[list[float], list[float]]:
    """Play every episode once; return the seconds of each reset and step. A wrong reward ends the measurement."""
    resets, steps = [], []
    for episode in episodes:
        start = time.perf_counter()
        player.reset(episode)
        resets.append(time.perf_counter() - start)
        total = 0.0
        for turn in episode["turns"]:
            start = time.perf_counter()
            reward = player.step(turn)
            steps.append(time.perf_counter() - start)
            total += reward
        if total != 1.0:
            raise SystemExit(f"rewarded {total} for the right answer to {episode['question'][:200]!r}")
    return resets, steps


def memory_mb() -> float:
    """Return the proportional memory of this process and all below it, in MiB."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    waiting, total = [os.getpid()], 0.0
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


CONTESTANTS: dict[str, tuple[str, str]] = {  # name -> (distribution, where its function is)
    "agentrl": ("agentrl-gym", "ours:ours_math"),
    "agentrl-generated": ("agentrl-gym", "ours:ours_generated"),
    "agentrl-code": ("agentrl-gym", "ours:ours_code"),
    "agentrl-search": ("agentrl-gym", "ours:ours_search"),
    "agentrl-sql": ("agentrl-gym", "ours:ours_sql"),
    "agentrl-terminal": ("agentrl-gym", "ours:ours_terminal"),
    "agentrl-games": ("agentrl-gym", "games:ours_games"),
    "gem-games": ("gem-llm", "games:gem_games"),
    "textarena-games": ("textarena", "games:textarena_games"),
    "gem-math": ("gem-llm", "gem:gem_math"),
    "gem-code": ("gem-llm", "gem:gem_code"),
    "gem-search": ("gem-llm", "gem:gem_search"),
    "gem-terminal": ("gem-llm", "gem:gem_terminal"),
    "skyrl-math": ("skyrl-gym", "skyrl:skyrl_math"),
    "skyrl-code": ("skyrl-gym", "skyrl:skyrl_code"),
    "skyrl-search": ("skyrl-gym", "skyrl:skyrl_search"),
    "skyrl-sql": ("skyrl-gym", "skyrl:skyrl_sql"),
    "reasoning-gym": ("reasoning_gym", "reasoning:reasoning_gym"),
}

if __name__ == "__main__":
    main()
