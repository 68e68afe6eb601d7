"""Where progress is shown: in place on a terminal, in place below a notebook's cell, or as lines in a log.

A picture is made anew for the width that there is. Terminals are redrawn a few times a second at most, notebooks once.
In a log nothing is redrawn: a line is written now and then, without control characters.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Display", "Row", "bar_of", "table_of"]

NOTEBOOK_WIDTH = 80
_EVERY_S = {"terminal": 0.2, "notebook": 1.0}
_HTML = '<pre style="margin:0; line-height:1.3; white-space:pre; overflow-x:auto; font-family:monospace">{code}</pre>'


class Column:
    """A column of a table that grows narrower by whole columns.

    Args:
        title: Above it.
        rank: The highest goes first when there is little room.
        width: Characters, without the space beside it.
    """

    __slots__ = ("rank", "title", "width")

    def __init__(self, title: str, rank: int, width: int = 8) -> None:
        self.title = title
        self.rank = rank
        self.width = width


Row = tuple[Mapping[str, str], str]
"""Cells by the title of their column, and a style."""


class Display:
    """Shows what changes; a context manager.

    Args:
        console: Where to; standard error by default, so that standard output stays for results.
        line_every_s: Seconds between two lines in a log; 0: every time.
        is_transient: Leave nothing on a terminal at the end, since a result follows.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        *,
        console: Console | None = None,
        line_every_s: float = 0.0,
        is_transient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._line_every_s = line_every_s
        self._clock = clock
        self.kind: Literal["terminal", "notebook", "log"] = "log"
        self._live: Live | None = None
        self._handle: Any = None  # of IPython
        self._shown_at = -float("inf")
        self._latest: Callable[[int], RenderableType] | None = None
        if self._console.is_jupyter:
            self.kind = "notebook"
        elif self._console.is_terminal:
            self.kind = "terminal"
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                redirect_stdout=sys.stdout.isatty(),
                transient=is_transient,
            )

    def __enter__(self) -> Self:
        self._shown_at = self._clock() if self.kind == "log" else -float("inf")
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._latest is not None:
            self._draw(self._latest)  # the last one may have been left out
        if self._live is not None:
            self._live.stop()

    def show(self, picture: Callable[[int], RenderableType], line: Callable[[], str], *, now: bool = False) -> None:
        """Show a new state, unless the one before it is too fresh.

        Args:
            picture: Makes a picture for a width in characters.
            line: Makes a line for a log.
            now: Show it on a terminal or in a notebook however fresh the other is.
        """
        time_s = self._clock()
        if self.kind == "log":
            if time_s - self._shown_at >= self._line_every_s:
                self._shown_at = time_s
                self._console.print(Text(line()), soft_wrap=True)
        elif now or time_s - self._shown_at >= _EVERY_S[self.kind]:
            self._shown_at, self._latest = time_s, None
            self._draw(picture)
        else:
            self._latest = picture

    def note(self, text: str) -> None:
        """Print a line above the picture; markup in it is not interpreted."""
        if self.kind == "notebook":
            _ipython({"text/plain": text})
        else:
            self._console.print(Text(text), soft_wrap=self._live is None)

    def _draw(self, picture: Callable[[int], RenderableType]) -> None:
        if self._live is not None:
            self._live.update(picture(self._console.width), refresh=True)
        elif self.kind == "notebook":
            self._publish(_formats(picture(NOTEBOOK_WIDTH)))

    def _publish(self, formats: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = _ipython(formats, display_id=True)
        else:
            self._handle.update(formats, raw=True)


def table_of(first: Column, columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """Return a table that fits: the less important columns are left out, no letter is lost.

    Args:
        first: Its column stays.
        columns: The others, from left to right.
        rows: Cells that are not there are dashes.
        width: Characters.
    """
    room = width - first.width
    kept: list[Column] = []
    for column in sorted(columns, key=lambda column: column.rank):
        if column.width + 1 > room:
            break
        room -= column.width + 1
        kept.append(column)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(
        first.title, justify="right" if first.title == "step" else "left", no_wrap=True, min_width=first.width
    )
    shown = [column for column in columns if column in kept]
    for column in shown:
        table.add_column(column.title, justify="right", no_wrap=True, min_width=column.width)
    for cells, style in rows:
        table.add_row(*(cells.get(column.title, "–") for column in (first, *shown)), style=style)
    return table


def bar_of(done: int, total: int, said: str, width: int) -> RenderableType:
    """Return a bar with words beside it; the words alone where there is no room for both."""
    words = Text(said, no_wrap=True)
    free = min(60, width - len(words) - 1)
    grid = Table.grid(padding=(0, 1, 0, 0))
    if free >= 8:
        grid.add_row(ProgressBar(total=max(total, 1), completed=done, width=free), words)
    else:
        grid.add_row(words)
    return grid


def _ipython(formats: dict[str, str], **options: Any) -> Any:
    """Let the notebook that runs us show something; it has IPython, or we would not be in one."""
    return import_module("IPython.display").display(formats, raw=True, **options)


def _formats(picture: RenderableType) -> dict[str, str]:
    console = Console(file=io.StringIO(), record=True, width=NOTEBOOK_WIDTH, force_jupyter=False, force_terminal=True)
    console.print(Group(picture))
    html = console.export_html(code_format=_HTML, inline_styles=True, clear=False)
    return {"text/plain": console.export_text(), "text/html": html}
