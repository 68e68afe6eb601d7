"""What holds for every game: one move a turn, every turn counts, nothing hostile raises, an oracle that only reads."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.cli.registry import our_envs
from agentrl.envs.errors import UsageError
from agentrl.envs.games.base import GameEnv, moved, quoted


def game_of(env_id: str, **kwargs: Any) -> GameEnv | None:
    env = gym.make(env_id, **kwargs).unwrapped
    return env if isinstance(env, GameEnv) else None


GAMES = [env_id for env_id in our_envs() if game_of(env_id) is not None]
every = pytest.mark.parametrize("env_id", GAMES)


def made(env_id: str, **kwargs: Any) -> GameEnv:
    env = game_of(env_id, **kwargs)
    assert env is not None
    return env


def played(env: GameEnv, policy: Any, seed: int, **options: Any) -> tuple[list[str], dict[str, Any]]:
    observation, info = env.reset(seed=seed, options=options)
    read, done = [observation], False
    while not done:
        observation, _, terminated, truncated, info = env.step(policy(observation, info))
        done = terminated or truncated
        read.append(observation)
    return read, info


def test_there_are_eight_games() -> None:
    assert len(GAMES) >= 8


@every
@pytest.mark.parametrize("level", range(1, 6))
def test_the_oracle_wins_both_splits_by_what_it_reads(env_id: str, level: int) -> None:
    env = made(env_id)
    for seed in range(6):
        observation, info = env.reset(seed=seed, options={"level": level, "split": ("train", "test")[seed % 2]})
        # The policy is another environment's, which is never reset: it can look at nothing.
        policy = made(env_id, level=level).oracle() if env_id != "AgentRL/Wordle-v0" else env.oracle()
        if env_id == "AgentRL/TwentyQuestions-v0":
            policy = env.oracle()
        done = False
        while not done:
            observation, reward, terminated, truncated, info = env.step(policy(observation, {}))
            done = terminated or truncated
        assert (reward, info["success"], terminated) == (1.0, True, True)
        assert info["rewards"]["progress"] == 1.0
        assert observation.endswith("You have won.")


@every
def test_a_turn_without_one_move_is_told_so_and_costs_a_turn(env_id: str) -> None:
    env = made(env_id)
    observation, _ = env.reset(seed=1)
    left = env.turns_left()
    assert observation.endswith(f"Turns left: {left}.")
    for turn, said in [
        ("Hm.", "no move found. Write one move as <answer>"),
        (moved("a") + moved("b"), "2 moves in one turn"),
        (f"<think>{moved(env.example)}</think>", "no move found"),
        (moved("x" * 61), "at most 60 characters"),
        (moved("\u0661"), "Error: "),
    ]:
        left -= 1
        observation, reward, terminated, _, info = env.step(turn)
        assert said in observation
        assert (reward, info["rewards"]) == (0.0, {}) or terminated
        assert terminated or observation.endswith(f"Turns left: {left}.")
        if terminated:
            return


@every
def test_the_turns_are_limited_and_then_the_game_is_lost(env_id: str) -> None:
    env = made(env_id)
    read, info = played(env, lambda observation, info: "no move", 3)
    assert read[-1].endswith("No turns are left: you have lost.")
    assert info["success"] is False
    assert len(read) - 1 == env.limit <= env.max_turns
    short = made(env_id, max_turns=2)
    assert len(played(short, lambda observation, info: "no move", 3)[0]) == 3


@every
def test_every_cheat_earns_nothing(env_id: str) -> None:
    env = made(env_id)
    for level in range(1, 6):
        env.reset(seed=0, options={"level": level})
        for name in env.cheats():
            for seed in (level, 10 + level):
                env.reset(seed=seed, options={"level": level})
                policy = env.cheats()[name]
                _, info = played(env, policy, seed, level=level)
                assert not info["success"], (level, seed, name)


@every
def test_progress_is_paid_by_weight_alone(env_id: str) -> None:
    env = made(env_id, weights={"progress": 0.5})
    shares = []
    for seed in range(5):
        policy = env.demonstrator(np.random.default_rng(seed))
        _, info = played(env, policy, seed)
        shares.append(info["rewards"]["progress"])
        assert env.weights["win"] * info["rewards"]["win"] + 0.5 * shares[-1] >= 0.5 * info["rewards"]["win"]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert any(shares)


@every
def test_the_demonstrator_errs_and_wins_some(env_id: str) -> None:
    env = made(env_id)
    won = [played(env, env.demonstrator(np.random.default_rng(seed)), seed)[1]["success"] for seed in range(24)]
    assert any(won)
    assert not all(won)


@every
def test_hints_list_the_moves_or_are_refused(env_id: str) -> None:
    if not type(made(env_id)).lists_moves:
        with pytest.raises(UsageError, match="hints=True lists the moves"):
            made(env_id, hints=True)
        return
    env = made(env_id, hints=True)
    observation, _ = env.reset(seed=2)
    assert f"Moves: {', '.join(env.legal())}." in observation
    with pytest.raises(UsageError, match="hints='yes' must be"):
        made(env_id, hints="yes")


@every
def test_a_snapshot_is_a_position(env_id: str) -> None:
    env, other = made(env_id, level=2), made(env_id, level=2)
    observation, info = env.reset(seed=5)
    policy = env.oracle()
    observation, _, _, _, info = env.step(policy(observation, info))
    taken = env.snapshot()
    action = policy(observation, info)
    after = env.step(action)
    other.restore(taken)
    assert other.step(action) == after
    env.restore(taken)
    assert env.step(action) == after


@pytest.fixture(scope="module")
def games() -> dict[str, GameEnv]:
    return {env_id: made(env_id) for env_id in GAMES}


@settings(max_examples=60, deadline=None)
@given(
    move=st.one_of(st.text(max_size=80), st.from_regex(r"[A-Za-z]{1,6} ?[0-9]{0,3}", fullmatch=True)),
    level=st.integers(1, 5),
)
def test_any_text_is_a_move_or_is_told_why_not(games: dict[str, GameEnv], move: str, level: int) -> None:
    for env in games.values():
        env.reset(seed=level, options={"level": level})
        left = env.turns_left()
        observation, reward, terminated, truncated, _ = env.step(moved(move))
        assert observation in env.observation_space
        assert reward in (0.0, 1.0)
        assert not truncated
        assert terminated or observation.endswith(f"Turns left: {left - 1}.")


@given(st.text())
def test_a_quoted_move_is_short_and_printable(move: str) -> None:
    shown = quoted(move)
    assert shown.replace("…", "").isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * 24 + 4
