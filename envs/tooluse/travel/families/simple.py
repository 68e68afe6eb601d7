"""Level 1: one call, with what the request says. Few words, the same in both splits."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact, Family, wording
from agentrl.envs.tooluse.travel.families.wordings import amount, do
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES"]


def _arranged(world: TravelWorld, what: str, of: str) -> str:
    """Write `what` and what it is done to in one of three orders, the last for test."""
    return wording(
        world.rng,
        world.split,
        f"{what} {of}.",
        f"Please {what.lower()} {of}.",
        f"{of[0].upper()}{of[1:]}: please {what.lower()}.",
        f"Please {what.lower()}: {of}.",
    )


def _asked(world: TravelWorld, what: str, of: str) -> str:
    """Write a question in one of three orders, the last for test."""
    return wording(
        world.rng, world.split, f"{of[0].upper()}{of[1:]}: {what}?", f"{what.capitalize()}? {of}.", f"{what}: {of}?"
    )


def _cancel_booking(rng: random.Random, world: TravelWorld, level: int) -> Case:
    booking = rng.choice(world.bookings).id
    return Case(
        request=_arranged(world, "Cancel", f"booking {booking}"), steps=(do("cancel_booking", booking=booking),)
    )


def _cancel_stay(rng: random.Random, world: TravelWorld, level: int) -> Case:
    stay = rng.choice(world.rows["stays"])[0]
    return Case(request=_arranged(world, "Cancel", f"stay {stay}"), steps=(do("cancel_stay", stay=stay),))


def _insure(rng: random.Random, world: TravelWorld, level: int) -> Case:
    booking = world.add_booking([rng.choice(world.travellers)], [rng.choice(world.flights)], insured=False).id
    return Case(
        request=_arranged(world, "Insure", f"booking {booking}"), steps=(do("insure_booking", booking=booking),)
    )


def _book(rng: random.Random, world: TravelWorld, level: int) -> Case:
    traveller, flight = rng.choice(world.travellers).id, rng.choice(world.flights).id
    fare = rng.choice(FARE_NAMES)
    return Case(
        request=_arranged(world, "Book", f"flight {flight} for traveller {traveller}, fare {fare}"),
        steps=(do("book_flight", traveller=traveller, flights=flight, fare=fare),),
    )


def _bags(rng: random.Random, world: TravelWorld, level: int) -> Case:
    traveller = rng.choice(world.travellers)
    booking = world.add_booking([traveller], [rng.choice(world.flights)]).id
    bags = rng.randint(1, 3)
    return Case(
        request=_arranged(world, "Add", f"bags {bags}, booking {booking}, traveller {traveller.id}"),
        steps=(do("add_bags", booking=booking, traveller=traveller.id, bags=bags),),
    )


def _room(rng: random.Random, world: TravelWorld, level: int) -> Case:
    hotel = world.add_hotel(rng.choice(world.cities), world.day(), 1)
    night = next(room.night for room in world.rooms if room.hotel == hotel.id)
    traveller, kind = rng.choice(world.travellers).id, rng.choice(("single", "double"))
    return Case(
        request=_arranged(world, "Book", f"hotel {hotel.id} on {night} for traveller {traveller}, room {kind}"),
        steps=(do("book_room", traveller=traveller, hotel=hotel.id, kind=kind, arrives=night),),
    )


def _when_leaves(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight = rng.choice(world.flights)
    return Case(
        request=_asked(world, "what time", f"flight {flight.id}"),
        steps=(do("get_flight", flight=flight.id),),
        tell=(Fact(value=flight.departs, kind="time"),),
    )


def _which_day(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight = rng.choice(world.flights)
    return Case(
        request=_asked(world, "what day", f"flight {flight.id}"),
        steps=(do("get_flight", flight=flight.id),),
        tell=(Fact(value=flight.date, kind="date"),),
    )


def _paid(rng: random.Random, world: TravelWorld, level: int) -> Case:
    booking = rng.choice(world.bookings)
    return Case(
        request=_asked(world, "what is paid", f"booking {booking.id}"),
        steps=(do("get_booking", booking=booking.id),),
        tell=(amount(booking.paid),),
    )


def _which_flight(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight = rng.choice(world.flights)
    booking = world.add_booking([rng.choice(world.travellers)], [flight])
    return Case(
        request=_asked(world, "what flight", f"booking {booking.id}"),
        steps=(do("get_booking", booking=booking.id),),
        tell=(Fact(value=flight.id, kind="code"),),
    )


def _miles(rng: random.Random, world: TravelWorld, level: int) -> Case:
    traveller = rng.choice(world.travellers)
    return Case(
        request=_asked(world, "what miles", f"traveller {traveller.id}"),
        steps=(do("get_traveller", traveller=traveller.id),),
        tell=(Fact(value=str(traveller.miles), kind="number"),),
    )


FAMILIES = (
    Family(name="cancel-booking", levels=(1,), draw=_cancel_booking),
    Family(name="cancel-stay", levels=(1,), draw=_cancel_stay),
    Family(name="insure", levels=(1,), draw=_insure),
    Family(name="book-flight", levels=(1,), draw=_book),
    Family(name="add-bags", levels=(1,), draw=_bags),
    Family(name="book-room", levels=(1,), draw=_room),
    Family(name="when-leaves", levels=(1,), draw=_when_leaves),
    Family(name="which-day", levels=(1,), draw=_which_day),
    Family(name="what-paid", levels=(1,), draw=_paid),
    Family(name="which-flight", levels=(1,), draw=_which_flight),
    Family(name="what-miles", levels=(1,), draw=_miles),
)
