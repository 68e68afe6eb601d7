"""Stored episodes of one environment, by groups, to try a rubric on."""

from __future__ import annotations

from agentrl.bench.errors import UsageError
from agentrl.bench.rubrics.labels import short_id
from agentrl.bench.stored import StoredRun
from agentrl.bench.transcripts import References, groups_of, transcript_of
from agentrl.envs.rubrics import Transcript

__all__ = ["stored_groups"]


def stored_groups(run: StoredRun, env_id: str, *, references: bool, most: int = 1000) -> list[list[Transcript]]:
    """Return a run's episodes of an environment that did not fail, by groups.

    Args:
        run: Where they are.
        env_id: Of the environment.
        references: Whether the environment tells accepted answers, which are then filled in.
        most: Episodes that are read; what comes after them is left.

    Raises:
        UsageError: There are none.
    """
    found: list[list[Transcript]] = []
    others: set[str] = set()
    filler = References(run)
    try:
        for group in groups_of(run):
            if short_id(group[0].episode.job.env_id) != short_id(env_id):
                others.add(group[0].episode.job.env_id)
                continue
            seen = [transcript_of(each.episode) for each in group if each.episode.failure is None]
            if seen:
                found.append(filler.filled(seen) if references else seen)
            if sum(map(len, found)) >= most:
                break
    finally:
        filler.close()
    if not found:
        there = f"; there are episodes of {', '.join(sorted(others))}" if others else ""
        raise UsageError(f"{run.folder} holds no episodes of {env_id} that did not fail{there}")
    return found
