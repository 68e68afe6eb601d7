"""`agentrl rubric tune RUBRIC.toml --episodes DIR --labels LABELS.jsonl`: fit weights to labels or preferences."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.envs.errors import UsageError

if TYPE_CHECKING:
    from agentrl.bench.rubrics import Labels, Measured
    from agentrl.envs.rubrics import Rubric
    from agentrl.envs.rubrics.tuning import Interval, Tuned

__all__ = ["run"]

_EXAMPLES = """a line of labels is one of

  {"env_id": "Math-v0", "level": 1, "seed": 7, "sample": 0, "label": true}      or a number; an episode of a bench
  {"phase": "train", "step": 3, "group": 0, "member": 1, "label": 0.5}          an episode of a training run
  {"first": {"env_id": …}, "second": {"env_id": …}, "better": "first"}          or "second", or "tie"

examples:
  agentrl rubric tune mine.toml --episodes runs/one --labels labels.jsonl
  agentrl rubric tune mine.toml --episodes runs/one --labels success --out tuned.toml

It exits with 0 where tuned weights were written, with 1 where tuning gains nothing, with 2 where it cannot tell."""


def run(args: Sequence[str]) -> int:
    """Tune a rubric; return 0 where tuned weights were written, 1 where tuning gains nothing."""
    options = _parser().parse_args(args)
    import numpy as np

    from agentrl.bench.rubrics import measure, read_labels
    from agentrl.bench.stored import open_run
    from agentrl.envs.rubrics import load_rubric, to_toml
    from agentrl.envs.rubrics.tuning import tune

    path = Path(options.rubric)
    out = Path(options.out) if options.out else path.with_name(f"{path.stem}-tuned.toml")
    if out.resolve() == path.resolve():
        raise UsageError(f"--out {out} is the rubric itself, which is never changed; name another file")
    rubric = load_rubric(path)
    labels = None if options.labels == "success" else read_labels(Path(options.labels))
    measured = measure(open_run(Path(options.episodes), phase=options.phase), rubric, labels)
    try:
        tuned = tune(measured.examples, rubric.weights, np.random.default_rng(options.seed), clip=rubric.clip)
    except UsageError as error:
        raise UsageError(" ".join([f"{error}.", *_left_out(measured)])) from error
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise UsageError("scikit-learn is not installed; type: pip install 'agentrl-gym[tune]'") from error
    is_written = tuned.gains or options.force
    if is_written:
        head = f"# {path.name} with weights tuned on {tuned.num_labels} labels: {_gain(tuned)}\n"
        out.write_text(head + to_toml(_changed(rubric, tuned)), encoding="utf-8")
    if labels is not None and not options.json:
        _tell_repeats(labels)
    if options.json:
        told: dict[str, Any] = dataclasses.asdict(tuned)
        told |= {"out": str(out) if is_written else None, "num_failed": measured.num_failed, "closed": measured.closed}
        told |= {"num_unscored": measured.num_unscored, "unscored": measured.unscored}
        print(json.dumps(told, indent=2))
    else:
        _print(tuned, measured, out if is_written else None, forced=options.force)
    return 0 if is_written else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl rubric tune",
        description="Fit the weights of a rubric to labels or preferences, with held-out agreement before and after.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rubric", metavar="RUBRIC.toml", help="it is not changed")
    parser.add_argument("--episodes", required=True, metavar="DIR", help="folder of a bench or of a training run")
    parser.add_argument("--labels", required=True, metavar="FILE", help="JSON lines; or: success, as it is stored")
    parser.add_argument("--phase", help="of a training run: train, eval_before, eval or eval_after (default: all)")
    parser.add_argument("--out", metavar="FILE", help="of the tuned rubric (default: RUBRIC-tuned.toml beside it)")
    parser.add_argument("--force", action="store_true", help="write the tuned weights even where they gain nothing")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws folds and resamples (default 0)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _tell_repeats(labels: Labels) -> None:
    if labels.num_repeated:
        print(f"{labels.num_repeated} lines said again what another had said; each counts once")
    if labels.num_contradicted:
        print(f"{labels.num_contradicted} labels contradict another of the same episodes; all of them count")


def _changed(rubric: Rubric, tuned: Tuned) -> Rubric:
    components = tuple(
        dataclasses.replace(each, weight=round(tuned.fitted[each.name], 6)) for each in rubric.components
    )
    return dataclasses.replace(rubric, components=components)


def _print(tuned: Tuned, measured: Measured, out: Path | None, *, forced: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from agentrl.trainer.transcripts import visible

    console = Console(highlight=False)
    table = Table("component", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("weight before", "tuned"):
        table.add_column(title, justify="right")
    table.add_column("")
    for name, old in tuned.before.items():
        note = "can be left out" if name in tuned.dropped else ""
        note = "pays for the opposite now" if name in tuned.flipped else note
        note = "the same in all labelled episodes: kept" if name in tuned.constant else note
        table.add_row(Text(visible(name)), f"{old:.3f}", f"{tuned.fitted[name]:.3f}", note)
    console.print(table)
    found = tuned.agreement
    what = {"preferences": "preferences", "classes": "pairs of a true and a false one", "numbers": "pairs that differ"}
    told = f"{tuned.num_labels} of {tuned.num_given}" if tuned.num_labels < tuned.num_given else str(tuned.num_labels)
    console.print(
        f"\nOn held-out tasks, {what[tuned.kind]} ordered rightly: {_share(found.before)} before, "
        f"{_share(found.after)} tuned; gain {_share(found.gain, sign='+')} ({told} labels; "
        f"intervals over {tuned.num_tasks} tasks hold 95 of 100, that of the gain 99).",
        markup=False,
    )
    for note in _left_out(measured):
        console.print(note, markup=False, style="yellow")
    if not tuned.gains:
        console.print("Tuning gains nothing: the interval of the gain includes 0, or lies below it.", style="bold")
    if out is None:
        console.print("The old weights are kept; --force writes the tuned ones nevertheless.")
    else:
        if tuned.flipped:
            console.print(
                f"{', '.join(tuned.flipped)}: the sign has changed. What goes with good labels in these episodes need "
                "not bring them about",
                markup=False,
                style="yellow",
            )
        console.print(f"{'Written all the same' if forced and not tuned.gains else 'Written'}: {out}", markup=False)
        console.print(f"Before you train on it: agentrl rubric design --env ID --try {out}", markup=False, style="dim")


def _left_out(measured: Measured) -> list[str]:
    """Say which labelled episodes have no part in the fit, and why."""
    told = [
        f"The closed gate {name!r} takes {num} labelled episodes out." for name, num in sorted(measured.closed.items())
    ]
    if measured.num_failed:
        told.append(f"{measured.num_failed} labelled episodes had failed, or their success is not told.")
    if measured.num_unscored:
        told.append(f"{measured.num_unscored} could not be scored: {'; '.join(measured.unscored)}")
    return told


def _share(each: Interval, *, sign: str = "") -> str:
    return f"{each.value:{sign}.3f} [{each.low:{sign}.3f}, {each.high:{sign}.3f}]"


def _gain(tuned: Tuned) -> str:
    found = tuned.agreement
    return (
        f"held-out agreement {found.before.value:.3f} before, {found.after.value:.3f} tuned, gain "
        f"{_share(found.gain, sign='+')}"
    )
