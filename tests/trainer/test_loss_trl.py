"""The loss against that of TRL 1.16, which is handed the same log-probabilities."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from agentrl.trainer.loss import KINDS, LossConfig
from tests.trainer.losses import ADVANTAGES, MASK, RATIOS, config_of, loss_of, run


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
