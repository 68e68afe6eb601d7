"""What a bench scored, counted by `bench.summary` from the columns that it needs; and the settings of the bench."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.bench.summary import Summary, summarize
from agentrl.bench.types import Episode, Job
from agentrl.bench.viewer.database import reading, short, stamp
from agentrl.bench.viewer.runs import Run, number
from agentrl.bench.viewer.talk import json_object
from agentrl.envs.protocol import Failure

__all__ = ["Results", "read_identity", "read_results"]

_MOST_K = 64
_MOST_CHARS = 20_000  # of a setting


_SETTINGS = f"SELECT {short('name', 200)} AS name, {short('value', _MOST_CHARS)} AS value FROM identity LIMIT 1000"
_COLUMNS = {
    **dict.fromkeys(("env_id", "level", "seed", "reward", "success", "num_turns"), 1000),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), 1000),
    **dict.fromkeys(("failure", "latencies"), 1_000_000),  # JSON, which is none when it is cut
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """Figures of a bench."""

    summaries: tuple[Summary, ...]  # none where no episode was written
    ks: tuple[int, ...]


def read_identity(run: Run) -> dict[str, Any]:
    """Return the settings of a bench by name.

    Raises:
        StoreError: The file cannot be read.
    """
    with reading(run.store, tops=run.tops, table="identity") as db:
        rows = db.execute(_SETTINGS).fetchall()
    found: dict[str, Any] = {}
    for row in rows:
        try:
            found[str(row["name"])] = json.loads(row["value"])
        except (ValueError, TypeError, RecursionError):
            found[str(row["name"])] = str(row["value"])
    return found


def read_results(run: Run) -> Results:
    """Count a bench, once for each state of its file: 100,000 episodes with many levels take a quarter of a minute.

    Raises:
        StoreError: The file cannot be read.
    """
    return _count_all(run, stamp(run.store))


@functools.lru_cache(maxsize=32)
def _count_all(run: Run, _state: object) -> Results:
    samples = number(read_identity(run).get("num_samples")) or 1
    ks = tuple(dict.fromkeys((1, int(min(samples, _MOST_K))))) if samples > 1 else ()
    episodes = list(_episodes(run))
    return Results(summaries=tuple(summarize(episodes, ks=ks)) if episodes else (), ks=ks)


def _episodes(run: Run) -> Iterator[Episode]:
    query = f"SELECT {', '.join(f'{short(name, most)} AS {name}' for name, most in _COLUMNS.items())} FROM episodes"
    with reading(run.store, tops=run.tops) as db:
        for row in db.execute(query):
            told = None if row["failure"] is None else json_object(row["failure"])
            failure = None if told is None else _failure(told)
            yield Episode(
                job=Job(env_id=str(row["env_id"]), level=_whole(row["level"]), seed=_whole(row["seed"]), sample=0),
                task_id="",
                prompt="",
                reward=number(row["reward"]) or 0.0,
                success=None if row["success"] is None else bool(row["success"]),
                num_turns=_whole(row["num_turns"]),
                failure=failure,
                latencies=_numbers(row["latencies"]),
                prompt_tokens=_count(row["prompt_tokens"]),
                completion_tokens=_count(row["completion_tokens"]),
            )


def _failure(told: Mapping[str, Any]) -> Failure:
    kind, boundary, message = (str(told.get(name, "?")) for name in ("kind", "boundary", "message"))
    return Failure(kind=kind, boundary=boundary, message=message)


def _whole(value: Any) -> int:
    return int(number(value) or 0)


def _count(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _numbers(text: Any) -> tuple[float, ...]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(value for each in found if (value := number(each)) is not None) if isinstance(found, list) else ()
