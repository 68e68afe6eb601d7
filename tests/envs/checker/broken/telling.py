"""Environments that give the answer away in disguise, or where nobody looks; and graders that read half an answer."""

from __future__ import annotations

import base64
import codecs
from typing import Any

import numpy as np

from agentrl.envs.core import Turn
from tests.envs.checker.broken.contract import Given
from tests.envs.checker.broken.sound import Sound


class Backwards(Sound):
    """Gives the answer in the question from its end to its beginning."""

    def question(self) -> str:
        return f"{super().question()} (reference: {self._word[::-1]})"


class Rotated(Sound):
    """Gives the answer in the question by rot13."""

    def question(self) -> str:
        return f"{super().question()} (reference: {codecs.encode(self._word, 'rot13')})"


class Hexed(Sound):
    """Gives the answer in the question in hexadecimal digits."""

    def question(self) -> str:
        return f"{super().question()} (reference: 0x{self._word.encode().hex()})"


class Encoded(Sound):
    """Gives the answer in the question in base64, with a word before it."""

    def question(self) -> str:
        hidden = base64.b64encode(f"key={self._word}".encode()).decode()
        return f"{super().question()} (reference: {hidden})"


class HexNamed(Sound):
    """Names its tasks by their answer in hexadecimal digits."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return f"{super().new_task(rng, split, level)}-{self._word.encode().hex()}"


class EncodedNamed(Sound):
    """Names its tasks by their answer in base64."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        task = super().new_task(rng, split, level)
        return f"{task}-{base64.urlsafe_b64encode(self._word.encode()).decode().rstrip('=')}"


class Underscored(Sound):
    """Names its tasks by their answer, behind an underscore."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return f"{super().new_task(rng, split, level)}_{self._word}"


class Scolding(Sound):
    """Tells who reads a note that is not there what would have been right."""

    def look(self, place: int) -> str:
        """Read the note at a place.

        Args:
            place: Its number.
        """
        return super().look(place) if place in self._notes else f"{place} is no place; {self._word} is looked for."


class Debugging(Sound):
    """Asks for a number of two digits, and leaves it in info."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        task = super().new_task(rng, split, level)
        word, self._word = self._word, str(int(rng.integers(10, 100)))
        self._notes = {place: note.replace(word, self._word) for place, note in self._notes.items()}
        return task

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Given:
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "debug": {"row": [int(self._word)]}}


class Ending(Sound):
    """Looks at the end of the answer."""

    def answer(self, text: str, turn: str) -> Turn:
        right = text.endswith(self._word)
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)


class Beginning(Sound):
    """Looks at the beginning of the answer."""

    def answer(self, text: str, turn: str) -> Turn:
        right = text.startswith(self._word)
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)


class EndingNumber(Sound):
    """Asks for a number and looks at the end of the answer, of which no word may be another."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        task = super().new_task(rng, split, level)
        word, self._word = self._word, str(int(rng.integers(100_000, 1_000_000)))
        self._notes = {place: note.replace(word, self._word) for place, note in self._notes.items()}
        return task

    def answer(self, text: str, turn: str) -> Turn:
        right = text.endswith(self._word) and text.isdigit()
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)
