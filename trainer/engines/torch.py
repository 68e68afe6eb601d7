"""Continuous batching over any Hugging Face causal model, in the trainer's own process and with its own weights.

One thread runs the model. Rows decode together; an episode's cache stays in its slot while its environment works, and
only the new tokens of the next turn are computed. The prompt of a group is computed once.

When waiting rows join the batch is decided by `schedule`:
    "exact"  where tokens alone decide it: once a quarter of the rows wait for their environments, wait for all of those
             and admit them in order. The same weights and seeds then give the same tokens, bit by bit on a CPU.
    "eager"  as soon as they are ready: faster with slow environments, but sums are rounded in another order each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Engine, Request, Schedule, Session
from agentrl.trainer.engines.graphs import graphs_for
from agentrl.trainer.engines.kvcache import SlotCache, check_cache
from agentrl.trainer.engines.sampling import draw
from agentrl.trainer.errors import EngineError
from agentrl.trainer.model import Head
from agentrl.trainer.types import Completion

__all__ = ["TorchEngine"]

_PREFILL_TOKENS = 16_384  # of one forward pass, padding included; bounds its memory
_ADMIT_SHARE = 0.25  # of the rows: fewer waiting ones do not interrupt decoding


@dataclass(kw_only=True, eq=False)
class _Row:
    """A session's place in the engine."""

    slot: int
    length: int = 0  # tokens in the cache
    request: Request | None = None  # None: its environment is at work
    future: asyncio.Future[Completion] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    uniforms: np.ndarray | None = None  # one draw from [0, 1) for each token to come
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class _TorchSession(Session):
    def __init__(self, engine: TorchEngine, row: _Row) -> None:
        self._engine = engine
        self._row = row

    async def generate(self, request: Request) -> Completion:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        self._engine._submit(self._row, request, future, loop)
        try:
            return await future
        except asyncio.CancelledError:
            # The engine may be at work on this row: leave that one to it and go on with another.
            self._row = self._engine._replace(self._row)
            raise

    def forget(self) -> None:
        self._row.length = 0

    def close(self) -> None:
        self._engine._leave(self._row)


class TorchEngine(Engine):
    """Sample from `model` as it is at the moment; the trainer steps the same parameters.

    Args:
        model: A causal language model; its attention must take a 4D mask that is added, as sdpa does.
        schedule: "exact" or "eager", see the module.

    Raises:
        ConfigError: The model has layers or an output that the engine does not know.
    """

    def __init__(self, model: PreTrainedModel, *, schedule: Schedule = "exact") -> None:
        self._model = model
        self._head = Head(model)
        self._schedule = schedule
        self._config = model.config.get_text_config()
        self._cache = SlotCache(self._config, 0, model.dtype)
        check_cache(model)
        self._graphs = graphs_for(model)
        self._wake = threading.Condition()
        self._rows: dict[int, _Row] = {}  # open sessions by slot
        self._active: list[_Row] = []
        self._members = 0  # open sessions at the last admission
        self._outdated = False  # the cache: to be made anew at the next admission
        self._busy = False  # the model is at work
        self._closed = False
        self._error: BaseException | None = None
        self.num_generated = 0
        self.num_prefilled = 0
        self._thread = threading.Thread(target=self._run, name="agentrl-engine", daemon=True)
        self._thread.start()

    def session(self) -> Session:
        with self._wake:
            self._check()
            if not self._rows:  # the same requests then meet the same shapes, whatever was before
                self._outdated = True
            slot = next(index for index in range(len(self._rows) + 1) if index not in self._rows)
            row = _Row(slot=slot)
            self._rows[slot] = row
            return _TorchSession(self, row)

    def update_weights(self, version: int) -> None:
        with self._wake:
            self._check()
            if any(row.request for row in self._rows.values()):
                raise EngineError("weights cannot change while a turn is being sampled; await the running turns first")
            self._wake.wait_for(lambda: not self._busy)  # what it still computes is for a turn that was cancelled
            for row in self._rows.values():
                row.length = 0
            self.version = version

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join(timeout=60)

    # -- called by sessions --------------------------------------------------------------------------------------

    def _submit(
        self, row: _Row, request: Request, future: asyncio.Future[Completion], loop: asyncio.AbstractEventLoop
    ) -> None:
        with self._wake:
            self._check()
            if self._rows.get(row.slot) is not row or row.request is not None:
                raise EngineError("the session is closed, or still samples a turn: await that one first")
            if request.max_new_tokens < 1 or len(request.prompt_ids) <= row.length:
                raise EngineError(
                    f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens, "
                    f"{row.length} of them known"
                )
            row.request, row.future, row.loop = request, future, loop
            row.uniforms = np.random.Generator(np.random.PCG64(request.seed)).random(request.max_new_tokens)
            row.tokens, row.logprobs = [], []
            self._wake.notify_all()

    def _leave(self, row: _Row) -> None:
        with self._wake:
            if self._rows.get(row.slot) is row:
                del self._rows[row.slot]
            self._wake.notify_all()

    def _replace(self, row: _Row) -> _Row:
        with self._wake:
            fresh = _Row(slot=row.slot)
            if self._rows.get(row.slot) is row:
                self._rows[row.slot] = fresh
            self._wake.notify_all()
            return fresh

    def _check(self) -> None:
        if self._error is not None:
            raise EngineError(f"the engine stopped: {self._error!r}") from self._error
        if self._closed:
            raise EngineError("the engine is closed")

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._turn():
                    pass
        except BaseException as error:  # whatever it is, every waiting episode must hear of it
            self._error = error
        self._fail_all(EngineError(f"the engine stopped: {self._error!r}" if self._error else "the engine is closed"))

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
        self._active = [row for row in self._active if self._rows.get(row.slot) is row]

    def _waiting(self) -> list[_Row]:
        waiting = [(row.request.order, row) for row in self._rows.values() if row.request and row not in self._active]
        return [row for _, row in sorted(waiting, key=lambda pair: (pair[0], pair[1].slot))]

    def _may_go_on(self) -> bool:
        if self._schedule == "eager":
            return any(row.request for row in self._rows.values())
        if not self._rows:
            return False
        if self._active and not self._want_admission():
            return True
        return all(row.request for row in self._rows.values())

    def _want_admission(self) -> bool:
        # Counted from the last admission, when every row was settled: a session that closes in between changes nothing.
        return self._members - len(self._active) >= max(1, round(_ADMIT_SHARE * self._members))

    def _joining(self) -> list[_Row]:
        if self._active and not self._want_admission() and self._schedule == "exact":
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
        for length in {leader.length for _, leader in followers}:
            pairs = [(row.slot, leader.slot) for row, leader in followers if leader.length == length]
            target_B, source_B = torch.tensor(pairs, device=device).T
            self._cache.copy(source_B, target_B, length)
        for row, leader in followers:
            row.length = leader.length
            logits[row.slot] = logits[leader.slot]
        self._active = sorted([*self._active, *rows], key=lambda row: row.slot)
        self._sample(rows, torch.stack([logits[row.slot] for row in rows]))

    def _decode(self) -> None:
        rows, top = self._active, self._active[-1].slot + 1
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
        for row in rows:
            row.length += 1
        self._sample(rows, logits_BV[[row.slot for row in rows]] if top else logits_BV)

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
        self._resolve(done)

    def _resolve(self, done: list[tuple[_Row, Completion]]) -> None:
        if not done:
            return
        futures = []
        finished = {row.slot for row, _ in done}
        self._active = [row for row in self._active if row.slot not in finished]
        with self._wake:
            for row, completion in done:
                futures.append((row.loop, row.future, completion))
                row.request = None
        for loop, future, completion in futures:
            if loop is not None and future is not None:
                with contextlib.suppress(RuntimeError):  # the caller's event loop is gone
                    loop.call_soon_threadsafe(_set_result, future, completion)

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
                self._recompute(row)

    def _recompute(self, row: _Row) -> None:
        assert row.request is not None
        ids = [*row.request.prompt_ids, *row.tokens][: row.length]
        device = self._model.device
        slot_B, none_B, new_B = torch.tensor([[row.slot], [0], [len(ids)]], device=device)
        aimed = self._cache.aim(slot_B, none_B, new_B, len(ids))
        self._forward(torch.tensor([ids], device=device), *aimed)

    def _fail_all(self, error: EngineError) -> None:
        with self._wake:
            waiting = [(row.loop, row.future) for row in self._rows.values() if row.request]
            for row in self._rows.values():
                row.request = None
        for loop, future in waiting:
            if loop is not None and future is not None:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_set_error, future, error)


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


def _set_result(future: asyncio.Future[Completion], completion: Completion) -> None:
    if not future.done():
        future.set_result(completion)


def _set_error(future: asyncio.Future[Completion], error: EngineError) -> None:
    if not future.done():
        future.set_exception(error)
