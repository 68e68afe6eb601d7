"""The progress display: plain lines without a terminal, a table that fits any terminal."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console

from agentrl.trainer.progress import Progress

FIGURES = {
    "success": 0.625,
    "reward": 0.7,
    "kl": 0.0012,
    "entropy": 0.45,
    "completions/mean_length": 41.2,
    "perf/episodes_per_s": 91.7,
    "perf/tokens_per_s": 10_250.0,
}


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(text: str) -> list[str]:
    """The last picture drawn on a terminal."""
    text = text.split("\x1b[2K")[-1].split("\x1b[1A")[-1]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").rstrip("\n").split("\n")


def shown(width: int, *, steps: int = 1) -> list[str]:
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    with Progress(console=console, clock=clock) as progress:
        for step in range(1, steps + 1):
            clock.now += 3.0
            out.truncate(0)
            progress.update(FIGURES, step, 300)
    return lines(out.getvalue())


def test_without_a_terminal_a_step_is_a_line() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(console=Console(file=out, width=40), clock=clock) as progress:
        progress.note("starts [bold]now[/bold]")
        clock.now += 2.0
        progress.update(FIGURES, 1, 300)
        clock.now += 4.0
        progress.update({"success": 1.0, "reward": math.nan, "other": 3.0}, 2, 300)
    assert out.getvalue().splitlines() == [
        "starts [bold]now[/bold]",
        "step 1/300  success 62.5%  reward 0.700  kl 0.0012  entropy 0.450  "
        "length 41  ep/s 91.7  tok/s 10,250  eta 9m 58s",
        "step 2/300  success 100.0%  reward –  eta 14m 54s",
    ]


def test_a_wide_terminal_shows_every_figure() -> None:
    header, row, bar = shown(100)
    assert header.split() == ["step", "success", "reward", "kl", "entropy", "length", "ep/s", "tok/s"]
    assert row.split() == ["1/300", "62.5%", "0.700", "0.0012", "0.450", "41", "91.7", "10,250"]
    assert bar.split()[-3:] == ["eta", "14m", "57s"]


@pytest.mark.parametrize("width", [12, 16, 20, 30, 40, 60, 80])
def test_a_narrow_terminal_loses_columns_not_letters(width: int) -> None:
    picture = shown(width, steps=3)
    assert len(picture) == 5
    assert all(len(line) <= width for line in picture)
    assert not any("…" in line for line in picture)
    names = [name for name in picture[0].split() if name != "step"]
    every = ["success", "reward", "kl", "entropy", "length", "ep/s", "tok/s"]
    assert names == [name for name in every if name in names]
    assert len(names) == min(7, (width - 7) // 9)  # as many as fit
    assert picture[3].split()[:2] == ["3/300", "62.5%"][: 1 + len(names)]


def test_old_steps_scroll_away() -> None:
    picture = shown(80, steps=40)
    assert len(picture) == 1 + 12 + 1
    assert picture[1].split()[0] == "29/300"
    assert picture[-2].split()[0] == "40/300"


def test_a_note_stands_above_the_table() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, color_system=None)
    with Progress(console=console) as progress:
        progress.update(FIGURES, 1, 3)
        out.truncate(0)
        progress.note("a checkpoint [red]was[/red] written")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert text.index("a checkpoint [red]was[/red] written") < text.index("62.5%")


def test_the_remaining_time_counts_from_the_first_step_of_this_process() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(console=Console(file=out, width=80), clock=clock) as progress:
        clock.now += 10.0
        progress.update({}, 291, 300)  # resumed: 290 steps were done before
        clock.now += 3600.0
        progress.update({}, 300, 300)
    assert out.getvalue().splitlines() == ["step 291/300  eta 1m 30s", "step 300/300  eta 0s"]


def test_hours_are_written_as_hours() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(console=Console(file=out, width=80), clock=clock) as progress:
        clock.now += 60.0
        progress.update({}, 1, 126)
    assert out.getvalue() == "step 1/126  eta 2h 05m\n"
