"""Episodes to tensors of bounded size, a row for each conversation (`rows.py`).

Members of a group that begin alike are laid out as a tree where that is cheaper (`prefixes.py`), and trees stand side
by side in rows. The others are padded at the right: with causal attention no real token looks at padding, so that no
mask has to be made. Legend: B rows, T tokens of the longest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from agentrl.trainer.prefixes import MAX_PAIRS, Costs, Forest, Tree, plant
from agentrl.trainer.rows import Row, rows_of
from agentrl.trainer.types import Episode

__all__ = ["MicroBatch", "micro_batches"]

_BATCH: Final = 64.0  # tokens: what a micro-batch costs besides
_LIKE: Final = (0.0, 0.5, 0.7, 0.85)  # the smallest tree of a micro-batch may have that share of the largest


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Some rows, ready for one forward pass. Place t of all but `ids_BT` speaks of the token at t."""

    ids_BT: Tensor  # int64; 0 where padded
    mask_BT: Tensor  # bool: sampled and trained on
    old_logprobs_BT: Tensor  # float32, as sampled
    advantages_BT: Tensor  # float32; 0 where not sampled
    overlong_B: Tensor  # bool, as Episode.overlong
    sampled_B: Tensor | None = None  # tokens that the episode of each row sampled in all its rows; None: in this one
    num_tokens: int = 0  # of all rows, without padding
    places: tuple[tuple[int, int, int], ...] = ()  # group, member and first token of each row
    forest: Forest | None = None  # the same tokens, each distinct beginning once; None: run over `ids_BT`

    @property
    def computed(self) -> int:
        """Tokens that go through the model, padding included."""
        return (self.ids_BT if self.forest is None else self.forest.ids_RN).numel()


def micro_batches(
    episodes: Sequence[Episode], *, max_tokens: int, device: torch.device, costs: Costs | None = None
) -> Iterator[MicroBatch]:
    """Split the rows of episodes into micro-batches of at most `max_tokens` computed tokens, padding included.

    A row longer than `max_tokens` stands alone. The order depends on the episodes only.

    Args:
        episodes: Those in which nothing was sampled are left out.
        max_tokens: Of a micro-batch.
        device: Where the tensors go.
        costs: Of the model's attention; None: nothing is shared.
    """
    groups: defaultdict[int, list[Row]] = defaultdict(list)
    for row in sorted((row for episode in episodes for row in rows_of(episode)), key=lambda row: row.place):
        groups[row.group].append(row)
    grown: list[_Grown] = []
    alone: list[Row] = []
    for members in groups.values():
        trees = [] if costs is None else _grow(members, max_tokens, costs)
        grown += trees
        alone += [] if trees else members
    if costs is not None and grown:
        yield from (_planted(rows, device) for rows in _forests(grown, max_tokens, costs))
    left = sorted(alone, key=lambda row: (-len(row.token_ids), row.place))
    while left:
        count = max(1, max_tokens // len(left[0].token_ids))
        part, left = left[:count], left[count:]
        yield _batch(part, device)


@dataclass(frozen=True, kw_only=True)
class _Grown:
    tree: Tree
    rows: list[Row]


def _grow(members: list[Row], max_tokens: int, costs: Costs) -> list[_Grown]:
    """Return the members as trees of at most `max_tokens`; empty where that does not pay."""
    tree = Tree.of([row.token_ids for row in members])
    if len(tree) > max_tokens:
        if len(members) == 1:
            return []
        # In the order of their tokens, those that share most stay together.
        ordered = sorted(members, key=lambda row: (row.token_ids, row.member, row.start))
        halves = [
            _grow(part, max_tokens, costs) for part in (ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :])
        ]
        return halves[0] + halves[1] if all(halves) else []
    pays = costs.pays([len(row.token_ids) for row in members], len(tree))
    return [_Grown(tree=tree, rows=members)] if pays else []


def _forests(grown: list[_Grown], max_tokens: int, costs: Costs) -> list[list[list[_Grown]]]:
    """Put trees into rows and rows into micro-batches, in the cheapest of a few ways.

    A row is as wide as the largest tree of its micro-batch: small ones beside large ones leave less padding, and small
    ones by themselves have fewer pairs to attend to.
    """

    def cost(batches: list[list[list[_Grown]]]) -> float:
        return sum(_BATCH + len(rows) * costs.masked(len(rows[0][0].tree)) for rows in batches)

    ordered = sorted(grown, key=lambda each: (-len(each.tree), each.rows[0].place))
    return min((_packed(ordered, max_tokens, like) for like in _LIKE), key=cost)


def _packed(ordered: list[_Grown], max_tokens: int, like: float) -> list[list[list[_Grown]]]:
    """Put each tree, large ones first, into the first row that has room; a micro-batch has trees of like size."""
    batches: list[list[list[_Grown]]] = []
    width = 0
    for each in ordered:
        size = len(each.tree)
        rows = batches[-1] if batches else []
        fits = (
            size >= like * width and (len(rows) + 1) * width <= max_tokens and (len(rows) + 1) * width**2 <= MAX_PAIRS
        )
        row = next((row for row in rows if sum(len(other.tree) for other in row) + size <= width), None)
        if row is not None and size >= like * width:
            row.append(each)
        elif rows and fits:
            rows.append([each])
        else:
            batches.append([[each]])
            width = size
    return batches


def _planted(rows: list[list[_Grown]], device: torch.device) -> MicroBatch:
    planted = [row for trees in rows for each in trees for row in each.rows]
    forest = plant([[each.tree for each in trees] for trees in rows], [row.mask for row in planted], device)
    return _batch(planted, device, forest)


def _batch(rows: Sequence[Row], device: torch.device, forest: Forest | None = None) -> MicroBatch:
    shape = (len(rows), max(len(row.token_ids) for row in rows))
    ids_BT = torch.zeros(shape, dtype=torch.long)
    mask_BT = torch.zeros(shape, dtype=torch.bool)
    old_BT, advantages_BT = torch.zeros(shape), torch.zeros(shape)
    for at, row in enumerate(rows):
        length = len(row.token_ids)
        ids_BT[at, :length] = torch.tensor(row.token_ids)
        mask_BT[at, :length] = torch.tensor(row.mask)
        old_BT[at, :length] = torch.tensor(row.logprobs)
        advantages_BT[at, :length] = row.advantages_T
    return MicroBatch(
        ids_BT=ids_BT.to(device),
        mask_BT=mask_BT.to(device),
        old_logprobs_BT=old_BT.to(device),
        advantages_BT=advantages_BT.to(device),
        overlong_B=torch.tensor([row.overlong for row in rows], device=device),
        sampled_B=torch.tensor([row.num_sampled for row in rows], device=device),
        num_tokens=sum(len(row.token_ids) for row in rows),
        places=tuple(row.place for row in rows),
        forest=forest,
    )
