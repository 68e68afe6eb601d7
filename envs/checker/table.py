"""A report as a table for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentrl.envs.checker.results import Report, Result

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["MARKS", "table_of", "verdict_of"]

MARKS = {"passed": ("ok", "green"), "failed": ("FAILED", "bold red"), "not run": ("not run", "yellow")}


def table_of(report: Report, *, verbose: bool = False) -> Table:
    """Return the table of a report, ready to be printed by rich.

    Args:
        report: What was found.
        verbose: Whether to show what the checks measured.
    """
    from rich.table import Table
    from rich.text import Text

    title = f"{report.env} on {report.backend}, {report.profile}, {report.seeds} seeds a level"
    table = Table(
        "check",
        "",
        "what was found",
        title=title,
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    for each in report.results:
        mark, style = MARKS.get(each.status, ("-", "dim"))
        # Text, not markup: what an environment says must not style the terminal.
        table.add_row(Text(each.id), Text(mark, style=style), Text(_found(each, verbose)))
    return table


def verdict_of(report: Report) -> str:
    """Return the last line: how many checks passed, and the next thing to type."""
    num = {status: sum(each.status == status for each in report.results) for status in ("passed", "failed", "not run")}
    left = len(report.results) - sum(num.values())
    line = f"{num['passed']} passed, {num['failed']} failed, {num['not run']} not run, {left} not applicable"
    line += f", in {report.seconds:.1f} s."
    if report.failed:
        line += f" Again, after a change: agentrl check {report.env} --only {','.join(report.failed)}"
    return line


def _found(result: Result, verbose: bool) -> str:
    if result.status == "passed":
        told = json.dumps(result.measured, ensure_ascii=False, default=str) if verbose and result.measured else ""
        return f"{result.what} {told}".rstrip()
    if result.status == "failed":
        return f"{result.what}\n{result.reason}" + (f"\nhint: {result.hint}" if result.hint else "")
    return f"{result.status}: {result.reason}"
