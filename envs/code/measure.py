"""Measure Code-v0 on this machine: `python -m agentrl.envs.code.measure docker` prints a line for each level."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.checks import Check
from agentrl.envs.code.env import CodeEnv
from agentrl.envs.code.grading import judge
from agentrl.envs.code.running import Runner, runner
from agentrl.envs.code.tasks import NUM_HIDDEN, generate
from agentrl.envs.tools.host import BACKENDS, shared_backend

__all__ = ["main"]

EPISODES = 20
TASKS = 600


def main(arguments: list[str]) -> None:
    """Print times of episodes by level, and what the first hidden inputs catch by themselves."""
    backend = arguments[0] if arguments else "auto"
    show = sys.stdout.write
    show("level  draw ms  oracle ms  graded ms  stopped ms  all inputs ms  wrong sources that pass the first inputs\n")
    for level in range(1, 6):
        env = CodeEnv(backend=backend, level=level)
        env.reset(seed=0)
        drawn = [_timed(partial(generate, seed, "train", level)) for seed in range(100)]
        played = [_timed(partial(_episode, env, seed)) for seed in range(EPISODES)]
        graded, stopped, whole = (
            [_grading(backend, level, seed, kind) for seed in range(EPISODES)] for kind in range(3)
        )
        passed, tried = _caught(level)
        figures = (median(drawn), median(played), median(graded), median(stopped), median(whole))
        show(f"{level:5}" + "".join(f"{each * 1000:9.1f}" for each in figures) + f"  {passed} of {tried}\n")
        env.close()


def _timed(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _episode(env: CodeEnv, seed: int) -> None:
    observation, info = env.reset(seed=seed)
    policy, done = env.oracle(), False
    while not done:
        observation, _, terminated, truncated, info = env.step(policy(observation, info))
        done = terminated or truncated
    assert info["success"]


def _grading(backend: str, level: int, seed: int, kind: int) -> float:
    """Return the seconds of grading a right source, a wrong one, and a wrong one on all inputs."""
    task, where = generate(seed, "train", level), shared_backend(BACKENDS[backend])
    source = task.solution if kind == 0 else f"def {task.function or 'main'}(*args):\n    return object"
    return _timed(partial(judge, where, task, source, rng=random.Random(0), fraction=kind == 2))


def _caught(level: int) -> tuple[int, int]:
    """Return how many wrong sources pass the edges and the first ordinary inputs, and how many there were."""
    passed = tried = 0
    for seed in range(TASKS):
        task = generate(seed, "train", level)
        family = FAMILIES[task.family]
        first = task.hidden[: len(family.edges(task.params)) + NUM_HIDDEN[level]]
        for source in family.wrong:
            run = runner(family, source, task.params)
            tried += 1
            passed += all(_right(run, check, task.kind == "program") for check in first)
    return passed, tried


def _right(run: Runner, check: Check, program: bool) -> bool:
    try:
        return check.passes(run(check.args), program=program)
    except Exception:  # as in a box, where it would return nothing
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
