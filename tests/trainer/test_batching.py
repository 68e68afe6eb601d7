"""Micro-batches: every token once, in its place, whatever the size; padding says nothing."""

from __future__ import annotations

from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.batching import micro_batches
from agentrl.trainer.credit import token_advantages
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode


def episode(rng: Random, member: int) -> Episode:
    """An episode of some turns, each with an advantage of its own or all with one."""
    lengths = [rng.randint(1, 4) for _ in range(rng.randint(1, 3))]
    mask = [on for length in lengths for on in (*[False] * rng.randint(1, 3), *[True] * length)]
    return blank_episode(
        group=member // 4,
        member=member % 4,
        token_ids=[rng.randint(1, 99) for _ in mask],
        mask=mask,
        logprobs=[-rng.random() if on else 0.0 for on in mask],
        truncated_by=rng.choice([None, "length", "turns"]),
        num_turns=len(lengths),
        advantage=rng.gauss(0, 1),
        turn_lengths=lengths,
        turn_advantages=[rng.gauss(0, 1) for _ in lengths] if rng.random() < 0.5 else [],
    )


@settings(deadline=None)  # another program on the machine may take the core
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 120))
def test_every_token_is_there_once(seed: int, num: int, max_tokens: int) -> None:
    rng = Random(seed)
    episodes = [episode(rng, member) for member in range(num)]
    left = {(each.group, each.member): each for each in episodes if any(each.mask)}
    for batch in micro_batches(episodes, max_tokens=max_tokens, device=torch.device("cpu")):
        assert batch.ids_BT.numel() <= max_tokens or len(batch.ids_BT) == 1
        for row, place in enumerate(batch.places):
            each = left.pop(place[:2])
            length = len(each.token_ids)
            assert batch.ids_BT[row, :length].tolist() == each.token_ids
            assert batch.mask_BT[row, :length].tolist() == each.mask
            assert torch.equal(batch.old_logprobs_BT[row, :length], torch.tensor(each.logprobs))
            assert torch.equal(batch.advantages_BT[row, :length], token_advantages(each))
            assert bool(batch.overlong_B[row]) == (each.truncated_by == "length")
            for tensor in (batch.ids_BT, batch.mask_BT, batch.old_logprobs_BT, batch.advantages_BT):
                assert not tensor[row, length:].any()
    assert not left


def test_tokens_of_a_turn_have_its_advantage() -> None:
    one = episode(Random(0), 0)
    one.mask, one.turn_lengths = [False, True, False, False, True, True], [1, 2]
    one.advantage, one.turn_advantages = 9.0, [0.5, -1.5]
    assert token_advantages(one).tolist() == [0.0, 0.5, 0.0, 0.0, -1.5, -1.5]
    one.turn_advantages = []
    assert token_advantages(one).tolist() == [0.0, 9.0, 0.0, 0.0, 9.0, 9.0]
