"""What adapters of games share: one id a level, the parts of a reward, and which games tell what they hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from agentrl.envs.adapters.foreign import ForeignEnv
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy

__all__ = ["GameEnv", "ids_of", "parts_of"]


def ids_of(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one id a level: those of a sequence, or of a text with commas between.

    Raises:
        UsageError: There is none.

    >>> ids_of("game", "Easy-v0, Hard-v0")
    ('Easy-v0', 'Hard-v0')
    """
    ids = [value] if isinstance(value, str) else list(value)
    ids = [part.strip() for each in ids for part in str(each).split(",") if part.strip()]
    if not ids:
        raise UsageError(f"{name}={value!r} names none; write one, or one for each level, the easiest first")
    return tuple(ids)


def parts_of(reward: float, *, won: bool) -> dict[str, float]:
    """Return what a game pays, in parts: whether it is won, and the game's own reward, gained or lost.

    >>> parts_of(-0.5, won=False)
    {'win': 0.0, 'progress': 0.0, 'penalty': 0.5}
    """
    return {"win": float(won), "progress": max(0.0, reward), "penalty": max(0.0, -reward)}


class GameEnv(ForeignEnv):
    """Games of a suite, an id for each level; takes what `TextEnv` takes.

    Of the reward's components only `win` is paid by default. `progress` and `penalty` are what the game itself gives
    and takes; `weights={"win": 0, "progress": 1, "penalty": -1}` is the reward of the suite.
    """

    components: ClassVar[Mapping[str, float]] = {"win": 1.0, "progress": 0.0, "penalty": 0.0}
    solutions: ClassVar[Mapping[str, Callable[[Any], str]]] = {}  # by the name of the game's class: its winning turn

    def __init__(self, ids: tuple[str, ...], **arguments: Any) -> None:
        self.ids = ids
        self.levels = range(1, len(ids) + 1)  # type: ignore[misc]  # as many as there are ids
        super().__init__(**arguments)

    def game(self) -> Any:
        """Return the suite's game of the current level."""
        raise NotImplementedError

    @property
    def solves(self) -> bool:
        """Whether the games of all levels tell what they hide."""
        return all(self.kind(level) in self.solutions for level in self.levels)

    def kind(self, level: int) -> str:
        """Return the name of the class of a level's game."""
        raise NotImplementedError

    def solver(self) -> Policy:
        """Return a policy that knows what the game hides."""
        game, solution = self.game(), self.solutions[type(self.game()).__name__]
        return lambda observation, info: solution(game)
