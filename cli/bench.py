"""`agentrl bench`: run an agent over environments, and tell how well it did."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentrl.bench.errors import UsageError
from agentrl.cli.registry import find_env, our_envs
from agentrl.cli.stopping import Stop
from agentrl.cli.truths import read_object, split_words

if TYPE_CHECKING:
    from agentrl.bench.run import Settings
    from agentrl.bench.store import BenchStore
    from agentrl.bench.summary import Summary

__all__ = ["run"]

_EXAMPLES = """agents:
  oracle, noop               what the environment ships: its solution, and its floor
  random                     arbitrary calls and guesses
  cheat:NAME                 a cheat of the environment, or one that agentrl check tries
  openai:MODEL               a model behind any OpenAI-compatible endpoint: --base-url, --key-env
  hf:PATH_OR_ID              a Hugging Face model in this process, by the trainer's torch engine; vllm:… by vLLM
  run:DIR                    a checkpoint of a training run, sampled as the run evaluated it; without --env it
                             plays the run's own held-out tasks
  python:MODULE:CALLABLE     your function: messages in, the assistant's text out; may be async, and may
                             name the parameters tools, seed and sample

examples:
  agentrl bench --env AgentRL/Math-v0 --agent oracle -n 20
  agentrl bench --env Math-v0,ToolUse-v0 --agent random -n 50 --level 1,2 --k 1,4 --out runs/random
  agentrl bench --env AgentRL/Math-v0 --agent python:mine:answer -n 100 --concurrency 16
  agentrl bench --env AgentRL/ToolUse-v0 --agent openai:my-model --base-url http://127.0.0.1:8000/v1
  agentrl bench --env AgentRL/Search-v0 --agent hf:Qwen/Qwen3-0.6B -n 100 --temperature 0.7 --concurrency 32
  agentrl bench --agent run:runs/quickstart --checkpoint best --temperature 0

The same command with the same --out goes on where it was stopped. Compare two: agentrl compare A B"""
_NO_ENV = "name an environment: --env AgentRL/Math-v0, or --all; agentrl envs lists them"
_MODELS = ("hf", "run", "vllm")
_REST = {  # what follows the name of a kind of agents
    "cheat:": "NAME",
    "hf:": "PATH_OR_ID",
    "openai:": "MODEL",
    "python:": "MODULE:CALLABLE",
    "run:": "DIR",
    "vllm:": "PATH_OR_ID",
}
_OF = {  # option -> the kinds of agents that know it
    "base_url": ("openai",),
    "key_env": ("openai",),
    "tools": ("openai",),
    "temperature": ("openai", *_MODELS),
    "max_tokens": ("openai", *_MODELS),
    "max_context": _MODELS,
    "checkpoint": ("run",),
    "device": _MODELS,
    "dtype": _MODELS,
    "threads": _MODELS,
}


def run(args: Sequence[str]) -> int:
    """Bench an agent; return 0, or 1 where episodes failed for reasons outside the agent's answers."""
    options = _parser().parse_args(args)
    from agentrl.bench.run import run as bench
    from agentrl.bench.store import BenchStore
    from agentrl.bench.summary import summarize
    from agentrl.bench.table import notes_of, pace_of, passes_of, reasons_of, table_of
    from agentrl.cli.progress import Progress

    ks = _numbers("--k", options.k, least=1)
    prices = _prices(options.price)
    settings = _settings(options, ks)
    if settings.model is not None:
        _hush()
    folder = Path(options.out) if options.out else _folder(settings)
    with Stop("stopping: the episodes under way are waited for, ten seconds at most; again to stop at once") as stop:
        try:
            with Progress(settings, folder) if not options.json else nullcontext() as shown:

                def begin(total: int, done: int) -> None:
                    if shown is not None:
                        shown.start(total, done)
                    stop.is_patient = True

                num_played = bench(
                    settings,
                    folder,
                    on_start=begin,
                    on_episode=shown.add if shown is not None else None,
                    is_stopped=lambda: stop.signal != 0,
                )
                stop.is_patient = False
        except KeyboardInterrupt:
            if not stop.signal:
                raise
        if stop.signal:
            print(f"\nstopped; what was played is in {folder}; type the same command to go on", file=sys.stderr)
            return stop.status
    with BenchStore(folder) as store:
        summaries = summarize(store.episodes(with_messages=False), ks=ks)
        identity, paces = store.identity, store.paces()
        reasons = reasons_of(store.episodes(with_messages=False)) if summaries[-1].num_failures else []
        if settings.seeds:
            _warn_of_changes(settings, store)
    tokens, cost = _spent(summaries[-1], prices)
    if options.json:
        rows = [each.as_dict() for each in summaries]
        told = {"folder": str(folder), "identity": identity, "num_played": num_played, "summaries": rows, "cost": cost}
        told["paces"] = [asdict(each) for each in paces]
        print(json.dumps(told, indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        console.print(table_of(summaries, width=console.width))
        if passes := passes_of(summaries):
            console.print(passes)
        for note in [*notes_of(summaries), *(f"  {reason}" for reason in reasons)]:
            console.print(note, markup=False, style="yellow")
        if num_played < sum(1 for _ in settings.jobs()):
            console.print(f"{num_played} episodes were played now, the others earlier: another --out plays all anew")
        if tokens:
            console.print(tokens, markup=False)
        if pace := pace_of(paces):
            console.print(pace, markup=False, style="dim")
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
    parser.add_argument("-n", type=int, metavar="N", help="tasks of each environment and level (default 20)")
    parser.add_argument("--k", action="append", metavar="K", help="pass@k and pass^k (1,4,8): max(K) episodes a task")
    parser.add_argument(
        "--level", action="append", metavar="L", help="levels (3, or 1,3); the environment's own without"
    )
    parser.add_argument("--split", help="test or train (default test)")
    parser.add_argument("--seed", type=int, help="seed of the first task; the others follow (default 0)")
    parser.add_argument("--kwargs", metavar="JSON", help="arguments of the environments, as a JSON object")
    parser.add_argument(
        "--concurrency", default="auto", metavar="C", help="episodes at once (default auto: what the host carries)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="MB",
        help="what auto lets the bench and its boxes take (default: what is there)",
    )
    parser.add_argument(
        "--workers",
        choices=("threads", "processes"),
        default="threads",
        help="processes: for environments that compute",
    )
    parser.add_argument("--env-workers", metavar="ray:N", help="environments in N processes of a Ray cluster's hosts")
    parser.add_argument("--ray", metavar="JSON", help='settings of --env-workers: {"address": "auto", "num_cpus": 2}')
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
        help="seconds of a turn of the agent (default 300)",
    )
    parser.add_argument("--base-url", metavar="URL", help="of openai:MODEL (default https://api.openai.com/v1)")
    parser.add_argument("--key-env", metavar="NAME", help="variable that holds the key (default OPENAI_API_KEY)")
    parser.add_argument(
        "--tools", choices=("auto", "native", "text"), help="how openai:MODEL calls tools (default auto)"
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="of a model (default: the server's own, the run's, else 1)"
    )
    parser.add_argument(
        "--max-tokens", type=int, metavar="N", help="of a model's turn (default: the server's own, the run's, else 512)"
    )
    parser.add_argument(
        "--max-context",
        type=int,
        metavar="N",
        help="of an episode of hf:, run:, vllm: (default: the run's, the model's)",
    )
    parser.add_argument("--checkpoint", metavar="best|last|STEP", help="of run:DIR (default last)")
    parser.add_argument("--device", help="auto, cpu or cuda, of hf:, run:, vllm: (default auto)")
    parser.add_argument("--dtype", help="auto, float32 or bfloat16, of hf:, run:, vllm: (default auto)")
    parser.add_argument("--threads", type=int, help="of torch on a CPU (default: its own choice)")
    parser.add_argument("--price", metavar="IN,OUT", help="of a million tokens, to count the cost (0.15,0.60)")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default runs/bench-AGENT-ENV…)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _settings(options: argparse.Namespace, ks: list[int]) -> Settings:
    from agentrl.bench.run import Settings

    if not options.agent and not options.env and not options.all:
        raise UsageError(_NO_ENV)
    if not options.agent:
        raise UsageError("name who plays: --agent oracle; agentrl bench --help lists the agents")
    return Settings(
        **_tasks(options),
        agent=options.agent,
        num_samples=max(ks, default=1),
        deadline_s=options.deadline,
        turn_s=options.turn_deadline,
        max_retries=options.retries,
        concurrency=_concurrency(options.concurrency),
        memory_mb=options.memory,
        workers=options.workers,
        env_workers=options.env_workers,
        ray=read_object("--ray", options.ray or "{}"),
        **_asked(options),
    )


def _tasks(options: argparse.Namespace) -> dict[str, Any]:
    """Return which tasks are played: those that were named, or those that a training run holds out."""
    names = [*(our_envs() if options.all else ()), *split_words(options.env)]
    kind, _, place = options.agent.partition(":")
    if not names and kind == "run" and place:
        from agentrl.bench.plans import held_out

        for name, given in (("level", options.level), ("split", options.split), ("kwargs", options.kwargs)):
            if given:
                raise UsageError(f"--{name} has no effect on the run's own held-out tasks; name others with --env")
        if options.seed is not None:
            raise UsageError("--seed has no effect on the run's own held-out tasks; name others with --env")
        tasks = held_out(Path(place).expanduser())
        if options.n is not None and not 0 < options.n <= len(tasks.seeds):
            raise UsageError(f"-n {options.n}, but the run holds out {len(tasks.seeds)} tasks; leave -n out for all")
        seeds = tasks.seeds[: options.n]
        return {
            "envs": tuple(map(find_env, tasks.envs)),
            "levels": tasks.levels,
            "split": tasks.split,
            "seeds": seeds,
            "num_tasks": len(seeds),
            "env_kwargs": tasks.env_kwargs,
        }
    if not names:
        raise UsageError(_NO_ENV)
    return {
        "envs": tuple(dict.fromkeys(map(find_env, names))),
        "levels": tuple(_numbers("--level", options.level, least=1)),
        "split": options.split or "test",
        "seed": options.seed or 0,
        "num_tasks": 20 if options.n is None else options.n,
        "env_kwargs": read_object("--kwargs", options.kwargs or "{}"),
    }


def _warn_of_changes(settings: Settings, store: BenchStore) -> None:
    """Say where held-out tasks are others now than when the run was evaluated."""
    from agentrl.bench.plans import num_changed

    run_folder = Path(settings.agent.partition(":")[2]).expanduser()
    if changed := num_changed(run_folder, store.episodes()):
        num_tasks = settings.num_tasks * len(settings.envs)
        print(
            f"{changed} of {num_tasks} held-out tasks are others now than in {run_folder}, "
            "whose own figures do not compare: the environment has changed since",
            file=sys.stderr,
        )


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """Return how a model is asked; an option that another kind of agent does not know is refused."""
    kind, agent = options.agent.partition(":")[0], options.agent
    if agent in _REST:
        raise UsageError(f"agent {agent!r} names nothing behind the colon; type {agent}{_REST[agent]}")
    if options.temperature is not None and not 0 <= options.temperature < math.inf:
        raise UsageError(f"--temperature {options.temperature} must be 0 or more; type --temperature 0.7")
    for name, kinds in _OF.items():
        if getattr(options, name) is not None and kind not in kinds:
            whose = ", ".join("openai:MODEL" if each == "openai" else f"{each}:…" for each in kinds)
            raise UsageError(f"--{name.replace('_', '-')} has no effect on {agent}; it is of {whose}")
    given = {name: getattr(options, name) for name in _OF if getattr(options, name) is not None}
    if kind == "openai":
        from agentrl.bench.endpoint import EndpointSettings

        key = os.environ.get(given.pop("key_env", "OPENAI_API_KEY"), "")
        return {"endpoint": EndpointSettings(**given) if given else None, "key": key}
    if kind in _MODELS:
        from agentrl.bench.plans import ModelSettings

        return {"model": ModelSettings(**given)}
    return {}


def _hush() -> None:
    """Keep the bars of Transformers out of ours, and let the engine's thread have the interpreter back quickly."""
    sys.setswitchinterval(0.0005)
    try:
        from transformers.utils import logging
    except ImportError:  # the agent says what to install
        return
    logging.disable_progress_bar()


def _prices(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        prompt, completion = map(float, text.split(","))
        if not (0 <= prompt < math.inf and 0 <= completion < math.inf):
            raise ValueError
    except ValueError as error:
        raise UsageError(f"--price {text!r} must be two numbers, each 0 or more; type --price 0.15,0.60") from error
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


def _concurrency(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"--concurrency {text!r} is no whole number; type --concurrency 8, or auto") from error


def _numbers(name: str, words: Sequence[str] | None, *, least: int) -> list[int]:
    try:
        found = [int(part) for part in split_words(words)]
    except ValueError as error:
        raise UsageError(f"{name} {','.join(words or ())!r} must be whole numbers; type {name} 1,4") from error
    if any(each < least for each in found):
        raise UsageError(f"{name} {','.join(words or ())!r} must be {least} or more; type {name} 1,4")
    return sorted(set(found))
