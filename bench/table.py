"""A run's figures as a table for a terminal; a narrow one drops the columns that can be missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from agentrl.bench.stats import Estimate
from agentrl.bench.summary import Summary
from agentrl.bench.types import Episode, Pace

__all__ = ["notes_of", "pace_of", "passes_of", "reasons_of", "table_of"]

_MOST_REASONS = 3
_MOST_CHARS = 200  # of a reason
_ROOMY = 110  # columns of a terminal that shows everything
_NARROW = 78  # of one that shows no reward
_TINY = 56  # of one that shows success alone


def table_of(summaries: Sequence[Summary], *, width: int = 200) -> Table:
    """Return the table of a run.

    Args:
        summaries: As `summarize` returned them.
        width: Of the terminal; a narrow one shows neither turns nor latencies, then no reward, at last success alone.
    """
    roomy, has_reward, has_counts = width >= _ROOMY, width >= _NARROW, width >= _TINY
    names = ["tasks"] * has_counts + ["success %"] + ["reward"] * has_reward
    names += ["turns", "p50 s", "p99 s"] if roomy else []
    table = _table("level", *names, *(["failed"] * has_counts), space=2 if has_counts else 1)
    for each in summaries:
        cells = [str(each.reward.num_tasks if each.reward else 0)] * has_counts
        cells += [_interval(each.success, 100, 1), *([_interval(each.reward, 1, 3)] * has_reward)]
        if roomy:
            cells += [_plain(each.num_turns, 1), _plain(each.latency_p50_s, 3), _plain(each.latency_p99_s, 3)]
        _add(table, each, *cells, *([str(each.num_failures)] * has_counts))
    return table


def passes_of(summaries: Sequence[Summary]) -> Table | None:
    """Return the table of pass@k and pass^k in percent; None where no k was asked for."""
    ks = list(dict.fromkeys(k for each in summaries for k in each.pass_at))
    if not ks:
        return None
    table = _table("level", *(f"pass@{k}" for k in ks), *(f"pass^{k}" for k in ks))
    for each in summaries:
        shares = [passes.get(k) for passes in (each.pass_at, each.pass_hat) for k in ks]
        _add(table, each, *(_plain(None if share is None else 100 * share, 1) for share in shares))
    return table


def notes_of(summaries: Sequence[Summary]) -> list[str]:
    """Return what has to be said beside the table: failures with the bounds of the score, and traps touched."""
    notes = []
    for each in summaries:
        if each.level is not None and any(_covers(other, each) for other in summaries):
            continue
        if each.num_tampered:
            many = "1 episode" if each.num_tampered == 1 else f"{each.num_tampered} episodes"
            notes.append(f"{_seen(each.env_id) or 'all'}: {many} touched a trap (tamper), and earned 0")
        if not each.num_failures:
            continue
        kinds = ", ".join(f"{count} {_seen(kind)}" for kind, count in sorted(each.failures.items()))
        bounds = ""
        if each.bounds:
            low, high = each.bounds
            bounds = f"; success is {100 * low:.1f} % if they count as failures, {100 * high:.1f} % if as successes"
        failed = (
            f"{each.num_failures} episodes failed and count" if each.num_failures > 1 else "1 episode failed and counts"
        )
        notes.append(f"{_seen(each.env_id) or 'all'}: {failed} for nothing ({kinds}){bounds}")
    return notes


def reasons_of(episodes: Iterable[Episode]) -> list[str]:
    """Return why episodes failed: the three commonest messages, each with how often it was given.

    >>> from agentrl.bench.types import Job
    >>> job = Job(env_id="A-v0", level=1, seed=0, sample=0)
    >>> failure = {"kind": "error", "boundary": "agent", "message": "OSError: the disk is gone"}
    >>> reasons_of([Episode(job=job, task_id="0", prompt="", failure=failure)] * 2)
    ['2 × agent: OSError: the disk is gone']
    """
    counts = Counter(
        f"{each.failure['boundary']}: {each.failure['message']}" for each in episodes if each.failure is not None
    )
    told = []
    for message, count in counts.most_common(_MOST_REASONS):
        line = _seen(" ".join(message.split()))
        told.append(f"{count} × {line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + '…'}")
    if len(counts) > _MOST_REASONS:
        told.append(f"and {len(counts) - _MOST_REASONS} other reasons")
    return told


def pace_of(paces: Sequence[Pace]) -> str:
    """Return how many episodes were played at once, as a line; empty where it was not noted, or the user said.

    >>> pace_of([Pace(at=0.0, num_at_once=2, why="begin"), Pace(at=2.0, num_at_once=4, why="trial")])
    'episodes at once: 2 to 4, 4 at the end'
    """
    last = max((index for index, each in enumerate(paces) if each.why in ("begin", "given")), default=0)
    own = paces[last:]  # since the run was begun or resumed
    if not own or own[0].why == "given":
        return ""
    numbers = [each.num_at_once for each in own]
    if len(own) == 1:
        return f"episodes at once: {numbers[0]}, too few were played to find a better number"
    held = {"memory": "memory allows no more", "refused": "the server refused more"}
    why = "".join(f"; {said}" for name, said in held.items() if name in [each.why for each in own])
    return f"episodes at once: {min(numbers)} to {max(numbers)}, {numbers[-1]} at the end{why}"


def _seen(text: str) -> str:
    """Return text that neither styles nor moves the terminal."""
    from agentrl.trainer.transcripts import visible

    return visible(text)


def _covers(wide: Summary, narrow: Summary) -> bool:
    return wide is not narrow and wide.env_id == narrow.env_id and wide.level is None


def _table(*columns: str, space: int = 2) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, space, 0, 0))
    table.add_column("environment", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add(table: Table, summary: Summary, *cells: str) -> None:
    name = summary.env_id.rpartition(":")[2].removeprefix("AgentRL/") or "all"
    level = "all" if summary.level is None else str(summary.level or "-")
    table.add_row(Text(_seen(name)), level, *cells, style="" if summary.env_id else "bold")


def _interval(estimate: Estimate | None, scale: int, digits: int) -> str:
    if estimate is None:
        return "-"
    value, low, high = (f"{scale * each:.{digits}f}" for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _plain(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
