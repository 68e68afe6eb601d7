"""The loss against numbers worked by hand, against TRL 1.16's `_compute_loss`, and under what must not change it."""

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
HAND = {
    "grpo": ((-2.4 - 1.0 - 2.2) / 3 + (1.5 + 0.8) / 2) / 2,
    "dr_grpo": (-2.4 - 1.0 - 2.2 + 1.5 + 0.8) / (2 * 10),
    "dapo": (-2.56 - 1.0 - 2.2 + 1.5 + 0.8) / 5,  # clip-higher: -min(3.0, 1.28 * 2) = -2.56
}
# -A r where the clip does not hold the token, else 0; the derivative of a ratio after its log-probability is the ratio.
HAND_GRADIENT = torch.tensor([[0.0, -1.0, -2.2], [1.5, 0.0, 0.0]])


def loss_of(
    logprobs: Tensor,
    config: LossConfig,
    *,
    old: Tensor | None = None,
    ref: Tensor | None = None,
    advantages: Tensor = ADVANTAGES,
    mask: Tensor = MASK,
    weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    if weights is None:
        counts = {"num_sequences": len(mask), "num_tokens": int(mask.sum())}
        weights = token_weights(mask, config.kind, max_completion=10, **counts)
    return policy_loss(
        logprobs_BT=logprobs,
        old_logprobs_BT=torch.zeros_like(logprobs) if old is None else old,
        ref_logprobs_BT=ref,
        advantages_B=advantages,
        mask_BT=mask,
        weights_BT=weights,
        config=config,
    )


def config_of(kind: str, **more: Any) -> LossConfig:
    return LossConfig(kind=kind, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_loss_worked_by_hand(kind: str) -> None:
    logprobs = RATIOS.log().requires_grad_()
    loss, metrics = loss_of(logprobs, config_of(kind))
    assert float(loss.detach()) == pytest.approx(HAND[kind], abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    weights = {"grpo": [[1 / 6], [1 / 4]], "dr_grpo": [[1 / 20], [1 / 20]], "dapo": [[1 / 5], [1 / 5]]}[kind]
    torch.testing.assert_close(gradient, HAND_GRADIENT * torch.tensor(weights))
    assert {name: pytest.approx(float(value)) for name, value in metrics.items()} == {
        "num_tokens": 5.0,
        "ratio_sum": 1.5 + 0.5 + 1.1 + 1.5 + 0.5,
        "clip_low_sum": 1.0,  # the ratio of 0.5 with a negative advantage
        "clip_high_sum": 1.0,  # the ratio of 1.5 with a positive one
        "clip_region_sum": 2.0,
    }
    assert not any(value.requires_grad for value in metrics.values())


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
        "config": config_of(kind, beta=draw(st.sampled_from([0.0, 0.1]))),
        "logprobs": -torch.rand(shape, generator=generator) * 3,
        "old": -torch.rand(shape, generator=generator) * 3,
        "ref": -torch.rand(shape, generator=generator) * 3,
        "advantages": torch.randn(num, generator=generator),
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
    spoilt = problem | {name: torch.where(mask, problem[name], garbage) for name in ("logprobs", "old", "ref")}
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
    expected = {"grpo": used, "dapo": float(mask.any()), "dr_grpo": float(mask.sum()) / (len(mask) * 5)}
    for kind, value in expected.items():
        weights = token_weights(mask, kind, **counts)
        assert float(weights.sum()) == pytest.approx(value, abs=1e-6)
        assert (weights[~mask] == 0).all()


class Trl:
    """TRL's own `GRPOTrainer._compute_loss`, handed the few attributes that it reads, and a model that is a tensor."""

    def __init__(self, config: LossConfig, *, num_steps: int, max_completion: int) -> None:
        self.loss_type = config.kind
        self.beta = config.beta
        self.epsilon_low, self.epsilon_high = config.epsilon_low, config.clip_high
        self.max_completion_length = max_completion
        self.current_gradient_accumulation_steps = num_steps
        self.args = SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=num_steps)
        self.importance_sampling_level = "token"
        self.top_entropy_quantile = 1.0
        self.off_policy_mask_threshold = None
        self.aux_loss_enabled = self.use_vllm = self._entropy_bonus_enabled = False
        self.model = SimpleNamespace(training=True)
        self._metrics: dict[str, Any] = {"train": defaultdict(list)}
        self.accelerator = SimpleNamespace(num_processes=1, reduce=lambda x, reduction: x, gather=lambda x: x)

    def _get_per_token_logps_and_entropies(
        self, model: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor, None]:
        return model, torch.zeros_like(model), None

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
        problem = {
            "config": config,
            "logprobs": logprobs,
            "old": old,
            "ref": ref,
            "advantages": advantages,
            "mask": mask,
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
            }
            total = total + trl.loss(theirs[rows], inputs)
        (their_gradient,) = torch.autograd.grad(total, theirs)

        loss, gradient, metrics = run(problem)
        torch.testing.assert_close(loss, total.detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient, their_gradient, atol=1e-5, rtol=1e-5)
        if num_steps == 1:
            pairs = {"clip_ratio/low_mean": "clip_low_sum", "clip_ratio/high_mean": "clip_high_sum"}
            pairs |= {"clip_ratio/region_mean": "clip_region_sum"} | ({"kl": "kl_sum"} if beta else {})
            for their_name, name in pairs.items():
                ours = float(metrics[name] / metrics["num_tokens"])
                assert ours == pytest.approx(trl._metrics["train"][their_name][-1], abs=1e-5)


def test_defaults() -> None:
    assert (LossConfig().clip_high, LossConfig().drops_overlong) == (0.2, False)
    assert (LossConfig(kind="dapo").clip_high, LossConfig(kind="dapo").drops_overlong) == (0.28, True)
    assert LossConfig(kind="dr_grpo", epsilon_low=0.1).clip_high == 0.1
    assert LossConfig(kind="dapo", epsilon_high=0.5).clip_high == 0.5
    assert not LossConfig(kind="dapo", mask_overlong=False).drops_overlong


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
