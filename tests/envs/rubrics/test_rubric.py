"""The arithmetic of rubrics: weights, gates, bounds, groups and turns, and what becomes of a scorer that fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics import Component, Rubric, Transcript

EPISODE = Transcript(
    messages=(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "one"},
        {"role": "tool", "name": "look", "content": "seen"},
        {"role": "assistant", "content": "<answer>two</answer>"},
    )
)


def _gives(value: Any) -> Callable[[Transcript], Any]:
    return lambda episode: value


def _rubric(*components: Component, **more: Any) -> Rubric:
    return Rubric(components=components, **more)


def _part(name: str, value: Any, **more: Any) -> Component:
    return Component(name=name, use=value if callable(value) else _gives(value), **more)


def test_the_reward_is_the_weighted_sum() -> None:
    score = _rubric(_part("a", 1, weight=2), _part("b", 0.5, weight=-1), _part("logged", 9, weight=0)).score(EPISODE)
    assert (score.reward, score.values) == (1.5, {"a": 1.0, "b": 0.5, "logged": 9.0})


@pytest.mark.parametrize(
    ("given_", "reward"),
    [(0, 0.0), (5, 0.5), (10, 1.0), (20, 1.0), (-10, -0.5)],
)
def test_a_value_is_normalised_then_clipped_then_weighted(given_: float, reward: float) -> None:
    score = _rubric(_part("a", given_, normalise=(0, 10), clip=(-0.5, 1))).score(EPISODE)
    assert score.reward == reward


def test_a_closed_gate_takes_gains_and_leaves_losses() -> None:
    others = _part("gain", 1.0, weight=3), _part("loss", 1.0, weight=-0.25)
    closed = _rubric(_part("gate", 0.4, gate=0.5), *others).score(EPISODE)
    assert (closed.reward, closed.closed) == (0.4 - 0.25, ("gate",))
    opened = _rubric(_part("gate", 0.5, gate=0.5), *others).score(EPISODE)
    assert (opened.reward, opened.closed) == (0.5 + 3 - 0.25, ())


def test_a_closed_gate_takes_the_gain_of_another_gate_too() -> None:
    right, form = _part("right", 0.0, gate=1.0), _part("form", 1.0, gate=1.0, weight=0.5)
    score = _rubric(right, form, _part("more", 1.0, weight=0.3)).score(EPISODE)
    assert (score.reward, score.closed) == (0.0, ("right",))


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=5),
    st.floats(-2, 2),
)
def test_failing_a_gate_never_pays(parts: list[tuple[float, float]], weight: float) -> None:
    def reward(value: float) -> float:
        others = [_part(str(at), one, weight=two) for at, (one, two) in enumerate(parts)]
        return _rubric(_part("gate", value, gate=1.0, weight=abs(weight)), *others).score(EPISODE).reward

    assert reward(0.0) <= reward(1.0) + 1e-9


def test_the_reward_is_clipped() -> None:
    assert _rubric(_part("a", 7), clip=(0, 1)).score(EPISODE).reward == 1.0
    assert _rubric(_part("a", -7), clip=(0, 1)).score(EPISODE).reward == 0.0


def test_values_of_turns_are_summed_and_see_what_was_replied() -> None:
    seen: list[tuple[int, bool, str]] = []

    def per_turn(episode: Transcript) -> float:
        seen.append((episode.num_turns, episode.done, episode.messages[-1]["content"]))
        return 1.0 if "answer" in episode.turns[-1] else 0.25

    rubric = _rubric(_part("turn", per_turn, at="turn", clip=(0, 0.5)))
    assert rubric.score(EPISODE).values == {"turn": 0.75}
    assert seen == [(1, False, "seen"), (2, False, "<answer>two</answer>")]
    assert rubric.score(EPISODE, turns=[{"turn": 0.1}, {"turn": 0.2}]).reward == pytest.approx(0.3)
    assert len(seen) == 2  # what was given was not scored again


def _ranks(episodes: Sequence[Transcript]) -> list[float]:
    return [float(episode.seed) for episode in episodes]


_ranks.sees_group = True  # type: ignore[attr-defined]


def _group(*seeds: int) -> list[Transcript]:
    return [Transcript(messages=EPISODE.messages, seed=seed) for seed in seeds]


def test_a_component_of_groups_waits_for_the_group() -> None:
    rubric = _rubric(_part("own", 0.5), _part("rank", _ranks, weight=0.1))
    assert rubric.sees_group
    alone = rubric.score(_group(3)[0])
    assert (alone.reward, alone.pending) == (0.5, ("rank",))
    scores = rubric.score_group(_group(3, 1))
    assert [score.reward for score in scores] == pytest.approx([0.8, 0.6])
    assert [score.pending for score in scores] == [(), ()]


def test_what_is_known_is_not_scored_again() -> None:
    asked: list[int] = []
    rubric = _rubric(_part("own", lambda episode: float(len(asked))), _part("rank", _ranks))
    scores = rubric.score_group(_group(3, 1), known=[{"own": 0.25}, {"own": 0.5}])
    assert ([score.reward for score in scores], asked) == ([3.25, 1.5], [])


def test_a_value_normalised_by_its_group() -> None:
    rubric = _rubric(_part("seed", lambda episode: episode.seed, normalise="group", clip=(-1, 1)))
    alone = rubric.score(_group(5)[0])
    assert (alone.reward, alone.values, alone.pending) == (0.0, {"seed": 5.0}, ("seed",))
    assert [s.reward for s in rubric.score_group(_group(1, 2, 3))] == pytest.approx([-1, 0, 1])
    assert [s.reward for s in rubric.score_group(_group(2, 2))] == [0.0, 0.0]
    known = [rubric.score(each).values for each in _group(1, 2, 3)]
    assert [s.reward for s in rubric.score_group(_group(1, 2, 3), known=known)] == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize("given_", [None, "1", float("nan"), float("inf"), [], {"a": 1}])
def test_what_is_no_number_is_no_score(given_: Any) -> None:
    with pytest.raises(InfrastructureError, match=r"component 'a' gave .* finite number") as failure:
        _rubric(_part("a", given_)).score(EPISODE)
    assert (failure.value.kind, failure.value.boundary) == ("error", "rubric")


def test_a_reward_is_finite_or_none() -> None:
    with pytest.raises(InfrastructureError, match="a reward must be finite"):
        _rubric(_part("a", 1e300, weight=1e300)).score(EPISODE)
    with pytest.raises(InfrastructureError, match="must give a finite number"):
        _rubric(_part("a", 1e300, normalise=(0, 1e-11))).score(EPISODE)
    for wrong in ((0, 1e-320), (-1e308, 1e308), (1, 1)):
        with pytest.raises(UsageError, match="the lower first"):
            _part("a", 1.0, normalise=wrong)


def test_an_empty_group_has_no_scores() -> None:
    assert _rubric(_part("a", 1.0, normalise="group"), _part("rank", _ranks)).score_group([]) == []


def test_a_scorer_that_raises_is_no_score_and_names_itself() -> None:
    def broken(episode: Transcript) -> float:
        return 1 / 0

    with pytest.raises(InfrastructureError, match="component 'a' raised ZeroDivisionError"):
        _rubric(_part("a", broken)).score(EPISODE)


def test_what_is_waited_for_is_dropped_when_another_raises() -> None:
    async def slow(episode: Transcript) -> float:
        await asyncio.sleep(60)
        return 1.0

    def broken(episode: Transcript) -> float:
        raise ValueError("no")

    began = time.monotonic()
    with pytest.raises(InfrastructureError, match="raised ValueError: no"):
        _rubric(_part("slow", slow), _part("broken", broken)).score(EPISODE)  # and no warning of a lost coroutine
    assert time.monotonic() - began < 30


def test_judges_of_a_group_are_waited_for_at_once() -> None:
    at_once = most = 0

    async def judge(episode: Transcript) -> float:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return 1.0

    rubric = _rubric(_part("a", judge), _part("b", judge), _part("rank", _ranks))
    assert [score.reward for score in rubric.score_group(_group(*range(8)))] == [2.0 + seed for seed in range(8)]
    assert most == 16


def test_threads_and_coroutines_may_ask_the_same_rubric() -> None:
    async def judge(episode: Transcript) -> float:
        await asyncio.sleep(0.01)
        return float(episode.seed)

    rubric = _rubric(_part("judge", judge))
    found: dict[int, float] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: rubric.score(_group(at)[0]).reward}))
        for at in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {at: float(at) for at in range(16)}

    async def many() -> list[float]:
        return [score.reward for score in await asyncio.gather(*map(rubric.score_async, _group(*range(16))))]

    assert asyncio.run(many()) == [float(at) for at in range(16)]


def test_a_component_that_waits_for_its_own_loop_is_told_so() -> None:
    async def inner(episode: Transcript) -> float:
        return 1.0

    other = _rubric(_part("inner", inner))

    async def outer(episode: Transcript) -> float:
        return other.score(episode).reward

    with pytest.raises(InfrastructureError, match=r"must await score_async"):
        _rubric(_part("outer", outer)).score(EPISODE)

    async def right(episode: Transcript) -> float:
        return (await other.score_async(episode)).reward

    assert _rubric(_part("right", right)).score(EPISODE).reward == 1.0


def test_a_judge_past_the_deadline_is_a_failure() -> None:
    async def never(episode: Transcript) -> float:
        await asyncio.Event().wait()
        return 1.0

    with pytest.raises(InfrastructureError, match=r"deadline_s=0.05") as failure:
        _rubric(_part("never", never), deadline_s=0.05).score(EPISODE)
    assert failure.value.kind == "timeout"


def test_an_error_of_a_judge_is_a_failure_and_its_own_kind_stays() -> None:
    async def broken(episode: Transcript) -> float:
        raise KeyError("verdict")

    async def refused(episode: Transcript) -> float:
        raise InfrastructureError("no", kind="refused", boundary="judge")

    with pytest.raises(InfrastructureError, match="raised KeyError"):
        _rubric(_part("a", broken)).score(EPISODE)
    with pytest.raises(InfrastructureError) as failure:
        _rubric(_part("a", refused)).score(EPISODE)
    assert (failure.value.kind, failure.value.boundary) == ("refused", "judge")


@pytest.mark.parametrize("given_", [[1.0], 1.0, [1.0, 2.0, 3.0]])
def test_a_group_gets_as_many_values_as_it_has_episodes(given_: Any) -> None:
    def scorer(episodes: Sequence[Transcript]) -> Any:
        return given_

    scorer.sees_group = True  # type: ignore[attr-defined]
    with pytest.raises(InfrastructureError, match="must give 2 values"):
        _rubric(_part("a", scorer)).score_group(_group(1, 2))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": ""}, "must be a word"),
        ({"name": "a/b"}, "without a slash"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"weight": True}, "weight is True"),
        ({"gate": "1"}, "gate is '1'"),
        ({"at": "turns"}, "did you mean 'turn'"),
        ({"clip": (1, 0)}, "the lower first"),
        ({"normalise": (1,)}, r"or 'group'"),
        ({"normalise": "grup"}, r"or 'group'"),
        ({"at": "turn", "gate": 1.0}, "known at the end"),
        ({"arguments": {"a": 1}}, "no effect on a function"),
    ],
)
def test_a_component_that_cannot_work_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Component(**{"name": "a", "use": _gives(1.0), **wrong})


def test_a_rubric_that_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one component"):
        _rubric()
    with pytest.raises(UsageError, match="two components are called 'a'"):
        _rubric(_part("a", 1), _part("a", 2))
    with pytest.raises(UsageError, match="deadline_s is 0"):
        _rubric(_part("a", 1), deadline_s=0)
    with pytest.raises(UsageError, match="there is no component 'exact_mach'; did you mean 'exact_match'"):
        _rubric(Component(name="a", use="exact_mach"))
    with pytest.raises(UsageError, match="compares finished episodes"):
        _rubric(_part("a", _ranks, at="turn"))
