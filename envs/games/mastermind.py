"""`AgentRL/Mastermind-v0`: find a code of colours from how many pegs of each guess are right.

The feedback is that of the board game: pegs of the right colour in the right place, and pegs of a right colour in a
wrong place, each peg of the code counted once. The oracle guesses a code that fits all answers and splits those left
best, as Knuth's ("The computer as Master Mind", Journal of Recreational Mathematics 9, 1976) does, by the expected
number of codes left rather than by the worst, and over a sample of codes where there are many.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted, split_of
from agentrl.envs.protocol import Policy

__all__ = ["MastermindEnv", "feedback"]

_COLOURS = "RGBYOPWKC"
# Level -> pegs, colours, guesses, whether all colours are different.
_SIZES = {1: (3, 6, 8, True), 2: (4, 6, 8, True), 3: (4, 6, 8, False), 4: (5, 8, 10, False), 5: (6, 9, 11, False)}
_FEW = 60  # guesses that the oracle weighs, against as many as four times that many codes
_MANY = 20_000  # codes left above which it weighs none: it says colours in pairs first, then any code that fits
_HEARD = re.compile(r"([A-Z]+): ([0-9]+) placed, ([0-9]+) misplaced")
_ASKED = re.compile(r"([0-9]+) pegs of the colours ([A-Z]+)(, all different)?")

Codes = npt.NDArray[np.int8]  # shape [codes, pegs]


class MastermindEnv(GameEnv):
    """Mastermind: three pegs of six colours at level 1, six of nine at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_code", "_num_colours", "_num_guesses", "_distinct", "_best")
    most_turns: ClassVar[int] = 11
    example = "RGB"
    lists_moves: ClassVar[bool] = False
    system = (
        "Mastermind. Find the hidden code of coloured pegs. After each guess you read how many pegs are placed (right "
        "colour, right place) and how many are misplaced (right colour, wrong place). Write a code as your move, one "
        "move a turn, for example <answer>RGB</answer>."
    )
    _code, _num_colours, _num_guesses, _distinct, _best = "", 0, 0, False, 0

    @property
    def limit(self) -> int:
        """The guesses of the level."""
        return self._num_guesses

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a code of the split, of two colours at least."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        num_pegs, self._num_colours, self._num_guesses, self._distinct = _SIZES[level]
        colours, self._best = _COLOURS[: self._num_colours], 0
        while True:
            pegs = generator.sample(colours, num_pegs) if self._distinct else generator.choices(colours, k=num_pegs)
            self._code = "".join(pegs)
            # No code of one colour, nor the first letters in order: what a constant guess would try.
            if len(set(pegs)) > 1 and self._code != colours[:num_pegs] and split_of(self._code) == split:
                return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return how many pegs and which colours there are."""
        different = ", all different" if self._distinct else ""
        return f"{len(self._code)} pegs of the colours {_COLOURS[: self._num_colours]}{different}."

    def play(self, move: str) -> Played:
        """Answer a guess."""
        guess = move.replace(" ", "").upper()
        colours = _COLOURS[: self._num_colours]
        if len(guess) != len(self._code) or guess.strip(colours):
            raise IllegalMove(f"{quoted(move)} is no code; write {len(self._code)} of the letters {colours}.")
        placed, misplaced = feedback(self._code, guess)
        self._best = max(self._best, 2 * placed + misplaced)
        is_won = placed == len(self._code)
        return Played(text=f"{guess}: {placed} placed, {misplaced} misplaced.", is_over=is_won, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return some codes; there are too many to list them all."""
        colours, num_pegs = _COLOURS[: self._num_colours], len(self._code)
        return ["".join((colours * 2)[place : place + num_pegs]) for place in range(len(colours))]

    def progress(self) -> float:
        """Return the pegs of the best guess, a misplaced one counted half."""
        return self._best / (2 * len(self._code)) if self._code else 0.0

    def oracle(self) -> Policy:
        """Return a policy that guesses what fits everything it was told."""
        player = _Player()
        return lambda observation, info: player.turn(observation)


class _Player:
    """Keeps the codes that fit what was said."""

    def __init__(self) -> None:
        self._colours = ""
        self._left: Codes = np.zeros((0, 0), dtype=np.int8)

    def turn(self, observation: str) -> str:
        """Return the next guess."""
        asked = _ASKED.search(observation)
        if asked:
            self._colours = asked[2]
            self._left = _all_codes(int(asked[1]), len(asked[2]), bool(asked[3]))
            if len(self._left) > _MANY:
                return moved("".join(self._colours[place // 2] for place in range(int(asked[1]))))
        for guess, placed, misplaced in _HEARD.findall(observation):
            pegs = np.array([self._colours.index(peg) for peg in guess], dtype=np.int8)
            fits = _feedback_of(self._left, pegs, len(self._colours)) == 10 * int(placed) + int(misplaced)
            self._left = self._left[fits]
        if not len(self._left):
            return "No code fits."
        return moved("".join(self._colours[peg] for peg in self._chosen()))

    def _chosen(self) -> list[int]:
        """Return the code of those left that leaves the fewest on average."""
        if len(self._left) > _MANY:
            return [int(peg) for peg in self._left[len(self._left) // 7]]
        step = max(1, len(self._left) // _FEW)
        guesses, codes = self._left[::step][:_FEW], self._left[:: max(1, step // 4)]
        sizes = [np.sum(np.bincount(_feedback_of(codes, each, len(self._colours))) ** 2) for each in guesses]
        return [int(peg) for peg in guesses[int(np.argmin(sizes))]]


def feedback(code: str, guess: str) -> tuple[int, int]:
    """Return how many pegs are placed and how many misplaced.

    >>> feedback("RGGB", "GGRR")
    (1, 2)
    """
    placed = sum(map(str.__eq__, code, guess))
    shared = 0
    for peg in set(guess):  # half of what two Counters take
        in_code, in_guess = code.count(peg), guess.count(peg)
        shared += in_code if in_code < in_guess else in_guess
    return placed, shared - placed


@lru_cache(maxsize=8)
def _all_codes(num_pegs: int, num_colours: int, distinct: bool) -> Codes:
    if distinct:
        return np.array(list(itertools.permutations(range(num_colours), num_pegs)), dtype=np.int8)
    grid = np.indices((num_colours,) * num_pegs, dtype=np.int8)
    return grid.reshape(num_pegs, -1).T.copy()


def _feedback_of(codes: Codes, guess: npt.NDArray[np.int8], num_colours: int) -> npt.NDArray[np.int64]:
    """Return ten times the placed plus the misplaced pegs, for every code."""
    placed = (codes == guess).sum(axis=1)
    shared = np.zeros(len(codes), dtype=np.int64)
    for colour in range(num_colours):
        times = int((guess == colour).sum())
        if times:
            shared += np.minimum((codes == colour).sum(axis=1), times)
    found: npt.NDArray[np.int64] = 10 * placed + (shared - placed)
    return found
