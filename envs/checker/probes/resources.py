"""Whether it gives back what it took, and whether its memory stays."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from typing import Any

from agentrl.envs.checker.episodes import Task
from agentrl.envs.checker.held import held, settled
from agentrl.envs.checker.record import Check, Failed
from agentrl.envs.checker.subject import Env, Subject

__all__ = ["CHECKS"]

_GROWTH_KB = 64.0  # an episode, for good


def _resources(subject: Subject) -> dict[str, Any]:
    ways = {
        "episodes that were played to their end": _finish,
        "episodes that were left in the middle and closed": _abandon,
        "episodes in one instance that were left by reset": None,
    }
    for _ in range(3):  # what is started once: threads of a backend, warm boxes, caches
        _finish(subject, subject.make(), 0)
        _abandon(subject, subject.make(), 0)
    subject.release()
    cycles = subject.profile.cycles
    for what, way in ways.items():
        gc.collect()
        before = held()
        if way is not None:
            for seed in range(cycles):
                way(subject, subject.make(), seed)
        else:
            env = subject.make()
            for seed in range(cycles):
                subject.reset(env, Task(seed=seed))
                subject.step(env, "hello")
            env.close()
        subject.release()
        more = settled(before, lambda name: 0 if name == "boxes" else cycles / 2)
        if more:
            name, num = next(iter(more.items()))
            raise Failed(f"after {cycles} {what}, there are {num} more {name} than before")
    return {"episodes": cycles * len(ways)}


def _finish(subject: Subject, env: Env, seed: int) -> None:
    task = Task(seed=seed)
    subject.reset(env, task)
    for _ in range(subject.most_steps):
        if subject.step(env, "hello", task).ended:
            break
    env.close()


def _abandon(subject: Subject, env: Env, seed: int) -> None:
    task = Task(seed=seed)
    subject.reset(env, task)
    subject.step(env, "hello", task)
    env.close()


def _memory(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    sizes: list[int] = []
    each = subject.profile.cycles
    tracemalloc.start()
    try:
        for seed in range(3 * each + 1):
            if seed % each == 0:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
            subject.play(env, _first_policy(subject), Task(seed=seed), role="a player")
    finally:
        tracemalloc.stop()
    grown = [(later - earlier) / 1024 / each for earlier, later in itertools.pairwise(sizes[1:])]
    least = min(grown)
    if least > _GROWTH_KB:
        raise Failed(f"every episode leaves {least:.0f} KB of memory behind, over {2 * each} episodes in one instance")
    return {"KB an episode": round(least, 1)}


def _first_policy(subject: Subject) -> Any:
    if "oracle" in subject.facts.offers:
        return lambda inner: inner.oracle()
    return lambda inner: lambda observation, info: "hello"


CHECKS = (
    Check(
        id="resources",
        what="threads, processes, files and boxes are given back",
        hint="release in close(), in reset() and at the end of an episode what the episode took",
        run=_resources,
        needs=("starts", "close"),
    ),
    Check(
        id="memory",
        what="memory does not grow from episode to episode",
        hint="set lists and caches anew in reset, and bound what is kept for the life of an instance",
        run=_memory,
        needs=("starts",),
    ),
)
