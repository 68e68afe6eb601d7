"""Compare runs of the bench on the tasks that they share: how much better, how sure, and where.

The first run is what the others are measured against. Runs are comparable when nothing but the agent differs: the same
tasks, reading the same, under the same settings and versions, and both played to the end. An episode that failed in one
run is left out of both, so that what the infrastructure spoilt favours neither. All p-values of one
comparison are corrected together (Holm), since each row is one more chance of a difference that is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.stats import Difference, holm, paired_difference
from agentrl.bench.store import BenchStore, differences

__all__ = ["METRICS", "Comparison", "Flip", "Metric", "NotComparableError", "Row", "compare", "expected"]

Metric = Literal["success", "reward"]
METRICS: tuple[Metric, ...] = ("success", "reward")

# What may differ; versions and rubrics are looked at one by one.
_NO_MATTER = ("agent", "agent_settings", "versions", "rescored")
_SHOWN = 5  # tasks or settings named in a message


class NotComparableError(BenchError):
    """Two runs differ in more than the agent; the message says in what."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One environment, or all, of one run beside the first."""

    env_id: str  # "" for all
    first: float  # mean over the shared tasks
    second: float
    difference: Difference
    p_adjusted: float  # of all rows of the comparison together


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A task on which the runs differ."""

    env_id: str
    level: int
    seed: int
    task_id: str
    first: float  # mean over the task's episodes
    second: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One run beside the first."""

    first: str  # its folder
    second: str
    agents: tuple[str, str]
    metric: Metric
    rows: tuple[Row, ...]  # by environment where there are several, then all
    flips: tuple[Flip, ...]  # those that the second does worse come first
    num_unpaired: int  # tasks that only one has, or of which no episode is left
    num_left_out: int  # episodes that one run has and that failed in the other, or are missing there
    unlike: tuple[str, ...]  # what differs beside the agent, where that was forced

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return dataclasses.asdict(self)


_Task = tuple[str, int, int]
_Pair = tuple[list[float], list[float]]  # what either run made of the same samples of a task


@dataclass(frozen=True, kw_only=True)
class _Run:
    folder: str
    identity: dict[str, Any]
    num_stored: int
    values: dict[_Task, dict[int, float]]  # of the samples of a task that did not fail
    reads: dict[_Task, tuple[str, str]]  # task id and digest of the prompt

    @property
    def num_expected(self) -> int:
        return expected(self.identity)


def expected(identity: Mapping[str, Any]) -> int:
    """Return how many episodes a run has once it is finished."""
    if "num_episodes" in identity:  # a part of a training run
        return int(identity["num_episodes"])
    per_level = int(identity["num_tasks"]) * int(identity["num_samples"])
    return len(identity["envs"]) * max(1, len(identity["levels"])) * per_level


def compare(folders: Sequence[Path], *, metric: Metric = "success", force: bool = False) -> list[Comparison]:
    """Compare every run with the first.

    Args:
        folders: Of two runs or more.
        metric: "success", or "reward".
        force: Compare what the runs share, though they differ in more than the agent.

    Raises:
        UsageError: Fewer than two folders, one twice, or a metric that is not there.
        StoreError: A folder holds no run.
        NotComparableError: The runs differ in more than the agent, and `force` is not set; or they share no task.
    """
    if metric not in METRICS:
        raise UsageError(f"metric={metric!r} does not exist; there are {', '.join(METRICS)}")
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise UsageError(f"{len(folders)} folders, each once and two at least: agentrl compare runs/one runs/two")
    first, *others = [_load(folder, metric) for folder in folders]
    found = [_comparison(first, other, metric, force) for other in others]
    adjusted = iter(holm([row.difference.p for each in found for row in each.rows]))
    return [
        dataclasses.replace(each, rows=tuple(dataclasses.replace(row, p_adjusted=next(adjusted)) for row in each.rows))
        for each in found
    ]


def _load(folder: Path, metric: Metric) -> _Run:
    values: dict[_Task, dict[int, float]] = {}
    reads: dict[_Task, tuple[str, str]] = {}
    num_stored = 0
    with BenchStore(folder) as store:
        for episode in store.episodes(with_messages=False):
            num_stored += 1
            if episode.failure is not None:
                continue
            value = episode.reward if metric == "reward" else episode.success
            if value is None:
                raise UsageError(f"{episode.job.env_id} says nothing of success; type --metric reward")
            task = (episode.job.env_id, episode.job.level, episode.job.seed)
            values.setdefault(task, {})[episode.job.sample] = float(value)
            reads[task] = (episode.task_id, episode.prompt)
        return _Run(folder=str(folder), identity=store.identity, num_stored=num_stored, values=values, reads=reads)


def _comparison(first: _Run, second: _Run, metric: Metric, force: bool) -> Comparison:
    unlike = _unlike(first, second)
    if unlike and not force:
        raise NotComparableError(
            f"{first.folder} and {second.folder} differ in more than the agent: {'; '.join(unlike)}. "
            "Type --force to compare what they share all the same"
        )
    paired = {task: found for task in first.values if (found := _paired(first, second, task)) is not None}
    if not paired:
        raise NotComparableError(f"{first.folder} and {second.folder} share no task; bench both with the same --env")
    envs = list(dict.fromkeys(env_id for env_id, _, _ in paired))
    rows = [_row([pair for task, pair in paired.items() if task[0] == each], each) for each in envs]
    if len(envs) > 1:
        rows.append(_row(list(paired.values()), ""))
    flips = [flip for task, pair in paired.items() if (flip := _flip(first, task, pair)).first != flip.second]
    num_episodes = [sum(map(len, run.values.values())) for run in (first, second)]
    num_paired = sum(len(one) for one, _ in paired.values())
    return Comparison(
        first=first.folder,
        second=second.folder,
        agents=(str(first.identity["agent"]), str(second.identity["agent"])),
        metric=metric,
        rows=tuple(rows),
        flips=tuple(sorted(flips, key=lambda flip: (flip.second > flip.first, flip.env_id, flip.level, flip.seed))),
        num_unpaired=len((first.reads.keys() | second.reads.keys()) - paired.keys()),
        num_left_out=sum(num_episodes) - 2 * num_paired,
        unlike=tuple(unlike),
    )


def _unlike(first: _Run, second: _Run) -> list[str]:
    """Return what differs beside the agent."""
    found = [*_flat(first.identity, second.identity), *_rubrics(first.identity, second.identity)]
    for run in (first, second):
        if run.num_stored < run.num_expected:
            found.append(
                f"{run.folder} is not finished, with {run.num_stored} of {run.num_expected} episodes; "
                "type its agentrl bench command again to go on"
            )
    changed = [task for task, read in first.reads.items() if second.reads.get(task, read) != read]
    if changed:
        named = ", ".join(f"{env_id} level {level} seed {seed}" for env_id, level, seed in changed[:_SHOWN])
        found.append(f"{len(changed)} tasks read differently: {named}{', …' if len(changed) > _SHOWN else ''}")
    return found


def _flat(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name the differences; of the versions only those that differ."""
    plain = [{name: value for name, value in each.items() if name not in _NO_MATTER} for each in (first, second)]
    return [*differences(*plain), *differences(first.get("versions") or {}, second.get("versions") or {})]


def _rubrics(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name rubrics that differ; those of one agent's same run may, since then they are what is compared."""
    if all(first.get(name) == second.get(name) for name in ("agent", "agent_settings")):
        return []
    told = [each.get("rescored") or {} for each in (first, second)]
    rubrics = [{name: each.get(name) for name in ("rubric", "source")} for each in told]
    return differences({"rubric": rubrics[0]}, {"rubric": rubrics[1]})


def _paired(first: _Run, second: _Run, task: _Task) -> _Pair | None:
    """Return what both runs made of the samples that both have; None where there is none."""
    one, two = first.values[task], second.values.get(task, {})
    samples = sorted(one.keys() & two.keys())
    return ([one[sample] for sample in samples], [two[sample] for sample in samples]) if samples else None


def _row(pairs: Sequence[_Pair], env_id: str) -> Row:
    one, two = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    difference = paired_difference(one, two, np.random.default_rng(0))
    mean_one, mean_two = (sum(sum(task) / len(task) for task in each) / len(pairs) for each in (one, two))
    return Row(env_id=env_id, first=mean_one, second=mean_two, difference=difference, p_adjusted=difference.p)


def _flip(first: _Run, task: _Task, pair: _Pair) -> Flip:
    one, two = pair
    env_id, level, seed = task
    return Flip(
        env_id=env_id,
        level=level,
        seed=seed,
        task_id=first.reads[task][0],
        first=sum(one) / len(one),
        second=sum(two) / len(two),
    )
