"""The kind bookings: books rooms."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_SPANS = '''
"""Spans of whole numbers: from the first up to, not including, the second."""


def overlap(one, other):
    """Return the span that two have in common, None where there is none."""
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def merged(spans):
    """Return spans in order, those that touch or overlap as one."""
    out = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def gaps(spans, start, end):
    """Return what is left between start and end."""
    out = []
    at = start
    for first, last in merged(spans):
        if last <= start or first >= end:
            continue
        if first > at:
            out.append((at, first))
        at = max(at, last)
    if at < end:
        out.append((at, end))
    return out
'''

_ROOMS = '''
"""Rooms and who has them when."""

from @spans import gaps, overlap


class Room:
    """Bookings of one room, with time to clean after each."""

    def __init__(self, name, seats, cleaning=$cleaning):
        self.name = name
        self.seats = seats
        self.cleaning = cleaning
        self.bookings = []

    def taken(self):
        """Return the spans that are taken, cleaning included."""
        return [(start, end + self.cleaning) for start, end, _ in self.bookings]

    def is_free(self, start, end):
        """Return whether nobody has the room."""
        return not any(overlap((start, end + self.cleaning), each) for each in self.taken())

    def free(self, start, end):
        """Return the spans that are free between two times."""
        return gaps(self.taken(), start, end)
'''

_BOOKING = '''
"""Book rooms."""

from @rooms import Room


class $cls:
    """Rooms that can be booked."""

    def __init__(self):
        self.rooms = {}

    def room(self, name, seats):
        """Add a room."""
        self.rooms[name] = Room(name, seats)

    def book(self, who, people, start, end):
        """Book the smallest room that is free and large enough; return its name, None where there is none."""
        if end <= start:
            raise ValueError("it ends before it begins")
        fit = [room for room in self.rooms.values() if room.seats >= people and room.is_free(start, end)]
        if not fit:
            return None
        room = min(fit, key=lambda each: (each.seats, each.name))
        room.bookings.append((start, end, who))
        return room.name

    def cancel(self, who):
        """Take back all bookings of somebody; return their number."""
        count = 0
        for room in self.rooms.values():
            kept = [each for each in room.bookings if each[2] != who]
            count += len(room.bookings) - len(kept)
            room.bookings = kept
        return count

    def free(self, name, start=8, end=20):
        """Return the spans in which a room is free."""
        return self.rooms[name].free(start, end)
'''


def _bookings(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"booking:{params['cls']}=", [])]
    for name in rng.sample(["red", "blue", "oak"], rng.randrange(1, 3)):
        steps.append((".room", [name, rng.randrange(2, 8)]))
    names = [step[1][0] for step in steps[1:]]
    for _ in range(rng.randrange(2, 7)):
        start = rng.randrange(6, 19)
        people = rng.randrange(1, 8)
        steps.append((".book", [rng.choice(["ada", "bo", "cy"]), people, start, start + rng.randrange(0, 5)]))
    if rng.random() < 0.3:
        steps.append((".cancel", [rng.choice(["ada", "bo"])]))
    if rng.random() < 0.4:
        steps += [(".free", [name]) for name in names]
    return [*steps, *([(".free", [names[0], 10, 14])] if rng.random() < 0.2 else [])]


KIND = Kind(
    name="bookings",
    about="Books rooms.",
    modules={"spans": _SPANS, "rooms": _ROOMS, "booking": _BOOKING},
    case=_bookings,
    packages=("roomplan", "reserve", "meetings"),
    choices={"cls": ("Booking", "House"), "cleaning": ("0", "1")},
    bugs=(
        Bug(
            name="touch",
            module="spans",
            old="if start < end else None",
            new="if start <= end else None",
            report="A room is refused although the booking before ends just in time.",
        ),
        Bug(
            name="end-gap",
            module="spans",
            old="    if at < end:\n        out.append((at, end))\n",
            new="",
            report="The last free time of the day is missing.",
        ),
        Bug(
            name="cleaning",
            module="rooms",
            old="return gaps(self.taken(), start, end)",
            new="return gaps(self.taken(), start, end - 1)",
            report="Free times end too early.",
        ),
        Bug(
            name="smallest",
            module="booking",
            old="(each.seats, each.name)",
            new="each.name",
            report="Large rooms are given to small groups although a smaller one is free.",
        ),
        Bug(
            name="seats",
            module="booking",
            old="room.seats >= people",
            new="room.seats > people",
            report="A room with just enough seats is not given.",
        ),
    ),
)
"""Books rooms."""
