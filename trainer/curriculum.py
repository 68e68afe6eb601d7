"""Harder tasks once those of a level are solved: the level that a step plays at follows the success before it.

What is remembered is plain data and goes into the checkpoint, so that a resumed run rises where an unbroken one would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from agentrl.trainer.errors import ConfigError, TrainerError

__all__ = ["Curriculum", "CurriculumConfig"]

_RAISE_AT: Final = 0.8
_WINDOW: Final = 5


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Harder tasks once those of a level are solved."""

    max_level: int | None = None  # where it ends; it begins at `level`; none: no curriculum
    raise_at: float | None = None  # mean success of the last steps at a level above which the next begins; none: 0.8
    window: int | None = None  # so many steps; none: 5

    def __post_init__(self) -> None:
        for name in ("raise_at", "window"):
            if self.max_level is None and getattr(self, name) is not None:
                raise ConfigError(
                    f"curriculum.{name} is {getattr(self, name)}, which changes nothing without curriculum.max_level; "
                    "leave it out, or say at which level the curriculum ends"
                )
        if self.raise_at is not None and not 0 <= self.raise_at < 1:
            raise ConfigError(
                f"curriculum.raise_at is {self.raise_at}, but must be 0 or more and below 1: success is never above 1; "
                "write 0.8"
            )
        if self.window is not None and self.window < 1:
            raise ConfigError(f"curriculum.window is {self.window}, but must be 1 or more; write 5")

    def check(self, level: int | None) -> None:
        """Refuse what does not go with the level at which training begins.

        Raises:
            ConfigError: There is no such level, or it is not below the last.
        """
        if self.max_level is not None and (level is None or level >= self.max_level):
            raise ConfigError(
                f"curriculum.max_level is {self.max_level} but level is {level}; the curriculum begins at level, which "
                f"must be below: write level = {self.max_level - 1}"
            )


@dataclass(kw_only=True)
class Curriculum:
    """Where the curriculum stands; plain data, for a checkpoint."""

    level: int | None  # of the next step
    successes: list[float] = field(default_factory=list)  # of the last steps at this level

    def note(self, success: float | None, config: CurriculumConfig) -> None:
        """Take in the success of a step and rise when the level is solved.

        Raises:
            TrainerError: There is a curriculum, and the environment does not tell success.
        """
        if config.max_level is None or self.level is None:
            return
        if success is None:
            raise TrainerError(
                f"curriculum.max_level is {config.max_level}, but the environment does not tell success; start again "
                "without a curriculum"
            )
        window = _WINDOW if config.window is None else config.window
        bound = _RAISE_AT if config.raise_at is None else config.raise_at
        self.successes = [*self.successes, success][-window:]
        if (
            self.level < config.max_level
            and len(self.successes) == window
            and math.fsum(self.successes) > bound * window
        ):
            self.level, self.successes = self.level + 1, []
