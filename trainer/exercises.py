"""What a model made from nothing practises before it sees a demonstration: to copy, and to recall what stands behind
a key.

Demonstrations alone teach neither in reasonable time (measured, see LOG.md). The sequences are of random tokens, so
they hold no knowledge of any environment. Recall is the multi-query associative recall of Arora et al. (arXiv
2312.04927), with values of several tokens and filler between key and value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from transformers import PreTrainedTokenizerBase

__all__ = ["Batch", "copying", "recall"]

Batch = tuple[list[list[int]], list[list[bool]]]
_ROWS = 64


def copying(rng: np.random.Generator, vocab_size: int) -> Iterator[Batch]:
    """Yield sequences of 8 to 32 random tokens, each said twice; the second time is to be predicted."""
    while True:
        length = int(rng.integers(8, 33))
        once = rng.integers(9, vocab_size, size=(_ROWS, length))
        yield np.concatenate([once, once], 1).tolist(), [[False] * (length + 1) + [True] * (length - 1)] * _ROWS


def recall(rng: np.random.Generator, tokenizer: PreTrainedTokenizerBase) -> Iterator[Batch]:
    """Yield facts "key filler mark value stop", then each key again in another order; its value is to be predicted."""
    marks = [tokenizer.encode(word, add_special_tokens=False)[-1] for word in (" is", " has", ":")]
    stop = tokenizer.encode(".", add_special_tokens=False)[-1]
    while True:
        num_facts = int(rng.integers(3, 7))
        fillers = rng.integers(0, 7, size=num_facts)
        lengths = rng.integers(1, 7, size=num_facts)
        mark = [marks[int(index)] for index in rng.integers(0, len(marks), size=num_facts)]
        rows, masks = [], []
        for _ in range(_ROWS):
            keys = rng.choice(np.arange(9, len(tokenizer)), size=num_facts, replace=False).tolist()
            values = [rng.integers(9, len(tokenizer), size=length).tolist() for length in lengths]
            row: list[int] = []
            for index in range(num_facts):
                row += [
                    keys[index],
                    *rng.integers(9, len(tokenizer), size=fillers[index]).tolist(),
                    mark[index],
                    *values[index],
                    stop,
                ]
            mask = [False] * len(row)
            for index in rng.permutation(num_facts):
                row += [keys[index], marks[0], *values[index], stop]
                mask += [False, False, *[True] * (len(values[index]) + 1)]
            rows.append(row)
            masks.append(mask)
        yield rows, masks
