"""Token rows that begin alike, laid out as trees: what several episodes share is computed once.

Members of a group share their prompt, and often whole turns: the same first call is answered the same. Each distinct
beginning is a place of a tree; a place attends to those on the way to its root and stands at its depth, so that it is
what it would be in a row of its own. Several trees stand in a row where they fit, which leaves little padding.

A mask that says who sees whom makes attention cost the square of a row; `Costs` tells where that pays.
Legend: R rows, N places of a row, T tokens of an episode, S distinct sampled places, M sampled tokens of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

__all__ = ["MAX_PAIRS", "Costs", "Forest", "Tree", "forest_inputs", "plant"]

MAX_PAIRS: Final = 2**25
"""Entries of a forest's mask: 128 MiB in float32."""


_WINDOWS: Final = ("window_size", "attention_layers", "keep_window_size", "attention_chunk_size")
"""What families of models call a window beside `sliding_window`, which counts where no layers are named."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Distinct beginnings of some rows of tokens, each after the one it extends."""

    ids_N: np.ndarray
    depths_N: np.ndarray
    parents_N: np.ndarray  # -1 at a root
    paths: list[np.ndarray]  # the places of each row, in the order of the rows; int64 (T,)

    def __len__(self) -> int:
        return len(self.ids_N)

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Tree:
        """Lay out rows; equal rows take the same places."""
        order = sorted(range(len(rows)), key=lambda row: tuple(rows[row]))
        paths: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(rows)
        ids: list[np.ndarray] = []
        depths: list[np.ndarray] = []
        parents: list[np.ndarray] = []
        size = 0
        before, path = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        for row in order:  # sorted, a row shares most with the one before it
            tokens = np.asarray(rows[row], dtype=np.int64)
            shared = _common(before, tokens)
            fresh = np.arange(size, size + len(tokens) - shared)
            path = np.concatenate([path[:shared], fresh])
            ids.append(tokens[shared:])
            depths.append(np.arange(shared, len(tokens)))
            parents.append(np.concatenate([[-1], path])[shared : len(tokens)])
            size += len(fresh)
            paths[row], before = path, tokens
        return cls(
            ids_N=np.concatenate(ids),
            depths_N=np.concatenate(depths),
            parents_N=np.concatenate(parents),
            paths=paths,
        )

    def seen(self) -> np.ndarray:
        """Return which place (second axis) each place (first axis) attends to; bool (N, N)."""
        seen_NN = np.zeros((len(self), len(self)), dtype=bool)
        known = np.zeros(len(self), dtype=bool)
        for path in self.paths:
            start = int(known[path].sum())  # what is known of a path is its beginning
            seen_NN[np.ix_(path[start:], path)] = np.tri(len(path) - start, len(path), start, dtype=bool)
            known[path] = True
        return seen_NN


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Trees as the input of one forward pass, and where the sampled tokens of its episodes are found in it."""

    ids_RN: Tensor  # int64; 0 where padded
    positions_RN: Tensor  # int64
    seen_R1NN: Tensor  # bool: who attends to whom; padding sees itself
    before_S: Tensor  # int64: place in (R * N) whose hidden state predicts a sampled place
    sampled_S: Tensor  # int64: the sampled places
    spread_M: Tensor  # int64: index into S of each sampled token, in the order of the batch's mask


def plant(rows: Sequence[Sequence[Tree]], masks: Sequence[Sequence[bool]], device: torch.device) -> Forest:
    """Put trees into rows.

    Args:
        rows: The trees of each row.
        masks: Which tokens were sampled, episode after episode as the trees have them.
        device: Where the tensors go.
    """
    width = max(sum(map(len, trees)) for trees in rows)
    ids_RN, positions_RN = (np.zeros((len(rows), width), dtype=np.int64) for _ in range(2))
    seen_RNN = np.repeat(np.eye(width, dtype=bool)[None], len(rows), axis=0)
    parents_RN = np.zeros((len(rows), width), dtype=np.int64)
    places: list[np.ndarray] = []
    for row, trees in enumerate(rows):
        start = 0
        for tree in trees:
            part = slice(start, start + len(tree))
            ids_RN[row, part], positions_RN[row, part] = tree.ids_N, tree.depths_N
            seen_RNN[row, part, part] = tree.seen()
            offset = row * width + start
            parents_RN[row, part] = tree.parents_N + offset
            places += [path + offset for path in tree.paths]
            start += len(tree)
    sampled_M = np.concatenate([path[np.asarray(mask, dtype=bool)] for path, mask in zip(places, masks, strict=True)])
    sampled_S, spread_M = np.unique(sampled_M, return_inverse=True)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Forest(
        ids_RN=tensor(ids_RN),
        positions_RN=tensor(positions_RN),
        seen_R1NN=tensor(seen_RNN[:, None]),
        before_S=tensor(parents_RN.reshape(-1)[sampled_S]),
        sampled_S=tensor(sampled_S),
        spread_M=tensor(spread_M.reshape(-1)),
    )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What attention costs a model beside its other layers."""

    pair: float  # of a query and a key in all layers, in units of a token through all the other layers

    @classmethod
    def of(cls, model: PreTrainedModel) -> Costs | None:
        """Return the costs of a model; None where it cannot attend along a tree.

        It cannot where layers see a window or keep a state of their own, or where a try shows so.
        """
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        named = getattr(config, "layer_types", None) is not None
        windows = _WINDOWS if named else ("sliding_window", *_WINDOWS)
        windowed = any(getattr(config, name, None) is not None for name in windows)
        if kinds != {"full_attention"} or windowed or not _attends_along(model):
            return None
        inside = sum(weight.numel() for weight in model.base_model.parameters())
        inside -= model.get_input_embeddings().weight.numel()
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        # Two products of 2 * size operations a head and pair, against 2 a weight and token.
        return cls(pair=2 * config.num_hidden_layers * config.num_attention_heads * size / max(1, inside))

    def masked(self, places: int) -> float:
        """Return what a row of a forest costs, in tokens. Measured on a CPU: under a mask all pairs are computed."""
        return places + self.pair * places * places

    def alone(self, length: int) -> float:
        """Return what a row costs that causal attention sees by itself, in tokens: half of the pairs are computed."""
        return length + self.pair * length * length / 2

    def pays(self, lengths: Sequence[int], places: int) -> bool:
        """Return whether a tree of `places` costs less than rows of these lengths, each alone."""
        return places * places <= MAX_PAIRS and self.masked(places) < sum(map(self.alone, lengths))


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """Return how many tokens two rows begin with in common."""
    size = min(len(first), len(second))
    differs = np.flatnonzero(first[:size] != second[:size])
    return int(differs[0]) if len(differs) else size


@torch.no_grad()
def _attends_along(model: PreTrainedModel) -> bool:
    """Compare a small tree with its rows, one by one."""
    words = model.config.get_text_config().vocab_size
    rows = [[token % words for token in row] for row in ([1, 2, 3, 4, 5], [1, 2, 3, 6], [1, 2, 7, 8, 9, 1], [5, 4])]
    masks = [[place == len(row) - 1 for place in range(len(row))] for row in rows]
    forest = plant([[Tree.of(rows[:3]), Tree.of(rows[3:])]], masks, model.device)
    training = model.training
    model.eval()
    try:
        hidden = model.base_model(**forest_inputs(forest, model.dtype), use_cache=False).last_hidden_state
        got = hidden.flatten(0, 1)[forest.before_S][forest.spread_M].float()
        wanted = torch.stack([_alone(model, row[:-1]) for row in rows]).float()
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        model.train(training)
    share = 1e-3 if hidden.dtype == torch.float32 else 5e-2
    return torch.allclose(wanted, got, rtol=0, atol=share * float(wanted.abs().max()))


def _alone(model: PreTrainedModel, row: Sequence[int]) -> Tensor:
    ids = torch.tensor([list(row)], device=model.device)
    last: Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
    return last


def forest_inputs(forest: Forest, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return a forest as a model takes it; the mask is one that attention adds."""
    hidden = ~forest.seen_R1NN
    mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
    return {"input_ids": forest.ids_RN, "position_ids": forest.positions_RN, "attention_mask": mask}
