"""`report.html`: what a run did, in one file that needs no network and no script; and the learning curve for a README.

Nothing from the run is trusted: text goes through `escape`, figures through `float`, and the page forbids scripts and
outside resources to the browser as well.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from agentrl.trainer.curves import FONT, STYLE, Chart, Mark, Series, draw
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.scales import format_value
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.transcripts import Pair, draw_pairs, escape, pick_pairs, visible
from agentrl.trainer.types import Episode

__all__ = ["write_curve_svg", "write_report"]

Rows = Sequence[Mapping[str, Any]]

NUM_LINES = 6  # lines in one chart: the colours of the palette


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One chart of the page."""

    title: str
    keys: tuple[str, ...]  # metrics; `*` stands for any text, which then names the line
    names: tuple[str, ...] = ()  # names of the lines, when `keys` has no star
    about: str = ""  # one line below the title
    unit: str = ""
    floor: float | None = 0.0
    ceiling: float | None = None
    edges: tuple[str, str] = ("", "")  # metrics of the lower and upper edge of a band around the first line
    absent: float | None = None  # the value of a step that lacks the metric
    exact: bool = False  # joined as it is, not smoothed


_LEARNED = (
    _Curve(
        title="Success",
        keys=("success", "eval/success", "eval/greedy"),
        names=("training", "held out", "held out, greedy"),
        about="Share of episodes that solved their task.",
        unit="%",
        ceiling=1.0,
    ),
    _Curve(
        title="Reward",
        keys=("reward", "reward_std"),
        names=("mean", "deviation"),
        about="Mean and standard deviation over the episodes of a step.",
    ),
    _Curve(title="Reward components", keys=("rewards/*/mean",), about="Mean of each, before weighting."),
)
_MOVED = (
    _Curve(
        title="Entropy",
        keys=("entropy",),
        about="Mean over the sampled tokens; near 0 the policy has stopped exploring.",
        unit="nats",
    ),
    _Curve(title="KL to the reference", keys=("kl",), about="k3 estimate, mean over tokens.", unit="nats"),
    _Curve(
        title="Clipped tokens",
        keys=("clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean"),
        names=("all", "low", "high"),
        about="Share of tokens whose ratio left the trust region.",
        unit="%",
    ),
    _Curve(
        title="Groups without spread",
        keys=("frac_reward_zero_std",),
        about="All members earned the same, so the group taught nothing.",
        unit="%",
        ceiling=1.0,
    ),
    _Curve(title="Loss", keys=("loss", "policy_loss"), names=("loss", "policy"), floor=None),
    _Curve(title="Gradient norm", keys=("grad_norm",)),
    _Curve(title="Learning rate", keys=("learning_rate",), exact=True),
    _Curve(
        title="Engine against trainer",
        keys=("sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max"),
        names=("mean", "max"),
        about="Difference of their log-probabilities for the same tokens; a large one means wrong weights.",
    ),
    _Curve(
        title="Staleness",
        keys=("staleness/mean", "staleness/max"),
        names=("mean", "max"),
        about="Weight updates between sampling and training.",
    ),
)
_PLAYS = (
    _Curve(
        title="Length of an episode",
        keys=("completions/mean_length",),
        about="Sampled tokens; the band runs from the shortest to the longest.",
        unit="tokens",
        edges=("completions/min_length", "completions/max_length"),
    ),
    _Curve(
        title="Cut off",
        keys=("completions/clipped_ratio",),
        about="Share of episodes that hit a token limit.",
        unit="%",
    ),
    _Curve(title="Turns an episode", keys=("episodes/turns_mean",)),
    _Curve(title="Tool calls an episode", keys=("tools/call_frequency",)),
    _Curve(
        title="Failed tool calls",
        keys=("tools/failure_frequency",),
        about="Malformed, or refused by the tool.",
        unit="%",
    ),
    _Curve(
        title="Infrastructure failures",
        keys=("failures/*",),
        about="Episodes a step, by kind; they count as no reward at all.",
        absent=0.0,
        exact=True,
    ),
    _Curve(
        title="Left out of training",
        keys=("dropped/*/episodes",),
        about="Episodes a step, by reason.",
        absent=0.0,
        exact=True,
    ),
)
_SECTIONS = (("What it learned", _LEARNED), ("How the policy moved", _MOVED), ("How it plays", _PLAYS))
_SILENT = (
    "step",
    "num_tokens",
    "completions/",
    "dropped/",
    "rewards/",
    "clip_ratio/",
)  # what is left of these is noise
_UNITS = (("_per_s", "/s", " per second"), ("_s", "s", ""), ("_mb", "MB", ""), ("_ratio", "%", ""), ("_frac", "%", ""))


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, whole or not at all, and return its path.

    Parts that are not there yet (summary, episodes, config) are left out, so a running or killed run can be read.

    Raises:
        RunFolderError: When the folder holds no readable `metrics.jsonl`, or cannot be written.
    """
    run = Path(run)
    rows, summary, pairs = read_metrics(run / "metrics.jsonl"), _summary(run), _pairs(run)
    one = next((episode for pair in pairs for episode in pair if episode is not None), None)
    name = escape(run.resolve().name)
    page = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(
        font=FONT,
        chart_style=STYLE,
        heading=name,
        about=escape(" · ".join(([one.env_id] if one else []) + _about(one, summary, rows))),
        cards="".join(_cards(summary, rows)),
        curves="".join(_sections(rows, summary)),
        episodes="".join(draw_pairs(pairs)) or '<p class="muted">No held-out episodes are stored.</p>',
        config=_config(run),
    )
    return _write(run / "report.html", page)


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
        series=_lines(rows, _LEARNED[0])[:1],
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
    return _write(Path(path), draw(chart, name="success") + "\n")


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


def _number(row: Mapping[str, Any], key: str, absent: float | None = None) -> float | None:
    value = row.get(key, absent)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _about(one: Episode | None, summary: Mapping[str, Any], rows: Rows) -> list[str]:
    parts = [f"level {one.level}"] if one is not None and one.level else []
    forms: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("model_parameters", lambda value: f"{format_value(value)} parameters"),
        ("num_episodes", lambda value: f"{value:,.0f} episodes"),
        ("num_eval_episodes", lambda value: f"{value:,.0f} held-out tasks"),
        ("train_seconds", lambda value: f"{_duration(value)} of training"),
        ("seed", lambda value: f"seed {value:.0f}"),
    )
    parts += [form(value) for key, form in forms if (value := _number(summary, key)) is not None]
    return parts if summary else [*parts, f"{rows[-1]['step'] if rows else 0:,} steps so far"]


def _cards(summary: Mapping[str, Any], rows: Rows) -> Iterator[str]:
    for kind, how in (("success", "sampled"), ("greedy", "greedy")):
        before, after = _number(summary, f"{kind}_before"), _number(summary, f"{kind}_after")
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
        (summary, "train_seconds", "training time", _duration),
    )
    for source, key, words, form in forms:
        value = _number(source, key)
        if value is not None:
            yield _card(escape(form(value)), words)


def _card(figure: str, words: str) -> str:
    return f'<div class="card"><b>{figure}</b><span>{words}</span></div>'


def _sections(rows: Rows, summary: Mapping[str, Any]) -> Iterator[str]:
    names = sorted({name for row in rows for name in row})
    listed = {name for _, curves in _SECTIONS for curve in curves for name, _ in _expanded(curve, names)}
    perf = tuple(_plain(name) for name in names if name.startswith("perf/"))
    rest = tuple(_plain(name) for name in names if name not in listed and not name.startswith((*_SILENT, "perf/")))
    number = 0
    for heading, curves in (*_SECTIONS, ("How fast", perf), ("Everything else", rest)):
        figures = []
        for curve in curves:
            lines = _lines(rows, curve)
            if lines:
                number += 1
                figures.append(_figure(curve, lines, f"chart{number}", summary))
        if figures:
            yield f'<h2>{heading}</h2><div class="charts">{"".join(figures)}</div>'


def _plain(name: str) -> _Curve:
    title, unit = name.removeprefix("perf/"), ""
    for ending, found, words in _UNITS:
        if title.endswith(ending):
            title, unit = title.removesuffix(ending) + words, found
            break
    title = title.replace("_", " ")
    floor = 0.0 if name.startswith("perf/") else None
    return _Curve(title=title[:1].upper() + title[1:], keys=(name,), names=(title,), unit=unit, floor=floor)


def _expanded(curve: _Curve, names: Iterable[str]) -> list[tuple[str, str]]:
    """The metrics of a curve that the run has, each with the name of its line."""
    found = []
    for place, key in enumerate(curve.keys):
        head, star, tail = key.partition("*")
        if star and key not in names:
            fits = [name for name in names if name.startswith(head) and name.endswith(tail)]
            found += [(name, name[len(head) : len(name) - len(tail)]) for name in fits]
        else:
            found += [(key, curve.names[place] if curve.names else curve.title.lower())] if key in names else []
    return found


def _lines(rows: Rows, curve: _Curve) -> tuple[Series, ...]:
    lines: list[Series] = []
    for key, name in _expanded(curve, sorted({name for row in rows for name in row})):
        points = [(row, value) for row in rows if (value := _number(row, key, curve.absent)) is not None]
        if not points or len(lines) == NUM_LINES:
            continue
        edges: tuple[tuple[float, ...], ...] = ((), ())
        if any(curve.edges) and not lines:
            found = ([_number(row, edge) for row, _ in points] for edge in curve.edges)
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


def _figure(curve: _Curve, lines: tuple[Series, ...], name: str, summary: Mapping[str, Any]) -> str:
    wide = curve is _LEARNED[0]  # the chart that a reader came for
    chart = Chart(
        title=visible(curve.title),
        series=lines,
        unit=curve.unit,
        floor=curve.floor,
        ceiling=curve.ceiling,
        before=_marks(summary, "before", len(lines)) if wide else (),
        after=_marks(summary, "after", len(lines)) if wide else (),
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
    found = ((how, _number(summary, f"{kind}_{when}"), color) for kind, how, color in kinds)
    hollow = when == "before"
    return tuple(Mark(label=how, value=value, color=c, hollow=hollow) for how, value, c in found if value is not None)


def _config(run: Path) -> str:
    try:
        text = (run / "config.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    body = f"<summary>config.toml</summary><pre>{escape(text)}</pre>"
    return f'<h2>Configuration</h2><details class="task config">{body}</details>'


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"


def _write(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        advice = "free some space, or choose another folder"
        raise RunFolderError(f"{path} could not be written: {error.strerror}; {advice}") from error
    return path
