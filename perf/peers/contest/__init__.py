"""The contestants of `perf/environments.py`: each project's environments in one dress, a file each.

A contestant is a function from the episodes to play, a folder for its files, the URL of a server and options to what
makes an instance. It writes into each episode the turns that it is played with. Projects are imported when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Episode", "Make", "Player", "tagged"]

Episode = dict[str, Any]
"""{"question", "answer", "turns"} and what its kind needs beside them."""


class Player(Protocol):
    """One instance of an environment. `reset` begins an episode; `step` takes a turn and returns its reward."""

    def reset(self, episode: Episode) -> None: ...

    def step(self, turn: str) -> float: ...


Make = Callable[[Sequence[Episode], Path, str, list[str]], Callable[[], Player]]
"""Prepares the tasks and returns a maker of instances."""


def tagged(episode: Episode) -> list[str]:
    """Return the actions of an episode in the tags that both peers took from Search-R1."""
    return [*(f"<search>{query}</search>" for query in episode["queries"]), f"<answer>{episode['answer']}</answer>"]
