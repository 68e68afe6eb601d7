"""Line charts as SVG text: thin gridlines, raw dots, a smoothed line, labels beside the lines, light and dark.

Pure functions from numbers to a string; no script and no outside resource. Text widths are estimated, since nothing
here can measure a font.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.trainer.scales import format_value, smooth, spread, ticks

__all__ = ["FONT", "STYLE", "Chart", "Flag", "Mark", "Series", "draw"]

NUM_DOTS = 240  # more steps than this are averaged into as many bins
COLORS_LIGHT = ("#2a6fdb", "#c2570c", "#0c8577", "#7d4fc9", "#c0336f", "#6b7480")
COLORS_DARK = ("#6ea8fe", "#f2995a", "#3fc7b4", "#b694f6", "#f27fb2", "#9aa4b0")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def _style() -> str:
    def theme(ink: str, muted: str, grid: str, axis: str, paper: str, band: str, colors: Sequence[str]) -> str:
        rules = [
            f".c-ink{{fill:{ink}}}.c-muted{{fill:{muted}}}.c-grid{{stroke:{grid}}}.c-axis{{stroke:{axis}}}",
            f".c-paper{{fill:{paper};stroke:{grid}}}.c-ring{{stroke:{paper}}}.c-band{{fill:{band}}}",
            *(f".s{i}{{fill:{color}}}.l{i}{{stroke:{color}}}" for i, color in enumerate(colors)),
        ]
        return "".join(rules)

    light = theme("#1f2328", "#626b76", "#e6e9ed", "#b3bac2", "#ffffff", "#f5f7f9", COLORS_LIGHT)
    dark = theme("#e8ebef", "#98a2ae", "#2b3139", "#57606b", "#14181d", "#1b2027", COLORS_DARK)
    shapes = (
        f".chart{{font-family:{FONT};font-variant-numeric:tabular-nums}}"
        ".c-grid,.c-axis{stroke-width:1;shape-rendering:crispEdges}.dot{opacity:.38}.area{opacity:.13}"
        ".flag{stroke:#d1242f;stroke-width:1.4;stroke-dasharray:5 4}.c-flag{fill:#d1242f}"
        ".line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}.c-ring{stroke-width:2}"
    )
    return f"{shapes}{light}@media (prefers-color-scheme:dark){{{dark}}}"


STYLE = _style()
"""The style sheet of the charts, to be put once beside them."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart; `xs` rise, points without a value are left out beforehand."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    color: int = 0  # place in the palette
    low: tuple[float, ...] = ()  # lower edge of a band around the line, or nothing
    high: tuple[float, ...] = ()  # its upper edge
    exact: bool = False  # join the points as they are: for what is set or counted rather than sampled


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A figure measured apart from the series, drawn beside the curve: held-out success before or after training."""

    label: str
    value: float
    color: int
    hollow: bool = False


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A step that is marked by a line from top to bottom."""

    step: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart: its words, its lines and its range."""

    title: str  # for screen readers; shown when the chart stands alone
    series: tuple[Series, ...]
    unit: str = ""  # "%" shows fractions as percentages; anything else is written after the value
    x_label: str = "step"
    y_label: str = ""
    subtitle: str = ""  # shown when the chart stands alone
    floor: float | None = None  # the y axis begins here, whatever the data
    ceiling: float | None = None  # and ends here
    before: tuple[Mark, ...] = ()
    after: tuple[Mark, ...] = ()
    flags: tuple[Flag, ...] = ()  # those beyond the steps drawn are left out
    width: int = 560
    height: int = 240
    alone: bool = False  # a file of its own: with paper, title and style, without tips on the dots


def draw(chart: Chart, *, name: str = "chart") -> str:
    """Return the chart as an `<svg>` element; `name` makes its ids unique in a page.

    A chart without a single value says so instead of drawing axes.
    """
    return _Drawing(chart, name).svg()


class _Drawing:
    """The geometry of one chart: margins from the labels, then layers from back to front."""

    def __init__(self, chart: Chart, name: str) -> None:
        self.chart, self.name = chart, name
        self.font = 13 if chart.alone else 12
        self.series = [_binned(series) for series in chart.series if series.ys]
        self.y_ticks = self._y_ticks()
        self.y_step = self.y_ticks[1] - self.y_ticks[0]
        last = max((series.xs[-1] for series in self.series), default=1.0)
        first = min((series.xs[0] for series in self.series), default=0.0)
        first = 0.0 if first == 1.0 else first  # training begins at 0, its first figures are those of step 1
        self.x_low, self.x_high = (first, last) if last > first else (first - 0.5, last + 0.5)
        edge = 28 if chart.alone else 0
        letters = max(len(self._tick(value)) for value in self.y_ticks)
        self.ticks_width = letters * self.font * 0.66 + 3
        self.axis = edge + self.ticks_width + 8 + (24 if chart.y_label else 0)
        self.wing = 128.0  # width of the columns of the marks
        self.left = self.axis + (self.wing if chart.before else 6)
        self.end = chart.width - edge - (self.wing if chart.after else 12.0)  # where the column of the marks begins
        self.right = self.end - self._names_width()
        self.top = (84.0 if chart.alone else 12.0) + (30.0 if chart.before or chart.after else 0.0)
        self.bottom = chart.height - edge - 40

    def svg(self) -> str:
        chart, name = self.chart, self.name
        parts = [
            f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {chart.width} {chart.height}" '
            f'role="img" aria-labelledby="{name}-t {name}-d" font-size="{self.font}">',
            f'<title id="{name}-t">{html.escape(chart.title)}</title>',
            f'<desc id="{name}-d">{html.escape(self._said())}</desc>',
        ]
        if chart.alone:
            parts.append(f"<style>{STYLE}</style>")
            size = f'width="{chart.width - 1}" height="{chart.height - 1}"'
            parts.append(f'<rect class="c-paper" x="0.5" y="0.5" {size} rx="12"/>')
            parts.append(_text(28, 42, chart.title, "c-ink", size=19, weight=600))
            parts.append(_text(28, 66, chart.subtitle, "c-muted", size=13))
        if not self.series and not chart.before and not chart.after:
            middle = (chart.width / 2, chart.height / 2)
            return "".join([*parts, _text(*middle, "no values yet", "c-muted", anchor="middle"), "</svg>"])
        parts += [*self._wings(), *self._axes()]
        parts += [*self._flags(), *(part for series in self.series for part in self._series(series))]
        parts += [*self._names(), *self._marks(chart.before, self.axis), *self._marks(chart.after, self.end)]
        if chart.alone and self.series:
            parts += self._key()
        return "".join([*parts, "</svg>"])

    def _x(self, value: float) -> float:
        inner = 8.0  # so that no dot sits on the axis
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return self.left + inner + share * (self.right - self.left - 2 * inner)

    def _y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        share = (min(high, max(low, value)) - low) / (high - low)
        return self.bottom - share * (self.bottom - self.top)

    def _tick(self, value: float) -> str:
        unit = "%" if self.chart.unit == "%" else ""
        return format_value(value, unit, step=self.y_step, top=max(abs(self.y_ticks[0]), abs(self.y_ticks[-1])))

    def _y_ticks(self) -> list[float]:
        chart = self.chart
        values = [value for series in self.series for value in (*series.ys, *series.low, *series.high)]
        values += [mark.value for mark in (*chart.before, *chart.after)]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if low > 0 and low < 0.5 * high:
            low = 0.0  # a bar to zero is worth little room: show it
        low = low if chart.floor is None else min(chart.floor, low)
        high = high if chart.ceiling is None else max(chart.ceiling, high)
        if high - low < 1e-9 * max(1.0, abs(high)):
            pad = abs(high) * 0.5 or 0.5
            low, high = low - (pad if low != chart.floor else 0.0), high + (pad if high != chart.ceiling else 0.0)
        return ticks(low, high, 5)

    def _axes(self) -> list[str]:
        chart = self.chart
        begin, end = self.axis, self.end + self.wing if chart.after else self.right
        parts = []
        for value in self.y_ticks:
            y = round(self._y(value)) + 0.5
            kind = "c-axis" if value == self.y_ticks[0] else "c-grid"
            parts.append(f'<line class="{kind}" x1="{begin:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"/>')
            parts.append(_text(begin - 8, y + self.font * 0.35, self._tick(value), "c-muted", anchor="end"))
        for value in self._x_ticks():
            x = self._x(value)
            parts.append(
                f'<line class="c-axis" x1="{x:.1f}" x2="{x:.1f}" y1="{self.bottom:.1f}" y2="{self.bottom + 5:.1f}"/>'
            )
            label = format_value(value) if value >= 10_000 else f"{value:.0f}"
            parts.append(_text(x, self.bottom + 19, label, "c-muted", anchor="middle"))
        middle = (self.left + self.right) / 2
        parts.append(_text(middle, self.bottom + 37, chart.x_label, "c-muted", anchor="middle"))
        if chart.y_label:
            x, y = self.axis - self.ticks_width - 22, (self.top + self.bottom) / 2
            turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"'
            parts.append(_text(x, y, chart.y_label, "c-muted", anchor="middle", extra=turn))
        return parts

    def _x_ticks(self) -> list[float]:
        if not self.series:
            return []
        found = ticks(self.x_low, self.x_high, max(2, int((self.right - self.left) / 90)))
        inside = [value for value in found if self.x_low <= value <= self.x_high and value == int(value)]
        return inside or [math.ceil(self.x_low)]

    def _series(self, series: Series) -> list[str]:
        xs = [self._x(x) for x in series.xs]
        width = (series.xs[-1] - series.xs[0]) / 28
        if len(series.xs) > 1:
            width = max(width, 1.2 * (series.xs[-1] - series.xs[0]) / (len(series.xs) - 1))
        parts = []
        if series.low and series.high:
            lows, highs = (smooth(series.xs, edge, width) for edge in (series.low, series.high))
            up = [f"{x:.1f},{self._y(y):.1f}" for x, y in zip(xs, highs, strict=True)]
            down = [f"{x:.1f},{self._y(y):.1f}" for x, y in zip(xs, lows, strict=True)]
            parts.append(f'<polygon class="area s{series.color}" points="{" ".join([*up, *reversed(down)])}"/>')
        size = 2.2 if self.chart.alone else 1.7
        for number, y, x in zip(series.xs, series.ys, xs, strict=True):
            tip = html.escape(f"{series.name}: {format_value(y, self.chart.unit)} at step {number:.0f}")
            circle = f'<circle class="dot s{series.color}" cx="{x:.1f}" cy="{self._y(y):.1f}" r="{size}"'
            parts.append(f"{circle}/>" if self.chart.alone else f"{circle}><title>{tip}</title></circle>")
        ys = series.ys if series.exact else smooth(series.xs, series.ys, width)
        if len(ys) > 1:
            points = " ".join(f"{x:.1f},{self._y(y):.1f}" for x, y in zip(xs, ys, strict=True))
            parts.append(f'<polyline class="line l{series.color}" points="{points}"/>')
        return [*parts, self._dot(xs[-1], self._y(ys[-1]), series.color, size=3.4)]

    def _flags(self) -> list[str]:
        parts = []
        for number, flag in enumerate(self.chart.flags):
            if self.series and self.x_low <= flag.step <= self.x_high:
                x, tip = self._x(flag.step), html.escape(f"{flag.label} at step {flag.step:.0f}")
                line = f'<line class="flag" x1="{x:.1f}" x2="{x:.1f}" y1="{self.top:.1f}" y2="{self.bottom:.1f}"'
                parts.append(f"{line}><title>{tip}</title></line>")
                parts.append(_text(x + 4, self.top + 12 + 14 * (number % 3), flag.label, "c-flag", size=11))
        return parts

    def _dot(self, x: float, y: float, color: int, *, size: float, hollow: bool = False) -> str:
        if hollow:
            ring = f'class="c-paper l{color}" stroke-width="2.4" style="stroke-width:2.4"'
            return f'<circle {ring} cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
        return f'<circle class="s{color} c-ring" cx="{x:.1f}" cy="{y:.1f}" r="{size + 1}"/>'

    def _names_width(self) -> float:
        longest = max((len(series.name) for series in self.series), default=0) if len(self.series) > 1 else 0
        return longest * self.font * 0.6 + 10 if longest else 0.0

    def _names(self) -> list[str]:
        if len(self.series) < 2:
            return []
        ends = [self._y(smooth(series.xs[-12:], series.ys[-12:], 6.0)[-1]) for series in self.series]
        places = spread(ends, self.font + 3, self.top, self.bottom)
        return [
            _text(self.right + 2, y + self.font * 0.35, series.name, f"s{series.color}", weight=600)
            for y, series in zip(places, self.series, strict=True)
        ]

    def _wings(self) -> list[str]:
        parts = []
        for marks, x, words in (
            (self.chart.before, self.axis, "held out, before"),
            (self.chart.after, self.end, "held out, after"),
        ):
            if marks:
                size = f'width="{self.wing:.1f}" height="{self.bottom - self.top + 30:.1f}"'
                parts.append(f'<rect class="c-band" x="{x:.1f}" y="{self.top - 30:.1f}" {size}/>')
                parts.append(_text(x + self.wing / 2, self.top - 12, words, "c-muted", anchor="middle", size=12))
        return parts

    def _marks(self, marks: Sequence[Mark], x: float) -> list[str]:
        parts = []
        places = spread([self._y(mark.value) for mark in marks], 36, self.top + 4, self.bottom - 20)
        for place, (y, mark) in enumerate(zip(places, marks, strict=True)):
            at = x + 18 + 15 * place  # side by side, since the values may be close
            parts.append(self._dot(at, self._y(mark.value), mark.color, size=5, hollow=mark.hollow))
            value, words = format_value(mark.value, self.chart.unit), x + 18 + 15 * len(marks)
            parts.append(_text(words, y + 5, value, f"s{mark.color}", size=16, weight=700))
            parts.append(_text(words, y + 20, mark.label, "c-muted", size=12))
        return parts

    def _key(self) -> list[str]:
        """Say what dots and line are, in the lower right corner, which a rising curve leaves free."""
        if all(series.exact for series in self.series):  # nothing is smoothed
            return []
        x, y, color = self.right - 168, self.bottom - 40, self.series[0].color
        dot = f'<circle class="s{color}" style="opacity:.55" cx="{x + 9:.1f}" cy="{y - 4:.1f}" r="3"/>'
        line = f'<line class="line l{color}" x1="{x:.1f}" x2="{x + 18:.1f}" y1="{y + 16:.1f}" y2="{y + 16:.1f}"/>'
        words = _text(x + 26, y, "training, each step", "c-muted", size=12)
        return [dot, words, line, _text(x + 26, y + 20, "training, smoothed", "c-muted", size=12)]

    def _said(self) -> str:
        """The chart in words, for those who cannot see it."""
        unit, parts = self.chart.unit, []
        for series in self.series:
            first, last = format_value(series.ys[0], unit), format_value(series.ys[-1], unit)
            parts.append(
                f"{series.name}: from {first} at step {series.xs[0]:.0f} to {last} at step {series.xs[-1]:.0f}."
            )
        for when, marks in (("before", self.chart.before), ("after", self.chart.after)):
            parts += [f"{mark.label} {when} training: {format_value(mark.value, unit)}." for mark in marks]
        parts += [f"{flag.label} at step {flag.step:.0f}." for flag in self.chart.flags]
        return " ".join(parts) or "No values yet."


def _text(
    x: float,
    y: float,
    words: str,
    kind: str,
    *,
    anchor: str = "start",
    size: float | None = None,
    weight: int | None = None,
    extra: str = "",
) -> str:
    more = (f' font-size="{size}"' if size else "") + (f' font-weight="{weight}"' if weight else "") + extra
    more += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{html.escape(words)}</text>'


def _binned(series: Series) -> Series:
    """Average neighbouring points so that at most NUM_DOTS are drawn."""
    size = math.ceil(len(series.xs) / NUM_DOTS)
    if size <= 1:
        return series

    def means(values: Sequence[float]) -> tuple[float, ...]:
        pieces = [values[start : start + size] for start in range(0, len(values), size)]
        return tuple(sum(piece) / len(piece) for piece in pieces)

    return Series(
        name=series.name,
        xs=means(series.xs),
        ys=means(series.ys),
        color=series.color,
        low=means(series.low),
        high=means(series.high),
        exact=series.exact,
    )
