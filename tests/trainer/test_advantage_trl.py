"""Advantages against those that trainers of TRL 1.16 give in a step of their own, with completions left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentrl.trainer.advantage import ADVANTAGES

NUM_GROUPS, GROUP_SIZE = 4, 5
PEERS: dict[str, tuple[str, dict[str, Any]]] = {  # our name -> their trainer and its settings
    "rloo": ("RLOO", {}),
    "grpo": ("GRPO", {"scale_rewards": "group"}),
    "dr_grpo": ("GRPO", {"scale_rewards": "none"}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PEERS)
def test_equal_to_trl(name: str, tmp_path: Path, tokenizer: Any, tiny_model: Callable[..., Any]) -> None:
    import trl
    from datasets import Dataset

    generator = torch.Generator().manual_seed(3)
    seen: list[float | None] = []

    def reward(completions: list[str], **more: Any) -> list[float | None]:
        values: list[float | None] = torch.rand(len(completions), generator=generator).tolist()
        values[2] = values[GROUP_SIZE] = None  # what their trainers leave out, as ours failed episodes
        seen.extend(values)
        return values

    kind, settings = PEERS[name]
    size = NUM_GROUPS * GROUP_SIZE
    trainer = getattr(trl, f"{kind}Trainer")(
        model=tiny_model(),
        args=getattr(trl, f"{kind}Config")(
            output_dir=str(tmp_path),
            per_device_train_batch_size=size,
            num_generations=GROUP_SIZE,
            max_completion_length=3,
            max_steps=1,
            report_to=[],
            use_cpu=True,
            beta=0.0,
            save_strategy="no",
            disable_tqdm=True,
            **settings,
        ),
        reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": ["the archive"] * size}),
        processing_class=tokenizer,
    )
    trainer.train()
    theirs = torch.tensor(list(trainer._logs["advantages"]))
    rewards = torch.tensor([float("nan") if value is None else value for value in seen])
    groups = torch.arange(NUM_GROUPS).repeat_interleave(GROUP_SIZE)
    ours = ADVANTAGES[name](rewards, groups, ~rewards.isnan())
    assert len(theirs) == size
    assert (ours[rewards.isnan()] == 0).all()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
