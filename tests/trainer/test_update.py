"""A training step against the textbook: one plain pass an episode, unpadded, with the formula written out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.credit import set_advantages
from agentrl.trainer.model import load_model
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from tests.trainer.updates import LONGEST, config, flat, logprobs_of, made_episodes


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1, hidden=48, layers=2)


@pytest.fixture
def episodes(model: Any) -> list[Episode]:
    return made_episodes(model)


def textbook(model: Any, reference: Any, episodes: list[Episode], kind: str, beta: float) -> dict[str, Tensor]:
    """Return the gradient of the loss of GRPO (arXiv 2402.03300), Dr. GRPO (2503.20783) or DAPO (2503.14476)."""
    high = 0.28 if kind == "dapo" else 0.2
    valid = [episode for episode in episodes if episode.failure is None]
    # DAPO's overlong filtering takes an episode that was cut out of the loss, though not out of its group's baseline.
    counted = [episode for episode in valid if kind != "dapo" or episode.truncated_by is None]
    num_tokens = sum(sum(episode.mask) for episode in counted)
    model.zero_grad()
    for episode in counted:
        rewards = torch.tensor([other.reward for other in valid if other.group == episode.group])
        advantage = episode.reward - rewards.mean()  # 0 for the only one of its group
        if kind != "dr_grpo" and len(rewards) > 1:
            advantage = advantage / (rewards.std() + 1e-4)
        new = logprobs_of(model, episode)
        old = torch.tensor(episode.logprobs[1:])
        loss = torch.zeros(())
        for place, on in enumerate(episode.mask[1:]):
            if on:
                ratio = (new[place] - old[place]).exp()
                loss = loss - torch.min(ratio * advantage, ratio.clamp(0.8, 1 + high) * advantage)
        if beta:
            with torch.no_grad():
                ref = logprobs_of(reference, episode)
            k3 = (ref - new).exp() - (ref - new) - 1
            loss = loss + beta * k3[torch.tensor(episode.mask[1:])].sum()
        share = {"grpo": len(valid) * sum(episode.mask), "dr_grpo": len(valid) * LONGEST, "dapo": num_tokens}[kind]
        (loss / share).backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def gradient_of(model: Any, reference: Any, episodes: list[Episode], config: TrainConfig) -> dict[str, Tensor]:
    """Return what one step of the updater leaves in `grad`."""
    model = copy.deepcopy(model)
    set_advantages(episodes, config.advantage)
    Updater(model, reference, config).step(episodes, 1)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor], *, share: float = 1e-4) -> None:
    assert got.keys() == wanted.keys()
    assert any(float(value.abs().max()) > 1e-4 for value in wanted.values())
    for name, value in wanted.items():
        largest = float(value.abs().max())
        torch.testing.assert_close(got[name], value, rtol=share, atol=share * max(largest, 1e-6), msg=name)


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["grpo", "dr_grpo", "dapo"])
def test_gradient_is_the_textbooks(
    model: Any, tiny_model: Callable[..., Any], episodes: list[Episode], kind: str, beta: float
) -> None:
    reference = tiny_model(seed=2, hidden=48, layers=2) if beta else None
    wanted = textbook(model, reference, episodes, kind, beta)
    for micro_batch_tokens in (1, 100, 16_384):
        run = config(kind, beta=beta, micro_batch_tokens=micro_batch_tokens)
        assert_same(gradient_of(model, reference, episodes, run), wanted)


@pytest.mark.parametrize("kind", ["grpo", "dr_grpo", "dapo"])
def test_conversations_of_an_episode_see_nothing_of_each_other_and_count_as_one(
    model: Any, episodes: list[Episode], kind: str
) -> None:
    alone = textbook(model, None, episodes, kind, 0.0)
    for episode in [each for each in episodes if any(each.mask)][::2]:
        sampled = [place for place, on in enumerate(episode.mask) if on]
        cut = next(place for place in range(sampled[0], sampled[-1]) if not episode.mask[place])
        episode.segments = [cut, len(episode.mask) - cut]
    wanted = textbook(model, None, episodes, kind, 0.0)
    assert max(float((alone[name] - wanted[name]).abs().max()) for name in wanted) > 1e-4
    for micro_batch_tokens in (1, 100, 16_384):
        assert_same(gradient_of(model, None, episodes, config(kind, micro_batch_tokens=micro_batch_tokens)), wanted)


def test_members_without_advantage_change_nothing_but_the_mean(model: Any, episodes: list[Episode]) -> None:
    idle = [episode for episode in episodes if episode.group == 1]
    busy = [episode for episode in episodes if episode.group != 1]
    alone, together = (gradient_of(model, None, part, config()) for part in (busy, episodes))
    counts = [sum(episode.failure is None for episode in part) for part in (busy, episodes)]
    assert_same({name: value * counts[1] / counts[0] for name, value in together.items()}, alone, share=1e-5)
    # Nothing to learn at all: the weights stay, bit for bit.
    before = copy.deepcopy(model.state_dict())
    set_advantages(idle, "grpo")
    measured = Updater(model, None, config()).step(idle, 1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (
        measured["sampling/sampling_logp_difference/mean"] > 0.1
    )  # agreement with the engine is measured all the same


def test_several_updates_a_step_are_several_steps(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    once, twice = copy.deepcopy(model), copy.deepcopy(model)
    one = Updater(once, None, config())
    parts = [one.step([episode for episode in episodes if episode.group in pair], 1) for pair in ((0, 1), (2, 3))]
    both = Updater(twice, None, config(updates_per_step=2)).step(episodes, 1)
    for name, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[name]), name
    assert both["loss"] == pytest.approx((parts[0]["loss"] + parts[1]["loss"]) / 2)
    assert both["grad_norm"] == pytest.approx((parts[0]["grad_norm"] + parts[1]["grad_norm"]) / 2)
    # Whether the engine agrees can be told before the first update only.
    first = parts[0]["sampling/sampling_logp_difference/mean"]
    assert both["sampling/sampling_logp_difference/mean"] == pytest.approx(first)


def test_metrics_are_means_over_tokens(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    trained = [episode for episode in episodes if episode.advantage]
    with torch.no_grad():
        new = torch.cat([logprobs_of(model, e)[torch.tensor(e.mask[1:])] for e in trained])
    old = torch.cat([torch.tensor(e.logprobs[1:])[torch.tensor(e.mask[1:])] for e in trained])
    measured = Updater(model, None, config(micro_batch_tokens=150)).step(episodes, 1)
    assert measured["sampling/sampling_logp_difference/mean"] == pytest.approx(
        float((new - old).abs().mean()), rel=1e-4
    )
    ratio = float((new - old).exp().mean())
    assert measured["sampling/importance_sampling_ratio/mean"] == pytest.approx(ratio, rel=1e-4)
    assert 0 < measured["clip_ratio/region_mean"] < 1
    assert measured["clip_ratio/region_mean"] == pytest.approx(
        measured["clip_ratio/low_mean"] + measured["clip_ratio/high_mean"]
    )
    assert 0 < measured["entropy"] < 5.8  # ln 300 = 5.7
    assert "kl" not in measured


def test_weights_of_the_sampler_are_corrected(model: Any, episodes: list[Episode]) -> None:
    """The gradient with start = sampled times the importance weight, at the first update; metrics tell of the bound."""
    set_advantages(episodes, "grpo")
    run = config(correction="token_truncate", correction_max=1.1)
    trained = copy.deepcopy(model)
    measured = Updater(trained, None, run).step(episodes, 1)
    valid = [episode for episode in episodes if episode.failure is None]
    ratios = []
    model.zero_grad()
    for episode in valid:
        new, on = logprobs_of(model, episode), torch.tensor(episode.mask[1:])
        ratio = (new.detach() - torch.tensor(episode.logprobs[1:])).exp()[on]
        ratios += ratio.tolist() if episode.advantage else []
        # At the start of the step r = 1, so that the gain's gradient is that of A logprob.
        loss = -(ratio.clamp(max=1.1) * episode.advantage * new[on]).sum() / (len(valid) * sum(episode.mask))
        loss.backward()  # type: ignore[no-untyped-call]
    wanted = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    assert_same({name: parameter.grad for name, parameter in trained.named_parameters()}, wanted)
    mean = sum(min(ratio, 1.1) for ratio in ratios) / len(ratios)
    assert measured["sampling/importance_sampling_ratio/mean"] == pytest.approx(mean, rel=1e-4)
    above = sum(ratio > 1.1 for ratio in ratios) / len(ratios)
    assert 0.1 < measured["sampling/importance_sampling_ratio/bound_ratio"] == pytest.approx(above)
    assert measured["clip_ratio/region_mean"] == 0, "the clip is around the start of the step, not around the sampler"


def test_later_updates_are_clipped_around_the_start_of_the_step(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    run = config(correction="sequence_mask", updates_per_step=2, lr=1e-2)
    twice = copy.deepcopy(model)
    measured = Updater(twice, None, run).step(episodes, 1)
    assert measured["clip_ratio/region_mean"] > 0
    # By hand: the first half, then the second with the log-probabilities of the weights before it.
    first = [episode for episode in episodes if episode.group in (0, 1)]
    second = [episode for episode in episodes if episode.group in (2, 3) and episode.failure is None]
    once = copy.deepcopy(model)
    updater = Updater(once, None, config(correction="sequence_mask", lr=1e-2))
    updater.step(first, 1)
    with torch.no_grad():
        before = {id(episode): logprobs_of(model, episode) for episode in second}
    once.zero_grad()
    for episode in second:
        on = torch.tensor(episode.mask[1:])
        start = before[id(episode)][on]
        weight = float((start - torch.tensor(episode.logprobs[1:])[on]).sum().exp())
        weight = 0.0 if weight > 3 else weight
        ratio = (logprobs_of(once, episode)[on] - start).exp()
        gain = torch.min(ratio * episode.advantage, ratio.clamp(0.8, 1.2) * episode.advantage)
        loss = -(weight * gain).sum() / (len(second) * sum(episode.mask))
        loss.backward()  # type: ignore[no-untyped-call]
    wanted = {name: parameter.grad for name, parameter in once.named_parameters()}
    assert_same({name: parameter.grad for name, parameter in twice.named_parameters()}, wanted, share=1e-3)


def test_entropy_bonus_raises_the_entropy(model: Any, episodes: list[Episode]) -> None:
    idle = [episode for episode in episodes if episode.group == 1]  # no advantage: nothing but the bonus
    set_advantages(idle, "grpo")
    updater = Updater(model, None, config(entropy_bonus=0.1, lr=1e-3))
    entropies = [updater.step(idle, step)["entropy"] for step in range(1, 6)]
    assert entropies == sorted(entropies)
    assert entropies[-1] > entropies[0]


def test_kl_to_the_reference(model: Any, tiny_model: Callable[..., Any], episodes: list[Episode]) -> None:
    reference = tiny_model(seed=2, hidden=48, layers=2)
    run = config(beta=0.1, kl_in="reward", micro_batch_tokens=150)
    found = Updater(model, reference, run).kl_to_reference(episodes)
    valid = [episode for episode in episodes if episode.failure is None]
    assert set(found) == {(episode.group, episode.member) for episode in valid}
    for episode in valid:
        with torch.no_grad():
            ref = logprobs_of(reference, episode)
        on = torch.tensor(episode.mask)
        wanted = torch.where(on[1:], torch.tensor(episode.logprobs[1:]) - ref, 0.0)
        torch.testing.assert_close(found[episode.group, episode.member][1:], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="there is no reference model"):
        Updater(model, None, run).kl_to_reference(episodes)


def test_a_penalty_is_taken_off_the_reward(episodes: list[Episode]) -> None:
    group = [episode for episode in episodes if episode.group == 1]  # equal rewards
    set_advantages(group, "dr_grpo", penalties=[{(1, 0): [0.5], (1, 3): [0.25]}, {(1, 3): [-0.15]}])
    assert [episode.advantage for episode in group] == pytest.approx([-0.35, 0.15, 0.15, 0.05])
    assert [episode.reward for episode in group] == [1.0] * 4


def test_activations_that_are_forgotten_change_nothing(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    for part in model.modules():
        if hasattr(part, "attention_dropout"):
            part.attention_dropout = 0.5  # training mode would turn it on
    other = copy.deepcopy(model)
    plain, forgetful = (
        Updater(model, None, config()),
        Updater(other, None, replace(config(), gradient_checkpointing=True)),
    )
    passes = {"kept": 0, "forgotten": 0}
    for name, each in (("kept", model), ("forgotten", other)):
        each.model.layers[0].self_attn.register_forward_hook(
            lambda *args, name=name: passes.__setitem__(name, passes[name] + 1)
        )
    kept, forgotten = plain.step(episodes, 1), forgetful.step(episodes, 1)
    assert passes["forgotten"] == 2 * passes["kept"]
    assert forgotten["grad_norm"] == pytest.approx(kept["grad_norm"], rel=1e-5)
    assert not other.training
    torch.testing.assert_close(flat(model), flat(other), rtol=1e-3, atol=1e-5)


def test_the_rate_rises_and_falls(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    run = config(lr=1e-2, warmup_steps=4, final_lr_share=0.1)
    updater = Updater(model, None, run)
    rates = {step: updater.step(episodes, step)["learning_rate"] for step in (1, 2, 4, 52, 100)}
    assert rates == pytest.approx({1: 2.5e-3, 2: 5e-3, 4: 1e-2, 52: 5.5e-3, 100: 1e-3})


def test_the_gradient_is_clipped(model: Any, episodes: list[Episode]) -> None:
    set_advantages(episodes, "grpo")
    free, held = copy.deepcopy(model), copy.deepcopy(model)
    norm = Updater(free, None, config()).step(episodes, 1)["grad_norm"]
    assert Updater(held, None, config(max_grad_norm=norm / 10)).step(episodes, 1)["grad_norm"] == pytest.approx(norm)
    for one, other in zip(free.parameters(), held.parameters(), strict=True):
        torch.testing.assert_close(other.grad * 10, one.grad, rtol=1e-3, atol=1e-6)


def test_dropout_is_off(model: Any, episodes: list[Episode]) -> None:
    model.train()
    updater = Updater(model, None, config())
    set_advantages(episodes, "grpo")
    updater.step(episodes, 1)
    assert not model.training


def test_small_steps_are_not_rounded_away_in_bfloat16(episodes: list[Episode], model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    models = [load_model(str(tmp_path), device=torch.device("cpu"), dtype=dtype) for dtype in ("float32", "bfloat16")]
    assert {weight.dtype for weight in models[1].parameters()} == {torch.bfloat16}
    start = [flat(each) for each in models]
    set_advantages(episodes, "grpo")
    updaters = [Updater(each, None, config(lr=5e-6)) for each in models]
    for updater in updaters:
        for step in range(1, 21):
            updater.step(episodes, step)
    wanted, got = (flat(each) - before for each, before in zip(models, start, strict=True))
    # Most weights have not reached the next number of bfloat16, some have gone past it: on average as far as float32.
    assert float(got @ wanted / (wanted @ wanted)) == pytest.approx(1, abs=0.15)
    precise, coarse = (updater.optimizer.state_dict()["copies"] for updater in updaters)
    assert precise == []
    for weight, kept in zip(models[1].parameters(), coarse, strict=True):
        assert kept.dtype == torch.float32
        assert torch.equal(weight, kept.to(torch.bfloat16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_optimizer_goes_on_from_its_state(model: Any, episodes: list[Episode], dtype: torch.dtype) -> None:
    set_advantages(episodes, "grpo")
    whole = model.to(dtype)
    updater = Updater(whole, None, config())
    for step in (1, 2):
        updater.step(episodes, step)
    broken = copy.deepcopy(whole)
    resumed = Updater(broken, None, config())
    resumed.optimizer.load_state_dict(copy.deepcopy(updater.optimizer.state_dict()))
    for each in (updater, resumed):
        each.step(episodes, 3)
    for one, other in zip(whole.parameters(), broken.parameters(), strict=True):
        assert torch.equal(one, other)
