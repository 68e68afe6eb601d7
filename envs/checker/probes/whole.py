"""Importing, measuring, and what happens when the part below fails."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.envs.checker.elsewhere import played_elsewhere
from agentrl.envs.checker.episodes import Episode, Task, shown
from agentrl.envs.checker.held import boxes_of
from agentrl.envs.checker.players import random_call, random_player
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Env, Policy, Subject

__all__ = ["CHECKS"]

_MEASURE_S = 0.5
_EXCUSE = re.compile(r"(?i)sandbox|\bbox agentrl-")
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
    """Take the box from under an episode: before each tool is called, before and in the oracle's way."""
    subject.require("oracle")
    env = subject.make()
    told = needless = 0
    for task in subject.few_tasks(3 * max(2, len(subject.facts.levels))):
        for turns in (0, 1):
            policy, heard = _begun(subject, env, task, turns)
            if heard is not None and not _robbed(env):
                continue
            episode = Episode(role="the oracle", task=task)
            while heard is not None and not (episode.ended or len(episode.steps) >= subject.most_steps):
                episode.steps.append(subject.step(env, policy(*heard), task))
                heard = (episode.steps[-1].observation, episode.steps[-1].info)
            if not episode.steps:
                continue
            told += bool(episode.failure)
            needless += not episode.failure
            _judge(episode, f"its box was destroyed after {turns} turns")
        told += _call_tools(subject, env, task)
        if told >= 3:
            break
    if not told and not needless:
        raise NotApplicable(f"its episodes hold no box on backend {subject.job.backend!r}")
    return {"failures told": told, "episodes that did not need the box": needless}


def _begun(subject: Subject, env: Env, task: Task, turns: int) -> tuple[Policy, tuple[Any, Any] | None]:
    """Begin an episode and let the oracle take some turns; the second value is None where it is over by then."""
    subject.reset(env, task)
    inner: Any = env.unwrapped
    policy = inner.oracle()
    heard: tuple[Any, Any] = ("", {})
    for _ in range(turns):
        step = subject.step(env, policy(*heard), task)
        if step.ended:
            return policy, None
        heard = (step.observation, step.info)
    return policy, heard


def _robbed(env: Env) -> bool:
    boxes = boxes_of(env.unwrapped)
    for box in boxes:
        box.close()
    return bool(boxes)


def _judge(episode: Episode, what: str) -> None:
    last = episode.steps[-1]
    if episode.failure:
        if last.reward or not last.truncated:
            raise Failed(f"{episode.task}: {what}; the failure has reward {last.reward}, truncated={last.truncated}")
    elif not episode.success:
        raise Failed(
            f"{episode.task}: {what}; {episode.role} ends with {episode.total:g} and without info['failure']; "
            f"the last answer is {shown(last.observation, 200)!r}"
        )


def _call_tools(subject: Subject, env: Env, task: Task) -> int:
    _, info = subject.reset(env, task)
    if not boxes_of(env.unwrapped):  # nor will there be one after the next reset to it
        return 0
    rng = np.random.default_rng(task.seed)
    told = 0
    for tool in info.get("tools", ()) if isinstance(info, dict) else ():
        subject.reset(env, task)
        if not _robbed(env):
            continue
        step = subject.step(env, random_call(rng, tool, ["x"]), task)
        if step.info.get("failure"):
            told += 1
        elif _EXCUSE.search(str(step.observation)):
            raise Failed(
                f"{task}: its box was destroyed; the tool {tool['function']['name']} tells the policy, without "
                f"info['failure']: {shown(step.observation, 200)!r}"
            )
    return told


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
