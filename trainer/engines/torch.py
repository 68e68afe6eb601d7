"""Continuous batching over any Hugging Face causal model, in the trainer's own process and with its own weights.

One thread runs the model. Rows decode together; an episode's cache stays in its slot while its environment works, and
only the new tokens of the next turn are computed. What members of a group have in common is computed once (`twins.py`).
When waiting rows join the batch is told in `threaded.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Request, Schedule, Session
from agentrl.trainer.engines.graphs import graphs_for
from agentrl.trainer.engines.kvcache import SlotCache, check_cache
from agentrl.trainer.engines.sampling import draw
from agentrl.trainer.engines.threaded import ThreadedEngine
from agentrl.trainer.engines.twins import TwinRow, diverge, leave
from agentrl.trainer.errors import EngineError
from agentrl.trainer.model import Head
from agentrl.trainer.types import Completion

__all__ = ["TorchEngine"]

_PREFILL_TOKENS = 16_384  # of one forward pass, padding included; bounds its memory


@dataclass(kw_only=True, eq=False)
class _Row(TwinRow):
    """What this engine knows of a session besides."""

    uniforms: np.ndarray | None = None  # one draw from [0, 1) for each token to come


class TorchEngine(ThreadedEngine[_Row]):
    """Sample from `model` as it is at the moment; the trainer steps the same parameters.

    Args:
        model: A causal language model; its attention must take a 4D mask that is added, as sdpa does.
        schedule: "exact" or "eager", see `threaded.py`.

    Raises:
        ConfigError: The model has layers or an output that the engine does not know.
    """

    def __init__(self, model: PreTrainedModel, *, schedule: Schedule = "exact") -> None:
        super().__init__(schedule=schedule, name="agentrl-engine")
        self._model = model
        self._head = Head(model)
        self._config = model.config.get_text_config()
        self._cache = SlotCache(self._config, 0, model.dtype)
        check_cache(model)
        self._graphs = graphs_for(model)
        self._active: list[_Row] = []
        self._outdated = False  # the cache: to be made anew at the next admission
        self._busy = False  # the model is at work
        self.num_generated = 0
        self.num_prefilled = 0
        self.num_decoded = 0  # tokens fed one by one; rows that are the same count once
        self._thread.start()

    def session(self) -> Session:
        with self._wake:
            if not self._rows:  # the same requests then meet the same shapes, whatever was before
                self._outdated = True
            return super().session()

    def update_weights(self, version: int) -> None:
        with self._wake:
            self._check()
            if any(row.request for row in self._rows.values()):
                raise EngineError("weights cannot change while a turn is being sampled; await the running turns first")
            self._wake.wait_for(lambda: not self._busy)  # what it still computes is for a turn that was cancelled
            for row in self._rows.values():
                row.length = 0
            self.version = version

    # -- a session's turn ----------------------------------------------------------------------------------------

    def _row(self, slot: int) -> _Row:
        return _Row(slot=slot)

    def _begin(self, row: _Row, request: Request) -> None:
        if request.max_new_tokens < 1 or len(request.prompt_ids) <= row.length:
            raise EngineError(
                f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens, "
                f"{row.length} of them known"
            )
        row.uniforms = np.random.Generator(np.random.PCG64(request.seed)).random(request.max_new_tokens)

    def _forget(self, row: _Row) -> None:
        row.length = 0

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        with torch.inference_mode():
            super()._run()

    def _turn(self) -> bool:
        """Admit who may join, then decode one token of every active row; False when closed."""
        with self._wake:
            self._drop_gone()
            while not self._closed and not self._may_go_on():
                self._wake.wait()
                self._drop_gone()
            if self._closed:
                return False
            joining = self._joining()
            self._busy = True
        training = self._model.training
        if training:
            self._model.eval()
        try:
            if joining:
                self._prefill(joining)
            elif self._active:
                self._decode()
        finally:
            if training:
                self._model.train()
            with self._wake:
                self._busy = False
                self._wake.notify_all()
        return True

    def _drop_gone(self) -> None:
        """Forget rows that were cancelled; their slots are as they left them."""
        staying = [row for row in self._active if self._rows.get(row.slot) is row]
        self._copy(leave(set(self._active) - set(staying), staying))
        self._active = staying

    def _waiting(self) -> list[_Row]:
        return self._in_order(row for row in self._rows.values() if row.request and row not in self._active)

    def _joining(self) -> list[_Row]:
        if not self._may_admit():
            return []
        self._members = len(self._rows)
        self._seat()
        self._reserve()
        return self._waiting()

    def _seat(self) -> None:
        """Give rows without a cache the lowest free slots, in order: which session has which task is chance."""
        fresh = [row for row in self._waiting() if row.length == 0]
        seats = {row.slot: row for row in self._rows.values() if row not in fresh}
        free = (slot for slot in itertools.count() if slot not in seats)
        for row, slot in zip(fresh, list(itertools.islice(free, len(fresh))), strict=True):
            row.slot = slot
            seats[slot] = row
        self._rows = seats

    def _prefill(self, rows: list[_Row]) -> None:
        """Compute the new tokens of some rows and sample the first token of each."""
        device = self._model.device
        leaders: dict[tuple[int, ...], _Row] = {}  # rows of the same tokens so far share one computation
        followers: list[tuple[_Row, _Row]] = []
        for row in sorted(rows, key=lambda row: -row.length):  # who knows most has least to compute
            assert row.request is not None
            leader = leaders.setdefault(tuple(row.request.prompt_ids), row)
            if leader is not row:
                followers.append((row, leader))
        logits: dict[int, Tensor] = {}
        for part in _parts(list(leaders.values())):
            new = [list(row.request.prompt_ids[row.length :]) for row in part if row.request]
            width = max(map(len, new))
            ids_BN = torch.tensor([[0] * (width - len(ids)) + ids for ids in new], device=device)
            known = [(row.slot, row.length, len(ids)) for row, ids in zip(part, new, strict=True)]
            slots_B, lengths_B, new_B = torch.tensor(known, device=device).unbind(1)
            logits_BV = self._forward(ids_BN, *self._cache.aim(slots_B, lengths_B, new_B, width))
            self.num_prefilled += sum(map(len, new))
            for row, ids, logits_V in zip(part, new, logits_BV, strict=True):
                row.length += len(ids)
                logits[row.slot] = logits_V
        for row, leader in followers:
            row.like, row.length = leader, leader.length
            logits[row.slot] = logits[leader.slot]
        self._active = sorted([*self._active, *rows], key=lambda row: row.slot)
        self._sample(rows, torch.stack([logits[row.slot] for row in rows]))

    def _copy(self, pairs: Sequence[tuple[TwinRow, TwinRow]]) -> None:
        """Give rows the cache of others; `pairs` are (from, to), both of the length of the second."""
        for length in sorted({target.length for _, target in pairs}):
            slots = [(source.slot, target.slot) for source, target in pairs if target.length == length]
            source_B, target_B = torch.tensor(slots, device=self._model.device).unbind(1)
            self._cache.copy(source_B, target_B, length)

    def _decode(self) -> None:
        rows = [row for row in self._active if row.like is None]
        top = rows[-1].slot + 1
        # (last token, cached length, new tokens); a slot that is not active takes part as padding.
        by_slot = {row.slot: (row.tokens[-1], row.length, 1) for row in rows}
        if self._graphs is not None:
            logits_BV = self._graphs.step(self._cache, by_slot, self._decode_slots)
        else:
            slots = list(range(top))
            if 3 * top > 4 * len(rows):  # mostly empty: the cache is copied; else every slot runs up to the last
                slots, top = [row.slot for row in rows], 0
            inputs_B3 = torch.tensor([by_slot.get(slot, (0, 0, 0)) for slot in slots], device=self._model.device)
            logits_BV = self._decode_slots(inputs_B3, top, 0, slots)
        self.num_decoded += len(rows)
        for row in self._active:
            row.length += 1
        found = {row.slot: row.slot if top else index for index, row in enumerate(rows)}
        self._sample(self._active, logits_BV[[found[(row.like or row).slot] for row in self._active]])

    def _decode_slots(self, inputs_B3: Tensor, prefix: int, read_length: int, slots: Sequence[int] = ()) -> Tensor:
        ids_B, lengths_B, new_B = inputs_B3.unbind(1)
        slots_B = torch.arange(prefix, device=ids_B.device) if prefix else torch.tensor(slots, device=ids_B.device)
        aimed = self._cache.aim(slots_B, lengths_B, new_B, 1, prefix=prefix, read_length=read_length)
        return self._forward(ids_B[:, None], *aimed)

    def _forward(self, ids_BN: Tensor, positions_BN: Tensor, mask: Tensor | dict[str, Tensor]) -> Tensor:
        output = self._model.base_model(
            input_ids=ids_BN,
            position_ids=positions_BN,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        return self._head(output.last_hidden_state[:, -1])

    def _sample(self, rows: list[_Row], logits_BV: Tensor) -> None:
        temperatures = [row.request.temperature for row in rows if row.request]
        uniforms = [float(row.uniforms[len(row.tokens)]) for row in rows if row.uniforms is not None]
        tokens_B, chosen_B = draw(logits_BV, temperatures, uniforms)
        self.num_generated += len(rows)
        done: list[tuple[_Row, Completion]] = []
        for row, token, logprob in zip(rows, tokens_B.tolist(), chosen_B.tolist(), strict=True):
            row.tokens.append(token)
            row.logprobs.append(logprob)
            request = row.request
            assert request is not None
            stopped = token in request.stop_ids
            if stopped or len(row.tokens) >= request.max_new_tokens:
                end: Literal["stop", "length"] = "stop" if stopped else "length"
                turn = Completion(token_ids=row.tokens, logprobs=row.logprobs, finish=end, version=self.version)
                done.append((row, turn))
        self._copy(diverge(rows))
        if done:
            ended = {row for row, _ in done}
            self._active = [row for row in self._active if row not in ended]
            # The next turn begins with a cache of its own.
            self._copy([(row.like, row) for row in ended if row.like is not None] + leave(ended, self._active))
            for row in ended:
                row.like = None
            self._resolve(done)

    def _reserve(self) -> None:
        num_slots = 0 if self._outdated else self._cache.num_slots
        needed = max(self._rows, default=0) + 1
        if needed > num_slots:
            # New slots start empty; cached rows are rare at this moment and simply computed again.
            self._cache = SlotCache(self._config, max(needed, 2 * num_slots), self._model.dtype)
            self._outdated = False
            for row in self._rows.values():
                if row not in self._active:
                    row.length = 0
            for row in self._active:
                if row.like is None:
                    self._recompute(row)

    def _recompute(self, row: _Row) -> None:
        assert row.request is not None
        ids = [*row.request.prompt_ids, *row.tokens][: row.length]
        device = self._model.device
        slot_B, none_B, new_B = torch.tensor([[row.slot], [0], [len(ids)]], device=device)
        aimed = self._cache.aim(slot_B, none_B, new_B, len(ids))
        self._forward(torch.tensor([ids], device=device), *aimed)


def _parts(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Split rows into forward passes of bounded size; rows of like length go together."""
    rows = sorted(rows, key=lambda row: len(row.request.prompt_ids) - row.length if row.request else 0)
    part: list[_Row] = []
    for row in rows:
        width = len(row.request.prompt_ids) - row.length if row.request else 0
        if part and width * (len(part) + 1) > _PREFILL_TOKENS:
            yield part
            part = []
        part.append(row)
    yield part
