"""`agentrl rubric`: see what an episode is rewarded for, have it designed and tuned, and watch a run for its flaws."""

from __future__ import annotations

from collections.abc import Sequence

from agentrl.cli.groups import run_group

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
    return run_group("rubric", args, COMMANDS, _USAGE)
