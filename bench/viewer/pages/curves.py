"""Curves of training runs, several on one chart, with any metric to be found by its name."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.alertlist import Alerts
from agentrl.bench.viewer.alerts import Shown, read_shown, strokes_of
from agentrl.bench.viewer.charts import Charts
from agentrl.bench.viewer.curves import MOST_RUNS, Picture, pictures
from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.files import problem
from agentrl.bench.viewer.live import attempt, follow
from agentrl.bench.viewer.parts import box, frame, heading, note, say, shown
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.steps import read_steps

__all__ = ["curves", "draw_curves"]

_FILES = ("metrics.jsonl", "alerts.jsonl")
# What was sought, charts by section, alerts, trouble.
_Drawn = tuple[str, list[tuple[str, list[Picture]]], list[Shown], list[str]]


async def curves(request: Request, library: Library) -> None:
    """Build the page."""
    keys = list(dict.fromkeys(request.query_params.getlist("run")))
    runs = [run for run in (library.run(key) for key in keys[: MOST_RUNS + 1]) if run.kind == "training"]
    with frame(request, "Curves"):
        heading("Curves", 1)
        if not runs:
            note("No training run is picked; go back to the runs and pick some.", "hint")
            return
        if len(runs) > MOST_RUNS:
            runs = runs[:MOST_RUNS]
            note(f"{len(keys)} runs are picked; the first {MOST_RUNS} are drawn, one colour each.", "hint")
        with box("legend"):
            for place, run in enumerate(runs):
                with ui.link(target=f"/run/{run.key}").classes("legend-item"):
                    box("swatch").style(f"background:var(--c{place})")
                    say(run.name)
        await draw_curves(runs, find=request.query_params.get("find", "")[:200])


async def draw_curves(runs: list[Run], *, find: str = "") -> None:
    """Put the charts of runs on a page, with a field to find a metric, and follow the runs."""
    asked = {"find": find}
    field = ui.input("find a metric", placeholder="kl, perf, rewards/…", value=shown(find))
    field.props("outlined dense clearable debounce=300").classes("find")
    notes = box()
    raised = Alerts()
    charts = Charts()

    def read() -> _Drawn:
        sought = asked["find"]
        told: list[tuple[str, Any]] = []
        trouble: list[str] = []
        alerts: list[Shown] = []
        for place, run in enumerate(runs):
            why = problem(run.path / "metrics.jsonl", run.tops)
            rows, left_out = ([], "") if why else read_steps(run)
            told.append((run.name, rows))
            said, unread = attempt(partial(read_shown, run, place))
            alerts += said[0] if said else []
            trouble += filter(None, [why, left_out, unread or (said[1] if said else "")])
        return sought, pictures(told, find=sought, strokes=strokes_of(alerts)), alerts, trouble

    def draw(found: _Drawn) -> None:
        sought, sections, alerts, trouble = found
        notes.clear()
        with notes:
            for each in trouble:
                note(each, "hint")
        empty = f"No metric has {sought!r} in its name." if sought else "No step was finished yet."
        charts.show(sections, empty=empty)
        raised.show(alerts, several=len(runs) > 1)

    again = await follow(read, draw, stamp=lambda: [stamp(run.path / name) for run in runs for name in _FILES])

    async def seek(event: Any) -> None:
        asked["find"] = (event.value or "")[:200]
        await again()

    field.on_value_change(seek)
