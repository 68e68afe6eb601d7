"""reasoning-gym's data sets, which draw tasks of their own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player


class ReasoningGym:
    """A data set of reasoning-gym: a reset generates the next entry, a step scores an answer."""

    def __init__(self, name: str, size: int) -> None:
        self._data = importlib.import_module("reasoning_gym").create_dataset(name, size=size, seed=0)
        self._next = 0
        self._entry: Any = None

    def reset(self, episode: Episode) -> None:
        self._entry = self._data[self._next % len(self._data)]
        self._next += 1
        episode["turns"] = [self._entry["answer"]]

    def step(self, turn: str) -> float:
        return float(self._data.score_answer(answer=turn, entry=self._entry))


def reasoning_gym(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """reasoning-gym's word problems."""
    return lambda: ReasoningGym(options[0], len(episodes))
