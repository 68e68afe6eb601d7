"""A player of the adventure that knows only what it has read: it draws the map as it goes."""

from __future__ import annotations

import re
from collections import deque

from agentrl.envs.games.quest import BACK

__all__ = ["Explorer"]

_QUEST = re.compile(r"^Quest: (.+)\.$", re.MULTILINE)
_WANTED = re.compile(r"(?:put|take) the ([a-z]+)(?: in the ([a-z]+))?")
_ROOM = re.compile(r"You are in the ([a-z]+)\. Exits: (.+)\.")
_WAY = re.compile(r"(north|east|south|west)(?: \(([a-z]+) door, locked\))?")
_CONTAINER = re.compile(r"There is a ([a-z]+) \((closed|open: ([a-z, ]+))\)\.")
_SEEN = re.compile(r"You see: ([a-z, ]+)\.")
_OPENED = re.compile(r"You opened the ([a-z]+)\. In it: ([a-z, ]+)\.")


class Explorer:
    """Explores the nearest unknown way, opens what is closed, and brings things where the quest wants them."""

    def __init__(self) -> None:
        self._goals: dict[str, str] = {}  # thing -> container, or "" for the hands
        self._ways: dict[str, dict[str, str]] = {}  # room -> direction -> room, "" while unknown
        self._locked: dict[tuple[str, str], str] = {}  # room and direction -> colour
        self._things: dict[str, str] = {}  # thing -> room, container or "you"
        self._containers: dict[str, str] = {}  # container -> room
        self._closed: set[str] = set()
        self._here = ""
        self._came: tuple[str, str] | None = None  # the room and the way that were taken last
        self._last = ""

    def turn(self, observation: str) -> str:
        """Return the next command."""
        self._read(observation)
        self._last = self._chosen()
        self._came = (self._here, self._last.removeprefix("go ")) if self._last.startswith("go ") else None
        return self._last

    def _read(self, observation: str) -> None:
        if quest := _QUEST.search(observation):
            self._goals = dict(_WANTED.findall(quest[1]))
        if "Error:" not in observation:
            self._done(self._last)
        if room := _ROOM.search(observation):
            self._here = room[1]
            known = self._ways.setdefault(self._here, {})
            for way, colour in _WAY.findall(room[2]):
                known.setdefault(way, "")
                if colour:
                    self._locked[self._here, way] = colour
                else:
                    self._locked.pop((self._here, way), None)
            if self._came is not None and self._came[0] != self._here:
                before, way = self._came
                self._ways[before][way] = self._here
                known[BACK[way]] = before
        for name, state, inside in _CONTAINER.findall(observation):
            self._containers[name] = self._here
            if state == "closed":
                self._closed.add(name)
            else:
                self._note(inside, name)
        if seen := _SEEN.search(observation):
            self._note(seen[1], self._here)
        if opened := _OPENED.search(observation):
            self._closed.discard(opened[1])
            self._note(opened[2], opened[1])

    def _note(self, things: str, place: str) -> None:
        for thing in things.split(", "):
            if thing != "nothing":
                self._things[thing] = place

    def _done(self, command: str) -> None:
        """Remember what the last command has done."""
        words = command.split(" ")
        if words[0] == "take":
            self._things[command.removeprefix("take ").partition(" from ")[0]] = "you"
        elif words[0] == "put":
            thing, _, container = command.removeprefix("put ").partition(" in ")
            self._things[thing] = container
        elif words[0] == "unlock":
            self._locked.pop((self._here, words[1]), None)

    def _chosen(self) -> str:
        here = [name for name, room in self._containers.items() if room == self._here]
        for thing, into in self._goals.items():
            if self._things.get(thing) == "you" and into in here:
                return f"open {into}" if into in self._closed else f"put {thing} in {into}"
        for name in here:
            if name in self._closed:
                return f"open {name}"
        for thing, place in self._things.items():
            if self._wants(thing) and (place == self._here or place in here):
                return f"take {thing}" if place == self._here else f"take {thing} from {place}"
        for way in self._ways.get(self._here, {}):
            if self._things.get(f"{self._locked.get((self._here, way))} key") == "you":
                return f"unlock {way}"
        return self._onward()

    def _wants(self, thing: str) -> bool:
        if thing.endswith(" key"):
            return self._things[thing] != "you" and thing.removesuffix(" key") in self._locked.values()
        return thing in self._goals and self._things[thing] not in ("you", self._goals[thing] or "you")

    def _onward(self) -> str:
        """Return the first step of the shortest way to something to do, or to what is unknown."""
        first: dict[str, str] = {self._here: ""}
        waiting = deque([self._here])
        while waiting:
            room = waiting.popleft()
            if room != self._here and self._has_work(room):
                return f"go {first[room]}"
            for way, other in self._ways.get(room, {}).items():
                if (room, way) in self._locked:
                    continue
                if not other:
                    return f"go {first[room] or way}"
                if other not in first:
                    first[other] = first[room] or way
                    waiting.append(other)
        return "look"

    def _has_work(self, room: str) -> bool:
        inside = {name for name, where in self._containers.items() if where == room}
        return (
            any(self._wants(thing) and place in {room, *inside} for thing, place in self._things.items())
            or any(self._things.get(thing) == "you" and into in inside for thing, into in self._goals.items())
            or any(
                at == room and self._things.get(f"{colour} key") == "you" for (at, _), colour in self._locked.items()
            )
        )
