"""Nim and Connect-4: solvers against brute force, engines of set strength, other opponents, and self-play."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.games import positions as bank
from agentrl.envs.games.base import moved, split_of
from agentrl.envs.games.bitboard import COLUMNS, ROWS, WON, canonical, columns, drop, has_four, mirrored, value
from agentrl.envs.games.connectfour import Board, ConnectFourEnv
from agentrl.envs.games.nim import Heaps, NimEnv, best_move, engine_move, nim_sum


@cache
def wins(sizes: tuple[int, ...], most: int) -> bool:
    """Whether the player to move wins, by trying everything."""
    return any(
        not wins((*sizes[:place], size - stones, *sizes[place + 1 :]), most)
        for place, size in enumerate(sizes)
        for stones in range(1, min(size, most) + 1)
    )


@given(st.lists(st.integers(0, 6), min_size=1, max_size=3), st.sampled_from([2, 3, 4, 99]))
def test_nim_is_won_where_brute_force_says_so(sizes: list[int], most: int) -> None:
    heaps = Heaps(names="ABC"[: len(sizes)], sizes=tuple(sizes), most=most)
    assert bool(nim_sum(heaps)) == wins(heaps.sizes, most)
    if any(sizes):
        move = best_move(heaps)
        left = list(sizes)
        left[move // 1000] -= move % 1000
        assert min(left) >= 0
        assert 1 <= move % 1000 <= most
        assert not nim_sum(heaps) or not wins(tuple(left), most)
        for strength in range(1, 6):
            reply = engine_move(heaps, strength, random.Random(1))
            assert 1 <= reply % 1000 <= min(most, sizes[reply // 1000])


def cells_of(stones: int) -> set[tuple[int, int]]:
    return {(column, row) for column in range(COLUMNS) for row in range(ROWS) if stones >> column * 7 + row & 1}


def four(cells: set[tuple[int, int]]) -> bool:
    return any(
        all((column + step * right, row + step * up) in cells for step in range(4))
        for column, row in cells
        for right, up in ((1, 0), (0, 1), (1, 1), (1, -1))
    )


def score(mine: int, theirs: int, depth: int) -> int:
    """Search without any cut."""
    free = columns(mine | theirs)
    if depth == 0 or not free:
        return 0
    found = []
    for column in free:
        after = mine | drop(mine | theirs, column)
        if four(cells_of(after)):
            return WON - 1
        other = -score(theirs, after, depth - 1)
        found.append(other - (other > 0) + (other < 0))
    return max(found)


@st.composite
def boards(draw: st.DrawFn) -> tuple[int, int]:
    mine = theirs = 0
    for column in draw(st.lists(st.integers(0, 6), max_size=30)):
        if column in columns(mine | theirs) and not has_four(theirs):
            mine, theirs = theirs, mine | drop(mine | theirs, column)
    return mine, theirs


@settings(deadline=None)
@given(boards())
def test_bitboards_are_boards(stones: tuple[int, int]) -> None:
    for each in stones:
        assert has_four(each) == four(cells_of(each))
        assert cells_of(mirrored(each)) == {(6 - column, row) for column, row in cells_of(each)}
        assert mirrored(mirrored(each)) == each
    assert canonical(*stones) == canonical(*map(mirrored, stones))


@settings(max_examples=40, deadline=None)
@given(boards(), st.integers(1, 3))
def test_the_search_finds_what_brute_force_finds(stones: tuple[int, int], depth: int) -> None:
    mine, theirs = stones
    if not has_four(theirs):
        found, right = value(mine, theirs, depth), score(mine, theirs, depth)
        assert found == right or (found < 0 and right < 0)  # a loss that cannot be met is said at once


@pytest.mark.parametrize("level", range(1, 6))
def test_positions_are_won_as_soon_as_they_say(level: int) -> None:
    plies, _ = bank._LEVELS[level]
    for split in ("train", "test"):
        found = bank.positions(level, split)
        assert len(found) >= 50
        for mine, theirs in found[:: len(found) // 8]:
            assert split_of(canonical(mine, theirs)) == split
            assert value(mine, theirs, plies) == WON - plies
            assert value(mine, theirs, plies - 2) <= 0
            assert not any(bank.wins_by_one(mine, theirs, column) for column in range(COLUMNS))


def test_positions_are_found_again() -> None:
    lines = (bank._FILE).read_text().splitlines()
    found = bank.found(random.Random(0))
    for _ in range(20):
        plies, (mine, theirs) = next(found)
        assert f"{plies} {mine:x} {theirs:x}" in lines


def test_a_board_is_drawn_as_it_is() -> None:
    env = ConnectFourEnv(level=1)
    observation, _ = env.reset(seed=4)
    assert observation.splitlines()[6] == "  1 2 3 4 5 6 7"
    assert observation.count("X") + observation.count("O") - 1 == sum(map(int.bit_count, env._position.stones))
    assert "is no column" in env.step(moved("8"))[0]
    assert "is no column" in env.step(moved("\uff13"))[0]


def test_a_full_column_is_refused_and_the_turn_is_spent() -> None:
    env = ConnectFourEnv(level=1)
    for seed in range(30):
        env.reset(seed=seed)
        full = [column for column in range(COLUMNS) if column not in columns(sum(env._position.stones))]
        if full:
            before, left = env._position, env.turns_left()
            assert f"column {full[0] + 1} is full" in env.step(moved(str(full[0] + 1)))[0]
            assert (env._position, env.turns_left()) == (before, left - 1)
            return
    raise AssertionError("thirty positions without a full column")


# -- opponents -------------------------------------------------------------------------------------------------------


def takes_one(observation: str, info: dict[str, Any]) -> str:
    """Play Nim badly: one stone from the first heap that has some."""
    heaps = observation.partition("Heaps: ")[2].partition(".")[0].split(", ")
    name = next(each.split(" ")[0] for each in heaps if not each.endswith(" 0"))
    return f"<think>hm</think><answer>{name} 1</answer>"


def raises(observation: str, info: dict[str, Any]) -> str:
    raise KeyError("no such heap")


def cheats(observation: str, info: dict[str, Any]) -> str:
    return "I take all.<answer>Q 99</answer>"


NOT_A_PLAYER = 3


def test_a_player_of_the_user_s_own() -> None:
    env = NimEnv(opponent=f"{__name__}:takes_one")
    observation, info = env.reset(seed=2)
    policy, done = env.oracle(), False
    while not done:
        before = env._position
        observation, _, done, _, info = env.step(policy(observation, info))
        assert done or sum(before.sizes) > sum(env._position.sizes)
        assert done or "The opponent took 1 from" in observation
    assert info["success"]


@pytest.mark.parametrize(("name", "kind"), [("raises", "raised"), ("cheats", "illegal")])
def test_a_player_that_fails_is_a_failure_and_no_win(name: str, kind: str) -> None:
    env = NimEnv(opponent=f"{__name__}:{name}")
    observation, info = env.reset(seed=2)
    _, reward, _, truncated, info = env.step(env.oracle()(observation, info))
    assert (reward, truncated) == (0.0, True)
    assert (info["failure"]["kind"], info["failure"]["boundary"]) == (kind, "opponent")
    assert name in info["failure"]["message"]


@pytest.mark.parametrize(
    ("opponent", "said"),
    [
        ("engin", "did you mean 'engine'?"),
        ("nowhere_at_all:play", "cannot be loaded"),
        (f"{__name__}:missing", "cannot be loaded"),
        (f"{__name__}:NOT_A_PLAYER", "is a int, not a function"),
        (3, "opponent=3 does not exist"),
    ],
)
def test_an_opponent_that_cannot_be_is_refused(opponent: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        NimEnv(opponent=opponent)
    assert said in str(caught.value)


# -- self-play -------------------------------------------------------------------------------------------------------


def self_played(env: Any, seed: int, illegal: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any], bool]:
    """Play a game against itself; return the contexts, the last info, and whether the oracle's seat began."""
    observation, info = env.reset(seed=seed)
    policy, contexts, done = env.oracle(), [], False
    while not done:
        context = info["context"]
        contexts.append(context)
        heard = context["messages"][-1]["content"]
        assert heard == observation
        other = context.get("trained", True) is False
        turn = "I pass." if illegal and other else policy(heard, info)
        observation, _, done, _, info = env.step(turn)
    return contexts, info, contexts[0].get("trained", True)


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_column_said_again_and_again_wins(split: str) -> None:
    env = ConnectFourEnv(level=1, split=split)
    for seed in range(150):
        for column in "1234567":
            env.reset(seed=seed)
            info: dict[str, Any] = {}
            while "success" not in info:
                info = env.step(moved(column))[4]
            assert info["success"] is False, (seed, column)


@pytest.mark.parametrize("level", range(1, 6))
def test_an_engine_that_has_lost_still_meets_a_threat(level: int) -> None:
    env = ConnectFourEnv(level=level)
    env.reset(seed=1)
    two_threats = Board(stones=(0b111 | 0b111 << 7, 0b11 << 42), first=0)
    assert {env.engine(two_threats, 1, random.Random(seed)) for seed in range(20)} == {0, 1}


@pytest.mark.parametrize("kind", [NimEnv, ConnectFourEnv])
def test_both_seats_have_a_conversation_of_their_own(kind: Any) -> None:
    env = kind(opponent="self")
    begun = set()
    for seed in range(12):
        contexts, info, learner_begins = self_played(env, seed)
        begun.add(learner_begins)
        seats = [context.get("trained", True) for context in contexts]
        assert all(one != other for one, other in pairwise(seats))  # they take turns
        for place, context in enumerate(contexts):
            assert context["after"] == (place - 2 if place >= 2 else None)
            roles = [message["role"] for message in context["messages"]]
            assert roles == (["user"] if place >= 2 else ["system", "user"])
        assert "context" not in info
        assert isinstance(info["success"], bool)
    assert begun == {True, False}


def test_the_win_is_the_learner_s_alone() -> None:
    env, found = NimEnv(opponent="self"), set()
    for seed in range(12):
        _, info, learner_begins = self_played(env, seed)
        # Both play rightly, and the position is won for who begins.
        assert info["success"] is learner_begins
        found.add(info["success"])
    assert found == {True, False}


def test_nobody_wins_by_the_other_s_malformed_turns() -> None:
    env = NimEnv(opponent="self", level=4)
    for seed in range(6):
        contexts = self_played(env, seed, illegal=True)[0]
        trained = [context for context in contexts if context.get("trained", True)]
        assert all("Error" not in context["messages"][-1]["content"] for context in trained)
        assert "The opponent took" in trained[-1]["messages"][-1]["content"]


def test_a_malformed_turn_of_the_learner_is_said_again() -> None:
    env = NimEnv(opponent="self")
    seed = next(seed for seed in range(20) if "trained" not in env.reset(seed=seed)[1]["context"])
    env.reset(seed=seed)
    observation, _, _, _, info = env.step("Hm.")
    assert observation.startswith("Error: no move found.")
    assert info["context"] == {"after": 0, "messages": [{"role": "user", "content": observation}]}
    done = False
    while not done:
        _, _, done, truncated, info = env.step("Hm.")
    assert (info["success"], truncated) == (False, False)
