"""`agentrl play ENV`: a person plays in the terminal, or watches the oracle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium
from rich.console import Console
from rich.text import Text

from agentrl.cli.registry import find_env
from agentrl.envs.errors import UsageError
from agentrl.trainer.rollout import make_text_env

__all__ = ["run"]

_STYLES = {"system": "dim", "user": "cyan", "assistant": "green", "tool": "yellow"}


def run(args: Sequence[str]) -> int:
    """Play one episode; return 0 when it could be played."""
    parser = argparse.ArgumentParser(
        prog="agentrl play", description="Play an episode in the terminal, or watch its solution."
    )
    parser.add_argument("env", help="environment id, such as AgentRL/Search-v0 (agentrl envs lists them)")
    parser.add_argument("--level", type=int, default=1, help="difficulty (default 1)")
    parser.add_argument("--split", default="train", help="train or test (default train)")
    parser.add_argument("--seed", type=int, default=None, help="which task; drawn at random without it")
    parser.add_argument("--oracle", action="store_true", help="watch the solution instead of playing")
    options = parser.parse_args(args)
    env = make_text_env(find_env(options.env), {})
    console = Console(highlight=False)
    try:
        return _play(env, options, console)
    finally:
        env.close()


def _play(env: gymnasium.Env[Any, Any], options: argparse.Namespace, console: Console) -> int:
    observation, info = env.reset(seed=options.seed, options={"level": options.level, "split": options.split})
    inner: Any = env.unwrapped
    if options.oracle and not hasattr(inner, "oracle"):
        raise UsageError(f"{options.env} ships no oracle; play it yourself: agentrl play {options.env}")
    policy = inner.oracle() if options.oracle else None
    if info.get("system"):
        _say(console, "system", info["system"])
    for tool in info.get("tools", []):
        _say(console, "system", f"tool {tool['function']['name']}: {json.dumps(tool['function'], ensure_ascii=False)}")
    if policy is None:
        console.print(
            "End a turn with an empty line. A call: <tool_call>{...}</tool_call>. Leave with Ctrl-D.", style="dim"
        )
    _say(console, "user", observation)
    while True:
        action = policy(observation, info) if policy else _typed(console)
        if action is None:
            console.print("left before the end", style="dim")
            return 0
        if policy:
            _say(console, "assistant", action)
        observation, reward, terminated, truncated, info = env.step(action)
        for reply in info.get("replies", []):
            _say(console, "tool" if reply["role"] == "tool" else "user", reply["content"])
        if info.get("failure"):
            console.print(f"no result: {info['failure'].get('message')}", style="bold")
            return 1
        if terminated or truncated:
            parts = ", ".join(f"{name} {value:g}" for name, value in info.get("rewards", {}).items())
            console.print(
                f"{'success' if info.get('success') else 'no success'}: reward {reward:g} ({parts})"
                + (" - out of turns" if truncated else ""),
                style="bold",
            )
            return 0


def _typed(console: Console) -> str | None:
    lines: list[str] = []
    if sys.stdin.isatty():
        console.print("you> ", end="", style="green")
    for line in sys.stdin:
        if not line.strip() and lines:
            return "\n".join(lines)
        if line.strip():
            lines.append(line.rstrip("\n"))
    return "\n".join(lines) or None


def _say(console: Console, role: str, text: str) -> None:
    # Text, not markup: what an environment says must not style or move the terminal.
    safe = "".join(char if char == "\n" or char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    console.print(Text(f"{role}> ", style="bold " + _STYLES[role]) + Text(safe, style=_STYLES[role]))
