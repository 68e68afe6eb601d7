"""Whether anything but solving the task is paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentrl.envs.checker.cheats import Scene, standard_cheats
from agentrl.envs.checker.episodes import Episode, Task, shown
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Env, Policy, Subject

__all__ = ["CHECKS"]

_SHORT = 60  # characters of an answer that a policy could come upon by listing
_FILLER = "Let me think about this very carefully. " * 100


def _own_cheats(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    subject.reset(env, Task(seed=0))
    names = list(env.unwrapped.cheats()) if "cheats" in subject.facts.offers else []  # type: ignore[attr-defined]
    if not names and _is_ours(subject, env):
        raise Failed(
            "cheats() is empty",
            "write down the ways to score without solving that you can think of; this check keeps them at 0",
        )
    if not names:
        raise NotApplicable(
            "it ships none; add cheats(), which returns policies by name that score without solving the task"
        )
    num = 0
    for task, name in _turns_of(subject, names, subject.profile.cheats):
        _unpaid(subject.play(env, lambda inner, name=name: inner.cheats()[name], task, role=f"the cheat {name!r}"))  # type: ignore[misc]
        num += 1
    return {"cheats": len(names), "episodes": num}


def _is_ours(subject: Subject, env: Env) -> bool:
    return subject.job.env_id.startswith("AgentRL/") or type(env.unwrapped).__module__.startswith("agentrl.")


def _cheats(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    written: dict[Task, dict[str, str]] = {}
    for task in _tasks(subject):
        written[task] = dict(standard_cheats(_scene(subject, task, *subject.reset(env, task))))
    num = 0
    names = list(dict.fromkeys(name for each in written.values() for name in each))
    for task, name in _turns_of(subject, names, subject.profile.cheats):
        if name in written[task]:
            turn = written[task][name]
            _unpaid(subject.play(env, lambda inner, turn=turn: _always(turn), task, role=f"the cheat {name!r}"))  # type: ignore[misc]
            num += 1
    return {"episodes": num}


def _tasks(subject: Subject) -> list[Task]:
    return subject.few_tasks(max(subject.profile.cheats, len(subject.facts.levels)))


def _turns_of(subject: Subject, names: list[str], times: int) -> Iterator[tuple[Task, str]]:
    """Give every cheat its tasks, so that the levels take turns."""
    tasks = _tasks(subject)
    for index, name in enumerate(names):
        for offset in range(times):
            yield tasks[(index + offset) % len(tasks)], name


def _scene(subject: Subject, task: Task, observation: Any, info: Any) -> Scene:
    right = None
    if "oracle" in subject.facts.offers:
        right = subject.right_answer(task)
        solved = subject.solution(task)
        tagged = bool(solved.actions) and "<answer>" in solved.actions[-1]
        if right is None or not tagged or len(right) > _SHORT or "\n" in right:
            right = None
    info = info if isinstance(info, dict) else {}
    tools = info.get("tools", ())
    return Scene(
        question=str(observation),
        system=str(info.get("system", "")),
        tools=tuple(tools) if isinstance(tools, list) else (),
        right=right,
        runs_code=subject.facts.runs_code,
    )


def _always(turn: str) -> Policy:
    return lambda observation, info: turn


def _unpaid(episode: Episode) -> None:
    said = f"; it says {shown(episode.actions[-1], 120)!r}" if episode.actions else ""
    if episode.error:
        raise Failed(f"{episode}: {episode.error}{said}")
    if episode.failure:
        raise Failed(
            f"{episode}: it was taken for a failure of the infrastructure: {shown(episode.failure, 200)}{said}"
        )
    if not episode.total <= 1e-9 or episode.success:
        raise Failed(f"{episode} earns {episode.total:g}, success is {episode.success}{said}")


def _repetition(subject: Subject) -> dict[str, Any]:
    subject.require("oracle")
    env = subject.make()
    num = 0
    for task in subject.few_tasks(max(3, subject.profile.cheats)):
        solved = subject.solution(task)
        if solved.error or not solved.ended:
            raise NotApplicable(f"the oracle does not finish {task}")
        paid = next((index for index, step in enumerate(solved.steps[:-1]) if step.reward > 0), 0)
        ways = {
            "every turn twice": [each for action in solved.actions for each in (action, action)],
            "every turn said twice at once": [action + action for action in solved.actions],
            "every turn with much around it": [_FILLER + action for action in solved.actions],
            "every turn with much behind it": [action + "\n" + _FILLER for action in solved.actions],
            f"turn {paid + 1} again and again": [*solved.actions[:paid], *[solved.actions[paid]] * subject.most_steps],
        }
        for way, actions in ways.items():
            episode = subject.replay(env, task, actions)
            num += 1
            if episode.total > solved.total + 1e-9:
                raise Failed(f"{task}: the oracle with {way} earns {episode.total:g}, more than its {solved.total:g}")
    return {"episodes": num}


_HINT = "compare one answer with the truth as a whole, after every tag and call was taken apart; pay nothing for form"

CHECKS = (
    Check(
        id="own-cheats",
        what="every cheat that the environment ships earns 0",
        hint=_HINT,
        run=_own_cheats,
        needs=("starts",),
    ),
    Check(
        id="cheats",
        what="the standard set of cheats earns 0",
        hint=_HINT,
        run=_cheats,
        needs=("starts", "floor"),
    ),
    Check(
        id="repetition",
        what="repeating and padding earn no more than solving",
        hint="pay at the end, or pay each thing once: what is paid for every turn will be said for ever",
        run=_repetition,
        needs=("starts", "oracle"),
    ),
)
