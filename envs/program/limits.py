"""How long a program may take, and how often it may ask."""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.envs.arguments import checked_count
from agentrl.envs.errors import UsageError

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one episode.

    Raises:
        UsageError: A value that cannot work.
    """

    max_turns: int  # calls that the policy answers
    start_s: float  # until the first call
    silence_s: float  # between calls, and until the end
    program_s: float  # of the program's own in all

    def __post_init__(self) -> None:
        checked_count("max_turns", self.max_turns)
        for name in ("start_s", "silence_s", "program_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
                raise UsageError(f"{name}={value!r} must be a number of seconds above 0")
