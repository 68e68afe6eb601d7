"""What the families share: short ways to write steps and facts, the confirmation, and sums by the policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentrl.envs.tooluse.case import Ask, Call, Do, Fact, Reveal, wording
from agentrl.envs.tooluse.travel.reading import money
from agentrl.envs.tooluse.travel.records import Booking, Traveller
from agentrl.envs.tooluse.travel.rules import BAG_MILES, FEE
from agentrl.envs.tooluse.travel.world import TravelWorld

__all__ = [
    "CONFIRM",
    "allowance",
    "amount",
    "back",
    "confirmed",
    "do",
    "introduced",
    "looked_up",
    "say",
    "time",
]

CONFIRM = (
    "confirm",
    "confirmed",
    "proceed",
    "go ahead",
    "shall I",
    "should I",
    "do you agree",
    "do you want",
    "would you like",
    "is that fine",
    "is that all right",
    "is that okay",
    "is that ok",
)
"""What a message holds that asks the user to agree."""


def do(tool: str, **arguments: Any) -> Do:
    """Write a turn of one call."""
    return Do((Call(tool, arguments),))


def amount(cents: int) -> Fact:
    """Write a fact of an amount."""
    return Fact(value=money(cents), kind="amount")


def time(value: str) -> Fact:
    """Write a fact of a time of day."""
    return Fact(value=value, kind="time")


def say(world: TravelWorld, *texts: str) -> str:
    """Choose a wording by the world's split."""
    return wording(world.rng, world.split, *texts)


def confirmed(level: int, cents: int) -> tuple[tuple[Ask, ...], tuple[Reveal, ...]]:
    """Write how a price is confirmed, at the levels that have this rule."""
    if level < 3:
        return (), ()
    price = f"That comes to {money(cents)}" if cents >= 0 else f"You get back {money(-cents)}"
    return (Ask(f"{price}. Do you confirm?"),), (Reveal(cues=CONFIRM, says="Yes, please do."),)


def introduced(world: TravelWorld, level: int, traveller: Traveller) -> tuple[str, tuple[Do, ...]]:
    """Write how a user says who they are, and how the desk finds them: by code, and above level 2 by name or email."""
    if level <= 2:
        return f"I am traveller {traveller.id}.", ()
    if world.rng.random() < 0.5 and sum(each.name == traveller.name for each in world.travellers) == 1:
        return f"I am {traveller.name}.", (do("find_travellers", name=traveller.name),)
    return f"My email is {traveller.email}.", (do("find_travellers", email=traveller.email),)


def looked_up(traveller: Traveller, bookings: Sequence[Booking]) -> tuple[Do, ...]:
    """Write how the desk goes from a traveller to what they have booked."""
    return do("get_traveller", traveller=traveller.id), *(do("get_booking", booking=each.id) for each in bookings)


def allowance(traveller: Traveller) -> int:
    """Return how many bags a passenger may have."""
    return 1 + sum(traveller.miles >= least for least in BAG_MILES)


def back(booking: Booking) -> tuple[int, str]:
    """Return what the policy pays back for a cancelled booking, and how."""
    if booking.fare != "basic":
        return booking.paid, "money"
    if booking.insured:
        return booking.paid - FEE, "money"
    return booking.paid // 2, "voucher"
