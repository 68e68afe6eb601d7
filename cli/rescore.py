"""`agentrl rescore DIR --rubric FILE.toml`: score stored episodes anew, without running them again."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from agentrl.trainer.transcripts import visible

if TYPE_CHECKING:
    from agentrl.bench.rescore import Change, Scoring
    from agentrl.bench.stored import StoredRun

__all__ = ["run"]

_MOST_SHOWN = 10

_EXAMPLES = """a rubric is a TOML file (agentrl rubric show --components lists what it can be made of):

  [[component]]
  use = "environment"                    # the environment's own reward, as it is stored
  [[component]]
  use = "num_turns"
  weight = 0.1
  with = {soft = 3, hard = 8}

or a function of yours in a module of the current folder:

  def brief(episode):                    # episode.turns, .answers, .messages, .reward, .rewards, .success, …
      return {"outcome": episode.reward, "length": -0.01 * episode.num_turns}

It returns a number, named components, or a Score (agentrl.bench.rescore). Both see what is stored; accepted answers are
asked of the environment, by components that compare with them. The rubric 'stored' gives what the environment gave.
Each episode that changed is a line of differences.jsonl in the new folder.

examples:
  agentrl rescore runs/one --rubric rubric.toml
  agentrl rescore runs/one --rubric mine:brief
  agentrl compare runs/one runs/one-mine-brief-1a2b3c4d --metric reward
  agentrl rescore runs/quickstart --phase eval_before --rubric stored --out runs/before
  agentrl rescore runs/quickstart --phase eval_after --rubric stored --out runs/after"""


def run(args: Sequence[str]) -> int:
    """Score episodes anew; return 0, or 1 where the rubric could not score some."""
    options = _parser().parse_args(args)
    from agentrl.bench.rescore import load_scoring, rescore
    from agentrl.bench.store import BenchStore
    from agentrl.bench.stored import open_run
    from agentrl.bench.summary import summarize
    from agentrl.bench.table import notes_of, table_of

    scoring = load_scoring(options.rubric)
    folder = Path(options.run)
    phase = options.phase
    if phase is None and not (folder / "bench.sqlite").is_file() and (folder / "rollouts.sqlite").is_file():
        phase = "eval_after"
    held_out = phase is not None and phase.startswith("eval")
    found = open_run(folder, phase=phase, greedy=options.greedy if held_out or options.greedy else None)
    out = Path(options.out) if options.out else _folder(found, scoring)
    try:
        result = rescore(found, scoring, out)
    except KeyboardInterrupt:
        print(f"\nwhat was scored is in {out}; type the same command to go on", file=sys.stderr)
        raise
    with BenchStore(out) as store:
        summaries = summarize(store.episodes(with_messages=False))
    if options.json:
        changes = [each.as_dict() for each in result.changes]
        told = {**vars(result), "folder": str(out), "changes": changes}
        told["summaries"] = [each.as_dict() for each in summaries]
        print(json.dumps(told, indent=2))
        return 1 if result.num_errors else 0
    from rich.console import Console

    console = Console(highlight=False)
    console.print(table_of(summaries, width=console.width))
    for note in [*notes_of(summaries), *result.errors]:
        console.print(note, markup=False, style="yellow")
    if result.num_errors > len(result.errors):
        console.print(f"… and {result.num_errors - len(result.errors)} more that the rubric could not score")
    if result.changes:
        console.print(_changes_of(result.changes[:_MOST_SHOWN]))
        console.print(f"all that changed are in {out / 'differences.jsonl'}", markup=False, style="dim")
    console.print(
        f"{result.num_scored} episodes scored by {scoring.name}, {result.num_changed} of them differently; all are in "
        f"{out}",
        markup=False,
        style="dim",
    )
    return 1 if result.num_errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl rescore",
        description="Score the stored episodes of a bench or a training run with another rubric, into a new folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="DIR", help="folder of a bench or a training run; it is not changed")
    parser.add_argument("--rubric", required=True, metavar="FILE.toml | MODULE:CALLABLE", help="or: stored")
    parser.add_argument(
        "--phase", help="of a training run: train, eval_before, eval or eval_after (default eval_after)"
    )
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="of held-out tasks the episodes sampled greedily, not those at the evaluation's temperature",
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the new run (default: beside the old one)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _changes_of(changes: Sequence[Change]) -> Table:
    """Return a table of the episodes that changed most."""
    table = Table(title="changed most", title_justify="left", title_style="bold", box=None, header_style="bold")
    for title in ("environment", "level", "seed", "sample", "reward was", "is", "success", "now made of"):
        table.add_column(title, justify="left" if title in ("environment", "success", "now made of") else "right")
    for each in changes:
        job, old, new = each.new.job, each.old, each.new
        success = (
            _word(new.success) if old.success == new.success else f"{_word(old.success)}, now {_word(new.success)}"
        )
        parts = ", ".join(f"{name} {value:.3g}" for name, value in new.rewards.items())
        numbers = f"{job.level or '-'}", f"{job.seed}", f"{job.sample}", f"{old.reward:.3g}", f"{new.reward:.3g}"
        table.add_row(*map(escape, (job.env_id, *numbers, success, visible(parts))))
    return table


def _word(success: bool | None) -> str:
    return {True: "yes", False: "no", None: "-"}[success]


def _folder(found: StoredRun, scoring: Scoring) -> Path:
    """Return a folder beside the run that the same command finds again."""
    text = json.dumps([found.identity, scoring.name, scoring.source], sort_keys=True)
    words = [found.folder.resolve().name, *([found.phase] if found.phase else []), Path(scoring.name).name]
    name = "-".join("".join(char if char.isalnum() else "-" for char in word) for word in words)
    return found.folder.resolve().parent / f"{name[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
