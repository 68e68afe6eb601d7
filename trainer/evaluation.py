"""Held-out tasks, played before, during and after training: once sampled, once greedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Literal

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.groups import Draw
from agentrl.trainer.metrics import success_rate
from agentrl.trainer.mixture import env_metrics
from agentrl.trainer.progress import Progress
from agentrl.trainer.rollout import Task
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode

__all__ = ["HeldOut", "Phase", "check_usable"]

Phase = Literal["eval_before", "eval_after", "eval"]


class HeldOut:
    """Plays the held-out tasks of each environment, always the same ones.

    Args:
        config: Of the run.
        run_dir: Keeps the results of `eval_before`, which survive a resume.
        draw: Draws the tasks.
        store: Takes the episodes.
        play: Plays tasks.
        progress: Is told the results.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_dir: RunDir,
        *,
        draw: Draw,
        store: RolloutStore,
        play: Callable[[Sequence[Task]], list[Episode]],
        progress: Progress,
    ) -> None:
        self._config, self._dir, self._draw, self._store = config, run_dir, draw, store
        self._play, self._progress = play, progress

    def play(self, phase: Phase, step: int) -> dict[str, float]:
        """Return `success` and `greedy`, rewards and failures, of all environments and of each.

        Raises:
            TrainerError: Every episode failed, or none could begin.
        """
        evaluation, config = self._config.eval, self._config
        kept = self._dir.path / f"{phase}.json"
        if phase == "eval_before" and kept.exists():
            loaded: dict[str, float] = json.loads(kept.read_text())
            return loaded
        if not evaluation.num_episodes:
            return {}
        self._progress.note(f"{evaluation.num_episodes} held-out episodes …")
        result: dict[str, float] = {}
        for member, (name, temperature) in enumerate(
            [("success", evaluation.temperature), ("greedy", 0.0)][: 1 + evaluation.greedy]
        ):
            tasks = self._draw.held_out(
                step,
                num_tasks=evaluation.num_episodes,
                split=evaluation.split,
                level=config.curriculum.max_level or config.level,
                member=member,
                temperature=temperature,
            )
            episodes = self._play(tasks)
            self._store.add(episodes, phase=phase)
            check_usable(episodes, f"held-out episodes of {evaluation.split!r}", config, self._dir)
            result |= _result(name, episodes)
        self._progress.note(
            " · ".join(
                f"{name} {value:.1%}" if name in ("success", "greedy") else f"{name} {value:.3g}"
                for name, value in result.items()
                if not name.endswith("failures")
            )
        )
        if phase == "eval_before":
            self._dir.write_json(kept.name, result)
        return result


def check_usable(episodes: Sequence[Episode], what: str, config: TrainConfig, run_dir: RunDir) -> None:
    """Refuse episodes of which nothing can be learnt.

    Raises:
        TrainerError: Every one failed, or none could begin.
    """
    failures = [episode.failure for episode in episodes if episode.failure is not None]
    if len(failures) == len(episodes):
        first = failures[0]
        raise TrainerError(
            f"all {len(episodes)} {what} failed; the first: {first['boundary']}: {first['message']}. "
            f"Mend it, then agentrl train --resume {run_dir.path}"
        )
    if not any(any(episode.mask) for episode in episodes):
        shortest = min(len(episode.token_ids) for episode in episodes if episode.failure is None)
        raise TrainerError(
            f"none of {len(episodes)} {what} could begin: the shortest prompt has {shortest} tokens, and "
            f"rollout.max_episode_tokens is {config.rollout.max_episode_tokens}; start again with a larger one"
        )


def _result(name: str, episodes: list[Episode]) -> dict[str, float]:
    valid = [episode for episode in episodes if episode.failure is None]
    rate = success_rate(valid)
    result = {} if rate is None else {name: rate}
    result[f"{name}_reward"] = fmean(episode.reward for episode in valid)
    for key, value in env_metrics(episodes).items():  # success, success/<env>, reward/<env>
        kind, slash, env = key.partition("/")
        result[f"{name}_reward/{env}" if kind == "reward" else f"{name}{slash}{env}"] = value
    result[f"{name}_failures"] = float(len(episodes) - len(valid))
    return result
