"""`agentrl judge calibrate LABELS.jsonl`: measure a judge against people, and say whether it is fit to train on."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.envs.errors import UsageError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from agentrl.envs.rubrics.judges.base import Judging
    from agentrl.envs.rubrics.judges.fitness import Calibration

__all__ = ["run"]

_EXAMPLES = """a line of labels is one of

  {"question": "…", "answer": "…", "label": 7}                        a number that a person gave, on the judge's scale
  {"question": "…", "first": "…", "second": "…", "better": "first"}   or "second", or "tie"

"messages" may stand in place of question and answer, "references" gives accepted answers. 60 to 200 labels of different
questions tell most.

examples:
  agentrl judge calibrate labels.jsonl --model judge-8b --base-url http://127.0.0.1:8000/v1 --criteria "It is right."
  agentrl judge calibrate labels.jsonl --rubric rubric.toml --component helpful
  agentrl judge calibrate pairs.jsonl --rubric rubric.toml --component better --json

It exits with 0 where the judge is fit to train on, with 1 where it is not or that cannot be told, with 2 where it
could not be measured."""


def run(args: Sequence[str]) -> int:
    """Run a command of `agentrl judge`; return its exit status."""
    words = list(args)
    if not words or words[0] in ("-h", "--help", "help"):
        print(
            "usage: agentrl judge COMMAND [options]\n\nA judge is a model that scores episodes.\n\n"
            "  calibrate  measure a judge against people, and say whether it is fit to train on\n\n"
            "More on a command: agentrl judge calibrate --help"
        )
        return 0 if words else 2
    if words[0] != "calibrate":
        hint = nearest(words[0], ["calibrate"]) or "; there is calibrate"
        print(f"agentrl judge: there is no command {words[0]!r}{hint}. Type: agentrl judge --help", file=sys.stderr)
        return 2
    return _calibrate(words[1:])


def _calibrate(args: Sequence[str]) -> int:
    options = _parser().parse_args(args)
    import numpy as np
    from rich.console import Console

    from agentrl.envs.rubrics.judges.calibrate import calibrate
    from agentrl.envs.rubrics.judges.labels import read_labels
    from agentrl.envs.rubrics.judges.single import ScaleJudge

    scorer = _of_rubric(options) if options.rubric else None
    low, high = options.scale or (1, 10)
    if scorer is not None:
        low, high = (scorer.low, scorer.high) if isinstance(scorer, ScaleJudge) else (0, 1)
    labels = read_labels(Path(options.labels), low=low, high=high)
    scorer = scorer or _of_words(options, labels.kind)
    measuring = calibrate(
        scorer, labels, np.random.default_rng(options.seed), num_repeats=options.repeats, num_probed=options.probes
    )
    found = asyncio.run(_told(measuring, scorer, Console(stderr=True)))
    if options.json:
        print(json.dumps({"judge": _settings(scorer), **found.as_dict()}, indent=2))
    else:
        _print(found, Console(highlight=False))
    return 0 if found.fit else 1


async def _told(measuring: Any, scorer: Judging, console: Console) -> Calibration:
    """Measure, and tell meanwhile how many verdicts there are."""
    task = asyncio.ensure_future(measuring)
    with console.status("judging") as status:
        while not task.done():
            await asyncio.wait([task], timeout=0.2)
            told = scorer.totals()
            status.update(f"judging: {told.num_verdicts - told.num_failed} verdicts, {told.num_requests} requests")
    found: Calibration = await task
    return found


def _of_rubric(options: argparse.Namespace) -> Judging:
    from agentrl.envs.rubrics.catalogue import make_scorer
    from agentrl.envs.rubrics.judges.base import Judging
    from agentrl.envs.rubrics.toml import load_rubric

    for option in ("criteria", "scale"):
        if getattr(options, option):
            raise UsageError(f"--{option} has no effect beside --rubric, whose component says it; leave one out")
    given = {key: value for key, value in _asked(options).items() if value is not None}
    rubric = load_rubric(options.rubric)
    by_name = {each.name: each for each in rubric.components}
    judges = [name for name, each in by_name.items() if isinstance(each.use, str) and each.use.startswith("judge")]
    chosen: str = options.component or (judges[0] if len(judges) == 1 else "")
    if chosen not in by_name:
        which = (
            f"there is no component {chosen!r}{nearest(chosen, by_name)}"
            if chosen
            else "name the judge with --component"
        )
        raise UsageError(f"{options.rubric}: {which}; its judges are {', '.join(judges) or 'none'}")
    told = by_name[chosen]
    scorer: Any = told.use if callable(told.use) else make_scorer(told.use, told.arguments, rubric.judge, place=chosen)
    if not isinstance(scorer, Judging):
        raise UsageError(f"{options.rubric}: component {chosen!r} asks no judge; its judges are {', '.join(judges)}")
    return replace(scorer, settings=replace(scorer.settings, **given))


def _of_words(options: argparse.Namespace, kind: str) -> Judging:
    """Make a judge from the options alone: of one episode for numbers, of pairs for preferences."""
    from agentrl.envs.rubrics.judges.group import judge_pairwise
    from agentrl.envs.rubrics.judges.single import judge

    if options.component:
        raise UsageError(f"--component {options.component} is a part of a rubric; add --rubric rubric.toml")
    if not options.model or not options.base_url or not options.criteria:
        raise UsageError(
            "say who judges and what counts: --model NAME --base-url http://127.0.0.1:8000/v1 --criteria TEXT, or "
            "--rubric rubric.toml"
        )
    asked = {key: value for key, value in _asked(options).items() if value is not None}
    if kind == "preference":
        return judge_pairwise(criteria=options.criteria, judge=asked)
    return judge(criteria=options.criteria, scale=options.scale or (1, 10), judge=asked)


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the judge that were given; what is measured comes from no cache unless one is named."""
    names = ("model", "base_url", "key_env", "temperature", "concurrency", "requests_per_minute", "num_votes")
    return {name: getattr(options, name) for name in (*names, "price_in", "price_out", "max_tokens", "cache")}


def _settings(scorer: Judging) -> dict[str, Any]:
    return {"model": scorer.settings.model, "base_url": scorer.settings.base_url, "criteria": scorer.criteria}


def _print(found: Calibration, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("measure", "value", "needed", "cases", ""):
        table.add_column(name, justify="right" if name in ("value", "cases") else "left", no_wrap=name != "")
    colours = {"met": "green", "missed": "bold red", "unclear": "yellow"}
    for check in found.checks:
        each = check.estimate
        table.add_row(
            check.name,
            f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]",
            check.need.limit,
            str(check.num),
            Text(check.state, style=colours[check.state]) + Text(f" {check.note}" if check.note else "", style="dim"),
        )
    console.print(table)
    told = found.totals
    figures = ", ".join(_figure(name, found.figures) for name in found.figures if not name.endswith(("_low", "_high")))
    console.print(f"\n{figures}", markup=False, style="dim")
    console.print(
        f"{found.num_labels} labels of {found.num_tasks} tasks; {told.num_requests} requests in {found.seconds:.0f} s, "
        f"{told.prompt_tokens} + {told.completion_tokens} tokens, cost {told.cost:.4g}; intervals of 95 %",
        markup=False,
        style="dim",
    )
    console.print(f"\n{found.verdict}", markup=False, style="bold")


def _figure(name: str, figures: Mapping[str, float]) -> str:
    interval = f" [{figures[f'{name}_low']:.2f}, {figures[f'{name}_high']:.2f}]" if f"{name}_low" in figures else ""
    return f"{name} {figures[name]:.2g}{interval}"


def _needs() -> str:
    from agentrl.envs.rubrics.judges.fitness import NEEDS

    return "\n".join(f"  {name:<14} {need.limit:<16} {need.why}" for name, need in NEEDS.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl judge calibrate",
        description="Measure a judge against labelled episodes: agreement, what sways it, noise, cost.",
        epilog=f"{_EXAMPLES}\n\nwhat is needed of a judge, of its whole interval of 95 %:\n\n{_needs()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("labels", metavar="LABELS.jsonl")
    which = parser.add_argument_group("which judge")
    which.add_argument("--model", help="its name at the endpoint")
    which.add_argument("--base-url", metavar="URL", help="such as http://127.0.0.1:8000/v1")
    which.add_argument("--key-env", metavar="NAME", help="environment variable with the key (default OPENAI_API_KEY)")
    which.add_argument("--criteria", metavar="TEXT", help="what counts")
    which.add_argument(
        "--scale",
        nargs=2,
        type=int,
        metavar=("LOW", "HIGH"),
        help="of judge and labels (default 1 10)",
    )
    which.add_argument("--rubric", metavar="FILE.toml", help="measure a judge of this rubric, as it stands there")
    which.add_argument("--component", metavar="NAME", help="which of its components, where it has several judges")
    how = parser.add_argument_group("how it is asked (default: as the rubric says)")
    how.add_argument("--temperature", type=float)
    how.add_argument("--max-tokens", type=int, metavar="N", help="of one verdict")
    how.add_argument("--votes", type=int, dest="num_votes", metavar="N", help="verdicts of which the mean is taken")
    how.add_argument("--concurrency", type=int, metavar="N", help="verdicts at once")
    how.add_argument("--requests-per-minute", type=float, metavar="N")
    how.add_argument("--price-in", type=float, metavar="PRICE", help="of a million prompt tokens")
    how.add_argument("--price-out", type=float, metavar="PRICE", help="of a million completion tokens")
    how.add_argument("--cache", default="", metavar="FILE", help="keep verdicts there, to go on after an interruption")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="how often some are judged (default 3)")
    parser.add_argument("--probes", type=int, default=50, metavar="N", help="how many these are (default 50)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="chooses these, and draws resamples")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser
