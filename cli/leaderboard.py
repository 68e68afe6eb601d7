"""`agentrl leaderboard DIR…`: the benches below some folders as one static HTML page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl leaderboard                          # all benches below runs/, into leaderboard.html
  agentrl leaderboard results --out docs/index.html --title "Our agents"

The page needs no server, network or script. Each row has the command that makes it again."""


def run(args: Sequence[str]) -> int:
    """Write the page; return 0, or 1 where a bench could not be read."""
    parser = argparse.ArgumentParser(
        prog="agentrl leaderboard",
        description="Write a leaderboard of benches as one HTML page: runs on the same tasks, the best first.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", nargs="*", default=["runs"], help="folders with benches in or below them (default runs)")
    parser.add_argument("--out", default="leaderboard.html", metavar="FILE", help="default leaderboard.html")
    parser.add_argument("--force", action="store_true", help="replace a file that is no leaderboard")
    parser.add_argument("--title", default="Leaderboard", metavar="TEXT", help="default Leaderboard")
    options = parser.parse_args(args)
    from agentrl.bench.leaderboard import boards, draw, write_board
    from agentrl.trainer.transcripts import visible

    tables, troubles = boards([Path(each) for each in options.dir])
    write_board(Path(options.out), draw(tables, title=options.title), force=options.force)
    for trouble in troubles:
        print(visible(f"left out: {trouble}"), file=sys.stderr)
    num_runs, num_tables = sum(len(board.entries) for board in tables), len(tables)
    many = f"{num_runs} {'run' if num_runs == 1 else 'runs'} in {num_tables} {'table' if num_tables == 1 else 'tables'}"
    print(visible(f"{many}: {options.out}"))
    return 1 if troubles else 0
