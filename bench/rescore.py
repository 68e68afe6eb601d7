"""Score stored episodes with another rubric, without running them again, into a run folder of their own.

A rubric is any function of one `Transcript`. It returns a number (the reward), named components (the reward is their
sum), or a `Score`, which may also say whether the episode succeeded; else that stays as the environment said. What an
environment keeps to itself, such as expected answers, is not stored, and asking for it ends the re-scoring. A rubric
that raises on an episode, or returns no number, has not scored it: that is a failure at the boundary "rubric", counted
for nothing, as are episodes that had failed before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.store import BenchStore
from agentrl.bench.stored import StoredEpisode, StoredRun
from agentrl.bench.types import Episode
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.functions import load_function, source_digest
from agentrl.envs.protocol import Failure
from agentrl.envs.turns import final_answers

__all__ = ["STORED", "HiddenError", "Rescored", "Rubric", "Score", "Transcript", "load_rubric", "rescore"]

STORED = "stored"
"""The rubric that gives what is stored: with it a part of a training run becomes a bench, to be compared."""

_MOST_NAMED = 20  # episodes that are named in `Rescored.errors`
_PAGE = 256


class HiddenError(BenchError, AttributeError):
    """A rubric asked an episode for what is not stored; the message says what is."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What a rubric sees of an episode."""

    env_id: str
    level: int  # 0: the environment's own default
    seed: int
    sample: int
    task_id: str
    system: str  # the system prompt; empty where there is none
    question: str  # the first observation
    messages: tuple[dict[str, Any], ...]  # role, content and, of a tool, its name
    turns: tuple[str, ...]  # what the agent said
    answers: tuple[str, ...]  # what its last turn gave in <answer> tags
    reward: float  # as stored, from the environment's own rubric
    rewards: Mapping[str, float]
    success: bool | None
    truncated: bool
    num_turns: int
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join(each.name for each in dataclasses.fields(Transcript))
        raise HiddenError(
            f"a stored episode has no {name!r}: expected answers, files and other state of the environment are not "
            f"stored. There are {known}; for more, bench again"
        )


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a rubric may return."""

    reward: float
    rewards: Mapping[str, float] = field(default_factory=dict)  # components
    success: bool | None = None  # None: as the environment said


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """A rubric by its name, with a digest of the file that holds it."""

    name: str
    source: str
    score: Callable[[Transcript], Any]


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What came of it."""

    folder: Path
    num_scored: int
    num_failed_before: int  # episodes that had failed, which stay as they are
    num_errors: int  # episodes that the rubric raised on, or gave no number for
    num_changed: int  # episodes whose reward or success is another now
    errors: tuple[str, ...]  # the first of them, each named


def load_rubric(name: str) -> Rubric:
    """Return a rubric by its name: `stored`, or MODULE:CALLABLE.

    Raises:
        UsageError: There is none.
    """
    if name == STORED:
        return Rubric(name=STORED, source="", score=_as_stored)
    function = load_function(f"rubric {name!r}", name, example=f"--rubric MODULE:CALLABLE, or --rubric {STORED}")
    return Rubric(name=name, source=source_digest(name.partition(":")[0]), score=function)


def rescore(
    run: StoredRun,
    rubric: Rubric,
    folder: Path,
    *,
    turn_s: float = 60.0,
    on_episode: Callable[[Episode], None] | None = None,
) -> Rescored:
    """Score a run's episodes anew; what was begun and stopped goes on.

    Args:
        run: Left as it is.
        rubric: Scores an episode.
        folder: Of the new run; not that of the old one.
        turn_s: Seconds that an async rubric may take for an episode.
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
    scorer = _Scorer(rubric, turn_s)
    try:
        pages = ([scorer.episode(each.episode) for each in page] for page in _pages(run, _PAGE))
        first = next(pages)  # a rubric that cannot work leaves no folder
        with BenchStore(folder, _identity(run, rubric)) as store:
            done = store.done()
            for page in itertools.chain([first], pages):
                store.add_all([each for each in page if each.job not in done])
                if on_episode is not None:
                    for each in page:
                        on_episode(each)
    finally:
        scorer.close()
    return scorer.result(folder)


def _identity(run: StoredRun, rubric: Rubric) -> dict[str, Any]:
    """Return the old run's identity, with the rubric and where the episodes are from."""
    told = json.dumps(run.identity, sort_keys=True)
    came_from = {"run": str(run.folder), "identity": hashlib.sha256(told.encode()).hexdigest()[:16]}
    rescored = {"rubric": rubric.name, "source": rubric.source, "from": came_from}
    return {**run.identity, "rescored": rescored}


def _pages(run: StoredRun, size: int) -> Iterator[list[StoredEpisode]]:
    page: list[StoredEpisode] = []
    for episode in run.episodes():
        page.append(episode)
        if len(page) == size:
            yield page
            page = []
    yield page


class _Scorer:
    """Applies a rubric and counts what comes of it."""

    def __init__(self, rubric: Rubric, turn_s: float) -> None:
        self._rubric = rubric
        self._loop = LoopThread(turn_s)
        self.num_scored = self.num_failed_before = self.num_errors = self.num_changed = 0
        self.errors: list[str] = []

    def episode(self, old: Episode) -> Episode:
        """Return an episode with its new score."""
        if old.failure is not None:
            self.num_failed_before += 1
            return old
        try:
            score = self._score(old)
        except HiddenError as error:
            raise UsageError(f"rubric {self._rubric.name!r} cannot score stored episodes: {error}") from error
        except Exception as error:
            job = old.job
            message = f"{type(error).__name__}: {error}"
            self.num_errors += 1
            if len(self.errors) < _MOST_NAMED:
                self.errors.append(f"{job.env_id} level {job.level} seed {job.seed} sample {job.sample}: {message}")
            failure = Failure(kind="error", boundary="rubric", message=message)
            return dataclasses.replace(old, reward=0.0, rewards={}, success=None, failure=failure)
        success = old.success if score.success is None else score.success
        self.num_scored += 1
        self.num_changed += (score.reward, success) != (old.reward, old.success)
        return dataclasses.replace(old, reward=score.reward, rewards=dict(score.rewards), success=success)

    def result(self, folder: Path) -> Rescored:
        """Return the counts."""
        return Rescored(
            folder=folder,
            num_scored=self.num_scored,
            num_failed_before=self.num_failed_before,
            num_errors=self.num_errors,
            num_changed=self.num_changed,
            errors=tuple(self.errors),
        )

    def close(self) -> None:
        """End the event loop, where an async rubric has begun one."""
        self._loop.close()

    def _score(self, old: Episode) -> Score:
        found = self._rubric.score(_transcript(old))
        if inspect.iscoroutine(found):
            found = self._loop.wait(found)
        name = self._rubric.name.rpartition(":")[2]
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


def _transcript(episode: Episode) -> Transcript:
    messages = tuple(dict(message) for message in episode.messages)
    turns = tuple(str(each.get("content", "")) for each in messages if each.get("role") == "assistant")
    system = [str(each.get("content", "")) for each in messages[:1] if each.get("role") == "system"]
    asked = [str(each.get("content", "")) for each in messages[:2] if each.get("role") == "user"]
    return Transcript(
        **vars(episode.job),
        task_id=episode.task_id,
        system="".join(system),
        question="".join(asked[:1]),
        messages=messages,
        turns=turns,
        answers=tuple(final_answers(turns[-1])) if turns else (),
        reward=episode.reward,
        rewards=dict(episode.rewards),
        success=episode.success,
        truncated=episode.truncated,
        num_turns=episode.num_turns,
        seconds=episode.seconds,
        prompt_tokens=episode.prompt_tokens,
        completion_tokens=episode.completion_tokens,
    )


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
