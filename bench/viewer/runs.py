"""Find training runs and benches below folders, and say of each what a list shows: one face for both kinds."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import os
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.store import FILE
from agentrl.bench.viewer.database import reading, short, stamp
from agentrl.bench.viewer.files import is_within, problem, read_some, real_folders

__all__ = ["Kind", "Library", "Overview", "Run", "Score", "find_runs", "number", "overview", "read_small", "read_toml"]

Kind = Literal["training", "bench"]
State = Literal["running", "finished", "stopped"]

_DEPTH = 3  # folders below one that was given
_MOST = 2000  # folders looked into
_FRESH_S = 60.0  # a run that wrote so lately is at work
_MOST_BYTES = 1 << 20  # of a settings file
_MOST_NAME = 1000  # characters of an environment or an agent
_MOST_NAMES = 100
_IDENTITY = f"SELECT {short('name', 200)} AS name, {short('value', 100_000)} AS value FROM identity LIMIT 1000"
_MOST_SAID = 1000  # characters
_MOST_COUNT = 10**15  # of steps or episodes, above which a file lies


@dataclass(frozen=True, kw_only=True)
class Run:
    """A folder that holds a training run or a bench."""

    key: str  # in addresses: letters and digits, of the path alone
    kind: Kind
    path: Path
    name: str  # below the folder that was given
    tops: tuple[Path, ...] = ()  # all folders that were given, as they really are: nothing else is read

    @property
    def store(self) -> Path:
        """Where its episodes are."""
        return self.path / (FILE if self.kind == "bench" else "rollouts.sqlite")

    @property
    def files(self) -> tuple[Path, ...]:
        """What changes while it goes on."""
        more = ("metrics.jsonl", "summary.json", "config.toml") if self.kind == "training" else ()
        return (self.store, *(self.path / name for name in more))


@dataclass(frozen=True, kw_only=True)
class Score:
    """A share, or one before and after."""

    value: float | None = None
    before: float | None = None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What a list says of a run; what could not be read is None, and `trouble` says why."""

    run: Run
    state: State
    about: str  # environments, or the agent
    envs: tuple[str, ...] = ()
    success: Score = Score()
    greedy: Score = Score()  # of a training run, at temperature 0
    reward: float | None = None
    done: int = 0  # steps, or episodes
    total: int | None = None
    failures: int = 0
    seconds: float | None = None  # of training
    changed: float = 0.0  # seconds since the epoch
    trouble: str = ""


class Library:
    """The runs below some folders, looked for again when asked after a while; safe to share between threads.

    Args:
        folders: As given by the user.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}  # a run keeps its place in the list, whoever writes last
        self._runs: dict[str, Run] = {}
        self._looked = -math.inf

    def runs(self, *, within_s: float = 1.0) -> list[Run]:
        """Return the runs, those that came last first."""
        with self._lock:
            if time.monotonic() - self._looked > within_s:
                found = find_runs(self.folders)
                for run in reversed(found):
                    self._places.setdefault(run.key, len(self._places))
                self._runs = {run.key: run for run in sorted(found, key=lambda run: -self._places[run.key])}
                self._looked = time.monotonic()
            return list(self._runs.values())

    def run(self, key: str) -> Run:
        """Return the run of an address.

        Raises:
            UsageError: There is none, or it went away.
        """
        for found in (self._runs, {run.key: run for run in self.runs(within_s=0.0)} if key not in self._runs else {}):
            if key in found:
                return found[key]
        raise UsageError("there is no such run here; its folder was moved or deleted, or the address is wrong")


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Return the runs in folders and below them, each once, the newest first."""
    found: dict[str, Run] = {}
    folders = tuple(folders)
    tops = real_folders(folders)
    for folder in folders:
        top = folder.absolute()
        for path, kind in _walk(top, tops):
            name = str(path.relative_to(top)) if path != top else path.name
            key = hashlib.sha256(f"{kind} {path}".encode("utf-8", "surrogateescape")).hexdigest()[:10]
            found.setdefault(key, Run(key=key, kind=kind, path=path, name=name, tops=tops))
    return sorted(found.values(), key=lambda run: (-_changed(run), run.name))


def overview(run: Run) -> Overview:
    """Look at a run; whatever is wrong with its files, this returns."""
    try:
        return _bench(run) if run.kind == "bench" else _training(run)
    except Exception as error:  # whatever its files hold, the other runs are shown
        return Overview(run=run, state="stopped", about="", changed=_changed(run), trouble=_said(error))


def number(value: Any) -> float | None:
    """Return a value as a finite number, None for all else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def read_small(run: Run, name: str) -> str:
    """Return the text of a file of settings in a run's folder, empty where it is not read; a large one is cut."""
    try:
        return read_some(run.path / name, run.tops, _MOST_BYTES)[0].decode("utf-8", "replace")
    except BenchError:
        return ""


def read_toml(run: Run, name: str) -> dict[str, Any]:
    """Return a TOML file in a run's folder, empty where it cannot be read."""
    try:
        return tomllib.loads(read_small(run, name))
    except (ValueError, RecursionError):
        return {}


def _walk(top: Path, tops: tuple[Path, ...]) -> Iterator[tuple[Path, Kind]]:
    waiting = [(top, 0)]
    for looked in range(_MOST):
        if looked >= len(waiting):
            return
        folder, depth = waiting[looked]
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # gone, or not to be read
            continue
        names = {entry.name for entry in entries}
        kinds: list[Kind] = []
        if FILE in names:
            kinds.append("bench")
        if names & {"metrics.jsonl", "rollouts.sqlite"}:
            kinds.append("training")
        yield from ((folder, kind) for kind in kinds)
        if not kinds and depth < _DEPTH:
            below = [entry for entry in entries if not entry.name.startswith(".") and _is_folder(entry, tops)]
            waiting += [(Path(entry.path), depth + 1) for entry in below]


def _is_folder(entry: os.DirEntry[str], tops: tuple[Path, ...]) -> bool:
    try:
        return entry.is_dir() and (not entry.is_symlink() or is_within(Path(entry.path), tops))
    except OSError:
        return False


def _changed(run: Run) -> float:
    return max((_mtime(each) for path in run.files for each in (path, path.with_name(f"{path.name}-wal"))), default=0.0)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _said(error: Exception) -> str:
    is_ours = isinstance(error, BenchError) or any(kind.__name__ == "TrainerError" for kind in type(error).__mro__)
    return (str(error) if is_ours else f"this could not be read: {type(error).__name__}: {error}")[:_MOST_SAID]


def _bench(run: Run) -> Overview:
    identity, counts = _counted(run, stamp(run.store))
    envs = identity.get("envs")
    envs = _names(envs) if isinstance(envs, list) else ()
    total, done, changed = _expected(identity), int(counts["done"]), _changed(run)
    finished = total is not None and done >= total
    return Overview(
        run=run,
        state="finished" if finished else "running" if time.time() - changed < _FRESH_S else "stopped",
        about=str(identity.get("agent", ""))[:_MOST_NAME],
        envs=envs,
        success=Score(value=counts["solved"] / counts["told"] if counts["told"] else None),
        reward=number(counts["reward"]),
        done=done,
        total=total,
        failures=int(counts["failed"]),
        changed=changed,
    )


@functools.lru_cache(maxsize=256)
def _counted(run: Run, _state: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and counts of a bench, once for each state of its file."""
    with reading(run.store, tops=run.tops) as db:
        rows = db.execute(_IDENTITY).fetchall()
        identity = {str(row["name"]): json.loads(row["value"]) for row in rows}
        counts = db.execute(
            "SELECT count(*) AS done, total(failure IS NOT NULL) AS failed,"
            " count(CASE WHEN failure IS NULL AND success THEN 1 END) AS solved,"
            " total(success IS NOT NULL AND failure IS NULL) AS told,"
            " avg(CASE WHEN failure IS NULL THEN reward END) AS reward FROM episodes"
        ).fetchone()
    return identity, dict(counts)


def _expected(identity: Mapping[str, Any]) -> int | None:
    try:
        levels, envs = identity["levels"], identity["envs"]
        found = len(envs) * max(1, len(levels)) * int(identity["num_tasks"]) * int(identity["num_samples"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return found if 0 <= found < _MOST_COUNT else None


def _training(run: Run) -> Overview:
    last, trouble = _last_row(run, stamp(run.path / "metrics.jsonl"))
    config, summary = read_toml(run, "config.toml"), _json(run, "summary.json")
    changed = _changed(run)
    state: State = "finished" if summary else "running" if time.time() - changed < _FRESH_S else "stopped"
    if _locked(run.path / ".lock"):
        state = "running"  # also one that was finished and goes on
    envs = _envs(config)
    before, after = _share(summary.get("success_before")), _share(summary.get("success_after"))
    # Until it is done, only the success of training itself is known, which is not to be held against a held-out one.
    success = Score(value=_share(last.get("success"))) if after is None else Score(value=after, before=before)
    steps = number(config.get("num_steps"))
    return Overview(
        run=run,
        state=state,
        about=", ".join(envs),
        envs=envs,
        success=success,
        greedy=Score(value=_share(summary.get("greedy_after")), before=_share(summary.get("greedy_before"))),
        reward=number(last.get("reward")),
        seconds=number(summary.get("train_seconds")),
        done=int(min(number(last.get("step")) or 0, _MOST_COUNT)),
        total=int(steps) if steps is not None and 0 <= steps < _MOST_COUNT else None,
        failures=0,
        changed=changed,
        trouble="\n".join(filter(None, [trouble, *(problem(each, run.tops) for each in run.files)])),
    )


@functools.lru_cache(maxsize=256)
def _last_row(run: Run, _state: object) -> tuple[Mapping[str, Any], str]:
    """Return the figures of the last step, and what is wrong with the file, once for each state of it."""
    from agentrl.bench.viewer.steps import read_steps

    if problem(run.path / "metrics.jsonl", run.tops):
        return {}, ""  # said of all files together
    try:
        rows, left_out = read_steps(run)
    except Exception as error:  # whatever the file holds
        return {}, _said(error)
    return (rows[-1] if rows else {}), left_out


def _share(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None


def _names(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(each)[:_MOST_NAME] for each in itertools.islice(found, _MOST_NAMES))


def _envs(config: Mapping[str, Any]) -> tuple[str, ...]:
    found = config.get("env")
    if isinstance(found, str):
        return _names([found])
    return _names(found) if isinstance(found, dict) else ()  # weights by id


def _json(run: Run, name: str) -> dict[str, Any]:
    try:
        found = json.loads(read_small(run, name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _locked(path: Path) -> bool:
    """Whether a process holds a run's lock, told without touching it."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(f":{inode} " in line and "FLOCK" in line for line in lines)
