"""What a whole run scored, summed up as its episodes pass: nothing of them is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentrl.bench.types import Episode, Job

__all__ = ["Totals"]


@dataclass(kw_only=True)
class _Sum:
    """Mean and standard error over tasks, by Welford's method."""

    num_tasks: int = 0
    num_episodes: int = 0
    mean: float = 0.0
    squares: float = 0.0
    task_sum: float = 0.0
    task_size: int = 0

    def add(self, value: float) -> None:
        """Count an episode of the task that is open."""
        self.num_episodes += 1
        self.task_sum += value
        self.task_size += 1

    def end_task(self) -> None:
        """Count the open task, and open another."""
        if self.task_size:
            value = self.task_sum / self.task_size
            self.num_tasks += 1
            off = value - self.mean
            self.mean += off / self.num_tasks
            self.squares += off * (value - self.mean)
        self.task_sum, self.task_size = 0.0, 0

    @property
    def stderr(self) -> float:
        """The standard error of the mean over tasks; 0 where there is one task."""
        return math.sqrt(self.squares / (self.num_tasks - 1) / self.num_tasks) if self.num_tasks > 1 else 0.0


class Totals:
    """Sums over episodes that come task by task, of all environments and of each."""

    def __init__(self) -> None:
        self.num_episodes = self.num_failures = self.num_tasks = 0
        self.num_epochs = 1  # most episodes of a task
        self.num_tokens: tuple[int, int] | None = None  # read and written; None where nobody counted
        self._task: tuple[str, int, int] | None = None
        self._sums: dict[tuple[str, str], _Sum] = {}  # (score, environment or "" for all)

    def add(self, episode: Episode) -> None:
        """Count an episode; those of a task come side by side."""
        job: Job = episode.job
        task = (job.env_id, job.level, job.seed)
        if task != self._task:
            self._end_task()
            self._task = task
            self.num_tasks += 1
        self.num_episodes += 1
        self.num_epochs = max(self.num_epochs, job.sample + 1)
        if episode.prompt_tokens is not None and episode.completion_tokens is not None:
            read, written = self.num_tokens or (0, 0)
            self.num_tokens = read + episode.prompt_tokens, written + episode.completion_tokens
        if episode.failure is not None:
            self.num_failures += 1
            return
        values = {"reward": episode.reward}
        if episode.success is not None:
            values["success"] = float(episode.success)
        for name, value in values.items():
            for env_id in ("", job.env_id):
                self._sums.setdefault((name, env_id), _Sum()).add(value)

    def num_scored(self, name: str) -> int:
        """Return how many episodes have a score."""
        found = self._sums.get((name, ""))
        return found.num_episodes if found is not None else 0

    def metrics(self, name: str) -> dict[str, float]:
        """Return the mean of a score over tasks with its standard error, and of each environment where several."""
        self._end_task()
        envs = [env_id for score, env_id in self._sums if score == name and env_id]
        told: dict[str, float] = {}
        for env_id in ["", *(envs if len(envs) > 1 else ())]:
            found = self._sums[name, env_id]
            behind = f" {env_id}" if env_id else ""
            told |= {f"{_MEAN[name]}{behind}": found.mean, f"stderr{behind}": found.stderr}
        return told

    def _end_task(self) -> None:
        for found in self._sums.values():
            found.end_task()


_MEAN = {"success": "accuracy", "reward": "mean"}
