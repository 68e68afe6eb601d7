"""`agentrl rubric design --env ID --model MODEL`: have a rubric proposed, and try it on oracle, floor and cheats."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.cli.registry import find_env
from agentrl.cli.truths import read_object
from agentrl.envs.errors import UsageError

if TYPE_CHECKING:
    import gymnasium

    from agentrl.envs.rubrics import Rubric, Transcript
    from agentrl.envs.rubrics.design import Designed, Played, Round, Trial

__all__ = ["run"]

_MOST_ROWS = 12  # cheats that are paid, one by one

_EXAMPLES = """a rubric is accepted when it pays the oracle more than the floor on every task, and pays no cheat (the
environment's own, and those that agentrl check tries on any) more than --tolerance of the way from the floor to the
oracle. Everything that is said and found is written to a file of JSON lines beside --out.

examples:
  agentrl rubric design --env Search-v0 --model gpt-5 --goal "short answers, few calls"
  agentrl rubric design --env Search-v0 --model tiny --base-url http://127.0.0.1:8000/v1 --episodes runs/one
  agentrl rubric design --env Search-v0 --try mine.toml          no model: how does this one fare?

It exits with 0 where a rubric was accepted, with 1 where none was."""


def run(args: Sequence[str]) -> int:
    """Design a rubric, or try one; return 0 where it is accepted, 1 where not."""
    options = _checked(_parser().parse_args(args))
    import gymnasium

    from agentrl.envs.rubrics import load_rubric
    from agentrl.envs.rubrics.design import play_all, try_rubric

    tried = load_rubric(options.try_it) if options.try_it else None
    env_id = find_env(options.env)
    env = gymnasium.make(env_id, disable_env_checker=True, **read_object("--kwargs", options.kwargs))
    with closing(env):
        stored = _stored(options, env, env_id)
        with _progress(quiet=options.json) as on_episode:
            tasks = play_all(
                env, num_tasks=options.n + 1, level=options.level, first_seed=options.seed, on_episode=on_episode
            )

        def try_it(rubric: Rubric) -> Trial:
            return try_rubric(
                rubric,
                tasks[:-1],
                stored=stored,
                tolerance=options.tolerance,
                allow_success=options.allow_success,
            )

        if tried is not None:
            trial = try_it(tried)
            print(json.dumps(_trial(trial), indent=2)) if options.json else _print_trial(trial)
            return 0 if trial.accepted else 1
        return _design(options, env, env_id, tasks[-1], stored, try_it)


def _design(
    options: argparse.Namespace,
    env: gymnasium.Env[Any, Any],
    env_id: str,
    shown: Sequence[Played],
    stored: Sequence[Sequence[Transcript]],
    try_it: Any,
) -> int:
    from agentrl.envs.completions import Completions, CompletionSettings
    from agentrl.envs.rubrics import to_toml
    from agentrl.envs.rubrics.design import Record, card_of, design, first_messages

    settings = CompletionSettings(
        base_url=options.base_url, model=options.model, key_env=options.key_env, deadline_s=options.deadline
    )
    out = Path(options.out)
    if out.exists():
        raise UsageError(f"--out {out} is there already; name another file, or move it away")
    judge = {"model": options.judge_model, "base_url": options.judge_url} if options.judge_model else None
    messages = first_messages(
        env_id=env_id,
        card=card_of(env),
        shown=shown,
        stored=[group[0] for group in stored[:2]],
        goal=options.goal,
        has_judge=judge is not None,
        tolerance=options.tolerance,
        allow_success=options.allow_success,
    )
    completions = Completions(settings, who="the model", boundary="designer")
    with asyncio.Runner() as loop, Record(out.with_suffix(".design.jsonl")) as record:

        def ask(talk: Sequence[Mapping[str, str]]) -> str:
            return loop.run(completions.ask({"messages": list(talk)})).content

        record.add(
            "begun", env=env_id, model=options.model, base_url=options.base_url, goal=options.goal, seed=options.seed
        )
        try:
            designed = design(
                messages,
                ask,
                try_it,
                record,
                num_rounds=options.rounds,
                judge=judge,
                on_round=lambda found: None if options.json else _print_round(found),
            )
        except Exception:
            print(f"what was said until then is in {record.path}", file=sys.stderr)
            raise
        finally:
            loop.run(completions.close())
    if designed.rubric is not None:
        head = f"# for {env_id}, proposed by {options.model}, accepted in round {len(designed.rounds)}\n"
        out.write_text(head + to_toml(designed.rubric), encoding="utf-8")
    if options.json:
        print(json.dumps(_told(designed, out, record.path), indent=2))
    elif designed.rubric is not None:
        print(f"Accepted in round {len(designed.rounds)}: {out}. Everything that was said is in {record.path}")
    else:
        print(f"None of {len(designed.rounds)} proposals was accepted. Everything that was said is in {record.path}")
    return 0 if designed.rubric is not None else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl rubric design",
        description="Have a model propose a rubric for an environment, or try one of your own, on players that are "
        "right, idle and cheating.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--env", required=True, metavar="ID", help="environment id, or module:ID of your own")
    add("--model", help="name of the model at --base-url that proposes")
    add("--base-url", default="https://api.openai.com/v1", metavar="URL", help="its OpenAI-compatible endpoint")
    add("--key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable that holds the key")
    add("--deadline", type=float, default=300.0, metavar="S", help="seconds of one proposal (default 300)")
    add("--goal", default="", metavar="WORDS", help="what the rubric is to make sure of")
    add("--rounds", type=int, default=4, metavar="N", help="proposals at most (default 4)")
    add("--try", dest="try_it", metavar="FILE.toml", help="try this rubric; no model is asked")
    add("--episodes", metavar="DIR", help="stored episodes of the environment: a bench or a training run")
    add("--phase", help="of a training run: train, eval_before, eval or eval_after (default: all)")
    add("-n", type=int, default=6, metavar="N", help="tasks that everybody plays (default 6)")
    add("--level", type=int, metavar="L", help="of the tasks (default: the environment's own)")
    add("--seed", type=int, default=0, metavar="N", help="of the first task (default 0)")
    add("--kwargs", default="{}", metavar="JSON", help="arguments of the environment, as a JSON object")
    add("--tolerance", type=float, default=0.1, metavar="SHARE", help="how far above the floor a cheat may be: 0.1")
    add("--allow-success", action="store_true", help="let the environment's own verdict be all there is")
    add("--judge-model", metavar="NAME", help="let the rubric ask this judge")
    add("--judge-url", metavar="URL", help="endpoint of the judge")
    add("--out", default="rubric.toml", metavar="FILE", help="of the accepted rubric (default rubric.toml)")
    add("--json", action="store_true", help="print JSON for machines")
    return parser


def _checked(options: argparse.Namespace) -> argparse.Namespace:
    if bool(options.model) == bool(options.try_it):
        raise UsageError("name a model that proposes (--model NAME), or a rubric to try (--try FILE.toml)")
    for name, least in (("n", 1), ("rounds", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise UsageError(f"{'-' if name == 'n' else '--'}{name} {getattr(options, name)} must be {least} or more")
    if not 0 <= options.tolerance < 1:
        raise UsageError(f"--tolerance {options.tolerance:g} must be a share of at least 0 and below 1")
    if bool(options.judge_model) != bool(options.judge_url):
        raise UsageError("a judge needs both --judge-model and --judge-url")
    if options.phase and not options.episodes:
        raise UsageError(f"--phase {options.phase} chooses among stored episodes; add --episodes DIR")
    return options


def _stored(options: argparse.Namespace, env: gymnasium.Env[Any, Any], env_id: str) -> list[list[Transcript]]:
    if not options.episodes:
        return []
    from agentrl.bench.rubrics import stored_groups
    from agentrl.bench.stored import open_run

    run = open_run(Path(options.episodes), phase=options.phase)
    return stored_groups(run, env_id, references=env.has_wrapper_attr("references"))


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show who plays, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.markup import escape

    num = itertools.count(1)
    with Console(stderr=True).status("the oracle, the floor and the cheats play") as shown:
        yield lambda name: shown.update(f"{next(num)} episodes played, the last by {escape(name)}")


def _trial(trial: Trial) -> dict[str, Any]:
    players = [{**asdict(each), "mean": each.mean, "share": trial.share(each)} for each in trial.tallies]
    return {**asdict(trial), "tallies": players, "accepted": trial.accepted}


def _told(designed: Designed, out: Path, record: Path) -> dict[str, Any]:
    rounds = [{**asdict(each), "trial": _trial(each.trial) if each.trial else None} for each in designed.rounds]
    accepted = designed.rubric is not None
    return {"accepted": accepted, "out": str(out) if accepted else None, "record": str(record), "rounds": rounds}


def _print_round(found: Round) -> None:
    from agentrl.trainer.transcripts import visible  # what a model names must not move the terminal

    print(f"Round {found.number}:")
    if found.trial is not None:
        _print_trial(found.trial)
    else:
        print(visible(f"  rejected: {'; '.join(found.reasons)}\n"))


def _print_trial(trial: Trial) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from agentrl.trainer.transcripts import visible

    console = Console(highlight=False)
    table = Table("player", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("mean", "least", "most", "floor to oracle"):
        table.add_column(title, justify="right")
    cheats = sorted(trial.tallies[2:], key=lambda each: -each.mean)
    loud = [each for each in cheats if (trial.share(each) or 0.0) > trial.tolerance]
    for each in [*trial.tallies[:2], *loud[:_MOST_ROWS]]:
        share = trial.share(each)
        told = [f"{value:.3f}" for value in (each.mean, min(each.rewards), max(each.rewards))]
        name = each.name if each.role in ("oracle", "floor") else f"cheat: {each.name}"
        table.add_row(Text(visible(name)), *told, "" if share is None else f"{share:.0%}")
    if trial.tallies:
        console.print(table)
    if len(loud) > _MOST_ROWS:
        console.print(f"and {len(loud) - _MOST_ROWS} more cheats above the floor")
    if quiet := cheats[len(loud) :]:
        console.print(
            f"and {len(quiet)} of {len(cheats)} cheats at the floor: on average {quiet[0].mean:.3f} at most, within "
            f"{trial.tolerance:.0%} of the way to the oracle"
        )
    if trial.stored_share is not None:
        console.print(
            f"of {trial.num_pairs} pairs of stored episodes, one that succeeded and one not, {trial.stored_share:.0%} "
            "are ordered rightly"
        )
    for reason in trial.reasons:
        console.print(visible(f"rejected: {reason}"), markup=False, style="yellow")
    console.print("accepted\n" if trial.accepted else "", style="bold")
