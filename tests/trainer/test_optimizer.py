"""The optimizer on a bfloat16 model: what plain AdamW does on float32 copies, with little memory beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentrl.trainer.config import OptimConfig
from agentrl.trainer.optimizer import Optimizer

CONFIG = OptimConfig(lr=1e-2, max_grad_norm=0.5, weight_decay=0.1)


def network(dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4), nn.Linear(4, 2)).to(dtype)


def gradients(step: int, like: nn.Module) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(weight.shape, generator=generator).to(weight.dtype) for weight in like.parameters()]


def trained(optimizer: Optimizer, model: nn.Module, steps: int) -> list[float]:
    norms = []
    for step in range(steps):
        for weight, grad in zip(model.parameters(), gradients(step, model), strict=True):
            weight.grad = grad.clone()
        norms.append(optimizer.clip())
        optimizer.step(CONFIG.lr)
        optimizer.forget()
    return norms


@pytest.mark.parametrize("max_stepped", [1, 40, 2**28])
def test_copies_take_the_steps_of_plain_adamw(max_stepped: int) -> None:
    model = network(torch.bfloat16)
    copies = [nn.Parameter(weight.detach().float()) for weight in model.parameters()]
    plain = torch.optim.AdamW(copies, lr=CONFIG.lr, betas=(CONFIG.beta1, CONFIG.beta2), weight_decay=0.1, foreach=False)
    optimizer = Optimizer(model, CONFIG, max_stepped=max_stepped)
    norms = trained(optimizer, model, 5)
    for step in range(5):
        for copy, grad in zip(copies, gradients(step, model), strict=True):
            copy.grad = grad.float()
        assert norms[step] == pytest.approx(float(nn.utils.clip_grad_norm_(copies, 0.5)), rel=1e-6)
        plain.step()
    for copy, kept, weight in zip(copies, optimizer.state_dict()["copies"], model.parameters(), strict=True):
        torch.testing.assert_close(kept, copy.detach(), rtol=1e-6, atol=1e-7)
        assert torch.equal(weight, kept.to(torch.bfloat16))


def test_few_float32_gradients_exist_at_once() -> None:
    model = network(torch.bfloat16)
    optimizer = Optimizer(model, CONFIG, max_stepped=80)
    seen: list[int] = []

    def count(adamw: Any, *_: Any) -> None:
        stepped = [weight for group in adamw.param_groups for weight in group["params"]]
        seen.append(sum(weight.numel() for weight in stepped if weight.grad is not None))

    optimizer._adamw.register_step_pre_hook(count)
    trained(optimizer, model, 1)
    assert seen == [128, 80, 14]  # 8 * 16; 16 and 16 * 4; 4, 4 * 2 and 2


def test_a_weight_without_a_gradient_stays() -> None:
    model = network(torch.bfloat16)
    optimizer = Optimizer(model, CONFIG, max_stepped=1)
    before = [weight.detach().clone() for weight in model.parameters()]
    first = next(model.parameters())
    first.grad = torch.ones_like(first)
    assert optimizer.clip() == pytest.approx(first.numel() ** 0.5)
    optimizer.step(CONFIG.lr)
    changed = [not torch.equal(weight, was) for weight, was in zip(model.parameters(), before, strict=True)]
    assert changed == [True, False, False, False, False, False]
