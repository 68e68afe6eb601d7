"""Stored episodes as rubrics see them, alone and in groups, with the accepted answers of their tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium

from agentrl.bench.errors import UsageError
from agentrl.bench.stored import StoredEpisode, StoredRun
from agentrl.bench.types import Episode
from agentrl.envs.functions import find_here
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["References", "groups_of", "transcript_of"]


def transcript_of(episode: Episode) -> Transcript:
    """Return what a rubric sees of a stored episode; tools and accepted answers are not stored."""
    return Transcript(
        **vars(episode.job),
        task_id=episode.task_id,
        messages=tuple(dict(message) for message in episode.messages),
        reward=episode.reward,
        rewards=dict(episode.rewards),
        success=episode.success,
        truncated=episode.truncated,
        seconds=episode.seconds,
        latencies=episode.latencies,
        prompt_tokens=episode.prompt_tokens,
        completion_tokens=episode.completion_tokens,
        tamper=("tamper",) if episode.rewards.get("tamper") else (),
    )


def groups_of(run: StoredRun) -> Iterator[list[StoredEpisode]]:
    """Yield the episodes of a run by groups: samples of one task, in training those that were sampled together."""
    group: list[StoredEpisode] = []
    last: tuple[Any, ...] | None = None
    for each in run.episodes():
        job = each.episode.job
        which = (job.env_id, job.level, job.seed, each.more.get("phase"), each.more.get("step"), each.more.get("group"))
        if which != last and group:
            yield group
            group = []
        last = which
        group.append(each)
    if group:
        yield group


class References:
    """Accepted answers of stored tasks: each is set up again from its seed, and asked.

    Args:
        run: Says with which arguments its environments were made.
    """

    def __init__(self, run: StoredRun) -> None:
        self._run = run
        self._envs: dict[str, gymnasium.Env[Any, Any]] = {}

    def close(self) -> None:
        """Close the environments; calling it again does nothing."""
        envs, self._envs = self._envs, {}
        for env in envs.values():
            env.close()

    def filled(self, episodes: Sequence[Transcript]) -> list[Transcript]:
        """Return the transcripts of one task with its accepted answers.

        Raises:
            UsageError: The environment tells none, or poses another task now.
        """
        found = self._of(episodes[0]) if episodes else ()
        return [replace(each, references=found) for each in episodes]

    def _of(self, episode: Transcript) -> tuple[str, ...]:
        env = self._env(episode.env_id)
        options = {
            "split": self._run.identity.get("split", "test"),
            **({"level": episode.level} if episode.level else {}),
        }
        observation, _ = env.reset(seed=episode.seed, options=options)
        if observation != episode.question:
            raise UsageError(
                f"{episode.env_id} seed {episode.seed} asks {observation!r:.80} now, and asked "
                f"{episode.question!r:.80}: it has changed since. Bench again, or write reference = … in the rubric"
            )
        tell: Callable[[], Sequence[str]] = env.get_wrapper_attr("references")
        return tuple(tell())

    def _env(self, env_id: str) -> gymnasium.Env[Any, Any]:
        if env_id not in self._envs:
            kwargs: Mapping[str, Any] = self._run.identity.get("env_kwargs") or {}
            if ":" in env_id:
                find_here(env_id.partition(":")[0])
            try:
                env = self._envs[env_id] = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
            except Exception as error:  # somebody else's code
                raise UsageError(
                    f"{env_id}, which tells the accepted answers, cannot be made: {type(error).__name__}: {error}; go "
                    "to the folder that holds it, or write reference = … in the rubric"
                ) from error
            if not env.has_wrapper_attr("references"):
                raise UsageError(
                    f"the rubric compares with accepted answers, and {env_id} tells none: give its environment a "
                    "method references(), or write reference = … in the component"
                )
        return self._envs[env_id]
