"""`AgentRL/Wordle-v0`: find a word from what each guess shows of its letters.

Marks, letter by letter: `+` right, `?` elsewhere in the word, `-` not in it; of a letter that the guess has more often
than the word, the right ones are marked first, then the others from the left. The oracle guesses, of the words that
fit, the one that splits them best, or any word of the list where that splits them better.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from agentrl.envs.errors import nearest
from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted, split_of
from agentrl.envs.games.words import FIVE, FOUR, MORE_FIVE
from agentrl.envs.protocol import Policy

__all__ = ["WordleEnv", "fits", "marks"]

# Level -> the words, how many are hidden, guesses, whether a guess must be of the list, whether it must use the hints.
_LEVELS = {
    1: (FOUR, 1, 8, False, False),
    2: (FIVE, 1, 7, False, False),
    3: (FIVE, 1, 6, True, False),
    4: (FIVE, 1, 7, True, True),
    5: (FIVE, 2, 8, True, False),
}
_WORD = re.compile(r"[A-Za-z]+")
_LINE = re.compile(r"^([a-z]+) ([+?-]+)(?: ([+?-]+))?$", re.MULTILINE)
_ASKED = re.compile(r"(One|Two) hidden words? of ([0-9]) letters")
_LISTS = {4: FOUR, 5: FIVE}
_KNOWN = frozenset(FIVE + MORE_FIVE)  # that a guess must be of, where it must be of a list
_FIRST = {4: "role", 5: "trace"}  # the guess that leaves the fewest words on average
_MANY = 80  # words left above which the oracle guesses one of them without a look at the whole list


class WordleEnv(GameEnv):
    """Wordle: four letters and a first guess for nothing at level 1, two words at once at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_secrets", "_level_now", "_given", "_guesses")
    most_turns: ClassVar[int] = 8
    example = "solve"
    lists_moves: ClassVar[bool] = False
    _secrets: tuple[str, ...] = ()
    _level_now = 1
    _given = ""  # a guess that the player need not make
    _guesses: tuple[str, ...] = ()

    def instructions(self) -> str:
        """Return the rules of the level."""
        words, number, _, is_listed, is_strict = _LEVELS[self._level_now]
        rules = [
            "Wordle. Find the hidden word."
            if number == 1
            else "Wordle with two words. Find both with the same guesses.",
            "After a guess each letter is marked: + right, ? elsewhere in the word, - not in it.",
            "A guess must be a common English word." if is_listed else "A guess may be any letters.",
            *(["A guess must fit all marks so far."] if is_strict else []),
            f"Write a word as your move, one move a turn, for example {moved(words[0])}.",
        ]
        return " ".join(rules)

    @property
    def limit(self) -> int:
        """The guesses of the level."""
        return _LEVELS[self._level_now][2]

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw words of the split."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        words, many, *_ = _LEVELS[level]
        is_helped = level == 1
        found: list[str] = []
        while len(found) < many + is_helped:  # a guess that is made is of the split too: no beginning is shared
            word = words[1 + generator.randrange(len(words) - 1)]
            if split_of(word) == split and word not in found:
                found.append(word)
        self._given = found.pop() if is_helped else ""
        self._secrets, self._level_now, self._guesses = tuple(found), level, ()
        return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return how many letters there are, at level 1 the marks of a first guess as well."""
        number = "One hidden word" if len(self._secrets) == 1 else "Two hidden words"
        first = f" A first guess is made for you:\n{self._marked(self._given)}" if self._given else ""
        return f"{number} of {len(self._secrets[0])} letters.{first}"

    def play(self, move: str) -> Played:
        """Mark a guess."""
        guess, length = move.lower(), len(self._secrets[0])
        _, _, _, is_listed, is_strict = _LEVELS[self._level_now]
        if not _WORD.fullmatch(move) or len(move) != length:
            raise IllegalMove(f"{quoted(move)} is no guess; write {length} letters, such as {_LISTS[length][0]}.")
        if is_listed and guess not in _KNOWN:
            raise IllegalMove(f"{quoted(guess)} is not in the list of words{nearest(guess, _LISTS[length])}.")
        if is_strict:
            for before in self._guesses:
                shown = marks(self._secrets[0], before)
                if not fits(guess, before, shown):
                    raise IllegalMove(f"{guess} does not fit the marks of {before}: {shown}.")
        self._guesses = (*self._guesses, guess)
        is_won = set(self._secrets) <= set(self._guesses)
        return Played(text=self._marked(guess), is_over=is_won, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return a dozen words of the list, others after each guess."""
        words = _LEVELS[self._level_now][0]
        start = 37 * (len(self._guesses) + 1) % (len(words) - 12)
        return words[start : start + 12]

    def progress(self) -> float:
        """Return the share of letters that some guess had right."""
        right = {
            (secret, place)
            for secret in self._secrets
            for guess in self._guesses
            for place, both in enumerate(zip(secret, guess, strict=True))
            if both[0] == both[1]
        }
        return len(right) / sum(map(len, self._secrets)) if self._secrets else 0.0

    def _marked(self, guess: str) -> str:
        return " ".join([guess, *(marks(secret, guess) for secret in self._secrets)])

    def oracle(self) -> Policy:
        """Return a policy that guesses what fits the marks, of the list of words."""
        player = _Player()
        return lambda observation, info: player.turn(observation, is_strict="must fit all" in self.instructions())


class _Player:
    """Keeps the words that fit, of each hidden word."""

    def __init__(self) -> None:
        self._words: tuple[str, ...] = ()
        self._left: list[list[str]] = []
        self._said: set[str] = set()

    def turn(self, observation: str, *, is_strict: bool) -> str:
        """Return the next guess."""
        asked = _ASKED.search(observation)
        if asked:
            self._words = _LISTS[int(asked[2])]
            self._left = [list(self._words[1:]) for _ in range(1 + (asked[1] == "Two"))]
        for guess, *shown in _LINE.findall(observation):
            self._said.add(guess)
            for place, (left, mark) in enumerate(zip(self._left, shown, strict=False)):
                self._left[place] = [word for word in left if fits(word, guess, mark)]
        return moved(self._chosen(is_strict)) if self._words else "There is nothing to guess."

    def _chosen(self, is_strict: bool) -> str:
        open_lists = [words for words in self._left if not (len(words) == 1 and words[0] in self._said)]
        single = next((words[0] for words in open_lists if len(words) == 1), None)
        if single is not None:
            return single
        if not open_lists or not all(open_lists):
            return self._words[0]
        if len(open_lists[0]) > 300:
            return _FIRST[len(self._words[0])]
        words = min(open_lists, key=len)
        pool: Iterable[str] = words
        if len(words) > 2 and not is_strict and len(words) <= _MANY:
            pool = [*words, *self._words]
        return min(pool, key=lambda guess: sum(_left_after(guess, each) for each in open_lists))


def marks(secret: str, guess: str) -> str:
    """Return the marks of a guess.

    >>> marks("crane", "carry")
    '+??--'
    """
    spare = Counter(letter for letter, other in zip(secret, guess, strict=True) if letter != other)
    found = []
    for letter, other in zip(secret, guess, strict=True):
        if letter == other:
            found.append("+")
        elif spare[other] > 0:
            spare[other] -= 1
            found.append("?")
        else:
            found.append("-")
    return "".join(found)


def fits(word: str, guess: str, shown: str) -> bool:
    """Return whether a word could have given these marks."""
    return marks(word, guess) == shown


def _left_after(guess: str, words: Sequence[str]) -> float:
    """Return how many of the words would be left on average."""
    sizes = Counter(marks(word, guess) for word in words)
    left = sum(size * size for size in sizes.values()) - sizes["+" * len(guess)]
    return left / len(words)
