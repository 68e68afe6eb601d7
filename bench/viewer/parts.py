"""Parts that every page is made of: the frame with its header, figures, badges, lists of rows, notes of trouble.

All text goes in as text, never as HTML, with invisible characters shown as their escapes; an address in the page is
made of quoted parts. No text of a run may become the name of a property, since those are code to the library.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.runs import Overview, Run, number

__all__ = [
    "NONE",
    "THEME_COOKIE",
    "OUTCOME_KINDS",
    "OUTCOME_WORDS",
    "ago",
    "badge",
    "box",
    "card",
    "figure",
    "frame",
    "heading",
    "note",
    "outcome_badge",
    "points",
    "progress_text",
    "put",
    "say",
    "short_env",
    "shown",
    "state_badge",
    "tabs",
]

NONE = "–"
THEME_COOKIE = "agentrl-theme"
OUTCOME_WORDS = {"solved": "solved", "unsolved": "not solved", "unknown": "no verdict", "failed": "failed"}
OUTCOME_KINDS = {"solved": "good", "unsolved": "bad", "failed": "warn"}
_STATES = {"running": "good", "finished": "plain", "stopped": "warn"}
_MOST_CHARS = 100_000
_THEMES = {"auto": ("contrast", "dark"), "dark": ("dark_mode", "light"), "light": ("light_mode", "auto")}


def shown(value: object) -> str:
    """Return text with its invisible characters visible; what no page can hold is cut."""
    from agentrl.trainer.transcripts import visible

    text = str(value)
    return visible(text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]} … cut here")


def say(value: object, classes: str = "") -> ui.label:
    """Put text on the page."""
    return ui.label(shown(value)).classes(classes)


def put(label: ui.label, value: object) -> None:
    """Change a text, where it differs."""
    text = shown(value)
    if label.text != text:
        label.set_text(text)


def box(classes: str = "", tag: str = "div") -> ui.element:
    """Open an element for others."""
    return ui.element(tag).classes(classes)


def heading(text: object, level: int = 2) -> ui.label:
    """Put a heading on the page."""
    label = say(text, f"h{level}")
    label.props["role"], label.props["aria-level"] = "heading", level
    return label


@contextmanager
def frame(request: Request, title: str, *crumbs: tuple[str, str]) -> Iterator[ui.element]:
    """Lay out a page: title, header with the way here, content.

    Args:
        request: Of the page; knows the colours that were chosen.
        title: Of the page; also the last crumb.
        crumbs: Words and addresses of the pages above.
    """
    theme = request.cookies.get(THEME_COOKIE, "auto")
    theme = theme if theme in _THEMES else "auto"
    ui.page_title(f"{shown(title)} · AgentRL" if crumbs else "AgentRL")
    ui.add_head_html((Path(__file__).parent / "head.html").read_text(encoding="utf-8"))
    ui.dark_mode({"light": False, "dark": True}.get(theme))
    icon, following = _THEMES[theme]
    with box("top", "header"), box("top-in"):
        ui.link("AgentRL", "/").classes("brand")
        with box("crumbs", "nav") as way:
            way.props["aria-label"] = "where you are"
            for words, address in crumbs:
                ui.link(shown(words), address).classes("crumb")
            if crumbs:
                say(title, "crumb here")
        with ui.link(target=f"/theme/{following}").classes("icon-link") as link:
            link.props["aria-label"] = link.props["title"] = f"colours: {theme}; click for {following}"
            ui.icon(icon)
    with box("page", "main") as main:
        yield main


def tabs(run: Run, here: str) -> None:
    """Put links to the pages of a run."""
    pages = {"": "Overview", "/episodes": "Episodes"}
    if run.kind == "training":
        pages["/tasks"] = "Before and after"
    with box("tabs", "nav") as bar:
        bar.props["aria-label"] = "pages of the run"
        for end, words in pages.items():
            link = ui.link(words, f"/run/{run.key}{end}").classes("tab here" if end == here else "tab")
            if end == here:
                link.props["aria-current"] = "page"


def card(value: object, words: object, more: object = "") -> None:
    """Put a figure with what it is below it."""
    with box("card"):
        say(value, "card-value num")
        say(words, "card-words")
        if more:
            say(more, "card-more num")


def badge(text: object, kind: str = "plain") -> ui.label:
    """Put a small word; kinds are good, bad, warn and plain."""
    return say(text, f"badge {kind}")


def outcome_badge(outcome: str) -> ui.label:
    """Put how an episode ended."""
    return badge(OUTCOME_WORDS.get(outcome, outcome), OUTCOME_KINDS.get(outcome, "plain"))


def state_badge(state: str) -> ui.label:
    """Put whether a run goes on."""
    return badge(state, f"{_STATES.get(state, 'plain')} state-{state if state in _STATES else ''}")


def note(text: object, kind: Literal["trouble", "hint"] = "trouble") -> ui.element:
    """Put a message that has to be read."""
    with box(f"note {kind}") as found:
        if kind == "trouble":
            found.props["role"] = "alert"
        ui.icon("error_outline" if kind == "trouble" else "info_outline")
        say(text)
    return found


def figure(value: Any, unit: str = "") -> str:
    """Write a number for people; a dash for what is none."""
    from agentrl.trainer.scales import format_value

    found = number(value)
    if found is None:
        return NONE if value is None else str(value)[:40]
    return format_value(found, unit)


def points(value: Any) -> str:
    """Write a reward so that those of a column stand below each other.

    >>> points(0.5), points(None)
    ('0.500', '–')
    """
    found = number(value)
    if found is None:
        return figure(value)
    return f"{found:.3f}" if abs(found) < 1000 else figure(found)


def ago(seconds: float) -> str:
    """Say how long ago a time was.

    >>> ago(0)
    '–'
    """
    if not seconds:
        return NONE
    past = max(0.0, time.time() - seconds)
    for size, words in ((86400, "d"), (3600, "h"), (60, "min")):
        if past >= size:
            return f"{past // size:.0f} {words} ago"
    return f"{past:.0f} s ago" if past >= 10 else "just now"


def progress_text(found: Overview) -> str:
    """Say how far a run is."""
    unit = "steps" if found.run.kind == "training" else "episodes"
    total = f" / {found.total:,}" if found.total and found.total != found.done else ""
    return f"{found.done:,}{total} {unit}"


def short_env(name: object) -> str:
    """Return an environment's id without what most of them begin with."""
    return str(name).rpartition(":")[2].removeprefix("AgentRL/")
