"""Score stored episodes with another rubric, without running them again, into a run folder of their own.

A rubric is one of TOML (`agentrl.envs.rubrics`), or any function of one `Transcript` that returns a number (the
reward), named components (the reward is their sum), or a `Score`, which may also say whether the episode succeeded;
else that stays as the environment said. What an environment keeps to itself is not stored, and asking for it ends the
re-scoring; accepted answers are asked of the environment, whose task is set up again. An episode that a rubric cannot
score has failed, at the boundary that the rubric names: it counts for nothing, as do episodes that had failed before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agentrl.bench.errors import UsageError
from agentrl.bench.scores import score_each
from agentrl.bench.store import FILE, BenchStore
from agentrl.bench.stored import StoredRun
from agentrl.bench.transcripts import References, groups_of, transcript_of
from agentrl.bench.types import Episode, Job
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.errors import UsageError as EnvUsageError
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.functions import load_function, source_digest
from agentrl.envs.protocol import Failure
from agentrl.envs.rubrics import Rubric, from_toml
from agentrl.envs.rubrics import Score as RubricScore
from agentrl.envs.rubrics.transcript import HiddenError, Transcript
from agentrl.envs.rubrics.waiting import wait_for_all

__all__ = ["STORED", "Change", "Rescored", "Score", "Scoring", "load_scoring", "rescore"]

STORED = "stored"
"""The rubric that gives what is stored: with it a part of a training run becomes a bench, to be compared."""

_MOST_NAMED = 20  # episodes that are named in `Rescored.errors`
_PAGE = 256


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a rubric may return."""

    reward: float
    rewards: Mapping[str, float] = field(default_factory=dict)  # components
    success: bool | None = None  # None: as the environment said


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What scores episodes: a rubric or a function, by its name, with a digest of what it was read from."""

    name: str
    source: str
    score: Callable[[Transcript], Any] | None = None
    rubric: Rubric | None = None
    text: str = ""  # of a rubric: its TOML


@dataclass(frozen=True, kw_only=True)
class Change:
    """An episode whose reward or success is another now."""

    old: Episode
    new: Episode

    @property
    def difference(self) -> float:
        """How much higher the reward is now."""
        return self.new.reward - self.old.reward

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: which episode, and what was and is."""
        return {
            **vars(self.new.job),
            "task_id": self.new.task_id,
            "difference": self.difference,
            "reward": [self.old.reward, self.new.reward],
            "success": [self.old.success, self.new.success],
            "rewards": [dict(self.old.rewards), dict(self.new.rewards)],
        }


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What came of it."""

    folder: Path
    num_scored: int
    num_failed_before: int  # episodes that had failed, which stay as they are
    num_errors: int  # episodes that could not be scored
    num_changed: int  # episodes whose reward or success is another now; all are in `differences.jsonl`
    errors: tuple[str, ...]  # the first of them, each named
    changes: tuple[Change, ...]  # those that changed most


def load_scoring(name: str) -> Scoring:
    """Return what scores episodes by its name: `stored`, the path of a rubric, or MODULE:CALLABLE.

    Raises:
        UsageError: There is none.
    """
    if name == STORED:
        return Scoring(name=STORED, source="", score=_as_stored)
    if name.endswith(".toml") or Path(name).is_file():
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--rubric {name} cannot be read: {error}; give the path of a .toml file") from error
        rubric = from_toml(text, place=name)
        uses = [each.use for each in rubric.components if isinstance(each.use, str) and ":" in each.use]
        sources = [text, *(source_digest(use.partition(":")[0]) for use in uses)]  # of factories of the user's own too
        digest = hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]
        return Scoring(name=name, source=digest, rubric=rubric, text=text)
    example = f"--rubric FILE.toml, --rubric MODULE:CALLABLE, or --rubric {STORED}"
    function = load_function(f"rubric {name!r}", name, example=example)
    return Scoring(name=name, source=source_digest(name.partition(":")[0]), score=function)


def rescore(
    run: StoredRun,
    scoring: Scoring,
    folder: Path,
    *,
    turn_s: float = 60.0,
    on_episode: Callable[[Episode], None] | None = None,
) -> Rescored:
    """Score a run's episodes anew; what was begun and stopped goes on.

    Args:
        run: Left as it is.
        scoring: Scores an episode, or the samples of a task.
        folder: Of the new run; not that of the old one.
        turn_s: Seconds that an async function may take for an episode; a rubric has a deadline of its own.
        on_episode: Told of each episode that was scored.

    Raises:
        UsageError: There is nothing to score, the folders are one, or the rubric wants what is not stored.
        StoreError: The new folder holds another run, or cannot be written.
    """
    if folder.resolve() == run.folder.resolve():
        raise UsageError(f"--out {folder} is the run itself, which is never changed; name another folder")
    if not run.num_episodes:
        part = f"no episodes of {run.phase}" if run.phase else "no episodes"
        raise UsageError(f"{run.folder} holds {part}; there is nothing to score")
    identity = _identity(run, scoring)
    done = _done(folder, identity)
    scorer = _Scorer(scoring, run, done, turn_s)
    try:
        pages = (scorer.page(page) for page in _pages(run, _PAGE))
        first = next(pages)  # a rubric that cannot work leaves no folder
        with BenchStore(folder, identity) as store, _Differences(folder) as differences:
            if scoring.text:
                (folder / "rubric.toml").write_text(scoring.text, encoding="utf-8")
            for page in itertools.chain([first], pages):
                store.add_all([new for _, new in page if new.job not in done])
                for old, new in page:
                    differences.note(old, new)
                    if on_episode is not None:
                        on_episode(new)
    finally:
        scorer.close()
    return scorer.result(folder, differences)


def _identity(run: StoredRun, scoring: Scoring) -> dict[str, Any]:
    """Return the old run's identity, with the rubric and where the episodes are from."""
    told = json.dumps(run.identity, sort_keys=True)
    came_from = {"run": str(run.folder), "identity": hashlib.sha256(told.encode()).hexdigest()[:16]}
    rescored = {"rubric": scoring.name, "source": scoring.source, "from": came_from}
    return {**run.identity, "rescored": rescored}


def _done(folder: Path, identity: dict[str, Any]) -> dict[Job, Episode]:
    """Return what an earlier beginning has scored, which is not scored again: a judge may say another thing today."""
    if not (folder / FILE).is_file():
        return {}
    with BenchStore(folder, identity) as store:
        return {each.job: each for each in store.episodes(with_messages=False) if each.failure is None}


def _pages(run: StoredRun, size: int) -> Iterator[list[list[Episode]]]:
    """Yield whole groups, so many that they hold at least `size` episodes."""
    page: list[list[Episode]] = []
    for group in groups_of(run):
        page.append([each.episode for each in group])
        if sum(map(len, page)) >= size:
            yield page
            page = []
    if page:
        yield page


class _Differences:
    """Writes `differences.jsonl`, a line for each episode that changed, and keeps those that changed most."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "differences.jsonl"
        self._half = folder / "differences.jsonl.half"  # until all are there
        self.num = 0
        self._most: list[tuple[float, int, Change]] = []

    def __enter__(self) -> Self:
        self._file = self._half.open("w", encoding="utf-8")
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._file.close()
        if kind is None:
            self._half.replace(self._path)
        else:
            self._half.unlink(missing_ok=True)

    def note(self, old: Episode, new: Episode) -> None:
        """Take down an episode that changed."""
        if new.failure is not None or (old.reward, old.success) == (new.reward, new.success):
            return
        change = Change(old=old, new=new)
        self._file.write(json.dumps(change.as_dict()) + "\n")
        self.num += 1
        entry = (abs(change.difference), -self.num, change)
        if len(self._most) < _MOST_NAMED:
            heapq.heappush(self._most, entry)
        else:
            heapq.heappushpop(self._most, entry)

    def most(self) -> tuple[Change, ...]:
        """Return those that changed most, the greatest first."""
        return tuple(change for _, _, change in sorted(self._most, key=lambda entry: entry[:2], reverse=True))


class _Scorer:
    """Applies a rubric and counts what comes of it."""

    def __init__(self, scoring: Scoring, run: StoredRun, done: Mapping[Job, Episode], turn_s: float) -> None:
        self._scoring, self._done = scoring, done
        self._loop = LoopThread(turn_s)
        self._references = References(run)
        self._num_scored = self._num_failed_before = self._num_errors = 0
        self._errors: list[str] = []

    def page(self, groups: Sequence[Sequence[Episode]]) -> list[tuple[Episode, Episode]]:
        """Return the episodes of some groups, each with itself as it is scored now.

        Raises:
            UsageError: The rubric wants what is not stored.
        """
        open_ones = [self._open(group) for group in groups]
        try:
            found = (
                self._by_rubric(open_ones)
                if self._scoring.rubric
                else [[self._by_function(each) for each in group] for group in open_ones]
            )
        except (HiddenError, EnvUsageError) as error:
            raise UsageError(f"rubric {self._scoring.name!r} cannot score stored episodes: {error}") from error
        scores: dict[Job, Score | Failure] = {
            old.job: Score(reward=each.reward, rewards=each.rewards, success=each.success)
            for group in groups
            for old in group
            if (each := self._done.get(old.job)) is not None
        }
        for group, many in zip(open_ones, found, strict=True):
            scores |= {each.job: score for each, score in zip(group, many, strict=True) if each.job not in self._done}
        return [(old, self._noted(old, scores.get(old.job))) for group in groups for old in group]

    def result(self, folder: Path, differences: _Differences) -> Rescored:
        """Return the counts."""
        return Rescored(
            folder=folder,
            num_scored=self._num_scored,
            num_failed_before=self._num_failed_before,
            num_errors=self._num_errors,
            num_changed=differences.num,
            errors=tuple(self._errors),
            changes=differences.most(),
        )

    def close(self) -> None:
        """End the event loop, where an async function has begun one, and close the environments."""
        self._loop.close()
        self._references.close()

    def _open(self, group: Sequence[Episode]) -> list[Episode]:
        """Return what of a group is to be scored: for a rubric that sees groups all of one that is not done."""
        whole = [each for each in group if each.failure is None]
        missing = [each for each in whole if each.job not in self._done]
        sees_group = self._scoring.rubric is not None and self._scoring.rubric.sees_group
        return whole if sees_group and missing else missing

    def _noted(self, old: Episode, score: Score | Failure | None) -> Episode:
        """Return an episode with its new score; None: it had failed before."""
        if score is None:
            self._num_failed_before += 1
            return old
        if isinstance(score, Score):
            self._num_scored += 1
            success = old.success if score.success is None else score.success
            return dataclasses.replace(old, reward=score.reward, rewards=dict(score.rewards), success=success)
        self._num_errors += 1
        if len(self._errors) < _MOST_NAMED:
            job = old.job
            place = f"{job.env_id} level {job.level} seed {job.seed} sample {job.sample}"
            self._errors.append(f"{place}: {score['message']}")
        return dataclasses.replace(old, reward=0.0, rewards={}, success=None, failure=score)

    def _by_function(self, old: Episode) -> Score | Failure:
        assert self._scoring.score is not None
        try:
            found = self._scoring.score(transcript_of(old))
            if inspect.iscoroutine(found):
                found = self._loop.wait(found)
            return _as_score(found, self._scoring.name.rpartition(":")[2])
        except (HiddenError, EnvUsageError):
            raise
        except Exception as error:
            return Failure(kind="error", boundary="rubric", message=f"{type(error).__name__}: {error}")

    def _by_rubric(self, groups: Sequence[Sequence[Episode]]) -> list[list[Score | Failure]]:
        """Score groups at once, so that judges are asked side by side."""
        rubric = self._scoring.rubric
        assert rubric is not None
        seen = [[transcript_of(each) for each in group] for group in groups]
        if rubric.needs_reference:
            seen = [self._references.filled(group) if group else [] for group in seen]
        found = wait_for_all([score_each(rubric, group) for group in seen], None)
        return [[_plain(each) if isinstance(each, RubricScore) else _failure(each) for each in many] for many in found]


def _plain(score: RubricScore) -> Score:
    return Score(reward=score.reward, rewards=score.values)


def _failure(error: InfrastructureError) -> Failure:
    return Failure(kind=error.kind, boundary=error.boundary, message=str(error))


def _as_score(found: Any, name: str) -> Score:
    """Return what a function gave as a score.

    Raises:
        TypeError: It is none.
        ValueError: A number is not finite.
    """
    if isinstance(found, Mapping):
        parts = {str(part): _number(value, str(part)) for part, value in found.items()}
        found = Score(reward=sum(parts.values()), rewards=parts)
    elif not isinstance(found, Score):
        reward = _number(found, name)
        found = Score(reward=reward, rewards={name: reward})
    if found.success is not None and not isinstance(found.success, bool):
        raise TypeError(f"success is {found.success!r:.80}, but must be True, False or None")
    rewards = {str(part): _number(value, str(part)) for part, value in found.rewards.items()}
    return Score(reward=_number(found.reward, "reward"), rewards=rewards, success=found.success)


def _as_stored(episode: Transcript) -> Score:
    return Score(reward=episode.reward, rewards=episode.rewards)


def _number(value: Any, name: str) -> float:
    """Return a finite number; numpy's and the like are welcome.

    Raises:
        TypeError: It is none.
        ValueError: It is not finite.
    """
    if value is None or isinstance(value, str | bytes):
        raise TypeError(f"{name} is {value!r:.80}, but must be a number")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {value!r:.80}, but must be a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, but must be finite")
    return number
