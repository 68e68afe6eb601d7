"""Decoding steps recorded once and replayed: a step of a small batch spends most of its time in starting kernels.

A recording holds for fixed shapes, so that the slots that take part and what is read of each are rounded up. It is made
when shapes come up for the second time, compared with the step as it is usually computed, and thrown away when the
cache or a weight has moved. Where recording fails or computes something else, steps are computed as usual from then on,
and a warning says so.

Source: CUDA graphs, as https://docs.pytorch.org/docs/stable/notes/cuda.html describes them.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.engines.kvcache import SlotCache

__all__ = ["CudaRecorder", "DecodeGraphs", "Recorder", "graphs_for"]

_SLOTS: Final = 8  # the number of slots is a multiple of it
_TOKENS: Final = 256  # and what is read of each, too
_KEPT: Final = 8  # recordings; episodes grow, and do not come back to shorter shapes soon

Step = Callable[[Tensor, int, int], Tensor]
"""Of (last token, cached length, new tokens) a slot, the number of slots, and what is read of each, to logits."""


class Recorder(Protocol):
    """Records what a function computes from tensors that stay where they are."""

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what computes it again."""


class CudaRecorder:
    """Records a CUDA graph; recordings share their memory, so that the last one's result is the only one that holds."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._living: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what replays `compute`.

        Raises:
            RuntimeError: Something in it cannot be recorded.
        """
        if not self._living:  # a pool is gone with the last graph that used it, and its handle must not come back
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        # Not torch.cuda.graph(): that collects garbage and empties the allocator's cache each time.
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            # Other threads may use the device meanwhile.
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                result = compute()
            finally:
                graph.capture_end()
        self._living.add(graph)
        current.wait_stream(self._stream)

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


@dataclass(frozen=True, kw_only=True)
class _Recording:
    inputs_B3: Tensor
    replay: Callable[[], Tensor]


class DecodeGraphs:
    """Computes decoding steps, by a recording where there is one.

    Args:
        model: What the steps run.
        recorder: How they are recorded.
    """

    def __init__(self, model: PreTrainedModel, recorder: Recorder) -> None:
        self._model, self._recorder = model, recorder
        self._recordings: dict[tuple[int, int], _Recording | None] = {}  # None: the shapes came up once
        self._cache: Callable[[], SlotCache | None] = lambda: None
        self._places: tuple[int, ...] = ()
        self.trouble = ""
        """Why nothing is recorded any more."""
        self.num_replayed = 0

    def step(self, cache: SlotCache, by_slot: Mapping[int, tuple[int, int, int]], compute: Step) -> Tensor:
        """Return the logits of all slots up to the last that takes part, or some more, shape (B, V).

        They hold until the next step.

        Args:
            cache: What `compute` reads and writes; has more slots than the last that takes part.
            by_slot: Last token, cached length and 1 of each slot that takes part.
            compute: Computes a step as usual.
        """
        top = min(cache.num_slots, _up(max(by_slot) + 1, _SLOTS))
        read = _up(max(length + new for _, length, new in by_slot.values()), _TOKENS)
        cache.reserve(read)
        read = min(read, cache.capacity)  # a bound may leave no room for more than what is needed
        self._forget_moved(cache)
        inputs_B3 = torch.tensor([by_slot.get(slot, (0, 0, 0)) for slot in range(top)])
        shape = (top, read)
        recording = self._recordings.get(shape)
        if recording is not None:
            recording.inputs_B3.copy_(inputs_B3)
            self.num_replayed += 1
            return recording.replay()
        inputs_B3 = inputs_B3.to(self._model.device)
        usual_BV = compute(inputs_B3, top, read)
        if not self.trouble:
            known = shape in self._recordings
            self._recordings[shape] = self._recorded(inputs_B3, shape, compute, usual_BV) if known else None
            while len(self._recordings) > _KEPT:
                del self._recordings[next(iter(self._recordings))]
        return usual_BV

    def _recorded(
        self, inputs_B3: Tensor, shape: tuple[int, int], compute: Step, usual_BV: Tensor
    ) -> _Recording | None:
        try:
            replay = self._recorder.record(lambda: compute(inputs_B3, *shape))
            # The step writes the same keys and values to the same places once more.
            worst, bound = float((replay() - usual_BV).abs().max()), float(usual_BV.abs().max())
        except RuntimeError as error:
            self.trouble = f"{type(error).__name__}: {error}"
        else:
            if worst <= bound * (1e-3 if usual_BV.dtype == torch.float32 else 5e-2):
                return _Recording(inputs_B3=inputs_B3, replay=replay)
            self.trouble = f"logits differ by {worst:.3g}, where the largest is {bound:.3g}"
        warnings.warn(f"decoding steps are not recorded, which is slower: {self.trouble}", RuntimeWarning, stacklevel=2)
        self._recordings.clear()
        return None

    def _forget_moved(self, cache: SlotCache) -> None:
        """Drop the recordings when something that they read is no longer where it was."""
        places = (cache.num_moves, *(weight.data_ptr() for weight in self._model.parameters()))
        if self._cache() is not cache or places != self._places:
            self._recordings.clear()
            # A cache may take most of the memory: it must not stay because of this.
            self._cache, self._places = weakref.ref(cache), places


def graphs_for(model: PreTrainedModel) -> DecodeGraphs | None:
    """Return what records the steps of a model; None where that does not pay: not on CUDA."""
    return DecodeGraphs(model, CudaRecorder(model.device)) if model.device.type == "cuda" else None


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
