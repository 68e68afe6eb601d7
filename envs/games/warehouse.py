"""Sokoban's rules on a small grid, a search for the fewest pushes, and levels made by playing backwards.

Cells are numbered row by row, so that a step is an addition. A level is made by pulling boxes away from their goals, in
breadth, until as many pushes are needed as were asked for; what was pulled is a solution.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import count

__all__ = ["STEPS", "Room", "State", "draw", "pushed", "route", "solve"]

STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_FAR = 999


@dataclass(frozen=True, kw_only=True)
class Room:
    """What does not move: a room with a wall around it."""

    height: int
    width: int
    walls: frozenset[int]
    goals: frozenset[int]

    @cached_property
    def floor(self) -> int:
        """The cells that are no wall, a bit each."""
        return sum(1 << cell for cell in range(self.height * self.width) if cell not in self.walls)

    def step(self, name: str) -> int:
        """Return what a step in a direction adds to a cell."""
        down, right = STEPS[name]
        return down * self.width + right


State = tuple[int, frozenset[int]]
"""Where the player stands, and where the boxes are."""


def pushed(room: Room, state: State, name: str) -> State | None:
    """Return the state after a step, None where a wall or a box is in the way."""
    player, boxes = state
    step = room.step(name)
    target = player + step
    if target in room.walls:
        return None
    if target not in boxes:
        return target, boxes
    if target + step in room.walls or target + step in boxes:
        return None
    return target, boxes - {target} | {target + step}


def solve(room: Room, state: State, most: int = 200_000) -> list[str] | None:
    """Return the steps of a solution with the fewest pushes; None where there is none, or none was found.

    Args:
        room: The room.
        state: The start.
        most: States that are looked at.
    """
    far = _distances(room)
    order = count()
    start = _key(_reach(room, *state), state[1])
    queue = [(_bound(state[1], far), next(order), 0, state)]
    before: dict[State, tuple[State, int, int] | None] = {start: None}  # by least cell in reach, and boxes
    costs = {start: 0}
    while queue and next(order) < most:
        _, _, cost, (player, boxes) = heappop(queue)
        reach = _reach(room, player, boxes)
        key = _key(reach, boxes)
        if cost > costs[key]:
            continue
        if boxes == room.goals:
            pushes = []
            while (link := before[key]) is not None:
                key, box, step = link
                pushes.append((box, step))
            return _walked(room, state, pushes[::-1])
        for box, step in _pushes(room, reach, boxes):
            moved = boxes - {box} | {box + step}
            bound = _bound(moved, far)
            if bound >= _FAR:
                continue
            after = _key(_reach(room, box, moved), moved)
            if cost + 1 < costs.get(after, _FAR):
                costs[after] = cost + 1
                before[after] = (key, box, step)
                heappush(queue, (cost + 1 + bound, next(order), cost + 1, (box, moved)))
    return None


def route(steps: list[str]) -> list[str]:
    """Return steps as moves: a direction, and how often where it is more than once.

    >>> route(["up", "up", "left"])
    ['up 2', 'left']
    """
    moves: list[tuple[str, int]] = []
    for step in steps:
        if moves and moves[-1][0] == step and moves[-1][1] < 9:
            moves[-1] = (step, moves[-1][1] + 1)
        else:
            moves.append((step, 1))
    return [name if times == 1 else f"{name} {times}" for name, times in moves]


def draw(rng: random.Random, *, size: int, num_boxes: int, least: int, beam: int) -> tuple[Room, State, list[str]]:
    """Return a room, a start from which at least `least` pushes are needed, and the steps of a solution.

    Args:
        rng: Where from.
        size: Cells across, inside of the wall.
        num_boxes: As many goals.
        least: Pushes; a bound on what is needed, the other boxes aside.
        beam: Positions that are kept at each pull, by chance.
    """
    while True:
        width = size + 2
        cells = [row * width + column for row in range(1, size + 1) for column in range(1, size + 1)]
        inner = set(rng.sample(cells, rng.randint(len(cells) // 8, len(cells) // 4)))
        floor = _largest(set(cells) - inner, width)
        if len(floor) < len(cells) // 2 + num_boxes:
            continue
        walls = frozenset(set(range(width * width)) - floor)
        goals = frozenset(rng.sample(sorted(floor), num_boxes))
        room = Room(height=width, width=width, walls=walls, goals=goals)
        found = _backwards(rng, room, least, beam)
        if found is not None:
            return room, *found


def _backwards(rng: random.Random, room: Room, least: int, beam: int) -> tuple[State, list[str]] | None:
    """Play backwards from the solved room, in breadth, until enough pushes are needed; None where that never is."""
    far = _distances(room)
    before: dict[State, tuple[State, int, int] | None] = {}
    for cell in sorted(set(range(room.height * room.width)) - room.walls - room.goals):
        before[_key(_reach(room, cell, room.goals), room.goals)] = None
    layer = list(before)
    for _ in range(2 * least):
        following: list[State] = []
        for key in layer if len(layer) <= beam else rng.sample(layer, beam):
            player, boxes = key
            reach = _reach(room, player, boxes)
            for box in sorted(boxes):
                for step in (-room.width, room.width, -1, 1):
                    stand, behind = box + step, box + 2 * step
                    if not reach >> stand & 1 or behind in room.walls or behind in boxes:
                        continue
                    pulled = boxes - {box} | {stand}
                    after = _key(_reach(room, behind, pulled), pulled)
                    if after not in before:
                        before[after] = (key, stand, -step)
                        following.append(after)
        layer = following
        ends = [key for key in layer if _bound(key[1], far) >= least and not key[1] & room.goals]
        if ends:
            player, boxes = key = rng.choice(ends)
            reach = _reach(room, player, boxes)
            start = rng.choice([cell for cell in range(room.height * room.width) if reach >> cell & 1])
            pushes = []
            while (link := before[key]) is not None:
                key, box, step = link
                pushes.append((box, step))
            return (start, boxes), _walked(room, (start, boxes), pushes)
    return None


def _key(reach: int, boxes: frozenset[int]) -> State:
    """Return a state by the least cell that the player can reach."""
    return (reach & -reach).bit_length() - 1, boxes


def _reach(room: Room, player: int, boxes: frozenset[int]) -> int:
    """Return the cells to which the player can walk, a bit each."""
    free = room.floor
    for box in boxes:
        free &= ~(1 << box)
    reach, width = 1 << player, room.width
    while (grown := (reach | reach << 1 | reach >> 1 | reach << width | reach >> width) & free) != reach:
        reach = grown
    return reach


def _pushes(room: Room, reach: int, boxes: frozenset[int]) -> Iterator[tuple[int, int]]:
    for box in sorted(boxes):
        for step in (-room.width, room.width, -1, 1):
            if reach >> box - step & 1 and box + step not in room.walls and box + step not in boxes:
                yield box, step


def _distances(room: Room) -> dict[int, int]:
    """Return the fewest pushes from each cell to a goal, other boxes aside; cells without are dead."""
    far = dict.fromkeys(room.goals, 0)
    waiting = deque(sorted(room.goals))
    while waiting:
        cell = waiting.popleft()
        for step in (-room.width, room.width, -1, 1):
            before, stand = cell - step, cell - 2 * step
            if before not in room.walls and stand not in room.walls and before not in far:
                far[before] = far[cell] + 1
                waiting.append(before)
    return far


def _bound(boxes: frozenset[int], far: dict[int, int]) -> int:
    """Return a number of pushes that are needed at least, `_FAR` where a box can reach no goal."""
    total = sum(far.get(box, _FAR) for box in boxes)
    return min(total, _FAR)


def _walked(room: Room, start: State, pushes: list[tuple[int, int]]) -> list[str]:
    """Return the steps of pushes, each a box and a step, and the walks between them."""
    names = {room.step(name): name for name in STEPS}
    steps: list[str] = []
    player, boxes = start
    for box, step in pushes:
        steps += [names[each] for each in _walk(room, player, box - step, boxes)]
        steps.append(names[step])
        player, boxes = box, boxes - {box} | {box + step}
    return steps


def _walk(room: Room, start: int, end: int, boxes: frozenset[int]) -> list[int]:
    """Return the shortest walk between two cells."""
    came: dict[int, int] = {start: 0}
    waiting = deque([start])
    while end not in came:
        cell = waiting.popleft()
        for step in (-room.width, room.width, -1, 1):
            if cell + step not in came and cell + step not in room.walls and cell + step not in boxes:
                came[cell + step] = step
                waiting.append(cell + step)
    steps = []
    while end != start:
        steps.append(came[end])
        end -= came[end]
    return steps[::-1]


def _largest(floor: set[int], width: int) -> set[int]:
    """Return the largest part of a floor that hangs together."""
    parts: list[set[int]] = []
    left = set(floor)
    while left:
        part, waiting = set(), [min(left)]
        while waiting:
            cell = waiting.pop()
            if cell in left:
                left.discard(cell)
                part.add(cell)
                waiting += [cell - width, cell + width, cell - 1, cell + 1]
        parts.append(part)
    return max(parts, key=len)
