"""The first page: every run that was found, with its main figures; some can be picked for a chart or a comparison."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.live import follow
from agentrl.bench.viewer.parts import (
    NONE,
    ago,
    badge,
    box,
    figure,
    frame,
    heading,
    note,
    points,
    progress_text,
    put,
    say,
    short_env,
)
from agentrl.bench.viewer.runs import Kind, Library, Overview, overview

__all__ = ["index"]

_AGAIN_S = 10  # so that it is right how long ago a run changed

_WORDS: dict[Kind, tuple[str, str, str, str]] = {
    "training": ("Training runs", "Draw curves", "/curves", "agentrl train quickstart"),
    "bench": ("Benches", "Compare", "/compare", "agentrl bench --env AgentRL/Math-v0 --agent oracle"),
}


async def index(request: Request, library: Library) -> None:
    """Build the page."""
    with frame(request, "Runs"):
        heading("Runs", 1)
        say(", ".join(str(folder) for folder in library.folders), "lead")
        sections = {kind: _Section(kind) for kind in _WORDS}

        def draw(found: list[Overview]) -> None:
            for kind, section in sections.items():
                section.show([each for each in found if each.run.kind == kind])

        await follow(
            lambda: [overview(each) for each in library.runs()],
            draw,
            stamp=lambda: [time.monotonic() // _AGAIN_S, *((each.key, stamp(*each.files)) for each in library.runs())],
        )


class _Section:
    """The runs of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._rows: dict[str, _Row] = {}
        self._picked: dict[str, None] = {}
        title, action, _, _ = _WORDS[kind]
        with box("section", "section"):
            with box("line between"):
                with box("line"):
                    heading(title)
                    say("pick two or more" if kind == "bench" else "pick some to draw them together", "sub")
                self._button = ui.link(action, "/").classes("button off")
                self._button.props["aria-disabled"] = "true"
            self._list = box("list runs")
        self._refresh_button()

    def show(self, found: list[Overview]) -> None:
        """Show runs; where they are the same as before, only what changed is touched."""
        if [each.run.key for each in found] != list(self._rows) or not found:
            self._list.clear()
            with self._list:
                self._rows = {
                    each.run.key: _Row(each, self._pick, each.run.key in self._picked) for each in self._headed(found)
                }
        for each in found:
            self._rows[each.run.key].update(each)

    def _headed(self, found: list[Overview]) -> list[Overview]:
        if found:
            with box("rw-head"):
                for words in ("name", "state", "done", "success", "reward", "changed"):
                    say(words, "" if words in ("name", "state") else "right")
        else:
            with box("empty"):
                ui.icon("inbox")
                say("None here yet. Make one:")
                say(_WORDS[self._kind][3], "mono")
        return found

    def _pick(self, key: str, picked: bool) -> None:
        if picked:
            self._picked[key] = None
        else:
            self._picked.pop(key, None)
        self._refresh_button()

    def _refresh_button(self) -> None:
        _, action, address, _ = _WORDS[self._kind]
        num, least = len(self._picked), 2 if self._kind == "bench" else 1
        ready = num >= least
        self._button.set_text(
            f"{action} of {num}" if ready and self._kind == "training" else f"{action} {num}" if ready else action
        )
        self._button.props["href"] = f"{address}?{'&'.join(f'run={key}' for key in self._picked)}"
        self._button.props["aria-disabled"] = "false" if ready else "true"
        self._button.props["tabindex"] = "0" if ready else "-1"
        self._button.classes(remove="off" if ready else "", add="" if ready else "off")
        self._button.update()


class _Row:
    """One run of the list; a link as a whole, beside a box to pick it."""

    def __init__(self, found: Overview, pick: Callable[[str, bool], Any], picked: bool) -> None:
        run = found.run
        with box("pick"):
            check = ui.checkbox(value=picked, on_change=lambda event: pick(run.key, bool(event.value)))
            check.props["aria-label"] = f"pick {run.key}"
            with ui.link(target=f"/run/{run.key}").classes("rw"):
                with box():
                    say(run.name, "title")
                    self._about = say("", "sub")
                with box("cell right-s"):
                    self._state = badge("")
                with box("cell right num hide-s"):
                    self._done = say("")
                with box("cell right num"):
                    self._before, self._arrow, self._success = say("", "muted"), say("→", "arrow"), say("", "title")
                self._reward = say("", "right num hide-s")
                self._changed = say("", "right sub hide-s")
                self._trouble = box("full")
        self._said = ""

    def update(self, found: Overview) -> None:
        """Say the figures of now."""
        envs = ", ".join(map(short_env, found.envs))
        put(self._about, envs if found.run.kind == "training" else f"{found.about} · {envs}" if envs else found.about)
        put(self._state, found.state)
        self._state.classes(replace=f"badge {_KINDS[found.state]} state-{found.state}")
        put(self._done, progress_text(found) + (f", {found.failures:,} failed" if found.failures else ""))
        score = found.success
        put(self._before, figure(score.before, "%"))
        put(self._success, NONE if score.value is None else figure(score.value, "%"))
        for label in (self._before, self._arrow):
            label.set_visibility(score.before is not None)
        put(self._reward, points(found.reward))
        put(self._changed, ago(found.changed))
        if found.trouble != self._said:
            self._said = found.trouble
            self._trouble.clear()
            if found.trouble:
                with self._trouble:
                    note(found.trouble)


_KINDS = {"running": "good", "finished": "plain", "stopped": "warn"}
