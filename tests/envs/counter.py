"""A small toolset of its own module, as an author would write one, for the tests of the hosts."""

from __future__ import annotations

import sys

from agentrl.envs.tools.toolset import ToolError, Toolset

__all__ = ["Counter"]


class Counter(Toolset):
    """Counts, prints on the way, refuses negative steps and breaks on 13."""

    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, step: int, note: str = "") -> str:
        """Add to the count.

        Args:
            step: How much, at least 0.
            note: Said back.
        """
        sys.stdout.write(f"a tool may print {note!a}")
        if step < 0:
            raise ToolError(f"{step} is negative; give at least 0")
        if step == 13:
            raise RuntimeError("broken on purpose")
        self.value += step
        return f"{self.value} {note}".strip()
