"""From played episodes to their advantages: what is taken off the rewards, and what each turn is given.

The stored reward stays what the environment paid; a penalty is taken off where rewards are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from agentrl.trainer.advantage import ADVANTAGES, TURN_ADVANTAGES
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.types import Episode

__all__ = ["Penalties", "kl_penalties", "overlong_penalties", "overlong_penalty", "set_advantages", "token_advantages"]

Penalties = Mapping[tuple[int, int], Sequence[float]]
"""By group and member: what is taken off the reward of each turn."""


def set_advantages(
    episodes: Sequence[Episode],
    estimator: str,
    *,
    gamma: float | None = None,
    step_weight: float | None = None,
    penalties: Sequence[Penalties] = (),
) -> None:
    """Give each episode its advantage; failed ones get 0 and are left out of every baseline.

    Args:
        episodes: Whole groups; each has a place (group, member) of its own.
        estimator: A key of `ADVANTAGES` or of `TURN_ADVANTAGES`.
        gamma: Discount a turn; None: the estimator's default.
        step_weight: Weight of the steps' part of gigpo; None: its default.
        penalties: What is taken off the rewards, one after the other.

    Raises:
        TrainerError: The estimator cannot take a reward.
    """
    valid = [episode.failure is None for episode in episodes]
    groups_N, valid_N = torch.tensor([episode.group for episode in episodes]), torch.tensor(valid)
    turns = [_shaped(episode, penalties) if on else [] for episode, on in zip(episodes, valid, strict=True)]
    for episode in episodes:
        episode.advantage, episode.turn_advantages = 0.0, []
    try:
        if estimator in ADVANTAGES:
            rewards = [
                episode.reward - sum(_taken(episode, penalties)) if on else 0.0
                for episode, on in zip(episodes, valid, strict=True)
            ]
            advantages_N = ADVANTAGES[estimator](torch.tensor(rewards, dtype=torch.float64), groups_N, valid_N)
            for episode, advantage in zip(episodes, advantages_N.tolist(), strict=True):
                episode.advantage = advantage
            return
        chosen = TURN_ADVANTAGES[estimator]
        settings = {"gamma": chosen.gamma if gamma is None else gamma}
        if chosen.step_weight is not None:
            settings["step_weight"] = chosen.step_weight if step_weight is None else step_weight
        rows = [row for row, rewards in enumerate(turns) for _ in rewards]
        advantages_M = chosen.estimate(
            torch.tensor([reward for rewards in turns for reward in rewards], dtype=torch.float64),
            torch.tensor(rows, dtype=torch.long),
            _numbered([state for row, rewards in enumerate(turns) for state in _states(episodes[row], len(rewards))]),
            groups_N,
            valid_N,
            **settings,
        )
    except ValueError as error:
        raise TrainerError(f"advantage {estimator!r}: {error}") from error
    given = iter(advantages_M.tolist())
    for episode, rewards in zip(episodes, turns, strict=True):
        episode.turn_advantages = [next(given) for _ in rewards]
        lengths = _lengths(episode)
        if rewards and sum(lengths):
            parts = zip(episode.turn_advantages, lengths, strict=True)
            episode.advantage = sum(advantage * length for advantage, length in parts) / sum(lengths)


def token_advantages(episode: Episode) -> Tensor:
    """Return the advantage of each token, float32, 0 where not sampled; those of a turn have that of the turn."""
    mask_T = torch.tensor(episode.mask, dtype=torch.bool)
    if not episode.turn_advantages:
        return torch.where(mask_T, episode.advantage, 0.0)
    order, lengths = episode.turn_order, _lengths(episode)
    turns_N = torch.tensor([episode.turn_advantages[turn] for turn in order])
    turns_N = turns_N.repeat_interleave(torch.tensor([lengths[turn] for turn in order]))
    return torch.zeros(len(episode.mask)).masked_scatter(mask_T, turns_N)


def kl_penalties(
    episodes: Sequence[Episode], kl: Mapping[tuple[int, int], Tensor], *, beta: float
) -> dict[tuple[int, int], list[float]]:
    """Return beta times the sum of each turn's log-probability ratios to the reference.

    Args:
        episodes: Those of `kl`; others are left out.
        kl: For each token log-probability minus that of the reference, by group and member, as from
            `Updater.kl_to_reference`.
        beta: Weight.
    """
    found = {}
    for episode in episodes:
        kl_T = kl.get((episode.group, episode.member))
        if kl_T is not None:
            order, lengths = episode.turn_order, _lengths(episode)
            sampled_M = kl_T[torch.tensor(episode.mask, dtype=torch.bool)].double()
            parts = torch.split(sampled_M, [lengths[turn] for turn in order])
            sums = {turn: beta * float(part.sum()) for turn, part in zip(order, parts, strict=True)}
            found[episode.group, episode.member] = [sums[turn] for turn in range(len(lengths))]
    return found


def overlong_penalty(num_tokens: int, *, longest: int, buffer: int) -> float:
    """Return DAPO's soft overlong punishment as a number that is taken off the reward.

    Args:
        num_tokens: Tokens of the episode.
        longest: The most tokens that an episode may have.
        buffer: Before `longest` the penalty rises over so many tokens from 0 to 1.

    Source: arXiv 2503.14476, equation 13.

    >>> [overlong_penalty(tokens, longest=100, buffer=20) for tokens in (80, 85, 100)]
    [0.0, 0.25, 1.0]
    """
    return min(1.0, max(0.0, (num_tokens - (longest - buffer)) / buffer))


def overlong_penalties(episodes: Sequence[Episode], *, longest: int, buffer: int) -> dict[tuple[int, int], list[float]]:
    """Return the `overlong_penalty` of each episode that began, on its last turn.

    A departure from DAPO: what is counted is the whole conversation, as `longest` limits it, replies included; of
    several the longest.
    """
    found = {}
    for episode in episodes:
        if episode.failure is None and any(episode.mask):
            penalty = overlong_penalty(episode.longest, longest=longest, buffer=buffer)
            found[episode.group, episode.member] = [0.0] * (len(_lengths(episode)) - 1) + [penalty]
    return found


def _shaped(episode: Episode, penalties: Sequence[Penalties]) -> list[float]:
    """Return the reward of each turn less its penalties."""
    rewards = list(episode.turn_rewards) if episode.turn_rewards else [episode.reward] if any(episode.mask) else []
    taken = _taken(episode, penalties)
    return [reward - penalty for reward, penalty in zip(rewards, taken or [0.0] * len(rewards), strict=True)]


def _taken(episode: Episode, penalties: Sequence[Penalties]) -> list[float]:
    place = episode.group, episode.member
    return [sum(parts) for parts in zip(*(each[place] for each in penalties if place in each), strict=True)]


def _lengths(episode: Episode) -> list[int]:
    return episode.turn_lengths or [sum(episode.mask)]  # an episode made elsewhere may not tell its turns: one


def _states(episode: Episode, num_turns: int) -> list[str]:
    return (episode.turn_states or [""] * num_turns)[:num_turns]


def _numbered(states: Sequence[str]) -> Tensor:
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(state, len(numbers)) for state in states], dtype=torch.long)
