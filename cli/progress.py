"""How far a bench is: a table of environments and levels while it runs, a line now and then in a log.

A failed episode is counted apart and as not done, since it is tried again when the run is resumed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType

from agentrl.bench.store import FILE, BenchStore
from agentrl.bench.types import Episode
from agentrl.trainer.display import Column, Display, Row, bar_of, table_of
from agentrl.trainer.scales import short_duration

if TYPE_CHECKING:
    from agentrl.bench.run import Settings

__all__ = ["Progress"]

_LINE_EVERY_S = 10.0
_NUM_ROWS = 12  # beside the sum
_WINDOW_S = 60.0  # whose episodes tell the remaining time
_NAMES = 8  # characters of the first column, at least


@dataclass
class _Count:
    """Of one environment and level, or of all."""

    total: int = 0
    done: int = 0
    right: int = 0
    said: int = 0  # whether they were right
    failed: int = 0

    def add(self, episode: Episode) -> None:
        """Count an episode."""
        if episode.failure is not None:
            self.failed += 1
            return
        self.done += 1
        self.said += episode.success is not None
        self.right += episode.success is True

    @property
    def success(self) -> str:
        """The share of successes."""
        return f"{self.right / self.said:.1%}" if self.said else "–"


class Progress:
    """Show how a bench goes; a context manager. Hand `start` and `add` to `agentrl.bench.run.run`.

    Args:
        settings: Of the bench.
        folder: Of the run; what it holds already is counted.
        console: Where to; standard error by default.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._display = Display(console=console, line_every_s=_LINE_EVERY_S, is_transient=True, clock=clock)
        each = settings.num_tasks * settings.num_samples
        self._counts = {(env_id, level): _Count(each) for env_id in settings.envs for level in settings.levels or (0,)}
        self._all = _Count(each * len(self._counts))
        done = Column("done", 0, max(9, len(f"{self._all.total}/{self._all.total}")))
        self._columns = (done, Column("success", 1, 7), Column("failed", 2, 6))
        self._ends: deque[tuple[float, int]] = deque()  # when so many had ended
        self._num_ended = 0

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)

    def start(self, total: int, done: int) -> None:
        """Begin with so many episodes that are done already."""
        if done and (self._folder / FILE).is_file():
            with BenchStore(self._folder) as store:
                for key, (num_done, num_said, num_right) in store.tally().items():
                    for count in (self._counts.get(key), self._all):
                        if count is not None:
                            count.done += num_done
                            count.said += num_said
                            count.right += num_right
        self._ends.append((self._clock(), 0))
        if self._display.kind != "log":
            self._display.show(self._picture, self._line, now=True)

    def add(self, episode: Episode) -> None:
        """Count an episode that has ended."""
        for count in (self._counts[episode.job.env_id, episode.job.level], self._all):
            count.add(episode)
        self._num_ended += 1
        now = self._clock()
        if now - self._ends[-1][0] >= 1.0:
            self._ends.append((now, self._num_ended))
            while now - self._ends[0][0] > _WINDOW_S and len(self._ends) > 2:
                self._ends.popleft()
        self._display.show(self._picture, self._line)

    def _rate(self) -> float:
        began, before = self._ends[0]
        seconds = self._clock() - began
        return (self._num_ended - before) / seconds if seconds > 0 else 0.0

    def _eta(self) -> str:
        rate = self._rate()
        left = self._all.total - self._all.done - self._all.failed
        return f"eta {short_duration(max(0, left) / rate)}" if rate else "eta –"

    def _line(self) -> str:
        count = self._all
        said = [f"{count.done}/{count.total} episodes", f"success {count.success}", f"failed {count.failed}"]
        return "  ".join([*said, f"{self._rate():.1f}/s", self._eta()])

    def _picture(self, width: int) -> RenderableType:
        shown = [(key, count) for key, count in self._counts.items() if count.done or count.failed]
        left_out = len(shown) - _NUM_ROWS
        rows: list[Row] = [(_cells(_short(env_id, level), count), "") for (env_id, level), count in shown[-_NUM_ROWS:]]
        if left_out > 0:
            empty = dict.fromkeys(("done", "success", "failed"), "")
            rows.insert(0, ({"environment": f"… {left_out} more", **empty}, "dim"))
        if len(self._counts) > 1 or not rows:
            rows.append((_cells("all", self._all), "bold"))
        # A narrow terminal still shows how many are done and how many are right.
        room = width - sum(column.width + 1 for column in self._columns[:2])
        longest = max(len("environment"), *(len(cells["environment"]) for cells, _ in rows))
        first = Column("environment", 0, max(_NAMES, min(longest, room)))
        cut: list[Row] = [
            ({**cells, "environment": _cut(cells["environment"], first.width)}, style) for cells, style in rows
        ]
        bar = bar_of(self._all.done, self._all.total, f"{self._rate():.1f}/s  {self._eta()}", width)
        return Group(table_of(first, self._columns, cut, width), bar)


def _cells(name: str, count: _Count) -> dict[str, str]:
    return {
        "environment": name,
        "done": f"{count.done}/{count.total}",
        "success": count.success,
        "failed": str(count.failed),
    }


def _short(env_id: str, level: int) -> str:
    name = env_id.rpartition(":")[2].removeprefix("AgentRL/")
    return f"{name} L{level}" if level else name


def _cut(text: str, width: int) -> str:
    """Keep the end, where the level stands."""
    return text if len(text) <= width else "…" + text[1 - width :]
