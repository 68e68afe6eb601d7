"""Before and after: the held-out tasks of a training run with what became of each, and one task side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.conversation import draw_sides
from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.live import attempt, follow
from agentrl.bench.viewer.pairs import CHANGES, Pairs, partner, read_pairs
from agentrl.bench.viewer.parts import (
    NONE,
    badge,
    box,
    frame,
    heading,
    note,
    outcome_badge,
    points,
    say,
    short_env,
    tabs,
)
from agentrl.bench.viewer.queries import PAGE, episode_key, parse_key
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.talk import Talk, read_talk

__all__ = ["task", "tasks"]

WORDS = {
    "gained": "newly solved",
    "lost": "no longer solved",
    "kept": "solved both times",
    "missed": "solved neither time",
    "other": "no verdict",
}
_HEAD = ("task", "before", "after", "reward before", "after")


async def tasks(request: Request, library: Library) -> None:
    """Build the list."""
    run = library.run(request.path_params["key"])
    change = request.query_params.get("change", "")
    digits = request.query_params.get("start", "")
    start = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
    with frame(request, "Before and after", (run.name, f"/run/{run.key}")):
        heading(run.name, 1)
        tabs(run, "/tasks")
        if run.kind != "training":
            note("A bench plays each task once; only a training run has a before and an after.", "hint")
            return
        place = box()

        def draw(found: Pairs) -> None:
            place.clear()
            with place:
                _draw(run, found, change if change in CHANGES else "")

        await follow(lambda: read_pairs(run, change=change, start=start), draw, stamp=lambda: stamp(run.store))


def _draw(run: Run, found: Pairs, change: str) -> None:
    with box("line chips"):
        total = sum(found.counts.values())
        for name, words, count in (
            ("", "all", total),
            *((each, WORDS[each], found.counts[each]) for each in found.counts),
        ):
            query = f"?change={name}" if name else ""
            link = ui.link(f"{words} {count:,}", f"/run/{run.key}/tasks{query}")
            link.classes("chip here" if name == change else "chip")
    with box("list tasks"):
        if not found.page.rows:
            with box("empty"):
                ui.icon("hourglass_empty")
                say("No held-out task was played yet; eval.num_episodes says how many are.")
            return
        with box("rw-head"):
            for place, words in enumerate(_HEAD):
                say(words, "" if place < 3 else "right")
        for row in found.page.rows:
            _row(run, row)
    _pager(run, found, change)


def _row(run: Run, row: Mapping[str, Any]) -> None:
    with ui.link(target=f"/run/{run.key}/task?{episode_key(run, row)}").classes("rw"):
        with box():
            say(row["task_id"], "title")
            how = "sampled" if row["member"] == 0 else "greedy" if row["member"] == 1 else f"member {row['member']}"
            say(f"{short_env(row['env_id'])} · level {row['level']} · seed {row['seed']} · {how}", "sub")
        for side in ("before", "after"):
            with box(f"is-{side}"):
                if side == "after" and not row["is_played"]:
                    badge("not played yet")
                else:
                    success, failed = row[f"{side}_success"], row[f"{side}_failure"] is not None
                    outcome_badge(
                        "failed" if failed else "unknown" if success is None else "solved" if success else "unsolved"
                    )
        say(points(row["before_reward"]), "right num hide-s")
        say(points(row["after_reward"]) if row["is_played"] else NONE, "right num hide-s")


def _pager(run: Run, found: Pairs, change: str) -> None:
    page = found.page
    if page.total <= PAGE:
        return
    last = page.start + len(page.rows)
    with box("pager"):
        say(f"{page.start + 1:,} to {last:,} of {page.total:,}", "sub num")
        with box("line"):
            for words, start, on in (
                ("Previous", max(0, page.start - PAGE), page.start > 0),
                ("Next", last, last < page.total),
            ):
                query = urlencode({"change": change, "start": start})
                ui.link(words, f"/run/{run.key}/tasks?{query}").classes("button quiet" if on else "button quiet off")


async def task(request: Request, library: Library) -> None:
    """Build the page of one task."""
    run = library.run(request.path_params["key"])
    key = parse_key(run, dict(request.query_params))
    with frame(request, "Task", (run.name, f"/run/{run.key}"), ("Before and after", f"/run/{run.key}/tasks")):
        both, why = await asyncio.to_thread(attempt, lambda: _both(run, key))
        if both is None:
            note(why)
            return
        before, after = both
        heading(before.row.get("task_id") or "Task", 1)
        say(f"{short_env(before.row.get('env_id'))} · seed {before.row.get('seed')}", "lead")
        draw_sides([("Before training", before), ("After training", after)])


def _both(run: Run, key: Mapping[str, str]) -> tuple[Talk, Talk | None]:
    before = read_talk(run, key)
    other = partner(run, before.row)
    return before, None if other is None else read_talk(run, other)
