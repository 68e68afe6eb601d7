"""Episodes of a run folder, be it a bench (`bench.sqlite`) or a training run (`rollouts.sqlite`), in one form.

An episode of training has more than one of a bench: its place in the training, its tokens with their mask and
log-probabilities. That stands beside it. Episodes are read a page at a time, so that any number fits.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentrl.bench.compare import expected
from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.store import FILE, BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.errors import nearest
from agentrl.envs.protocol import Failure

if TYPE_CHECKING:
    from agentrl.trainer.types import Episode as Rollout

__all__ = ["PHASES", "StoredEpisode", "StoredRun", "open_run"]

PHASES = ("train", "eval_before", "eval", "eval_after")
"""Parts of a training run."""

_ROLLOUTS = "rollouts.sqlite"


@dataclass(frozen=True, kw_only=True)
class StoredEpisode:
    """One episode with all that is stored of it."""

    episode: Episode
    more: Mapping[str, Any] = field(default_factory=dict)  # of a training run: phase, step, group, tokens, …


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run folder that can be read."""

    folder: Path
    kind: Literal["bench", "training"]
    identity: dict[str, Any]  # as a bench's
    num_episodes: int
    phase: str | None = None  # of a training run: the part that is read; None: all parts
    greedy: bool | None = None  # of a held-out part: those sampled greedily, or the others; None: both

    @property
    def path(self) -> Path:
        """The file that holds the episodes."""
        return self.folder / (FILE if self.kind == "bench" else _ROLLOUTS)

    @property
    def num_expected(self) -> int:
        """How many episodes there are once the run has ended; of a training run those that there are."""
        told = self.identity
        return expected(told) if "envs" in told or "num_episodes" in told else self.num_episodes

    def episodes(self, *, with_messages: bool = True) -> Iterator[StoredEpisode]:
        """Yield the episodes in a fixed order, those of a task side by side.

        Args:
            with_messages: False leaves the messages of a bench out, which is several times as fast.

        Raises:
            StoreError: The file cannot be read.
        """
        if self.kind == "bench":
            with BenchStore(self.folder) as store:
                for episode in store.episodes(with_messages=with_messages):
                    yield StoredEpisode(episode=episode)
            return
        from agentrl.trainer.store import RolloutStore

        num_seen: dict[tuple[str, int, int], int] = {}
        with RolloutStore(self.folder / _ROLLOUTS, read_only=True) as rollouts:
            for phase in [self.phase] if self.phase else PHASES:
                member = None if self.greedy is None else int(self.greedy)
                for rollout in rollouts.episodes(phase=phase, member=member):  # type: ignore[arg-type]  # of PHASES
                    task = (rollout.env_id, rollout.level, rollout.seed)
                    sample = num_seen[task] = num_seen.get(task, -1) + 1
                    yield _converted(rollout, phase, sample)


def open_run(folder: Path, *, phase: str | None = None, greedy: bool | None = None) -> StoredRun:
    """Return the run of a folder.

    Args:
        folder: Of a bench or of a training run.
        phase: Of a training run: one of `PHASES`; None: all.
        greedy: Of a held-out phase, in which each task is played twice: the episodes that were sampled greedily, or
            those at the evaluation's temperature; None: both.

    Raises:
        UsageError: A phase that does not exist, or of a bench; `greedy` where nothing was held out, or played so.
        StoreError: The folder holds no run, or a damaged one.
        RunFolderError: The rollouts of a training run cannot be read.
    """
    if phase is not None and phase not in PHASES:
        raise UsageError(f"phase={phase!r} does not exist{nearest(phase, PHASES)}; there are {', '.join(PHASES)}")
    if greedy is not None and phase in (None, "train"):
        raise UsageError(f"greedy={greedy} chooses among held-out episodes; name a phase: eval_before or eval_after")
    if (folder / FILE).is_file():
        if phase is not None:
            raise UsageError(f"phase={phase!r} has no effect on {folder}, which is a bench; leave it out")
        with BenchStore(folder) as store:
            return StoredRun(folder=folder, kind="bench", identity=store.identity, num_episodes=store.count())
    if not (folder / _ROLLOUTS).is_file():
        raise StoreError(
            f"{folder} holds neither {FILE} nor {_ROLLOUTS}; give the folder of a bench (agentrl bench --out) or of a "
            "training run"
        )
    from agentrl.trainer.store import RolloutStore

    with RolloutStore(folder / _ROLLOUTS, read_only=True) as rollouts:
        member = None if greedy is None else int(greedy)
        num_episodes = rollouts.count(phase=phase, member=member)  # type: ignore[arg-type]  # one of PHASES
    identity = _identity(folder, phase, num_episodes)
    if greedy is not None:
        if greedy and identity["num_samples"] < 2:
            raise UsageError(f"{folder} sampled nothing greedily (eval.greedy is false); leave --greedy out")
        identity |= {"num_samples": 1, "agent_settings": {**identity["agent_settings"], "greedy": greedy}}
    return StoredRun(
        folder=folder, kind="training", identity=identity, num_episodes=num_episodes, phase=phase, greedy=greedy
    )


def _identity(folder: Path, phase: str | None, num_episodes: int) -> dict[str, Any]:
    """Return what a bench of these episodes would say of itself."""
    path = folder / "config.toml"
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}; give the folder that agentrl train made") from error
    evaluation = config.get("eval") or {}
    held_out = phase not in (None, "train")
    env = config.get("env", "")
    level = ((config.get("curriculum") or {}).get("max_level") if held_out else None) or config.get("level")
    return {
        "agent": f"run:{folder}",
        "agent_settings": {"phase": phase or "all", "model": config.get("model", "")},
        "envs": list(env) if isinstance(env, dict) else [env],
        "levels": [] if level is None else [level],
        "split": evaluation.get("split", "test") if held_out else "train",
        "seed": config.get("seed", 0),
        "num_tasks": evaluation.get("num_episodes", 0) if held_out else config.get("groups_per_step", 0),
        "num_samples": (2 if evaluation.get("greedy", True) else 1) if held_out else config.get("group_size", 1),
        "num_episodes": num_episodes,
        "env_kwargs": config.get("env_kwargs") or {},
        "versions": {},
    }


def _converted(rollout: Rollout, phase: str, sample: int) -> StoredEpisode:
    messages = tuple(rollout.messages)
    opening = json.dumps([message.get("content") for message in messages[:2] if message.get("role") != "assistant"])
    failure = rollout.failure
    episode = Episode(
        job=Job(env_id=rollout.env_id, level=rollout.level, seed=rollout.seed, sample=sample),
        task_id=rollout.task_id or str(rollout.seed),
        prompt=hashlib.sha256(opening.encode()).hexdigest()[:16],
        reward=rollout.reward if failure is None and rollout.reward == rollout.reward else 0.0,
        rewards=rollout.rewards if failure is None else {},
        turn_rewards=tuple(rollout.turn_rewards) if failure is None else (),
        turn_components=tuple(rollout.turn_components) if failure is None else (),
        # What was cut for want of room never heard, and is not solved; as the trainer counts it.
        success=False if rollout.success is None and rollout.truncated_by == "context" else rollout.success,
        truncated=rollout.truncated_by is not None,
        num_turns=rollout.num_turns,
        failure=None if failure is None else _failure(failure),
        num_attempts=rollout.attempt + 1,
        seconds=rollout.timings.get("episode_s", 0.0),
        prompt_tokens=_read(rollout),
        completion_tokens=sum(rollout.mask),
        messages=messages,
    )
    more = {
        "phase": phase,
        "step": rollout.step,
        "group": rollout.group,
        "member": rollout.member,
        "split": rollout.split,
        "truncated_by": rollout.truncated_by,
        "advantage": rollout.advantage,
        "versions": rollout.versions,
        "timings": rollout.timings,
        "turn_lengths": rollout.turn_lengths,
        "turn_segments": rollout.turn_segments,
        "segments": rollout.segments,
        "turn_advantages": rollout.turn_advantages,
        "token_ids": rollout.token_ids,
        "mask": rollout.mask,
        "logprobs": rollout.logprobs,
    }
    return StoredEpisode(episode=episode, more=more)


def _read(rollout: Rollout) -> int:
    """Return the tokens that all turns read, each from the beginning of its conversation."""
    read = start = 0
    for length in rollout.segments or [len(rollout.mask)]:
        mask = rollout.mask[start : start + length]
        read += sum(at for at, now in enumerate(mask) if now and not (at and mask[at - 1]))
        start += length
    return read


def _failure(told: Mapping[str, Any]) -> Failure:
    return Failure(
        kind=str(told.get("kind", "")), boundary=str(told.get("boundary", "")), message=str(told.get("message", ""))
    )
