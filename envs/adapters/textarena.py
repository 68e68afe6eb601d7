"""`AgentRL/TextArena-v0`: the games of TextArena, played alone or against an opponent of the user's.

The model reads what is new since its last turn, not the whole game again, and not its own words. Thoughts are left out
of what the game reads, since it takes the first move that it finds. Games that ask a model (a game master, a jury) need
that model's key; what fails there is a failure of the infrastructure. A few games of the package need Python 3.12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from agentrl.envs.adapters.foreign import package, reply
from agentrl.envs.adapters.games import GameEnv, ids_of, parts_of
from agentrl.envs.adapters.generators import Generators
from agentrl.envs.core import Turn
from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.turns import spoken

__all__ = ["TextArenaEnv"]

Opponent = Callable[[str], str]
_ENV = "AgentRL/TextArena-v0"
_INSTALL = "pip install 'agentrl-gym[adapters]'"
_OUR_TURN_BY = 1000  # moves of others


class TextArenaEnv(GameEnv):
    """A game of TextArena.

    Args:
        game: Its id there, such as "GuessTheNumber-v0"; several, in a sequence or with commas between, are levels.
        opponent: Who plays the other seats: a function from what it has read so far to its move, or "module:function".
        num_players: How many play; None: 1, or 2 where there is an opponent.
        seat: Which of them the policy is.
        arguments: Of `TextEnv`.

    Raises:
        UsageError: No such game, it lacks a part, or needs more players; or TextArena is not installed.
    """

    suite = "TextArena"
    solutions: ClassVar[Mapping[str, Callable[[Any], str]]] = {
        "GuessTheNumberEnv": lambda game: f"[{game.game_number}]",
        "MastermindEnv": lambda game: f"[{' '.join(map(str, game.state.game_state['secret_code']))}]",
    }

    def __init__(
        self,
        *,
        game: str | Sequence[str],
        opponent: Opponent | str | None = None,
        num_players: int | None = None,
        seat: int = 0,
        max_turns: int = 100,
        **arguments: Any,
    ) -> None:
        self._suite = package("textarena", _ENV, _INSTALL)
        registry = package("textarena.envs.registration", _ENV, _INSTALL).ENV_REGISTRY
        ids = ids_of("game", game)
        for each in ids:
            if each not in registry:
                raise UsageError(f"game={each!r} is none of TextArena{nearest(each, registry)}")
        self._opponent = _opponent(opponent)
        self._num_players = num_players or (1 if opponent is None else 2)
        self._seat = seat
        if not 0 <= seat < self._num_players:
            raise UsageError(f"seat={seat!r} is none of {self._num_players} players; they count from 0")
        if self._num_players > 1 and self._opponent is None:
            raise UsageError(
                f"num_players={num_players} needs somebody to play the others; give opponent='module:function'"
            )
        self._generators = Generators(0)
        self._games: dict[str, Any] = {}
        self._current: Any = None
        self._heard: dict[int, list[str]] = {}
        super().__init__(ids, max_turns=max_turns, **arguments)
        for each in ids:
            self._made(each)

    def begin(self, seed: int, split: str, level: int) -> str:
        """Deal a game of a seed; return what the policy reads before its first move."""
        self._generators = Generators(seed)
        self._heard = {}
        with self._generators.lent():
            self._current = self._made(self.ids[level - 1])
            self._current.reset(num_players=self._num_players, seed=seed)
            return self._until_ours(done=False)[1]

    def respond(self, text: str) -> Turn:
        """Make a move, and those of the others, until it is the policy's turn again."""
        with self._generators.lent():
            done, _ = self._current.step(spoken(text))
            done, told = self._until_ours(done=done)
            if not done:
                return Turn(replies=(reply(told or "It is your turn."),))
            rewards, about = self._current.close()
        reason = str((about or {}).get(self._seat, {}).get("reason") or "")
        reward = float((rewards or {}).get(self._seat, 0.0))
        best = max((rewards or {}).values(), default=0.0)
        won = reward >= 1.0 if self._num_players == 1 else 0.0 < reward == best
        told = "\n".join(each for each in (told, reason) if each)
        return Turn(replies=(reply(told),), terminated=True, success=won, rewards=parts_of(reward, won=won))

    def game(self) -> Any:
        """Return the suite's game, without its wrappers."""
        return _bare(self._current)

    def kind(self, level: int) -> str:
        """Return the name of the class of a level's game."""
        return type(_bare(self._games[self.ids[level - 1]])).__name__

    def close(self) -> None:
        """End the episode; may be called twice."""
        super().close()
        self._current, self._heard = None, {}

    def _until_ours(self, *, done: bool) -> tuple[bool, str]:
        """Let the others move until it is the policy's turn; return whether it is over, and what is new."""
        state, news = self._current.state, []
        for _ in range(_OUR_TURN_BY):
            ours = done or state.current_player_id == self._seat
            player = self._seat if ours else state.current_player_id
            said = state.observations.get(player, [])
            state.observations[player] = []
            texts = [
                text if sender < 0 else f"[{state.role_mapping.get(sender, f'Player {sender}')}] {text}"
                for sender, text, kind in said
                if not (sender == self._seat == player and kind is self._suite.ObservationType.PLAYER_ACTION)
            ]
            if ours:
                news += [text.strip("\n") for text in texts]
                return done, "\n".join(news)
            self._heard.setdefault(player, []).extend(texts)
            if self._opponent is None:
                raise UsageError(f"{self.ids} has {player + 1} players or more; give opponent='module:function'")
            done, _ = self._current.step(str(self._opponent("\n".join(self._heard[player]))))
        raise InfrastructureError(f"no turn of the policy in {_OUR_TURN_BY} moves", kind="stuck", boundary=self.suite)

    def _made(self, game: str) -> Any:
        """Return a game without what gathers its whole story for the model; made once."""
        if game not in self._games:
            try:
                with self._generators.lent():
                    made = self._suite.make(game)
                    layers = []
                    while isinstance(made, self._suite.Wrapper):
                        layers.append(type(made))
                        made = made.env
                    for layer in reversed(layers):
                        if not issubclass(layer, self._suite.ObservationWrapper):
                            made = layer(made)
                    made.reset(num_players=self._num_players, seed=0)
            except Exception as error:
                raise UsageError(f"game={game!r}: {_why(error, self._num_players)}") from error
            self._games[game] = made
        return self._games[game]


def _bare(game: Any) -> Any:
    return getattr(game, "env", game)


def _why(error: Exception, num_players: int) -> str:
    """Say what a game lacks, and what to type."""
    text = " ".join(str(error).split())
    if isinstance(error, LookupError) and "nltk" in text:
        return "it needs word lists; type: python -m nltk.downloader words averaged_perceptron_tagger_eng"
    if "API key" in text:
        return f"a model is part of it: {text}"
    if "player" in text.lower():
        return f"it is not for {num_players} players ({text}); give opponent='module:function', and num_players"
    return f"it cannot be played with this Python and this version of TextArena: {type(error).__name__}: {text[:300]}"


def _opponent(given: Opponent | str | None) -> Opponent | None:
    """Return the function that plays the others."""
    if not isinstance(given, str):
        return given
    module, _, name = given.partition(":")
    try:
        found: Opponent = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"opponent={given!r} cannot be found ({error}); write 'module:function'") from error
    return found
