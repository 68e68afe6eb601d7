"""An environment that does nothing but wait, as long as a step of a real one took; for measuring what schedules it."""

from __future__ import annotations

import math
import time
from typing import Any

import gymnasium
from gymnasium.spaces import Text

__all__ = ["P50_S", "P99_S", "Sleeping", "mean_s"]

# A step of `AgentRL/Python-v0` in Docker with 64 episodes at once on two cores, the table of perf/README.md.
P50_S, P99_S = 0.121, 0.987
_SIGMA = math.log(P99_S / P50_S) / 2.3263  # of the log-normal distribution with these two


def mean_s(scale: float = 1.0) -> float:
    """Return the mean seconds of a step."""
    return scale * P50_S * math.exp(_SIGMA**2 / 2)


class Sleeping(gymnasium.Env[str, str]):
    """Waits in each step for a time from the log-normal distribution; `info["carry"]` says how long.

    Args:
        scale: Factor of all times.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        self.action_space = self.observation_space = Text(10_000)
        self._scale = scale

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin; takes no time."""
        super().reset(seed=seed)
        return "Go.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Wait, and answer with 400 characters."""
        slept = self._scale * float(self.np_random.lognormal(math.log(P50_S), _SIGMA))
        time.sleep(slept)
        replies = [{"role": "tool", "name": "look", "content": "x" * 400}]
        return "Go on.", 0.0, False, False, {"replies": replies, "carry": {"slept": slept}}


gymnasium.register(id="Sleeping-v0", entry_point="sleeping_env:Sleeping", disable_env_checker=True)
