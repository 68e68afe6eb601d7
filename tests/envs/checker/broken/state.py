"""Environments that are not decided by the seed, or keep and leave what they should not."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import tempfile
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import Turn
from tests.envs.checker.broken.contract import Given, Stepped
from tests.envs.checker.broken.sound import Sound


class Unseeded(Sound):
    """Draws its task from a generator of its own."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return super().new_task(np.random.default_rng(), split, level)


class Reseeded(Sound):
    """Seeds itself where no seed is given."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Given:
        return super().reset(seed=0 if seed is None else seed, options=options)


class Counted(Sound):
    """Numbers its replies through the life of the process."""

    numbers = itertools.count()

    def look(self, place: int) -> str:
        """Read the note at a place.

        Args:
            place: Its number.
        """
        return f"{super().look(place)} This is reply {next(self.numbers)}."


class Hashed(Sound):
    """Says things in the order of a set."""

    def question(self) -> str:
        return f"{super().question()} Beware of {', '.join({'owls', 'bats', 'frogs', 'moths', 'newts', 'toads'})}."


class Remembering(Sound):
    """Remembers what was read in earlier episodes."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        seen = self._seen
        task = super().new_task(rng, split, level)
        self._seen = seen
        return task


class Shared(Sound):
    """Keeps its notes in the class."""

    notes: ClassVar[dict[int, str]] = {}

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        task = super().new_task(rng, split, level)
        self.notes.clear()
        self.notes.update(self._notes)
        return task

    def look(self, place: int) -> str:
        """Read the note at a place.

        Args:
            place: Its number.
        """
        self._notes = self.notes
        return super().look(place)


class Alarmed(Sound):
    """Bounds a turn by a signal, which only the main thread may set."""

    def step(self, action: str) -> Stepped:
        before = signal.signal(signal.SIGALRM, lambda number, frame: None)
        try:
            return super().step(action)
        finally:
            signal.signal(signal.SIGALRM, before)


class Global(Sound):
    """Draws from the global generator, for nothing that matters."""

    def question(self) -> str:
        random.random()
        return super().question()


class Polluting(Sound):
    """Sets a variable of the process."""

    def question(self) -> str:
        os.environ["TOKENIZERS_PARALLELISM"] = "maybe"
        return super().question()


class Forkless(Sound):
    """Works only in the process that imported it, as with a connection that is opened at import."""

    owner = os.getpid()

    def question(self) -> str:
        if os.getpid() != self.owner:
            raise ConnectionError("the connection belongs to another process")
        return super().question()


class Forgetful(Sound):
    """Leaves out of its snapshot what was read."""

    state: ClassVar[tuple[str, ...]] = ("_notes", "_start", "_word")


class Unpicklable(Sound):
    """Is registered with a function, which cannot be pickled."""

    def __init__(self, *, same: Callable[[str, str], bool], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.same = same

    def answer(self, text: str, turn: str) -> Turn:
        right = self.same(text, self._word)
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)


class Threaded(Sound):
    """Starts a thread in every episode, and stops none."""

    def question(self) -> str:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().question()


class Littering(Sound):
    """Leaves a temporary file of every episode."""

    def question(self) -> str:
        with contextlib.closing(tempfile.NamedTemporaryFile(delete=False)):
            return super().question()


class Opening(Sound):
    """Opens a file in every episode, and closes it at the end alone."""

    kept: int | None = None

    def question(self) -> str:
        self.kept = os.open(os.devnull, os.O_RDONLY)
        return super().question()

    def step(self, action: str) -> Stepped:
        stepped = super().step(action)
        if self.kept is not None and (stepped[2] or stepped[3]):
            os.close(self.kept)
            self.kept = None
        return stepped


class Hoarding(Sound):
    """Keeps something large of every episode."""

    kept: ClassVar[list[bytes]] = []

    def question(self) -> str:
        self.kept.append(os.urandom(300_000))
        return super().question()
