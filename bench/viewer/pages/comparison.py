"""Benches beside the first of them: differences with intervals, and the tasks that flipped, side by side."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from agentrl.bench.compare import METRICS, Comparison, Flip, Metric, Row, compare
from agentrl.bench.viewer.conversation import draw_sides
from agentrl.bench.viewer.database import check_store
from agentrl.bench.viewer.live import attempt
from agentrl.bench.viewer.parts import badge, box, figure, frame, heading, note, points, say, short_env
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.talk import Talk, read_talk

__all__ = ["compare_page", "flip_page"]

_MOST_RUNS = 8
_MOST_FLIPS = 200
_HEAD = ("environment", "tasks", "first", "second", "difference", "", "p", "least")


async def compare_page(request: Request, library: Library) -> None:
    """Build the comparison."""
    runs = _runs(request, library)
    metric: Metric = "reward" if request.query_params.get("metric") == "reward" else "success"
    force = request.query_params.get("force") == "1"
    with frame(request, "Comparison", ("Runs", "/")):
        heading("Comparison", 1)
        if len(runs) < 2:
            note(
                "Pick two benches or more among the runs; the first is what the others are measured against.",
                "hint",
            )
            return
        with box("line chips"):
            for each in METRICS:
                ui.link(each, _address(runs, each, force)).classes("chip here" if each == metric else "chip")
        place = box("section")

        def read() -> list[Comparison]:
            for run in runs:
                check_store(run.store, run.tops)
            return compare([run.path for run in runs], metric=metric, force=force)

        with place, box("empty"):
            ui.spinner(size="lg")
            say("comparing task by task …")

        async def begin() -> None:
            found, why = await asyncio.to_thread(attempt, read)
            place.clear()
            with place:
                if found is None:
                    note(why)
                    if not force and "--force" in why:
                        ui.link("Compare what they share", _address(runs, metric, True)).classes("button quiet")
                    return
                for other, each in zip(runs[1:], found, strict=True):
                    _comparison(runs[0], other, each)

        ui.timer(0.05, begin, once=True)


def _runs(request: Request, library: Library) -> list[Run]:
    keys = list(dict.fromkeys(request.query_params.getlist("run")))[:_MOST_RUNS]
    return [run for run in map(library.run, keys) if run.kind == "bench"]


def _address(runs: Sequence[Run], metric: str, force: bool) -> str:
    more = [("metric", metric), *([("force", "1")] if force else [])]
    return f"/compare?{urlencode([*(('run', run.key) for run in runs), *more])}"


def _comparison(first: Run, second: Run, found: Comparison) -> None:
    last = found.rows[-1]
    with box("section", "section"):
        with box("line"):
            heading(f"{second.name} beside {first.name}")
            _verdict(last)
        say(f"first: {found.agents[0]} · second: {found.agents[1]}", "lead")
        if found.unlike:
            note(f"compared though they differ: {'; '.join(found.unlike)}", "hint")
        with box("list comparison"):
            with box("rw-head"):
                for number, words in enumerate(_HEAD):
                    say(words, "right" if number else "")
            for row in found.rows:
                _row(row, found.metric)
        notes = [
            "95 % interval over tasks",
            "p corrected for all rows (Holm)",
            "least: what 80 % power could have shown",
        ]
        if found.metric == "success":
            notes.append("points: hundredths, 60 % is 10 points above 50 %")
        if found.num_unpaired:
            notes.append(f"{found.num_unpaired:,} tasks could not be paired: missing or failed in one of the two")
        say(" · ".join(notes), "sub wrap")
        _flips(first, second, found)


def _verdict(row: Row) -> None:
    if row.p_adjusted >= 0.05:
        badge(f"no difference shown, p = {row.p_adjusted:.2g}")
    elif row.difference.value > 0:
        badge(f"second is better, p = {row.p_adjusted:.2g}", "good")
    else:
        badge(f"second is worse, p = {row.p_adjusted:.2g}", "bad")


def _row(row: Row, metric: Metric) -> None:
    each = row.difference

    def write(value: float, *, sign: bool = False) -> str:
        if sign:
            return difference_text(value, metric)
        return figure(value, "%") if metric == "success" else points(value)

    with box("rw"):
        say(short_env(row.env_id) or "all", "title")
        say(f"{each.num_tasks:,}", "right num hide-s")
        say(write(row.first), "right num hide-s")
        say(write(row.second), "right num hide-s")
        with box("right num"):
            say(write(each.value, sign=True) + (" points" if metric == "success" else ""), "title")
            say(f"{write(each.low, sign=True)} to {write(each.high, sign=True)}", "sub")
        _span(row, 1.0 if metric == "success" else max(abs(each.low), abs(each.high), 1e-9))
        say(f"{row.p_adjusted:.2g}", "right num hide-s")
        say("–" if each.smallest is None else write(each.smallest, sign=True).lstrip("+"), "right num hide-s")


def difference_text(value: float, metric: Metric) -> str:
    """Write a difference with its sign; one of two shares in points, of which 100 are the whole.

    >>> difference_text(-1.0, "success"), difference_text(0.055, "success"), difference_text(0.5, "reward")
    ('−100.0', '+5.5', '+0.500')
    """
    text = f"{100 * abs(value):.1f}" if metric == "success" else points(abs(value))
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{text}"


def _span(row: Row, scale: float) -> None:
    """Draw the interval around no difference."""
    low, value, high = (50 + 50 * max(-1.0, min(1.0, number / scale)) for number in _three(row))
    sure = "" if row.p_adjusted >= 0.05 else " sure-up" if row.difference.value > 0 else " sure-down"
    with box(f"span{sure}") as drawn:
        drawn.props["aria-hidden"] = "true"
        box("axis")
        box("bar").style(f"left:{low:.1f}%;width:{max(0.5, high - low):.1f}%")
        box("dot").style(f"left:{value:.1f}%")


def _three(row: Row) -> tuple[float, float, float]:
    return row.difference.low, row.difference.value, row.difference.high


def _flips(first: Run, second: Run, found: Comparison) -> None:
    if not found.flips:
        return
    with box("line flips"):
        say("Tasks that differ", "h3")
        say(f"{len(found.flips):,}, those that the second does worse first", "sub")
    with box("list flip-list"):
        for flip in found.flips[:_MOST_FLIPS]:
            _flip(first, second, flip, found.metric)
    if len(found.flips) > _MOST_FLIPS:
        note(f"{len(found.flips) - _MOST_FLIPS:,} more are left out here; agentrl compare --json tells all", "hint")


def _flip(first: Run, second: Run, flip: Flip, metric: Metric) -> None:
    query = urlencode(
        [("run", first.key), ("run", second.key), ("env_id", flip.env_id), ("level", flip.level), ("seed", flip.seed)]
    )
    with ui.link(target=f"/compare/task?{query}").classes("rw"):
        with box():
            say(flip.task_id, "title")
            say(f"{short_env(flip.env_id)} · level {flip.level} · seed {flip.seed}", "sub")
        with box("cell right num"):
            one, two = (
                (figure(each, "%") if metric == "success" else points(each)) for each in (flip.first, flip.second)
            )
            say(one, "muted")
            say("→", "arrow")
            say(two, "title up" if flip.second > flip.first else "title down")


async def flip_page(request: Request, library: Library) -> None:
    """Build the page of one task that several benches played."""
    runs = _runs(request, library)
    query = request.query_params
    key = {name: query.get(name, "") for name in ("env_id", "level", "seed")} | {"sample": "0"}
    with frame(request, "Task", ("Runs", "/"), ("Comparison", _address(runs, "success", False))):
        sides: list[tuple[str, Talk | None]] = []
        for run in runs[:2]:
            talk, why = await asyncio.to_thread(attempt, functools.partial(read_talk, run, key))
            sides.append((run.name, talk))
            if talk is None:
                note(why)
        one = next((talk for _, talk in sides if talk is not None), None)
        heading((one.row.get("task_id") if one else None) or "Task", 1)
        say(f"{short_env(key['env_id'])} · level {key['level']} · seed {key['seed']}", "lead")
        draw_sides(sides)
