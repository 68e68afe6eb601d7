"""What a model made from nothing practises before it sees a demonstration: to copy what it has read.

Demonstrations alone do not teach that in reasonable time (measured, see LOG.md). The sequences are of random tokens, so
they hold no knowledge of any environment.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["Batch", "copying"]

Batch = tuple[list[list[int]], list[list[bool]]]
"""Rows of token ids, and which of them are to be predicted."""

_ROWS = 64
_FIRST_TOKEN = 9  # those before it are control tokens


def copying(rng: np.random.Generator, vocab_size: int) -> Iterator[Batch]:
    """Yield sequences of 8 to 32 random tokens, each said twice; the second time is to be predicted."""
    while True:
        length = int(rng.integers(8, 33))
        once = rng.integers(_FIRST_TOKEN, vocab_size, size=(_ROWS, length))
        yield np.concatenate([once, once], 1).tolist(), [[False] * (length + 1) + [True] * (length - 1)] * _ROWS
