"""Score labelled episodes of a run with a rubric, component by component, for tuning.

Where a component sees the group, the episodes of the group are scored together, labelled or not. An episode that
failed, that the rubric cannot score, or whose gate is closed has no part in a fit: behind a closed gate the reward is
no weighted sum of the components.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agentrl.bench.errors import UsageError
from agentrl.bench.rubrics.labels import Key, Label, Labels, key_of
from agentrl.bench.scores import score_each
from agentrl.bench.stored import PHASES, StoredEpisode, StoredRun
from agentrl.bench.transcripts import References, groups_of, transcript_of
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.rubrics import Rubric, Score, Transcript
from agentrl.envs.rubrics.tuning import Examples
from agentrl.envs.rubrics.waiting import wait_for_all

__all__ = ["Measured", "measure"]

_AT_ONCE = 16  # groups whose judges are waited for side by side
_MOST_NAMED = 5

_Scored = list[tuple[StoredEpisode, Score | InfrastructureError]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Labels over the values of components, and what was left out."""

    examples: Examples
    num_failed: int  # labelled episodes that had failed, or whose success nobody told
    num_unscored: int  # labelled episodes that the rubric could not score
    unscored: tuple[str, ...]  # the first of them, with the reason
    closed: dict[str, int]  # by gate, how many labelled episodes it takes out
    num_episodes: int  # labelled episodes that are left


def measure(run: StoredRun, rubric: Rubric, labels: Labels | None) -> Measured:
    """Return the labels of a run's episodes over the rubric's values.

    Args:
        run: Where the episodes are.
        rubric: Scores them.
        labels: What was said of them; None: the stored success of every episode.

    Raises:
        UsageError: A label names an episode that is not there, or success would be fitted to itself.
    """
    if labels is None:
        _check_success(rubric)
    wanted = None if labels is None else {key for label in labels.labels for key in label.keys}
    at: dict[Key, int] = {}
    values: list[list[float]] = []
    tasks: list[str] = []
    succeeded: list[float] = []
    closed: dict[str, int] = {}
    seen: set[Key] = set()
    failed: set[Key] = set()
    unscored: dict[Key, str] = {}
    names = tuple(rubric.weights)
    for stored, score in _scores(run, rubric, wanted):
        key, episode = key_of(stored, run.kind), stored.episode
        if wanted is not None and key not in wanted:
            continue
        seen.add(key)
        if episode.failure is not None or (labels is None and episode.success is None):
            failed.add(key)
        elif isinstance(score, InfrastructureError):
            unscored[key] = str(score)
        elif score.closed:
            for name in score.closed:
                closed[name] = closed.get(name, 0) + 1
        else:
            at[key] = len(values)
            values.append([score.values[name] for name in names])
            # By the task's own name: an environment over few rows asks each of them under many seeds.
            tasks.append(f"{episode.job.env_id} level {episode.job.level} task {episode.task_id}")
            succeeded.append(float(episode.success or 0))
    if labels is not None:
        _check_there(labels, seen, run)
    kept = [] if labels is None else [each for each in labels.labels if all(key in at for key in each.keys)]
    if labels is None:
        episodes, told = np.arange(len(values)), np.array(succeeded)
    else:
        shape = (len(kept), 2) if labels.kind == "preferences" else (len(kept),)
        episodes = np.array([at[key] for each in kept for key in each.keys], dtype=np.int64).reshape(shape)
        told = np.array([each.value for each in kept])
    if unscored and not values:
        key, why = next(iter(unscored.items()))
        raise UsageError(f"the rubric could score none of the labelled episodes; {_named(key)}: {why}")
    return Measured(
        examples=Examples(
            kind="classes" if labels is None else labels.kind,
            names=names,
            values=np.array(values, dtype=np.float64).reshape(len(values), len(names)),
            tasks=tuple(tasks),
            episodes=episodes.astype(np.int64),
            labels=told.astype(np.float64),
        ),
        num_failed=len(failed),
        num_unscored=len(unscored),
        unscored=tuple(f"{_named(key)}: {why}" for key, why in itertools.islice(unscored.items(), _MOST_NAMED)),
        closed=closed,
        num_episodes=len(values),
    )


def _check_success(rubric: Rubric) -> None:
    for each in rubric.components:
        if each.use == "success":
            raise UsageError(
                f"component {each.name!r} is the success itself, to which alone labels of success would be fitted; "
                "take it out of the rubric, or give labels of your own"
            )


def _check_there(labels: Labels, seen: set[Key], run: StoredRun) -> None:
    absent: list[tuple[Label, Key]] = [(each, key) for each in labels.labels for key in each.keys if key not in seen]
    if absent:
        label, key = absent[0]
        more = f", and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UsageError(
            f"{label.place} names an episode that {run.folder} has not: {_named(key)}{more}; agentrl view {run.folder} "
            "shows those that there are"
        )


def _scores(
    run: StoredRun, rubric: Rubric, wanted: set[Key] | None
) -> Iterator[tuple[StoredEpisode, Score | InfrastructureError]]:
    """Yield the run's episodes with their scores; where nothing sees the group, those that are wanted only."""
    references = References(run)
    try:
        groups = _seen_groups(run, rubric, wanted, references)
        while page := list(itertools.islice(groups, _AT_ONCE)):
            waiting = [_group_scores(rubric, episodes, seen) for episodes, seen in page]
            for scored in wait_for_all(waiting, rubric.deadline_s * _AT_ONCE):  # each has a deadline of its own
                yield from scored
    finally:
        references.close()


def _seen_groups(
    run: StoredRun, rubric: Rubric, wanted: set[Key] | None, references: References
) -> Iterator[tuple[list[StoredEpisode], list[Transcript]]]:
    """Yield the groups that are wanted as they are stored, and as the rubric sees those that did not fail."""
    for group in groups_of(run):
        chosen = [each for each in group if wanted is None or key_of(each, run.kind) in wanted]
        if not chosen:
            continue
        episodes = group if rubric.sees_group else chosen
        seen = [transcript_of(each.episode) for each in episodes if each.episode.failure is None]
        yield episodes, references.filled(seen) if rubric.needs_reference else seen


async def _group_scores(rubric: Rubric, episodes: Sequence[StoredEpisode], seen: Sequence[Transcript]) -> _Scored:
    failure = InfrastructureError("it failed", kind="failed", boundary="episode")
    whole = [each for each in episodes if each.episode.failure is None]
    found: _Scored = [(each, failure) for each in episodes if each.episode.failure is not None]
    return found + list(zip(whole, await score_each(rubric, seen), strict=True))


def _named(key: Key) -> str:
    if key[0] in PHASES:
        return f"{key[0]} step {key[1]} group {key[2]} member {key[3]}"
    return f"{key[0]} level {key[1]} seed {key[2]} sample {key[3]}"
