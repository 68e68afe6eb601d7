"""The global random generators of Python and numpy, lent to a suite that uses them.

Suites call `random.choice` and seed the module for it. Around each of their calls the process's own generators are put
aside and the episode's put in their place, so that a seed decides the episode and nothing outside it is moved. One lock
keeps episodes in other threads out meanwhile. A thread that is none of ours and draws from a global generator in just
that moment draws from the episode's: no lock can hold it back. torch's generator is not lent; no suite here uses it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["Generators"]

_LOCK = threading.RLock()  # of the whole process, as the generators are


class Generators:
    """Global generators of one episode.

    Args:
        seed: Of both, from 0 to 2**32 - 1.

    >>> before = random.getstate()
    >>> with Generators(7).lent():
    ...     first = random.random()
    >>> with Generators(7).lent():
    ...     first == random.random()
    True
    >>> before == random.getstate()
    True
    """

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()
        self._numpy = np.random.MT19937(seed)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Have the global generators be those of the episode; what was drawn from them stays drawn."""
        with _LOCK:
            python, numpys = random.getstate(), np.random.get_bit_generator()  # type: ignore[attr-defined]  # numpy's stubs lack it
            random.setstate(self._python)
            # numpy's is put in place of the other: to copy its state takes 0.2 ms.
            np.random.set_bit_generator(self._numpy)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                self._python = random.getstate()
                random.setstate(python)
                np.random.set_bit_generator(numpys)  # type: ignore[attr-defined]
