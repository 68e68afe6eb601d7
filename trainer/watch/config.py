"""The keys of `[watch]`."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.watch.divergence import TOLERANCE

__all__ = ["FALSE_ALARMS", "ON_ALERT", "REACH", "WatchConfig"]

ON_ALERT: Final = ("warn", "pause", "stop", "rollback", "off")
FALSE_ALARMS: Final = 0.05
REACH: Final = 30  # steps that `rollback` must be able to go back: an alert follows its cause by 20 or fewer


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """What is done when the reward is being hacked."""

    on_alert: str = "warn"  # warn, pause, stop, rollback; off: nothing is watched
    false_alarms: float | None = None  # chance of a false alert over a whole run; none: 0.05
    tolerance: float | None = None  # rise of reward, in units of a success's, that may be shaping; none: 0.25

    def __post_init__(self) -> None:
        if self.on_alert not in ON_ALERT:
            near = get_close_matches(self.on_alert, ON_ALERT, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"watch.on_alert is {self.on_alert!r}{hint}; there are {', '.join(ON_ALERT)}")
        for name in ("false_alarms", "tolerance"):
            value = getattr(self, name)
            if value is not None and not self.is_on:
                raise ConfigError(
                    f"watch.{name} is {value}, which changes nothing while watch.on_alert is 'off'; leave it out"
                )
        if self.false_alarms is not None and not 0 < self.false_alarms < 1:
            raise ConfigError(f"watch.false_alarms is {self.false_alarms}, but must lie between 0 and 1; write 0.05")
        if self.tolerance is not None and not 0.12 <= self.tolerance <= 10:
            raise ConfigError(f"watch.tolerance is {self.tolerance}, but must lie between 0.12 and 10; write 0.25")

    @property
    def is_on(self) -> bool:
        """Whether anything is watched."""
        return self.on_alert != "off"

    @property
    def chance(self) -> float:
        """Chance of a false alert over a whole run that is granted."""
        return FALSE_ALARMS if self.false_alarms is None else self.false_alarms

    @property
    def shaping(self) -> float:
        """Rise of the reward, in units of what a success pays, that is taken for shaping."""
        return TOLERANCE if self.tolerance is None else self.tolerance

    def check(self, *, every: int, keep: int) -> None:
        """Refuse a rollback that has nothing to go back to.

        Args:
            every: Steps between checkpoints.
            keep: Checkpoints kept.

        Raises:
            ConfigError: As said.
        """
        reach = every * (keep - 1)
        if self.on_alert == "rollback" and reach < REACH:
            raise ConfigError(
                f"watch.on_alert is 'rollback', but the checkpoints kept reach only {reach} steps back, and an alert "
                f"may come 20 steps after its cause: write checkpoint.keep = {-(-REACH // every) + 1}"
            )
