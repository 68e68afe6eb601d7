"""Episodes and configurations that the tests of an update share."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor

from agentrl.trainer.config import OptimConfig, TrainConfig
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

TEMPERATURE = 0.8
LONGEST = 90  # tokens of an episode, which dr_grpo divides by
REWARDS = {  # by group; None: the infrastructure failed
    0: (1.0, 0.0, 0.0, 0.25),
    1: (1.0, 1.0, 1.0, 1.0),  # no spread: no advantage
    2: (0.0, None, 3.0, 1.0),
    3: (2.0, None, None, None),  # no baseline: no advantage
}


LOSS_KEYS = {"beta", "kl_in", "entropy_bonus", "correction", "correction_max"}


def config(kind: str = "grpo", *, micro_batch_tokens: int = 16_384, **more: Any) -> TrainConfig:
    """Return a configuration; other keys go to the loss or to the optimizer."""
    loss = {name: more.pop(name) for name in LOSS_KEYS & more.keys()}
    return TrainConfig(
        groups_per_step=4,
        group_size=4,
        temperature=TEMPERATURE,
        advantage="dr_grpo" if kind == "dr_grpo" else "grpo",
        micro_batch_tokens=micro_batch_tokens,
        loss=LossConfig(kind=kind, **loss),  # type: ignore[arg-type]
        optim=OptimConfig(**{"lr": 1e-3, "max_grad_norm": 1e9} | more),
        rollout=RolloutConfig(max_episode_tokens=LONGEST),
    )


def logprobs_of(model: Any, episode: Episode) -> Tensor:
    """Log-probability of every token after the first, by one pass a conversation without padding."""
    parts, start = [], 0
    for length in episode.segments or [len(episode.token_ids)]:
        ids = torch.tensor([episode.token_ids[start : start + length]])
        logits = model(input_ids=ids).logits[0, :-1].float() / TEMPERATURE
        parts += [torch.zeros(1), torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0]]
        start += length
    return torch.cat(parts[1:])  # nothing predicts the first token of a conversation


def flat(model: Any) -> Tensor:
    return torch.cat([weight.detach().float().flatten() for weight in model.parameters()])


def made_episodes(model: Any) -> list[Episode]:
    """Return episodes of two sampled turns and mixed lengths, sampled by weights a little away from the model's."""
    rng = random.Random(4)
    made = []
    for group, rewards in REWARDS.items():
        for member, reward in enumerate(rewards):
            prompt, first, reply, second = (rng.randint(2, 20) for _ in range(4))
            mask = [False] * prompt + [True] * first + [False] * reply + [True] * second
            ids = [rng.randrange(9, 300) for _ in mask]
            failed = None if reward is not None else {"kind": "timeout", "boundary": "environment", "message": "slow"}
            made.append(
                blank_episode(
                    seed=group,
                    group=group,
                    member=member,
                    level=1,
                    task_id=str(group),
                    token_ids=[] if failed else ids,
                    mask=[] if failed else mask,
                    logprobs=[],
                    reward=reward or 0.0,
                    failure=failed,
                    truncated_by="length" if (group, member) == (0, 0) else None,
                    num_turns=2,
                    versions=[0, 0],
                )
            )
    with torch.no_grad():
        for episode in made:
            if episode.failure is None:
                told = logprobs_of(model, episode) + torch.tensor([rng.gauss(0, 0.3) for _ in episode.token_ids[1:]])
                pairs = zip([0.0, *told.tolist()], episode.mask, strict=True)
                episode.logprobs = [value if on else 0.0 for value, on in pairs]
    return made
