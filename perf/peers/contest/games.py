"""Games of AgentRL, TextArena and GEM over the same number of turns.

The options name a game: "mastermind", "sokoban" or "connectfour". An episode is four moves that the rules allow, and
each is worth a quarter where the game took it as one, so that no contestant is timed on errors. TextArena's games are
taken as `textarena.make` gives them, with the wrappers that write the observation for a language model.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player

TURNS = 4
_IDS = {"mastermind": "Mastermind-v0", "sokoban": "Sokoban-v0", "connectfour": "ConnectFour-v0"}
_OURS = {"mastermind": ("Mastermind-v0", 2), "sokoban": ("Sokoban-v0", 4), "connectfour": ("ConnectFour-v0", 1)}
_CODES = ("1 2 3 4", "2 3 4 5", "3 4 5 6", "4 5 6 1", "5 6 1 2")
_LETTERED = tuple("".join("RGBYOP"[int(digit) - 1] for digit in code.split()) for code in _CODES)  # in our colours
_WAYS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


class OurGame:
    """One of our games at the level that is most like the other's; of Connect-4 both seats."""

    def __init__(self, game: str) -> None:
        gymnasium = importlib.import_module("gymnasium")
        importlib.import_module("agentrl.envs")
        name, level = _OURS[game]
        more = {"opponent": "self"} if game == "connectfour" else {}
        self._game, self._env = game, gymnasium.make(f"AgentRL/{name}", level=level, disable_env_checker=True, **more)
        self._number = 0

    def reset(self, episode: Episode) -> None:
        self._env.reset(seed=episode["seed"])
        self._number = 0
        episode["turns"] = [""] * TURNS

    def step(self, turn: str) -> float:
        inner = self._env.unwrapped
        if self._game == "mastermind":
            move = [code for code in _LETTERED if code != inner._code][self._number]
        else:
            move = inner.legal()[0]
        self._number += 1
        return 0.0 if self._env.step(f"<answer>{move}</answer>")[0].startswith("Error") else 1 / TURNS


class TextArenaGame:
    """One of TextArena's games, all seats played; as its own loop does, each turn reads its observation first."""

    def __init__(self, game: str) -> None:
        self._game = game
        self._env = self._bare = importlib.import_module("textarena").make(_IDS[game])
        while hasattr(self._bare, "env"):
            self._bare = self._bare.env
        self._number = 0

    def reset(self, episode: Episode) -> None:
        self._env.reset(num_players=2 if self._game == "connectfour" else 1, seed=episode["seed"])
        self._number = 0
        episode["turns"] = [""] * TURNS

    def step(self, turn: str) -> float:
        self._env.get_observation()
        state = self._env.state
        if self._game == "mastermind":
            secret = " ".join(map(str, state.game_state["secret_code"]))
            move = [code for code in _CODES if code != secret][self._number]
        elif self._game == "connectfour":
            move = f"col {self._number}"
        else:
            move = _free(self._bare.room_state, self._bare.player_position)
        self._number += 1
        self._env.step(f"[{move}]")
        return 0.0 if state.error_count else 1 / TURNS


class GemGame:
    """GEM's Mastermind, as GEM makes it."""

    def __init__(self) -> None:
        module = importlib.import_module("gem.envs.game_env.mastermind")
        self._env = module.MastermindEnv()
        self._number = 0

    def reset(self, episode: Episode) -> None:
        self._env.reset(seed=episode["seed"])
        self._number = 0
        episode["turns"] = [""] * TURNS

    def step(self, turn: str) -> float:
        secret = " ".join(map(str, self._env.game_code))
        move = [code for code in _CODES if code != secret][self._number]
        self._number += 1
        return 1 / TURNS if "This guess receives" in self._env.step(f"\\boxed{{{move}}}")[0] else 0.0


def ours_games(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Return a maker of our game."""
    return lambda: OurGame(options[0])


def textarena_games(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Return a maker of TextArena's game."""
    return lambda: TextArenaGame(options[0])


def gem_games(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Return a maker of GEM's Mastermind; its Wordle needs word lists from the network."""
    return GemGame


def _free(room: Any, player: Any) -> str:
    """Return a direction with free floor (1) or a goal (2); TextArena's drawn board is that of the start."""
    row, column = map(int, player)
    return next((way for way, (down, right) in _WAYS.items() if room[row + down][column + right] in (1, 2)), "up")
