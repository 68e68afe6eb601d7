"""Draw the curves of runs as cards; new figures move the lines, and a card is made anew only when it must."""

from __future__ import annotations

from nicegui import ui

from agentrl.bench.viewer.curves import DASHES, MOST_RUNS, Picture, options
from agentrl.bench.viewer.parts import box, figure, heading, say

__all__ = ["Charts"]


class Charts:
    """The charts of one page."""

    def __init__(self) -> None:
        self._place = box()
        self._shape: list[object] = []
        self._charts: list[tuple[ui.echart, ui.label]] = []
        self._shown: list[Picture] = []

    def show(self, sections: list[tuple[str, list[Picture]]], *, empty: str) -> None:
        """Show charts.

        Args:
            sections: Of `curves.pictures`.
            empty: What to say where there is none.
        """
        every = [picture for _, drawn in sections for picture in drawn]
        shape: list[object] = [(heading, [_shape(picture) for picture in drawn]) for heading, drawn in sections]
        if shape == self._shape and every:
            for (chart, last), picture, before in zip(self._charts, every, self._shown, strict=True):
                if picture != before:
                    chart.options.clear()
                    chart.options.update(options(picture))
                    chart.update()
                    last.set_text(_last(picture))
        else:
            self._draw(sections, empty)
        self._shape, self._shown = shape, every

    def _draw(self, sections: list[tuple[str, list[Picture]]], empty: str) -> None:
        self._place.clear()
        self._charts = []
        with self._place:
            if not sections:
                with box("list"), box("empty"):
                    ui.icon("show_chart")
                    say(empty)
            for number, (words, drawn) in enumerate(sections):
                with box("section", "section"):
                    with box("line"):
                        heading(words)
                    with box("charts"):
                        for place, picture in enumerate(drawn):
                            self._card(picture, wide=number == place == 0)

    def _card(self, picture: Picture, *, wide: bool) -> None:
        with box("chart-card wide" if wide else "chart-card"):
            with box("line between"):
                say(picture.title, "h3")
                last = say(_last(picture), "sub num")
            if picture.about:
                say(picture.about, "sub")
            chart = ui.echart(options(picture), renderer="svg").classes("chart")
            _legend(picture)
        self._charts.append((chart, last))


def _shape(picture: Picture) -> object:
    return (picture.title, [(line.name, line.run, line.exact) for line in picture.lines])


def _last(picture: Picture) -> str:
    return figure(picture.lines[0].ys[-1], picture.unit) if len(picture.lines) == 1 else ""


def _legend(picture: Picture) -> None:
    """Say which line is which metric; which colour is which run stands above all charts."""
    names = dict.fromkeys(line.name for line in picture.lines)
    if len(names) < 2:
        return
    several = len({line.run for line in picture.lines}) > 1
    with box("legend"):
        for name in names:
            line = next(line for line in picture.lines if line.name == name)
            with box("legend-item"):
                swatch = box("swatch")
                if several:
                    kind = DASHES[line.dash % len(DASHES)]
                    swatch.style(f"border-top:3px {kind if isinstance(kind, str) else 'double'} var(--muted)")
                else:
                    swatch.style(f"background:var(--c{line.color % MOST_RUNS})")
                say(name)
