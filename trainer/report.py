"""`report.html`: what a run did, in one file that needs no network and no script; and the learning curve for a README.

Nothing from the run is trusted: text goes through `escape`, figures through `float`, and the page forbids scripts and
outside resources to the browser as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from agentrl.trainer.curves import STYLE, Chart, Flag, Mark, Series, draw
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.page import page, write_page
from agentrl.trainer.panels import LEARNED, WATCHED, Panel, finite, is_watched, lines_of, sections_of
from agentrl.trainer.scales import format_duration, format_value
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.transcripts import Pair, draw_pairs, escape, pick_pairs, visible
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.alerts import Alert, read_alerts
from agentrl.trainer.watch.page import draw_alerts, flag_of

__all__ = ["write_curve_svg", "write_report"]

Rows = Sequence[Mapping[str, Any]]

NUM_LINES = 6  # lines in one chart: the colours of the palette


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, whole or not at all, and return its path.

    Parts that are not there yet (summary, episodes, config) are left out, so a running or killed run can be read.

    Raises:
        RunFolderError: When the folder holds no readable `metrics.jsonl`, or cannot be written.
    """
    run = Path(run)
    rows, summary, pairs = read_metrics(run / "metrics.jsonl"), _summary(run), _pairs(run)
    alerts = read_alerts(run)
    one = next((episode for pair in pairs for episode in pair if episode is not None), None)
    name = run.resolve().name
    here = Path(__file__)
    body = Template(here.with_name("report.html").read_text(encoding="utf-8")).substitute(
        heading=escape(name),
        about=escape(" · ".join(([one.env_id] if one else []) + _about(one, summary, rows))),
        cards="".join(_cards(summary, rows)),
        alerts="".join(draw_alerts(alerts)),
        curves="".join(_sections(rows, summary, alerts)),
        episodes="".join(draw_pairs(pairs)) or '<p class="muted">No held-out episodes are stored.</p>',
        config=_config(run),
    )
    style = here.with_name("report.css").read_text(encoding="utf-8") + STYLE
    return write_page(run / "report.html", page(name, body, style=style))


def write_curve_svg(run: Path, path: Path) -> Path:
    """Draw success over the training steps, with held-out success before and after, as an SVG for a README.

    Raises:
        RunFolderError: When the run has no readable `metrics.jsonl`, or `path` cannot be written.
    """
    run = Path(run)
    rows, summary, one = read_metrics(run / "metrics.jsonl"), _summary(run), _any_episode(run)
    chart = Chart(
        title=f"Success on {visible(one.env_id.removeprefix('AgentRL/'))}" if one is not None else "Success",
        subtitle=visible(" · ".join(_about(one, summary, rows))),
        series=_lines(rows, LEARNED[0])[:1],
        unit="%",
        floor=0.0,
        ceiling=1.0,
        x_label="GRPO step",
        y_label="tasks solved",
        before=_marks(summary, "before", 1),
        after=_marks(summary, "after", 1),
        width=920,
        height=470,
        alone=True,
    )
    return write_page(Path(path), draw(chart, name="success") + "\n")


def _summary(run: Path) -> dict[str, Any]:
    path = run / "summary.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: {error}; delete the file, then ask for the report again") from error
    return found if isinstance(found, dict) else {}


def _any_episode(run: Path) -> Episode | None:
    if not (run / "rollouts.sqlite").is_file():
        return None
    with RolloutStore(run / "rollouts.sqlite", read_only=True) as store:
        return next(store.episodes(), None)


def _pairs(run: Path) -> list[Pair]:
    if not (run / "rollouts.sqlite").is_file():
        return []
    with RolloutStore(run / "rollouts.sqlite", read_only=True) as store:
        return pick_pairs(store.episodes(phase="eval_before"), store.episodes(phase="eval_after"))


def _about(one: Episode | None, summary: Mapping[str, Any], rows: Rows) -> list[str]:
    parts = [f"level {one.level}"] if one is not None and one.level else []
    forms: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("model_parameters", lambda value: f"{format_value(value)} parameters"),
        ("num_episodes", lambda value: f"{value:,.0f} episodes"),
        ("num_eval_episodes", lambda value: f"{value:,.0f} held-out tasks"),
        ("train_seconds", lambda value: f"{format_duration(value)} of training"),
        ("seed", lambda value: f"seed {value:.0f}"),
    )
    parts += [form(value) for key, form in forms if (value := finite(summary, key)) is not None]
    return parts if summary else [*parts, f"{rows[-1]['step'] if rows else 0:,} steps so far"]


def _cards(summary: Mapping[str, Any], rows: Rows) -> Iterator[str]:
    for kind, how in (("success", "sampled"), ("greedy", "greedy")):
        before, after = finite(summary, f"{kind}_before"), finite(summary, f"{kind}_after")
        if before is not None and after is not None:
            rise = "up" if after > before else "down"
            yield _card(f'{before:.1%} → <em class="{rise}">{after:.1%}</em>', f"held-out success, {how}")
    last = rows[-1] if rows else {}
    forms: tuple[tuple[Mapping[str, Any], str, str, Callable[[float], str]], ...] = (
        (last if not summary else {}, "success", "success, last step", lambda value: f"{value:.1%}"),
        (last if not summary else {}, "reward", "reward, last step", format_value),
        (last, "step", "GRPO steps", lambda value: f"{value:,.0f}"),
        (summary, "num_episodes", "episodes", lambda value: f"{value:,.0f}"),
        (last, "num_tokens", "tokens", format_value),
        (summary, "train_seconds", "training time", format_duration),
    )
    for source, key, words, form in forms:
        value = finite(source, key)
        if value is not None:
            yield _card(escape(form(value)), words)


def _card(figure: str, words: str) -> str:
    return f'<div class="card"><b>{figure}</b><span>{words}</span></div>'


def _sections(rows: Rows, summary: Mapping[str, Any], alerts: Sequence[Alert]) -> Iterator[str]:
    number, names = 0, {name for row in rows for name in row}
    for heading, panels in sections_of(names):
        figures = []
        watched = [WATCHED] if number == 0 and is_watched(names) else []
        for panel in [*panels[:1], *watched, *panels[1:]]:
            lines = _lines(rows, panel)
            if lines:
                number += 1
                figures.append(_figure(panel, lines, f"chart{number}", summary, alerts))
        if figures:
            yield f'<h2>{heading}</h2><div class="charts">{"".join(figures)}</div>'


def _lines(rows: Rows, curve: Panel) -> tuple[Series, ...]:
    lines: list[Series] = []
    for key, name in lines_of(curve, sorted({name for row in rows for name in row})):
        points = [(row, value) for row in rows if (value := finite(row, key, curve.absent)) is not None]
        if not points or len(lines) == NUM_LINES:
            continue
        edges: tuple[tuple[float, ...], ...] = ((), ())
        if any(curve.edges) and not lines:
            found = ([finite(row, edge) for row, _ in points] for edge in curve.edges)
            middles = [value for _, value in points]
            edges = tuple(tuple(m if e is None else e for e, m in zip(edge, middles, strict=True)) for edge in found)
        lines.append(
            Series(
                name=visible(name),
                xs=tuple(float(row["step"]) for row, _ in points),
                ys=tuple(value for _, value in points),
                color=len(lines),
                low=edges[0],
                high=edges[1],
                exact=curve.exact or key.startswith("eval/"),
            )
        )
    return tuple(lines)


def _figure(
    curve: Panel, lines: tuple[Series, ...], name: str, summary: Mapping[str, Any], alerts: Sequence[Alert]
) -> str:
    held_out = curve is LEARNED[0]  # the chart that a reader came for
    wide = held_out or curve is WATCHED
    chart = Chart(
        title=visible(curve.title),
        series=lines,
        unit=curve.unit,
        floor=curve.floor,
        ceiling=curve.ceiling,
        before=_marks(summary, "before", len(lines)) if held_out else (),
        after=_marks(summary, "after", len(lines)) if held_out else (),
        flags=tuple(Flag(step=alert.step, label=flag_of(alert)) for alert in alerts) if curve is WATCHED else (),
        width=1160 if wide else 560,
        height=330 if wide else 230,
    )
    last = format_value(lines[0].ys[-1], curve.unit) if len(lines) == 1 else ""
    caption = f"<figcaption><strong>{escape(curve.title)}</strong><span>{escape(last)}</span></figcaption>"
    about = f"<p>{escape(curve.about)}</p>" if curve.about else ""
    kind = ' class="wide"' if wide else ""
    return f'<figure{kind}>{caption}{about}<div class="plot">{draw(chart, name=name)}</div></figure>'


def _marks(summary: Mapping[str, Any], when: str, num_lines: int) -> tuple[Mark, ...]:
    kinds = (("success", "sampled", 0 if num_lines == 1 else 1), ("greedy", "greedy", 2))  # as the lines of evaluations
    found = ((how, finite(summary, f"{kind}_{when}"), color) for kind, how, color in kinds)
    hollow = when == "before"
    return tuple(Mark(label=how, value=value, color=c, hollow=hollow) for how, value, c in found if value is not None)


def _config(run: Path) -> str:
    try:
        text = (run / "config.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    body = f"<summary>config.toml</summary><pre>{escape(text)}</pre>"
    return f'<h2>Configuration</h2><details class="task config">{body}</details>'
