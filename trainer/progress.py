"""A live table of the last steps while training runs, or one plain line a step where the output is no terminal.

In a narrow terminal the less important columns go first; step and success always stay.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

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
WIDTH = 9  # of one column and the space beside it


class Progress:
    """Show how training goes.

    Args:
        console: Where to; standard error by default, so that standard output stays for results.
        clock: Seconds, rising; for the remaining time.
    """

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._rows: deque[tuple[int, dict[str, float]]] = deque(maxlen=NUM_ROWS)
        self._times: deque[tuple[int, float]] = deque(maxlen=ETA_WINDOW + 1)
        self._total = 0
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def __enter__(self) -> Self:
        self._times.append((-1, self._clock()))
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, metrics: Mapping[str, float], step: int, total: int) -> None:
        """Show the figures of a finished step; `step` counts from 1 to `total`. A missing figure is a dash."""
        if self._times and self._times[-1][0] == -1:
            self._times[-1] = (step - 1, self._times[-1][1])  # after a resume the first step is not step 1
        self._times.append((step, self._clock()))
        self._total = total
        self._rows.append((step, dict(metrics)))
        if self._live is None:
            self._console.print(Text(self._line()), soft_wrap=True)
        else:
            self._live.update(self._picture(), refresh=True)

    def note(self, text: str) -> None:
        """Print a line above the table; markup in it is not interpreted."""
        self._console.print(Text(text), soft_wrap=self._live is None)

    def _eta(self) -> str:
        (first, start), (last, end) = self._times[0], self._times[-1]
        if last <= first:
            return "–"
        return _duration((end - start) / (last - first) * max(0, self._total - last))

    def _line(self) -> str:
        step, metrics = self._rows[-1]
        parts = [f"{column.title} {_figure(metrics, column)}" for column in COLUMNS if column.key in metrics]
        return "  ".join([f"step {step}/{self._total}", *parts, f"eta {self._eta()}"])

    def _picture(self) -> Group:
        step, _ = self._rows[-1]
        steps = len(f"{self._total}/{self._total}")
        room = max(0, (self._console.width - steps) // WIDTH)
        present = [column for column in COLUMNS if any(column.key in metrics for _, metrics in self._rows)]
        kept = sorted(present, key=lambda column: column.rank)[:room]
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("step", justify="right", no_wrap=True, min_width=steps)
        shown = [column for column in COLUMNS if column in kept]
        for column in shown:
            table.add_column(column.title, justify="right", no_wrap=True, min_width=WIDTH - 1)
        for number, metrics in self._rows:
            style = "bold" if number == step else "dim"
            table.add_row(f"{number}/{self._total}", *(_figure(metrics, column) for column in shown), style=style)
        eta = Text(f"eta {self._eta()}", no_wrap=True)
        free = min(60, self._console.width - len(eta) - 1)
        bar = Table.grid(padding=(0, 1, 0, 0))
        if free >= 8:
            bar.add_row(ProgressBar(total=self._total, completed=step, width=free), eta)
        else:
            bar.add_row(eta)
        return Group(table, bar)


def _figure(metrics: Mapping[str, float], column: _Column) -> str:
    value = metrics.get(column.key)
    return "–" if value is None or not math.isfinite(value) else format(value, column.form)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"
