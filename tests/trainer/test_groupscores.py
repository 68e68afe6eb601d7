"""Groups scored together by their environment: what takes the place of the steps' rewards, and what a failure costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import pytest

from agentrl.trainer.desk import Desks
from agentrl.trainer.groupscores import GroupScores
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

Told = list[dict[str, Any]]


class Plain(gymnasium.Env[str, str]):
    """Scores nothing."""

    action_space = observation_space = gymnasium.spaces.Text(10)


class Scoring(Plain):
    def __init__(self, score: Callable[[Told], Any]) -> None:
        self.score_group = score


@contextmanager
def scores(make: Callable[[str], gymnasium.Env[Any, Any]], **more: Any) -> Iterator[GroupScores]:
    desks = Desks(make)
    try:
        yield GroupScores(desks, **{"turn_s": 20.0, "max_retries": 1, **more})
    finally:
        desks.close()


def group(*rewards: float, number: int = 0, **changes: Any) -> list[Episode]:
    return [
        blank_episode(
            group=number,
            member=member,
            reward=reward,
            rewards={"own": reward},
            turn_rewards=[0.0, reward],
            turn_components=[{}, {"own": reward}],
            **changes,
        )
        for member, reward in enumerate(rewards)
    ]


def relative(told: Told) -> list[dict[str, Any]]:
    """Add 1 to the best."""
    best = max(each["reward"] for each in told)
    return [
        {
            "reward": each["reward"] + (each["reward"] == best),
            "rewards": {**each["rewards"], "best": float(each["reward"] == best)},
        }
        for each in told
    ]


def test_the_groups_scores_take_the_place_of_the_steps() -> None:
    episodes = [*group(0.25, 0.5, number=0), *group(0.75, 0.25, number=1)]
    with scores(lambda env_id: Scoring(relative)) as scorer:
        scorer.apply(episodes)
        assert [episode.reward for episode in episodes] == [0.25, 1.5, 1.75, 0.25]
        assert [episode.rewards["best"] for episode in episodes] == [0.0, 1.0, 1.0, 0.0]
        for episode in episodes:
            assert sum(episode.turn_rewards) == pytest.approx(episode.reward)
            assert episode.turn_rewards[0] == 0.0
            summed: dict[str, float] = {}
            for turn in episode.turn_components:
                for name, value in turn.items():
                    summed[name] = summed.get(name, 0.0) + value
            assert summed == pytest.approx(episode.rewards)
        scorer.apply(episodes)  # as after a resume: once is enough
        assert [episode.reward for episode in episodes] == [0.25, 1.5, 1.75, 0.25]


def test_an_environment_without_it_is_asked_once() -> None:
    made: list[str] = []

    def make(env_id: str) -> gymnasium.Env[Any, Any]:
        made.append(env_id)
        return Plain()

    episodes = [*group(0.25, 0.5, number=0), *group(0.75, number=1)]
    with scores(make) as scorer:
        scorer.apply(episodes)
        scorer.apply(group(1.0, number=2))
    assert (len(made), [episode.reward for episode in episodes]) == (1, [0.25, 0.5, 0.75])


def test_an_episode_that_failed_is_not_told() -> None:
    seen: list[int] = []

    def score(told: Told) -> list[dict[str, Any]]:
        seen.append(len(told))
        return relative(told)

    episodes = group(0.5, 0.25)
    episodes += group(0.0, failure={"kind": "died", "boundary": "sandbox", "message": ""})
    with scores(lambda env_id: Scoring(score)) as scorer:
        scorer.apply(episodes)
    assert (seen, [episode.reward for episode in episodes]) == ([2], [1.5, 0.25, 0.0])


def _too_few(told: Told) -> list[dict[str, Any]]:
    return relative(told)[1:]


def _no_number(told: Told) -> list[dict[str, Any]]:
    return [{"reward": float("nan"), "rewards": {}} for _ in told]


def _raises(told: Told) -> list[dict[str, Any]]:
    raise ValueError("no judge")


def _hangs(told: Told) -> list[dict[str, Any]]:
    time.sleep(3)
    return relative(told)


def _says(told: Told) -> list[dict[str, Any]]:
    return [{"failure": {"kind": "timeout", "boundary": "judge", "message": "slow"}} for _ in told]


@pytest.mark.parametrize(
    ("score", "kind", "boundary"),
    [
        (_too_few, "protocol", "environment"),
        (_no_number, "protocol", "environment"),
        (lambda told: None, "protocol", "environment"),
        (_raises, "exception", "environment"),
        (_hangs, "timeout", "environment"),
        (_says, "timeout", "judge"),
    ],
)
def test_a_group_that_cannot_be_scored_has_failed(score: Callable[[Told], Any], kind: str, boundary: str) -> None:
    episodes = group(0.5, 0.25)
    with scores(lambda env_id: Scoring(score), turn_s=0.3) as scorer:
        scorer.apply(episodes)
    for episode in episodes:
        assert episode.failure is not None
        assert (episode.failure["kind"], episode.failure["boundary"]) == (kind, boundary)


def test_a_failure_is_tried_again_in_a_fresh_environment() -> None:
    made: list[int] = []

    def score(told: Told) -> list[dict[str, Any]]:
        if len(made) < 2:
            raise ConnectionError("once")
        return relative(told)

    def make(env_id: str) -> gymnasium.Env[Any, Any]:
        made.append(1)
        return Scoring(score)

    episodes = group(0.5, 0.25)
    with scores(make) as scorer:
        scorer.apply(episodes)
    assert [(episode.reward, episode.failure) for episode in episodes] == [(1.5, None), (0.25, None)]


def test_groups_are_scored_at_once() -> None:
    together = threading.Barrier(4, timeout=20)

    def score(told: Told) -> list[dict[str, Any]]:
        if told[0]["task_id"] != "first":  # the first group alone tells whether groups are scored at all
            together.wait()
        return relative(told)

    episodes = group(0.5, number=0, task_id="first")
    for number in range(1, 5):
        episodes += group(0.5, 0.25, number=number)
    with scores(lambda env_id: Scoring(score)) as scorer:
        scorer.apply(episodes)
    assert sum(episode.reward for episode in episodes) == 0.5 * 5 + 0.25 * 4 + 5
    assert not any(episode.failure for episode in episodes)
