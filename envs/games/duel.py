"""Games of two: against an engine, against a player of the user's own, or the policy against itself.

With `opponent="self"` both seats are the policy's. The learner's seat is drawn from the seed, so that a group of GRPO
shares it. Each seat has a conversation of its own (`info["context"]`); the turns of the other seat are marked
`trained: False`, and the episode's reward is the learner's alone. Where the other seat says no move that is allowed,
one is drawn for it, so that nobody wins by the other's malformed turns.
"""

from __future__ import annotations

import importlib
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from agentrl.envs.core import Turn
from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted
from agentrl.envs.protocol import Context, Policy
from agentrl.envs.turns import final_answers, spoken

__all__ = ["DuelEnv"]

P = TypeVar("P")
_SPARE = 3  # turns beside those that the longest game takes


class DuelEnv(GameEnv, Generic[P]):
    """A game of two over positions `P`, which are values.

    Components: as of GameEnv, and `draw`, which has no weight by default.

    Args:
        opponent: "engine" (of a strength that the level says), "self", or "module:function": a player of the user's
            own, called as a policy is, `function(observation, info) -> turn`, in a conversation of its own.
        **kwargs: hints, max_turns, split, level, weights, render_mode, max_reply_chars, backend: as in GameEnv.

    Raises:
        UsageError: There is no such opponent.
    """

    components: ClassVar[Mapping[str, float]] = {"win": 1.0, "draw": 0.0, "progress": 0.0}
    state: ClassVar[tuple[str, ...]] = (
        "_position",
        "_num_left",
        "_salt",
        "_seat",
        "_to_move",
        "_spent",
        "_last",
        "_strength",
    )
    _position: P

    def __init__(self, *, opponent: str = "engine", max_turns: int | None = None, **kwargs: Any) -> None:
        self._other = opponent
        super().__init__(max_turns=max_turns, **kwargs)
        self._most = self.max_turns  # of the learner
        if opponent == "self":  # where a turn of either seat is a step of the episode
            self.max_turns *= 2
        self._player = None if opponent in ("engine", "self") else _found(opponent)
        self._num_left = self._salt = self._seat = self._to_move = self._strength = 0
        self._spent = (0, 0)  # turns of each seat
        self._last: tuple[int | None, int | None] = (None, None)  # the last turn of each seat, from 0

    # -- what a game says ------------------------------------------------------------------------------------------

    @abstractmethod
    def draw(self, rng: random.Random, split: str, level: int) -> P:
        """Draw a position of a split, in which the player to move can force a win."""

    @abstractmethod
    def read(self, position: P, text: str) -> int:
        """Return the move that is written.

        Raises:
            IllegalMove: There is none, or it is not allowed.
        """

    @abstractmethod
    def moves(self, position: P) -> Sequence[int]:
        """Return the moves that are allowed."""

    @abstractmethod
    def written(self, position: P, move: int) -> str:
        """Return a move as a player writes it."""

    @abstractmethod
    def after(self, position: P, move: int, seat: int) -> P:
        """Return the position after a move of `seat`."""

    @abstractmethod
    def winner(self, position: P, seat: int) -> int | None:
        """Return who has won when `seat` has just moved; -1 for a draw, None while the game goes on."""

    @abstractmethod
    def show(self, position: P, seat: int) -> str:
        """Return the position as `seat` reads it."""

    @abstractmethod
    def told(self, position: P, move: int) -> str:
        """Return what was done, after a name: "took 2 from C"."""

    @abstractmethod
    def engine(self, position: P, seat: int, rng: random.Random) -> int:
        """Return the move of an engine of the strength that the level says."""

    @abstractmethod
    def longest(self, position: P) -> int:
        """Return how many moves one player can have left at most."""

    # -- GameEnv ---------------------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Turns that the current task allows the learner."""
        return self._num_left + _SPARE

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a position, and the learner's seat where both are played."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        self._strength, self._salt = level, number
        self._position = self.draw(generator, split, level)
        self._num_left = self.longest(self._position)
        self._to_move, self._spent, self._last = 0, (0, 0), (None, None)
        self._seat = generator.randrange(2) if self._other == "self" else 0
        return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return the position as the seat reads it that is to move."""
        return self.show(self._position, self._to_move)

    def turns_left(self) -> int:
        """Return how many turns the seat to move still has."""
        return min(self.limit, self._most) - self._spent[self._to_move]

    def is_spent(self) -> bool:
        """Return whether the learner has no turn left."""
        return self._spent[self._seat] >= min(self.limit, self._most)

    def legal(self) -> Sequence[str]:
        """Return the moves that are allowed."""
        return [self.written(self._position, move) for move in self.moves(self._position)]

    def progress(self) -> float:
        """Return the share of the game's moves that were made."""
        made = self._num_left - self.longest(self._position)
        return made / self._num_left if self._num_left else 0.0

    def play(self, move: str) -> Played:
        """Make a move of the learner, and the opponent's after it."""
        chosen = self.read(self._position, move)
        played = self._made(chosen)
        return played if played.is_over or self._other == "self" else self._made(self._reply())

    # -- Gymnasium -------------------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; as of TextEnv."""
        observation, info = super().reset(seed=seed, options=options)
        if self._other == "self":
            info["context"] = self._context(observation)
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a turn of the learner or, in self-play, of the seat that is to move; as of TextEnv."""
        observation, reward, terminated, truncated, info = super().step(action)
        if self._other == "self" and not (terminated or truncated):
            info["context"] = self._context(observation)
        return observation, reward, terminated, truncated, info

    def _respond(self, action: str) -> Turn:
        seat = self._to_move
        spent, last = list(self._spent), list(self._last)
        spent[seat], last[seat] = spent[seat] + 1, self._num_turns - 1
        self._spent, self._last = (spent[0], spent[1]), (last[0], last[1])
        if seat == self._seat:
            return super()._respond(action)
        moves = final_answers(spoken(action))
        try:
            chosen = self.read(self._position, moves[0] if len(moves) == 1 else "")
        except IllegalMove:
            chosen = self._random().choice(list(self.moves(self._position)))
        return self._turn(self._made(chosen))

    # -- private ---------------------------------------------------------------------------------------------------

    def _made(self, move: int) -> Played:
        mover, told = self._to_move, self.told(self._position, move)
        self._position = self.after(self._position, move, mover)
        winner = self.winner(self._position, mover)
        if winner is None:
            self._to_move = 1 - mover  # who reads what was done
            return Played(text=f"The opponent {told}.\n{self.show(self._position, self._to_move)}")
        who = "You" if mover == self._seat else "The opponent"
        return Played(
            text=f"{who} {told}.\n{self.show(self._position, self._seat)}",
            is_over=True,
            is_won=winner == self._seat,
            is_drawn=winner < 0,
        )

    def _random(self) -> random.Random:
        """Return a generator that the task and the position decide, whatever was said before."""
        return random.Random(f"{self._salt} {self._position!r}")

    def _reply(self) -> int:
        if self._player is None:
            return self.engine(self._position, self._to_move, self._random())
        seen = f"{self.show(self._position, self._to_move)}\nTurns left: {self.longest(self._position)}."
        try:
            turn = self._player(seen, {"system": self.instructions()})
        except Exception as error:  # whatever the user's function raises is no fault of the policy
            message = f"opponent={self._other!r} raised {type(error).__name__}: {error}; mend it"
            raise InfrastructureError(message, kind="raised", boundary="opponent") from error
        moves = final_answers(spoken(turn)) if isinstance(turn, str) else []
        try:
            return self.read(self._position, moves[0] if len(moves) == 1 else "")
        except IllegalMove as error:
            message = f"opponent={self._other!r} answered {quoted(str(turn))}: {error} It writes {moved(self.example)}"
            raise InfrastructureError(message, kind="illegal", boundary="opponent") from error

    def _context(self, observation: str) -> Context:
        """Return where the seat to move says its turn."""
        after = self._last[self._to_move]
        reply: dict[str, Any] = {"role": "user", "content": observation}
        context: Context = {"after": after, "messages": [reply]}
        if after is None:
            context["messages"] = [{"role": "system", "content": self.instructions()}, reply]
            context["tools"] = []
        if self._to_move != self._seat:
            context["trained"] = False
        return context


def _found(opponent: Any) -> Policy:
    """Return the function that "module:function" names.

    Raises:
        UsageError: There is none.
    """
    known = "type opponent='engine', opponent='self' or opponent='module:function'"
    if not isinstance(opponent, str) or ":" not in opponent:
        near = nearest(opponent, ("engine", "self")) if isinstance(opponent, str) else ""
        raise UsageError(f"opponent={opponent!r} does not exist{near}; {known}")
    module, _, name = opponent.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"opponent={opponent!r} cannot be loaded: {error}; {known}") from error
    if not callable(found):
        raise UsageError(f"opponent={opponent!r} is a {type(found).__name__}, not a function; {known}")
    policy: Policy = found
    return policy
