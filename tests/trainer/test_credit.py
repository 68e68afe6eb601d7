"""Advantages of turns, by hand and under what must not change them, and the way from episodes to tokens and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentrl.trainer.advantage import (
    TURN_ADVANTAGES,
    gigpo_advantages,
    group_advantages,
    returns_to_go,
)
from agentrl.trainer.credit import kl_penalties, overlong_penalty, set_advantages, token_advantages
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

FAILED = {"kind": "died", "boundary": "sandbox", "message": "gone"}


def episode(rewards: Sequence[float], *, group: int = 0, member: int = 0, **changes: Any) -> Episode:
    """An episode whose turns have 1, 2, 3, … sampled tokens, with one token of the environment before each."""
    lengths = list(range(1, len(rewards) + 1))
    mask = [on for length in lengths for on in (False, *[True] * length)]
    plain: dict[str, Any] = {
        "seed": group,
        "group": group,
        "member": member,
        "token_ids": [1] * len(mask),
        "mask": mask,
        "logprobs": [0.0] * len(mask),
        "reward": sum(rewards),
        "num_turns": len(rewards),
        "turn_rewards": list(rewards),
        "turn_lengths": lengths,
        "turn_states": [str(turn) for turn in range(len(rewards))],
    }
    return blank_episode(**plain | changes)


def group_of(*rewards: Sequence[float], group: int = 0) -> list[Episode]:
    return [episode(each, group=group, member=member) for member, each in enumerate(rewards)]


def test_returns_are_discounted_turn_by_turn() -> None:
    rewards, episodes = torch.tensor([1.0, 0.0, 4.0, 2.0, 2.0]), torch.tensor([0, 0, 0, 1, 1])
    assert returns_to_go(rewards, episodes, gamma=0.5).tolist() == [2.0, 2.0, 4.0, 3.0, 2.0]
    assert returns_to_go(rewards, episodes, gamma=0.0).tolist() == rewards.tolist()
    assert returns_to_go(rewards, episodes, gamma=1.0).tolist() == [5.0, 4.0, 4.0, 4.0, 2.0]


def test_turns_worked_by_hand() -> None:
    one, other = group_of([0.0, 1.0], [0.0, 0.0])
    set_advantages([one, other], "turn", gamma=0.5)
    # Returns 1/2, 1, 0, 0: mean 3/8, squares (1 + 25 + 9 + 9) / 64, over 3: deviation sqrt(11/48).
    deviation = (11 / 48) ** 0.5 + 1e-4
    assert one.turn_advantages == pytest.approx([0.125 / deviation, 0.625 / deviation])
    assert other.turn_advantages == pytest.approx([-0.375 / deviation] * 2)
    assert one.advantage == pytest.approx((0.125 + 2 * 0.625) / 3 / deviation)  # mean over three tokens
    assert token_advantages(one).tolist() == pytest.approx(
        [0, one.turn_advantages[0], 0, one.turn_advantages[1], one.turn_advantages[1]]
    )


def test_gigpo_worked_by_hand() -> None:
    # Three episodes; the second turns of the first two answered the same, the third met something of its own.
    episodes = group_of([0.0, 1.0], [0.0, 0.0], [1.0, 0.0])
    for each, state in zip(episodes, ("lamp", "lamp", "door"), strict=True):
        each.turn_states = ["start", state]
    set_advantages(episodes, "gigpo", gamma=0.5, step_weight=2.0)
    # Episodes: rewards 1, 0, 1: mean 2/3, deviation sqrt(1/3).
    whole = [each / ((1 / 3) ** 0.5 + 1e-4) for each in (1 / 3, -2 / 3, 1 / 3)]
    # First turns: returns 1/2, 0, 1: mean 1/2, deviation 1/2.
    first = [each / 0.5001 for each in (0.0, -0.5, 0.5)]
    # Second turns before the lamp: returns 1 and 0: mean 1/2, deviation sqrt(1/2). The door was met once.
    second = [each / (0.5**0.5 + 1e-4) for each in (0.5, -0.5)] + [0.0]
    for row, each in enumerate(episodes):
        wanted = [whole[row] + 2 * first[row], whole[row] + 2 * second[row]]
        assert each.turn_advantages == pytest.approx(wanted, abs=1e-6)


def test_without_weight_for_steps_gigpo_is_grpo() -> None:
    rewards, rows, states = torch.rand(12), torch.arange(4).repeat_interleave(3), torch.arange(12) % 3
    groups, valid = torch.tensor([0, 0, 1, 1]), torch.tensor([True] * 4)
    advantages = gigpo_advantages(rewards, rows, states, groups, valid, gamma=0.9, step_weight=0.0)
    plain = group_advantages(rewards.double().view(4, 3).sum(1), groups, valid, scale="group")
    torch.testing.assert_close(advantages, plain[rows])


def test_the_same_state_in_another_group_is_another_state() -> None:
    states = torch.zeros(4, dtype=torch.long)
    rewards, rows, groups = torch.tensor([1.0, 0.0, 9.0, 5.0]), torch.arange(4), torch.tensor([0, 0, 1, 1])
    valid = torch.ones(4, dtype=torch.bool)
    advantages = gigpo_advantages(rewards, rows, states, groups, valid, gamma=1.0, step_weight=1.0)
    plain = group_advantages(rewards, groups, valid, scale="group")
    torch.testing.assert_close(advantages, 2 * plain)  # one turn an episode: both parts are the same


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, ...]:
    """Turns of episodes: rewards_M, episodes_M, states_M, groups_N, valid_N."""
    num = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, 4), min_size=num, max_size=num))
    total = sum(lengths)
    rewards = draw(st.lists(st.floats(-5, 5, width=32), min_size=total, max_size=total))
    states = draw(st.lists(st.integers(0, 2), min_size=total, max_size=total))
    groups = draw(st.lists(st.integers(0, 2), min_size=num, max_size=num))
    valid = draw(st.lists(st.booleans(), min_size=num, max_size=num))
    rows = [row for row, length in enumerate(lengths) for _ in range(length)]
    return (
        torch.tensor(rewards, dtype=torch.float64),
        torch.tensor(rows),
        torch.tensor(states),
        torch.tensor(groups),
        torch.tensor(valid),
    )


def estimate(name: str, batch: tuple[Tensor, ...], gamma: float = 0.9) -> Tensor:
    chosen = TURN_ADVANTAGES[name]
    return chosen.estimate(*batch, gamma=gamma, **({} if chosen.step_weight is None else {"step_weight": 0.5}))


@pytest.mark.parametrize("name", TURN_ADVANTAGES)
@settings(deadline=None)  # another program on the machine may take the core
@given(batch=batches(), shift=st.floats(-10, 10), factor=st.floats(0.5, 4), random=st.randoms(use_true_random=False))
def test_invariants(name: str, batch: tuple[Tensor, ...], shift: float, factor: float, random: Random) -> None:
    rewards, rows, states, groups, valid = batch
    advantages = estimate(name, batch, gamma=1.0)
    assert (advantages[~valid[rows]] == 0).all()
    assert advantages.isfinite().all()
    # A constant on every outcome shifts every return of every turn.
    last = torch.tensor([row == len(rows) - 1 or rows[row] != rows[row + 1] for row in range(len(rows))])
    shifted = estimate(name, (rewards + shift * last, rows, states, groups, valid), gamma=1.0)
    torch.testing.assert_close(shifted, advantages, atol=1e-3, rtol=1e-3)
    # Scale: only the 1e-4 knows of it.
    large, larger = (estimate(name, (rewards * 1e6 * each, rows, states, groups, valid)) for each in (1.0, factor))
    torch.testing.assert_close(larger, large, atol=1e-2, rtol=0)
    # The order of the episodes does not matter; their turns stay in order.
    order = sorted(range(len(groups)), key=lambda _: random.random())
    places = torch.tensor([place for row in order for place in range(len(rows)) if rows[place] == row])
    renamed = torch.tensor([order.index(int(row)) for row in rows[places]])
    permuted = estimate(name, (rewards[places], renamed, states[places], groups[order], valid[order]), gamma=1.0)
    torch.testing.assert_close(permuted, advantages[places])
    # Rewards of invalid episodes are not read.
    spoilt = torch.where(valid[rows], rewards, torch.nan)
    assert torch.equal(estimate(name, (spoilt, rows, states, groups, valid), gamma=1.0), advantages)


def test_an_episode_alone_in_its_group_gets_nothing() -> None:
    for name in TURN_ADVANTAGES:
        alone, spoilt = group_of([0.0, 1.0], [5.0, 5.0])
        spoilt.failure = FAILED
        set_advantages([alone, spoilt], name)
        assert alone.turn_advantages == [0.0, 0.0]
        assert (alone.teaches, spoilt.teaches, spoilt.turn_advantages) == (False, False, [])


def test_a_failed_episode_is_left_out() -> None:
    for name in TURN_ADVANTAGES:
        sound = group_of([0.0, 1.0], [0.0, 0.0])
        set_advantages(sound, name)
        spoilt = [*group_of([0.0, 1.0], [0.0, 0.0]), episode([9.0], member=2, failure=FAILED, token_ids=[], mask=[])]
        set_advantages(spoilt, name)
        assert [each.turn_advantages for each in spoilt[:2]] == [each.turn_advantages for each in sound]


def test_advantages_of_whole_episodes_take_the_place_of_older_ones() -> None:
    episodes = group_of([0.0, 1.0], [0.0, 0.0])
    set_advantages(episodes, "turn")
    set_advantages(episodes, "dr_grpo")
    assert [each.turn_advantages for each in episodes] == [[], []]
    assert token_advantages(episodes[0]).tolist() == [0.0, 0.5, 0.0, 0.5, 0.5]


def test_turns_that_cancel_still_teach() -> None:
    one = episode([0.0, 0.0], turn_lengths=[1, 1], mask=[True, True], turn_advantages=[1.0, -1.0])
    assert one.advantage == 0
    assert one.teaches


def test_episodes_that_tell_no_turns_are_one_turn() -> None:
    episodes = [replace(each, turn_rewards=[], turn_lengths=[], turn_states=[]) for each in group_of([0, 1.0], [0, 0])]
    set_advantages(episodes, "turn")
    plain = group_of([0, 1.0], [0, 0])
    set_advantages(plain, "grpo")
    assert [each.advantage for each in episodes] == pytest.approx([each.advantage for each in plain])


def test_penalties_are_taken_off_turn_by_turn() -> None:
    one, other = group_of([0.0, 1.0], [0.0, 1.0])
    set_advantages([one, other], "turn", gamma=0.0, penalties=[{(0, 0): [0.5, 0.0]}])
    # Returns -1/2, 1, 0, 1: mean 3/8.
    assert one.turn_advantages[0] < other.turn_advantages[0] < 0 < one.turn_advantages[1] == other.turn_advantages[1]
    assert one.turn_rewards == [0.0, 1.0], "what the environment paid stays"


def test_kl_is_taken_off_the_turn_that_spent_it() -> None:
    one = episode([0.0, 0.0])
    kl = torch.tensor([9.0, 1.0, 9.0, 2.0, 3.0])  # where nothing was sampled it does not count
    assert kl_penalties([one, episode([1.0], member=1)], {(0, 0): kl}, beta=0.5) == {(0, 0): [0.5, 2.5]}


def test_overlong_penalty_worked_by_hand() -> None:
    penalties = [overlong_penalty(num, longest=100, buffer=40) for num in (0, 60, 61, 80, 99, 100, 130)]
    assert penalties == [0.0, 0.0, 1 / 40, 0.5, 39 / 40, 1.0, 1.0]


def test_a_reward_that_the_estimator_cannot_take() -> None:
    with pytest.raises(TrainerError, match=r"advantage 'maxrl': the reward of episode 1 is -1.0.*choose another"):
        set_advantages(group_of([1.0], [-1.0]), "maxrl")
