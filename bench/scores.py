"""Score episodes of a task by a rubric, each by itself and then together, and lose none to another's failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.rubrics import Rubric, Score, Transcript

__all__ = ["score_each"]


async def score_each(rubric: Rubric, episodes: Sequence[Transcript]) -> list[Score | InfrastructureError]:
    """Return the score of each episode of a task, or why it has none.

    One that cannot be scored by itself stays out of the group that the others are; where the group cannot be scored,
    none of it is.
    """
    alone = await asyncio.gather(*(_score(rubric, each) for each in episodes))
    if not rubric.sees_group:
        return list(alone)
    known = [(at, score.values) for at, score in enumerate(alone) if isinstance(score, Score)]
    together: Sequence[Score | InfrastructureError]
    try:
        seen = [episodes[at] for at, _ in known]
        together = await rubric.score_group_async(seen, known=[values for _, values in known])
    except InfrastructureError as error:
        together = [error] * len(known)
    found: list[Score | InfrastructureError] = list(alone)
    for (at, _), score in zip(known, together, strict=True):
        found[at] = score
    return found


async def _score(rubric: Rubric, episode: Transcript) -> Score | InfrastructureError:
    try:
        return await rubric.score_async(episode)
    except InfrastructureError as error:
        return error
