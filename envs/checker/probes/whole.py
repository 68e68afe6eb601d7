"""Importing, measuring, and what happens when the part below fails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.envs.checker.elsewhere import played_elsewhere
from agentrl.envs.checker.episodes import Task, shown
from agentrl.envs.checker.held import boxes_of
from agentrl.envs.checker.players import random_player
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]

_MEASURE_S = 0.5
_INSTANCES = 8


def _quiet(subject: Subject) -> None:
    printed = played_elsewhere(subject).printed.strip()
    if printed:
        raise Failed(f"importing, making and playing it prints: {shown(printed, 200)!r}")


def _throughput(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    resets = steps = 0
    reset_s = step_s = 0.0
    while reset_s + step_s < _MEASURE_S:
        task = Task(seed=resets)
        before = time.perf_counter()
        subject.reset(env, task)
        begun = time.perf_counter()
        reset_s += begun - before
        resets += 1
        inner: Any = env.unwrapped
        policy = inner.oracle() if "oracle" in subject.facts.offers else random_player(np.random.default_rng(resets))
        observation: Any = ""
        info: Any = {}
        for _ in range(subject.most_steps):
            action = policy(observation, info)
            before = time.perf_counter()
            step = subject.step(env, action, task)
            step_s += time.perf_counter() - before
            steps += 1
            observation, info = step.observation, step.info
            if step.ended:
                break
    before_kb = _memory_kb()
    for seed in range(_INSTANCES):
        subject.reset(subject.make(), Task(seed=seed))
    return {
        "resets a second": _figure(resets / max(reset_s, 1e-9)),
        "steps a second": _figure(steps / max(step_s, 1e-9)),
        "KB an instance": round(max(0, _memory_kb() - before_kb) / _INSTANCES),
    }


def _figure(value: float) -> float:
    return float(f"{value:.3g}")


def _memory_kb() -> int:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(text.partition("VmRSS:")[2].split()[0])


def _failure(subject: Subject) -> dict[str, Any]:
    """Take the box from under an episode, in its first turn and after its first turn."""
    subject.require("oracle")
    env = subject.make()
    failures = needless = 0
    for task in subject.few_tasks(3):
        for turns in (0, 1):
            subject.reset(env, task)
            inner: Any = env.unwrapped
            boxes = boxes_of(inner)
            if not boxes:
                raise NotApplicable(f"its episodes hold no box on backend {subject.job.backend!r}")
            policy = inner.oracle()
            told: Any = ("", {})
            step = None
            for _ in range(turns):
                step = subject.step(env, policy(*told), task)
                told = (step.observation, step.info)
            if step is not None and step.ended:
                continue
            for box in boxes:
                box.close()
            total = 0.0
            for _ in range(subject.most_steps):
                step = subject.step(env, policy(*told), task)
                total += step.reward
                told = (step.observation, step.info)
                if step.ended:
                    break
            assert step is not None
            if step.info.get("failure"):
                failures += 1
                if step.reward or not step.truncated:
                    raise Failed(
                        f"{task}: a failure of the box has reward {step.reward} and truncated={step.truncated}"
                    )
                subject.reset(env, task)  # it must work again
                continue
            if not step.info.get("success"):
                raise Failed(
                    f"{task}: its box was destroyed after {turns} turns; the oracle ends with the reward {total:g} and "
                    f"without info['failure']; the last answer is {shown(step.observation)!r}"
                )
            needless += 1
    return {"failures told": failures, "episodes that did not need the box": needless}


CHECKS = (
    Check(
        id="failure",
        what="a box that dies is info['failure'], never a reward of 0",
        hint="let SandboxDied become InfrastructureError (envs/tools/host.py) and catch it nowhere",
        run=_failure,
        needs=("starts", "oracle"),
    ),
    Check(
        id="quiet",
        what="importing, making and playing print nothing",
        hint="leave print and warnings out of modules, __init__, reset and step",
        run=_quiet,
        needs=("starts",),
    ),
    Check(
        id="throughput",
        what="resets and steps a second, memory an instance (measured only)",
        hint="",
        run=_throughput,
        needs=("starts",),
    ),
)
