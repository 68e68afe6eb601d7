"""Games of TextArena and GEM: one seed one game, nothing global moved, and only a won game is paid."""

from __future__ import annotations

import random
from typing import Any

import gymnasium
import numpy as np
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.adapters.foreign import ForeignEnv
from agentrl.envs.adapters.games import GameEnv
from agentrl.envs.errors import UsageError
from tests.envs.adapters.playing import solved

ARENA, GEM = "AgentRL/TextArena-v0", "AgentRL/Gem-v0"
GAMES = [
    (ARENA, {"game": "GuessTheNumber-v0,GuessTheNumber-v0-hardcore"}),
    (ARENA, {"game": ["Mastermind-v0", "Mastermind-v0-hard"]}),
    (GEM, {"env_id": "game:GuessTheNumber-v0-easy"}),
    (GEM, {"env_id": ("game:Mastermind-v0-easy", "game:Mastermind-v0-hard")}),
]


def made(name: str, /, **arguments: Any) -> GameEnv:
    env = gymnasium.make(name, **arguments).unwrapped
    assert isinstance(env, GameEnv)
    return env


def _globals() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]


@pytest.mark.parametrize(("env_id", "arguments"), GAMES)
def test_a_game_is_won_by_who_knows_what_it_hides(env_id: str, arguments: dict[str, Any]) -> None:
    before = _globals()
    with made(env_id, **arguments) as env:
        for level in env.levels:
            for seed in range(5):
                _, reward, terminated, truncated, info = solved(env, seed=seed, level=level)
                assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
                assert info["rewards"] == {"win": 1.0, "progress": 1.0, "penalty": 0.0}
    assert _globals() == before


@pytest.mark.parametrize(
    ("env_id", "arguments", "turn"),
    [
        (ARENA, {"game": "Blackjack-v0"}, "[Hit]"),  # draws cards in each turn
        (GEM, {"env_id": "game:Game2048-v0-easy"}, "\\boxed{up}"),  # draws tiles
    ],
)
def test_what_a_game_draws_on_the_way_is_the_seeds_too(env_id: str, arguments: dict[str, Any], turn: str) -> None:
    told = []
    for disturbed in (False, True):
        with made(env_id, **arguments) as env, made(env_id, **arguments) as other:
            told.append([env.reset(seed=11)])
            for number in range(4):
                if disturbed:
                    random.seed(number)
                    other.reset(seed=number)
                    other.step(turn)
                told[-1].append(env.step(turn))  # type: ignore[arg-type]
    assert told[0] == told[1]


def test_partial_progress_is_told_and_not_paid() -> None:
    with made(GEM, env_id="game:Mastermind-v0-easy") as env:
        env.reset(seed=3)
        code = env.game().game_code
        near = [code[0], next(number for number in range(1, 7) if number not in code)]
        _, reward, terminated, _, info = env.step(f"\\boxed{{{near[0]} {near[1]}}}")
        assert (reward, terminated) == (0.0, False)
        assert info["rewards"]["progress"] == 0.5
        _, reward, terminated, _, info = env.step("no move")
        assert (reward, terminated, info["success"]) == (0.0, True, False)
        assert info["rewards"] == {"win": 0.0, "progress": 0.0, "penalty": 0.1}
    with made(GEM, env_id="game:Mastermind-v0-easy", weights={"win": 0, "progress": 1, "penalty": -1}) as env:
        env.reset(seed=3)
        assert env.step("no move")[1] == -0.1


def test_a_game_that_runs_out_of_turns_is_truncated() -> None:
    with made(GEM, env_id="game:GuessTheNumber-v0-easy") as env:
        env.reset(seed=0)
        wrong = next(number for number in range(1, 11) if number != env.game().game_number)
        for _ in range(4):
            step = env.step(f"\\boxed{{{wrong}}}")
        assert step[1:4] == (0.0, False, True)
        assert step[4]["success"] is False


def test_a_turn_is_read_without_its_thoughts_and_not_repeated() -> None:
    with made(ARENA, game="GuessTheNumber-v0") as env:
        first, _ = env.reset(seed=2)
        number = env.game().game_number
        wrong = number % 20 + 1
        told = env.step(f"<think>It may be [{number}].</think> I say [{wrong}].")
        assert not told[2]
        assert "I say" not in told[0]
        assert first not in told[0]
        assert env.step(f"[{number}]")[4]["success"] is True


def resigns(story: str) -> str:
    """Say nothing that is a move."""
    return "I resign."


def test_others_are_played_by_an_opponent() -> None:
    with made(ARENA, game="TicTacToe-v0", opponent="tests.envs.adapters.test_games:resigns") as env:
        first, _ = env.reset(seed=0)
        assert "TicTacToe" in first.replace(" ", "").replace("-", "") or "Tic" in first
        _, reward, terminated, _, info = env.step("[4]")
        assert (reward, terminated, info["success"]) == (1.0, True, True)
    with made(ARENA, game="TicTacToe-v0", opponent=lambda story: "[0]", seat=1) as env:
        assert "[Player 0]" in env.reset(seed=0)[0]
        _, reward, _, _, info = [env.step("Hm."), env.step("Hm.")][-1]
        assert (reward, info["success"], info["rewards"]["penalty"]) == (0.0, False, 1.0)


def test_a_snapshot_is_the_seed_and_the_turns() -> None:
    with made(ARENA, game="Blackjack-v0") as env, made(ARENA, game="Blackjack-v0") as other:
        env.reset(seed=4)
        env.step("[Hit]")
        taken = env.snapshot()
        wanted = [env.step("[Hit]"), env.step("[Stand]")]
        other.restore(taken)
        assert [other.step("[Hit]"), other.step("[Stand]")] == wanted


@pytest.mark.parametrize(
    ("env_id", "arguments", "told"),
    [
        (ARENA, {"game": "GuessTheNumbr-v0"}, "did you mean 'GuessTheNumber-v0"),
        (ARENA, {"game": "TicTacToe-v0"}, "not for 1 players .* give opponent="),
        (ARENA, {"game": "TicTacToe-v0", "num_players": 2}, "needs somebody to play the others"),
        (ARENA, {"game": "TicTacToe-v0", "opponent": "nowhere:play"}, "opponent='nowhere:play' cannot be found"),
        (ARENA, {"game": "TicTacToe-v0", "opponent": resigns, "seat": 2}, "seat=2 is none of 2 players"),
        (ARENA, {"game": "TwentyQuestions-v0"}, "a model is part of it: OpenRouter API key not found"),
        (GEM, {"env_id": "game:GuessTheNumber"}, "did you mean 'game:GuessTheNumber-v0"),
        (GEM, {"env_id": "rg:leg_counting"}, "make AgentRL/ReasoningGym-v0, dataset='leg_counting'"),
        (GEM, {"env_id": "code:CodeContest"}, "would run the model's code in no box"),
        (GEM, {"env_id": "game:Mastermind-v0-easy", "config": {"code_length": 9}}, "it cannot be made: ValueError"),
    ],
)
def test_what_cannot_be_played_is_refused(env_id: str, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        made(env_id, **arguments)


def test_a_game_that_breaks_is_a_failure_of_the_infrastructure() -> None:
    with made(GEM, env_id="game:Mastermind-v0-easy") as env:
        env.reset(seed=0)
        del env.game().game_code
        _, reward, terminated, truncated, info = env.step("\\boxed{1 2}")
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert info["failure"]["boundary"] == "GEM"
        assert info["failure"]["kind"] == "crash"
        assert "AttributeError" in info["failure"]["message"]
    assert issubclass(GameEnv, ForeignEnv)
