"""The loss against numbers worked by hand, against TRL 1.16's `_compute_loss`, and under what must not change it.

What Liger says of it is in test_loss_liger.py.
"""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loss import KINDS, LossConfig, drop_overlong, policy_loss, token_weights

# Two episodes, the second one token shorter; old log-probabilities of 0, so that exp(log-probability) is the ratio.
RATIOS = torch.tensor([[1.5, 0.5, 1.1], [1.5, 0.5, 9.9]])
MASK = torch.tensor([[True, True, True], [True, True, False]])
ADVANTAGES = torch.tensor([2.0, -1.0])
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


def loss_of(
    logprobs: Tensor,
    config: LossConfig,
    *,
    old: Tensor | None = None,
    ref: Tensor | None = None,
    advantages: Tensor = ADVANTAGES,
    mask: Tensor = MASK,
    weights: Tensor | None = None,
    **more: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    if weights is None:
        counts = {"num_sequences": len(mask), "num_tokens": int(mask.sum())}
        weights = token_weights(mask, config.kind, max_completion=10, **counts)
    return policy_loss(
        logprobs_BT=logprobs,
        old_logprobs_BT=torch.zeros_like(logprobs) if old is None else old,
        ref_logprobs_BT=ref,
        advantages_BT=advantages if advantages.ndim == 2 else advantages.unsqueeze(1),
        mask_BT=mask,
        weights_BT=weights,
        config=config,
        **more,
    )


def config_of(kind: str, **more: Any) -> LossConfig:
    return LossConfig(kind=kind, **more)  # type: ignore[arg-type]


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


def run(problem: dict[str, Any], rows: list[int] | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss, gradient and metrics of some rows, weighted as parts of the whole."""
    mask = problem["mask"]
    rows = list(range(len(mask))) if rows is None else rows
    counts = {"num_sequences": len(mask), "num_tokens": int(mask.sum()), "max_completion": 5}
    logprobs = problem["logprobs"][rows].clone().requires_grad_()
    loss, metrics = loss_of(
        logprobs,
        problem["config"],
        old=problem["old"][rows],
        ref=problem["ref"][rows],
        advantages=problem["advantages"][rows],
        mask=mask[rows],
        weights=token_weights(mask[rows], problem["config"].kind, **counts),
        **{f"{name}_BT": problem[name][rows] for name in ("entropy", "correction") if name in problem},
    )
    return loss.detach(), torch.autograd.grad(loss, logprobs)[0], metrics


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
    counts = {"num_sequences": len(mask), "num_tokens": int(mask.sum()), "max_completion": 5}
    used = float(mask.any(dim=1).float().mean())
    expected = {"dr_grpo": float(mask.sum()) / (len(mask) * 5)}
    expected |= dict.fromkeys(("grpo", "gspo", "sapo"), used) | dict.fromkeys(("dapo", "cispo"), float(mask.any()))
    assert expected.keys() == KINDS.keys()
    for kind, value in expected.items():
        weights = token_weights(mask, kind, **counts)
        assert float(weights.sum()) == pytest.approx(value, abs=1e-6)
        assert (weights[~mask] == 0).all()


class Trl:
    """TRL's own `GRPOTrainer._compute_loss`, handed the few attributes that it reads, and a model that is a tensor."""

    def __init__(self, config: LossConfig, *, num_steps: int, max_completion: int) -> None:
        self.loss_type = "grpo" if config.kind == "gspo" else config.kind
        self.beta = config.beta
        self.epsilon_low = config.clip_low
        self.epsilon_high = config.clip_high + (config.kind == "cispo")  # theirs is the cap itself
        self.max_completion_length = max_completion
        self.current_gradient_accumulation_steps = num_steps
        self.args = SimpleNamespace(
            delta=None,
            use_bias_correction_kl=False,
            steps_per_generation=num_steps,
            sapo_temperature_pos=config.temperatures[0],
            sapo_temperature_neg=config.temperatures[1],
        )
        self.importance_sampling_level = "sequence" if config.kind == "gspo" else "token"
        self.top_entropy_quantile = 1.0
        self.off_policy_mask_threshold = None
        self.aux_loss_enabled = self.use_adaptive_entropy = False
        self.use_vllm = self.vllm_importance_sampling_correction = True  # only that a correction is multiplied in
        self.entropy_coef = config.entropy_bonus
        self._entropy_bonus_enabled = config.entropy_bonus > 0
        self.entropies = torch.zeros(())
        self.model = SimpleNamespace(training=True)
        self._metrics: dict[str, Any] = {"train": defaultdict(list)}
        self.accelerator = SimpleNamespace(
            num_processes=1, reduce=lambda x, reduction: x, gather=lambda x: x, sync_gradients=True
        )

    def _get_per_token_logps_and_entropies(
        self, model: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor, None]:
        return model, self.entropies.expand_as(model), None

    def loss(self, logprobs: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        from trl import GRPOTrainer

        loss: Tensor = GRPOTrainer._compute_loss(self, logprobs, inputs)
        return loss


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("num_steps", [1, 2])
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_trl(kind: str, beta: float, num_steps: int) -> None:
    config = config_of(kind, beta=beta)
    generator = torch.Generator().manual_seed(len(kind) + num_steps)
    for _ in range(20):
        num, length = 8, 12
        shape = (num, length)
        old = -torch.rand(shape, generator=generator) * 4
        logprobs = old + torch.randn(shape, generator=generator) * 0.4
        ref = old + torch.randn(shape, generator=generator) * 0.4
        advantages = torch.randn(num, generator=generator)
        lengths = torch.randint(1, length + 1, (num, 1), generator=generator)
        completion_mask = torch.arange(length) < lengths
        tool_mask = torch.rand(shape, generator=generator) < 0.8  # text of the environment inside a completion
        tool_mask[:, 0] = True
        mask = completion_mask & tool_mask
        problem: dict[str, Any] = {
            "config": config,
            "logprobs": logprobs,
            "old": old,
            "ref": ref,
            "advantages": advantages,
            "mask": mask,
            # Each token of gspo moves by its own weight; theirs by the mean of its episode's.
            "correction": torch.rand((num, 1) if kind == "gspo" else shape, generator=generator).expand(shape) * 2,
        }

        trl = Trl(config, num_steps=num_steps, max_completion=5)
        theirs = logprobs.clone().requires_grad_()
        total = torch.zeros(())
        for rows in torch.arange(num).chunk(num_steps):
            inputs = {
                "prompt_ids": torch.zeros(len(rows), 1, dtype=torch.long),
                "prompt_mask": torch.ones(len(rows), 1, dtype=torch.long),
                "completion_ids": torch.zeros(len(rows), length, dtype=torch.long),
                "completion_mask": completion_mask[rows].long(),
                "tool_mask": tool_mask[rows].long(),
                "advantages": advantages[rows],
                "old_per_token_logps": old[rows],
                "ref_per_token_logps": ref[rows],
                "num_items_in_batch": mask.sum(),
                "importance_sampling_ratio": problem["correction"][rows],
            }
            total = total + trl.loss(theirs[rows], inputs)
        (their_gradient,) = torch.autograd.grad(total, theirs)

        loss, gradient, metrics = run(problem)
        torch.testing.assert_close(loss, total.detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient, their_gradient, atol=1e-5, rtol=1e-5)
        if num_steps == 1 and kind not in ("gspo", "cispo", "sapo"):  # they count episodes, or nothing
            pairs = {"clip_ratio/low_mean": "clip_low_sum", "clip_ratio/high_mean": "clip_high_sum"}
            pairs |= {"clip_ratio/region_mean": "clip_region_sum"} | ({"kl": "kl_sum"} if beta else {})
            for their_name, name in pairs.items():
                ours = float(metrics[name] / metrics["num_tokens"])
                assert ours == pytest.approx(trl._metrics["train"][their_name][-1], abs=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_entropy_bonus_is_trls_where_tokens_are_averaged() -> None:
    config = LossConfig(kind="dapo", entropy_bonus=0.3)
    trl = Trl(config, num_steps=1, max_completion=5)
    entropy = torch.rand(2, 3)
    trl.entropies = entropy.clone().requires_grad_()
    inputs = {
        "prompt_ids": torch.zeros(2, 1, dtype=torch.long),
        "prompt_mask": torch.ones(2, 1, dtype=torch.long),
        "completion_ids": torch.zeros(2, 3, dtype=torch.long),
        "completion_mask": MASK.long(),
        "advantages": ADVANTAGES,
        "old_per_token_logps": torch.zeros(2, 3),
        "num_items_in_batch": MASK.sum(),
        "importance_sampling_ratio": torch.ones(2, 3),
    }
    theirs = trl.loss(RATIOS.log(), inputs)
    mine = entropy.clone().requires_grad_()
    ours, _ = loss_of(RATIOS.log(), config, entropy_BT=mine)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    (gradient,), (their_gradient,) = torch.autograd.grad(ours, mine), torch.autograd.grad(theirs, trl.entropies)
    torch.testing.assert_close(gradient, their_gradient, atol=1e-6, rtol=1e-5)


def test_defaults() -> None:
    assert (LossConfig().clip_high, LossConfig().drops_overlong) == (0.2, False)
    assert (LossConfig(kind="dapo").clip_high, LossConfig(kind="dapo").drops_overlong) == (0.28, True)
    assert LossConfig(kind="dr_grpo", epsilon_low=0.1).clip_high == 0.1
    assert LossConfig(kind="dapo", epsilon_high=0.5).clip_high == 0.5
    assert not LossConfig(kind="dapo", mask_overlong=False).drops_overlong
    assert (LossConfig(kind="gspo").clip_low, LossConfig(kind="gspo").clip_high) == (3e-4, 4e-4)
    assert LossConfig(kind="cispo").clip_high == 4
    assert LossConfig(kind="sapo", temperature_neg=2.0).temperatures == (1.0, 2.0)
    assert not LossConfig(beta=0.1, kl_in="reward").trains_all
    assert LossConfig(entropy_bonus=0.1).trains_all


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "drgrpo"}, "loss.kind is 'drgrpo', which is no loss; did you mean 'dr_grpo'"),
        ({"kind": "xyz"}, "choose one of grpo, dr_grpo, dapo"),
        ({"mask_overlong": True}, "mask_overlong is True, which changes nothing under loss.kind 'grpo'.*kind to dapo"),
        ({"kind": "dr_grpo", "mask_overlong": True}, "changes nothing under loss.kind 'dr_grpo'"),
        ({"epsilon_low": 1.0}, "epsilon_low is 1.0, .*clip nothing; write 0.2"),
        ({"epsilon_low": 0.0}, "epsilon_low is 0.0"),
        ({"epsilon_high": 0.0}, "epsilon_high is 0.0, .*default of grpo, 0.2"),
        ({"kind": "dapo", "epsilon_high": math.nan}, "epsilon_high is nan, .*default of dapo, 0.28"),
        ({"kind": "cispo", "epsilon_low": 0.2}, "epsilon_low is 0.2, which changes nothing under loss.kind 'cispo'"),
        ({"kind": "sapo", "epsilon_high": 0.2}, "epsilon_high is 0.2, .*under loss.kind 'sapo'.*or gspo or cispo"),
        (
            {"temperature_pos": 1.0},
            "temperature_pos is 1.0, which changes nothing under loss.kind 'grpo'.*kind to sapo",
        ),
        ({"kind": "sapo", "temperature_neg": 0.0}, "temperature_neg is 0.0, but must be a number above 0"),
        ({"kl_in": "reward"}, "kl_in is 'reward', which changes nothing while loss.beta is 0"),
        ({"kl_in": "both", "beta": 1.0}, "kl_in is 'both'; choose one of loss, reward"),
        ({"entropy_bonus": -1.0}, "entropy_bonus is -1.0"),
        ({"correction": "truncate"}, "correction is 'truncate'; choose one of none, token_truncate"),
        ({"correction_max": 2.0}, "correction_max is 2.0, which changes nothing while loss.correction is 'none'"),
        ({"correction": "token_mask", "correction_max": 0.0}, "correction_max is 0.0, but must be"),
        ({"beta": -0.1}, "beta is -0.1"),
        ({"beta": math.inf}, "beta is inf"),
    ],
)
def test_a_wrong_or_idle_knob_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LossConfig(**values)


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"beta is 0\.1, but no reference"):
        loss_of(RATIOS.log(), LossConfig(beta=0.1))
    with pytest.raises(ValueError, match=r"entropy_bonus is 0\.1, but no entropy"):
        loss_of(RATIOS.log(), LossConfig(entropy_bonus=0.1))
    counts = {"num_sequences": 2, "num_tokens": 5, "max_completion": 10}
    for change, message in (
        ({"num_sequences": 1}, "num_sequences is 1, but one micro-batch has 2"),
        ({"num_tokens": -1}, "num_tokens is -1"),
        ({"max_completion": 0}, "max_completion 0"),
    ):
        with pytest.raises(ValueError, match=message):
            token_weights(MASK, "grpo", **(counts | change))
    with pytest.raises(ValueError, match=r"loss\.kind is 'ppo'"):
        token_weights(MASK, "ppo", **counts)
