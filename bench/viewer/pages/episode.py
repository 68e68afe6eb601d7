"""One episode: the conversation beside its figures, its tokens where a run kept them, and the way to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from fastapi import Request
from nicegui import ui
from nicegui.events import KeyEventArguments

from agentrl.bench.viewer.conversation import draw_facts, draw_head, draw_messages
from agentrl.bench.viewer.live import attempt
from agentrl.bench.viewer.parts import box, frame, heading, note, say, short_env
from agentrl.bench.viewer.queries import Filters, episode_key, page, parse_key
from agentrl.bench.viewer.runs import Library, Run
from agentrl.bench.viewer.talk import Talk, read_talk
from agentrl.bench.viewer.tokens import MOST_TOKENS, draw_tokens, read_tokens

__all__ = ["episode"]


async def episode(request: Request, library: Library) -> None:
    """Build the page."""
    run = library.run(request.path_params["key"])
    query = dict(request.query_params)
    filters = Filters.parse(query)
    back = f"/run/{run.key}/episodes" + (f"?{filters.query}" if filters.query else "")
    with frame(request, "Episode", (run.name, f"/run/{run.key}"), ("Episodes", back)):
        talk, why = await asyncio.to_thread(attempt, lambda: read_talk(run, parse_key(run, query)))
        if talk is None:
            note(why)
            return
        with box("line between"):
            heading(talk.row.get("task_id") or "Episode", 1)
            await _ways(run, filters, query.get("at", ""))
        say(f"{short_env(talk.row.get('env_id'))} · seed {talk.row.get('seed')}", "lead")
        draw_head(talk)
        with box("split"):
            with box():
                draw_messages(talk)
                _tokens(run, talk, is_open=query.get("tokens") == "1")
            with box("aside"):
                draw_facts(talk)


def _tokens(run: Run, talk: Talk, *, is_open: bool) -> None:
    """Put the tokens of an episode of a training run, read when they are asked for."""
    if not talk.tokens:
        return
    ways = {"logp": "log-probability", "mask": "mask", "adv": "advantage"}
    with box("section", "section"), ui.expansion("Tokens", value=is_open).classes("panel fold") as fold:
        place = box()

    async def show() -> None:
        if place.default_slot.children:
            return
        with place, box("empty") as waiting:
            ui.spinner()
        tokens, why = await asyncio.to_thread(attempt, lambda: read_tokens(run, talk))
        drawn = await asyncio.to_thread(draw_tokens, tokens or [])
        waiting.delete()
        with place:
            if tokens is None:
                note(why)
                return
            sampled = sum(token.sampled for token in tokens)
            with box("line between"):
                say(f"{len(tokens):,} tokens, {sampled:,} of them sampled and trained on", "sub num")
                choose = ui.toggle(ways, value="logp").props("no-caps dense unelevated")
            say("Point at a token, tap it, or go there with Tab: what is known of it appears at the foot.", "sub")
            text = ui.html(drawn, sanitize=True).classes("tokens by-logp")  # escaped by `draw_tokens`
            choose.on_value_change(lambda event: text.classes(replace=f"tokens by-{event.value}"))
            if len(tokens) > MOST_TOKENS:
                note(f"the first {MOST_TOKENS:,} tokens are shown", "hint")

    fold.on_value_change(lambda event: show() if event.value else None)
    if is_open:
        ui.timer(0.05, show, once=True)


async def _ways(run: Run, filters: Filters, at: str) -> None:
    """Put links to the episodes before and after this one in the list that it was opened from."""
    if not at.isascii() or not at.isdigit() or len(at) > 12:
        return
    place = int(at)
    first = max(0, place - 1)
    listed, _ = await asyncio.to_thread(attempt, lambda: page(run, replace(filters, start=first), size=3))
    found = {} if listed is None else {listed.start + offset: row for offset, row in enumerate(listed.rows)}
    with box("line"):
        ways: dict[str, str] = {}
        for words, other, key in (("Previous", place - 1, "ArrowLeft"), ("Next", place + 1, "ArrowRight")):
            row = found.get(other)
            query = "&".join(part for part in (filters.query, f"at={other}") if part)
            address = f"/run/{run.key}/episode?{episode_key(run, row)}&{query}" if row else ""
            link = ui.link(words, address).classes("button quiet" if row else "button quiet off")
            link.props["title"] = f"{words} episode of the list; key {'←' if key == 'ArrowLeft' else '→'}"
            if row:
                ways[key] = address
            else:
                link.props["aria-disabled"], link.props["tabindex"] = "true", "-1"
    ui.keyboard(on_key=lambda event: _go(ways, event), repeating=False)


def _go(ways: Mapping[str, str], event: KeyEventArguments) -> None:
    held = event.modifiers
    if event.action.keydown and event.key.name in ways and not (held.alt or held.ctrl or held.meta or held.shift):
        ui.navigate.to(ways[event.key.name])
