"""A run at a glance: figures and curves of a training run, scores of a bench with intervals, and the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import Request
from nicegui import ui

from agentrl.bench.stats import Estimate
from agentrl.bench.summary import Summary
from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.files import problem
from agentrl.bench.viewer.live import attempt, follow
from agentrl.bench.viewer.pages.curves import draw_curves
from agentrl.bench.viewer.parts import (
    NONE,
    box,
    card,
    figure,
    frame,
    heading,
    note,
    points,
    progress_text,
    put,
    say,
    short_env,
    state_badge,
    tabs,
)
from agentrl.bench.viewer.queries import Filters
from agentrl.bench.viewer.results import Results, read_identity, read_results
from agentrl.bench.viewer.runs import Library, Overview, Run, overview, read_small

__all__ = ["run_page"]


_SCORES = ("environment", "success", "reward", "turns", "p50 / p99", "failed")


async def run_page(request: Request, library: Library) -> None:
    """Build the page."""
    run = library.run(request.path_params["key"])
    with frame(request, run.name, ("Runs", "/")):
        with box("line"):
            heading(run.name, 1)
            state = box()
        about = say("", "lead")
        tabs(run, "")
        cards = box()

        def draw(found: Overview) -> None:
            for place in (state, cards):
                place.clear()
            with state:
                state_badge(found.state)
            put(about, _about(found))
            with cards:
                if found.trouble:
                    note(found.trouble)
                with box("cards"):
                    for value, words, more in _cards(found):
                        card(value, words, more)

        await follow(lambda: overview(run), draw, stamp=lambda: stamp(*run.files))
        if run.kind == "training":
            await draw_curves([run])
        else:
            await _scores(run)
        with box("section", "section"):
            await _settings(run)


def _about(found: Overview) -> str:
    envs = ", ".join(map(short_env, found.envs))
    return envs if found.run.kind == "training" else f"{found.about} · {envs}"


def _cards(found: Overview) -> Iterator[tuple[str, str, str]]:
    from agentrl.trainer.scales import format_duration

    score = found.success
    held_out = found.run.kind == "training" and found.state == "finished" and score.before is not None
    if score.value is not None:
        before = f"{figure(score.before, '%')} → " if score.before is not None else ""
        words = "held-out success, before and after" if held_out else "success, last step"
        yield f"{before}{figure(score.value, '%')}", words if found.run.kind == "training" else "success", ""
    if found.greedy.value is not None and found.greedy.before is not None:
        both = f"{figure(found.greedy.before, '%')} → {figure(found.greedy.value, '%')}"
        yield both, "the same, greedy", ""
    if found.reward is not None:
        yield figure(found.reward), "mean reward" if found.run.kind == "bench" else "reward, last step", ""
    yield progress_text(found), "done", ""
    if found.seconds is not None:
        yield format_duration(found.seconds), "of training", ""
    if found.run.kind == "bench":
        yield f"{found.failures:,}", "failed outside the agent", "count for nothing" if found.failures else ""


async def _scores(run: Run) -> None:
    """Put the table of scores; it is counted while the page is already there."""
    around = box()
    with around:
        place = box("section", "section")
    with place, box("empty"):
        ui.spinner(size="lg")
        say("counting; a large bench takes a moment …")

    def draw(found: Results) -> None:
        place.clear()
        with place:
            with box("line"):
                heading("Scores")
                say("with 95 % intervals over tasks", "sub")
            if not found.summaries:
                with box("list"), box("empty"):
                    ui.icon("hourglass_empty")
                    say("No episode was written yet.")
                return
            with box("list scores"):
                with box("rw-head"):
                    for number, words in enumerate(
                        ("environment", "success", "reward", "turns", "p50 / p99", "failed")
                    ):
                        say(words, "right" if number else "")
                for each in found.summaries:
                    _score(run, each, found.ks)

    async def begin() -> None:
        with around:
            await follow(lambda: read_results(run), draw, stamp=lambda: stamp(run.store))

    ui.timer(0.05, begin, once=True)


def _score(run: Run, each: Summary, ks: tuple[int, ...]) -> None:
    level = "" if each.level is None else str(each.level)
    query = Filters(env=each.env_id, level=level).query
    with ui.link(target=f"/run/{run.key}/episodes?{query}").classes("rw" if each.env_id else "rw total"):
        with box():
            say(short_env(each.env_id) or "all", "title")
            about = f"level {level}" if level not in ("", "0") else "all levels" if each.level is None else ""
            passes = [f"pass@{k} {figure(each.pass_at[k], '%')}" for k in ks if k in each.pass_at]
            passes += [f"pass^{k} {figure(each.pass_hat[k], '%')}" for k in ks[1:] if k in each.pass_hat]
            say(" · ".join(part for part in (about, f"{each.num_episodes:,} episodes", *passes) if part), "sub")
        _interval(each.success, "%")
        _interval(each.reward, "")
        say(NONE if each.num_turns is None else f"{each.num_turns:.1f}", "right num hide-s")
        times = (each.latency_p50_s, each.latency_p99_s)
        say(" / ".join(f"{value:.2f} s" for value in times if value is not None) or NONE, "right num hide-s")
        say(f"{each.num_failures:,}", "right num hide-s")


def _interval(estimate: Estimate | None, unit: str) -> None:
    with box("right num"):
        if estimate is None:
            say(NONE)
            return
        value, low, high = (figure(each, unit) if unit else points(each) for each in _three(estimate))
        say(value, "title")
        say(f"{low} to {high}", "sub")


def _three(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _config(run: Run) -> str:
    return problem(run.path / "config.toml", run.tops) or read_small(run, "config.toml")


def setting_text(name: str, value: object) -> str:
    """Write a setting of a bench.

    >>> setting_text("levels", []), setting_text("levels", [1, 2]), setting_text("split", "")
    ("the environment's own", '1, 2', '–')
    """
    if name == "levels" and value == []:
        return "the environment's own"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return NONE if value in ({}, [], "") else text


async def _settings(run: Run) -> None:
    with box("line"):
        heading("Settings")
    if run.kind == "training":
        text = await asyncio.to_thread(_config, run)
        with box("panel"):
            say(text.strip() or "no config.toml is there", "said mono")
        return
    found, why = await asyncio.to_thread(attempt, lambda: read_identity(run))
    if found is None:
        note(why)
        return
    with box("panel"), box("pairs settings"):
        for name, value in found.items():
            say(name)
            say(setting_text(name, value))
