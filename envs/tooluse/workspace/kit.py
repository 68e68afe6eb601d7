"""What the families of the workspace share: calls in turns, wordings, confirmations, and things that fit."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from agentrl.envs.tooluse.case import Ask, Call, Case, Do, Family, Reveal, wording
from agentrl.envs.tooluse.workspace.world import Event, File, Office, Person

__all__ = [
    "CONFIRM",
    "Draw",
    "Steps",
    "confirmed",
    "do",
    "family",
    "free_room",
    "listed",
    "own_event",
    "own_file",
    "person_call",
    "say",
    "some_file",
    "to",
]

CONFIRM = (
    "confirm",
    "proceed",
    "go ahead",
    "shall i",
    "should i",
    "may i",
    "do you want",
    "is that right",
    "is this right",
    "ok",
    "okay",
    "sure",
    "agree",
    "correct",
)
"""Cues by which a message asks for a confirmation."""
_MAX_CALLS = 8  # in one turn

Draw = Callable[[random.Random, Office, int], Case | None]
Steps = tuple[Do | Ask, ...]


class _Settled:
    """A draw, after which the office is written into its rows."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def __call__(self, rng: random.Random, office: Office, level: int) -> Case | None:
        case = self.draw(rng, office, level)
        office.settle()
        return case


def family(name: str, levels: Sequence[int], draw: Draw) -> Family:
    """Return a family whose draw changes the objects of the office."""
    return Family(name=name, levels=tuple(levels), draw=_Settled(draw))


def to(tool: str, **arguments: Any) -> Call:
    """Return a call."""
    return Call(tool, arguments)


def do(*calls: Call) -> Steps:
    """Return calls in as few turns as may hold them."""
    return tuple(Do(calls[start : start + _MAX_CALLS]) for start in range(0, len(calls), _MAX_CALLS))


def say(rng: random.Random, office: Office, *texts: str) -> str:
    """Choose a wording of the office's split."""
    return wording(rng, office.split, *texts)


def confirmed(question: str, says: str = "Yes, please.") -> tuple[Steps, tuple[Reveal, ...]]:
    """Return a question for confirmation and what the user says to it."""
    asked = (Ask(f"{question} Please confirm."),)
    return asked, (Reveal(cues=CONFIRM, says=says, again=f"As I said: {says}"),)


def listed(words: Sequence[str]) -> str:
    """Write words as a list.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def own_file(rng: random.Random, office: Office) -> File:
    """Return a file of the user, a new one where there is none."""
    found = [each for each in office.files if each.owner == office.me.address]
    return rng.choice(found) if found else office.add_file(rng, office.me)


def some_file(rng: random.Random, office: Office) -> File:
    """Return a file of somebody else."""
    found = [each for each in office.files if each.owner != office.me.address]
    return rng.choice(found) if found else office.add_file(rng, rng.choice(office.colleagues()))


def own_event(rng: random.Random, office: Office) -> Event | None:
    """Return an event that the user organises."""
    found = [each for each in office.events if each.organiser == office.me.address]
    return rng.choice(found) if found else None


def free_room(office: Office, event: Event, seats: int) -> str:
    """Return the smallest room with enough seats that is free during an event; empty: none, or two are equal."""
    fit = sorted(
        (size, code)
        for code, _, size in office.rooms
        if size >= seats and office.room_free(code, event.day, event.start, event.finish)
    )
    return "" if not fit or (len(fit) > 1 and fit[0][0] == fit[1][0]) else fit[0][1]


def person_call(person: Person) -> Call:
    """Return the call that looks a person up by name."""
    return to("find_people", who=person.name)
