"""`agentrl`: one command, which mounts the commands of the other packages.

A command's module is imported when it is called, so that `agentrl --help` is quick. Errors of users end with the next
thing to type and exit with 2; a traceback is a bug of ours.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

__all__ = ["COMMANDS", "main"]

# name -> (module with run(args) -> exit status, what it does)
COMMANDS = {
    "envs": ("agentrl.cli.envs", "list the environments: tools, turns, levels, what each tests"),
    "play": ("agentrl.cli.play", "play an environment yourself, or watch its oracle"),
    "check": ("agentrl.cli.check", "find what poisons training in an environment, yours or ours"),
    "new": ("agentrl.cli.new", "write a new environment with tests and card, to start from"),
    "bench": ("agentrl.cli.bench", "run an agent over environments: scores with intervals, every episode kept"),
    "compare": ("agentrl.cli.compare", "compare benched agents task by task: how much better, and how sure"),
    "leaderboard": ("agentrl.cli.leaderboard", "write benches as one static page, each row with its command"),
    "view": ("agentrl.cli.view", "read runs in a browser: curves, every episode, comparisons, live"),
    "rubric": ("agentrl.cli.rubric", "what an episode is rewarded for: show, design, tune, watch for hacking"),
    "judge": ("agentrl.cli.judge", "measure a model that scores episodes against people, before you train on it"),
    "rescore": ("agentrl.cli.rescore", "score stored episodes with another rubric, without running them again"),
    "export": ("agentrl.cli.export", "write a run's episodes as JSON lines, Parquet or Inspect's log"),
    "train": ("agentrl.cli.train", "train a model with GRPO, from a recipe; or resume a run"),
    "plan": ("agentrl.cli.plan", "how to use so many GPUs: trainers, servers, environments, and the bottleneck"),
    "coldstart": ("agentrl.cli.coldstart", "fine-tune a model on demonstrations, before training"),
    "serve": ("agentrl.cli.serve", "serve environments over HTTP and WebSocket, for other languages and machines"),
    "sandbox": ("agentrl.cli.sandbox", "run code that you do not trust: doctor, run, build, prune"),
}

_EXTRA_TRAIN = ("huggingface_hub", "safetensors", "tokenizers", "torch", "transformers")


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    words = list(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(f"agentrl {version('agentrl-gym')}")
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        print(f"agentrl: there is no command {name!r}{hint} Type: agentrl --help", file=sys.stderr)
        return 2
    try:
        status = int(import_module(COMMANDS[name][0]).run(rest))
        sys.stdout.flush()  # a reader that is gone shows here
        return status
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `agentrl envs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes goes nowhere
        return 0
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA_TRAIN:
            raise
        print(f"agentrl {name}: {error.name} is not installed; type: pip install 'agentrl-gym[train]'", file=sys.stderr)
        return 2
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        from agentrl.trainer.transcripts import visible  # what a server or a file said must not move the terminal

        print(visible(f"agentrl {name}: {error}"), file=sys.stderr)
        return 2


def _is_for_the_user(error: Exception) -> bool:
    # The roots of the four error trees, by name: importing them here would make every command slow.
    return any(
        kind.__name__ in ("TrainerError", "EnvError", "SandboxError", "BenchError")
        and kind.__module__.startswith("agentrl.")
        for kind in type(error).__mro__
    )


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: agentrl COMMAND [options]",
            "",
            "Train and try language-model agents on text environments.",
            "",
            *lines,
            "",
            "New here? Type: agentrl train quickstart",
            "More on a command: agentrl COMMAND --help. The version: agentrl --version",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
