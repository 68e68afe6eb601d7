"""The alerts of a run's watch, read up to limits: a file of a stranger may be long, and its texts may hold anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.bench.viewer.curves import Stroke
from agentrl.bench.viewer.files import read_some
from agentrl.bench.viewer.queries import episode_key
from agentrl.bench.viewer.runs import Run

__all__ = ["MOST_ALERTS", "Shown", "read_shown", "strokes_of"]

MOST_ALERTS = 50  # of one run
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An alert as the viewer shows it."""

    run: str  # name of the run
    color: int  # of the run's lines
    step: int
    began: int
    words: str  # what it is, in few words
    sentence: str
    also: tuple[str, ...]
    examples: tuple[tuple[str, str, str], ...]  # of each its place, its address and its text


def read_shown(run: Run, color: int) -> tuple[list[Shown], str]:
    """Return the alerts of a training run, and what was left out in words.

    Args:
        run: The run.
        color: Of its lines.

    Raises:
        TrainerError: A line is no alert.
        StoreError: The file is not to be read.
    """
    from agentrl.trainer.watch.alerts import ALERTS, parse_alerts  # the trainer is loaded where there is a run of it
    from agentrl.trainer.watch.page import flag_of

    path = run.path / ALERTS
    raw, more = read_some(path, run.tops, _MOST_BYTES)
    lines = raw.split(b"\n")[:-1]
    more = more or len(lines) > MOST_ALERTS
    found = [
        Shown(
            run=run.name,
            color=color,
            step=alert.step,
            began=alert.began,
            words=flag_of(alert),
            sentence=alert.sentence,
            also=alert.also,
            examples=tuple(
                (
                    f"step {each.step}, group {each.group}, member {each.member}: reward {each.reward:.3g}",
                    f"/run/{run.key}/episode?"
                    + episode_key(run, {**vars(each), "phase": "train", "group_id": each.group}),
                    each.text,
                )
                for each in alert.examples
            ),
        )
        for alert in parse_alerts(lines[:MOST_ALERTS], path)
    ]
    return found, f"{path} is too long to be shown: {len(found)} alerts of it are" if more else ""


def strokes_of(alerts: Sequence[Shown]) -> tuple[Stroke, ...]:
    """Return the marks of alerts in a chart, numbered as in the list below it."""
    return tuple(Stroke(step=alert.step, label=f"alert {number}") for number, alert in enumerate(alerts, start=1))
