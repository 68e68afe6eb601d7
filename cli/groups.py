"""A command that is a group of commands, such as `agentrl sandbox`: its help, and what a wrong word was meant to be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from agentrl.envs.errors import nearest

__all__ = ["run_group"]


def run_group(
    group: str,
    args: Sequence[str],
    commands: Mapping[str, tuple[str | Callable[[Sequence[str]], int], str]],
    usage: str,
) -> int:
    """Run a command of a group; return its exit status.

    Args:
        group: Name of the group.
        args: The command's name and its own arguments.
        commands: Name -> (module with run(args), or that function itself; what it does).
        usage: Help of the group, with `{commands}` where these are listed.
    """
    words = list(args)
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, commands))
        print(
            usage.format(commands="\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in commands.items())),
            end="",
        )
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name not in commands:
        hint = nearest(name, commands) or f"; choose from {', '.join(commands)}"
        print(f"agentrl {group}: there is no command {name!r}{hint}. Type: agentrl {group} --help", file=sys.stderr)
        return 2
    found = commands[name][0]
    return int(found(rest) if callable(found) else import_module(found).run(rest))
