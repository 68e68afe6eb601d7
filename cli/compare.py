"""`agentrl compare A B…`: how much better one benched agent is than another, and how sure that is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from agentrl.bench.compare import Comparison

__all__ = ["run"]

_ROOMY = 110  # columns of a terminal that shows everything
_SURE = 0.05
_EXAMPLES = """examples:
  agentrl compare runs/one runs/two
  agentrl compare runs/one runs/two runs/three --metric reward --json"""


def run(args: Sequence[str]) -> int:
    """Compare runs with the first of them; return 0."""
    options = _parser().parse_args(args)
    from agentrl.bench.compare import compare
    from agentrl.trainer.transcripts import visible

    found = compare([Path(each) for each in options.run], metric=options.metric, force=options.force)
    if options.json:
        print(json.dumps([each.as_dict() for each in found], indent=2))
        return 0
    from rich.console import Console

    console = Console(highlight=False)
    for each in found:
        head = f"{each.first} ({each.agents[0]}) and {each.second} ({each.agents[1]}): {each.metric}"
        console.print(visible(head), markup=False)
        console.print(_table(each, width=console.width))
        for note in _notes(each, options.flips):
            console.print(visible(note), markup=False)
        console.print()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl compare",
        description="Compare benched agents on the tasks that they share, paired by task.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run", nargs="+", help="folders of agentrl bench; the first is what the others are compared with"
    )
    parser.add_argument("--metric", choices=("success", "reward"), default="success", help="default success")
    parser.add_argument("--flips", type=int, default=5, metavar="N", help="tasks to name that flipped (default 5)")
    parser.add_argument(
        "--force", action="store_true", help="compare what they share, though tasks, settings or versions differ"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _table(comparison: Comparison, *, width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from agentrl.trainer.transcripts import visible

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("environment", overflow="fold", min_width=10)
    roomy = width >= _ROOMY
    for name in ("tasks", "first", "second", "difference", *(("up", "down") if roomy else ()), "p", "least"):
        table.add_column(name, justify="right", no_wrap=True)
    scale, digits = (100, 1) if comparison.metric == "success" else (1, 3)
    for row in comparison.rows:
        each = row.difference
        value, low, high = (f"{scale * number:+.{digits}f}" for number in (each.value, each.low, each.high))
        table.add_row(
            Text(visible(row.env_id.rpartition(":")[2].removeprefix("AgentRL/") or "all")),
            str(each.num_tasks),
            f"{scale * row.first:.{digits}f}",
            f"{scale * row.second:.{digits}f}",
            f"{value} [{low}, {high}]",
            *((str(each.num_up), str(each.num_down)) if roomy else ()),
            f"{row.p_adjusted:.2g}",
            "-" if each.smallest is None else f"{scale * each.smallest:.{digits}f}",
            style="" if row.env_id else "bold",
        )
    return table


def _notes(comparison: Comparison, num_flips: int) -> list[str]:
    """Return what has to be said beside the table."""
    last = comparison.rows[-1]
    unit = "percentage points" if comparison.metric == "success" else "reward"
    notes = [
        _verdict(last.p_adjusted, last.difference.value),
        f"difference in {unit}, 95 % interval over tasks; p corrected for all rows (Holm); least: the smallest "
        "difference that so many tasks would show in four cases of five",
    ]
    if comparison.unlike:
        notes.append(f"forced, though they differ: {'; '.join(comparison.unlike)}")
    if comparison.num_unpaired:
        notes.append(f"{comparison.num_unpaired} tasks could not be paired: missing, or failed, in one of the runs")
    if comparison.num_left_out:
        many = "1 episode has" if comparison.num_left_out == 1 else f"{comparison.num_left_out} episodes have"
        notes.append(f"{many} no partner in the other run: left out")
    if any((row.difference.low > 0 or row.difference.high < 0) != (row.p_adjusted < _SURE) for row in comparison.rows):
        notes.append("where interval and p disagree few tasks flipped, or p was corrected: go by p")
    for word, flips in (
        ("worse", [flip for flip in comparison.flips if flip.second < flip.first]),
        ("better", [flip for flip in comparison.flips if flip.second > flip.first]),
    ):
        named = [f"{flip.env_id} level {flip.level} seed {flip.seed}" for flip in flips[:num_flips]]
        if named:
            more = f", and {len(flips) - len(named)} more" if len(flips) > len(named) else ""
            notes.append(f"{word} on {', '.join(named)}{more}")
    return notes


def _verdict(p: float, value: float) -> str:
    if p < _SURE:
        return f"the second is {'better' if value > 0 else 'worse'} (p = {p:.2g})"
    return f"no difference is shown (p = {p:.2g})"
