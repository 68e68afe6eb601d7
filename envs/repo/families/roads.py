"""The kind roads: roads between places, and the shortest ways."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_EDGES = '''
"""Roads between places."""


class Roads:
    """Roads with lengths, in both directions unless it is said."""

    def __init__(self):
        self.lengths = {}

    def add(self, one, other, length, is_one_way=False):
        """Add a road; of two the shorter counts."""
        if length < 0:
            raise ValueError("a road has a length")
        pairs = [(one, other)] if is_one_way else [(one, other), (other, one)]
        for start, end in pairs:
            ends = self.lengths.setdefault(start, {})
            ends[end] = min(length, ends.get(end, length))
            self.lengths.setdefault(end, {})

    def close(self, one, other):
        """Take a road away, in both directions."""
        self.lengths.get(one, {}).pop(other, None)
        self.lengths.get(other, {}).pop(one, None)

    def ends(self, place):
        """Return where roads from a place lead, by name, with their lengths."""
        return sorted(self.lengths.get(place, {}).items())
'''

_SEARCH = '''
"""Search for ways."""

import heapq


def shortest(roads, start, end):
    """Return length and places of the shortest way, None where there is none."""
    waiting = [(0, [start])]
    seen = set()
    while waiting:
        length, way = heapq.heappop(waiting)
        place = way[-1]
        if place == end:
            return length, way
        if place in seen:
            continue
        seen.add(place)
        for other, more in roads.ends(place):
            if other not in seen:
                heapq.heappush(waiting, (length + more, way + [other]))
    return None


def reached(roads, start, steps):
    """Return the places that can be reached in a number of steps, by name."""
    found = {start}
    edge = {start}
    for _ in range(steps):
        edge = {other for place in edge for other, _ in roads.ends(place)} - found
        found |= edge
    return sorted(found)
'''

_PLANNER = '''
"""Plan tours."""

from @edges import Roads
from @search import reached, shortest


class $cls:
    """Roads, and ways over several places."""

    def __init__(self):
        self.roads = Roads()

    def road(self, one, other, length, is_one_way=False):
        """Add a road."""
        self.roads.add(one, other, length, is_one_way)

    def block(self, one, other):
        """Close a road."""
        self.roads.close(one, other)

    def way(self, *places):
        """Return length and places of a way over several places in this order; None where there is none."""
        total, out = 0, [places[0]]
        for start, end in zip(places, places[1:]):
            found = shortest(self.roads, start, end)
            if found is None:
                return None
            total += found[0]
            out += found[1][1:]
        return total, out

    def near(self, place, steps=$steps):
        """Return other places within some steps."""
        return [each for each in reached(self.roads, place, steps) if each != place]

    def groups(self):
        """Return places that hang together, where roads lead from the first to the others."""
        rest = sorted(self.roads.lengths)
        found = []
        while rest:
            group = [each for each in reached(self.roads, rest[0], len(rest)) if each in rest]
            found.append(group)
            rest = [each for each in rest if each not in group]
        return found
'''


def _roads(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"planner:{params['cls']}=", [])]
    for _ in range(rng.randrange(2, 9)):
        one, other = rng.sample("ABCDE", 2)
        args = [one, other, rng.randrange(1, 9)]
        steps.append((".road", [*args, *([True] if rng.random() < 0.3 else [])]))
    if rng.random() < 0.25:
        steps.append((".block", rng.sample("ABCD", 2)))
    steps.append((".way", [rng.choice("ABCD") for _ in range(rng.randrange(1, 4))]))
    near = [rng.choice("ABC"), *([rng.randrange(0, 4)] if rng.random() < 0.5 else [])]
    return [*steps, (".near", near), (".groups", [])]


KIND = Kind(
    name="roads",
    about="Roads between places, and the shortest ways.",
    modules={"edges": _EDGES, "search": _SEARCH, "planner": _PLANNER},
    case=_roads,
    packages=("journey", "waymap", "tours"),
    choices={"cls": ("Planner", "Map"), "steps": ("1", "2")},
    bugs=(
        Bug(
            name="shorter",
            module="edges",
            old="ends[end] = min(length, ends.get(end, length))",
            new="ends[end] = length",
            report="When there are two roads between the same places, the longer one may be taken.",
        ),
        Bug(
            name="one-way",
            module="edges",
            old="[(one, other)] if is_one_way else [(one, other), (other, one)]",
            new="[(one, other), (other, one)]",
            report="Ways lead through roads that may only be used in the other direction.",
        ),
        Bug(
            name="greedy",
            module="search",
            old="(length + more, way + [other])",
            new="(more, way + [other])",
            report="The length of a way over several roads is wrong.",
        ),
        Bug(
            name="steps",
            module="search",
            old="        found |= edge\n",
            new="        found |= set(sorted(edge)[:1])\n",
            report="Places are missing, or one is there too many, when I ask what hangs together or what is near.",
        ),
        Bug(
            name="between",
            module="planner",
            old="out += found[1][1:]",
            new="out += found[1]",
            report="Places come twice in a way.",
        ),
    ),
)
"""Roads between places, and the shortest ways."""
