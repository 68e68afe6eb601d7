"""`agentrl play ENV`: a person plays in the terminal, or watches the oracle; with --out it is recorded as a bench."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
from rich.console import Console
from rich.text import Text

from agentrl.cli.registry import find_env
from agentrl.cli.truths import read_object
from agentrl.envs.errors import UsageError
from agentrl.trainer.rollout import make_text_env
from agentrl.trainer.transcripts import visible

if TYPE_CHECKING:
    from agentrl.bench.types import Episode, Job
    from agentrl.envs.protocol import Policy

__all__ = ["run"]

_STYLES = {"system": "dim", "user": "cyan", "assistant": "green", "tool": "yellow"}


def run(args: Sequence[str]) -> int:
    """Play one episode, or record several; return 0 when all could be played."""
    options = _parser().parse_args(args)
    console = Console(highlight=False)
    if options.out is not None:
        return _record(options, console)
    for name in ("n", "name"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"{'-' if name == 'n' else '--'}{name} has no effect on a game that is not kept; add --out"
            )
    if options.seed is not None and options.seed < 0:
        raise UsageError(f"--seed {options.seed} must be 0 or more")
    env = make_text_env(find_env(options.env), read_object("--kwargs", options.kwargs or "{}"))
    try:
        return _play(env, options, console)
    finally:
        env.close()


def _play(env: gymnasium.Env[Any, Any], options: argparse.Namespace, console: Console) -> int:
    where = {"level": options.level or 1, "split": options.split or "train"}
    try:
        observation, info = env.reset(seed=options.seed, options=where)
    except UsageError:
        raise
    except Exception as error:
        return _failed(console, error)
    inner: Any = env.unwrapped
    if options.oracle and not hasattr(inner, "oracle"):
        raise UsageError(f"{options.env} ships no oracle; play it yourself: agentrl play {options.env}")
    policy = inner.oracle() if options.oracle else None
    _open(console, observation, info, hint=policy is None)
    while True:
        action = policy(observation, info) if policy else _typed(console)
        if action is None:
            console.print("left before the end", style="dim")
            return 0
        if policy:
            _say(console, "assistant", action)
        try:
            observation, reward, terminated, truncated, info = env.step(action)
        except Exception as error:
            return _failed(console, error)
        for reply in info.get("replies", []):
            _say(console, "tool" if reply["role"] == "tool" else "user", reply["content"])
        if info.get("failure"):
            failure = info["failure"]
            message = failure.get("message") if isinstance(failure, Mapping) else failure
            console.print(visible(f"no result: {message}"), style="bold", markup=False)
            return 1
        if terminated or truncated:
            _end(console, info.get("success"), float(reward), info.get("rewards", {}), truncated=truncated)
            return 0


def _failed(console: Console, error: Exception) -> int:
    console.print(visible(f"no result: the environment raised {type(error).__name__}: {error}"), markup=False)
    return 1


def _record(options: argparse.Namespace, console: Console) -> int:
    """Have a person play the tasks of a bench that are missing; return 1 where an episode failed."""
    from agentrl.bench.person import PersonLeft, record
    from agentrl.bench.run import Settings, check_env

    if options.oracle:
        raise UsageError(f"the oracle is recorded by: agentrl bench --env {options.env} --agent oracle --out DIR")
    settings = Settings(
        envs=(find_env(options.env),),
        agent=f"person:{options.name}" if options.name else "person",
        num_tasks=10 if options.n is None else options.n,
        levels=() if options.level is None else (options.level,),
        split=options.split or "test",
        seed=options.seed or 0,
        env_kwargs=read_object("--kwargs", options.kwargs or "{}"),
    )
    check_env(settings.envs[0], settings)
    folder = Path(options.out)
    counts = {"task": 0, "total": 0, "failed": 0}

    def start(total: int, done: int) -> None:
        counts.update(task=done, total=total)

    def ask(job: Job) -> Policy:
        counts["task"] += 1
        console.print(f"task {counts['task']} of {counts['total']}", style="bold")
        return _Person(console)

    def told(episode: Episode) -> None:
        last = max((at for at, each in enumerate(episode.messages) if each["role"] == "assistant"), default=-1)
        for message in episode.messages[last + 1 :] if last >= 0 else ():
            _say(console, "tool" if message["role"] == "tool" else "user", message["content"])
        if episode.failure is not None:
            counts["failed"] += 1
            console.print(visible(f"no result: {episode.failure['message']}"), style="bold", markup=False)
            return
        _end(console, episode.success, episode.reward, episode.rewards, truncated=episode.truncated)

    again = f"what was finished is in {folder}; type the same command to go on"
    try:
        num_played = record(settings, folder, ask, on_episode=told, on_start=start)
    except PersonLeft:
        console.print(f"left before the end; {again}", style="dim", markup=False)
        return 0
    except KeyboardInterrupt:
        print(f"\n{again}", file=sys.stderr)
        raise
    many = "episode" if num_played == 1 else "episodes"
    console.print(f"{num_played} {many} played, all {counts['total']} are in {folder}", style="dim", markup=False)
    return 1 if counts["failed"] else 0


class _Person:
    """Asks whoever sits at the terminal: a policy of one episode."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._has_begun = False

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        from agentrl.bench.person import PersonLeft

        if not self._has_begun:
            self._has_begun = True
            _open(self._console, observation, info, hint=True)
        else:
            for reply in info.get("replies") or [{"role": "user", "content": observation}]:
                _say(self._console, "tool" if reply["role"] == "tool" else "user", reply["content"])
        action = _typed(self._console)
        if action is None:
            raise PersonLeft("the person has left")
        return action


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl play",
        description="Play an episode in the terminal, or watch its solution. With --out your episodes are kept as a "
        "bench keeps them, so that agentrl compare can tell how you do beside an agent.",
    )
    parser.add_argument("env", help="environment id, such as AgentRL/Search-v0 (agentrl envs lists them)")
    parser.add_argument("--level", type=int, help="difficulty (default 1; with --out the environment's own)")
    parser.add_argument("--split", help="train or test (default train; with --out test)")
    parser.add_argument("--seed", type=int, help="which task; drawn at random without it (with --out the first; 0)")
    parser.add_argument("--oracle", action="store_true", help="watch the solution instead of playing")
    parser.add_argument("--out", metavar="DIR", help="record your episodes in this run folder, or go on there")
    parser.add_argument("-n", type=int, metavar="N", help="with --out: tasks to play (default 10)")
    parser.add_argument("--name", metavar="NAME", help="with --out: who you are")
    parser.add_argument("--kwargs", metavar="JSON", help="arguments of the environment, as a JSON object")
    return parser


def _open(console: Console, observation: str, info: dict[str, Any], *, hint: bool) -> None:
    if info.get("system"):
        _say(console, "system", info["system"])
    for tool in info.get("tools", []):
        _say(console, "system", f"tool {tool['function']['name']}: {json.dumps(tool['function'], ensure_ascii=False)}")
    if hint:
        console.print(
            "End a turn with an empty line. A call: <tool_call>{...}</tool_call>. Leave with Ctrl-D.", style="dim"
        )
    _say(console, "user", observation)


def _end(console: Console, success: Any, reward: float, rewards: Mapping[str, float], *, truncated: bool) -> None:
    parts = ", ".join(f"{name} {value:g}" for name, value in rewards.items())
    told = f"{'success' if success else 'no success'}: reward {reward:g} ({parts})"
    console.print(visible(told + (" - out of turns" if truncated else "")), style="bold", markup=False)


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
