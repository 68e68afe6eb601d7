"""The list of a run's episodes: filters with their counts, sorted and paged by the database, kept in the address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import Request
from nicegui import ui

from agentrl.bench.viewer.database import stamp
from agentrl.bench.viewer.live import follow
from agentrl.bench.viewer.parts import (
    NONE,
    OUTCOME_WORDS,
    badge,
    box,
    figure,
    frame,
    heading,
    outcome_badge,
    put,
    say,
    short_env,
    shown,
    tabs,
)
from agentrl.bench.viewer.queries import OUTCOMES, PAGE, SORTS, Facets, Filters, Page, episode_key, facets, page
from agentrl.bench.viewer.runs import Library, Run

__all__ = ["episodes"]

_PHASES = {"train": "training", "eval": "held out", "eval_before": "held out, before", "eval_after": "held out, after"}


async def episodes(request: Request, library: Library) -> None:
    """Build the page."""
    run = library.run(request.path_params["key"])
    filters = Filters.parse(dict(request.query_params))
    with frame(request, "Episodes", (run.name, f"/run/{run.key}")):
        heading(run.name, 1)
        tabs(run, "/episodes")
        await _Listing(run, filters).start()


class _Listing:
    """The controls and the rows below them."""

    def __init__(self, run: Run, filters: Filters) -> None:
        self._run, self.filters = run, filters
        self._controls = box("filters")
        with box("line between list-head"):
            self._count = say("", "num count")
            self._clear = ui.button("Clear filters", on_click=self._reset).props("flat dense no-caps")
        self._list = box(f"list episodes {run.kind}")
        self._pager = box("pager")
        self._drawn: Facets | None = None
        self._again: Callable[[], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Show the first rows, and follow the file."""
        self._again = await follow(self._read, self._draw, stamp=lambda: stamp(self._run.store))

    def _read(self) -> tuple[Facets, Page]:
        return facets(self._run), page(self._run, self.filters)

    def _draw(self, found: tuple[Facets, Page]) -> None:
        counted, rows = found
        if counted != self._drawn:
            self._drawn = counted
            self._draw_controls(counted)
        chosen = self.filters.num_chosen
        of = f" of {counted.total:,}" if chosen else ""
        put(self._count, f"{rows.total:,}{of} episode{'' if rows.total == 1 and not chosen else 's'}")
        self._clear.set_visibility(chosen > 0)
        self._list.clear()
        with self._list:
            if rows.rows:
                _head(self._run)
            else:
                with box("empty"):
                    ui.icon("search_off" if chosen else "hourglass_empty")
                    say("No episode is like that; clear a filter." if chosen else "No episode was written yet.")
            for place, row in enumerate(rows.rows):
                _row(self._run, self.filters, row, rows.start + place)
        self._draw_pager(rows)

    def _draw_controls(self, counted: Facets) -> None:
        self._controls.clear()
        with self._controls:
            if self._run.kind == "training":
                self._choose(
                    "phase", "when", {each: _PHASES.get(each, each) for each in counted.phases}, counted.phases
                )
            if len(counted.envs) > 1 or self.filters.env:
                self._choose("env", "environment", {each: short_env(each) for each in counted.envs}, counted.envs)
            if len(counted.levels) > 1 or self.filters.level:
                self._choose("level", "level", {each: f"level {each}" for each in counted.levels}, counted.levels)
            words: dict[str, str] = {each: OUTCOME_WORDS[each] for each in OUTCOMES if each in counted.outcomes}
            self._choose("outcome", "outcome", words, counted.outcomes)
            if counted.failures:
                self._choose("failure", "failure", {each: each for each in counted.failures}, counted.failures)
            if counted.cut["yes"]:
                words = {"yes": "cut off by a limit", "no": "came to an end"}
                self._choose("cut", "ending", words, counted.cut)
            self._choose("component", "reward part", {each: each for each in ("reward", *counted.components)}, {})
            self._number("low", "at least")
            self._number("high", "at most")
            self._number("turns_low", "turns from", whole=True)
            self._number("turns_high", "turns to", whole=True)
            text = ui.input("task or seed", value=self.filters.task).props("outlined dense debounce=400 clearable")
            text.on_value_change(lambda event: self._set(task=(event.value or "")[:200]))
            sorts = {
                name: words
                for name, (words, *columns) in SORTS.items()
                if name == "order" or columns[self._run.kind != "bench"]
            }
            self._choose("sort", "sorted by", sorts, {}, empty=False)
            ways = {False: "ascending", True: "descending"}
            way = ui.select(ways, label="order", value=self.filters.down).props("outlined dense options-dense")
            way.on_value_change(lambda event: self._set(down=bool(event.value)))

    def _choose(
        self, name: str, label: str, words: Mapping[str, str], counts: Mapping[str, int], *, empty: bool = True
    ) -> None:
        value = getattr(self.filters, name)
        options = {"": "any"} if empty else {}
        options |= {
            each: shown(f"{text} ({counts[each]:,})" if each in counts else text) for each, text in words.items()
        }
        options.setdefault(value, shown(value))
        chosen = ui.select(options, label=label, value=value).props("outlined dense options-dense")
        chosen.on_value_change(lambda event: self._set(**{name: event.value}))

    def _number(self, name: str, label: str, *, whole: bool = False) -> None:
        field = ui.number(label, value=getattr(self.filters, name), precision=0 if whole else None)
        field.props("outlined dense debounce=400")

        async def change(event: Any) -> None:
            value = event.value
            await self._set(**{name: None if value is None else int(value) if whole else float(value)})

        field.on_value_change(change)

    async def _set(self, **changes: Any) -> None:
        """Ask anew, from the first page unless that is what changed."""
        query = {"start": 0, **changes}
        if all(getattr(self.filters, name) == value for name, value in changes.items()):
            return
        self.filters = replace(self.filters, **query)
        self._keep()
        if self._again is not None:
            await self._again()

    async def _reset(self) -> None:
        self.filters = Filters(sort=self.filters.sort, down=self.filters.down)
        self._drawn = None
        self._keep()
        if self._again is not None:
            await self._again()

    def _keep(self) -> None:
        query = self.filters.query
        ui.navigate.history.replace(f"/run/{self._run.key}/episodes{f'?{query}' if query else ''}")

    def _draw_pager(self, rows: Page) -> None:
        self._pager.clear()
        if rows.total <= PAGE:
            return
        with self._pager:
            first, last = rows.start + 1, rows.start + len(rows.rows)
            say(f"{first:,} to {last:,} of {rows.total:,}", "sub num")
            with box("line"):
                for words, start, on in (
                    ("First", 0, rows.start > 0),
                    ("Previous", max(0, rows.start - PAGE), rows.start > 0),
                    ("Next", rows.start + PAGE, last < rows.total),
                    ("Last", (rows.total - 1) // PAGE * PAGE, last < rows.total),
                ):
                    button = ui.button(words, on_click=lambda _, start=start: self._set(start=start))
                    button.props("flat dense no-caps").set_enabled(on)


def _head(run: Run) -> None:
    words = ["outcome", "task", "level", "reward", "turns", "tokens", "seconds" if run.kind == "bench" else "advantage"]
    with box("rw-head"):
        for place, word in enumerate(words):
            say(word, "" if place < 2 else "right")


def _row(run: Run, filters: Filters, row: Mapping[str, Any], place: int) -> None:
    query = "&".join(part for part in (filters.query, f"at={place}") if part)
    with ui.link(target=f"/run/{run.key}/episode?{episode_key(run, row)}&{query}").classes("rw"):
        with box("line outcomes"):
            outcome_badge(row["outcome"])
            if row["cut"]:
                badge("cut off", "plain hide-s")
        with box():
            say(row["task_id"], "title")
            where = f"step {row['step']} · " if run.kind == "training" else ""
            also = f" · sample {row['sample']}" if run.kind == "bench" else f" · member {row['member']}"
            kind = f" · {_PHASES.get(row['phase'], row['phase'])}" if run.kind == "training" else ""
            failed = f" · {row['failed']}" if row["failed"] else ""
            say(f"{where}{short_env(row['env_id'])} · seed {row['seed']}{also}{kind}{failed}", "sub")
        say(f"{row['level']}" if row["level"] else NONE, "right num hide-s")
        say(figure(row["reward"]), "right num")
        say(figure(row["num_turns"]), "right num hide-s")
        say(figure(row["tokens"]), "right num hide-s")
        say(figure(row["seconds" if run.kind == "bench" else "advantage"]), "right num hide-s")
