"""`AgentRL/Gem-v0`: the environments of GEM (`gem-llm`): games, and questions from data sets.

What the suite calls a suffix (the board, what to enter next) is read with each observation. Thoughts are left out of
what it reads. What it truncates is truncated here. Questions from a data set are split by their text, games by the
seed. Left to others are its data sets of reasoning-gym, which `AgentRL/ReasoningGym-v0` scores whole, and what runs the
model's code, which it does in no box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from agentrl.envs.adapters.foreign import package, reply, settings_of
from agentrl.envs.adapters.games import GameEnv, ids_of, parts_of
from agentrl.envs.adapters.generators import Generators
from agentrl.envs.core import Turn
from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.turns import spoken

__all__ = ["GemEnv"]

_ENV = "AgentRL/Gem-v0"
_INSTALL = "pip install 'agentrl-gym[adapters]'"


class GemEnv(GameEnv):
    """An environment of GEM.

    Args:
        env_id: Its id there, such as "game:GuessTheNumber-v0-easy"; several, in a sequence or with commas between, are
            levels.
        config: What it is made with, over the registered arguments, such as {"max_turns": 5}; a mapping or a JSON text.
        arguments: Of `TextEnv`.

    Raises:
        UsageError: No such environment, it lacks a part, or is better had from elsewhere; or GEM is not installed.
    """

    suite = "GEM"
    solutions: ClassVar[Mapping[str, Callable[[Any], str]]] = {
        "GuessTheNumberEnv": lambda game: f"\\boxed{{{game.game_number}}}",
        "MastermindEnv": lambda game: f"\\boxed{{{' '.join(map(str, game.game_code))}}}",
    }

    def __init__(
        self,
        *,
        env_id: str | Sequence[str],
        config: Mapping[str, Any] | str | None = None,
        max_turns: int = 100,
        **arguments: Any,
    ) -> None:
        self._suite = package("gem", _ENV, _INSTALL)
        registry = package("gem.envs.registration", _ENV, _INSTALL).ENV_REGISTRY
        ids = ids_of("env_id", env_id)
        for each in ids:
            if each.startswith("rg:"):
                name = each.removeprefix("rg:")
                raise UsageError(f"env_id={each!r} is of reasoning-gym; make AgentRL/ReasoningGym-v0, dataset={name!r}")
            if each not in registry:
                raise UsageError(f"env_id={each!r} is none of GEM{nearest(each, registry)}")
            if "code_env" in str(registry[each].entry_point):
                raise UsageError(f"env_id={each!r} would run the model's code in no box; use AgentRL/Code-v0")
        self._terminal = package("gem.utils.constants", _ENV, _INSTALL).TERMINAL_STATE
        self._config = settings_of(config)
        self._generators = Generators(0)
        self._games: dict[str, Any] = {}
        self._current: Any = None
        super().__init__(ids, max_turns=max_turns, **arguments)
        for each in ids:
            self._made(each)

    def begin(self, seed: int, split: str, level: int) -> str:
        """Start a game of a seed."""
        self._generators = Generators(seed)
        with self._generators.lent():
            self._current = self._made(self.ids[level - 1])
            observation, info = self._current.reset(seed=seed)
        return self._read(observation, info)

    def respond(self, text: str) -> Turn:
        """Hand a turn to the game."""
        with self._generators.lent():
            observation, gained, terminated, truncated, info = self._current.step(spoken(text))
        reward = float(gained)
        won = bool(terminated) and reward >= 1.0
        over = bool(terminated or truncated)
        if truncated and not won:
            self.cut()
        parts = parts_of(reward, won=won)
        told = self._read(observation, {} if over else info)
        return Turn(
            replies=(reply(told),) if told else (), terminated=over, success=won if over else None, rewards=parts
        )

    def game(self) -> Any:
        """Return the suite's game."""
        return self._current

    def kind(self, level: int) -> str:
        """Return the name of the class of a level's game."""
        return type(self._games[self.ids[level - 1]]).__name__

    def close(self) -> None:
        """End the episode and what graders run on; may be called twice."""
        super().close()
        self._current = None
        while self._games:
            pool = getattr(self._games.popitem()[1], "mp_pool", None)
            if pool is not None:
                pool.terminate()
                pool.join()

    def _made(self, env_id: str) -> Any:
        """Return a game, made once."""
        if env_id not in self._games:
            try:
                with self._generators.lent():
                    made = self._suite.make(env_id, **self._config)
            except Exception as error:
                raise UsageError(f"env_id={env_id!r}: {_why(error)}") from error
            if hasattr(made, "dataset"):
                self.splits_by = "question"
            self._games[env_id] = made
        return self._games[env_id]

    def _read(self, observation: Any, info: Mapping[str, Any]) -> str:
        text = "" if observation == self._terminal else str(observation)
        return "\n".join(each for each in (text, str(info.get("suffix", ""))) if each)


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, LookupError) and "nltk" in text:
        return "it needs word lists; type: python -m nltk.downloader words"
    if isinstance(error, ImportError):
        return f"a package of it is missing ({text}); type: pip install datasets, or what it names"
    return f"it cannot be made: {type(error).__name__}: {text[:300]}"
