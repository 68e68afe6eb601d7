"""A leaderboard: runs on the same tasks below one another, in one HTML file that needs no network and no script.

Runs share a table when nothing but the agent differs. A run's place is one more than the number of runs that are surely
better (paired by task, all pairs of the table corrected by Holm, 5 %), so that runs which cannot be told apart share
it. Runs that are not finished have none. Each row has the command that makes it again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.bench.compare import Metric, NotComparableError, compare, expected
from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.export import keep_runs, whole_file
from agentrl.bench.reproduce import command_of
from agentrl.bench.stats import Estimate, holm
from agentrl.bench.store import BenchStore
from agentrl.bench.summary import Summary, summarize
from agentrl.bench.viewer.runs import find_runs

__all__ = ["Board", "Entry", "boards", "draw", "write_board"]

_SURE = 0.05
_MARK = '<meta name="generator" content="agentrl leaderboard">'  # a page of ours may be written anew
_HEAD = 4096  # bytes, among which it stands
_KEPT_APART = ("agent", "agent_settings", "rescored")  # all else must be the same in a table


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in a table."""

    folder: str
    agent: str
    rubric: str  # of a run that was scored again; else empty
    command: str
    place: int | None  # 1: nothing is surely better; None: the run is not finished, or cannot be compared
    summaries: tuple[Summary, ...]  # by environment where there are several; the last is of all
    note: str  # why it has no place; else empty


@dataclass(frozen=True, kw_only=True)
class Board:
    """Runs on the same tasks, the best first."""

    envs: tuple[str, ...]
    settings: dict[str, Any]  # what all of them share
    metric: Metric
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    folder: Path
    identity: dict[str, Any]
    summaries: tuple[Summary, ...]


def boards(folders: Sequence[Path]) -> tuple[list[Board], list[str]]:
    """Return the tables of all benches in folders and below them, and what to say of benches that cannot be read.

    Raises:
        UsageError: There is no bench.
    """
    found = [run.path for run in find_runs(folders) if run.kind == "bench"]
    loaded: dict[str, list[_Loaded]] = {}
    troubles: list[str] = []
    for path in sorted(found):
        try:
            one = _load(path)
        except BenchError as error:
            troubles.append(f"{path}: {error}")
            continue
        shared = {name: value for name, value in one.identity.items() if name not in _KEPT_APART}
        loaded.setdefault(json.dumps(shared, sort_keys=True), []).append(one)
    if not loaded:
        said = f" ({'; '.join(troubles)})" if troubles else ""
        raise UsageError(
            f"no bench in {', '.join(map(str, folders))}{said}; make some: agentrl bench --env AgentRL/Math-v0 "
            "--agent oracle --out runs/oracle"
        )
    tables = [_board(runs) for runs in loaded.values()]
    return sorted(tables, key=lambda board: (-len(board.entries), board.envs)), troubles


def _load(path: Path) -> _Loaded:
    with BenchStore(path) as store:
        summaries = summarize(store.episodes(with_messages=False))
        return _Loaded(folder=path, identity=store.identity, summaries=tuple(summaries))


def _board(runs: Sequence[_Loaded]) -> Board:
    metric: Metric = "success" if all(run.summaries[-1].success for run in runs) else "reward"
    ordered = sorted(runs, key=lambda run: (-_score(run, metric), str(run.folder)))
    notes = {run.folder: _unfit(run) for run in ordered}
    fit = [run for run in ordered if not notes[run.folder]]
    better = _surely_better(fit, metric, notes)
    fit = [run for run in fit if not notes[run.folder]]
    places = {run.folder: 1 + sum((other.folder, run.folder) in better for other in fit) for run in fit}
    ranked = [*sorted(fit, key=lambda run: places[run.folder]), *(run for run in ordered if notes[run.folder])]
    first = ranked[0].identity
    return Board(
        envs=tuple(first.get("envs") or ()),
        settings={name: value for name, value in first.items() if name not in (*_KEPT_APART, "envs")},
        metric=metric,
        entries=tuple(_entry(run, places.get(run.folder), notes[run.folder]) for run in ranked),
    )


def _score(run: _Loaded, metric: Metric) -> float:
    estimate: Estimate | None = getattr(run.summaries[-1], metric)
    return estimate.value if estimate is not None else -math.inf


def _unfit(run: _Loaded) -> str:
    """Return why a run has no place; empty where it has."""
    whole = run.summaries[-1]
    told, played = expected(run.identity), whole.num_episodes + whole.num_failures
    if played < told:
        return f"{played} of {told} episodes are played"
    return f"all {played} episodes failed" if not whole.num_episodes else ""


def _surely_better(runs: Sequence[_Loaded], metric: Metric, notes: dict[Path, str]) -> set[tuple[Path, Path]]:
    """Return pairs of folders of which the first is better, all pairs corrected together.

    A run that cannot be compared with the first gets a note.
    """
    pairs: list[tuple[Path, Path]] = []
    values: list[float] = []
    for at, second in enumerate(runs):
        for first in runs[:at]:
            if notes[first.folder] or notes[second.folder]:
                continue
            try:
                row = compare([first.folder, second.folder], metric=metric)[0].rows[-1]
            except (NotComparableError, UsageError) as error:
                notes[second.folder] = str(error)
                continue
            pairs.append((first.folder, second.folder))
            values.append(row.difference.p)
    return {pair for pair, p in zip(pairs, holm(values), strict=True) if p < _SURE}


def _entry(run: _Loaded, place: int | None, note: str) -> Entry:
    return Entry(
        folder=str(run.folder),
        agent=str(run.identity.get("agent", "?")),
        rubric=str((run.identity.get("rescored") or {}).get("rubric", "")),
        command=command_of(run.identity),
        place=place,
        summaries=run.summaries,
        note=note,
    )


_STYLE = """
.board{overflow-x:auto;background:var(--paper);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:10px 14px;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-size:13px;font-weight:600}
tbody tr:last-child td{border-bottom:0}
td.who{text-align:left;white-space:normal;min-width:230px}th.who{text-align:left}
td.who b{overflow-wrap:anywhere}
td .range{display:block;color:var(--muted);font-size:12.5px}
td.place{font-size:20px;font-weight:700}
details{margin-top:4px}details summary{color:var(--muted);font-size:12.5px}
details pre{margin:6px 0 0;padding:8px 10px;background:var(--code);border-radius:6px;white-space:pre-wrap;
overflow-wrap:anywhere;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.lead{margin-top:8px;max-width:75ch}
h2+p{margin:-8px 0 12px}
@media (max-width:640px){main{padding:24px 14px 48px}th,td{padding:9px 10px}td.who{min-width:170px}}
"""

_ABOUT = """Runs in a table played the same tasks under the same settings. A place is one more than the number of runs
that are surely better (paired by task, all pairs corrected together, 5 %), so that runs which cannot be told apart
share it. Intervals are 95 %. Episodes that the infrastructure spoilt count for nothing; the last column counts them."""


def draw(tables: Sequence[Board], *, title: str = "Leaderboard") -> str:
    """Return the page; what runs say of themselves is escaped."""
    from agentrl.trainer.page import page

    text = page(title, "<main>" + "".join(_body(tables, title)) + "</main>", style=_STYLE)
    return text.replace("<title>", f"{_MARK}\n<title>", 1)


def write_board(path: Path, text: str, *, force: bool = False) -> None:
    """Write a page whole or not at all, over an older leaderboard or where nothing is.

    Args:
        path: The file; its folder is made when absent.
        text: As `draw` returned it.
        force: Replace what is no leaderboard; never a file of a run.

    Raises:
        UsageError: Something else is there.
        StoreError: The file cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it: {path / 'leaderboard.html'}")
    keep_runs(path)
    if path.exists() and not force and not _is_ours(path):
        raise UsageError(
            f"{path} is there and no leaderboard; type --force to replace it, or name another file with --out"
        )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return head.lower().startswith(b"<!doctype html>") and _MARK.encode() in head


def _body(tables: Sequence[Board], title: str) -> Iterator[str]:
    yield f"<h1>{_escape(title)}</h1>"
    yield f'<p class="muted lead">{_ABOUT}</p>'
    for board in tables:
        yield f"<h2>{_escape(_named(board.envs))}</h2>"
        yield f'<p class="muted">{_escape(_settings(board.settings))}</p>'
        yield '<div class="board" tabindex="0">' + "".join(_table(board)) + "</div>"


def _table(board: Board) -> Iterator[str]:
    has_envs = len(board.envs) > 1
    columns = [("", "place"), ("agent", "who"), (f"{board.metric}, %" if board.metric == "success" else "reward", "")]
    columns += [(env_id.rpartition("/")[2], "") for env_id in board.envs] if has_envs else []
    columns += [("reward", "")] if board.metric == "success" else []
    columns += [("turns", ""), ("p50 s", ""), ("episodes", ""), ("failed", "")]
    heads = "".join(f'<th scope="col" class="{kind}">{_escape(name)}</th>' for name, kind in columns)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for entry in board.entries:
        whole = entry.summaries[-1]
        cells = [
            f'<td class="place">{entry.place or "–"}</td>',
            _who(entry),
            _estimate(getattr(whole, board.metric), board),
        ]
        if has_envs:
            by_env = {each.env_id: each for each in entry.summaries}  # that of all levels is the last of an environment
            cells += [_estimate(getattr(by_env.get(env_id), board.metric, None), board) for env_id in board.envs]
        if board.metric == "success":
            cells.append(_cell(None if whole.reward is None else f"{whole.reward.value:.3f}"))
        cells.append(_cell(None if whole.num_turns is None else f"{whole.num_turns:.1f}"))
        cells.append(_cell(None if whole.latency_p50_s is None else f"{whole.latency_p50_s:.3f}"))
        cells += [_cell(f"{whole.num_episodes:,}"), _cell(f"{whole.num_failures:,}")]
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"


def _who(entry: Entry) -> str:
    rubric = f' <span class="badge plain">scored by {_escape(entry.rubric)}</span>' if entry.rubric else ""
    note = f'<div class="muted">{_escape(entry.note)}</div>' if entry.note else ""
    command = f"<details><summary>command</summary><pre>{_escape(entry.command)}</pre></details>"
    return f'<td class="who"><b>{_escape(entry.agent)}</b>{rubric}{note}{command}</td>'


def _estimate(estimate: Estimate | None, board: Board) -> str:
    if estimate is None:
        return _cell(None)
    scale, digits = (100, 1) if board.metric == "success" else (1, 3)
    value, low, high = (f"{scale * each:.{digits}f}" for each in (estimate.value, estimate.low, estimate.high))
    return f'<td>{value}<span class="range">{low} to {high}</span></td>'


def _cell(text: str | None) -> str:
    return f"<td>{'–' if text is None else text}</td>"


def _named(envs: Sequence[str]) -> str:
    return ", ".join(env_id.removeprefix("AgentRL/") for env_id in envs) or "?"


def _settings(settings: dict[str, Any]) -> str:
    told = [f"{settings.get('num_tasks')} tasks of each environment and level", f"{settings.get('split')} split"]
    if levels := settings.get("levels"):
        told.append(f"levels {', '.join(map(str, levels))}")
    if (samples := settings.get("num_samples", 1)) != 1:
        told.append(f"{samples} episodes a task")
    if kwargs := settings.get("env_kwargs"):
        told.append(json.dumps(kwargs))
    versions = settings.get("versions")
    told += [f"{name} {value}" for name, value in versions.items()] if isinstance(versions, dict) else []
    return " · ".join(told)


def _escape(text: object) -> str:
    from agentrl.trainer.transcripts import escape

    return escape(text)
