"""The loss against that of Liger 0.8.5, which takes hidden states and the output layer instead of log-probabilities.

Its chunked loss is plain torch and runs on the CPU without triton, though the package asks for it; the Makefile
installs it with --no-deps for that reason.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from agentrl.trainer.loss import KINDS, LossConfig, policy_loss, token_weights

NUM, LENGTH, HIDDEN, VOCABULARY = 6, 9, 8, 23


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_liger(kind: str, beta: float) -> None:
    liger = pytest.importorskip(
        "liger_kernel.chunked_loss", reason="needs Liger: pip install --no-deps liger-kernel==0.8.5"
    )
    config = LossConfig(kind=kind, beta=beta)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(len(kind))
    for _ in range(5):
        hidden = torch.randn(NUM, LENGTH, HIDDEN, generator=generator)
        layer = torch.randn(VOCABULARY, HIDDEN, generator=generator)
        chosen = torch.randint(VOCABULARY, (NUM, LENGTH), generator=generator)
        mask = torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (NUM, 1), generator=generator)
        advantages = torch.randn(NUM, generator=generator)

        def logprobs_of(states: Tensor, weight: Tensor = layer, ids: Tensor = chosen) -> Tensor:
            return torch.log_softmax(states @ weight.T, -1).gather(2, ids[..., None])[..., 0]

        old = logprobs_of(hidden) + torch.randn(NUM, LENGTH, generator=generator) * 0.4
        ref = old + torch.randn(NUM, LENGTH, generator=generator) * 0.4
        # Each token of gspo moves by its own weight; theirs by the mean of its episode's.
        correction = torch.rand(NUM, 1 if kind == "gspo" else LENGTH, generator=generator).expand(NUM, LENGTH) * 2

        theirs = hidden.clone().requires_grad_()
        module: Any = liger.LigerFusedLinearGRPOLoss(
            beta=beta,
            compiled=False,
            use_ref_model=beta > 0,
            epsilon_low=config.clip_low,
            epsilon_high=config.clip_high + (kind == "cispo"),  # theirs is the cap itself
            loss_type="grpo" if kind == "gspo" else kind,
            max_completion_length=LENGTH,
            importance_sampling_level="sequence" if kind == "gspo" else "token",
            sapo_temperature_pos=config.temperatures[0],
            sapo_temperature_neg=config.temperatures[1],
        )
        their_loss, _ = module(
            theirs,
            layer,
            chosen,
            mask.float(),
            advantages,
            old_per_token_logps=old,
            ref_per_token_logps=ref if beta else None,
            vllm_is_ratio=correction,
        )
        (their_gradient,) = torch.autograd.grad(their_loss, theirs)

        mine = hidden.clone().requires_grad_()
        loss, _ = policy_loss(
            logprobs_BT=logprobs_of(mine),
            old_logprobs_BT=old,
            ref_logprobs_BT=ref,
            advantages_BT=advantages.unsqueeze(1),
            mask_BT=mask,
            weights_BT=token_weights(mask, kind, num_sequences=NUM, num_tokens=int(mask.sum()), max_completion=LENGTH),
            config=config,
            correction_BT=correction,
        )
        (gradient,) = torch.autograd.grad(loss, mine)
        torch.testing.assert_close(loss, their_loss, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient, their_gradient, atol=1e-5, rtol=1e-5)
