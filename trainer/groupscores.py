"""Rewards that need the whole group: relative judgement, by an environment that offers `score_group`.

An environment, or a wrapper around it, may have a method `score_group(episodes)`. It is given the finished episodes of
one task as plain data, with what it had last put into `info["carry"]`, and returns of each `{"reward", "rewards"}`,
which take the place of what the steps gave, or `{"failure"}`. Groups are scored at once, each on an environment of its
own; held-out tasks are played once each, and are not scored so. An episode is scored once, also where a checkpoint
holds it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import gymnasium

from agentrl.trainer.answers import AnswerError, read_scores
from agentrl.trainer.desk import Allowance, Desks, EnvFailure
from agentrl.trainer.types import Episode

__all__ = ["GroupScores"]

_SCORED: Final = "group_s"  # in the timings of an episode that was scored


class GroupScores:
    """Scores groups of finished episodes.

    Args:
        desks: Lends environments.
        turn_s: Seconds that one group may take.
        max_retries: Fresh attempts after a failure.
    """

    def __init__(self, desks: Desks, *, turn_s: float, max_retries: int) -> None:
        self._desks = desks
        self._turn_s, self._max_retries = turn_s, max_retries
        self._offer: dict[str, bool] = {}  # whether an environment has `score_group`

    def apply(self, episodes: Sequence[Episode]) -> None:
        """Replace the rewards of the episodes, where their environment scores groups.

        An episode that failed stays out; where a group cannot be scored, all its episodes have failed.
        """
        groups: dict[tuple[str, int, int], list[Episode]] = {}
        for episode in episodes:
            if episode.failure is None and _SCORED not in episode.timings and self._offer.get(episode.env_id, True):
                groups.setdefault((episode.env_id, episode.step, episode.group), []).append(episode)
        if groups:
            asyncio.run(self._apply(list(groups.values())))

    async def _apply(self, groups: Sequence[list[Episode]]) -> None:
        rest = []
        for group in groups:  # the first of each environment tells whether there is anything to do
            if group[0].env_id in self._offer:
                rest.append(group)
            else:
                await self._score(group)
        await asyncio.gather(*(self._score(group) for group in rest if self._offer[group[0].env_id]))

    async def _score(self, group: list[Episode]) -> None:
        env_id = group[0].env_id
        began = time.perf_counter()
        allowance = Allowance(turn_s=self._turn_s, episode_s=math.inf)
        desk = self._desks.lend(env_id)
        told = [_told(episode) for episode in group]
        for attempt in range(self._max_retries + 1):
            try:
                scores = await desk.call(partial(_ask, told=told), allowance, "score_group")
                break
            except EnvFailure as failure:
                desk.abandon()
                desk = self._desks.fresh(env_id)
                if attempt == self._max_retries:
                    scores = [{"failure": failure.as_dict()} for _ in group]
        self._desks.take_back(env_id, desk)
        self._offer[env_id] = scores is not None
        for episode, score in zip(group, scores or (), strict=scores is not None):
            episode.timings[_SCORED] = time.perf_counter() - began
            _note(episode, score)


def _ask(env: gymnasium.Env[Any, Any], told: list[dict[str, Any]]) -> list[Mapping[str, Any]] | None:
    """Return the scores; None where the environment scores no groups."""
    if not env.has_wrapper_attr("score_group"):
        return None
    scores = read_scores(env.get_wrapper_attr("score_group")(told))
    if len(scores) != len(told):
        raise AnswerError(f"score_group gave {len(scores)} scores for {len(told)} episodes")
    return scores


def _told(episode: Episode) -> dict[str, Any]:
    """Return what is told of an episode: plain data, and copies."""
    return {
        "env_id": episode.env_id,
        "seed": episode.seed,
        "split": episode.split,
        "level": episode.level,
        "task_id": episode.task_id,
        "messages": [dict(message) for message in episode.messages],
        "reward": episode.reward,
        "rewards": dict(episode.rewards),
        "success": episode.success,
        "truncated": episode.truncated_by is not None,
        "seconds": episode.timings.get("episode_s", 0.0),
        "completion_tokens": sum(episode.mask),
        "carry": dict(episode.carry),
    }


def _note(episode: Episode, score: Mapping[str, Any]) -> None:
    """Take down a score; what it adds is the last turn's."""
    if score.get("failure") is not None:
        episode.failure = dict(score["failure"])
        return
    if episode.turn_rewards:
        episode.turn_rewards[-1] += score["reward"] - episode.reward
        last = episode.turn_components[-1]
        for name, value in score["rewards"].items():
            last[name] = last.get(name, 0.0) + value - episode.rewards.get(name, 0.0)
    episode.reward, episode.rewards = score["reward"], dict(score["rewards"])
