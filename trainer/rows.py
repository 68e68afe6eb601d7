"""The rows of tokens that are trained on: an episode is one, or one for each conversation that it consists of.

Where a program rewrites what it sends back, or talks with its model in several conversations, each is a row of its own
(`Episode.segments`). All rows of an episode share its advantage and count as one episode in the means of a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from agentrl.trainer.credit import token_advantages
from agentrl.trainer.types import Episode

__all__ = ["Row", "rows_of"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One conversation of an episode."""

    group: int
    member: int
    start: int  # where it begins among the tokens of its episode
    token_ids: Sequence[int]
    mask: Sequence[bool]  # True = sampled
    logprobs: Sequence[float]  # as sampled
    advantages_T: Tensor  # float32; 0 where not sampled
    overlong: bool  # its episode, as Episode.overlong
    num_sampled: int  # tokens that its episode sampled, in all rows

    @property
    def place(self) -> tuple[int, int, int]:
        """What it is known by in a batch."""
        return self.group, self.member, self.start


def rows_of(episode: Episode) -> list[Row]:
    """Return the rows of an episode in which something was sampled, in order.

    Raises:
        ValueError: The lengths of its conversations are not those of its tokens.
    """
    lengths = episode.segments or [len(episode.token_ids)]
    if sum(lengths) != len(episode.token_ids):
        raise ValueError(f"segments is {lengths}, but the episode has {len(episode.token_ids)} tokens")
    advantages_T = token_advantages(episode)
    num_sampled, start = sum(episode.mask), 0
    rows = []
    for length in lengths:
        part = slice(start, start + length)
        if any(episode.mask[part]):
            rows.append(
                Row(
                    group=episode.group,
                    member=episode.member,
                    start=start,
                    token_ids=episode.token_ids[part],
                    mask=episode.mask[part],
                    logprobs=episode.logprobs[part],
                    advantages_T=advantages_T[part],
                    overlong=episode.overlong,
                    num_sampled=num_sampled,
                )
            )
        start += length
    return rows
