"""Where progress is shown: a notebook that runs, a terminal of any width, a log."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from agentrl.trainer.display import Column, Display, bar_of, table_of

CELL = """
from agentrl.trainer.progress import Progress
with Progress() as progress:
    progress.note("[bold]the start[/bold]")
    for step in range(1, 4):
        progress.update({"success": step / 4, "reward": 0.5}, step, 3)
"""
CLIENT = """
import sys, nbclient, nbformat
book = nbformat.reads(sys.stdin.read(), 4)
nbclient.NotebookClient(book, timeout=60, kernel_name="python3").execute()
print(nbformat.writes(book))
"""


def test_a_notebook_shows_one_table_that_changes_in_place() -> None:
    for name in ("nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is not installed; type: pip install -e .[dev]")
    nbformat: Any = import_module("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    # A process of its own: its kernel is asked over sockets that would be left to the garbage collector here.
    program = "import sys, nbformat, nbclient; book = nbformat.reads(sys.stdin.read(), 4); "
    program += (
        "nbclient.NotebookClient(book, timeout=60, kernel_name='python3').execute(); print(nbformat.writes(book))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        input=nbformat.writes(notebook),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    note, table = _outputs(nbformat.reads(done.stdout, 4))
    assert note["text/plain"].strip() == "[bold]the start[/bold]"
    assert "3/3" in table["text/plain"]
    assert "75.0%" in table["text/html"]
    assert "<pre" in table["text/html"]
    assert "\x1b" not in table["text/plain"] + table["text/html"]


def _outputs(notebook: Any) -> list[dict[str, str]]:
    """Return what a cell displays at the end; it printed nothing and warned of nothing."""
    outputs = notebook.cells[0].outputs
    assert {each.output_type for each in outputs} == {"display_data"}, outputs
    return [dict(each.data) for each in outputs]


def test_a_terminal_is_redrawn_a_few_times_a_second_and_ends_with_the_last_state() -> None:
    now, drawn, out = [0.0], [], io.StringIO()
    console = Console(file=out, force_terminal=True, width=40, color_system=None)
    with Display(console=console, clock=lambda: now[0]) as display:
        for number in range(100):
            now[0] += 0.01

            def picture(width: int, number: int = number) -> Text:
                drawn.append(number)
                return Text(f"{number} of {width}")

            display.show(picture, lambda: "no log")
    assert 5 <= len(drawn) <= 8
    assert drawn[-1] == 99
    assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).split("\n")[-2].endswith("99 of 40")


def test_a_log_gets_a_line_now_and_then_and_no_control_characters() -> None:
    now, out = [0.0], io.StringIO()
    with Display(console=Console(file=out, width=20), line_every_s=10.0, clock=lambda: now[0]) as display:
        for number in range(35):
            now[0] += 1.0
            display.show(lambda width: Text("a picture"), lambda number=number: f"line {number} " + "x" * 40)  # type: ignore[misc]
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["9", "19", "29"]
    assert set(out.getvalue()) <= set("line 0123456789x\n")


@pytest.mark.parametrize("width", [12, 24, 40, 80])
def test_a_table_loses_columns_by_rank(width: int) -> None:
    columns = [Column("success", 0), Column("failed", 2, 6), Column("episodes", 1, 11)]
    row = {"name": "one", "success": "50.0%", "episodes": "100/500"}
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(table_of(Column("name", 0, 8), columns, [(row, "")], width))
    console.print(bar_of(3, 10, "eta 5s", width))
    header, cells, bar = console.export_text().rstrip("\n").split("\n")
    names = {12: ["name"], 24: ["name", "success"], 40: ["name", "success", "failed", "episodes"]}
    assert header.split() == names.get(width, names[40])
    assert cells.split()[0] == "one"
    assert ("–" in cells) == ("failed" in header)
    assert "eta 5s" in bar
    assert max(map(len, (header, cells, bar))) <= width
