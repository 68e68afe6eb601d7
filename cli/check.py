"""`agentrl check ENV…`: find what poisons training in an environment, yours or ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agentrl.cli.registry import find_env, our_envs
from agentrl.cli.truths import read_object, split_words
from agentrl.envs.errors import UsageError

if TYPE_CHECKING:
    from agentrl.envs.checker.results import Report
    from agentrl.envs.checker.runner import OnEvent

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl check AgentRL/Search-v0
  agentrl check my_package.envs:Mine-v0 --only oracle,leak --kwargs '{"size": 3}'
  agentrl check --all --profile full --backend docker,bwrap --json"""


def run(args: Sequence[str]) -> int:
    """Check environments; return 0 where nothing failed, 1 where something did."""
    words, extra = _env_kwargs(args)
    options = _parser().parse_args(words)
    from agentrl.envs.checker.catalogue import CHECKS

    if options.list:
        return _list(options.json)
    if not options.env and not options.all:
        raise UsageError("name an environment, or pass --all; agentrl envs lists them")
    envs = [*our_envs(), *options.env] if options.all else options.env
    backends = split_words(options.backend) or ["auto"]
    kwargs = {**read_object("--kwargs", options.kwargs), **extra}
    reports: list[Report] = []
    for env in dict.fromkeys(map(find_env, envs)):
        for backend in backends:
            if backend != backends[0] and reports and (reports[-1].env, reports[-1].backend) == (env, "-"):
                continue  # it takes no backend: once is enough
            with _progress(env, quiet=options.json) as on_event:
                reports.append(_check(env, backend, options, kwargs, on_event))
            if not options.json:
                _print(reports[-1], verbose=options.verbose)
    if options.json:
        print(json.dumps([each.as_dict() for each in reports], indent=2))
    elif len(reports) > 1:
        _summary(reports, len(CHECKS))
    return 0 if all(each.ok for each in reports) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl check",
        description="Find what poisons training in an environment: any Gymnasium environment whose spaces are text.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("env", nargs="*", help="environment id, or module:ID of your own")
    parser.add_argument("--all", action="store_true", help="every environment of AgentRL")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick", help="quick: seconds; full: 300 seeds")
    parser.add_argument("--seeds", type=int, metavar="N", help="tasks a level that the oracle solves")
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="auto, local, docker or bwrap: where tools and code run; several are checked one after another",
    )
    parser.add_argument("--level", action="append", metavar="N", help="only these levels (3, or 1,3)")
    parser.add_argument("--kwargs", default="{}", metavar="JSON", help="arguments of the environment, as a JSON object")
    parser.add_argument("--env-kwargs.NAME", dest="_shown", metavar="VALUE", help="one argument of the environment")
    parser.add_argument("--only", action="append", metavar="CHECK", help="only these checks, and what they rest on")
    parser.add_argument("--skip", action="append", metavar="CHECK", help="leave these checks out")
    parser.add_argument(
        "--deadline", type=float, default=60.0, metavar="S", help="seconds of one reset or step (default 60)"
    )
    parser.add_argument("--verbose", action="store_true", help="show what was measured, too")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--list", action="store_true", help="list the checks")
    return parser


def _check(env: str, backend: str, options: argparse.Namespace, kwargs: dict[str, Any], on_event: OnEvent) -> Report:
    from agentrl.envs.checker import check

    return check(
        env,
        profile=options.profile,
        backend=backend,
        seeds=options.seeds,
        levels=_levels(options.level),
        kwargs=kwargs,
        only=split_words(options.only),
        skip=split_words(options.skip),
        deadline_s=options.deadline,
        on_event=on_event,
    )


def _env_kwargs(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take `--env-kwargs.NAME VALUE` and `--env-kwargs.NAME=VALUE` out of the words."""
    words: list[str] = []
    found: dict[str, Any] = {}
    waiting = iter(args)
    for word in waiting:
        if not word.startswith("--env-kwargs."):
            words.append(word)
            continue
        name, given, text = word.removeprefix("--env-kwargs.").partition("=")
        value = text if given else next(waiting, None)
        if not name or value is None:
            raise UsageError(f"{word} has no value; type --env-kwargs.NAME VALUE")
        try:
            found[name.replace("-", "_")] = json.loads(value)
        except ValueError:  # a word as it stands
            found[name.replace("-", "_")] = value
    return words, found


def _levels(words: Sequence[str] | None) -> list[int] | None:
    try:
        return [int(part) for part in split_words(words)] or None
    except ValueError as error:
        raise UsageError(f"--level {words!r} must be whole numbers; type --level 1,3") from error


def _list(as_json: bool) -> int:
    from rich.console import Console
    from rich.table import Table

    from agentrl.envs.checker.catalogue import CHECKS

    if as_json:
        rows = [{"id": each.id, "what": each.what, "needs": each.needs, "hint": each.hint} for each in CHECKS.values()]
        print(json.dumps(rows, indent=2))
        return 0
    table = Table("check", "what it looks at", "rests on", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for each in CHECKS.values():
        table.add_row(each.id, each.what, ", ".join(each.needs))
    Console().print(table)
    return 0


@contextmanager
def _progress(env: str, *, quiet: bool) -> Iterator[OnEvent]:
    """Show which check runs, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda name, number, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task(env, total=None)
        yield lambda name, number, total: progress.update(
            shown, description=f"{env}: {name}", completed=number - 1, total=total
        )


def _print(report: Report, *, verbose: bool) -> None:
    from rich.console import Console

    from agentrl.envs.checker.table import table_of, verdict_of

    console = Console(highlight=False)
    console.print(table_of(report, verbose=verbose))
    console.print(verdict_of(report), markup=False)
    console.print()


def _summary(reports: Sequence[Report], num_checks: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("environment", "backend", "passed", "failed", "seconds", box=None, header_style="bold")
    for each in reports:
        passed = sum(result.status == "passed" for result in each.results)
        table.add_row(each.env, each.backend, f"{passed}/{num_checks}", ", ".join(each.failed), f"{each.seconds:.1f}")
    Console(highlight=False).print(table)
