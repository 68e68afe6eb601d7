"""`agentrl rubric`: see what an episode is rewarded for, have it designed and tuned, and watch a run for its flaws."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from agentrl.envs.errors import nearest

__all__ = ["COMMANDS", "run"]

# name -> (module with run(args) -> exit status, what it does)
COMMANDS = {
    "show": ("agentrl.cli.rubric_show", "print a rubric, an environment's own, or the components that there are"),
    "design": ("agentrl.cli.rubric_design", "have a model propose a rubric, and try it on right and cheating players"),
    "tune": ("agentrl.cli.rubric_tune", "fit the weights of a rubric to labels or preferences"),
    "watch": ("agentrl.cli.rubric_watch", "look for reward hacking in a training run"),
}

_USAGE = """\
usage: agentrl rubric COMMAND [options]

A rubric is what an episode is rewarded for: named, weighted components, written as TOML.

{commands}

New here? Type: agentrl rubric show --components
Train on one: agentrl train quickstart --rubric rubric.toml
Score stored episodes with one: agentrl rescore DIR --rubric rubric.toml
More on a command: agentrl rubric COMMAND --help
"""


def run(args: Sequence[str]) -> int:
    """Run a command of `agentrl rubric`; return its exit status."""
    words = list(args)
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        commands = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items())
        print(_USAGE.format(commands=commands), end="")
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS) or f"; choose from {', '.join(COMMANDS)}"
        print(f"agentrl rubric: there is no command {name!r}{hint}. Type: agentrl rubric --help", file=sys.stderr)
        return 2
    return int(import_module(COMMANDS[name][0]).run(rest))
