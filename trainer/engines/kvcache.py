"""Keys and values of many episodes in fixed slots, each row at its own length.

Hugging Face models call `update` in every layer. Rows of a call may be any slots; tokens are written where each row
stands, and what a longer row has beyond a shorter one is hidden by the mask. Padding writes to a spare place.
Legend: B rows, N new tokens, L cached length, H key-value heads, D head size, S slots.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from agentrl.trainer.errors import ConfigError

__all__ = ["UNBOUNDED", "SlotCache", "check_cache", "room", "token_bytes"]

UNBOUNDED = sys.maxsize

# Hugging Face's names; a model without `layer_types` has one kind, sliding if there is a window.
_FULL, _SLIDING = "full_attention", "sliding_attention"


class _SlotLayer(CacheLayerMixin):
    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        # Weakly: a cache that is replaced goes at once, not when cycles are looked for; it may be half of memory.
        self._owner = cast(SlotCache, weakref.proxy(owner))

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self._flat_keys, self.keys = self._empty(key_states)
        self._flat_values, self.values = self._empty(value_states)
        self.is_initialized = True

    def _empty(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return a flat buffer and its slots, (S, H, capacity, D): what a head reads of an episode is one piece."""
        owner, num_heads, size = self._owner, like.shape[1], like.shape[3]
        flat = like.new_zeros(owner.num_slots * num_heads * owner.capacity + 1, size)  # one more: for padding
        return flat, flat[:-1].view(owner.num_slots, num_heads, owner.capacity, size)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        place = self._owner.place(key_states.shape[1])
        self._flat_keys.index_copy_(0, place, key_states.flatten(0, 2))
        self._flat_values.index_copy_(0, place, value_states.flatten(0, 2))
        return self._taken(self.keys), self._taken(self.values)

    def _taken(self, buffer: Tensor) -> Tensor:
        """Return all that the rows hold, (B, H, L, D)."""
        owner = self._owner
        if owner.prefix:  # the first rows in order: a view, nothing is copied
            return buffer[: owner.prefix, :, : owner.read_length]
        return buffer[owner.rows_B, :, : owner.read_length]

    def move(self, kept: Sequence[int]) -> None:
        """Take the owner's shape; slots `kept` become the first ones."""
        if self.is_initialized:
            # One after the other: what both hold meanwhile is little beside the whole cache.
            self._flat_keys, self.keys = self._moved(self.keys, kept)
            self._flat_values, self.values = self._moved(self.values, kept)

    def _moved(self, old: Tensor, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
        flat, slots = self._empty(old)
        length = min(old.shape[2], slots.shape[2])
        first = len(kept)
        in_place = list(kept) == list(range(first))  # then nothing is gathered in between
        slots[:first, :, :length] = old[:first, :, :length] if in_place else old[list(kept), :, :length]
        return flat, slots

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.read_length, 0

    def get_seq_length(self) -> int:
        return self._owner.read_length

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """A Hugging Face cache over `num_slots` episodes.

    Args:
        config: Of the model's text part.
        num_slots: Episodes held at once; the length of each grows by itself.
        dtype: Of the model, for its attention mask.
        max_tokens: That all slots may hold together.

    Raises:
        ConfigError: The model has layers that keep something else than keys and values of all tokens.
    """

    def __init__(
        self, config: PretrainedConfig, num_slots: int, dtype: torch.dtype, *, max_tokens: int = UNBOUNDED
    ) -> None:
        self._kinds = set(getattr(config, "layer_types", None) or ())
        if self._kinds - {_FULL, _SLIDING}:
            raise ConfigError(
                f"{config.model_type} has layers of the kinds {', '.join(sorted(self._kinds))}, of which the torch "
                f"engine knows {_FULL} and {_SLIDING} only; try a Qwen3, Llama or Mistral model"
            )
        self._window: int | None = getattr(config, "sliding_window", None)
        self.num_slots = num_slots
        self.dtype = dtype
        self.max_tokens = max_tokens
        self.capacity = min(256, max_tokens // max(1, num_slots))
        self.num_moves = 0
        """Changes with what the addresses of keys and values change with."""
        self.prefix = 0
        self.read_length = 0
        self.rows_B = torch.empty(0, dtype=torch.long)
        self._write_rows_BN = torch.empty(0, 0, dtype=torch.long)
        self._write_at_BN = torch.empty(0, 0, dtype=torch.long)
        self._places: dict[int, Tensor] = {}  # by key-value heads; of the pass that `aim` prepared
        super().__init__(layers=[_SlotLayer(self) for _ in range(config.num_hidden_layers)])

    def aim(
        self,
        rows_B: Tensor,
        lengths_B: Tensor,
        new_B: Tensor,
        num_new: int,
        *,
        prefix: int = 0,
        read_length: int = 0,
    ) -> tuple[Tensor, Tensor | dict[str, Tensor]]:
        """Point the next forward pass at some rows; new tokens stand at the right, padding at the left.

        Args:
            rows_B: Slots of the rows.
            lengths_B: Tokens already cached in each.
            new_B: New tokens of each, at least 1.
            num_new: Width of the input.
            prefix: When not 0, `rows_B` is exactly the slots 0 … prefix-1.
            read_length: How much is read of each row, at least what it will hold; there must be room (`reserve`). 0:
                what the longest will hold, for which the device is waited for.

        Returns:
            Position ids (B, N), and the attention mask (B, 1, N, L), 0 where a token may look and -inf elsewhere (as
            attention adds it: booleans would be turned into that in every layer); a mask for each kind of layer where
            the model has several.
        """
        device = rows_B.device
        column_N = torch.arange(num_new, device=device)
        place_BN = column_N - (num_new - new_B)[:, None]  # below 0: padding
        position_BN = (lengths_B[:, None] + place_BN).clamp_min(0)
        self.read_length = read_length or int((lengths_B + new_B).max())
        self.reserve(self.read_length)
        padding_BN = place_BN < 0
        self.rows_B, self.prefix = rows_B, prefix
        self._write_rows_BN = torch.where(padding_BN, self.num_slots, rows_B[:, None])
        self._write_at_BN = torch.where(padding_BN, 0, position_BN)
        self._places = {}
        column_L = torch.arange(self.read_length, device=device)
        hidden = (column_L > position_BN[:, :, None])[:, None]
        if self._window is None or self._kinds == {_FULL}:
            return position_BN, self._added(hidden)
        far = hidden | (column_L <= position_BN[:, :, None] - self._window)[:, None]
        return position_BN, {_FULL: self._added(hidden), _SLIDING: self._added(far)} if self._kinds else self._added(
            far
        )

    @property
    def num_tokens(self) -> int:
        """What all slots can hold."""
        return self.num_slots * self.capacity

    def reserve(self, length: int) -> None:
        """Make room for so many tokens in each slot, or for as many as all slots can have within the bound."""
        if length > self.capacity:
            capacity = min(room(length), self.max_tokens // max(1, self.num_slots))
            self.reshape(self.num_slots, max(self.capacity, capacity), range(self.num_slots))

    def reshape(self, num_slots: int, capacity: int, kept: Sequence[int]) -> None:
        """Have other slots; those of `kept` become the first, in this order, with what they hold.

        Raises:
            torch.OutOfMemoryError: The device has no more; the cache is then useless, and `num_tokens` what it had.
        """
        before = self.num_slots, self.capacity
        self.num_slots, self.capacity = num_slots, capacity
        self.num_moves += 1
        try:
            for layer in self.layers:
                layer.move(kept)
        except torch.OutOfMemoryError:
            self.num_slots, self.capacity = before
            raise

    def place(self, num_heads: int) -> Tensor:
        """Return where the new tokens' states go, counted in tokens over all slots and heads, flat over (B, H, N)."""
        if num_heads not in self._places:
            head_H1 = torch.arange(num_heads, device=self._write_at_BN.device)[:, None]
            row_BHN = self._write_rows_BN[:, None] * num_heads + head_H1
            place_BHN = row_BHN * self.capacity + self._write_at_BN[:, None]
            self._places[num_heads] = place_BHN.flatten().clamp_max_(num_heads * self.num_tokens)
        return self._places[num_heads]

    def _added(self, hidden: Tensor) -> Tensor:
        return torch.zeros(hidden.shape, dtype=self.dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)

    def copy(self, source_B: Tensor, target_B: Tensor, length: int) -> None:
        """Give some slots the same first `length` tokens as others."""
        for layer in self.layers:
            layer.keys[target_B, :, :length] = layer.keys[source_B, :, :length]
            layer.values[target_B, :, :length] = layer.values[source_B, :, :length]

    def swap(self, first_B: Tensor, second_B: Tensor, length: int) -> None:
        """Exchange the first `length` tokens of some slots with those of others; no slot is given twice."""
        to_B, from_B = torch.cat([first_B, second_B]), torch.cat([second_B, first_B])
        for layer in self.layers:
            layer.keys[to_B, :, :length] = layer.keys[from_B, :, :length]
            layer.values[to_B, :, :length] = layer.values[from_B, :, :length]


def room(length: int) -> int:
    """Return for how many tokens a slot is made once it has to hold `length`.

    Doubled, 32 episodes of 8k tokens would take up to 70 GB with a 4B model, where 45 are enough. Copying all of it
    once in an eighth more is little beside what the passes between read.
    """
    return -(-(length + max(256, length // 8)) // 64) * 64


def token_bytes(config: PretrainedConfig, dtype: torch.dtype) -> int:
    """Return what the keys and values of one token take, for the text part of a model's configuration."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * dtype.itemsize)


@torch.no_grad()
def check_cache(model: PreTrainedModel) -> None:
    """Compare cached passes over two rows of unequal length with plain passes.

    Raises:
        ConfigError: The model takes no such cache or mask, or computes something else with them.
    """
    training = model.training
    model.eval()
    ids = (torch.arange(8, device=model.device) + 1) % model.config.get_text_config().vocab_size
    plain = [model.base_model(input_ids=ids[None, :end]).last_hidden_state[0, -1] for end in (8, 3)]
    try:
        cached = _cached(model, ids)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"{_unsupported(model)} ({type(error).__name__}: {error})") from error
    finally:
        model.train(training)
    wanted, got = torch.stack(plain).float(), cached.float()
    share = 1e-3 if cached.dtype == torch.float32 else 5e-2
    if not torch.allclose(wanted, got, rtol=0, atol=share * float(wanted.abs().max())):
        raise ConfigError(_unsupported(model))


def _cached(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the last hidden states (2, H) of all 8 ids and of the first 3, each computed in two passes."""
    cache = SlotCache(model.config.get_text_config(), 2, model.dtype)
    rows_B, lengths_B = torch.tensor([0, 1], device=ids.device), torch.zeros(2, dtype=torch.long, device=ids.device)
    for long, short in ((5, 2), (3, 1)):
        done = [int(length) for length in lengths_B]
        filler = ids.new_zeros(long - short)
        ids_BN = torch.stack([ids[done[0] : done[0] + long], torch.cat([filler, ids[done[1] : done[1] + short]])])
        new_B = torch.tensor([long, short], device=ids.device)
        positions_BN, mask = cache.aim(rows_B, lengths_B, new_B, long)
        hidden: Tensor = model.base_model(
            input_ids=ids_BN, position_ids=positions_BN, attention_mask=mask, past_key_values=cache, use_cache=True
        ).last_hidden_state
        lengths_B = lengths_B + new_B
    return hidden[:, -1]


def _unsupported(model: PreTrainedModel) -> str:
    name = type(model).__name__
    return f"{name} attends in a way that the torch engine does not know; try a Qwen3, Llama or Mistral model"
