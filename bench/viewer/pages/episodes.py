"""The list of a run's episodes: filters with their counts, sorted and paged by the database, kept in the address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.live import follow
from agentrl.bench.viewer.parts import (
    NONE,
    OUTCOME_KINDS,
    OUTCOME_WORDS,
    badge,
    box,
    figure,
    frame,
    heading,
    points,
    put,
    say,
    short_env,
    shown,
    tabs,
)
from agentrl.bench.viewer.queries import PAGE, SORTS, Facets, Filters, Page, episode_key, facets, page
from agentrl.bench.viewer.runs import Library, Run

__all__ = ["PHASES", "episodes"]

PHASES = {"train": "training", "eval": "held out", "eval_before": "held out, before", "eval_after": "held out, after"}
_LABELS = {
    "phase": "when",
    "env": "environment",
    "level": "level",
    "outcome": "outcome",
    "failure": "failure",
    "cut": "ending",
    "component": "reward part",
    "sort": "sorted by",
}
_CUT = {"yes": "cut off by a limit", "no": "came to an end"}


async def episodes(request: Request, library: Library) -> None:
    """Build the page."""
    run = library.run(request.path_params["key"])
    filters = Filters.parse(dict(request.query_params))
    with frame(request, "Episodes", (run.name, f"/run/{run.key}")):
        heading(run.name, 1)
        tabs(run, "/episodes")
        await _Listing(run, filters).start()


class _Listing:
    """The controls and the rows below them; both stay what they are while figures change, so that no focus is lost."""

    def __init__(self, run: Run, filters: Filters) -> None:
        self._run, self.filters = run, filters
        self._controls = box("filters")
        with box("line between list-head"):
            self._count = say("", "num count")
            self._clear = ui.button("Clear filters", on_click=self._reset).props("flat dense no-caps")
        with box(f"list episodes {run.kind}"):
            self._head = _head(run)
            self._list = box()
            self._empty = box("empty")
        self._pager = _Pager(self._set)
        self._selects: dict[str, ui.select] = {}
        self._rows: list[_Row] = []
        self._again: Callable[[], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Show the first rows, and follow the file."""
        self._again = await follow(self._read, self._draw, stamp=lambda: stamp(self._run.store))

    def _read(self) -> tuple[Facets, Page]:
        return facets(self._run), page(self._run, self.filters)

    def _draw(self, found: tuple[Facets, Page]) -> None:
        counted, rows = found
        self._draw_controls(counted)
        chosen = self.filters.num_chosen
        of = f" of {counted.total:,}" if chosen else ""
        put(self._count, f"{rows.total:,}{of} episode{'' if rows.total == 1 and not chosen else 's'}")
        self._clear.set_visibility(chosen > 0)
        self._head.set_visibility(bool(rows.rows))
        self._empty.clear()
        self._empty.set_visibility(not rows.rows)
        with self._empty:
            ui.icon("search_off" if chosen else "hourglass_empty")
            say("No episode is like that; clear a filter." if chosen else "No episode was written yet.")
        with self._list:
            while len(self._rows) < len(rows.rows):
                self._rows.append(_Row(self._run))
        while len(self._rows) > len(rows.rows):
            self._rows.pop().link.delete()
        for place, (shown_row, row) in enumerate(zip(self._rows, rows.rows, strict=True)):
            shown_row.update(row, self.filters, rows.start + place)
        self._pager.show(rows)

    def _draw_controls(self, counted: Facets) -> None:
        choices = self._choices(counted)
        if list(choices) != list(self._selects):
            self._build_controls(choices)
        for name, options in choices.items():
            select = self._selects[name]
            if select.options != options:
                select.set_options(options, value=getattr(self.filters, name))

    def _choices(self, counted: Facets) -> dict[str, dict[str, str]]:
        """Return what can be chosen, with how many episodes that would be."""
        found: dict[str, dict[str, str]] = {}

        def offer(name: str, counts: Mapping[str, int], words: Callable[[str], str], *, least: int = 1) -> None:
            value = getattr(self.filters, name)
            if len(counts) >= least or value:
                options = {"": "any"} | {each: shown(f"{words(each)} ({count:,})") for each, count in counts.items()}
                found[name] = options if value in options else {**options, value: shown(value)}

        if self._run.kind == "training":
            offer("phase", counted.phases, lambda each: PHASES.get(each, each))
        offer("env", counted.envs, short_env, least=2)
        offer("level", counted.levels, lambda each: f"level {each}", least=2)
        offer("outcome", counted.outcomes, lambda each: OUTCOME_WORDS.get(each, each))
        offer("failure", counted.failures, str)
        offer("cut", counted.cut if counted.cut["yes"] else {}, lambda each: _CUT[each])
        parts = dict.fromkeys(("reward", *counted.components, self.filters.component), 0)
        found["component"] = {"": "any", **{each: shown(each) for each in parts if each}}
        kind = self._run.kind != "bench"
        found["sort"] = {name: words for name, (words, *columns) in SORTS.items() if name == "order" or columns[kind]}
        return found

    def _build_controls(self, choices: Mapping[str, dict[str, str]]) -> None:
        self._controls.clear()
        self._selects = {}
        with self._controls:
            for name, options in choices.items():
                if name == "sort":
                    continue
                self._choose(name, options)
                if name == "component":
                    self._number("low", "at least")
                    self._number("high", "at most")
            self._number("turns_low", "turns from", whole=True)
            self._number("turns_high", "turns to", whole=True)
            self._number("tokens_low", "tokens from", whole=True)
            self._number("tokens_high", "tokens to", whole=True)
            text = ui.input("task or seed", value=shown(self.filters.task))
            text.props("outlined dense debounce=400 clearable")
            text.on_value_change(lambda event: self._set(task=(event.value or "")[:200]))
            self._choose("sort", choices["sort"])
            way = ui.select({False: "ascending", True: "descending"}, label="order", value=self.filters.down)
            way.props("outlined dense options-dense")
            way.on_value_change(lambda event: self._set(down=bool(event.value)))

    def _choose(self, name: str, options: dict[str, str]) -> None:
        chosen = ui.select(options, label=_LABELS[name], value=getattr(self.filters, name))
        chosen.props("outlined dense options-dense")
        chosen.on_value_change(lambda event: self._set(**{name: event.value}))
        self._selects[name] = chosen

    def _number(self, name: str, label: str, *, whole: bool = False) -> None:
        field = ui.number(label, value=getattr(self.filters, name), precision=0 if whole else None)
        field.props("outlined dense debounce=400")

        async def change(event: Any) -> None:
            value = event.value
            await self._set(**{name: None if value is None else int(value) if whole else float(value)})

        field.on_value_change(change)

    async def _set(self, **changes: Any) -> None:
        """Ask anew, from the first page unless that is what changed."""
        if all(getattr(self.filters, name) == value for name, value in changes.items()):
            return
        self.filters = replace(self.filters, **{"start": 0, **changes})
        query = self.filters.query
        ui.navigate.history.replace(f"/run/{self._run.key}/episodes{f'?{query}' if query else ''}")
        if self._again is not None:
            await self._again()

    async def _reset(self) -> None:
        self._selects = {}  # made anew, with nothing chosen
        plain = Filters(sort=self.filters.sort, down=self.filters.down)
        await self._set(**{each.name: getattr(plain, each.name) for each in fields(plain)})


class _Row:
    """One episode of the list: a link as a whole."""

    def __init__(self, run: Run) -> None:
        self._run = run
        with ui.link(target="/").classes("rw") as self.link:
            with box("line outcomes"):
                self._outcome, self._cut = badge(""), badge("cut off", "plain hide-s")
            with box():
                self._task, self._about = say("", "title"), say("", "sub")
            self._figures = [say("", "right num" + (" hide-s" if place != 1 else "")) for place in range(5)]

    def update(self, row: Mapping[str, Any], filters: Filters, place: int) -> None:
        """Show an episode, which stands at a place of the whole list."""
        run = self._run
        query = "&".join(part for part in (filters.query, f"at={place}") if part)
        address = f"/run/{run.key}/episode?{episode_key(run, row)}&{query}"
        if self.link.props.get("href") != address:
            self.link.props["href"] = address
        put(self._outcome, OUTCOME_WORDS.get(row["outcome"], row["outcome"]))
        self._outcome.classes(replace=f"badge {OUTCOME_KINDS.get(row['outcome'], 'plain')}")
        self._cut.set_visibility(bool(row["cut"]))
        put(self._task, row["task_id"])
        parts = [f"step {row['step']}"] if run.kind == "training" else []
        parts += [short_env(row["env_id"]), f"seed {row['seed']}"]
        if run.kind == "training":
            parts += [f"member {row['member']}", PHASES.get(row["phase"], str(row["phase"]))]
        else:
            parts.append(f"sample {row['sample']}")
        parts += [row["failed"]] if row["failed"] else []
        put(self._about, " · ".join(parts))
        last = row["seconds" if run.kind == "bench" else "advantage"]
        texts = (str(row["level"] or NONE), points(row["reward"]), *map(figure, (row["num_turns"], row["tokens"])))
        for label, text in zip(self._figures, (*texts, points(last)), strict=True):
            put(label, text)


class _Pager:
    """Where in the list the page is, and the ways to others."""

    def __init__(self, go: Callable[..., Awaitable[None]]) -> None:
        self._starts = dict.fromkeys(("First", "Previous", "Next", "Last"), 0)
        with box("pager") as self._place:
            self._said = say("", "sub num")
            with box("line"):
                self._buttons = {words: self._button(words, go) for words in self._starts}

    def _button(self, words: str, go: Callable[..., Awaitable[None]]) -> ui.button:
        return ui.button(words, on_click=lambda: go(start=self._starts[words])).props("flat dense no-caps")

    def show(self, rows: Page) -> None:
        """Show which page it is."""
        last = rows.start + len(rows.rows)
        self._place.set_visibility(rows.total > PAGE)
        put(self._said, f"{rows.start + 1:,} to {last:,} of {rows.total:,}")
        self._starts = {
            "First": 0,
            "Previous": max(0, rows.start - PAGE),
            "Next": last,
            "Last": max(0, rows.total - 1) // PAGE * PAGE,
        }
        for words, button in self._buttons.items():
            button.set_enabled(rows.start > 0 if words in ("First", "Previous") else last < rows.total)


def _head(run: Run) -> ui.element:
    words = ["outcome", "task", "level", "reward", "turns", "tokens", "seconds" if run.kind == "bench" else "advantage"]
    with box("rw-head") as found:
        for place, word in enumerate(words):
            say(word, "" if place < 2 else "right")
    return found
