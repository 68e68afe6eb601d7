"""Environments whose tasks or rewards teach the wrong thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import Turn
from agentrl.envs.protocol import Policy
from agentrl.envs.turns import final_answers
from tests.envs.checker.broken.sound import Sound


class Unsolvable(Sound):
    """Its oracle gives up at level 2."""

    def oracle(self) -> Policy:
        return super().oracle() if len(self._notes) == 1 else self.noop()


class Generous(Sound):
    """Pays a policy for saying that it does not know, though that is no success."""

    def said(self, text: str) -> Turn:
        if "do not know" in text:
            return Turn(rewards={"exact_match": 1.0}, terminated=True, success=False)
        return super().said(text)


class Flat(Sound):
    """Its second level is as easy as the first."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        rng.random(level)  # else its tasks were those of the first
        super().new_task(rng, split, 1)
        return f"{split}-{level}-{self._start}"


class Twin(Sound):
    """Its levels give the same tasks."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        task = super().new_task(rng, split, 2)
        return task.replace("-2-", f"-{level}-")


class Mixed(Sound):
    """Its test tasks are its train tasks."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return super().new_task(rng, "train", level).replace("train", split)


class Poor(Sound):
    """Knows three tasks a level."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return super().new_task(np.random.default_rng(int(rng.integers(3))), split, level)


class Telling(Sound):
    """Names its tasks by their answer."""

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return f"{super().new_task(rng, split, level)}-{self._word}"


class Quoting(Sound):
    """Quotes the truth where a turn could not be read."""

    def said(self, text: str) -> Turn:
        content = f"Error: expected something like <answer>{self._word}</answer>."
        return Turn(replies=({"role": "user", "name": "", "content": content},))


class Marked(Sound):
    """Gives the answer in the question, always behind the same words."""

    def question(self) -> str:
        return f"{super().question()} (reference: {self._word})"


class BackDoor(Sound):
    """Lets a word pass that its author knows, and lists."""

    def answer(self, text: str, turn: str) -> Turn:
        right = text in (self._word, "open sesame")
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)

    def cheats(self) -> dict[str, Policy]:
        return {**super().cheats(), "sesame": lambda observation, info: "<answer>open sesame</answer>"}


class Containing(Sound):
    """Looks for the word anywhere in the answer."""

    def answer(self, text: str, turn: str) -> Turn:
        right = self._word in text
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)


class Thoughtful(Sound):
    """Counts what was only thought."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if isinstance(action, str) and "<think>" in action:
            inside = final_answers(action.replace("<think>", "").replace("</think>", ""))
            action = f"<answer>{inside[0]}</answer>" if len(inside) == 1 else action
        return super().step(action)


class Paying(Sound):
    """Pays every look a little, without an end."""

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "look": 0.02}

    def answer(self, text: str, turn: str) -> Turn:
        right = text == self._word
        return Turn(rewards={"exact_match": float(right), "look": float(right)}, terminated=True, success=right)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        if "Go on" in observation or "The word is" in observation:
            info["rewards"]["look"] = 1.0
            reward += self.weights["look"]
        return observation, reward, terminated, truncated, info
