"""`AgentRL/Adventure-v0`: a text adventure on a map drawn anew: rooms, locked doors, keys, containers, a quest.

Short commands of a small grammar, in capitals or not, with or without articles. The oracle knows no map: it explores
the nearest unknown way, opens what is closed, takes what the quest or a door needs, and brings it where it belongs. The
turns are half as many again as it takes, and three more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from agentrl.envs.errors import nearest
from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted
from agentrl.envs.games.explorer import Explorer
from agentrl.envs.games.quest import BACK, COLOURS, CONTAINERS, THINGS, WAYS, World, draw_world
from agentrl.envs.protocol import Policy
from agentrl.envs.turns import final_answers

__all__ = ["AdventureEnv", "command"]

_LEVELS = {
    1: {"num_rooms": 4, "num_containers": 1, "num_doors": 0, "num_goals": 1, "num_things": 2},
    2: {"num_rooms": 6, "num_containers": 2, "num_doors": 1, "num_goals": 1, "num_things": 3},
    3: {"num_rooms": 8, "num_containers": 3, "num_doors": 1, "num_goals": 2, "num_things": 5},
    4: {"num_rooms": 12, "num_containers": 4, "num_doors": 2, "num_goals": 3, "num_things": 7},
    5: {"num_rooms": 18, "num_containers": 6, "num_doors": 4, "num_goals": 4, "num_things": 10},
}
_MOST_TURNS = 180
_NAMES = frozenset([*THINGS, *CONTAINERS, *(f"{colour} key" for colour in COLOURS)])
_GRAMMAR = {
    "go": re.compile(r"(?:go )?(north|east|south|west)"),
    "take": re.compile(r"(?:take|get) ([a-z]+(?: key)?)(?: from ([a-z]+))?"),
    "drop": re.compile(r"drop ([a-z]+(?: key)?)"),
    "put": re.compile(r"put ([a-z]+(?: key)?) (?:in|into) ([a-z]+)"),
    "open": re.compile(r"open ([a-z]+)"),
    "unlock": re.compile(r"unlock (north|east|south|west)(?: with ([a-z]+ key))?"),
    "look": re.compile(r"look"),
}


class AdventureEnv(GameEnv):
    """A text adventure: 4 rooms and one thing to bring at level 1, 18 rooms and four at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_world", "_limit")
    most_turns: ClassVar[int] = _MOST_TURNS
    example = "go north"
    system = (
        "A text adventure. Commands: go north (east, south, west); take X, take X from Y; drop X; put X in Y; open Y; "
        "unlock north (with the key of the door's colour); look. You win when all that was asked is done. Write one "
        "command a turn as your move, for example <answer>go north</answer>."
    )
    _world: World | None = None
    _limit = 0

    @property
    def limit(self) -> int:
        """Half as many turns again as an explorer takes, and three."""
        return self._limit

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a map of the split, which an explorer wins in time."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        while True:
            self._world = world = draw_world(generator, split, **_LEVELS[level])
            num_turns = self._explored()
            self._world, self._limit = world, num_turns * 3 // 2 + 3
            if num_turns >= 3 and self._limit <= _MOST_TURNS:
                return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return the quest and the first room."""
        world = self._current()
        wanted = [
            f"put the {each.thing} in the {each.into}" if each.into else f"take the {each.thing}"
            for each in world.goals
        ]
        return f"Quest: {'; '.join(wanted)}.\n{_described(world)}"

    def play(self, move: str) -> Played:
        """Do what a command says."""
        verb, words = command(move)
        world, text = getattr(self, f"_{verb}")(self._current(), *words)
        self._world = world
        is_won = all(map(world.done, world.goals))
        return Played(text=text, is_over=is_won, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return the commands that do something here."""
        world = self._current()
        here = [name for name, room in world.containers.items() if room == world.here]
        opened = [name for name in here if name not in world.closed]
        carried = world.inside("you")
        found = [f"go {way}" for way, room in world.exits[world.here].items() if not _door(world, room)]
        found += [
            f"unlock {way}" for way, room in world.exits[world.here].items() if f"{_door(world, room)} key" in carried
        ]
        found += [f"open {name}" for name in here if name in world.closed]
        found += [f"take {thing}" for thing in world.inside(world.here)]
        found += [f"take {thing} from {name}" for name in opened for thing in world.inside(name)]
        found += [f"put {thing} in {name}" for name in opened for thing in carried]
        return [*found, *(f"drop {thing}" for thing in carried)]

    def progress(self) -> float:
        """Return the share of the quest that is done."""
        world = self._world
        return sum(map(world.done, world.goals)) / len(world.goals) if world else 0.0

    def oracle(self) -> Policy:
        """Return a policy that explores and brings each thing where it belongs."""
        explorer = Explorer()
        return lambda observation, info: moved(explorer.turn(observation))

    # -- commands --------------------------------------------------------------------------------------------------

    def _go(self, world: World, way: str) -> tuple[World, str]:
        room = world.exits[world.here].get(way)
        if room is None:
            raise IllegalMove(f"there is no way {way}.")
        if colour := _door(world, room):
            raise IllegalMove(f"the {colour} door is locked.")
        after = replace(world, here=room)
        return after, _described(after)

    def _take(self, world: World, thing: str, container: str | None) -> tuple[World, str]:
        place = world.places.get(thing)
        if (
            place is None
            or world.here not in (place, world.containers.get(place))
            or place in world.closed
            or (container and container != place)
        ):
            raise IllegalMove(f"you see no {thing} {'there' if container else 'here'}.")
        return world.moved(thing, "you"), f"You took the {thing}."

    def _drop(self, world: World, thing: str) -> tuple[World, str]:
        _check_carried(world, thing)
        return world.moved(thing, world.here), f"You dropped the {thing}."

    def _put(self, world: World, thing: str, container: str) -> tuple[World, str]:
        _check_carried(world, thing)
        _check_here(world, container)
        if container in world.closed:
            raise IllegalMove(f"the {container} is closed.")
        return world.moved(thing, container), f"You put the {thing} in the {container}."

    def _open(self, world: World, container: str) -> tuple[World, str]:
        _check_here(world, container)
        if container not in world.closed:
            raise IllegalMove(f"the {container} is open already.")
        after = replace(world, closed=world.closed - {container})
        return after, f"You opened the {container}. In it: {', '.join(after.inside(container)) or 'nothing'}."

    def _unlock(self, world: World, way: str, key: str | None) -> tuple[World, str]:
        room = world.exits[world.here].get(way)
        colour = _door(world, room) if room else ""
        if not room or not colour:
            raise IllegalMove(f"there is no locked door {way}.")
        if world.places.get(f"{colour} key") != "you" or (key and key != f"{colour} key"):
            raise IllegalMove(f"you need the {colour} key.")
        pair = frozenset((world.here, room))
        after = replace(world, doors={rooms: each for rooms, each in world.doors.items() if rooms != pair})
        return after, f"You unlocked the {colour} door {way}."

    def _look(self, world: World) -> tuple[World, str]:
        return world, f"{_described(world)}\nYou carry: {', '.join(world.inside('you')) or 'nothing'}."

    # -- private ---------------------------------------------------------------------------------------------------

    def _current(self) -> World:
        assert self._world is not None, "a map is drawn at reset"
        return self._world

    def _explored(self) -> int:
        """Return how many turns the oracle takes, 0 where it finds no way."""
        oracle, said = self.oracle(), self.opening()
        for turn in range(_MOST_TURNS):
            try:
                played = self.play(final_answers(oracle(said, {}))[0])
            except IllegalMove:
                return 0
            if played.is_over:
                return turn + 1
            said = played.text
        return 0


def command(text: str) -> tuple[str, tuple[str | None, ...]]:
    """Return the verb of a command and what stands for its objects.

    Raises:
        IllegalMove: It is no command.

    >>> command("Put the Apple into the box")
    ('put', ('apple', 'box'))
    """
    words = [word for word in text.lower().split(" ") if word not in ("the", "a", "an")]
    for verb, pattern in _GRAMMAR.items():
        match = pattern.fullmatch(" ".join(words))
        if match:
            unknown = [each for each in match.groups() if each and each not in _NAMES and each not in WAYS]
            if unknown:
                raise IllegalMove(f"nothing here is called {quoted(unknown[0])}{nearest(unknown[0], _NAMES)}.")
            return verb, match.groups()
    raise IllegalMove(f"{quoted(text)} is no command{nearest(words[0] if words else '', _GRAMMAR)}.")


def _described(world: World) -> str:
    """Return what is seen in a room."""
    ways = [
        f"{way} ({colour} door, locked)" if (colour := _door(world, world.exits[world.here][way])) else way
        for way in BACK
        if way in world.exits[world.here]
    ]
    lines = [f"You are in the {world.here}. Exits: {', '.join(ways)}."]
    for name in sorted(name for name, room in world.containers.items() if room == world.here):
        inside = "closed" if name in world.closed else f"open: {', '.join(world.inside(name)) or 'nothing'}"
        lines.append(f"There is a {name} ({inside}).")
    if things := world.inside(world.here):
        lines.append(f"You see: {', '.join(things)}.")
    return "\n".join(lines)


def _door(world: World, room: str) -> str:
    """Return the colour of the locked door between here and a room next to it, "" where there is none."""
    return world.doors.get(frozenset((world.here, room)), "")


def _check_carried(world: World, thing: str) -> None:
    if world.places.get(thing) != "you":
        raise IllegalMove(f"you do not carry the {thing}.")


def _check_here(world: World, container: str) -> None:
    if world.containers.get(container) != world.here:
        raise IllegalMove(f"there is no {container} here.")
