"""Curves of one training run or several: which lines each chart has, and the chart as options of ECharts.

Pure functions. Names of runs and metrics become values only, never keys, since keys may be code to the library; colours
are those of the style sheet, so that light and dark need no second drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "DASHES",
    "FEW_POINTS",
    "MOST_CHARTS",
    "MOST_RUNS",
    "NUM_POINTS",
    "Line",
    "Picture",
    "Stroke",
    "options",
    "pictures",
]

MOST_RUNS = 6  # colours
NUM_POINTS = 400  # longer lines are averaged
FEW_POINTS = 12  # shorter ones are joined as they are
MOST_CHARTS = 150  # on one page; a file may hold any number of metrics
_MOST_LINES = 24
DASHES = ("solid", "dashed", "dotted", [8, 3, 2, 3])

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart."""

    name: str  # of the metric within its chart
    run: str
    color: int
    dash: int
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    exact: bool  # drawn as it is, not smoothed


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A step that is marked in a chart."""

    step: int
    label: str  # of ours: a chart reads formats from it


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart."""

    title: str
    about: str
    unit: str
    floor: float | None
    ceiling: float | None
    lines: tuple[Line, ...]
    strokes: tuple[Stroke, ...] = ()


def pictures(
    told: Sequence[tuple[str, Rows]], *, find: str = "", strokes: tuple[Stroke, ...] = ()
) -> list[tuple[str, list[Picture]]]:
    """Return the charts of runs, by section; at most `MOST_CHARTS`.

    Args:
        told: Name and metrics of each run.
        find: Words that title or metric must hold, any of them; empty for the usual charts.
        strokes: Steps to be marked where reward and success are one chart.
    """
    from agentrl.trainer.panels import WATCHED, is_watched, lines_of, sections_of

    names = sorted({name for _, rows in told for row in rows for name in row})
    words = find.lower().split()
    found: list[tuple[str, list[Picture]]] = []
    for heading, panels in sections_of(names, every=bool(words)):
        drawn: list[Picture] = []
        watched = [WATCHED] if is_watched(names) and not found else []
        for panel in [*watched, *panels]:
            if sum(len(each) for _, each in found) + len(drawn) >= MOST_CHARTS:
                break
            metrics = lines_of(panel, names)
            said = f"{panel.title} {' '.join(metric for metric, _ in metrics)}".lower()
            if words and not any(word in said for word in words):
                continue
            lines: list[Line] = []
            for place, (run, rows) in enumerate(told):
                for number, (metric, name) in enumerate(metrics):
                    several = len(told) > 1
                    line = _line(rows, metric, panel.absent)
                    if line is not None and len(lines) < _MOST_LINES:
                        color, dash = (place, number) if several else (number, 0)
                        exact = panel.exact or metric.startswith("eval/") or len(line.xs) < FEW_POINTS
                        lines.append(replace(line, name=name, run=run, color=color, dash=dash, exact=exact))
            if lines:
                limits = {"floor": panel.floor, "ceiling": panel.ceiling}
                marked = strokes if panel is WATCHED else ()
                drawn.append(
                    Picture(
                        title=panel.title,
                        about=panel.about,
                        unit=panel.unit,
                        lines=tuple(lines),
                        strokes=marked,
                        **limits,
                    )
                )
        if drawn:
            found.append((heading, drawn))
    return found


def options(picture: Picture) -> dict[str, Any]:
    """Return the chart for ECharts: faint points as measured, and over them the smoothed line."""
    from agentrl.trainer.scales import format_value, smooth
    from agentrl.trainer.transcripts import visible

    percent = picture.unit == "%"
    scale = 100.0 if percent else 1.0
    steps = sorted({x for line in picture.lines for x in line.xs})
    several = len({line.run for line in picture.lines}) > 1
    series: list[dict[str, Any]] = []
    for line in picture.lines:
        color = f"var(--c{line.color % MOST_RUNS})"
        words = [line.run] if several else []
        words += [line.name] if len({each.name for each in picture.lines}) > 1 or not several else []
        raw = dict(zip(line.xs, line.ys, strict=True))
        lonely = len(line.xs) < 2
        series.append(
            {
                "type": "line",
                "name": visible(" · ".join(words)),
                # A point, and what its tip says of it: texts of ours, so that no function has to run in the browser.
                "dimensions": ["step", "value", {"name": "tip", "type": "ordinal"}],
                "encode": {"x": 0, "y": 1, "tooltip": 2},
                "data": [
                    [place, _short(scale * raw[step]), format_value(raw[step], picture.unit)]
                    for place, step in enumerate(steps)
                    if step in raw
                ],
                "symbol": "circle",
                "symbolSize": 8 if lonely else 4,
                "showAllSymbol": True,
                "itemStyle": {"color": color, "opacity": 1 if lonely or line.exact else 0.3},
                "lineStyle": {"width": 2 if line.exact else 0, "color": color, "type": DASHES[line.dash % len(DASHES)]},
                "connectNulls": True,
                "emphasis": {"disabled": True},
                "animation": False,
            }
        )
        if not line.exact and not lonely:
            width = max((line.xs[-1] - line.xs[0]) / 28, 1.2 * (line.xs[-1] - line.xs[0]) / (len(line.xs) - 1))
            fitted = dict(zip(line.xs, smooth(line.xs, line.ys, width), strict=True))
            series.append(
                {
                    "type": "line",
                    "data": [None if step not in fitted else _short(scale * fitted[step]) for step in steps],
                    "symbol": "none",
                    "lineStyle": {"width": 2.2, "color": color, "type": DASHES[line.dash % len(DASHES)]},
                    "connectNulls": True,
                    "tooltip": {"show": False},
                    "silent": True,
                    "emphasis": {"disabled": True},
                    "animation": False,
                }
            )
    if series and picture.strokes:
        series[0]["markLine"] = _marked(picture.strokes, steps)
    muted = {"color": "var(--muted)", "fontSize": 11.5}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "aria": {"enabled": True, "label": {"description": visible(_told(picture))}},
        "grid": {"left": 4, "right": 14, "top": 12, "bottom": 2, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [f"{step:.0f}" for step in steps],
            "boundaryGap": len(steps) < 2,
            "axisLabel": {**muted, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "axisTick": {"show": False},
            "axisPointer": {"lineStyle": {"color": "var(--muted)"}, "label": {"formatter": "step {value}"}},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {**muted, **({"formatter": "{value}%"} if percent else {})},
            "splitLine": {"lineStyle": {"color": "var(--grid)"}},
            "splitNumber": 4,
            **_limits(picture, scale),
        },
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",  # drawn, not parsed: a name that holds HTML stays text
            "confine": True,
            "backgroundColor": "var(--paper)",
            "borderColor": "var(--line)",
            "textStyle": {"color": "var(--ink)", "fontSize": 12},
        },
        "series": series,
    }


def _line(rows: Rows, metric: str, absent: float | None) -> Line | None:
    from agentrl.trainer.panels import finite

    points = [(float(row["step"]), value) for row in rows if (value := finite(row, metric, absent)) is not None]
    if not points:
        return None
    size = math.ceil(len(points) / NUM_POINTS)
    pieces = [points[start : start + size] for start in range(0, len(points), size)]
    xs = tuple(float(round(_mean(x for x, _ in piece))) for piece in pieces)
    return Line(
        name="", run="", color=0, dash=0, xs=xs, ys=tuple(_mean(y for _, y in piece) for piece in pieces), exact=False
    )


def _marked(strokes: Sequence[Stroke], steps: Sequence[float]) -> dict[str, Any]:
    """Return lines at the drawn steps that are nearest, since a long run is averaged."""
    style = {"color": "var(--bad)", "type": "dashed", "width": 1.4}
    places = [min(range(len(steps)), key=lambda place: abs(steps[place] - stroke.step)) for stroke in strokes]
    return {
        "symbol": "none",
        "silent": True,
        "animation": False,
        "lineStyle": style,
        "data": [
            {"xAxis": place, "label": {"formatter": stroke.label, "color": "var(--bad)", "position": "insideEndTop"}}
            for place, stroke in zip(places, strokes, strict=True)
        ],
    }


def _mean(values: Iterable[float]) -> float:
    several = list(values)
    return math.fsum(several) / len(several)


def _short(value: float) -> float:
    """Keep what a reader can use, and no more bytes."""
    return float(f"{value:.4g}")


def _limits(picture: Picture, scale: float) -> dict[str, Any]:
    values = [y for line in picture.lines for y in line.ys]
    low, high = min(values), max(values)
    if picture.floor is not None and low >= picture.floor:
        limits: dict[str, Any] = {"min": scale * picture.floor}
        return (
            {**limits, "max": scale, "interval": scale / 4}
            if picture.ceiling and high > 0.5 * picture.ceiling
            else limits
        )
    return {"scale": True}


def _told(picture: Picture) -> str:
    """Say the chart in words, for those who cannot see it."""
    from agentrl.trainer.scales import format_value

    parts = [
        f"{line.run} {line.name}: from {format_value(line.ys[0], picture.unit)} at step {line.xs[0]:.0f}"
        f" to {format_value(line.ys[-1], picture.unit)} at step {line.xs[-1]:.0f}."
        for line in picture.lines
    ]
    return f"{picture.title}. {' '.join(parts)}"
