"""Groups that are replaced and levels that rise: by hand, with a player that pays what it is told to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.curriculum import Curriculum, CurriculumConfig
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.groups import Draw, GroupsConfig, flat_groups, play_step
from tests.trainer.players import player

SIZE = 3
DRAW = Draw(seed=5, envs={"Toy": 1.0}, groups_per_step=4, group_size=SIZE, temperature=1.0)


def test_flat_groups_are_replaced_by_fresh_tasks() -> None:
    # Places 1 and 3 are flat at first, 3 also the second time; their numbers of the next round are 4 more.
    play, calls = player(lambda task: float(task.member == 0 and task.group not in (1, 3, 7)))
    played = play_step(play, DRAW, 9, level=2, max_rounds=3)
    assert [sorted({task.group for task in call}) for call in calls] == [[0, 1, 2, 3], [5, 7], [11]]
    assert sorted({episode.group for episode in played.kept}) == [0, 2, 5, 11]
    assert sorted({episode.group for episode in played.replaced}) == [1, 3, 7]
    assert len(played.everything) == 7 * SIZE
    assert sorted({episode.group for episode in played.first}) == [0, 1, 2, 3]
    assert played.metrics() == {
        "dynamic_sampling/rounds": 2.0,
        "dynamic_sampling/replaced_groups": 3.0,
        "dynamic_sampling/flat_groups": 0.0,
    }
    seeds = {task.group: task.seed for call in calls for task in call}
    assert len(set(seeds.values())) == 7, "every group has a task of its own"
    assert {task.level for call in calls for task in call} == {2}


def test_what_is_still_flat_after_the_last_round_is_kept() -> None:
    play, calls = player(lambda task: 1.0)
    played = play_step(play, DRAW, 1, level=None, max_rounds=2)
    assert len(calls) == 3
    assert sorted({episode.group for episode in played.kept}) == [8, 9, 10, 11]
    assert played.metrics()["dynamic_sampling/flat_groups"] == 4


def test_without_rounds_nothing_is_replaced() -> None:
    play, calls = player(lambda task: 1.0)
    played = play_step(play, DRAW, 1, level=None, max_rounds=GroupsConfig().rounds)
    assert len(calls) == 1
    assert played.kept == played.first
    assert played.replaced == []


def test_when_all_failed_nothing_is_tried_again() -> None:
    play, calls = player(lambda task: None)
    play_step(play, DRAW, 1, level=None, max_rounds=3)
    assert len(calls) == 1


def test_flat_means_fewer_than_two_different_valid_rewards() -> None:
    pays: dict[int, list[float | None]] = {
        0: [1.0, 1.0, 1.0],
        1: [1.0, None, 1.0],
        2: [1.0, None, None],
        3: [0.0, None, 1.0],
    }
    play, _ = player(lambda task: pays[task.group][task.member])
    episodes = play(DRAW.tasks(1, level=None, places=range(4)))
    assert flat_groups(reversed(episodes)) == [0, 1, 2]


@settings(deadline=None)  # another program on the machine may take the core
@given(st.integers(0, 2**31), st.integers(1, 1000), st.integers(0, 3))
def test_a_task_depends_on_its_place_only(seed: int, step: int, round: int) -> None:
    draw = Draw(seed=seed, envs={"A": 2.0, "B": 1.0}, groups_per_step=6, group_size=2, temperature=1.0)
    whole = draw.tasks(step, level=None, places=range(6), round=round)
    assert draw.tasks(step, level=None, places=[4, 1], round=round) == [*whole[8:10], *whole[2:4]]
    assert [task.seed for task in whole[::2]] == [task.seed for task in whole[1::2]], "members share the task"
    # A place keeps its environment when it is drawn anew, so that the weights hold.
    assert [task.env_id for task in whole] == [task.env_id for task in draw.tasks(step, level=None, places=range(6))]
    held_out = draw.held_out(step, num_tasks=5, split="test", level=None, member=0, temperature=1.0)
    assert [task.seed for task in held_out[:5]] == [task.seed for task in held_out[5:]]
    assert len({(task.group, task.member) for task in held_out}) == 10


def test_the_level_rises_when_it_is_solved() -> None:
    config = CurriculumConfig(max_level=3, raise_at=0.75, window=2)
    state = Curriculum(level=1)
    levels = []
    for success in (1.0, 0.5, 1.0, 0.75, 0.9, 0.9, 1.0, 1.0, 1.0, 1.0):
        levels.append(state.level)
        state.note(success, config)
    # Means of the last two: 0.75 is not above the bound, 0.875 is; then two steps at the new level at least.
    assert levels == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert (state.level, state.successes) == (3, [1.0, 1.0])


def test_without_a_curriculum_nothing_rises() -> None:
    state = Curriculum(level=None)
    state.note(None, CurriculumConfig())
    assert state == Curriculum(level=None)


def test_an_environment_that_tells_no_success() -> None:
    with pytest.raises(TrainerError, match="max_level is 3, but the environment does not tell success"):
        Curriculum(level=1).note(None, CurriculumConfig(max_level=3))
