"""Whether an episode depends on the task and the actions alone: not on others, and leaves nothing in the process."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from typing import Any

import numpy as np

from agentrl.envs.checker.episodes import Episode, Step, Task, difference, last_line
from agentrl.envs.checker.players import random_player
from agentrl.envs.checker.record import Check, Failed
from agentrl.envs.checker.subject import Env, Subject
from agentrl.envs.checker.surroundings import Surroundings, generators

__all__ = ["CHECKS"]


def _scripts(subject: Subject, num: int) -> list[Episode]:
    return [subject.script(subject.make(), task) for task in subject.few_tasks(num)]


def _compare(what: str, wanted: Episode, seen: list[Any]) -> None:
    found = difference([wanted.observation, wanted.info, wanted.steps], seen)
    if found:
        for index, name in enumerate(("the observation", "info", "turn ")):
            found = found.replace(f"[{index}]", name, 1) if found.startswith(f"[{index}]") else found
        raise Failed(f"{wanted.task}: {what} it goes otherwise than alone: {found}")


def _episodes(subject: Subject) -> None:
    env = subject.make()
    for number, wanted in enumerate(_scripts(subject, 4)):
        for role, turns in (("left in the middle", 1), ("played to its end", None)):
            disturbing = Task(seed=77 + number, level=wanted.task.level)
            rng = np.random.default_rng(number)
            subject.play(env, lambda inner, rng=rng: random_player(rng), disturbing, role="random", max_steps=turns)  # type: ignore[misc]
            again = subject.replay(env, wanted.task, wanted.actions)
            _compare(f"after an episode that was {role},", wanted, [again.observation, again.info, again.steps])


def _instances(subject: Subject) -> None:
    scripts = _scripts(subject, 3)
    envs = [subject.make() for _ in scripts]
    seen: list[list[Any]] = [[*subject.reset(env, each.task), []] for env, each in zip(envs, scripts, strict=True)]
    for turn in range(max(len(each.actions) for each in scripts)):
        for env, each, heard in zip(envs, scripts, seen, strict=True):
            if turn < len(each.actions):
                heard[2].append(subject.step(env, each.actions[turn], each.task))
    for wanted, heard in zip(scripts, seen, strict=True):
        _compare("between turns of other instances", wanted, heard)


def _threads(subject: Subject) -> None:
    scripts = _scripts(subject, 4)
    envs = [subject.make() for _ in scripts]
    together = threading.Barrier(len(scripts))

    def play(env: Env, wanted: Episode) -> list[Any]:
        together.wait(10)
        begun = subject.reset(env, wanted.task)
        # As a trainer does: the thread that steps is seldom the one that reset.
        return [*begun, [_in_a_thread(subject, env, action, wanted.task) for action in wanted.actions]]

    with ThreadPoolExecutor(len(scripts)) as pool:
        futures = [pool.submit(play, env, wanted) for env, wanted in zip(envs, scripts, strict=True)]
        for wanted, future in zip(scripts, futures, strict=True):
            try:
                heard = future.result(timeout=subject.job.deadline_s * (1 + len(wanted.actions)))
            except LateError as error:
                raise Failed(f"{wanted.task}: four episodes in four threads did not come back") from error
            except Exception as error:
                raise Failed(f"{wanted.task}: in a thread it raised {last_line(error)}") from error
            _compare("beside episodes in other threads", wanted, heard)


def _in_a_thread(subject: Subject, env: Env, action: str, task: Task) -> Step:
    heard: list[Step] = []
    raised: list[Exception] = []

    def work() -> None:
        try:
            heard.append(subject.step(env, action, task))
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return heard[0]


def _tour(subject: Subject) -> None:
    """Do with the environment what one does with it."""
    env = subject.make()
    for task in (Task(seed=5), Task(seed=None)):
        subject.play(env, lambda inner: random_player(np.random.default_rng(1)), task, role="random")
        for name in {"oracle", "noop"} & subject.facts.offers:
            subject.play(env, lambda inner, name=name: getattr(inner, name)(), task, role=name)  # type: ignore[misc]
    env.close()


def _globals(subject: Subject) -> None:
    before = generators()
    _tour(subject)
    after = generators()
    moved = [name for name, state in before.items() if after.get(name) != state]
    if moved:
        raise Failed(f"the global generator of {moved[0]} was moved or seeded by making, playing and closing it")


def _surroundings(subject: Subject) -> None:
    _tour(subject)  # imports what it needs: what a library does when it is imported is not looked at
    subject.surroundings.put_back()
    with warnings.catch_warnings():
        before = Surroundings.now()
        _tour(subject)
        changes = before.changes(Surroundings.now())
    subject.surroundings.put_back()
    if changes:
        raise Failed(f"playing an episode changed what belongs to the whole process: {changes[0]}")


_LOCAL = "keep state in the instance, set it anew in reset, and share nothing mutable at class or module level"

CHECKS = (
    Check(
        id="episodes",
        what="an episode leaves nothing to the next one",
        hint=_LOCAL,
        run=_episodes,
        needs=("starts", "seed", "determinism"),
    ),
    Check(
        id="instances",
        what="instances do not disturb each other",
        hint=_LOCAL,
        run=_instances,
        needs=("starts", "seed", "determinism"),
    ),
    Check(
        id="threads",
        what="episodes in threads go as they go alone",
        hint="expect reset and step in different threads: no signals, no threading.local",
        run=_threads,
        needs=("starts", "seed", "determinism", "instances"),
    ),
    Check(
        id="globals",
        what="global generators are left alone",
        hint="draw from self.np_random or a random.Random(seed) of your own; never call random.seed",
        run=_globals,
        needs=("starts",),
    ),
    Check(
        id="surroundings",
        what="working directory, variables, signals and the like are left alone",
        hint="pass cwd= and env= to subprocesses, and put back what must be changed before step returns",
        run=_surroundings,
        needs=("starts",),
    ),
)
