"""Solved tasks that come back: what is remembered, how often, and that it counts apart, by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import fmean
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.checkpoint import TrainerState
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.groups import Draw, Played, play_step
from agentrl.trainer.replay import Replay, ReplayConfig, Solved
from agentrl.trainer.rollout import Task
from tests.trainer.players import player

SIZE = 10
DRAW = Draw(seed=5, envs={"Toy": 1.0}, groups_per_step=4, group_size=SIZE, temperature=0.7)
HALF = ReplayConfig(share=0.5)


def remembering(number: int, env_id: str = "Toy") -> Replay:
    tasks = [Solved(env_id=env_id, seed=seed, level=1, split="train") for seed in range(number)]
    return Replay(tasks=tasks, num_solved=number)


def step_of(
    memory: Replay,
    step: int,
    pay: Callable[[Task], float | None],
    *,
    config: ReplayConfig = HALF,
    level: int | None = 2,
    rounds: int = 0,
) -> tuple[Played, dict[str, float]]:
    """Draw, play and note one step, as the loop does."""
    play, _ = player(pay)
    again = memory.draw(DRAW, step, config)
    played = play_step(play, DRAW, step, level=level, max_rounds=rounds, replayed=again)
    return played, memory.note(played, step, config, level=level, seed=DRAW.seed)


def test_a_group_is_solved_when_nine_of_ten_are() -> None:
    # Group 0: 9 of 10. 1: 8 of 10. 2: 8 of 8, two failed. 3: one alone.
    wrong = {0: 1, 1: 2, 2: 0, 3: 0}
    failed = {0: 0, 1: 0, 2: 2, 3: 9}

    def pay(task: Task) -> float | None:
        if task.member < failed[task.group]:
            return None
        return float(task.member >= wrong[task.group])

    memory = Replay()
    played, metrics = step_of(memory, 1, pay)
    seeds = {episode.group: episode.seed for episode in played.kept}
    assert memory.tasks == [Solved(env_id="Toy", seed=seeds[group], level=2, split="train") for group in (0, 2)]
    assert metrics == {"replay/groups": 0, "replay/size": 2}
    assert played.replayed == []
    # A task is remembered once.
    memory.note(played, 1, HALF, level=2, seed=5)
    assert len(memory.tasks) == memory.num_solved == 2


def test_solved_groups_are_remembered_though_they_were_replaced_for_being_flat() -> None:
    memory = Replay()
    played, _ = step_of(memory, 1, lambda task: float(task.group < 4 or task.member == 0), rounds=1)
    assert {episode.group for episode in played.kept} == {4, 5, 6, 7}
    assert [task.seed for task in memory.tasks] == sorted(
        {episode.seed for episode in played.replaced}, key=[episode.seed for episode in played.replaced].index
    )
    assert len(memory.tasks) == 4


def test_what_is_replayed_is_the_solved_task_and_counts_apart() -> None:
    memory = remembering(9)
    # Fresh tasks are failed by all, solved ones by four of ten.
    played, metrics = step_of(memory, 3, lambda task: float(task.seed < 9 and task.member >= 4))
    again = {episode.group: episode for episode in played.replayed}
    assert len(again) == 2
    for episode in again.values():
        assert Solved(env_id="Toy", seed=episode.seed, level=episode.level, split=episode.split) in memory.tasks
    assert len({episode.seed for episode in again.values()}) == 2
    assert sorted({episode.group for episode in played.kept}) == [0, 1, 2, 3]
    assert len(played.kept) == 4 * SIZE
    assert {episode.group for episode in played.first} == {0, 1, 2, 3} - again.keys()
    assert all(episode.level == 2 and not episode.success for episode in played.first)
    assert metrics == {"replay/groups": 2, "replay/success": pytest.approx(0.6), "replay/size": 9}
    # What is not solved any more stays: it was forgotten.
    assert memory == remembering(9)


def test_members_of_a_replayed_group_differ_as_those_of_a_fresh_one() -> None:
    tasks = remembering(3).draw(DRAW, 7, HALF)
    fresh = DRAW.tasks(7, level=1, places=sorted({task.group for task in tasks}))
    assert [replace(task, seed=0) for task in tasks] == [replace(task, seed=0) for task in fresh]


def test_a_replayed_group_that_is_still_solved_makes_room_for_a_fresh_one() -> None:
    memory = remembering(9)
    played, metrics = step_of(memory, 3, lambda task: float(task.seed < 9 or task.member == 0), rounds=1)
    again = {episode.group for episode in played.replayed}
    assert {episode.group for episode in played.replaced} == again
    assert {episode.group for episode in played.kept} == {0, 1, 2, 3} - again | {group + 4 for group in again}
    assert metrics["replay/success"] == 1.0


@pytest.mark.parametrize("share", [0.05, 0.25, 0.6, 0.99])
def test_the_share_holds_on_average_and_a_fresh_group_stays(share: float) -> None:
    config = ReplayConfig(share=share)
    counts = [len(remembering(9).draw(DRAW, step, config)) // SIZE for step in range(1, 1001)]
    assert set(counts) <= {int(4 * share), int(4 * share) + 1} - {4}
    assert fmean(counts) == pytest.approx(min(4 * share, 3), abs=0.05)
    places = Counter(task.group for step in range(1, 1001) for task in remembering(9).draw(DRAW, step, config))
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) < 1.4 * min(places.values())


def test_the_weights_of_a_mixture_hold() -> None:
    draw = Draw(seed=1, envs={"A": 1.0, "B": 1.0, "C": 1.0}, groups_per_step=6, group_size=2, temperature=1.0)
    memory = Replay(tasks=[*remembering(5, "A").tasks, *remembering(1, "B").tasks], num_solved=6)
    seen: Counter[str | None] = Counter()
    for step in range(1, 50):
        usual = {task.group: task.env_id for task in draw.tasks(step, level=None, places=range(6))}
        drawn = memory.draw(draw, step, ReplayConfig(share=0.9))
        assert all(task.env_id == usual[task.group] for task in drawn)
        groups = {task.group: (task.env_id, task.seed) for task in drawn}
        assert len(set(groups.values())) == len(groups), "no task twice in a step"
        seen.update(env_id for env_id, _ in groups.values())
    assert seen["C"] == 0
    assert seen["A"] > seen["B"] > 0, "B has one task, and so one place a step"


@settings(deadline=None, max_examples=25)  # another program on the machine may take the core
@given(st.integers(0, 2**31), st.integers(1, 1000), st.integers(1, 30))
def test_what_is_drawn_depends_on_seed_step_and_memory_only(seed: int, step: int, number: int) -> None:
    draw = replace(DRAW, seed=seed)
    first = remembering(number).draw(draw, step, HALF)
    assert first == Replay.restore(asdict(remembering(number))).draw(draw, step, HALF)
    assert len({task.group for task in first}) == min(2, number)


def test_a_full_memory_is_a_fair_sample_of_all_that_was_solved() -> None:
    kept: Counter[int] = Counter()
    config, runs, steps = ReplayConfig(share=0.5, capacity=6), 400, 5
    play, _ = player(lambda task: 1.0)
    draw = replace(DRAW, group_size=2)
    for seed in range(runs):
        memory = Replay()
        for step in range(1, steps + 1):
            played = play_step(play, draw, step, level=1, max_rounds=0)
            memory.note(played, step, config, level=1, seed=seed)
        assert (len(memory.tasks), memory.num_solved) == (6, 20)
        kept.update(task.seed for task in memory.tasks)
    # Each of 20 tasks stays in 6/20 of the runs: 120, with a deviation of sqrt(400 * 0.3 * 0.7) = 9.
    assert len(kept) == 20
    assert all(abs(count - 120) < 4.5 * 9.2 for count in kept.values())


def test_a_memory_resumed_with_less_room_shrinks() -> None:
    memory = remembering(9)
    step_of(memory, 3, lambda task: 1.0, config=ReplayConfig(share=0.5, capacity=4))
    assert len(memory.tasks) == 4


def test_without_a_share_nothing_is_remembered_or_told() -> None:
    memory = Replay()
    played, metrics = step_of(memory, 1, lambda task: 1.0, config=ReplayConfig())
    assert metrics == {}
    assert memory == Replay()
    assert remembering(9).draw(DRAW, 1, ReplayConfig()) == []
    assert played.first == played.kept


def test_an_environment_that_tells_no_success() -> None:
    play, _ = player(lambda task: 1.0)
    played = play_step(play, DRAW, 1, level=None, max_rounds=0)
    for episode in played.kept:
        episode.success = None
    with pytest.raises(TrainerError, match=r"replay.share is 0.5, but the environment does not tell success"):
        Replay().note(played, 1, HALF, level=None, seed=0)


def test_older_checkpoints_have_an_empty_memory() -> None:
    older: dict[str, Any] = {
        "step": 1,
        "optimizer": {},
        "num_tokens": 0,
        "train_seconds": 0.0,
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": [],
        "recent_success": [],
    }
    assert Replay.restore(TrainerState(**older).replay) == Replay()
