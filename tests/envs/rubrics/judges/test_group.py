"""Judges of groups, over a real server with a scripted model."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.judges import judge_listwise, judge_pairwise
from agentrl.envs.rubrics.judges.wins import bradley_terry, orders_of, pairs_of, win_rates
from agentrl.envs.rubrics.rubric import Component, Rubric
from agentrl.envs.rubrics.transcript import Transcript
from tests.completions_server import Server, serving
from tests.envs.rubrics.judges.scripted import data_of, episode, honest, quality, says, verdict

EIGHT = [episode(f"{each} of 8") for each in (3, 8, 1, 5, 7, 2, 6, 4)]
RANKS = [(each - 1) / 7 for each in (3, 8, 1, 5, 7, 2, 6, 4)]


def settings(server: Server, **changes: Any) -> dict[str, Any]:
    return {"model": "m", "base_url": server.url, "cache": "", **changes}


def scores(scorer: Any, episodes: list[Transcript]) -> list[float]:
    async def wait() -> list[float]:
        return list(await scorer(episodes))

    return asyncio.run(wait())


def first_wins(body: dict[str, Any]) -> str:
    """Prefer what stands first, whatever it is."""
    data = data_of(body)
    if "works" in data:
        return json.dumps({"reason": "", "places": {label: index + 1 for index, label in enumerate(data["works"])}})
    return '{"reason": "", "better": "first"}'


def test_eight_episodes_are_ranked_in_two_orders() -> None:
    with serving(says(honest)) as server:
        scorer = judge_listwise(criteria="Good.", judge=settings(server))
        assert scorer.sees_group
        assert scores(scorer, EIGHT) == pytest.approx(RANKS)
        one, other = (list(data_of(each)["works"].values()) for each in server.requests)
        assert one == other[::-1]
        assert sorted(one) == sorted(f"{each} of 8" for each in range(1, 9))
        assert (scorer.totals().num_pairs, scorer.totals().num_contradictions) == (28, 0)


def test_eight_episodes_are_compared_two_by_two_in_both_positions() -> None:
    with serving(says(honest)) as server:
        scorer = judge_pairwise(criteria="Good.", judge=settings(server))
        assert scores(scorer, EIGHT) == pytest.approx(RANKS)
        asked = {(data_of(each)["first"], data_of(each)["second"]) for each in server.requests}
        assert len(asked) == len(server.requests) == 56
        assert {(second, first) for first, second in asked} == asked


def moody(body: dict[str, Any]) -> str:
    """Judge by a whim."""
    whims = random.Random(body["messages"][1]["content"])
    return verdict(body, lambda work: whims.random())


@pytest.mark.parametrize("factory", [judge_listwise, judge_pairwise])
def test_a_judge_that_prefers_a_position_tells_nothing_and_is_found(factory: Any) -> None:
    with serving(says(first_wins)) as server:
        scorer = factory(criteria="Good.", judge=settings(server))
        assert scores(scorer, EIGHT) == [0.5] * 8
        assert (scorer.totals().num_pairs, scorer.totals().num_contradictions) == (28, 28)


@pytest.mark.parametrize("factory", [judge_listwise, judge_pairwise])
def test_equal_works_are_equal_whatever_the_judge_says(factory: Any) -> None:
    group = [episode("5 equal"), episode("9 better"), episode("5 equal"), episode("5 equal"), episode("1 worse")]
    with serving(says(moody)) as server:
        found = scores(factory(criteria="Good.", judge=settings(server)), group)
        assert found[0] == found[2] == found[3]
        alike = scores(factory(criteria="Good.", judge=settings(server)), [episode("5 equal")] * 3)
        assert alike == [0.5] * 3
    with serving(says(honest)) as server:
        # A copy is an opponent with whom one is level: (0.5 + 0.5 + 1 + 0) / 4.
        assert scores(factory(criteria="Good.", judge=settings(server)), group) == [0.5, 1.0, 0.5, 0.5, 0.0]


@pytest.mark.parametrize("factory", [judge_listwise, judge_pairwise])
def test_one_alone_is_not_asked_about_and_silence_loses(factory: Any) -> None:
    silent = Transcript(messages=({"role": "user", "content": "Do it well."},))
    with serving(says(honest)) as server:
        scorer = factory(criteria="Good.", judge=settings(server))
        assert scores(scorer, []) == []
        assert scores(scorer, [episode("5 fair")]) == [0.5]
        assert scores(scorer, [episode("5 fair"), silent]) == [1.0, 0.0]
        assert server.requests == []
        assert scores(scorer, [episode("5 fair"), silent, episode("7 fine"), silent]) == pytest.approx(
            [2 / 3, 1 / 6, 1, 1 / 6]
        )


@pytest.mark.parametrize("factory", [judge_listwise, judge_pairwise])
def test_scores_depend_neither_on_the_order_of_episodes_nor_on_chance(factory: Any) -> None:
    def crooked(body: dict[str, Any]) -> str:
        """Judge by quality, but for a liking of the first."""
        data = data_of(body)
        works = list(data["works"].values()) if "works" in data else [data["first"]]
        return verdict(body, lambda work: quality(work) + 2.5 * (work == works[0]))

    group = list(EIGHT)
    with serving(says(crooked)) as server:
        first = dict(
            zip(map(repr, group), scores(factory(criteria="Good.", judge=settings(server)), group), strict=True)
        )
        num = len(server.requests)
        random.Random(3).shuffle(group)
        scorer = factory(criteria="Good.", judge=settings(server, cache="kept.sqlite"))
        again = dict(zip(map(repr, group), scores(scorer, group), strict=True))
        assert again == first
        assert {json.dumps(each["messages"]) for each in server.requests[:num]} == {
            json.dumps(each["messages"]) for each in server.requests[num:]
        }
        scores(scorer, group[::-1])
        assert len(server.requests) == 2 * num  # all from the cache


def test_ties_are_allowed_or_not() -> None:
    group = [episode("5 fair"), episode("5 good"), episode("1 poor")]
    with serving(says(honest)) as server:
        assert scores(judge_pairwise(criteria="Good.", judge=settings(server)), group) == [0.75, 0.75, 0.0]
        assert scores(judge_listwise(criteria="Good.", judge=settings(server)), group) == [0.75, 0.75, 0.0]
        strict = judge_pairwise(criteria="Good.", ties=False, judge=settings(server, max_repairs=0))
        with pytest.raises(InfrastructureError, match="better is 'tie', but must be one of first, second"):
            scores(strict, group)


def test_each_meets_as_many_opponents_as_are_asked_for() -> None:
    with serving(says(honest)) as server:
        scorer = judge_pairwise(criteria="Good.", num_opponents=4, judge=settings(server))
        found = scores(scorer, EIGHT)
        assert scorer.totals().num_pairs == 16
        assert (found[1], found[2]) == (1.0, 0.0)  # the best and the worst, whomever they meet
        strong = judge_pairwise(criteria="Good.", num_opponents=4, score="bradley_terry", judge=settings(server))
        found = scores(strong, EIGHT)
        assert (found.index(max(found)), found.index(min(found))) == (1, 2)
        assert sum(found) == pytest.approx(4)


def test_a_missing_place_goes_back_and_a_failed_verdict_fails_the_group() -> None:
    def forgets(body: dict[str, Any]) -> str:
        if len(body["messages"]) > 2:
            return honest(body)
        said = json.loads(honest(body))
        said["places"].popitem()
        return json.dumps(said)

    with serving(says(forgets)) as server:
        assert scores(judge_listwise(criteria="Good.", judge=settings(server)), EIGHT) == pytest.approx(RANKS)
        assert "H is missing" in server.requests[-1]["messages"][-1]["content"]
        with pytest.raises(InfrastructureError) as caught:
            scores(judge_listwise(criteria="Good.", judge=settings(server, max_repairs=0)), EIGHT)
        assert (caught.value.kind, caught.value.boundary) == ("judge_output", "judge")


def test_a_rubric_compares_a_group() -> None:
    with serving(says(honest)) as server:
        rubric = Rubric(
            components=(
                Component(name="better", use="judge_listwise", arguments={"criteria": "Good."}),
                Component(name="pairs", use="judge_pairwise", arguments={"criteria": "Good."}, weight=0.5),
            ),
            judge=settings(server),
        )
        assert [each.reward for each in rubric.score_group(EIGHT)] == pytest.approx([1.5 * each for each in RANKS])


def test_what_cannot_be_compared_is_told() -> None:
    asked = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "cache": ""}
    with pytest.raises(UsageError, match="num_opponents = 3 must be an even number"):
        judge_pairwise(criteria="Good.", num_opponents=3, judge=asked)
    with pytest.raises(UsageError, match="did you mean 'win_rate'"):
        judge_pairwise(criteria="Good.", score="winrate", judge=asked)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="num_orders = 3 must be an even number"):
        judge_listwise(criteria="Good.", num_orders=3, judge=asked)
    scorer = judge_listwise(criteria="Good.", judge=asked)
    with pytest.raises(UsageError, match="episodes of different tasks"):
        scores(scorer, [episode("1"), episode("2", question="Another?")])
    with pytest.raises(UsageError, match=r"a group has 27 different works.*use judge_pairwise with num_opponents = 4"):
        scores(scorer, [episode(str(each)) for each in range(27)])


@given(st.integers(2, 12), st.integers(0, 3), st.randoms())
def test_mean_scores_of_a_group_are_one_half(num: int, step: int, chance: random.Random) -> None:
    wins = np.full((num, num), np.nan)
    for first, second in pairs_of(num, 0):
        wins[first, second] = chance.choice([0.0, 0.25, 0.5, 1.0])
        wins[second, first] = 1 - wins[first, second]
    copies = np.array([chance.randint(1, 3) for _ in range(num)], dtype=float)
    for table in (wins, bradley_terry(wins)):
        rates = win_rates(table, copies)
        assert rates @ copies / copies.sum() == pytest.approx(0.5)
        assert rates.min() >= 0
        assert rates.max() <= 1
    met = pairs_of(num, 2 * step)
    assert len({frozenset(each) for each in met}) == len(met)
    counts = [sum(index in pair for pair in met) for index in range(num)]
    assert set(counts) == {2 * step if 0 < 2 * step < num - 1 else num - 1}


def test_strengths_are_those_that_made_the_wins() -> None:
    strength = np.array([-1.5, -0.5, 0.0, 0.5, 1.5])
    chances = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    wins = chances.copy()
    np.fill_diagonal(wins, np.nan)
    found = bradley_terry(wins)
    assert np.abs(found - chances).max() < 0.02  # the small tie with everybody pulls to the middle


def test_orders_come_with_their_reverse_and_differ() -> None:
    orders = orders_of(8, 6, "seed")
    assert [sorted(each) for each in orders] == [list(range(8))] * 6
    assert all(one == other[::-1] for one, other in zip(orders[::2], orders[1::2], strict=True))
    assert len(set(map(tuple, orders))) == 6
    assert orders == orders_of(8, 6, "seed") != orders_of(8, 6, "other")
