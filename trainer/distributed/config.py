"""What is chosen about a run on several ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentrl.trainer.errors import ConfigError

__all__ = ["DistributedConfig"]


@dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """Several ranks, which torchrun starts; without it there is one, and nothing of this counts.

    Raises:
        ConfigError: A value is out of range.
    """

    timeout_s: float = 30.0  # a rank that gives no sign of life for so long has failed, and the run ends

    def __post_init__(self) -> None:
        if not 1 <= self.timeout_s < math.inf:
            raise ConfigError(f"distributed.timeout_s is {self.timeout_s!r}, but must be 1 or more; write 30")
