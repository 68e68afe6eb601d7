"""`agentrl view`: training runs and benches as a local web page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agentrl.bench.errors import UsageError

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl view                          # all that is below runs/
  agentrl view runs/one runs/two elsewhere
  agentrl view --host 0.0.0.0           # for others too: prints an address with a token

The page follows runs that go on. Nothing in a run's folder is written."""


def run(args: Sequence[str]) -> int:
    """Serve the page until interrupted; return 0."""
    options = _parser().parse_args(args)
    folders = [Path(each) for each in options.dir or ["runs"]]
    for folder in folders:
        if not folder.is_dir():
            hint = "it is made by agentrl train and agentrl bench; " if folder == Path("runs") else ""
            raise UsageError(f"{folder} is no folder; {hint}name the one that holds your runs: agentrl view DIR")
    from agentrl.bench.viewer.app import serve

    print("Runs are only read; Ctrl-C stops.", file=sys.stderr)
    serve(folders, host=options.host, port=options.port, token=options.token)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl view",
        description="Show training runs and benches as a web page: curves, every episode, comparisons.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", nargs="*", help="folders of runs, or folders that hold such folders (default runs)")
    parser.add_argument("--port", type=int, default=8080, help="default 8080; 0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve at (default 127.0.0.1, for this machine alone)"
    )
    parser.add_argument(
        "--token", metavar="TEXT", help="what a browser has to show; made anew each time with a --host for others"
    )
    return parser
