"""Whether the seed decides everything: here, in a new instance, in another process, from turn to turn."""

from __future__ import annotations

from typing import Any

from agentrl.envs.checker.elsewhere import played_elsewhere
from agentrl.envs.checker.episodes import Task, difference, shown
from agentrl.envs.checker.record import Check, Failed
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]

_UNSEEDED = 16  # new instances that are reset without a seed


def _seed(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    tasks = subject.tasks(2)
    first = {task: subject.reset(env, task) for task in tasks}
    for what, other in (("in the same instance", env), ("in a new instance", subject.make())):
        for task, begun in first.items():
            found = difference(begun, subject.reset(other, task))
            if found:
                raise Failed(f"the same {task} gives another episode {what}: {_part(found)}")
    starts = subject.starts(level=tasks[0].level)
    different = {repr((each.observation, each.info)) for each in starts}
    if len(different) == 1:
        raise Failed(
            f"seeds 0 to {len(starts) - 1} all begin with one observation and info: {shown(starts[0].observation)!r}",
            "draw the task from self.np_random after super().reset(seed=seed), and name it in info['task']['id']",
        )
    return {"different starts": f"{len(different)} of {len(starts)}"}


def _generator(subject: Subject) -> None:
    one, other = subject.make(), subject.make()
    runs = [[subject.reset(env, Task(seed=seed)) for seed in (4, None, None, None)] for env in (one, other)]
    found = difference(runs[0], runs[1])
    if found:
        raise Failed(f"after reset(seed=4), resets without a seed go on differently in two instances: {_part(found)}")
    if len({repr(each) for each in runs[0][1:]}) == 1:
        raise Failed(
            f"after reset(seed=4), three resets without a seed give the same task again: {shown(runs[0][1][0])!r}",
            "seed only where a seed is given: super().reset(seed=seed) does that, and np_random goes on",
        )
    first = repr(subject.reset(subject.make(), Task(seed=None)))
    # As many as it takes for an environment of few tasks, one of them frequent, to show a second one.
    if all(repr(subject.reset(subject.make(), Task(seed=None))) == first for _ in range(_UNSEEDED - 1)):
        raise Failed(
            f"{_UNSEEDED} new instances that were never seeded begin with the same task",
            "leave np_random to Gymnasium, which seeds it from the system where no seed is given",
        )


def _determinism(subject: Subject) -> None:
    for task in subject.few_tasks(max(3, len(subject.facts.levels))):
        first = subject.script(subject.make(), task)
        if first.error:
            raise Failed(f"{first}: {first.error}")
        again = subject.replay(subject.make(), task, first.actions)
        found = difference(first.steps, again.steps)
        if found:
            raise Failed(f"{task}: the same actions give another result; turn {_turn(found)}")


def _process(subject: Subject) -> dict[str, Any]:
    answer = played_elsewhere(subject)
    if answer.error:
        raise Failed(f"in a fresh process: {answer.error}")
    for task, here, there in answer.pairs:
        found = difference(here, there)
        if found:
            raise Failed(
                f"{task}: another process with PYTHONHASHSEED={answer.hash_seed} plays it differently: {found}",
                "sort what comes out of a set before it is used, and use neither hash() nor id() nor the clock",
            )
    return {"episodes": len(answer.pairs), "seconds to import and make": round(answer.import_s, 3)}


def _part(found: str) -> str:
    for index, name in ((0, "the observation"), (1, "info")):
        if found.startswith(f"[{index}]["):
            found = f"episode {index + 1}: " + found.removeprefix(f"[{index}]")
        found = found.replace(f"[{index}]", name, 1) if found.startswith(f"[{index}]") else found
    return found


def _turn(found: str) -> str:
    number, _, rest = found.removeprefix("[").partition("]")
    return f"{int(number) + 1}: {rest}" if number.isdigit() else f"1 and after: {found}"


_HINT = "draw everything random from self.np_random, and keep nothing between episodes"

CHECKS = (
    Check(
        id="seed",
        what="a seed gives the same episode, other seeds others",
        hint=_HINT,
        run=_seed,
        needs=("starts",),
    ),
    Check(
        id="generator",
        what="reset without a seed goes on from the generator",
        hint=_HINT,
        run=_generator,
        needs=("starts", "seed"),
    ),
    Check(
        id="determinism",
        what="the same actions give the same results",
        hint="let step draw from self.np_random alone, and leave out clocks, addresses and counters of the process",
        run=_determinism,
        needs=("starts", "seed"),
    ),
    Check(
        id="process",
        what="another process plays the same episodes",
        hint="let it work in a fresh process: no state from this one, no order of a set",
        run=_process,
        needs=("starts", "seed", "determinism"),
    ),
)
