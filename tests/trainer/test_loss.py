"""The loss against numbers worked by hand, and under what must not change it; against others: test_loss_trl.py
and test_loss_liger.py.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.loss import KINDS, LossConfig, drop_overlong, token_weights
from tests.trainer.losses import ADVANTAGES, MASK, RATIOS, config_of, loss_of, run

# -min(r A, clip(r, 0.8, 1.2) A), token by token:
#   A = 2:  -min(3.0, 2.4) = -2.4   -min(1.0, 1.6) = -1.0   -min(2.2, 2.2) = -2.2
#   A = -1: -min(-1.5, -1.2) = 1.5  -min(-0.5, -0.8) = 0.8
#   -A r where the clip does not hold the token, else 0: a ratio's derivative after its log-probability is the ratio.
HAND_GRADIENT = [[0.0, -1.0, -2.2], [1.5, 0.0, 0.0]]
CUBE_ROOT, ROOT = (1.5 * 0.5 * 1.1) ** (1 / 3), (1.5 * 0.5) ** 0.5  # the geometric means of both episodes


def gate(ratio: float, temperature: float) -> float:
    return 4 / temperature / (1 + math.exp(-temperature * (ratio - 1)))


def slope(ratio: float, temperature: float) -> float:
    """Derivative of `gate` after the log-probability."""
    sigmoid = 1 / (1 + math.exp(-temperature * (ratio - 1)))
    return 4 * sigmoid * (1 - sigmoid) * ratio


# kind -> options; loss; what each token adds to the gradient, before its weight; weights of both episodes' tokens;
# tokens stopped by the lower and the upper clip; sum of the ratios.
HAND: dict[str, tuple[dict[str, Any], float, list[list[float]], tuple[float, float], tuple[int, int], float]] = {
    "grpo": ({}, ((-2.4 - 1.0 - 2.2) / 3 + (1.5 + 0.8) / 2) / 2, HAND_GRADIENT, (1 / 6, 1 / 4), (1, 1), 5.1),
    "dr_grpo": ({}, (-2.4 - 1.0 - 2.2 + 1.5 + 0.8) / (2 * 10), HAND_GRADIENT, (1 / 20, 1 / 20), (1, 1), 5.1),
    # clip-higher: -min(3.0, 1.28 * 2) = -2.56
    "dapo": ({}, (-2.56 - 1.0 - 2.2 + 1.5 + 0.8) / 5, HAND_GRADIENT, (1 / 5, 1 / 5), (1, 1), 5.1),
    # Bounds of 0.9997 and 1.0004: the first episode fell below, but should rise; the second fell and is held.
    "gspo": (
        {},
        (-2 * CUBE_ROOT + 0.9997) / 2,
        [[-2 * CUBE_ROOT] * 3, [0.0] * 3],
        (1 / 6, 1 / 4),
        (2, 0),
        3 * CUBE_ROOT + 2 * ROOT,
    ),
    # A cap of 1.2, and log-probabilities that are the logarithms of the ratios.
    "cispo": (
        {"epsilon_high": 0.2},
        -(
            2 * (1.2 * math.log(1.5) + 0.5 * math.log(0.5) + 1.1 * math.log(1.1))
            - 1.2 * math.log(1.5)
            - 0.5 * math.log(0.5)
        )
        / 5,
        [[-2.4, -1.0, -2.2], [1.2, 0.5, 0.0]],
        (1 / 5, 1 / 5),
        (0, 1),
        5.1,
    ),
    "sapo": (
        {"temperature_neg": 2.0},
        (-2 * (gate(1.5, 1) + gate(0.5, 1) + gate(1.1, 1)) / 3 + (gate(1.5, 2) + gate(0.5, 2)) / 2) / 2,
        [[-2 * slope(1.5, 1), -2 * slope(0.5, 1), -2 * slope(1.1, 1)], [slope(1.5, 2), slope(0.5, 2), 0.0]],
        (1 / 6, 1 / 4),
        (0, 0),
        5.1,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_loss_worked_by_hand(kind: str) -> None:
    options, wanted, terms, weights, (low, high), ratios = HAND[kind]
    logprobs = RATIOS.log().requires_grad_()
    loss, metrics = loss_of(logprobs, config_of(kind, **options))
    assert float(loss.detach()) == pytest.approx(wanted, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    torch.testing.assert_close(gradient, torch.tensor(terms) * torch.tensor(weights)[:, None])
    assert {name: pytest.approx(float(value)) for name, value in metrics.items()} == {
        "num_tokens": 5.0,
        "ratio_sum": ratios,
        "clip_low_sum": low,
        "clip_high_sum": high,
        "clip_region_sum": low + high,
    }
    assert not any(value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_moves_by_its_own_advantage(kind: str) -> None:
    logprobs = torch.zeros(1, 3, requires_grad=True)
    advantages, mask = torch.tensor([[3.0, -2.0, math.nan]]), torch.tensor([[True, True, False]])
    loss, _ = loss_of(logprobs, config_of(kind), advantages=advantages, mask=mask)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    share = 1 / 10 if kind == "dr_grpo" else 1 / 2
    torch.testing.assert_close(gradient, torch.tensor([[-3.0, 2.0, 0.0]]) * share)


def test_entropy_bonus_worked_by_hand() -> None:
    entropy = torch.tensor([[1.0, 2.0, 3.0], [4.0, 6.0, math.nan]], requires_grad=True)
    for kind, bonus in (("grpo", (2 + 5) / 2), ("dapo", 16 / 5), ("dr_grpo", 16 / 20)):
        plain, _ = loss_of(RATIOS.log(), config_of(kind))
        loss, _ = loss_of(RATIOS.log(), config_of(kind, entropy_bonus=0.1), entropy_BT=entropy)
        assert float(loss.detach() - plain) == pytest.approx(-0.1 * bonus, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, entropy)
    torch.testing.assert_close(gradient, torch.where(MASK, -0.1 / 20, 0.0))


def test_kl_in_the_reward_is_not_in_the_loss() -> None:
    plain, _ = loss_of(RATIOS.log(), LossConfig())
    loss, metrics = loss_of(RATIOS.log(), LossConfig(beta=0.5, kl_in="reward"))
    assert float(loss) == float(plain)
    assert "kl_sum" not in metrics


def test_kl_worked_by_hand() -> None:
    # ref - logprob is log 2, then log 1/2: k3 is 2 - log 2 - 1 and 1/2 + log 2 - 1, their sum 1/2.
    logprobs = torch.zeros(1, 3, requires_grad=True)
    ref = torch.tensor([[2.0, 0.5, 1e9]]).log()
    mask, advantages = torch.tensor([[True, True, False]]), torch.zeros(1)
    loss, metrics = loss_of(logprobs, LossConfig(beta=0.1), ref=ref, mask=mask, advantages=advantages)
    assert float(loss.detach()) == pytest.approx(0.1 * 0.5 / 2)
    assert float(metrics["kl_sum"]) == pytest.approx(0.5)
    (gradient,) = torch.autograd.grad(loss, logprobs)  # d k3 / d logprob = 1 - exp(ref - logprob)
    torch.testing.assert_close(gradient, 0.1 * torch.tensor([[-1.0, 0.5, 0.0]]) / 2)

    loss, metrics = loss_of(logprobs, LossConfig(), ref=ref, mask=mask, advantages=advantages)
    assert float(loss.detach()) == 0, "without beta the KL is measured, not trained on"
    assert float(metrics["kl_sum"]) == pytest.approx(0.5)


def test_kl_stays_exact_near_zero_and_finite_far_out() -> None:
    one = torch.ones(1, 1, dtype=torch.bool)
    for difference in (1e-6, -1e-6, 1e-4, 0.0):
        ref = torch.full((1, 1), difference)
        _, metrics = loss_of(torch.zeros(1, 1), LossConfig(beta=1.0), ref=ref, mask=one, advantages=ADVANTAGES[:1])
        exact = difference**2 / 2 + difference**3 / 6
        assert 0 <= float(metrics["kl_sum"]) == pytest.approx(exact, abs=1e-11)
    for far in (-1e4, 1e4):
        logprobs = torch.zeros(1, 1, requires_grad=True)
        for old, frozen in ((far, 0.0), (0.0, far)):
            for advantage in (1.0, -1.0):
                loss, metrics = loss_of(
                    logprobs,
                    LossConfig(beta=0.1),
                    old=torch.full((1, 1), old),
                    ref=torch.full((1, 1), frozen),
                    mask=one,
                    advantages=torch.tensor([advantage]),
                )
                (gradient,) = torch.autograd.grad(loss, logprobs)
                assert gradient.isfinite().all()
                assert all(value.isfinite() for value in (loss, *metrics.values()))


def test_half_precision_is_computed_in_single() -> None:
    loss, _ = loss_of(RATIOS.log().bfloat16(), LossConfig())
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_without_tokens_adds_nothing(kind: str) -> None:
    logprobs = RATIOS.log().requires_grad_()
    mask = drop_overlong(MASK, torch.tensor([False, True]))
    assert mask.tolist() == [[True] * 3, [False] * 3]
    loss, metrics = loss_of(logprobs, config_of(kind), mask=mask)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert (gradient[1] == 0).all()
    assert float(metrics["num_tokens"]) == 3
    nothing, _ = loss_of(logprobs, config_of(kind), mask=torch.zeros_like(MASK))
    assert float(nothing.detach()) == 0


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    num, length = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    kind = draw(st.sampled_from(sorted(KINDS)))
    shape = (num, length)
    return {
        "config": config_of(
            kind, beta=draw(st.sampled_from([0.0, 0.1])), entropy_bonus=draw(st.sampled_from([0.0, 0.1]))
        ),
        "logprobs": -torch.rand(shape, generator=generator) * 3,
        "old": -torch.rand(shape, generator=generator) * 3,
        "ref": -torch.rand(shape, generator=generator) * 3,
        "advantages": torch.randn(shape if draw(st.booleans()) else num, generator=generator),
        "entropy": torch.rand(shape, generator=generator),
        "correction": torch.rand(shape, generator=generator),
        "mask": torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0])),
    }


@settings(deadline=None)  # another program on the machine may take the core
@given(problems(), st.data())
def test_micro_batches_add_up(problem: dict[str, Any], data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(len(problem["mask"]))))
    cut = data.draw(st.integers(0, len(rows)))
    parts = [run(problem, part) for part in (rows[:cut], rows[cut:]) if part]
    loss, gradient, metrics = run(problem)
    torch.testing.assert_close(sum(part[0] for part in parts), loss)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), gradient[rows])
    for name, value in metrics.items():
        torch.testing.assert_close(sum(part[2][name] for part in parts), value)


@settings(deadline=None)
@given(problems(), st.sampled_from([math.nan, math.inf, -math.inf, 1e30]))
def test_masked_places_are_not_read(problem: dict[str, Any], garbage: float) -> None:
    loss, gradient, metrics = run(problem)
    mask = problem["mask"]
    names = ["logprobs", "old", "ref", "entropy", "correction"]
    names += ["advantages"] * (problem["advantages"].ndim == 2)
    spoilt = problem | {name: torch.where(mask, problem[name], garbage) for name in names}
    spoilt_loss, spoilt_gradient, spoilt_metrics = run(spoilt)
    assert torch.equal(loss, spoilt_loss)
    assert torch.equal(gradient, spoilt_gradient)
    assert (gradient[~mask] == 0).all()
    assert all(torch.equal(value, spoilt_metrics[name]) for name, value in metrics.items())


@settings(deadline=None)
@given(problems(), st.floats(0.1, 10))
def test_scaling_advantages_scales_the_policy_part(problem: dict[str, Any], factor: float) -> None:
    problem["config"] = config_of(problem["config"].kind)
    scaled = problem | {"advantages": problem["advantages"] * factor}
    torch.testing.assert_close(run(scaled)[1], run(problem)[1] * factor)


@settings(deadline=None)
@given(problems())
def test_weights_are_those_of_the_papers(problem: dict[str, Any]) -> None:
    """A per-token loss of 1 everywhere is averaged to 1, by grpo over episodes, by dapo over tokens."""
    mask = problem["mask"]
    counts: dict[str, Any] = {"num_sequences": len(mask), "num_tokens": int(mask.sum()), "max_completion": 5}
    used = float(mask.any(dim=1).float().mean())
    expected = {"dr_grpo": float(mask.sum()) / (len(mask) * 5)}
    expected |= dict.fromkeys(("grpo", "gspo", "sapo"), used) | dict.fromkeys(("dapo", "cispo"), float(mask.any()))
    assert expected.keys() == KINDS.keys()
    for kind, value in expected.items():
        weights = token_weights(mask, kind, **counts)
        assert float(weights.sum()) == pytest.approx(value, abs=1e-6)
        assert (weights[~mask] == 0).all()


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"beta is 0\.1, but no reference"):
        loss_of(RATIOS.log(), LossConfig(beta=0.1))
    with pytest.raises(ValueError, match=r"entropy_bonus is 0\.1, but no entropy"):
        loss_of(RATIOS.log(), LossConfig(entropy_bonus=0.1))
    counts: dict[str, Any] = {"num_sequences": 2, "num_tokens": 5, "max_completion": 10}
    for change, message in (
        ({"num_sequences": 1}, "num_sequences is 1, but one micro-batch has 2"),
        ({"num_tokens": -1}, "num_tokens is -1"),
        ({"max_completion": 0}, "max_completion 0"),
    ):
        with pytest.raises(ValueError, match=message):
            token_weights(MASK, "grpo", **(counts | change))
    with pytest.raises(ValueError, match=r"loss\.kind is 'ppo'"):
        token_weights(MASK, "ppo", **counts)
