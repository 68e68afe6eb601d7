"""Log-probabilities in chunks: the same values and gradients as in one piece, in memory that no vocabulary sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agentrl.trainer.batching import MicroBatch
from agentrl.trainer.logprobs import token_logprobs
from agentrl.trainer.model import Head

TEMPERATURE = 0.7


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=2, hidden=32, layers=2)


def batch(model: Any, *, sampled: bool = True) -> MicroBatch:
    generator = torch.Generator().manual_seed(3)
    ids_BT = torch.randint(model.config.vocab_size, (3, 17), generator=generator)
    mask_BT = (torch.rand(3, 17, generator=generator) < 0.6) & sampled
    mask_BT[:, 0] = False
    return MicroBatch(
        ids_BT=ids_BT,
        mask_BT=mask_BT,
        old_logprobs_BT=torch.zeros(3, 17),
        advantages_BT=torch.ones(3, 17),
        overlong_B=torch.zeros(3, dtype=torch.bool),
    )


def gradients(model: Any, value: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize("entropy_grad", [False, True])
def test_chunks_change_nothing(model: Any, rows: int, entropy_grad: bool) -> None:
    head, given = Head(model), batch(model)
    seen = []
    for max_logits in (2**30, rows * model.config.vocab_size + 1):
        logprobs_BT, entropy_BT = token_logprobs(
            model, head, given, TEMPERATURE, entropy_grad=entropy_grad, max_logits=max_logits
        )
        assert entropy_BT.requires_grad is entropy_grad
        loss = (logprobs_BT * torch.arange(17)).sum() + (entropy_BT.square().sum() if entropy_grad else 0.0)
        seen.append((logprobs_BT.detach(), entropy_BT.detach(), gradients(model, loss)))
    for whole, chunked in zip(*seen, strict=True):
        assert float((whole - chunked).abs().max()) < 2e-6 * float(whole.abs().max())


def test_they_are_those_of_the_models_own_logits(model: Any) -> None:
    given = batch(model)
    logprobs_BT, entropy_BT = token_logprobs(model, Head(model), given, TEMPERATURE, max_logits=1000)
    all_BTV = torch.log_softmax(model(input_ids=given.ids_BT).logits[:, :-1] / TEMPERATURE, dim=-1)
    chosen_BT = all_BTV.gather(2, given.ids_BT[:, 1:, None])[..., 0]
    mask_BT = given.mask_BT[:, 1:]
    torch.testing.assert_close(logprobs_BT[:, 1:], torch.where(mask_BT, chosen_BT, 0.0))
    plain_BT = torch.distributions.Categorical(logits=all_BTV).entropy()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(entropy_BT[:, 1:], torch.where(mask_BT, plain_BT, 0.0).detach())
    assert not logprobs_BT[:, 0].any()


def test_nothing_sampled_is_nothing_to_say(model: Any) -> None:
    logprobs_BT, entropy_BT = token_logprobs(model, Head(model), batch(model, sampled=False), TEMPERATURE)
    assert not logprobs_BT.any()
    assert not entropy_BT.any()
    logprobs_BT.sum().backward()  # type: ignore[no-untyped-call]


MEASURE = """
import json, sys, torch
from agentrl.trainer.logprobs import token_logprobs
from agentrl.trainer.model import Head
from agentrl.trainer.batching import MicroBatch
from transformers import Qwen3Config, Qwen3ForCausalLM
import pathlib
torch.set_num_threads(1)
words, tokens = int(sys.argv[1]), 512
model = Qwen3ForCausalLM(Qwen3Config(vocab_size=words, hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
    num_key_value_heads=1, head_dim=16, intermediate_size=16, tie_word_embeddings=True)).eval()
head = Head(model)
given = MicroBatch(ids_BT=torch.randint(words, (1, tokens)), mask_BT=torch.arange(tokens)[None] > 0,
    old_logprobs_BT=torch.zeros(1, tokens), advantages_BT=torch.ones(1, tokens),
    overlong_B=torch.zeros(1, dtype=torch.bool))
for weight in model.parameters():
    weight.grad = torch.zeros_like(weight)
def peak(name="VmHWM"):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
before = peak("VmRSS")
logprobs, _ = token_logprobs(model, head, given, 1.0, max_logits=2**21)
logprobs.sum().backward()
print(json.dumps(peak() - before))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_vocabulary() -> None:
    """512 rows of 151,936 words would be 297 MiB in float32, a chunk here is 8 MiB of them."""
    peaks = {}
    for words in (32_000, 64_000, 151_936):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(words)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
        weights_mb = words * 16 * 4 / 2**20  # a gradient of the output layer is made apart and then added
        peaks[words] = json.loads(done.stdout) - 2 * weights_mb
    chunk_mb = 8
    assert max(peaks.values()) - min(peaks.values()) < 2 * chunk_mb, peaks
    assert max(peaks.values()) < 8 * chunk_mb, peaks
