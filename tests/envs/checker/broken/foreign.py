"""Text environments that know nothing of AgentRL: Gymnasium's spaces, no protocol."""

from __future__ import annotations

import string
from typing import Any

import gymnasium
from gymnasium.spaces import Text

_PRINTABLE = Text(5000, min_length=0, charset=string.printable)


class Guess(gymnasium.Env[str, str]):
    """Guess a number: the answer says higher or lower."""

    observation_space = Text(200, min_length=0, charset=string.printable)
    action_space = _PRINTABLE

    def __init__(self) -> None:
        self._number = 0
        self._tries = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._number = int(self.np_random.integers(1, 100_000))
        self._tries = 0
        return f"Guess a number. It ends with {self._number % 10} and leaves {self._number % 7} by 7.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if not isinstance(action, str):
            raise TypeError(f"an action is a str, got {type(action).__name__}")
        self._tries += 1
        said = action.strip()
        if not (said.isascii() and said.isdigit() and len(said) < 10):
            return "Say a number.", 0.0, False, self._tries >= 10, {}
        guess = int(said)
        if guess == self._number:
            return "Right.", 1.0, True, False, {}
        return "Higher." if guess < self._number else "Lower.", 0.0, False, self._tries >= 10, {}


class SharedGuess(Guess):
    """Keeps the number in the class."""

    number = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        begun = super().reset(seed=seed)
        SharedGuess.number = self._number
        return begun

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._number = SharedGuess.number
        observation, *rest = super().step(action)
        return f"{observation} {self._number % 3}", *rest  # type: ignore[return-value]


class Cheatless(Guess):
    """Has a method for cheats, as every environment of AgentRL, and none to list."""

    def cheats(self) -> dict[str, Any]:
        return {}
