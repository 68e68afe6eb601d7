"""Environments that break Gymnasium's contract or the protocol, each in one way."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

import gymnasium
import numpy as np

from agentrl.envs.core import Turn
from agentrl.envs.spaces import Unicode
from tests.envs.checker.broken.sound import Sound

Given = tuple[str, dict[str, Any]]
Stepped = tuple[str, float, bool, bool, dict[str, Any]]


class Startless(Sound):
    """Cannot be reset."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        raise KeyError("no such table")


class SeedDefault(Sound):
    """Has a default seed that is not None."""

    def reset(self, *, seed: int | None = -1, options: dict[str, Any] | None = None) -> Given:
        return super().reset(seed=None if seed == -1 else seed, options=options)


class Overlong(Sound):
    """Its notes are longer than its space says."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observation_space = Unicode(1000)

    def look(self, place: int) -> str:
        """Read the note at a place.

        Args:
            place: Its number.
        """
        text = super().look(place)
        return text if "no note" in text else text + "." * 1000


class AnyAction(Sound):
    """Takes whatever it is given for a text."""

    def step(self, action: Any) -> Stepped:
        return super().step(str(action))


class Undead(Sound):
    """Goes on after the end."""

    def step(self, action: str) -> Stepped:
        self._done = False
        return super().step(action)


class CloseOnce(Sound):
    """Cannot be closed twice."""

    closed = False

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True
        super().close()


class NumpyInfo(Sound):
    """Its info holds a numpy integer."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Given:
        observation, info = super().reset(seed=seed, options=options)
        info["task"]["level"] = np.int64(info["task"]["level"])
        return observation, info


class EarlySuccess(Sound):
    """Says success in every turn."""

    def step(self, action: str) -> Stepped:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, {"success": False, **info}


class Bonus(Sound):
    """Pays a bonus that no component shows."""

    def step(self, action: str) -> Stepped:
        observation, reward, *rest, info = super().step(action)
        return observation, reward * 1.5, rest[0], rest[1], info


class Infinite(Sound):
    """Punishes calls without a bound."""

    def step(self, action: str) -> Stepped:
        observation, reward, *rest, info = super().step(action)
        return observation, -float("inf") if "no note" in observation else reward, rest[0], rest[1], info


class Unsuccessful(Sound):
    """Pays the right answer and says that it is none."""

    def answer(self, text: str, turn: str) -> Turn:
        right = text == self._word
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=False)


class Brittle(Sound):
    """Expects every kind of bad JSON but one."""

    def step(self, action: str) -> Stepped:
        with contextlib.suppress(ValueError):
            json.loads(str(action).partition("<tool_call>")[2])
        return super().step(action)


class Endless(Sound):
    """Counts no turn in which nothing was called."""

    def said(self, text: str) -> Turn:
        self._num_turns -= 1
        return super().said(text)


class Sleeper(Sound):
    """Reads a very long turn for ever."""

    def step(self, action: str) -> Stepped:
        while len(action) > 55_000:
            time.sleep(0.01)
        return super().step(action)


class Crasher(Sound):
    """Takes its process along."""

    def step(self, action: str) -> Stepped:
        if "DROP TABLE" in action:
            os._exit(3)
        return super().step(action)


class Loud(Sound):
    """Prints in reset."""

    def question(self) -> str:
        os.write(1, b"a new task\n")
        return super().question()


class Nothing(gymnasium.Env[Any, Any]):
    """No text environment at all."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.0, True, False, {}
