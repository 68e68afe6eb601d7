"""The torch engine beside a bare forward loop and Hugging Face `generate`, without any environment.

Contestants take turns within one run; of each the median over --repeats.

    steady    every episode has the same prompt length and samples as many tokens: engine beside
              `model(ids, past_key_values=DynamicCache)` with `multinomial`, same batch
    turns     episodes of several turns; how many tokens a turn samples and how many it is answered with differ from
              row to row. `generate` plays a turn of all episodes at once, padded at the left, until the longest is
              done, and reads the whole episode again at each turn, as trainers that call it do
    parity    largest difference between the engine's log-probabilities and a fresh forward pass over each episode

    python perf/engine.py --json engine.json
    python perf/engine.py --device cuda --dtype bfloat16 --shape 0.6b --batch 64   # random weights of that size
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from common import SHAPES, parser, random_qwen3, report, versions
from transformers import DynamicCache, PreTrainedModel

from agentrl.trainer.attention import NAME as ATTENTION
from agentrl.trainer.engines.base import Request, Session
from agentrl.trainer.engines.torch import TorchEngine

__all__ = ["Plan", "run_engine", "run_generate"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one episode of the second workload does."""

    prompt: list[int]
    sampled: list[int]  # tokens that each turn samples
    replies: list[list[int]]  # what each turn but the last is answered with


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--shape", default="tiny", choices=SHAPES)
    options.add_argument("--device", default="cpu")
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--tokens", type=int, default=96, help="that an episode of the steady workload samples")
    options.add_argument("--repeats", type=int, default=5)
    arguments = options.parse_args()
    sys.setswitchinterval(0.0005)  # as `agentrl train` does
    model = random_qwen3(
        arguments.shape,
        device=torch.device(arguments.device),
        dtype=getattr(torch, arguments.dtype),
        attention=ATTENTION,
    ).eval()
    words = model.config.vocab_size
    generator = random.Random(0)
    prompt = [generator.randrange(9, words) for _ in range(24)]
    steady = [Plan(prompt=prompt, sampled=[arguments.tokens], replies=[]) for _ in range(arguments.batch)]
    turns = [_plan(generator, words) for _ in range(arguments.batch)]
    rates: dict[str, list[float]] = {"engine": [], "bare": [], "engine_turns": [], "generate_turns": []}
    worst = 0.0
    with TorchEngine(model) as engine:
        for repeat in range(arguments.repeats + 1):
            taken = {
                "engine": run_engine(engine, steady, repeat)[0],
                "bare": _bare(model, arguments.batch, len(prompt), arguments.tokens),
            }
            taken["engine_turns"], episodes = run_engine(engine, turns, repeat)
            taken["generate_turns"] = run_generate(model, turns)
            worst = max(worst, _difference(model, episodes[:8]))
            if repeat:  # the first round warms up
                for name, rate in taken.items():
                    rates[name].append(rate)
    figures = {f"{name}_tokens_per_s": statistics.median(values) for name, values in rates.items()}
    pairs = list(zip(*rates.values(), strict=True))
    figures["engine_to_bare_ratio"] = statistics.median(engine / bare for engine, bare, _, _ in pairs)
    figures["engine_to_generate_ratio"] = statistics.median(engine / other for _, _, engine, other in pairs)
    figures |= {"logprob_difference_nats": worst, "batch": arguments.batch}
    report(figures, versions("torch", "transformers"), arguments.json)


def _plan(generator: random.Random, words: int) -> Plan:
    def some(low: int, high: int) -> list[int]:
        return [generator.randrange(9, words) for _ in range(generator.randint(low, high))]

    return Plan(
        prompt=some(16, 48),
        sampled=[generator.randint(4, 48) for _ in range(4)],
        replies=[some(8, 64) for _ in range(3)],
    )


def run_engine(
    engine: TorchEngine, plans: list[Plan], repeat: int
) -> tuple[float, list[tuple[list[int], list[float]]]]:
    """Return tokens sampled a second, and ids and log-probabilities of each episode, 0 where not sampled."""

    async def play(index: int, plan: Plan, session: Session) -> tuple[list[int], list[float]]:
        ids, logprobs = list(plan.prompt), [0.0] * len(plan.prompt)
        for turn, count in enumerate(plan.sampled):
            done = await session.generate(
                Request(
                    prompt_ids=ids,
                    max_new_tokens=count,
                    temperature=1.0,
                    seed=1000 * repeat + 10 * index + turn,
                    stop_ids=frozenset(),
                    order=(index,),
                )
            )
            ids, logprobs = ids + done.token_ids, logprobs + done.logprobs
            if turn < len(plan.replies):
                ids, logprobs = ids + plan.replies[turn], logprobs + [0.0] * len(plan.replies[turn])
        session.close()
        return ids, logprobs

    async def all_of() -> list[tuple[list[int], list[float]]]:
        played = (play(index, *pair) for index, pair in enumerate(zip(plans, sessions, strict=True)))
        return list(await asyncio.gather(*played))

    start = time.perf_counter()
    # All before the first turn, as rollouts do: else the engine begins with those that are there, in two waves.
    sessions = [engine.session() for _ in plans]
    episodes = asyncio.run(all_of())
    return sum(sum(plan.sampled) for plan in plans) / (time.perf_counter() - start), episodes


@torch.inference_mode()
def _bare(model: PreTrainedModel, batch: int, prompt: int, new: int) -> float:
    """Return tokens sampled a second by the plainest loop there is."""
    _wait(model)
    start = time.perf_counter()
    cache = DynamicCache(config=model.config)
    ids = torch.randint(9, model.config.vocab_size, (batch, prompt), device=model.device)
    for _ in range(new):
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        ids = torch.multinomial(logits.float().softmax(-1), 1)
    _wait(model)
    return batch * new / (time.perf_counter() - start)


@torch.inference_mode()
def run_generate(model: PreTrainedModel, plans: list[Plan]) -> float:
    """Return tokens sampled a second by Hugging Face `generate`, as `turns` above."""
    _wait(model)
    start = time.perf_counter()
    episodes = [list(plan.prompt) for plan in plans]
    for turn in range(len(plans[0].sampled)):
        width = max(map(len, episodes))
        ids = torch.tensor([[0] * (width - len(each)) + each for each in episodes], device=model.device)
        mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in episodes], device=model.device)
        longest = max(plan.sampled[turn] for plan in plans)
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            max_new_tokens=longest,
            min_new_tokens=longest,
            top_k=0,
        )[:, width:].tolist()
        for episode, plan, new in zip(episodes, plans, out, strict=True):
            episode += new[: plan.sampled[turn]]
            episode += plan.replies[turn] if turn < len(plan.replies) else []
    _wait(model)
    return sum(sum(plan.sampled) for plan in plans) / (time.perf_counter() - start)


@torch.inference_mode()
def _difference(model: PreTrainedModel, episodes: list[tuple[list[int], list[float]]]) -> float:
    worst = 0.0
    for ids, logprobs in episodes:
        given = torch.tensor([ids], device=model.device)
        all_TV = torch.log_softmax(model(input_ids=given).logits[0, :-1].float(), -1)
        fresh_T = all_TV.gather(1, given[0, 1:, None])[:, 0].cpu()
        seen_T = torch.tensor(logprobs[1:])
        worst = max(worst, float((fresh_T - seen_T)[seen_T != 0].abs().max()))
    return worst


def _wait(model: PreTrainedModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
