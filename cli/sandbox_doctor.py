"""`agentrl sandbox doctor`: what works on this machine, shown by real runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["run"]


def run(args: Sequence[str]) -> int:
    """Look, try, print; return 0 where a backend works and no case failed."""
    from agentrl.sandboxes.doctor import BACKENDS, run_doctor

    parser = argparse.ArgumentParser(
        prog="agentrl sandbox doctor",
        description="Say what of sandboxes works on this machine, what does not and which command mends it; then try "
        "every attack of the conformance suite on each backend that works, which takes some minutes.",
    )
    parser.add_argument("--backend", choices=("all", *BACKENDS), default="all", help="which to look at (default all)")
    parser.add_argument("--quick", action="store_true", help="leave the suite out: only what is here and what it holds")
    parser.add_argument(
        "--case", metavar="NAME", action="append", help="run only this case or group of the suite; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args(args)
    if options.quick and options.case:
        parser.error("--quick runs no case; leave one of --quick and --case out")
    try:
        return run_doctor(
            BACKENDS if options.backend == "all" else (options.backend,),
            suite=not options.quick,
            names=options.case,
            as_json=options.json,
        )
    except ValueError as error:  # a case of no such name
        print(f"agentrl sandbox doctor: {error}", file=sys.stderr)
        return 2
