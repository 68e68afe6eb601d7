"""`agentrl new NAME`: write a working environment, to be changed into one's own."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agentrl.envs.scaffold.create import Made, create
from agentrl.envs.scaffold.names import KINDS
from agentrl.envs.scaffold.targets import Target

__all__ = ["run"]


def run(args: Sequence[str]) -> int:
    """Write an environment and say what to type next; return 0."""
    parser = argparse.ArgumentParser(
        prog="agentrl new",
        description="Write a small working environment with generator, oracle, cheats, tests and card, to start from.",
        epilog="kinds:\n" + "\n".join(f"  {kind:<12} {what}" for kind, what in KINDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="such as spelling-bee")
    parser.add_argument("--kind", default="tools", help="tools (default), sandboxed or single-turn; see below")
    parser.add_argument(
        "--to", metavar="DIR", type=Path, help="a package of your own in this folder; without it, this checkout"
    )
    options = parser.parse_args(args)
    here = Path.cwd()
    target = Target.checkout(here) if options.to is None else Target.own(options.to)
    made = create(options.name, kind=options.kind, target=target)
    _report(made, target, here)
    return 0


def _report(made: Made, target: Target, here: Path) -> None:
    for path in sorted(made.written):
        print(f"wrote {_shown(path, here)}")
    print(f"added a line to {_shown(made.registered, here)}")
    steps = [f"agentrl check {made.env_id}", f"agentrl play {made.env_id} --oracle"]
    if target.root != here.resolve():
        steps.insert(0, f"cd {_shown(target.root, here)}")
    if target.top == "agentrl" and not _is_running(target):
        steps.insert(-2, "pip install --editable .   # this `agentrl` runs from elsewhere")
    steps += [
        f"python -m pytest {_shown(made.tests, target.root)}",
        f"agentrl train quickstart --env {made.env_id}   # a tiny model; your own: --model PATH_OR_NAME",
    ]
    print("\nIt works as it is. Type next:\n" + "\n".join(f"  {step}" for step in steps))
    print(
        f"\nThen change tasks.py, env.py and policies.py in {_shown(made.folder, here)} and test_tasks.py in "
        f"{_shown(made.tests, here)}, and check again."
    )


def _is_running(target: Target) -> bool:
    module = sys.modules.get("agentrl.envs") or importlib.import_module("agentrl.envs")
    return Path(str(module.__file__)).resolve().parent == target.package_folder


def _shown(path: Path, start: Path) -> str:
    return os.path.relpath(path, start.resolve())
