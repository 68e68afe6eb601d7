"""Importance weights between the sampler and the trainer: worked by hand, and what must not change them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.objectives import CORRECTIONS, Correction, importance_weights

MASK = torch.tensor([[True, True, False], [True, True, True]])
START = torch.tensor([[4.0, 0.5, math.nan], [2.0, 1.0, 0.25]]).log()  # the sampler gave each a probability of 1
# Products over the episodes: 2 and 0.5. The bound is 1.5.
HAND: dict[Correction, tuple[list[list[float]], float, int]] = {
    "none": ([[1, 1, 1], [1, 1, 1]], 5, 0),
    "token_truncate": ([[1.5, 0.5, 1], [1.5, 1, 0.25]], 4.75, 2),
    "token_mask": ([[0, 0.5, 1], [0, 1, 0.25]], 1.75, 2),
    "sequence_truncate": ([[1.5, 1.5, 1], [0.5, 0.5, 0.5]], 4.5, 2),
    "sequence_mask": ([[0, 0, 1], [0.5, 0.5, 0.5]], 1.5, 2),
}


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_weights_worked_by_hand(correction: Correction) -> None:
    weights, total, above = HAND[correction]
    got, sums = importance_weights(START, torch.zeros(2, 3), MASK, correction=correction, maximum=1.5)
    torch.testing.assert_close(got, torch.tensor(weights).float())
    assert float(sums["correction_sum"]) == pytest.approx(total)
    assert float(sums["correction_bound_sum"]) == above


@settings(deadline=None)  # another program on the machine may take the core
@given(st.data())
def test_invariants(data: st.DataObject) -> None:
    num, length = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    start, sampled = (torch.randn(num, length, generator=generator) for _ in range(2))
    mask = torch.rand(num, length, generator=generator) < 0.7
    options: dict[str, Any] = {"correction": data.draw(st.sampled_from(CORRECTIONS)), "maximum": 2.0}
    weights, sums = importance_weights(start, sampled, mask, **options)
    assert weights.max() <= 2
    assert weights.min() >= 0
    # Rows do not know of each other, and masked places are not read.
    order = data.draw(st.permutations(range(num)))
    spoilt = [torch.where(mask, each, math.nan)[order] for each in (start, sampled)]
    again, same = importance_weights(spoilt[0], spoilt[1], mask[order], **options)
    assert torch.equal(again, weights[order])
    torch.testing.assert_close(same, sums)
    # The same shift on both sides is the same ratio.
    shifted, _ = importance_weights(start + 1, sampled + 1, mask, **options)
    torch.testing.assert_close(shifted, weights)


def test_where_both_agree_nothing_is_corrected() -> None:
    for correction in CORRECTIONS:
        weights, sums = importance_weights(START, START, MASK, correction=correction, maximum=1.5)
        assert torch.equal(weights, torch.ones(2, 3))
        assert float(sums["correction_bound_sum"]) == 0


def test_a_sampler_far_off_stays_finite() -> None:
    far = torch.tensor([[1e4, -1e4]])
    weights, _ = importance_weights(far, torch.zeros(1, 2), torch.ones(1, 2), correction="token_truncate", maximum=3.0)
    assert weights.tolist() == [[3.0, 0.0]]


def test_an_unknown_correction() -> None:
    with pytest.raises(ValueError, match="correction is 'mask'; choose one of none, token_truncate"):
        importance_weights(START, START, MASK, correction="mask", maximum=1.0)  # type: ignore[arg-type]
