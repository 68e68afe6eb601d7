"""A live table of the last steps while training runs, or one plain line a step in a log.

In a narrow terminal the less important columns go first; step and success always stay.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group

from agentrl.trainer.display import Column, Display, bar_of, table_of
from agentrl.trainer.scales import short_duration

__all__ = ["Progress"]

NUM_ROWS = 12  # steps shown at once
ETA_WINDOW = 20  # steps whose mean duration the remaining time is computed from


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One figure of the table."""

    title: str
    key: str  # name of the metric
    form: str  # format specification
    rank: int  # the highest goes first when the terminal is narrow


COLUMNS = (
    _Column(title="success", key="success", form=".1%", rank=0),
    _Column(title="reward", key="reward", form=".3f", rank=1),
    _Column(title="kl", key="kl", form=".4f", rank=5),
    _Column(title="entropy", key="entropy", form=".3f", rank=4),
    _Column(title="length", key="completions/mean_length", form=".0f", rank=6),
    _Column(title="ep/s", key="perf/episodes_per_s", form=".1f", rank=3),
    _Column(title="tok/s", key="perf/tokens_per_s", form=",.0f", rank=2),
)


class Progress:
    """Show how training goes.

    Args:
        console: Where to; standard error by default, so that standard output stays for results.
        clock: Seconds, rising; for the remaining time.
    """

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._display = Display(console=console, clock=clock)
        self._clock = clock
        self._rows: deque[tuple[int, dict[str, float]]] = deque(maxlen=NUM_ROWS)
        self._times: deque[tuple[int, float]] = deque(maxlen=ETA_WINDOW + 1)
        self._total = 0

    def __enter__(self) -> Self:
        self._times.append((-1, self._clock()))
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)

    def update(self, metrics: Mapping[str, float], step: int, total: int) -> None:
        """Show the figures of a finished step; `step` counts from 1 to `total`. A missing figure is a dash."""
        if self._times and self._times[-1][0] == -1:
            self._times[-1] = (step - 1, self._times[-1][1])  # after a resume the first step is not step 1
        self._times.append((step, self._clock()))
        self._total = total
        self._rows.append((step, dict(metrics)))
        self._display.show(self._picture, self._line, now=True)

    def note(self, text: str) -> None:
        """Print a line above the table; markup in it is not interpreted."""
        self._display.note(text)

    def _eta(self) -> str:
        (first, start), (last, end) = self._times[0], self._times[-1]
        if last <= first:
            return "–"
        return short_duration((end - start) / (last - first) * max(0, self._total - last))

    def _line(self) -> str:
        step, metrics = self._rows[-1]
        parts = [f"{column.title} {_figure(metrics, column)}" for column in COLUMNS if column.key in metrics]
        return "  ".join([f"step {step}/{self._total}", *parts, f"eta {self._eta()}"])

    def _picture(self, width: int) -> Group:
        step, _ = self._rows[-1]
        first = Column("step", 0, len(f"{self._total}/{self._total}"))
        present = [column for column in COLUMNS if any(column.key in metrics for _, metrics in self._rows)]
        rows = [
            (
                {"step": f"{number}/{self._total}", **{each.title: _figure(metrics, each) for each in present}},
                "bold" if number == step else "dim",
            )
            for number, metrics in self._rows
        ]
        table = table_of(first, [Column(column.title, column.rank) for column in present], rows, width)
        return Group(table, bar_of(step, self._total, f"eta {self._eta()}", width))


def _figure(metrics: Mapping[str, float], column: _Column) -> str:
    value = metrics.get(column.key)
    return "–" if value is None or not math.isfinite(value) else format(value, column.form)
