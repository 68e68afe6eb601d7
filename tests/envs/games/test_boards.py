"""Minesweeper and Sokoban: deduction and search against brute force, boards that can be done, rules of the games."""

from __future__ import annotations

import itertools
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.games.base import moved
from agentrl.envs.games.deduction import around, deduced, opened
from agentrl.envs.games.minesweeper import MinesweeperEnv
from agentrl.envs.games.sokoban import SokobanEnv, _canonical, _seen, _show
from agentrl.envs.games.warehouse import STEPS, Room, draw, pushed, route, solve


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 5), st.booleans())
def test_what_is_deduced_is_safe_on_every_board_that_looks_so(seed: int, num_mines: int, pairs: bool) -> None:
    rng, size = random.Random(seed), 4
    near = around(size, size)
    cells = rng.sample(range(16), num_mines + 1)
    mines = sum(1 << cell for cell in cells[1:])
    seen = opened(mines, 0, cells[0], near)
    numbers = {cell: (near[cell] & mines).bit_count() for cell in range(16) if seen >> cell & 1}
    hidden = [cell for cell in range(16) if not seen >> cell & 1]
    fitting = [
        board
        for chosen in itertools.combinations(hidden, num_mines)
        for board in [sum(1 << cell for cell in chosen)]
        if all((near[cell] & board).bit_count() == number for cell, number in numbers.items())
    ]
    assert mines in fitting
    safe = deduced(seen, numbers.items(), num_mines, near, pairs=pairs)
    assert not safe & seen
    assert not any(safe & board for board in fitting)


def test_opening_a_nought_opens_its_neighbours_and_no_mine() -> None:
    near = around(3, 3)
    assert [mask.bit_count() for mask in near] == [3, 5, 3, 5, 8, 5, 3, 5, 3]
    assert opened(1 << 8, 0, 0, near) == 0b011111111
    assert opened(1 << 8, 0, 4, near) == 1 << 4


@pytest.mark.parametrize("level", range(1, 6))
def test_boards_need_what_their_level_says(level: int) -> None:
    env = MinesweeperEnv(level=level)
    for seed in range(4):
        env.reset(seed=seed)
        near, seen = around(env._size, env._size), env._open
        needed = False
        while seen | env._mines != (1 << env._size**2) - 1:
            numbers = [(c, (near[c] & env._mines).bit_count()) for c in range(env._size**2) if seen >> c & 1]
            safe = deduced(seen, numbers, env._mines.bit_count(), near, pairs=False)
            if not safe:
                needed, safe = True, deduced(seen, numbers, env._mines.bit_count(), near)
            assert safe
            assert not safe & env._mines
            seen = opened(env._mines, seen, safe.bit_length() - 1, near)
        assert needed == (level >= 3)


def test_a_mine_loses_and_an_open_cell_costs_a_turn() -> None:
    env = MinesweeperEnv()
    env.reset(seed=1)
    seen, mine = (
        f"{'ABCDE'[cell % 5]}{cell // 5 + 1}" for cell in (env._open.bit_length() - 1, env._mines.bit_length() - 1)
    )
    assert "is open already" in env.step(moved(seen))[0]
    assert "write one from A1 to E5" in env.step(moved("F1"))[0]
    observation, reward, terminated, _, info = env.step(moved(mine.lower()))
    assert "was a mine" in observation
    assert (reward, terminated, info["success"]) == (0.0, True, False)


def fewest(room: Room, start: tuple[int, frozenset[int]]) -> int | None:
    """Return the fewest pushes, by trying every step."""
    seen, waiting = {start: 0}, deque([start])
    while waiting:
        state = waiting.popleft()
        if state[1] == room.goals:
            return seen[state]
        for name in STEPS:
            after = pushed(room, state, name)
            if after is None:
                continue
            cost = seen[state] + (after[1] != state[1])
            if cost < seen.get(after, 10**6):
                seen[after] = cost
                (waiting.append if after[1] != state[1] else waiting.appendleft)(after)
    return None


def num_pushes(room: Room, state: tuple[int, frozenset[int]], steps: list[str]) -> int:
    pushes = 0
    for step in steps:
        after = pushed(room, state, step)
        assert after is not None
        pushes += after[1] != state[1]
        state = after
    assert state[1] == room.goals
    return pushes


@pytest.mark.parametrize("seed", range(12))
def test_the_search_needs_the_fewest_pushes(seed: int) -> None:
    room, state, steps = draw(random.Random(seed), size=4, num_boxes=1 + seed % 2, least=3, beam=30)
    found = solve(room, state)
    assert found is not None
    best = fewest(room, state)
    assert num_pushes(room, state, found) == best
    assert best is not None
    assert 3 <= best <= num_pushes(room, state, steps)


def test_a_room_without_a_way_has_no_solution() -> None:
    rows = "#####\n#$_@#\n#__.#\n#####"
    seen = _seen(rows)
    assert seen is not None
    assert solve(*seen) is None


@pytest.mark.parametrize("level", range(1, 6))
def test_rooms_read_as_they_are_shown(level: int) -> None:
    env = SokobanEnv(level=level)
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        seen = _seen(observation)
        assert seen == (env._room, env._now)
        turned = ["".join(row) for row in zip(*_show(*seen).split("\n")[::-1], strict=True)]
        other = _seen("\n".join(turned))
        assert other is not None
        assert _canonical(*other) == _canonical(*seen)


@pytest.mark.parametrize(
    ("level", "split", "seed"),
    [(2, "test", 72), (3, "train", 202), (4, "train", 56), (4, "train", 409), (4, "test", 74), (5, "test", 308)],
)
def test_the_fewest_pushes_fit_into_the_turns(level: int, split: str, seed: int) -> None:
    env = SokobanEnv(level=level, split=split)  # of these seeds the first room needed longer walks than turns
    observation, info = env.reset(seed=seed)
    oracle, reward, done = env.oracle(), 0.0, False
    while not done:
        observation, reward, terminated, truncated, info = env.step(oracle(observation, info))
        done = terminated or truncated
    assert reward == 1.0


def test_steps_go_as_far_as_there_is_way() -> None:
    env = SokobanEnv()
    env.reset(seed=0)
    seen = _seen("######\n#@_$.#\n#____#\n######")
    assert seen is not None
    env._room, env._now = seen
    assert env.step(moved("up"))[0].startswith("Error: the way up is blocked.")
    assert env.step(moved("down 3"))[0].startswith("Blocked after 1.\n######\n#__$.#")
    env.step(moved("Up"))
    _, reward, terminated, _, info = env.step(moved("right 9"))  # the box stops the game on its goal
    assert (reward, terminated, info["success"]) == (1.0, True, True)


def test_moves_are_steps_put_together() -> None:
    assert route(["up"] * 10 + ["left"]) == ["up 9", "up", "left"]
