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
    parser.add_argument("--title", default="Leaderboard", metavar="TEXT", help="default Leaderboard")
    options = parser.parse_args(args)
    from agentrl.bench.leaderboard import boards, draw
    from agentrl.trainer.page import write_page

    tables, troubles = boards([Path(each) for each in options.dir])
    path = write_page(Path(options.out), draw(tables, title=options.title))
    for trouble in troubles:
        print(f"left out: {trouble}", file=sys.stderr)
    count = sum(len(board.entries) for board in tables)
    print(f"{count} runs in {len(tables)} tables: {path}")
    return 1 if troubles else 0
