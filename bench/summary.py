"""What a run scored: by environment and level, by environment, and overall.

Episodes that failed for reasons outside the agent count for nothing; beside the score stand the bounds that it would
have, had all of them been failures, or successes, of the agent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agentrl.bench.errors import UsageError
from agentrl.bench.stats import Estimate, clustered_mean, pass_at_k, pass_hat_k, success_rate
from agentrl.bench.types import Episode

__all__ = ["Summary", "summarize"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of some episodes."""

    env_id: str  # "" for all environments
    level: int | None  # None for all levels; 0 is the environment's own default
    num_episodes: int  # without those that failed
    num_failures: int
    failures: dict[str, int]  # "boundary: kind" -> how many
    success: Estimate | None  # None where no environment says
    bounds: tuple[float, float] | None  # of the success rate, were all failures the agent's failures, or successes
    reward: Estimate | None  # None where all failed
    pass_at: dict[int, float]  # k -> pass@k, mean over tasks that have k episodes
    pass_hat: dict[int, float]  # k -> pass^k
    num_turns: float | None  # mean of an episode
    latency_p50_s: float | None  # of the agent's turns; None where it plays inside the environment
    latency_p99_s: float | None
    num_tampered: int  # episodes in which a trap of the environment was touched; they earn 0
    prompt_tokens: int | None  # of all episodes, failed ones included; None where nobody counted
    completion_tokens: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def summarize(episodes: Iterable[Episode], *, ks: Sequence[int] = ()) -> list[Summary]:
    """Summarize episodes: each environment's levels where it has several, each environment, and all where several.

    Args:
        episodes: Of one run, in any order.
        ks: For pass@k and pass^k.

    Raises:
        UsageError: There are no episodes.
    """
    slim = [_Outcome(episode) for episode in episodes]
    if not slim:
        raise UsageError("the run holds no episodes yet; play some with agentrl bench")
    envs = list(dict.fromkeys(each.env_id for each in slim))
    found: list[Summary] = []
    for env_id in envs:
        own = [each for each in slim if each.env_id == env_id]
        levels = sorted({each.level for each in own})
        if len(levels) > 1:
            found += [_summary(env_id, level, [each for each in own if each.level == level], ks) for level in levels]
        found.append(_summary(env_id, levels[0] if len(levels) == 1 else None, own, ks))
    if len(envs) > 1:
        found.append(_summary("", None, slim, ks))
    return found


class _Outcome:
    """What of an episode is counted: without its messages, so that 100,000 fit."""

    __slots__ = (
        "env_id",
        "failure",
        "is_tampered",
        "latencies",
        "level",
        "num_turns",
        "reward",
        "success",
        "task",
        "tokens",
    )

    def __init__(self, episode: Episode) -> None:
        job = episode.job
        self.env_id, self.level, self.task = job.env_id, job.level, (job.env_id, job.level, job.seed)
        self.failure = f"{episode.failure['boundary']}: {episode.failure['kind']}" if episode.failure else ""
        self.reward, self.success = episode.reward, episode.success
        self.num_turns, self.latencies = episode.num_turns, episode.latencies
        self.is_tampered = episode.rewards.get("tamper", 0.0) > 0
        self.tokens = episode.prompt_tokens, episode.completion_tokens


def _summary(env_id: str, level: int | None, outcomes: Sequence[_Outcome], ks: Sequence[int]) -> Summary:
    played = [each for each in outcomes if not each.failure]
    failures: dict[str, int] = {}
    for each in outcomes:
        if each.failure:
            failures[each.failure] = failures.get(each.failure, 0) + 1
    num_failures = len(outcomes) - len(played)
    rewards: dict[tuple[str, int, int], list[float]] = {}
    successes: dict[tuple[str, int, int], list[bool]] = {}
    for each in played:
        rewards.setdefault(each.task, []).append(each.reward)
        if each.success is not None:
            successes.setdefault(each.task, []).append(each.success)
    # A generator of its own for each row, so that a figure depends on nothing but its episodes.
    rng = np.random.default_rng(zlib.crc32(f"{env_id} {level}".encode()))
    latencies = [seconds for each in played for seconds in each.latencies]
    num_said = sum(map(len, successes.values()))
    num_right = sum(map(sum, successes.values()))
    pass_at, pass_hat = _passes(list(successes.values()), ks)
    return Summary(
        env_id=env_id,
        level=level,
        num_episodes=len(played),
        num_failures=num_failures,
        failures=failures,
        success=success_rate(list(successes.values())) if successes else None,
        bounds=(num_right / (num_said + num_failures), (num_right + num_failures) / (num_said + num_failures))
        if successes
        else None,
        reward=clustered_mean(list(rewards.values()), rng) if rewards else None,
        pass_at=pass_at,
        pass_hat=pass_hat,
        num_turns=sum(each.num_turns for each in played) / len(played) if played else None,
        latency_p50_s=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p99_s=float(np.percentile(latencies, 99)) if latencies else None,
        num_tampered=sum(each.is_tampered for each in played),
        prompt_tokens=_total([each.tokens[0] for each in outcomes]),
        completion_tokens=_total([each.tokens[1] for each in outcomes]),
    )


def _total(counts: Sequence[int | None]) -> int | None:
    counted = [count for count in counts if count is not None]
    return sum(counted) if counted else None


def _passes(tasks: Sequence[Sequence[bool]], ks: Sequence[int]) -> tuple[dict[int, float], dict[int, float]]:
    at: dict[int, float] = {}
    hat: dict[int, float] = {}
    for k in ks:
        enough = [(len(task), sum(task)) for task in tasks if len(task) >= k]
        if enough:
            at[k] = sum(pass_at_k(num, right, k) for num, right in enough) / len(enough)
            hat[k] = sum(pass_hat_k(num, right, k) for num, right in enough) / len(enough)
    return at, hat
