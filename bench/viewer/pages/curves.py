"""Curves of training runs, several on one chart, with any metric to be found by its name."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.charts import Charts
from agentrl.bench.viewer.curves import MOST_RUNS, Picture, pictures
from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.files import problem
from agentrl.bench.viewer.live import follow
from agentrl.bench.viewer.parts import box, frame, heading, note, say, shown
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.steps import read_steps

__all__ = ["curves", "draw_curves"]

_Drawn = tuple[str, list[tuple[str, list[Picture]]], list[str]]  # what was sought, charts by section, trouble


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
    charts = Charts()

    def read() -> _Drawn:
        sought = asked["find"]
        told: list[tuple[str, Any]] = []
        trouble: list[str] = []
        for run in runs:
            why = problem(run.path / "metrics.jsonl", run.tops)
            rows, left_out = ([], "") if why else read_steps(run)
            told.append((run.name, rows))
            trouble += filter(None, [why, left_out])
        return sought, pictures(told, find=sought), trouble

    def draw(found: _Drawn) -> None:
        sought, sections, trouble = found
        notes.clear()
        with notes:
            for each in trouble:
                note(each, "hint")
        empty = f"No metric has {sought!r} in its name." if sought else "No step was finished yet."
        charts.show(sections, empty=empty)

    again = await follow(read, draw, stamp=lambda: [stamp(run.path / "metrics.jsonl") for run in runs])

    async def seek(event: Any) -> None:
        asked["find"] = (event.value or "")[:200]
        await again()

    field.on_value_change(seek)
