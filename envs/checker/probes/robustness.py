"""Whether it survives what untrained models write, ends every episode, and comes back in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentrl.envs.checker.episodes import Task, last_line, shown
from agentrl.envs.checker.fuzz import malformed_turns
from agentrl.envs.checker.players import random_call
from agentrl.envs.checker.record import Check, Failed
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]


def _fuzz(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    rng = np.random.default_rng(0)
    tasks = iter(subject.few_tasks(10**4))
    task = next(tasks)
    _, info = subject.reset(env, task)
    tools = info.get("tools", []) if isinstance(info, dict) else []
    turns = num = 0
    for action in malformed_turns(rng, tools if isinstance(tools, list) else [], subject.profile.fuzz):
        num += 1
        turns += 1
        try:
            step = subject.step(env, action, task)
        except Exception as error:
            raise Failed(f"{task}: step({shown(action, 120)!r}) raises {last_line(error)}") from error
        told = step.info if isinstance(step.info, dict) else {}
        if told.get("failure"):
            raise Failed(
                f"{task}: {shown(action, 120)!r} is taken for a failure of the infrastructure: {told['failure']}"
            )
        if step.observation not in env.observation_space:
            raise Failed(f"{task}: the answer to {shown(action, 120)!r} is outside the observation space")
        if step.reward > 1e-9:
            raise Failed(f"{task}: {shown(action, 120)!r} earns {step.reward:g}")
        if subject.facts.protocol and not step.ended and not (step.observation or told.get("replies")):
            raise Failed(
                f"{task}: {shown(action, 120)!r} is answered with nothing",
                "say what was wrong and what was expected; a model learns from that",
            )
        if not step.ended and turns >= subject.most_steps:
            raise Failed(
                f"{task}: the episode is not over after {turns} malformed turns", "let a malformed turn cost a turn"
            )
        if step.ended:
            task, turns = next(tasks), 0
            subject.reset(env, task)
    return {"turns": num}


def _ends(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    task = Task(seed=0, level=next(iter(subject.facts.levels), None))
    _, info = subject.reset(env, task)
    rng = np.random.default_rng(0)
    tools = info.get("tools") if isinstance(info, dict) else None
    turns = {"prose": "Let me think.", "a broken call": "<tool_call>{"}
    turns |= {f"a call of {tool['function']['name']}": random_call(rng, tool, ["x"]) for tool in tools or ()}
    counted: dict[str, int] = {}
    for name, action in turns.items():
        subject.reset(env, task)
        for turn in range(1, subject.most_steps + 1):
            step = subject.step(env, action, task)
            counted[name] = turn
            if step.ended:
                break
        else:
            limit = (
                f"max_turns is {subject.facts.max_turns}" if subject.facts.max_turns else "nothing says when it ends"
            )
            raise Failed(f"{task}: {name}, said {subject.most_steps} times, does not end the episode; {limit}")
    return {"turns until the end": counted}


def _deadlines(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    for task in subject.few_tasks(2):
        subject.reset(env, task)
        subject.step(env, "x" * 60_000, task)
    measured: dict[str, Any] = {}
    for name, seconds in (("reset", subject.reset_s), ("step", subject.step_s)):
        ordered = sorted(seconds)
        measured |= {f"{name} p50 s": _rounded(ordered[len(ordered) // 2]), f"{name} max s": _rounded(ordered[-1])}
        if ordered[-1] > subject.job.deadline_s:
            raise Failed(f"a {name} took {ordered[-1]:.1f} s; {subject.job.deadline_s:g} s are allowed")
    return measured


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.3g}")


CHECKS = (
    Check(
        id="ends",
        what="every episode comes to an end",
        hint="count turns in step and set truncated at max_turns, whatever was said",
        run=_ends,
        needs=("starts",),
    ),
    Check(
        id="fuzz",
        what="malformed turns are answered, never raised, and earn nothing",
        hint="catch what parsing raises and answer with what was expected; TextEnv and its parsers do",
        run=_fuzz,
        needs=("starts", "ends"),
    ),
    Check(
        id="deadlines",
        what="reset and step come back in time",
        hint="bound what a turn may do: sizes, loops, patterns that backtrack, the time of what it waits for",
        run=_deadlines,
        needs=("starts",),
    ),
)
