"""Advantages against numbers worked by hand, against TRL's own deviation, and under what must not change them."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentrl.trainer.advantage import ADVANTAGES, batch_advantages, group_advantages

REWARDS = st.floats(-10, 10, width=32)
OF_GROUPS = [name for name in ADVANTAGES if name != "reinforce++"]  # that one compares the whole batch
OF_DIFFERENCES = [name for name in ADVANTAGES if name != "maxrl"]  # that one divides by the level of the rewards


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    rewards = draw(st.lists(REWARDS, min_size=1, max_size=24))
    size = len(rewards)
    groups = draw(st.lists(st.integers(-2, 3), min_size=size, max_size=size))
    valid = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return torch.tensor(rewards), torch.tensor(groups), torch.tensor(valid)


def everyone(rewards: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.tensor(rewards),
        torch.zeros(len(rewards), dtype=torch.long),
        torch.ones(len(rewards), dtype=torch.bool),
    )


def test_numbers_worked_by_hand() -> None:
    # Mean 1/4; squares of the differences 9/16 + 3/16 = 3/4, over n - 1 = 3: deviation 1/2.
    assert ADVANTAGES["grpo"](*everyone([1, 0, 0, 0])).tolist() == pytest.approx(
        [0.75 / 0.5001, *[-0.25 / 0.5001] * 3], abs=1e-6
    )
    assert ADVANTAGES["dr_grpo"](*everyone([1, 0, 0, 0])).tolist() == [0.75, -0.25, -0.25, -0.25]
    assert ADVANTAGES["dapo"](*everyone([3, 1])).tolist() == pytest.approx(
        [1 / (math.sqrt(2) + 1e-4), -1 / (math.sqrt(2) + 1e-4)], abs=1e-6
    )


def test_rloo_and_maxrl_worked_by_hand() -> None:
    # The mean of the others: 0 for the best, 1/3 for each of the rest.
    assert ADVANTAGES["rloo"](*everyone([1, 0, 0, 0])).tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    # The mean of the score over successes less that over all: weights of 1/1 - 1/4 and -1/4, times 4 episodes.
    assert ADVANTAGES["maxrl"](*everyone([1, 0, 0, 0])).tolist() == pytest.approx([3, -1, -1, -1])
    assert ADVANTAGES["maxrl"](*everyone([1, 1, 0, 1])).tolist() == pytest.approx([1 / 3, 1 / 3, -1, 1 / 3])
    assert ADVANTAGES["maxrl"](*everyone([0, 0, 0, 0])).tolist() == [0.0] * 4


def test_advantages_of_a_batch_worked_by_hand() -> None:
    rewards, groups = torch.tensor([1.0, 0.0, 3.0, 2.0]), torch.tensor([0, 0, 1, 1])
    valid = torch.ones(4, dtype=torch.bool)
    # Mean 3/2; squares 1/4, 9/4, 9/4, 1/4: deviation sqrt(5/3). A group of the better is above 0 as a whole.
    deviation = math.sqrt(5 / 3) + 1e-4
    assert ADVANTAGES["reinforce++"](rewards, groups, valid).tolist() == pytest.approx(
        [-0.5 / deviation, -1.5 / deviation, 1.5 / deviation, 0.5 / deviation]
    )
    # Differences of 1/2 in both groups: deviation sqrt(1/3).
    deviation = math.sqrt(1 / 3) + 1e-4
    assert ADVANTAGES["reinforce++_baseline"](rewards, groups, valid).tolist() == pytest.approx(
        [0.5 / deviation, -0.5 / deviation] * 2
    )


def test_groups_may_come_in_any_order() -> None:
    rewards, groups = torch.tensor([1.0, 10.0, 0.0, 30.0]), torch.tensor([5, -1, 5, -1])
    advantages = group_advantages(rewards, groups, torch.ones(4, dtype=torch.bool), scale="none")
    assert advantages.tolist() == [0.5, -10.0, -0.5, 10.0]


def test_an_invalid_episode_is_left_out_of_mean_and_deviation() -> None:
    rewards, groups, _ = everyone([1, 0, math.nan, 0, 0])
    valid = torch.tensor([True, True, False, True, True])
    advantages = ADVANTAGES["grpo"](rewards, groups, valid)
    assert advantages[2] == 0
    assert torch.equal(advantages[valid], ADVANTAGES["grpo"](*everyone([1, 0, 0, 0])))


@pytest.mark.parametrize("kind", ADVANTAGES)
def test_a_group_that_teaches_nothing_gets_exact_zeros(kind: str) -> None:
    # In float32 the mean of three times 0.1 is not 0.1, and a difference of 1e-8 over 1e-4 would be an advantage.
    assert ADVANTAGES[kind](*everyone([0.1] * 3)).tolist() == [0.0] * 3
    assert ADVANTAGES[kind](*everyone([0.7])).tolist() == [0.0]
    rewards, groups, _ = everyone([1, 0])
    assert ADVANTAGES[kind](rewards, groups, torch.tensor([True, False])).tolist() == [0.0, 0.0]
    assert ADVANTAGES[kind](rewards, groups, torch.tensor([False, False])).tolist() == [0.0, 0.0]
    assert ADVANTAGES[kind](rewards[:0], groups[:0], groups[:0].bool()).shape == (0,)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_deviation_is_that_of_trl() -> None:
    from trl.trainer.utils import nanstd

    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        rewards_GN = torch.rand(6, 8, generator=generator)
        rewards_GN[torch.rand(6, 8, generator=generator) < 0.2] = torch.nan
        rewards_GN[:, :2] = torch.rand(6, 2, generator=generator)  # TRL leaves NaN where a group has one valid reward
        centred = rewards_GN - rewards_GN.nanmean(dim=1, keepdim=True)
        trl = torch.nan_to_num(centred / (nanstd(rewards_GN, dim=1, keepdim=True) + 1e-4), nan=0.0)
        rewards = rewards_GN.flatten()
        groups = torch.arange(6).repeat_interleave(8)
        ours = group_advantages(rewards, groups, ~rewards.isnan(), scale="group")
        torch.testing.assert_close(ours, trl.flatten(), atol=1e-5, rtol=1e-5)


@settings(deadline=None)  # another program on the machine may take the core
@given(batches(), REWARDS)
def test_a_shift_of_all_rewards_changes_nothing(batch: tuple[Tensor, Tensor, Tensor], shift: float) -> None:
    rewards, groups, valid = batch[0].double(), batch[1], batch[2]
    for estimate in map(ADVANTAGES.__getitem__, OF_DIFFERENCES):
        shifted = estimate(rewards + shift, groups, valid)
        torch.testing.assert_close(shifted, estimate(rewards, groups, valid), atol=1e-4, rtol=1e-4)


@settings(deadline=None)
@given(batches(), st.floats(0.1, 10))
def test_scaling_all_rewards(batch: tuple[Tensor, Tensor, Tensor], factor: float) -> None:
    rewards, groups, valid = batch[0].double(), batch[1], batch[2]
    plain = group_advantages(rewards, groups, valid, scale="none")
    torch.testing.assert_close(group_advantages(rewards * factor, groups, valid, scale="none"), plain * factor)
    # Only the 1e-4 knows of the scale: (1 - 1e-4 / deviation) apart at most, which vanishes for large deviations.
    large = group_advantages(rewards * 1e6, groups, valid, scale="group")
    larger = group_advantages(rewards * 1e6 * factor, groups, valid, scale="group")
    torch.testing.assert_close(larger, large, atol=1e-2, rtol=0)
    others = group_advantages(rewards, groups, valid, scale="others")
    torch.testing.assert_close(group_advantages(rewards * factor, groups, valid, scale="others"), others * factor)
    for estimate in (batch_advantages, ADVANTAGES["reinforce++_baseline"]):
        large, larger = (estimate(rewards * 1e6 * each, groups, valid) for each in (1, factor))
        torch.testing.assert_close(larger, large, atol=1e-2, rtol=0)
    level = group_advantages(rewards.abs(), groups, valid, scale="mean")
    torch.testing.assert_close(group_advantages(rewards.abs() * factor, groups, valid, scale="mean"), level)


@settings(deadline=None)
@given(batches())
def test_rloo_is_the_mean_of_the_others(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    rewards, groups, valid = batch[0].double(), batch[1], batch[2]
    advantages = ADVANTAGES["rloo"](rewards, groups, valid)
    for row in range(len(rewards)):
        others = [
            float(rewards[other])
            for other in range(len(rewards))
            if other != row and bool(valid[other]) and groups[other] == groups[row]
        ]
        wanted = float(rewards[row]) - sum(others) / len(others) if others and bool(valid[row]) else 0.0
        assert float(advantages[row]) == pytest.approx(wanted, abs=1e-5)


@settings(deadline=None)
@given(batches(), st.randoms(use_true_random=False))
def test_order_does_not_matter(batch: tuple[Tensor, Tensor, Tensor], random: Random) -> None:
    rewards, groups, valid = batch[0].abs(), batch[1], batch[2]
    order = torch.tensor(sorted(range(len(rewards)), key=lambda _: random.random()))
    for estimate in ADVANTAGES.values():
        permuted = estimate(rewards[order], groups[order], valid[order])
        torch.testing.assert_close(permuted, estimate(rewards, groups, valid)[order])


@settings(deadline=None)
@given(batches())
def test_each_group_sums_to_zero_and_invalid_rewards_are_not_read(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    rewards, groups, valid = batch[0].abs(), batch[1], batch[2]
    for name, estimate in ADVANTAGES.items():
        advantages = estimate(rewards, groups, valid)
        assert (advantages[~valid] == 0).all()
        for group in set(groups.tolist()) if name in OF_GROUPS else ():
            assert float(advantages[groups == group].sum()) == pytest.approx(0, abs=1e-4)
        spoilt = torch.where(valid, rewards, torch.nan)
        assert torch.equal(estimate(spoilt, groups, valid), advantages)


def test_errors_name_the_value() -> None:
    rewards, groups, valid = everyone([1, math.inf])
    with pytest.raises(ValueError, match="reward of episode 1 is inf"):
        group_advantages(rewards, groups, valid, scale="group")
    with pytest.raises(ValueError, match="scale is 'std'; write one of group, batch"):
        group_advantages(rewards, groups, valid, scale="std")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reward of episode 1 is -1\.0, but maxrl divides by the mean"):
        ADVANTAGES["maxrl"](*everyone([1, -1]))
    with pytest.raises(ValueError, match=r"share one shape"):
        group_advantages(rewards, groups[:1], valid, scale="group")
