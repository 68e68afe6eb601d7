"""`agentrl sandbox`: see what works here, build the image, run a file in a box, remove what dead owners left."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from agentrl.cli.groups import run_group

__all__ = ["COMMANDS", "run"]

# name -> (module with run(args) -> exit status, what it does)
COMMANDS = {
    "doctor": ("agentrl.cli.sandbox_doctor", "what works on this machine, what does not, and what mends it"),
    "run": ("agentrl.cli.sandbox_run", "run a Python file or a script in a sandbox"),
    "build": ("agentrl.cli.sandbox", "build the image that Docker's boxes are made from"),
    "prune": ("agentrl.cli.sandbox", "remove what processes that are dead left behind"),
}

_USAGE = """\
usage: agentrl sandbox COMMAND [options]

Run code that you do not trust, in a box with limits and without network: Docker where an engine
answers, else bubblewrap.

{commands}

New here? Type: agentrl sandbox doctor --quick
More on a command: agentrl sandbox COMMAND --help
"""


def run(args: Sequence[str]) -> int:
    """Run a command of `agentrl sandbox`; return its exit status."""
    here: dict[str, Callable[[Sequence[str]], int]] = {"build": _build, "prune": _prune}
    commands = {name: (here.get(name, module), what) for name, (module, what) in COMMANDS.items()}
    return run_group("sandbox", args, commands, _USAGE)


def _build(args: Sequence[str]) -> int:
    from agentrl.sandboxes.images import BASE_IMAGE, build_image

    parser = argparse.ArgumentParser(
        prog="agentrl sandbox build",
        description="Build the image that Docker's boxes are made from, unless it is there and up to date. "
        "Bubblewrap needs none.",
    )
    parser.add_argument(
        "--method",
        choices=("auto", "dockerfile", "debootstrap"),
        default="auto",
        help="dockerfile needs a container registry; debootstrap needs root and a mirror of Debian, no registry; "
        "auto tries them in this order (default)",
    )
    parser.add_argument("--tag", default=BASE_IMAGE, help=f"name of the image (default {BASE_IMAGE})")
    parser.add_argument("--mirror", metavar="URI", help="Debian's archive for debootstrap (default: as apt here)")
    parser.add_argument("--force", action="store_true", help="build even if the image is up to date")
    options = parser.parse_args(args)
    image = build_image(
        options.method,
        options.tag,
        force=options.force,
        mirror=options.mirror,
        on_progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    what = "built" if image.built else "is up to date (--force builds it again)"
    print(f"{image.tag} {what}: {image.size / 1e6:.0f} MB, {image.id}")
    for layer in image.layers:
        print(f"layer {layer}")
    return 0


def _prune(args: Sequence[str]) -> int:
    from agentrl.sandboxes.reaper import sweep

    parser = argparse.ArgumentParser(
        prog="agentrl sandbox prune",
        description="Remove containers, control groups and folders of sandboxes whose owner, a process of this "
        "machine, is dead. Nothing that belongs to a living process is touched.",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    options = parser.parse_args(args)
    swept = sweep(dry_run=options.dry_run)
    lines = list(swept)
    for line in lines:
        print(line)
    print(f"{len(lines)} {'would be removed' if options.dry_run else 'removed'}")
    for name, why in swept.left.items():
        print(f"agentrl sandbox prune: {name} is still there: {why}", file=sys.stderr)
    if swept.engine is not None:
        print(f"agentrl sandbox prune: containers were not looked at: {swept.engine}", file=sys.stderr)
    return 1 if swept.left else 0
