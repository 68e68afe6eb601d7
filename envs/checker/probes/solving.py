"""Whether tasks can be solved, are not solved by chance, get harder, differ, and are kept apart."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from agentrl.envs.checker.episodes import Episode, shown
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]

_MOST_ALIKE = 0.2  # of the tasks of a level; chance alone gives n/2m among m equally likely tasks


def _oracle(subject: Subject) -> dict[str, Any]:
    subject.require("oracle")
    weights = subject.facts.weights
    full = sum(weight for weight in weights.values() if weight > 0) if weights else None
    episodes = subject.played("oracle")
    most = full if full is not None else max(each.total for each in episodes)
    for each in episodes:
        last = f"; last turn {shown(each.actions[-1], 120)!r}" if each.actions else ""
        if each.error:
            raise Failed(f"{each}: after {len(each.steps)} turns {each.error}")
        if each.failure:
            raise Failed(f"{each}: its infrastructure failed: {shown(each.failure, 300)}")
        if not each.ended:
            raise Failed(f"{each} is not over after {len(each.steps)} turns{last}")
        if not each.total >= most - 1e-6 or most <= 0:
            raise Failed(f"{each} earned {each.total:g} of {most:g} in {len(each.steps)} turns{last}")
    return {"episodes": len(episodes), "reward": most}


def _floor(subject: Subject) -> dict[str, Any]:
    solved = [each.total for each in subject.played("oracle") if not each.error]
    ceiling = _mean(solved) if solved else None
    measured: dict[str, Any] = {"oracle": ceiling}
    for role in ("noop", "random"):
        episodes = subject.played(role)
        if not episodes:
            continue
        broken = next((each for each in episodes if each.error), None)
        if broken is not None and role == "noop":
            raise Failed(f"{broken}: {broken.error}")
        measured[role] = _mean([each.total for each in episodes])
        if role == "noop":
            paid = next((each for each in episodes if each.total > 1e-9), None)
            if paid is not None:
                raise Failed(f"{paid}, which does nothing, earns {paid.total:g}")
        elif ceiling is not None and measured[role] > ceiling / 2:
            raise Failed(
                f"random turns earn {measured[role]:.3g} on average, the oracle {ceiling:.3g}: there is little to learn"
            )
    if ceiling is not None:
        measured["gap"] = ceiling - max(measured.get("noop", 0.0), measured.get("random", 0.0))
    return measured


def _levels(subject: Subject) -> dict[str, Any]:
    levels = subject.facts.levels
    if len(levels) < 2:
        raise NotApplicable("there are not two levels")
    for one, other in itertools.combinations(levels, 2):
        begun = [[(each.observation) for each in subject.starts(level=level)] for level in (one, other)]
        if len(set(begun[0])) > 1 and begun[0] == begun[1]:
            raise Failed(f"levels {one} and {other} begin with the same observations for {len(begun[0])} seeds")
    profile = {level: _profile(subject, level) for level in levels}
    first = profile[levels[0]]
    for level in levels[1:]:
        harder = [name for name, value in profile[level].items() if value > first[name] * 1.02]
        if not harder:
            raise Failed(
                f"level {level} is not harder than level {levels[0]} in any measure: {profile[level]} and {first}"
            )
    return {f"level {level}": measures for level, measures in profile.items()}


def _profile(subject: Subject, level: int) -> dict[str, float]:
    """Measure a level by what it takes to solve it."""
    begun = subject.starts(level=level)
    measures = {"characters of the question": _mean([len(str(each.observation)) for each in begun])}
    solved = [each for each in subject.played("oracle") if each.task.level == level and not each.error]
    if solved:
        measures["turns"] = _mean([len(each.steps) for each in solved])
        measures["characters written"] = _mean([sum(map(len, each.actions)) for each in solved])
        measures["characters read"] = _mean([sum(len(str(step.observation)) for step in each.steps) for each in solved])
    return {name: round(value, 1) for name, value in measures.items()}


def _splits(subject: Subject) -> dict[str, Any]:
    if len(subject.facts.splits) < 2:
        raise NotApplicable("reset has no option split")
    num = 0
    for level in subject.facts.levels or (None,):
        train, test = (subject.starts(split=split, level=level) for split in subject.facts.splits)
        where = f" at level {level}" if level is not None else ""
        for what, read in (("task id", _id), ("first observation", lambda each: str(each.observation))):
            ours, theirs = [read(each) for each in train], [read(each) for each in test]
            if what != "task id" and min(len(set(ours)), len(set(theirs))) < 0.9 * len(ours):
                continue  # the question says little of which task it is
            both = sorted(set(ours) & set(theirs) - {""})
            if both:
                raise Failed(
                    f"train and test share {len(both)} of {len(ours)} {what}s{where}, such as {shown(both[0])!r}"
                )
        num += len(train)
    return {"tasks a split": num}


def _variety(subject: Subject) -> dict[str, Any]:
    least = 1.0
    for level in subject.facts.levels or (None,):
        begun = subject.starts(level=level)
        where = f"at level {level} " if level is not None else ""
        ids = [_id(each) for each in begun]
        texts = [repr((each.observation, _without_id(each.info))) for each in begun]
        hidden = len(set(texts)) == 1 and "" not in ids  # the task shows only later; its id must tell
        for what, keys in (("id", ids if "" not in ids else texts), ("text", ids if hidden else texts)):
            share = len(set(keys)) / len(keys)
            least = min(least, share)
            if 1 - share > _MOST_ALIKE:
                common, times = Counter(keys).most_common(1)[0]
                raise Failed(
                    f"{where}{len(keys)} seeds give {len(set(keys))} different tasks by their {what}; "
                    f"{times} are {shown(common, 120)!r}"
                )
    return {"least share of different tasks": round(least, 3)}


def _id(episode: Episode) -> str:
    task = episode.info.get("task") if isinstance(episode.info, dict) else None
    return str(task.get("id", "")) if isinstance(task, dict) else ""


def _without_id(info: Any) -> Any:
    return {key: value for key, value in info.items() if key != "task"} if isinstance(info, dict) else info


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / len(values) if values else 0.0


CHECKS = (
    Check(
        id="oracle",
        what="the oracle earns the full reward on every task",
        hint="a task that its own author cannot solve teaches noise: mend the generator, the scorer or the oracle",
        run=_oracle,
        needs=("starts",),
    ),
    Check(
        id="floor",
        what="doing nothing earns nothing, chance earns little",
        hint="pay nothing for taking part; ask so that a guess among what is shown seldom hits",
        run=_floor,
        needs=("starts",),
    ),
    Check(
        id="levels",
        what="each level is harder than the first and different",
        hint="let `level` change the number of steps, the size of the world or what is hidden",
        run=_levels,
        needs=("starts", "oracle"),
    ),
    Check(
        id="splits",
        what="train and test share no task",
        hint="decide by the task itself (a name, a digest of it) which split it belongs to, not by the seed",
        run=_splits,
        needs=("starts",),
    ),
    Check(
        id="variety",
        what="seeds give enough different tasks",
        hint="draw more of the task (names, numbers, structure) from the generator, or give more rows",
        run=_variety,
        needs=("starts", "seed"),
    ),
)
