"""`AgentRL/Sokoban-v0`: push every box onto a goal; boxes cannot be pulled, so that a wrong push may end all hope.

A move is a direction, or a direction and how many steps (`up 3`). There are as many turns as steps of the
solution by which the room was made, and six more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted, split_of
from agentrl.envs.games.warehouse import STEPS, Room, State, draw, pushed, route, solve
from agentrl.envs.protocol import Policy

__all__ = ["SokobanEnv"]

# Level -> cells across inside of the wall, boxes, pushes at least, positions kept at each pull when it is made.
_LEVELS = {1: (4, 1, 3, 60), 2: (5, 1, 5, 60), 3: (5, 2, 6, 24), 4: (6, 2, 8, 24), 5: (6, 3, 9, 24)}
_MOST_TURNS = 90
_MOVE = re.compile(r"(up|down|left|right)(?: ([1-9]))?")
_BOARD = re.compile(r"^[#.@$*+_]+$", re.MULTILINE)
_MARKS = {(False, False): "_", (False, True): ".", (True, False): "$", (True, True): "*"}


class SokobanEnv(GameEnv):
    """Sokoban: one box in a room of four by four at level 1, three boxes in six by six at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_room", "_now", "_limit")
    most_turns: ClassVar[int] = _MOST_TURNS
    example = "up 2"
    system = (
        "Sokoban. Walk and push every box onto a goal. # wall, _ floor, @ you, + you on a goal, $ box, * box on a "
        "goal, . goal. You push a box by walking into it; boxes cannot be pulled. Write up, down, left or right as "
        "your move, with a number for several steps, one move a turn, for example <answer>up 2</answer>."
    )
    _room = Room(height=0, width=0, walls=frozenset(), goals=frozenset())
    _now: State = (0, frozenset())
    _limit = 0

    @property
    def limit(self) -> int:
        """A turn for each step of the solution that the room was made by, or for each move of the oracle's; and six."""
        return self._limit

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a room of the split."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        size, num_boxes, least, beam = _LEVELS[level]
        while True:
            room, state, steps = draw(generator, size=size, num_boxes=num_boxes, least=least, beam=beam)
            if split_of(_canonical(room, state)) != split:
                continue
            # The fewest pushes may take a longer walk than the solution that the room was made by.
            self._limit = max(len(steps), len(route(solve(room, state) or []))) + 6
            # One move, said again and again, is no solution.
            if self._limit <= _MOST_TURNS and len(set(route(steps))) > 1:
                self._room, self._now = room, state
                return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return the room."""
        return _show(self._room, self._now)

    def play(self, move: str) -> Played:
        """Take the steps, as many as there is way for."""
        match = _MOVE.fullmatch(move.lower())
        if not match:
            raise IllegalMove(f"{quoted(move)} is no move; write {', '.join(STEPS)}, or such as {moved(self.example)}.")
        wanted, taken = int(match[2] or 1), 0
        while taken < wanted and (after := pushed(self._room, self._now, match[1])) is not None:
            self._now, taken = after, taken + 1
            if self._now[1] == self._room.goals:
                break
        if not taken:
            raise IllegalMove(f"the way {match[1]} is blocked.")
        text = _show(self._room, self._now)
        is_won = self._now[1] == self._room.goals
        if taken < wanted and not is_won:
            text = f"Blocked after {taken}.\n{text}"
        return Played(text=text, is_over=is_won, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return the directions in which there is way."""
        return [name for name in STEPS if pushed(self._room, self._now, name) is not None]

    def progress(self) -> float:
        """Return the share of boxes on goals."""
        goals = self._room.goals
        return len(self._now[1] & goals) / len(goals) if goals else 0.0

    def oracle(self) -> Policy:
        """Return a policy that reads the room and searches for the fewest pushes."""
        room: Room | None = None
        state: State = (0, frozenset())
        plan: list[str] = []

        def play(observation: str, info: dict[str, Any]) -> str:
            nonlocal room, state, plan
            seen = _seen(observation)
            if seen is not None and (room is None or seen != (room, state)):
                (room, state), plan = seen, []
            if room is None:
                return "There is no room."
            if not plan:
                plan = route(solve(room, state) or [])
            if not plan:
                return "There is no way any more."
            name, _, times = plan.pop(0).partition(" ")
            for _ in range(int(times or 1)):
                state = pushed(room, state, name) or state
            return moved(f"{name} {times}".strip())

        return play


def _show(room: Room, state: State) -> str:
    player, boxes = state
    rows = []
    for row in range(room.height):
        cells = range(row * room.width, (row + 1) * room.width)
        rows.append("".join(_mark(room, cell, cell == player, cell in boxes) for cell in cells))
    return "\n".join(rows)


def _mark(room: Room, cell: int, is_player: bool, is_box: bool) -> str:
    if cell in room.walls:
        return "#"
    if is_player:
        return "+" if cell in room.goals else "@"
    return _MARKS[is_box, cell in room.goals]


def _seen(observation: str) -> tuple[Room, State] | None:
    """Return room and state as an observation shows them."""
    rows = _BOARD.findall(observation)
    text = "".join(rows)
    if not rows or len({len(row) for row in rows}) != 1 or not set(text) & set("@+"):
        return None
    room = Room(
        height=len(rows),
        width=len(rows[0]),
        walls=frozenset(cell for cell, mark in enumerate(text) if mark == "#"),
        goals=frozenset(cell for cell, mark in enumerate(text) if mark in ".*+"),
    )
    player = next(cell for cell, mark in enumerate(text) if mark in "@+")
    return room, (player, frozenset(cell for cell, mark in enumerate(text) if mark in "$*"))


def _canonical(room: Room, state: State) -> str:
    """Return what a room has in common with the seven others that turning and mirroring make of it."""
    rows = _show(room, state).split("\n")
    found = []
    for _ in range(4):
        rows = ["".join(column) for column in zip(*rows[::-1], strict=True)]
        found += ["\n".join(rows), "\n".join(row[::-1] for row in rows)]
    return min(found)
