"""Run by torchrun: updates of a model that is spread over ranks, beside the same in one piece; rank 0 prints the cases.

Usage: torchrun … tests/trainer/distributed/updates_on_ranks.py FOLDER
"""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.credit import set_advantages
from agentrl.trainer.distributed.shards import load_shards, save_shards
from agentrl.trainer.distributed.share import Share
from agentrl.trainer.distributed.world import World, place_here
from agentrl.trainer.lora import LoraConfig, add_adapters, merged_weights
from agentrl.trainer.optimizer import Optimizer
from agentrl.trainer.spread import whole
from agentrl.trainer.tiny import make_tiny_model, train_tokenizer
from agentrl.trainer.update import Updater
from tests.trainer.conftest import WORDS
from tests.trainer.updates import config, made_episodes

CASES: dict[str, tuple[TrainConfig, LoraConfig]] = {
    "one micro-batch": (config(), LoraConfig()),
    "many micro-batches": (config(micro_batch_tokens=64), LoraConfig()),
    "kl": (config("dapo", beta=0.1), LoraConfig()),
    "clipped": (replace(config(), optim=replace(config().optim, max_grad_norm=1e-3)), LoraConfig()),
    "updates": (config(updates_per_step=2, correction="token_truncate", micro_batch_tokens=64), LoraConfig()),
    "entropy": (config("dr_grpo", entropy_bonus=0.01), LoraConfig()),
    "adapters": (config(), LoraConfig(rank=2)),
    "checkpointing": (replace(config(micro_batch_tokens=64), gradient_checkpointing=True), LoraConfig()),
}


def weights_of(model: Any) -> dict[str, Tensor]:
    """Return the weights as a model without adapters has them."""
    return {name: value.detach().float().clone() for name, value in merged_weights(model)}


def main(folder: Path) -> None:
    """Compare, then write and read a checkpoint in parts."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    place = place_here()
    assert place is not None
    with World(place) as world:
        world.settle("cpu", 30.0)
        base = make_tiny_model(train_tokenizer(WORDS * 3, vocab_size=300), seed=0, hidden=32, layers=2).eval()
        episodes = made_episodes(base)
        set_advantages(episodes, "grpo", gamma=None, step_weight=None, penalties=[])
        for name, (chosen, lora) in CASES.items():
            plain, spread = copy.deepcopy(base), copy.deepcopy(base)
            for model in (plain, spread):
                if lora.rank:
                    add_adapters(model, lora, seed=0)
            reference = copy.deepcopy(base).requires_grad_(False) if chosen.loss.beta else None
            alone = Updater(plain, copy.deepcopy(reference), chosen)
            ours = Updater(spread, reference, chosen, Share(world))
            for step in (1, 2):
                wanted, got = alone.step(episodes, step), ours.step(episodes, step)
                for key, figure in wanted.items():
                    if not key.startswith("perf/"):  # how many micro-batches there are is no part of the result
                        assert abs(figure - got[key]) <= 1e-4 * max(1e-2, abs(figure)), (name, step, key, figure, got)
            for key, value in weights_of(plain).items():
                torch.testing.assert_close(weights_of(spread)[key], value, rtol=1e-4, atol=2e-5, msg=f"{name}: {key}")
            moved = max(float((weights_of(base)[key] - value).abs().max()) for key, value in weights_of(plain).items())
            assert moved > 1e-4, name
            save_shards(folder / name, ours.optimizer)
            fresh = copy.deepcopy(base)
            if lora.rank:
                add_adapters(fresh, lora, seed=1)
            again = Updater(fresh, copy.deepcopy(base), chosen, Share(world))
            load_shards(folder / name, again.optimizer)
            for key, value in ours.optimizer.tensors().items():
                assert torch.equal(whole(again.optimizer.tensors()[key]), whole(value)), (name, key)
            torch.save(
                {key: whole(value).clone() for key, value in ours.optimizer.tensors().items()}, folder / f"{name}.pt"
            )
            # The state of one process is taken over by ranks.
            onto = Optimizer(again._model, chosen.optim)
            onto.load_state_dict(alone.optimizer.state_dict())
            moments = alone.optimizer.tensors()
            for key, value in onto.tensors().items():
                if not key.startswith("weight/"):
                    assert torch.equal(whole(value), moments[key]), (name, key)
            if world.leads:
                sys.stdout.write(f"{name} ok\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
