"""Several environments in one run: their weights, which one a group plays, and their figures apart.

A group's environment is a function of its number since the start of the run, so that a resumed run goes on with the
same. The numbers are spread by multiples of the golden ratio (Weyl's sequence), which keeps the shares near the weights
at every moment: after n groups they differ by O(log n), where independent draws would differ by O(sqrt n).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Final

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.metrics import success_rate
from agentrl.trainer.types import Episode

__all__ = ["EnvWeights", "env_metrics", "parse_envs", "pick_env", "short_name", "weights_of"]

EnvWeights = str | dict[str, float]
"""One id, or weights by id."""

_WEIGHTED: Final = re.compile(r"(.+):((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, made odd
_SEED_STEP: Final = 0xD1342543DE82EF95  # any odd number that is no multiple of the other


def parse_envs(words: Sequence[str]) -> EnvWeights:
    """Read `ID` or `ID:WEIGHT`, once or several times; an id may hold colons itself (module:id).

    Raises:
        ConfigError: An id comes twice, or a weight is not above 0.

    >>> parse_envs(["my_envs:My/Maze-v0:0.7", "FrozenLake-v1:0.3"])
    {'my_envs:My/Maze-v0': 0.7, 'FrozenLake-v1': 0.3}
    >>> parse_envs(["FrozenLake-v1"])
    'FrozenLake-v1'
    """
    weights: dict[str, float] = {}
    for word in words:
        match = _WEIGHTED.fullmatch(word)
        env_id, weight = (match[1], float(match[2])) if match else (word, 1.0)
        if env_id in weights:
            raise ConfigError(f"env {env_id!r} was given twice; give it once, with the sum of the weights")
        weights[env_id] = weight
    return next(iter(weights_of(weights))) if len(weights) == 1 else weights_of(weights)


def weights_of(env: EnvWeights) -> dict[str, float]:
    """Return the weights by id, in their order.

    Raises:
        ConfigError: There is none, or a weight is not above 0.
    """
    weights = {env: 1.0} if isinstance(env, str) else dict(env)
    for env_id, weight in weights.items():
        if isinstance(weight, str | bool) or not 0 < weight < math.inf:
            raise ConfigError(f"env {env_id!r} has the weight {weight!r}, but must have one above 0: {env_id}:0.5")
    if not weights:
        raise ConfigError("env names no environment; type --env AgentRL/Search-v0")
    return weights


def pick_env(weights: Mapping[str, float], index: int, *, seed: int) -> str:
    """Return the environment of the group with this number, counted from the start of the run."""
    place = (index * _GOLDEN + seed * _SEED_STEP) % 2**64 / 2**64 * sum(weights.values())
    for env_id, weight in weights.items():
        place -= weight
        if place < 0:
            return env_id
    return list(weights)[-1]  # rounding


def env_metrics(episodes: Iterable[Episode]) -> dict[str, float]:
    """Return `reward/<env>` and `success/<env>`; nothing when all played the same environment.

    Also `success`, then the mean over the episodes of those environments that tell success at all.
    """
    found: dict[str, list[Episode]] = {}
    for episode in episodes:
        found.setdefault(episode.env_id, []).append(episode)
    if len(found) < 2:
        return {}
    metrics: dict[str, float] = {}
    told: list[float] = []
    for env_id, played in sorted(found.items()):
        valid = [episode for episode in played if episode.failure is None]
        if valid:
            metrics[f"reward/{short_name(env_id)}"] = fmean(episode.reward for episode in valid)
        success = success_rate(valid)
        if success is not None:
            metrics[f"success/{short_name(env_id)}"] = success
            told += [success] * len(valid)
    return metrics | ({"success": fmean(told)} if told else {})


def short_name(env_id: str) -> str:
    """Return an id without the module that registers it."""
    return env_id.rpartition(":")[2]
