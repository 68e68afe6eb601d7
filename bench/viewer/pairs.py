"""The held-out tasks of a training run before and after it, side by side, paged by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agentrl.bench.viewer.database import reading, short
from agentrl.bench.viewer.queries import PAGE, Page
from agentrl.bench.viewer.runs import Run

__all__ = ["CHANGES", "Change", "Pairs", "partner", "read_pairs"]

Change = Literal["gained", "lost", "kept", "missed", "other"]
CHANGES: tuple[Change, ...] = get_args(Change)

_SAME = " AND ".join(f"after.{name} IS before.{name}" for name in ("env_id", "seed", "member", "level", "split"))
_FROM = (
    "FROM (SELECT * FROM episodes WHERE phase = 'eval_before') AS before"
    f" LEFT JOIN (SELECT * FROM episodes WHERE phase = 'eval_after') AS after ON {_SAME}"
)
_CHANGE = (
    "CASE WHEN before.failure IS NOT NULL OR after.failure IS NOT NULL OR before.success IS NULL"
    " OR after.success IS NULL THEN 'other' WHEN before.success THEN"
    " CASE WHEN after.success THEN 'kept' ELSE 'lost' END WHEN after.success THEN 'gained' ELSE 'missed' END"
)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Some tasks, with how many there are of each change."""

    page: Page
    counts: Mapping[str, int]


def read_pairs(run: Run, *, change: str = "", start: int = 0) -> Pairs:
    """Return a page of tasks.

    Args:
        run: A training run.
        change: One of `CHANGES`, or empty for all.
        start: The first task of the page.

    Raises:
        StoreError: The file cannot be read.
    """
    columns = ", ".join(
        f"{short(f'before.{name}')} AS {name}" for name in ("env_id", "level", "seed", "task_id", "member")
    )
    keys = ", ".join(f"{short(f'before.{name}')} AS {name}" for name in ("phase", "step", "group_id"))
    sides = ", ".join(
        f"{short(f'{side}.{name}')} AS {side}_{name}"
        for side in ("before", "after")
        for name in ("success", "reward", "failure", "num_turns")
    )
    wanted = change if change in CHANGES else ""
    where, values = (f"WHERE {_CHANGE} = ?", (wanted,)) if wanted else ("", ())
    with reading(run.store, tops=run.tops) as db:
        counts = {str(name): int(count) for name, count in db.execute(f"SELECT {_CHANGE}, count(*) {_FROM} GROUP BY 1")}
        total = counts.get(wanted, 0) if wanted else sum(counts.values())
        begin = min(max(0, start), max(0, total - 1))
        query = (
            f"SELECT {columns}, {keys}, {sides}, after.phase IS NOT NULL AS is_played, {_CHANGE} AS change"
            f" {_FROM} {where} ORDER BY before.step, before.group_id, before.member LIMIT {PAGE} OFFSET {begin}"
        )
        rows = tuple(map(dict, db.execute(query, values)))
    told: dict[str, int] = {each: counts[each] for each in CHANGES if each in counts}
    return Pairs(page=Page(rows=rows, total=total, start=begin), counts=told)


def partner(run: Run, row: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the key of the episode after training of the task that `row`, an episode before it, played; or None.

    Raises:
        StoreError: The file cannot be read.
    """
    same = ("env_id", "seed", "member", "level", "split")
    query = (
        "SELECT phase, step, group_id, member FROM episodes WHERE phase = 'eval_after' AND "
        f"{' AND '.join(f'{name} IS ?' for name in same)} LIMIT 1"
    )
    with reading(run.store, tops=run.tops) as db:
        found = db.execute(query, [row.get(name) for name in same]).fetchone()
    return None if found is None else {name: str(found[name]) for name in ("phase", "step", "group_id", "member")}
