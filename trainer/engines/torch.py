"""Continuous batching over any Hugging Face causal model, in the trainer's own process and with its own weights.

One thread runs the model. Rows decode together; an episode's cache stays in its slot while its environment works, and
only the new tokens of the next turn are computed. What members of a group have in common is computed once (`twins.py`).
When waiting rows join the batch is told in `threaded.py`, and who gives way when memory is short in `eviction.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import TIMEOUT_S, Request, Schedule, Session
from agentrl.trainer.engines.eviction import KeptRow, Slots, closing, staying
from agentrl.trainer.engines.graphs import graphs_for
from agentrl.trainer.engines.kvcache import UNBOUNDED, check_cache
from agentrl.trainer.engines.sampling import draw
from agentrl.trainer.engines.threaded import ThreadedEngine
from agentrl.trainer.engines.twins import TwinRow, diverge, leave
from agentrl.trainer.errors import EngineError
from agentrl.trainer.model import Head
from agentrl.trainer.types import Completion

__all__ = ["TorchEngine"]

LOOK_S = 1.0  # between two looks at whether the thread still gets on
_PREFILL_TOKENS = 16_384  # of one forward pass, padding included; bounds its memory


@dataclass(kw_only=True, eq=False)
class _Row(KeptRow):
    """What this engine knows of a session besides."""

    uniforms: np.ndarray | None = None  # one draw from [0, 1) for each token to come


class TorchEngine(ThreadedEngine[_Row]):
    """Sample from `model` as it is at the moment; the trainer steps the same parameters.

    Args:
        model: A causal language model; its attention must take a 4D mask that is added, as sdpa does.
        schedule: "exact" or "eager", see `threaded.py`.
        kv_cache_mb: Of keys and values, see `eviction.py`; None: as many as there is memory for on CUDA, else any.
        timeout_s: Of one pass through the model.

    Raises:
        ConfigError: The model has layers or an output that the engine does not know.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        schedule: Schedule = "exact",
        kv_cache_mb: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(schedule=schedule, name="agentrl-engine")
        self._model = model
        self._head = Head(model)
        self._slots: Slots[_Row] = Slots(model, kv_cache_mb)
        check_cache(model)
        self._graphs = graphs_for(model)
        self._active: list[_Row] = []
        self._outdated = False  # the cache: to be made anew at the next admission
        self._busy = False  # the model is at work
        self._since = 0.0  # when it began
        self._timeout_s = timeout_s
        self.num_generated = 0
        self.num_prefilled = 0
        self.num_decoded = 0  # tokens fed one by one; rows that are the same count once
        self._num_steps = 0
        self._reported = (0, 0)  # `num_evicted` and `num_recomputed` at the last call of `metrics`
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
            while not self._wake.wait_for(lambda: not self._busy, LOOK_S):  # it computes for a turn that was cancelled
                self._check_pass()
            self._forget_all()
            self.version = version

    def metrics(self) -> dict[str, float]:
        if self._slots.max_tokens == UNBOUNDED:
            return {}
        before, self._reported = self._reported, (self.num_evicted, self.num_recomputed)
        evicted, recomputed = (now - then for now, then in zip(self._reported, before, strict=True))
        return {"engine/evicted": float(evicted), "engine/recomputed_tokens": float(recomputed)}

    @property
    def num_evicted(self) -> int:
        """Rows that had to give way because memory was short."""
        return self._slots.num_evicted

    @property
    def num_recomputed(self) -> int:
        """Tokens that were computed once more because of that."""
        return self._slots.num_recomputed

    # -- a session's turn ----------------------------------------------------------------------------------------

    def _row(self, slot: int) -> _Row:
        return _Row(slot=slot)

    def _begin(self, row: _Row, request: Request) -> None:
        if request.max_new_tokens < 1 or len(request.prompt_ids) <= row.length:
            raise EngineError(
                f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens, "
                f"{row.length} of them known"
            )
        row.queued = False
        row.uniforms = np.random.Generator(np.random.PCG64(request.seed)).random(request.max_new_tokens)

    def _forget(self, row: _Row) -> None:
        row.length = row.lost = 0

    def _forget_all(self) -> None:
        for row in self._rows.values():
            self._forget(row)

    async def _outcome(self, row: _Row, future: asyncio.Future[Completion]) -> Completion:
        while not (await asyncio.wait({future}, timeout=min(LOOK_S, self._timeout_s / 4)))[0]:
            self._check_pass()
        return future.result()

    def _check_pass(self) -> None:
        """Give up on a pass through the model that does not come back.

        Raises:
            EngineError: It is late.
        """
        if self._busy and time.monotonic() - self._since > self._timeout_s:
            raise EngineError(
                f"a pass of the torch engine did not end within engine.timeout_s={self._timeout_s:g}: it computes "
                f"{len(self._rows)} episodes, {len(self._active)} of them in the middle of a turn"
            )

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
            self._busy, self._since = True, time.monotonic()
        training = self._model.training
        if training:
            self._model.eval()
        try:
            self._step(joining)
        finally:
            if training:
                self._model.train()
            with self._wake:
                self._busy = False
                self._wake.notify_all()
        return True

    def _step(self, joining: list[_Row]) -> None:
        self._num_steps += 1
        try:
            if joining:
                rows, logits_BV = joining, self._prefill(joining)
            else:
                self._let_grow()
                rows = self._active
                if not rows:
                    return
                logits_BV = self._decode()
        except torch.OutOfMemoryError:
            rows = []  # what the error keeps alive must be gone before anything else is tried
        if rows:
            self._sample(rows, logits_BV)
        else:
            self._make_do()

    def _drop_gone(self) -> None:
        """Forget rows that were cancelled; their slots are as they left them."""
        remaining = [row for row in self._active if self._rows.get(row.slot) is row]
        self._copy(leave(set(self._active) - set(remaining), remaining))
        self._active = remaining

    def _waiting(self) -> list[_Row]:
        return self._in_order(row for row in self._rows.values() if row.request and row not in self._active)

    def _queue(self) -> list[_Row]:
        """Return who joins before all others; their environments are not waited for then."""
        return [row for row in self._waiting() if row.queued] if self._schedule == "exact" else []

    def _may_go_on(self) -> bool:
        return super()._may_go_on() or bool(self._queue())

    def _joining(self) -> list[_Row]:
        if not self._may_admit():
            return []
        waiting = self._queue()
        if not waiting:
            self._slots.note(self._rows.values())
            waiting = self._waiting()
        joining = self._slots.admit(self._active, waiting)
        if waiting and not joining and not self._active:
            self._fail(waiting[:1], self._slots.too_long(waiting[0]))
        self._members = len(self._active) + len(joining)
        return joining

    def _prefill(self, rows: list[_Row]) -> Tensor:
        """Compute the new tokens of some rows; return the logits of the next one of each, (B, V)."""
        self._hold([*self._active, *rows])
        device = self._model.device
        leaders: dict[tuple[int, ...], _Row] = {}  # rows of the same tokens so far share one computation
        followers: list[tuple[_Row, _Row]] = []
        for row in sorted(rows, key=lambda row: -row.length):  # who knows most has least to compute
            leader = leaders.setdefault(tuple(row.ids), row)
            if leader is not row:
                followers.append((row, leader))
        logits: dict[int, Tensor] = {}
        for part in _parts(list(leaders.values())):
            new = [row.ids[row.length :] for row in part]
            width = max(map(len, new))
            ids_BN = torch.tensor([[0] * (width - len(ids)) + ids for ids in new], device=device)
            known = [(row.slot, row.length, len(ids)) for row, ids in zip(part, new, strict=True)]
            slots_B, lengths_B, new_B = torch.tensor(known, device=device).unbind(1)
            logits_BV = self._forward(ids_BN, *self._slots.cache.aim(slots_B, lengths_B, new_B, width))
            self.num_prefilled += sum(map(len, new))
            for row, ids, logits_V in zip(part, new, logits_BV, strict=True):
                row.length += len(ids)
                self._slots.note_computed(row)
                logits[row.slot] = logits_V
        for row, leader in followers:
            row.like, row.length, row.lost = leader, leader.length, 0
            logits[row.slot] = logits[leader.slot]
        self._active = sorted([*self._active, *rows], key=lambda row: row.slot)
        return torch.stack([logits[row.slot] for row in rows])

    def _copy(self, pairs: Sequence[tuple[TwinRow, TwinRow]]) -> None:
        """Give rows the cache of others; `pairs` are (from, to), both of the length of the second."""
        for length in sorted({target.length for _, target in pairs}):
            slots = [(source.slot, target.slot) for source, target in pairs if target.length == length]
            source_B, target_B = torch.tensor(slots, device=self._model.device).unbind(1)
            self._slots.cache.copy(source_B, target_B, length)

    def _decode(self) -> Tensor:
        """Compute the last token of every active row; return the logits of the next one of each, (B, V)."""
        rows = [row for row in self._active if row.like is None]
        self._close_ranks(rows)
        # (last token, cached length, new tokens); a slot that is not active takes part as padding.
        by_slot = {row.slot: (row.tokens[-1], row.length, 1) for row in rows}
        if self._graphs is not None:
            logits_BV = self._graphs.step(self._slots.cache, by_slot, self._decode_slots)
        else:
            top = max(by_slot) + 1
            inputs_B3 = torch.tensor([by_slot.get(slot, (0, 0, 0)) for slot in range(top)], device=self._model.device)
            logits_BV = self._decode_slots(inputs_B3, top, 0)
        self.num_decoded += len(rows)
        for row in self._active:
            row.length += 1
        return logits_BV[[(row.like or row).slot for row in self._active]]

    def _close_ranks(self, rows: Sequence[_Row]) -> None:
        """Give the rows that are computed, in the order of their slots, the first ones where that pays."""
        if moves := closing(rows):
            with self._wake:
                self._rows = self._slots.exchange(moves, self._rows)
            self._active.sort(key=lambda row: row.slot)

    def _decode_slots(self, inputs_B3: Tensor, prefix: int, read_length: int) -> Tensor:
        ids_B, lengths_B, new_B = inputs_B3.unbind(1)
        slots_B = torch.arange(prefix, device=ids_B.device)
        aimed = self._slots.cache.aim(slots_B, lengths_B, new_B, 1, prefix=prefix, read_length=read_length)
        return self._forward(ids_B[:, None], *aimed)

    def _forward(self, ids_BN: Tensor, positions_BN: Tensor, mask: Tensor | dict[str, Tensor]) -> Tensor:
        output = self._model.base_model(
            input_ids=ids_BN,
            position_ids=positions_BN,
            attention_mask=mask,
            past_key_values=self._slots.cache,
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
                row.like, row.used, row.size = None, self._num_steps, row.length
            self._resolve(done)

    # -- memory --------------------------------------------------------------------------------------------------

    def _let_grow(self) -> None:
        """Make room for one more token of every active row; rows for which there is none are put back."""
        if all(row.length < self._slots.cache.capacity for row in self._active):
            return
        in_order = self._in_order(self._active)
        rows = staying(in_order, self._slots.max_tokens)
        gone = in_order[len(rows) :]
        self._copy(leave(gone, rows))
        self._put_back(gone)
        if rows:
            self._hold(self._active)
        else:
            with self._wake:
                self._fail(in_order[:1], self._slots.too_long(in_order[0]))

    def _put_back(self, rows: Sequence[_Row]) -> None:
        """Have active rows wait; they go on from the tokens they have."""
        gone = set(rows)
        self._active = [row for row in self._active if row not in gone]
        self._members -= len(gone)
        for row in rows:
            row.like, row.queued = None, True
        self._slots.evict(rows)

    def _hold(self, rows: Sequence[_Row]) -> None:
        """Give these rows a slot; fresh ones the lowest free, in order: which session has which task is chance."""
        if self._outdated:
            self._outdated = False
            self._slots.renew()
        with self._wake:
            every = set(self._rows.values())
            old = self._slots.hold(rows)
            taken = {row.slot for row in old}
            fresh = [row for row in rows if not row.length]
            others = [row for row in self._rows.values() if row not in {*old, *fresh}]
            free = (slot for slot in itertools.count() if slot not in taken)
            for row, slot in zip([*fresh, *others], free, strict=False):
                row.slot = slot
            self._rows = {row.slot: row for row in [*old, *fresh, *others] if row in every}

    def _make_do(self) -> None:
        """Go on with less memory: what was under way waits, and goes on from the tokens it has."""
        message = self._slots.shrink()
        with self._wake:
            self._put_back(self._active)
            self._slots.evict(self._rows.values())
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _parts(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Split rows into forward passes of bounded size; rows of like length go together."""
    rows = sorted(rows, key=lambda row: row.needed - row.length)
    part: list[_Row] = []
    for row in rows:
        width = row.needed - row.length
        if part and width * (len(part) + 1) > _PREFILL_TOKENS:
            yield part
            part = []
        part.append(row)
    yield part
