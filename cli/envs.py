"""`agentrl envs`: a table of the environments."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from typing import Any

import gymnasium
from rich.console import Console
from rich.table import Table

from agentrl.cli.registry import our_envs

__all__ = ["run"]

_MOST_NAMED = 4


def run(args: Sequence[str]) -> int:
    """Print every environment of AgentRL with its tools, turns, levels and what it tests."""
    parser = argparse.ArgumentParser(prog="agentrl envs", description="List the environments.")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args(args)
    rows = [_describe(env_id) for env_id in our_envs()]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("id", "tools", "turns", "levels", "what it tests"):
        table.add_column(title, no_wrap=title == "id", ratio=1 if title == "what it tests" else None)
    for row in rows:
        table.add_row(row["id"], _shown(row["tools"]), str(row["turns"]), row["levels"], row["tests"])
    Console().print(table)
    print("\nPlay one: agentrl play ID. Train on one: agentrl train quickstart --env ID")
    return 0


def _shown(tools: list[str]) -> str:
    return f"{len(tools)}, such as {tools[0]}" if len(tools) > _MOST_NAMED else ", ".join(tools) or "none"


def _describe(env_id: str) -> dict[str, Any]:
    env = gymnasium.make(env_id)
    inner: Any = env.unwrapped
    tools = [tool.name for tool in inner.tools]
    if not tools:  # they may depend on the task
        _, info = env.reset(seed=0, options={"level": inner.levels[-1]})
        tools = [each["function"]["name"] for each in info.get("tools", ())]
    row = {
        "id": env_id,
        "tools": tools,
        "turns": inner.max_turns,
        "levels": f"{inner.levels.start}-{inner.levels.stop - 1}",
        "tests": (inspect.getdoc(inner) or "").split("\n")[0],
    }
    env.close()
    return row
