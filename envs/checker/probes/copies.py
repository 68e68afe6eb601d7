"""Whether it can be copied: to other processes, into vectors, and in the middle of an episode."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium
import numpy as np

from agentrl.envs.checker.episodes import Episode, Step, Task, difference, last_line
from agentrl.envs.checker.players import random_player
from agentrl.envs.checker.record import Check, Failed
from agentrl.envs.checker.subject import Subject
from agentrl.envs.spaces import Unicode

__all__ = ["CHECKS"]


def _pickling(subject: Subject) -> None:
    env = subject.make()
    begun = subject.reset(env, Task(seed=3))
    function = functools.partial(gymnasium.make, subject.job.env_id, **subject.job.kwargs)
    for what, pack, thing in (
        ("its constructor with its arguments", cloudpickle.dumps, function),
        ("its registration, env.spec", pickle.dumps, env.spec),
        ("info", pickle.dumps, begun[1]),
    ):
        try:
            back = pickle.loads(pack(thing))
        except Exception as error:
            raise Failed(f"{what} cannot be pickled: {last_line(error)}") from error
        if what == "info":
            found = difference(begun[1], back)
        else:
            other = back() if callable(back) else gymnasium.make(back, disable_env_checker=True)
            try:
                found = difference(begun, subject.reset(other, Task(seed=3)))
            finally:
                other.close()
        if found:
            raise Failed(f"{what}, pickled and read back, is another: {found}")


def _vector(subject: Subject) -> dict[str, Any]:
    scripts = [subject.script(subject.make(), Task(seed=seed)) for seed in (11, 12)]
    for mode in ("sync", "async"):
        with warnings.catch_warnings(), subject.crumbs.during(f"make_vec, {mode}"):
            warnings.simplefilter("ignore")
            try:
                vector = gymnasium.make_vec(
                    subject.job.env_id,
                    num_envs=2,
                    vectorization_mode=mode,
                    vector_kwargs=_memory(subject) if mode == "async" else None,
                    **subject.job.kwargs,
                )
            except Exception as error:
                raise Failed(f"make_vec, {mode}: {last_line(error)}") from error
            try:
                _compare(subject, vector, scripts, mode)
            except Failed:
                raise
            except Exception as error:
                raise Failed(f"in a vector, {mode}, it raised {last_line(error)}") from error
            finally:
                vector.close(**({"terminate": True} if mode == "async" else {}))
    return {"modes": ["sync", "async"]}


def _memory(subject: Subject) -> dict[str, Any]:
    # Over shared memory Gymnasium 1.2 gives the first observations of its own Text for ever.
    return {"shared_memory": isinstance(subject.make().observation_space, Unicode)}


def _compare(subject: Subject, vector: Any, scripts: list[Episode], mode: str) -> None:
    with subject.crumbs.during(f"reset of a vector, {mode}"):
        observations, _ = vector.reset(seed=11)
    for index, script in enumerate(scripts):
        found = difference(script.observation, observations[index])
        if found:
            raise Failed(f"{script.task}: in a vector, {mode}, it begins otherwise: {found}")
    for turn in range(max(len(each.actions) for each in scripts)):
        actions = tuple(each.actions[min(turn, len(each.actions) - 1)] for each in scripts)
        with subject.crumbs.during(f"step of a vector, {mode}"):
            observations, rewards, terminated, truncated, _ = vector.step(actions)
        for index, script in enumerate(scripts):
            if turn < len(script.actions):
                alone = script.steps[turn]
                seen = (observations[index], float(rewards[index]), bool(terminated[index]), bool(truncated[index]))
                wanted = (alone.observation, float(alone.reward), bool(alone.terminated), bool(alone.truncated))
                found = difference(wanted, seen)
                if found:
                    raise Failed(
                        f"{script.task}: in a vector, {mode}, turn {turn + 1} goes otherwise than alone: {found}"
                    )


def _snapshot(subject: Subject) -> dict[str, Any]:
    subject.require("snapshot", "restore")
    num = 0
    for task in subject.few_tasks(max(2, subject.profile.seeds // 10)):
        env, other = subject.make(), subject.make()
        script = subject.script(env, task)
        subject.play(other, lambda inner: random_player(np.random.default_rng(0)), Task(seed=99), role="random")
        for turn in sorted({0, len(script.actions) // 2}):
            if turn and turn >= len(script.actions):
                continue
            subject.replay(env, task, script.actions[:turn])
            inner: Any = env.unwrapped
            with subject.crumbs.during(f"snapshot() in turn {turn} of {task}"):
                taken = inner.snapshot()
            try:
                packed = pickle.loads(pickle.dumps(taken))
            except Exception as error:
                raise Failed(f"{task}: the snapshot of turn {turn} cannot be pickled: {last_line(error)}") from error
            for action in script.actions[turn:]:
                subject.step(env, action, task)
            for where, again, state in (
                ("the same instance", env, taken),
                ("another instance, pickled", other, packed),
                ("the same instance, a second time", env, taken),
            ):
                _restored(subject, again, state, script, turn, where)
                num += 1
    return {"restored": num}


def _restored(subject: Subject, env: Any, state: Mapping[str, Any], script: Episode, turn: int, where: str) -> None:
    if env._has_reset is False if hasattr(env, "_has_reset") else False:
        subject.reset(env, script.task)
    with subject.crumbs.during(f"restore() in turn {turn} of {script.task}"):
        env.unwrapped.restore(state)
    heard: list[Step] = []
    for action in script.actions[turn:]:
        try:
            heard.append(subject.step(env, action, script.task))
        except Exception as error:
            raise Failed(f"{script.task}: restored to turn {turn} in {where}, it raised {last_line(error)}") from error
    found = difference(script.steps[turn:], heard)
    if found:
        raise Failed(f"{script.task}: restored to turn {turn} in {where}, it goes on otherwise: {found}")


CHECKS = (
    Check(
        id="pickling",
        what="constructor, registration and info can be pickled",
        hint="take plain arguments (names, numbers, paths) and open files, locks and connections in reset",
        run=_pickling,
        needs=("starts", "seed"),
    ),
    Check(
        id="vector",
        what="make_vec, sync and async, plays what one instance plays",
        hint="declare Text spaces that hold every observation, and share nothing between instances",
        run=_vector,
        needs=("starts", "seed", "determinism", "instances", "spaces"),
    ),
    Check(
        id="snapshot",
        what="a restored snapshot goes on as the episode did",
        hint="name in `state` every attribute that a task or a turn sets; copy what is mutable",
        run=_snapshot,
        needs=("starts", "seed", "determinism", "instances", "episodes"),
    ),
)
