"""Maps of the adventure: rooms in a grid, doors, keys, containers, and a quest over them, all drawn from a generator.

Rooms are joined as a tree with a few ways more. A locked door stands on a way of the tree, and its key lies where one
can come without it, so that every quest can be done.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentrl.envs.games.base import split_of

__all__ = ["BACK", "COLOURS", "CONTAINERS", "THINGS", "WAYS", "Goal", "World", "draw_world"]

WAYS = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
BACK = {"north": "south", "south": "north", "east": "west", "west": "east"}
COLOURS = ("red", "blue", "green", "black", "white", "brown")
CONTAINERS = ("chest", "box", "basket", "cupboard", "barrel", "drawer", "crate", "jar")
THINGS = (
    *("apple", "lamp", "book", "coin", "rope", "map", "shell", "candle", "flute", "mirror"),
    *("crown", "spoon", "stone", "feather", "needle", "bottle", "mask", "ribbon", "wheel", "lens"),
)
_ROOMS = (
    *("kitchen", "hall", "attic", "cellar", "garden", "library", "bedroom", "studio", "tower", "stable"),
    *("chapel", "gallery", "pantry", "parlour", "office", "garage", "balcony", "closet", "study", "courtyard"),
)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A thing, and where it is to be put: a container, or "" for the player's hands."""

    thing: str
    into: str


@dataclass(frozen=True, kw_only=True)
class World:
    """All that is, and where the player stands; a move makes a new one."""

    exits: Mapping[str, Mapping[str, str]]  # room -> direction -> room
    doors: Mapping[frozenset[str], str]  # the two rooms of a locked door -> its colour; opened ones are gone
    places: Mapping[str, str]  # thing -> room, container or "you"
    containers: Mapping[str, str]  # container -> room
    closed: frozenset[str]  # containers
    here: str
    goals: tuple[Goal, ...]

    def done(self, goal: Goal) -> bool:
        """Whether a goal is reached."""
        return self.places[goal.thing] == (goal.into or "you")

    def moved(self, thing: str, place: str) -> World:
        """Return the world with a thing elsewhere."""
        return replace(self, places={**self.places, thing: place})

    def inside(self, place: str) -> list[str]:
        """Return the things in a place."""
        return sorted(thing for thing, where in self.places.items() if where == place)


def draw_world(
    rng: random.Random,
    split: str,
    *,
    num_rooms: int,
    num_containers: int,
    num_doors: int,
    num_goals: int,
    num_things: int,
) -> World:
    """Return a map with a quest, of the split that it belongs to.

    Args:
        rng: Where from.
        split: "train" or "test", by the rooms, ways and things.
        num_rooms: Rooms.
        num_containers: Containers, all closed.
        num_doors: Locked doors, each with its key.
        num_goals: Things to bring somewhere.
        num_things: Things, those of the goals among them.
    """
    while True:
        rooms = rng.sample(_ROOMS, num_rooms)
        exits, parents = _joined(rng, rooms)
        leaves = [room for room in rooms[1:] if all(parents[other] != room for other in rooms[1:])]
        if len(leaves) < num_doors:
            continue
        colours = rng.sample(COLOURS, num_doors)
        behind = rng.sample(leaves, num_doors)
        doors = {frozenset((room, parents[room])): colour for room, colour in zip(behind, colours, strict=True)}
        for room in behind:  # one way in
            for way, other in list(exits[room].items()):
                if other != parents[room]:
                    del exits[room][way], exits[other][BACK[way]]
        free = [room for room in rooms if room not in behind]
        names = rng.sample(CONTAINERS, num_containers)
        containers = {name: rng.choice(free[1:] or free) for name in names}
        things = rng.sample(THINGS, num_things)
        # A key lies in a room or container that is open to all; the things of the quest behind the doors first.
        places = {f"{colour} key": rng.choice([*free[1:], *names]) for colour in colours}
        spots = [*behind, *rng.sample([*free[1:], *names], min(len(free) - 1 + len(names), num_things))]
        for place, thing in enumerate(things):
            places[thing] = spots[place] if place < len(spots) else rng.choice(free)
        goals = []
        for thing in things[:num_goals]:
            choices = [name for name in names if places[thing] != name]
            goals.append(Goal(thing=thing, into=rng.choice(choices) if choices else ""))
        world = World(
            exits=exits,
            doors=doors,
            places=places,
            containers=containers,
            closed=frozenset(names),
            here=rooms[0],
            goals=tuple(goals),
        )
        if split_of(repr((sorted((room, sorted(ways.items())) for room, ways in exits.items()), goals))) == split:
            return world


def _joined(rng: random.Random, rooms: list[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return the ways between rooms of a grid, and the room from which each was reached first."""
    spots = {rooms[0]: (0, 0)}
    exits: dict[str, dict[str, str]] = {room: {} for room in rooms}
    parents: dict[str, str] = {}
    for room in rooms[1:]:
        while True:
            other = rng.choice(list(spots))
            way = rng.choice(list(WAYS))
            spot = (spots[other][0] + WAYS[way][0], spots[other][1] + WAYS[way][1])
            if spot not in spots.values():
                break
        spots[room], parents[room] = spot, other
        exits[other][way], exits[room][BACK[way]] = room, other
    at = {spot: room for room, spot in spots.items()}
    for room in rooms:
        for way, (right, up) in WAYS.items():
            near = at.get((spots[room][0] + right, spots[room][1] + up))
            if near and way not in exits[room] and rng.random() < 0.2:
                exits[room][way], exits[near][BACK[way]] = near, room
    return exits, parents
