"""One episode: the conversation beside its figures, its tokens where a run kept them, and the way to the next one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import Request
from nicegui import ui

from agentrl.bench.errors import BenchError
from agentrl.bench.viewer.conversation import draw_facts, draw_head, draw_messages
from agentrl.bench.viewer.parts import box, frame, heading, note, say, short_env
from agentrl.bench.viewer.queries import Filters, episode_key, page, parse_key
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.talk import read_talk

__all__ = ["episode"]


async def episode(request: Request, library: Library) -> None:
    """Build the page."""
    run = library.run(request.path_params["key"])
    query = dict(request.query_params)
    filters = Filters.parse(query)
    back = f"/run/{run.key}/episodes" + (f"?{filters.query}" if filters.query else "")
    with frame(request, "Episode", (run.name, f"/run/{run.key}"), ("Episodes", back)):
        try:
            talk = await asyncio.to_thread(read_talk, run, parse_key(run, query))
        except BenchError as error:
            note(error)
            return
        with box("line between"):
            heading(talk.row.get("task_id") or "Episode", 1)
            await _ways(run, filters, query.get("at", ""))
        say(f"{short_env(talk.row.get('env_id'))} · seed {talk.row.get('seed')}", "lead")
        draw_head(talk)
        with box("split"):
            with box():
                draw_messages(talk)
            with box("aside"):
                draw_facts(talk)


async def _ways(run: Run, filters: Filters, at: str) -> None:
    """Put links to the episodes before and after this one in the list that it was opened from."""
    if not at.isascii() or not at.isdigit() or len(at) > 12:
        return
    place = int(at)
    first = max(0, place - 1)
    try:
        rows = (await asyncio.to_thread(page, run, replace(filters, start=first), size=3)).rows
    except BenchError:
        return
    found = {first + offset: row for offset, row in enumerate(rows)}
    with box("line"):
        for words, other, key in (("Previous", place - 1, "p"), ("Next", place + 1, "n")):
            row = found.get(other)
            query = "&".join(part for part in (filters.query, f"at={other}") if part)
            address = f"/run/{run.key}/episode?{episode_key(run, row)}&{query}" if row else ""
            link = ui.link(words, address).classes("button quiet" if row else "button quiet off")
            link.props["accesskey"] = key
