"""Made-up episodes of many turns, played with an engine and compared with a plain pass over the whole of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen3Config,
)

from agentrl.trainer.engines.base import Engine, Request, Session
from agentrl.trainer.types import Completion

VOCAB = 120
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "qwen3": lambda: Qwen3Config(**SMALL, tie_word_embeddings=True),
    "llama": lambda: LlamaConfig(**SMALL, rope_theta=500_000.0),
    "mistral": lambda: MistralConfig(**SMALL, sliding_window=None),
    "mistral, every layer with a window": lambda: MistralConfig(**SMALL, sliding_window=7),
    "qwen3, one layer with a window": lambda: Qwen3Config(
        **SMALL, use_sliding_window=True, sliding_window=7, max_window_layers=1
    ),
    "gpt2, learned positions": lambda: GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=512, bos_token_id=1, eos_token_id=1
    ),
    "gemma2, windows and capped logits": lambda: Gemma2Config(
        **SMALL, sliding_window=7, query_pre_attn_scalar=8, attn_logit_softcapping=None
    ),
}


@dataclass(kw_only=True)
class Talk:
    """One made-up episode: whole sequence, which tokens were sampled, and what the engine said of them."""

    ids: list[int]
    temperature: float = 1.0
    sampled_at: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one made-up episode is to be."""

    seed: int
    prompt: tuple[int, ...]
    num_turns: int = 3
    temperature: float = 1.0
    max_new: int = 12
    stops: frozenset[int] = frozenset()
    group: int = 0
    vocabulary: int = VOCAB


async def no_pause() -> None:
    return


async def converse(session: Session, plan: Plan, pause: Callable[[], Coroutine[Any, Any, object]] = no_pause) -> Talk:
    """Play an episode whose environment answers with a few tokens that the plan's seed decides."""
    world = random.Random(plan.seed)
    talk = Talk(ids=list(plan.prompt), temperature=plan.temperature)
    for turn in range(plan.num_turns):
        limit = world.randint(1, plan.max_new)
        request = Request(
            prompt_ids=list(talk.ids),
            max_new_tokens=limit,
            temperature=plan.temperature,
            seed=2**64 - 1 - 1000 * plan.seed - turn,  # seeds have 64 bits
            stop_ids=plan.stops,
            order=(plan.group, plan.seed),
        )
        completion = await session.generate(request)
        assert len(completion.token_ids) == len(completion.logprobs) <= limit
        assert not plan.stops.intersection(completion.token_ids[:-1])
        assert (completion.finish == "stop") == (completion.token_ids[-1] in plan.stops)
        assert completion.finish == "stop" or len(completion.token_ids) == limit
        talk.sampled_at += range(len(talk.ids), len(talk.ids) + len(completion.token_ids))
        talk.ids += completion.token_ids
        talk.logprobs += completion.logprobs
        talk.completions.append(completion)
        await pause()
        talk.ids += [world.randrange(2, plan.vocabulary) for _ in range(world.randint(1, 9))]
    session.forget()
    return talk


def converse_all(
    engine: Engine,
    plans: Sequence[Plan],
    *,
    sessions: int | None = None,
    pause: Callable[[], Coroutine[Any, Any, object]] = no_pause,
) -> list[Talk]:
    """Play plans over some sessions; a free session takes the next plan, as rollouts do."""

    async def run() -> list[Talk]:
        done: dict[int, Talk] = {}
        upcoming = iter(range(len(plans)))
        opened = [engine.session() for _ in range(min(sessions or len(plans), len(plans)))]

        async def work(session: Session) -> None:
            for index in upcoming:
                await pause()
                done[index] = await converse(session, plans[index], pause)
            await pause()
            session.close()

        async with asyncio.TaskGroup() as group:
            for session in opened:
                group.create_task(work(session))
        return [done[index] for index in range(len(plans))]

    return asyncio.run(asyncio.wait_for(run(), 120))


@torch.no_grad()
def fresh_logprobs(model: PreTrainedModel, talk: Talk) -> Tensor:
    """Log-probabilities (T, V) of one plain pass over the whole sequence, without cache, mask or padding."""
    logits: Tensor = model(input_ids=torch.tensor([talk.ids])).logits[0].float()
    return torch.log_softmax(logits / (talk.temperature or 1.0), dim=-1)


def assert_right(model: PreTrainedModel, talks: Sequence[Talk]) -> None:
    """Compare what the engine said of its tokens with a plain pass; at temperature 0 they are the most likely ones."""
    for talk in talks:
        every = fresh_logprobs(model, talk)
        wanted = torch.tensor([float(every[at - 1, talk.ids[at]]) for at in talk.sampled_at])
        torch.testing.assert_close(torch.tensor(talk.logprobs), wanted, rtol=0, atol=1e-4)
        if talk.temperature == 0:
            best = torch.tensor([float(every[at - 1].max()) for at in talk.sampled_at])
            torch.testing.assert_close(wanted, best, rtol=0, atol=1e-4)


def some_plans(count: int, *, seed: int = 5) -> list[Plan]:
    """Plans of mixed lengths and temperatures; every third begins a group of three with one prompt."""
    rng = random.Random(seed)
    plans: list[Plan] = []
    for index in range(count):
        long = rng.choice((2, 9, 40))
        prompt = plans[-1].prompt if index % 3 else tuple(rng.randrange(2, VOCAB) for _ in range(long))
        plans.append(Plan(seed=index, prompt=prompt, temperature=(1.0, 0.6, 1.7, 0.0)[index % 4], group=index // 3))
    return plans


def model_of(name: str) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS[name]()).eval()
        for parameter in model.parameters():  # larger than at first, so that a wrong token is a large difference
            if parameter.ndim > 1:
                parameter.data.mul_(4)
    return model
