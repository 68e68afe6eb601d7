"""`AgentRL/Nim-v0`: heaps of stones; who takes the last stone wins.

Solved by Bouton ("Nim, a game with a complete mathematical theory", Annals of Mathematics 3, 1901): the player to move
wins exactly where the exclusive or of the heaps is not 0; with at most `most` stones a turn, of the heaps modulo
most + 1.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any, ClassVar

from agentrl.envs.games.base import IllegalMove, moved, quoted, split_of
from agentrl.envs.games.duel import DuelEnv
from agentrl.envs.protocol import Policy

__all__ = ["Heaps", "NimEnv", "best_move", "nim_sum"]

_NAMES = "ABCDEFGHKLMNPRSTUWXY"
_MOVE = re.compile(r"([A-Za-z])[ ,:]{0,2}([0-9]{1,3})")
_HEAP = re.compile(r"([A-Z]) ([0-9]+)(?=[,.])")
_MOST = re.compile(r"At most ([0-9]+)")
_ANY = 99  # stones a turn, where nothing limits them
# Level -> heaps, largest heap, whether a turn's stones are limited.
_SIZES = {1: (3, 4, False), 2: (4, 6, False), 3: (4, 9, False), 4: (4, 15, False), 5: (5, 20, True)}


@dataclass(frozen=True, kw_only=True)
class Heaps:
    """A position."""

    names: str  # a letter for each heap
    sizes: tuple[int, ...]
    most: int = _ANY  # stones that may be taken in a turn


class NimEnv(DuelEnv[Heaps]):
    """Nim against an engine: random at level 1, greedy, looking ahead, and perfect from level 4; see DuelEnv."""

    example = "B 1"
    most_turns: ClassVar[int] = 53  # half of five heaps of twenty, and three to spare
    system = (
        "Nim. A turn takes one or more stones from one heap. Whoever takes the last stone of all wins. Write a heap "
        "and how many stones you take from it as your move, one move a turn, for example <answer>B 1</answer>."
    )

    def draw(self, rng: random.Random, split: str, level: int) -> Heaps:
        """Draw heaps that can be won, and by no move said over and over."""
        number, largest, is_limited = _SIZES[level]
        while True:
            names = "".join(sorted(rng.sample(_NAMES, number)))
            most = rng.randint(3, 6) if is_limited else _ANY
            heaps = Heaps(names=names, sizes=tuple(rng.randint(1, largest) for _ in names), most=most)
            if split_of(f"{sorted(heaps.sizes)} {most}") != split or not nim_sum(heaps):
                continue
            if self._other != "engine" or not any(self._wins_by(heaps, name) for name in names):
                return heaps

    def read(self, position: Heaps, text: str) -> int:
        """Return heap and stones as one number; see `moves`."""
        match = _MOVE.fullmatch(text)
        if not match:
            raise IllegalMove(f"{quoted(text)} is no move; write a heap and a number, such as {moved(self.example)}.")
        name, stones = match[1].upper(), int(match[2])
        if name not in position.names:
            raise IllegalMove(f"there is no heap {name}; there are {', '.join(position.names)}.")
        size = position.sizes[position.names.index(name)]
        if not 1 <= stones <= min(size, position.most):
            cap = min(size, position.most)
            raise IllegalMove(
                f"you cannot take {stones} from {name}; " + (f"take 1 to {cap}." if cap else "it is empty.")
            )
        return position.names.index(name) * 1000 + stones

    def moves(self, position: Heaps) -> Sequence[int]:
        """Return the moves: 1000 times the heap's place, and the stones."""
        return _moves(position)

    def written(self, position: Heaps, move: int) -> str:
        """Return a move as it is written."""
        return f"{position.names[move // 1000]} {move % 1000}"

    def after(self, position: Heaps, move: int, seat: int) -> Heaps:
        """Return the heaps after a move."""
        return _after(position, move)

    def winner(self, position: Heaps, seat: int) -> int | None:
        """Return the player who took the last stone."""
        return None if any(position.sizes) else seat

    def show(self, position: Heaps, seat: int) -> str:
        """Return the heaps in a line."""
        most = f" At most {position.most} a turn." if position.most != _ANY else ""
        heaps = ", ".join(map("{} {}".format, position.names, position.sizes))
        return f"Heaps: {heaps}.{most}"

    def told(self, position: Heaps, move: int) -> str:
        """Return what was taken."""
        return f"took {move % 1000} from {position.names[move // 1000]}"

    def engine(self, position: Heaps, seat: int, rng: random.Random) -> int:
        """Return a move of the engine of this level."""
        return engine_move(position, self._strength, rng)

    def longest(self, position: Heaps) -> int:
        """Return half of the stones, rounded up."""
        return (sum(position.sizes) + 1) // 2

    def oracle(self) -> Policy:
        """Return a policy that reads the heaps and makes the exclusive or 0."""

        heaps: Heaps | None = None

        def play(observation: str, info: dict[str, Any]) -> str:
            nonlocal heaps
            heaps = seen(observation) or heaps
            return moved(self.written(heaps, best_move(heaps))) if heaps else "There are no heaps."

        return play

    def _wins_by(self, heaps: Heaps, name: str) -> bool:
        """Whether one move, said again and again, wins against the engine."""
        place = heaps.names.index(name)
        for stones in range(1, min(heaps.sizes[place], heaps.most) + 1):
            position = heaps
            while position.sizes[place] >= stones:
                position = _after(position, place * 1000 + stones)
                if not any(position.sizes):
                    return True
                rng = random.Random(f"{self._salt} {position!r}")
                position = _after(position, engine_move(position, self._strength, rng))
        return False


def nim_sum(heaps: Heaps) -> int:
    """Return the exclusive or of the heaps, each modulo one more than may be taken; 0 is lost for the player to move.

    >>> nim_sum(Heaps(names="AB", sizes=(5, 3)))
    6
    """
    return reduce(xor, (size % (heaps.most + 1) for size in heaps.sizes), 0)


def best_move(heaps: Heaps) -> int:
    """Return the first move that leaves a position lost for the other, else one stone of the largest heap."""
    for move in _winning(heaps):
        return move
    return heaps.sizes.index(max(heaps.sizes)) * 1000 + 1


def engine_move(heaps: Heaps, strength: int, rng: random.Random) -> int:
    """Return a move of an engine.

    Args:
        heaps: With at least one stone.
        strength: 1: any move. 2: takes the last stone where it can, else a whole heap or any move. 3: plays rightly
            once two heaps are left. 4 and 5: plays rightly.
        rng: What is left to chance.
    """
    moves = _moves(heaps)
    if strength == 1:
        return rng.choice(moves)
    if strength == 2:
        last = [move for move in moves if not any(_after(heaps, move).sizes)]
        whole = [move for move in moves if move % 1000 == heaps.sizes[move // 1000]]
        return rng.choice(last or (whole if whole and rng.random() < 0.5 else moves))
    num_left = sum(size > 0 for size in heaps.sizes)
    return rng.choice((_winning(heaps) if strength > 3 or num_left <= 2 else []) or moves)


def seen(observation: str) -> Heaps | None:
    """Return the heaps that an observation shows."""
    line = observation.partition("Heaps: ")[2].partition("\n")[0]
    heaps = _HEAP.findall(line)
    if not heaps:
        return None
    most = _MOST.search(line)
    names = "".join(name for name, _ in heaps)
    return Heaps(names=names, sizes=tuple(int(size) for _, size in heaps), most=int(most[1]) if most else _ANY)


def _moves(heaps: Heaps) -> list[int]:
    return [
        place * 1000 + stones
        for place, size in enumerate(heaps.sizes)
        for stones in range(1, min(size, heaps.most) + 1)
    ]


def _winning(heaps: Heaps) -> list[int]:
    """Return the moves after which `nim_sum` is 0: of each heap at most one."""
    total, base = nim_sum(heaps), heaps.most + 1
    taken = [size % base - (size % base ^ total) for size in heaps.sizes]
    return [place * 1000 + stones for place, stones in enumerate(taken) if stones > 0]


def _after(heaps: Heaps, move: int) -> Heaps:
    sizes = list(heaps.sizes)
    sizes[move // 1000] -= move % 1000
    return Heaps(names=heaps.names, sizes=tuple(sizes), most=heaps.most)
