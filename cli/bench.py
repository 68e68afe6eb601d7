"""`agentrl bench`: run an agent over environments, and tell how well it did."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.bench.errors import UsageError
from agentrl.cli.registry import find_env, our_envs

if TYPE_CHECKING:
    from agentrl.bench.endpoint import EndpointSettings
    from agentrl.bench.run import Settings
    from agentrl.bench.summary import Summary
    from agentrl.bench.types import Episode

__all__ = ["run"]

_EXAMPLES = """agents:
  oracle, noop               what the environment ships: its solution, and its floor
  random                     arbitrary calls and guesses
  cheat:NAME                 a cheat of the environment, or one that agentrl check tries
  openai:MODEL               a model behind any OpenAI-compatible endpoint: --base-url, --key-env
  python:MODULE:CALLABLE     your function: messages in, the assistant's text out; may be async, and may
                             name the parameters tools, seed and sample

examples:
  agentrl bench --env AgentRL/Math-v0 --agent oracle -n 20
  agentrl bench --env Math-v0,ToolUse-v0 --agent random -n 50 --level 1,2 --k 1,4 --out runs/random
  agentrl bench --env AgentRL/Math-v0 --agent python:mine:answer -n 100 --concurrency 16
  agentrl bench --env AgentRL/ToolUse-v0 --agent openai:my-model --base-url http://127.0.0.1:8000/v1

The same command with the same --out goes on where it was stopped. Compare two: agentrl compare A B"""

_LOG_EVERY_S = 10.0


def run(args: Sequence[str]) -> int:
    """Bench an agent; return 0, or 1 where episodes failed for reasons outside the agent's answers."""
    options = _parser().parse_args(args)
    from agentrl.bench.run import run as bench
    from agentrl.bench.store import BenchStore
    from agentrl.bench.summary import summarize
    from agentrl.bench.table import notes_of, passes_of, table_of

    ks = _numbers("--k", options.k, least=1)
    prices = _prices(options.price)
    settings = _settings(options, ks)
    folder = Path(options.out) if options.out else _folder(settings)
    try:
        with _progress(settings, quiet=options.json) as (on_start, on_episode):
            num_played = bench(settings, folder, on_start=on_start, on_episode=on_episode)
    except KeyboardInterrupt:
        print(f"\nwhat was played is in {folder}; type the same command to go on", file=sys.stderr)
        raise
    with BenchStore(folder) as store:
        summaries = summarize(store.episodes(with_messages=False), ks=ks)
        identity = store.identity
    tokens, cost = _spent(summaries[-1], prices)
    if options.json:
        rows = [each.as_dict() for each in summaries]
        told = {"folder": str(folder), "identity": identity, "num_played": num_played, "summaries": rows, "cost": cost}
        print(json.dumps(told, indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        console.print(table_of(summaries, width=console.width))
        if passes := passes_of(summaries):
            console.print(passes)
        for note in notes_of(summaries):
            console.print(note, markup=False, style="yellow")
        if num_played < sum(1 for _ in settings.jobs()):
            console.print(f"{num_played} episodes were played now, the others earlier: another --out plays all anew")
        if tokens:
            console.print(tokens, markup=False)
        console.print(f"95 % intervals; every episode is in {folder}", markup=False, style="dim")
    return 1 if summaries[-1].num_failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl bench",
        description="Run an agent over environments: success and reward with intervals, every episode kept.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--env",
        action="append",
        metavar="ID[,ID…]",
        help="environments (agentrl envs lists them), or module:ID of yours",
    )
    parser.add_argument("--all", action="store_true", help="every environment of AgentRL")
    parser.add_argument("--agent", metavar="AGENT", help="who plays: see below")
    parser.add_argument(
        "-n", type=int, default=20, metavar="N", help="tasks of each environment and level (default 20)"
    )
    parser.add_argument("--k", action="append", metavar="K", help="pass@k and pass^k (1,4,8): max(K) episodes a task")
    parser.add_argument(
        "--level", action="append", metavar="L", help="levels (3, or 1,3); the environment's own without"
    )
    parser.add_argument("--split", default="test", help="test or train (default test)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first task; the others follow (default 0)")
    parser.add_argument(
        "--kwargs", default="{}", metavar="JSON", help="arguments of the environments, as a JSON object"
    )
    parser.add_argument("--concurrency", type=int, default=4, metavar="C", help="episodes at once (default 4)")
    parser.add_argument(
        "--workers",
        choices=("threads", "processes"),
        default="threads",
        help="processes: for environments that compute",
    )
    parser.add_argument(
        "--retries", type=int, default=2, metavar="R", help="fresh attempts after a failure (default 2)"
    )
    parser.add_argument(
        "--deadline", type=float, default=60.0, metavar="S", help="seconds of a reset or step (default 60)"
    )
    parser.add_argument(
        "--turn-deadline",
        type=float,
        default=300.0,
        metavar="S",
        help="seconds of a turn of an endpoint or an async function (default 300)",
    )
    parser.add_argument("--base-url", metavar="URL", help="of openai:MODEL (default https://api.openai.com/v1)")
    parser.add_argument("--key-env", metavar="NAME", help="variable that holds the key (default OPENAI_API_KEY)")
    parser.add_argument(
        "--tools", choices=("auto", "native", "text"), help="how openai:MODEL calls tools (default auto)"
    )
    parser.add_argument("--temperature", type=float, help="of openai:MODEL (default: the server's own)")
    parser.add_argument("--max-tokens", type=int, help="of one turn of openai:MODEL (default: the server's own)")
    parser.add_argument("--price", metavar="IN,OUT", help="of a million tokens, to count the cost (0.15,0.60)")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default runs/bench-AGENT-ENV…)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _settings(options: argparse.Namespace, ks: list[int]) -> Settings:
    from agentrl.bench.run import Settings

    names = [*(our_envs() if options.all else ()), *_split(options.env)]
    if not names:
        raise UsageError("name an environment: --env AgentRL/Math-v0, or --all; agentrl envs lists them")
    if not options.agent:
        raise UsageError("name who plays: --agent oracle; agentrl bench --help lists the agents")
    return Settings(
        envs=tuple(dict.fromkeys(map(find_env, names))),
        agent=options.agent,
        num_tasks=options.n,
        num_samples=max(ks, default=1),
        levels=tuple(_numbers("--level", options.level, least=1)),
        split=options.split,
        seed=options.seed,
        env_kwargs=_object(options.kwargs),
        deadline_s=options.deadline,
        turn_s=options.turn_deadline,
        max_retries=options.retries,
        concurrency=options.concurrency,
        workers=options.workers,
        endpoint=_endpoint(options),
        key=os.environ.get(options.key_env or "OPENAI_API_KEY", "") if options.agent.startswith("openai:") else "",
    )


def _endpoint(options: argparse.Namespace) -> EndpointSettings | None:
    """Return the settings of an endpoint that were given; its own defaults for the others."""
    given = {name: getattr(options, name) for name in ("base_url", "tools", "temperature", "max_tokens")}
    given = {name: value for name, value in given.items() if value is not None}
    if not options.agent.startswith("openai:"):
        for name in [*given, *(["key_env"] if options.key_env else [])]:
            raise UsageError(f"--{name.replace('_', '-')} has no effect on {options.agent}; it is of openai:MODEL")
        return None
    from agentrl.bench.endpoint import EndpointSettings

    return EndpointSettings(**given)


def _prices(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        prompt, completion = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--price {text!r} must be two numbers; type --price 0.15,0.60") from error
    return prompt, completion


def _spent(summary: Summary, prices: tuple[float, float] | None) -> tuple[str, float | None]:
    """Return what the run took in tokens, as a line, and what that cost; nothing where nobody counted."""
    if summary.prompt_tokens is None or summary.completion_tokens is None:
        return "", None
    text = f"{summary.prompt_tokens:,} tokens read, {summary.completion_tokens:,} written"
    if prices is None:
        return text, None
    cost = (summary.prompt_tokens * prices[0] + summary.completion_tokens * prices[1]) / 1e6
    return f"{text}; cost {cost:.4f}", cost


def _folder(settings: Settings) -> Path:
    """Return a folder that the same command finds again."""
    import hashlib

    text = json.dumps(settings.identity(), sort_keys=True)
    words = [settings.agent, *(env_id.rpartition("/")[2] for env_id in settings.envs[:2])]
    name = "-".join("".join(char if char.isalnum() else "-" for char in word) for word in words)
    return Path("runs") / f"bench-{name[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _split(words: Sequence[str] | None) -> list[str]:
    return [part.strip() for word in words or () for part in word.split(",") if part.strip()]


def _numbers(name: str, words: Sequence[str] | None, *, least: int) -> list[int]:
    try:
        found = [int(part) for part in _split(words)]
    except ValueError as error:
        raise UsageError(f"{name} {','.join(words or ())!r} must be whole numbers; type {name} 1,4") from error
    if any(each < least for each in found):
        raise UsageError(f"{name} {','.join(words or ())!r} must be {least} or more; type {name} 1,4")
    return sorted(set(found))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--kwargs {text!r} is not JSON: {error}; type --kwargs '{{\"max_turns\": 4}}'") from error
    if not isinstance(value, dict):
        raise UsageError(f"--kwargs {text!r} is not a JSON object; type --kwargs '{{\"max_turns\": 4}}'")
    return value


@contextmanager
def _progress(
    settings: Settings, *, quiet: bool
) -> Iterator[tuple[Callable[[int, int], None], Callable[[Episode], None]]]:
    """Show how far the bench is: a bar on a terminal, a line now and then in a log."""
    counts = {"total": 0, "done": 0, "right": 0, "failed": 0}

    def count(episode: Episode) -> str:
        counts["done"] += episode.failure is None
        counts["right"] += episode.success is True
        counts["failed"] += episode.failure is not None
        return f"{counts['right']} succeeded, {counts['failed']} failed"

    def start(total: int, done: int) -> None:
        counts.update(total=total, done=done)

    if quiet:
        yield start, lambda episode: None
    elif not sys.stderr.isatty():
        last = [time.monotonic()]

        def log(episode: Episode) -> None:
            said = count(episode)
            if time.monotonic() - last[0] >= _LOG_EVERY_S:
                last[0] = time.monotonic()
                print(f"{counts['done']}/{counts['total']} episodes, {said}", file=sys.stderr, flush=True)

        yield start, log
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            shown = progress.add_task(settings.agent, total=None)

            def begin(total: int, done: int) -> None:
                start(total, done)
                progress.update(shown, total=total, completed=done)

            def advance(episode: Episode) -> None:
                progress.update(shown, advance=1, description=f"{settings.agent}: {count(episode)}")

            yield begin, advance
