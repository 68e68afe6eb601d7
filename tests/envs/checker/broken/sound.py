"""A small sound environment, of which every broken one is a copy with one mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.protocol import Policy
from agentrl.envs.tools import Tool

__all__ = ["Sound", "call"]


def call(place: object) -> str:
    """Write a call of `look`."""
    return f'<tool_call>{{"name": "look", "arguments": {{"place": {place}}}}}</tool_call>'


class Sound(TextEnv):
    """Follow notes from place to place, and answer with the word on the last one."""

    levels: ClassVar[range] = range(1, 3)
    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0}
    system = "Follow the notes. Call look to read one; write the word on the last as <answer>word</answer>."
    state: ClassVar[tuple[str, ...]] = ("_notes", "_start", "_word", "_seen")

    _start = 0
    _word = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_turns": 6, **kwargs})
        self._notes: dict[int, str] = {}
        self._seen: list[int] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        return (Tool.of(self.look),)

    def look(self, place: int) -> str:
        """Read the note at a place.

        Args:
            place: Its number.
        """
        self._seen = [*self._seen, place]
        return f"{self._notes.get(place, 'There is no note here.')} You have read {len(self._seen)}."

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        # Even numbers are train, odd ones test.
        places = [2 * int(each) + (split == "test") for each in rng.choice(40_000, level + 1, replace=False) + 10_000]
        self._word = "word" + "".join("aeiou"[int(each)] + "klmnrst"[int(each) + 1] for each in rng.integers(5, size=5))
        self._start = places[0]
        self._seen = []
        self._notes = {here: f"Go on to {there}." for here, there in pairwise(places)}
        self._notes[places[level - 1]] = f"The word is {self._word}."
        return f"{split}-{level}-{self._start}"

    def question(self) -> str:
        many = {1: "one note", 2: "two notes that follow each other"}[len(self._notes)]
        return f"There is {many}. Begin at {self._start}."

    def answer(self, text: str, turn: str) -> Turn:
        right = text == self._word
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)

    def oracle(self) -> Policy:
        def play(observation: str, info: dict[str, Any]) -> str:
            found = re.search(r"The word is (\w+)\.", observation)
            if found:
                return f"<answer>{found[1]}</answer>"
            place = re.search(r"(?:Begin at|Go on to) (\d+)", observation)
            return call(place[1] if place else self._start)

        return play

    def cheats(self) -> dict[str, Policy]:
        return {"the start": lambda observation, info: f"<answer>{self._start}</answer>"}
