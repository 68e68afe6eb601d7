"""Which rows hold keys and values when memory is short.

Slots are as long as the longest row needs, and together hold `max_tokens` at most. Where not every row finds a slot:
    Rows whose environments are at work lose theirs, first the one that was computed longest ago, then rows that wait;
    what they held is computed anew when they join.
    Waiting rows join in order, as many as fit; nobody overtakes.
    Active rows that outgrow the bound are put back to the waiting ones, the last in order first. What they sampled and
    what they will draw stays as it is, so that they go on as they would have gone on.
Tokens alone decide, not when an environment answers. So that this holds with the schedule "exact", those that found no
room join before any others do, and without waiting for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from transformers import PreTrainedModel

from agentrl.trainer.engines.kvcache import UNBOUNDED, SlotCache, room, token_bytes
from agentrl.trainer.engines.twins import TwinRow
from agentrl.trainer.errors import EngineError

__all__ = ["KeptRow", "Shape", "Slots", "admitted", "arranged", "closing", "staying"]

_WORTH = 1.125  # times as many slots: else the cache is not copied for more of them
_LEFT = 7 / 8  # of what the cache had when memory ran out: whatever else needed some finds the rest


@dataclass(kw_only=True, eq=False)
class KeptRow(TwinRow):
    """A row whose cache may be dropped and computed again."""

    used: int = 0  # the step in which it was computed last
    lost: int = 0  # tokens dropped from the cache and not computed again yet
    size: int = 0  # tokens in the cache at that time; unlike `length` it stays as it is until the row joins again
    queued: bool = False  # it waited at an admission and found no room, or was put back

    @property
    def ids(self) -> list[int]:
        """All tokens so far, those of a turn under way included."""
        assert self.request is not None
        return [*self.request.prompt_ids, *self.tokens]

    @property
    def needed(self) -> int:
        """Tokens its slot must hold for the next one to be drawn."""
        assert self.request is not None
        return len(self.request.prompt_ids) + len(self.tokens)

    @property
    def wanted(self) -> int:
        """Tokens its slot should hold for it to go on for a while; the last of a turn is never put in."""
        assert self.request is not None
        return min(room(self.needed), len(self.request.prompt_ids) + self.request.max_new_tokens - 1)


K = TypeVar("K", bound=KeptRow)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of a cache: slots, and the tokens that each can hold."""

    num_slots: int
    capacity: int


def admitted(active: Sequence[K], waiting: Sequence[K], max_tokens: int) -> list[K]:
    """Return which of the waiting rows, given in order, join the active ones; at least one if it fits alone."""
    joining: list[K] = []
    length = max((row.wanted for row in active), default=1)
    for row in waiting:
        length = max(length, row.wanted)
        if (len(active) + len(joining) + 1) * length > max_tokens:
            break
        joining.append(row)
    if not active and not joining and waiting and waiting[0].needed <= max_tokens:
        return [waiting[0]]
    return joining


def staying(active: Sequence[K], max_tokens: int) -> list[K]:
    """Return which of the active rows, given in order, can draw a further token; none if the first does not fit."""
    rows = list(active)
    while rows and len(rows) * max(row.needed for row in rows) > max_tokens:
        rows.pop()
    return rows


def closing(rows: Sequence[K]) -> dict[K, int]:
    """Return which rows move to which slot, so that all stand in the first ones; none where that does not pay.

    Every slot up to the last of them takes part in a step: it pays where more than a quarter of it is padding.

    Args:
        rows: Those that are computed, in the order of their slots.
    """
    if 3 * (rows[-1].slot + 1) <= 4 * len(rows):
        return {}
    taken = {row.slot for row in rows}
    free = (slot for slot in range(len(rows)) if slot not in taken)
    return dict(zip([row for row in rows if row.slot >= len(rows)], free, strict=True))


def arranged(
    shape: Shape, rows: Sequence[K], resting: Sequence[K], *, num_open: int, max_tokens: int
) -> tuple[Shape, list[K]]:
    """Decide what a cache must look like, and who keeps a slot.

    Args:
        shape: Of the cache as it is.
        rows: Those that are computed next; they fit.
        resting: Others that hold something.
        num_open: All open sessions: they will want a slot.
        max_tokens: The bound.

    Returns:
        The shape, which is a new one only where that is worth copying everything, and those of `resting` that stay.
    """
    lasting = sorted(resting, key=lambda row: (not row.queued, -row.used, row.slot))
    length = max(row.needed for row in rows)
    num_held = len(rows) + len(lasting)
    most = max(len(rows), max_tokens // max(row.wanted for row in rows))
    growing = num_held > shape.num_slots
    # Twice as many at once: sessions that come one by one would have it copied each time.
    num_slots = min(most, max(num_held, num_open, 2 * shape.num_slots if growing else 0))
    serves = length <= shape.capacity and len(rows) <= shape.num_slots
    if serves and not (growing and num_slots >= _WORTH * shape.num_slots):
        return shape, lasting[: shape.num_slots - len(rows)]
    capacity = min(room(length), max_tokens // num_slots)
    kept = [row for row in lasting if row.size <= capacity]
    return Shape(num_slots=num_slots, capacity=capacity), kept[: num_slots - len(rows)]


class Slots(Generic[K]):
    """The cache of an engine: its slots, which rows hold them, and what all together may take.

    Args:
        model: Whose keys and values they are.
        kv_cache_mb: The bound in MiB; None: no bound, until memory runs out on the device.
    """

    def __init__(self, model: PreTrainedModel, kv_cache_mb: float | None) -> None:
        self._model, self._kv_cache_mb = model, kv_cache_mb
        self._config = model.config.get_text_config()
        self._token_bytes = token_bytes(self._config, model.dtype)
        self.max_tokens = UNBOUNDED if kv_cache_mb is None else int(kv_cache_mb * 2**20) // self._token_bytes
        self._held: list[K] = []  # rows that held something when `note` was called, whatever came of them since
        self._num_open = 0  # sessions at the same time
        self.num_evicted = 0  # rows that had to give way
        self.num_recomputed = 0  # tokens computed once more because of that
        self.renew()

    def renew(self) -> None:
        """Begin with a cache that holds nothing."""
        self.cache = SlotCache(self._config, 0, self._model.dtype, max_tokens=self.max_tokens)
        self._held = []

    def note(self, rows: Iterable[K]) -> None:
        """Take note of the rows of all open sessions, at a time that does not depend on environments."""
        every = list(rows)
        self._held, self._num_open = [row for row in every if row.length], len(every)

    def admit(self, active: Sequence[K], waiting: Sequence[K]) -> list[K]:
        """Return which of the waiting rows, given in order, join the active ones."""
        joining = admitted(active, waiting, self.max_tokens)
        for row in waiting:
            row.queued = True
        for row in joining:
            row.queued = False
        return joining

    def hold(self, rows: Sequence[K]) -> list[K]:
        """Have a slot that is long enough for each of these rows; others keep theirs where there is room.

        Returns:
            Rows that hold something, in the order of their slots: where that was changed, they have the first ones.

        Raises:
            torch.OutOfMemoryError: The device has no more.
        """
        taken, cache = set(rows), self.cache
        resting = [row for row in self._held if row not in taken]
        shape = Shape(num_slots=cache.num_slots, capacity=cache.capacity)
        new, kept = arranged(shape, rows, resting, num_open=self._num_open, max_tokens=self.max_tokens)
        self.evict(set(resting).difference(kept))
        self._held = [*rows, *kept]
        old = sorted((row for row in self._held if row not in taken or row.length), key=lambda row: row.slot)
        if new != shape:
            cache.reshape(new.num_slots, new.capacity, [row.slot for row in old])
            for slot, row in enumerate(old):
                row.slot = slot
        return old

    def exchange(self, moves: Mapping[K, int], by_slot: Mapping[int, K]) -> dict[int, K]:
        """Move rows to other slots, and whoever stands there to theirs; return all rows by their slots.

        Args:
            moves: Of `closing`.
            by_slot: All rows.
        """
        others = {slot: by_slot[slot] for slot in moves.values() if slot in by_slot}
        length = max(row.length for row in (*moves, *others.values()))
        slots = torch.tensor([(row.slot, slot) for row, slot in moves.items()], device=self._model.device)
        first_B, second_B = slots.unbind(1)
        self.cache.swap(first_B, second_B, length)
        for row, slot in moves.items():
            if slot in others:
                others[slot].slot = row.slot
            row.slot = slot
        return {row.slot: row for row in by_slot.values()}

    def evict(self, rows: Iterable[K]) -> None:
        """Drop what rows hold."""
        gone = set(rows)
        self._held = [row for row in self._held if row not in gone]
        for row in gone:
            if row.length:
                row.length, row.lost = 0, row.length
                self.num_evicted += 1

    def note_computed(self, row: K) -> None:
        """Count what had been dropped of a row and is there again."""
        self.num_recomputed += row.lost
        row.lost = 0

    def shrink(self) -> str:
        """Drop everything and go on with less; return what to tell the user."""
        self.max_tokens = int(_LEFT * self.cache.num_tokens)
        self.renew()
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        return (
            f"memory ran out: from now on keys and values take {self._mb(self.max_tokens)} MiB at most, and episodes "
            "wait for one another; set engine.kv_cache_mb to have it so from the start"
        )

    def too_long(self, row: KeptRow) -> EngineError:
        """Return the error of a row that does not fit alone."""
        takes = f"an episode of {row.needed} tokens takes {self._mb(row.needed)} MiB of keys and values"
        if self._kv_cache_mb is not None and row.needed * self._token_bytes > self._kv_cache_mb * 2**20:
            return EngineError(
                f"{takes}, more than engine.kv_cache_mb={self._kv_cache_mb:g}; write --engine.kv_cache_mb "
                f"{math.ceil(self._mb(row.needed))} or more, or lower rollout.max_episode_tokens"
            )
        return EngineError(
            f"{takes}, and memory ran out beyond {self._mb(self.max_tokens)} MiB; lower rollout.max_episode_tokens, "
            "or leave more to the engine: lower micro_batch_tokens, or write --dtype bfloat16"
        )

    def _mb(self, num_tokens: int) -> float:
        return round(num_tokens * self._token_bytes / 2**20, 2)
