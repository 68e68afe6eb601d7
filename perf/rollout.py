"""How busy rollouts keep the model: tokens sampled a second on the quickstart, beside a bare forward loop.

Three loops over the same model at the same batch, in turn, several times in one run:
    rollouts      whole episodes of the quickstart's environment: sampling, parsing, searching, prefill of every reply
    bare          `model(ids, past_key_values=…)` with Transformers' own DynamicCache and `multinomial`, no environment
    bare, same    the bare loop, with as many prompt and reply tokens to prefill as the rollouts had

The ratio of the first to the second is what counts against us for all that is not sampling; the third says what is
left.

    python perf/rollout.py --json rollout.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import DynamicCache, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parent))

from common import parser, report, versions

from agentrl.trainer.chat import Chat
from agentrl.trainer.config import TrainConfig, load_recipe
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.model import load_model, load_tokenizer
from agentrl.trainer.rollout import Rollouts, Task


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--model", default="bundled:search-tiny")
    options.add_argument("--repeats", type=int, default=7)
    arguments: argparse.Namespace = options.parse_args()
    sys.setswitchinterval(0.0005)  # as `agentrl train` does
    config = load_recipe("quickstart")
    tokenizer = load_tokenizer(arguments.model)
    model = load_model(arguments.model, device=torch.device("cpu")).eval()
    batch = config.groups_per_step * config.group_size
    engine = TorchEngine(model)
    rollouts = Rollouts(
        env_id=f"agentrl.envs:{config.env}", env_kwargs={}, engine=engine, chat=Chat(tokenizer), config=config.rollout
    )
    rates: dict[str, list[float]] = {"rollout": [], "bare": [], "bare_same": []}
    for repeat in range(arguments.repeats + 1):
        sampled, prefilled, seconds = _rollouts(rollouts, engine, config, repeat)
        turns = 3
        bare = _bare(model, batch, prompt=24, rounds=1, new=sampled // batch, reply=0)
        same = _bare(
            model,
            batch,
            prompt=24,
            rounds=turns,
            new=sampled // batch // turns,
            reply=max(1, (prefilled // batch - 24) // (turns - 1)),
        )
        if repeat:  # the first round warms up
            rates["rollout"].append(sampled / seconds)
            rates["bare"].append(bare)
            rates["bare_same"].append(same)
    rollouts.close()
    engine.close()
    figures = {f"{name}_tokens_per_s": statistics.median(values) for name, values in rates.items()}
    pairs = zip(rates["rollout"], rates["bare"], rates["bare_same"], strict=True)
    ratios = [(ours / bare, ours / same) for ours, bare, same in pairs]
    figures["rollout_to_bare_ratio"] = statistics.median(ratio for ratio, _ in ratios)
    figures["rollout_to_bare_same_ratio"] = statistics.median(ratio for _, ratio in ratios)
    figures["batch"] = batch
    report(figures, versions("torch", "transformers"), arguments.json)


def _rollouts(rollouts: Rollouts, engine: TorchEngine, config: TrainConfig, step: int) -> tuple[int, int, float]:
    tasks = [
        Task(
            step=step,
            group=group,
            member=member,
            seed=1000 * step + group,
            split="train",
            level=config.level,
            temperature=1.0,
        )
        for group in range(config.groups_per_step)
        for member in range(config.group_size)
    ]
    sampled, prefilled, start = engine.num_generated, engine.num_prefilled, time.perf_counter()
    rollouts.play(tasks)
    return engine.num_generated - sampled, engine.num_prefilled - prefilled, time.perf_counter() - start


@torch.inference_mode()
def _bare(model: PreTrainedModel, batch: int, *, prompt: int, rounds: int, new: int, reply: int) -> float:
    """Return tokens sampled a second."""
    generator = torch.Generator().manual_seed(0)
    vocab = model.config.vocab_size
    start = time.perf_counter()
    cache = DynamicCache(config=model.config)
    ids = torch.randint(9, vocab, (batch, prompt), generator=generator)
    for turn in range(rounds):
        if turn:
            ids = torch.cat([ids, torch.randint(9, vocab, (batch, reply), generator=generator)], 1)
        for _ in range(new):
            logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            ids = torch.multinomial(logits.softmax(-1), 1, generator=generator)
    return rounds * new * batch / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
