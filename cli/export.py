"""`agentrl export DIR --format jsonl|parquet|inspect --out PATH`: a run's episodes for other programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl export runs/one --format jsonl
  agentrl export runs/quickstart --phase eval_after --format parquet --tokens --out after.parquet
  agentrl export runs/one --format inspect --out logs/one.eval && inspect view --log-dir logs

Parquet and Inspect's log need: pip install 'agentrl-gym[export]'"""


def run(args: Sequence[str]) -> int:
    """Export a run; return 0."""
    options = _parser().parse_args(args)
    from agentrl.bench.export import ENDINGS, export
    from agentrl.bench.stored import open_run

    found = open_run(Path(options.run), phase=options.phase)
    name = "-".join([found.folder.resolve().name, *([options.phase] if options.phase else [])])
    out = Path(options.out) if options.out else Path(f"{name}{ENDINGS[options.format][0]}")
    num_episodes = export(found, out, format=options.format, tokens=options.tokens, force=options.force)
    if options.json:
        print(json.dumps({"path": str(out), "format": options.format, "num_episodes": num_episodes}))
    else:
        from agentrl.trainer.transcripts import visible

        print(visible(f"{num_episodes} {'episode is' if num_episodes == 1 else 'episodes are'} in {out}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl export",
        description="Write the episodes of a bench or a training run to a file that other programs read.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="DIR", help="folder of a bench or a training run; it is not changed")
    parser.add_argument("--format", required=True, choices=("jsonl", "parquet", "inspect"), help="what is written")
    parser.add_argument("--out", metavar="PATH", help="the file (default: the run's name, in the current folder)")
    parser.add_argument("--phase", help="of a training run: train, eval_before, eval or eval_after (default: all)")
    parser.add_argument(
        "--tokens", action="store_true", help="of a training run: also token ids, mask and log-probabilities"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser
