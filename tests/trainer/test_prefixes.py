"""Rows that begin alike: laid out as trees they give the same log-probabilities and gradients with fewer tokens."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from agentrl.trainer.batching import micro_batches
from agentrl.trainer.credit import token_advantages
from agentrl.trainer.logprobs import token_logprobs
from agentrl.trainer.model import Head, forget_activations
from agentrl.trainer.prefixes import MAX_PAIRS, Costs, Tree
from agentrl.trainer.types import Episode
from tests.trainer.test_batching import episode

CPU = torch.device("cpu")
FREE = Costs(pair=0.0)  # attention costs nothing: sharing always pays

token_rows = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), min_size=1, max_size=9)


@settings(deadline=None)
@given(token_rows)
def test_a_tree_has_each_distinct_beginning_once(rows: list[list[int]]) -> None:
    tree = Tree.of(rows)
    beginnings = {tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}
    assert len(tree) == len(beginnings)
    for row, path in zip(rows, tree.paths, strict=True):
        assert tree.ids_N[path].tolist() == row
        assert tree.depths_N[path].tolist() == list(range(len(row)))
        assert tree.parents_N[path].tolist() == [-1, *path[:-1]]


@settings(deadline=None)
@given(token_rows)
def test_a_place_sees_its_way_to_the_root(rows: list[list[int]]) -> None:
    tree = Tree.of(rows)
    seen_NN = tree.seen()
    for place in range(len(tree)):
        above, wanted = place, set()
        while above >= 0:
            wanted.add(above)
            above = int(tree.parents_N[above])
        assert set(np.flatnonzero(seen_NN[place]).tolist()) == wanted


def kin(rng: Random, groups: int) -> list[Episode]:
    """Groups of four; each member goes the way of the first for a while."""
    made: list[Episode] = []
    for member in range(4 * groups):
        each = episode(rng, member)
        if each.member:
            first, keep = made[member - each.member], rng.randint(1, 8)
            each.token_ids = first.token_ids[:keep] + each.token_ids[keep:]
            each.mask = first.mask[:keep] + each.mask[keep:]
            each.token_ids, each.logprobs = each.token_ids[: len(each.mask)], [-1.0 * on for on in each.mask]
            each.turn_advantages, each.turn_lengths = [], [sum(each.mask)]
        each.mask[0] = False
        each.mask, each.token_ids = each.mask[: len(each.token_ids)], each.token_ids[: len(each.mask)]
        each.logprobs, each.turn_advantages = [-1.0 * on for on in each.mask], []
        made.append(each)
    return made


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 90))
def test_every_episode_is_in_one_micro_batch(seed: int, groups: int, max_tokens: int) -> None:
    episodes = kin(Random(seed), groups)
    left = {(each.group, each.member): each for each in episodes if any(each.mask)}
    for batch in micro_batches(episodes, max_tokens=max_tokens, device=CPU, costs=FREE):
        assert batch.computed <= max_tokens or len(batch.places) == 1
        for row, place in enumerate(batch.places):
            each = left.pop(place[:2])
            assert batch.ids_BT[row, : len(each.token_ids)].tolist() == each.token_ids
            assert torch.equal(batch.advantages_BT[row, : len(each.token_ids)], token_advantages(each))
        assert batch.num_tokens == sum(len(episodes[4 * group + member].token_ids) for group, member, _ in batch.places)
    assert not left


def passes(model: PreTrainedModel, episodes: list[Episode], costs: Costs | None, max_tokens: int) -> tuple[Any, ...]:
    """Return log-probabilities and entropies by episode, the gradient, and the tokens computed."""
    model.zero_grad()
    head, found, computed = Head(model), {}, 0
    for batch in micro_batches(episodes, max_tokens=max_tokens, device=CPU, costs=costs):
        logprobs_BT, entropy_BT = token_logprobs(model, head, batch, 0.7, entropy_grad=True)
        computed += batch.computed
        (logprobs_BT * batch.advantages_BT + 0.1 * entropy_BT).sum().backward()  # type: ignore[no-untyped-call]
        for row, place in enumerate(batch.places):
            length = len(episodes[4 * place[0] + place[1]].token_ids)
            found[place] = torch.stack([logprobs_BT[row, :length], entropy_BT[row, :length]]).detach()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    return torch.cat([found[place] for place in sorted(found)], dim=1), gradient, computed


@pytest.mark.parametrize("max_tokens", [40, 10_000])
@pytest.mark.parametrize("forgets", [False, True], ids=["keeps activations", "forgets activations"])
def test_the_same_values_and_gradients(tiny_model: Callable[..., Any], max_tokens: int, forgets: bool) -> None:
    model, episodes = tiny_model(seed=2, hidden=32, layers=2), kin(Random(5), 6)
    if forgets:
        forget_activations(model)
        model.train()
    plain, shared = passes(model, episodes, None, max_tokens), passes(model, episodes, FREE, max_tokens)
    model.eval()
    for one, other in zip(plain[:2], shared[:2], strict=True):
        assert float((one - other).abs().max()) < 3e-6 * float(one.abs().max())
    assert shared[2] < 0.9 * plain[2]


def test_a_model_that_attends_to_all_can_share(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(hidden=32, layers=2)
    costs, config = Costs.of(model), model.config
    assert costs is not None
    # Four operations a layer, head, component and pair, against two a weight.
    inside = sum(weight.numel() for name, weight in model.named_parameters() if "embed" not in name)
    operations = 4 * 2 * config.num_attention_heads * config.head_dim
    assert costs.pair == pytest.approx(operations / (2 * inside))


def test_a_window_is_not_shared() -> None:
    shape: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    for window, can in ((4, False), (None, True)):
        config = MistralConfig(**shape, **heads, sliding_window=window)
        assert (Costs.of(MistralForCausalLM(config).eval()) is not None) is can


@pytest.mark.parametrize(
    ("pair", "lengths", "places", "pays"),
    [
        (0.001, [100] * 8, 300, True),
        (0.001, [100] * 8, 800, False),  # nothing in common: the mask only costs
        (0.001, [8000] * 8, 60_000, False),
        (0.0, [8000] * 8, int(MAX_PAIRS**0.5) + 1, False),  # the mask alone would fill the memory
    ],
)
def test_where_it_pays(pair: float, lengths: list[int], places: int, pays: bool) -> None:
    assert Costs(pair=pair).pays(lengths, places) is pays
