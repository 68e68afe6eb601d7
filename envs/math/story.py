"""How a word problem is told and solved at once: each sentence that changes the number does so exactly, as a fraction.

A `Draw` makes every random choice of a task, from one seed, with wordings and names of its split alone. A `Story`
collects sentences and the worked solution. Wordings are disjoint by construction: of the variants handed to `say`,
those at even places belong to train and those at odd places to test.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from agentrl.envs.math.answers import show
from agentrl.envs.math.words import ITEMS, NAMES, PLACES, half

__all__ = ["NUM_STEPS", "Draw", "Story", "Task"]

NUM_STEPS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6}  # calculations that a task of a level takes, in the families that count them
SIZES = {1: 9, 2: 19, 3: 39, 4: 79, 5: 199}  # how large its small numbers get

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question with its exact answer and the calculations that lead there."""

    id: str
    question: str
    answer: Fraction
    unit: str | None  # "%" where percent is asked for; None where nothing is known
    steps: tuple[str, ...]
    family: str


class Draw:
    """Random choices within a split and a level."""

    def __init__(self, seed: int, split: str, level: int) -> None:
        # random() of a seeded random.Random is the one draw that Python promises to keep the same in every version.
        self._random = random.Random(seed).random
        self._split = split
        self._used: set[str] = set()
        self.level = level
        self.num_steps = NUM_STEPS[level]
        self.size = SIZES[level]

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included."""
        return low + int(self._random() * (max(high, low) - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return options[int(self._random() * len(options))]

    def small(self) -> int:
        """Draw a whole number of the level's size."""
        return self.whole(2, self.size)

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return the options in a drawn order."""
        return sorted(options, key=lambda _: self._random())

    def say(self, *variants: str) -> str:
        """Draw a wording of this split, one that is not yet in the task where there is one."""
        mine = variants[self._split == "test" :: 2]
        wording = self.pick([each for each in mine if each not in self._used] or mine)
        self._used.add(wording)
        return wording

    def name(self) -> str:
        """Draw the name of a person who is not yet in the task."""
        return self._fresh(_HALVES[self._split, "names"])

    def item(self) -> str:
        """Draw things, in the plural, that are not yet in the task."""
        return self._fresh(_HALVES[self._split, "items"])

    def place(self) -> str:
        """Draw the name of a town that is not yet in the task."""
        return self._fresh(_HALVES[self._split, "places"])

    def _fresh(self, words: Sequence[str]) -> str:
        word = self.pick(words)
        while word in self._used:
            word = self.pick(words)
        self._used.add(word)
        return word


class Story:
    """Sentences, and one number that they change."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.value = Fraction(0)
        self.sentences: list[str] = []
        self.steps: list[str] = []

    def tell(self, *variants: str) -> None:
        """Add a sentence in a wording of the split."""
        self.sentences.append(self.draw.say(*variants))

    def start(self, value: int | Fraction) -> None:
        """Set the number."""
        self.value = Fraction(value)

    def add(self, other: int | Fraction) -> None:
        """Add to the number."""
        self.calculate(f"{show(self.value)} + {show(other)}", self.value + other)

    def take(self, other: int | Fraction) -> None:
        """Subtract from the number."""
        self.calculate(f"{show(self.value)} - {show(other)}", self.value - other)

    def times(self, other: int | Fraction) -> None:
        """Multiply the number."""
        self.calculate(f"{show(self.value)} * {show(other)}", self.value * other)

    def over(self, other: int | Fraction) -> None:
        """Divide the number."""
        self.calculate(f"{show(self.value)} / {show(other)}", self.value / other)

    def note(self, operation: str, value: Fraction) -> None:
        """Write a calculation down that the next one uses."""
        self.steps.append(f"{operation} = {show(value)}")

    def calculate(self, operation: str, value: Fraction) -> None:
        """Set the number to the value of an operation and write the operation down."""
        self.note(operation, value)
        self.value = value

    def divisor(self, *options: int) -> int | None:
        """Draw one of the options that divides the number without a rest, None where none does."""
        fitting = [option for option in options if self.value % option == 0]
        return self.draw.pick(fitting) if fitting else None


_HALVES = {
    (split, kind): half(words, split)
    for split in ("train", "test")
    for kind, words in (("names", NAMES), ("items", ITEMS), ("places", PLACES))
}
