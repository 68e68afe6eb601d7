"""Requests that leave something out, which the user tells when asked, and short questions."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Do, Fact, Family, Reveal
from agentrl.envs.tooluse.travel.families.wordings import allowance, amount, confirmed, do, introduced, looked_up, say
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES"]


def _which_booking(rng: random.Random, world: TravelWorld, level: int) -> Case:
    booking = world.add_booking([world.add_traveller()], [world.add_flight()])
    says = rng.choice((f"It is {booking.id}.", f"Booking {booking.id}."))
    return Case(
        request=say(world, "Cancel my booking.", "I do not want my booking any more.", "Please cancel what I booked."),
        steps=(
            Ask("Which booking is it? Please tell its code."),
            do("get_booking", booking=booking.id),
            do("cancel_booking", booking=booking.id),
        ),
        reveals=(Reveal(cues=("which booking", "booking code", "the code", "its code", "your booking"), says=says),),
    )


def _which_fare(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight, user = world.add_flight(), world.add_traveller()
    fare = rng.choice(FARE_NAMES)
    who, found = introduced(world, level, user)
    ask, reveals = confirmed(level, flight.price(fare))
    look: tuple[Do, ...] = (do("get_traveller", traveller=user.id),) if level > 2 else ()
    says = rng.choice((f"The {fare} fare.", f"{fare.capitalize()}, please."))
    return Case(
        request=say(
            world,
            f"{who} Book flight {flight.id} for me.",
            f"{who} I want a seat on flight {flight.id}.",
            f"{who} Please book me on flight {flight.id}.",
        ),
        steps=(
            *found,
            *look,
            do("get_flight", flight=flight.id),
            Ask("Which fare: basic, flex or business?"),
            *ask,
            do("book_flight", traveller=user.id, flights=flight.id, fare=fare),
        ),
        reveals=(Reveal(cues=("fare", "fares", "class", "which seat"), says=says), *reveals),
    )


def _how_many_bags(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight, user = world.add_flight(), world.add_traveller(tier=rng.randint(2, 3))
    bags = rng.randint(1, allowance(user))
    booking = world.add_booking([user], [flight])
    who, found = introduced(world, level, user)
    ask, reveals = confirmed(level, bags * flight.bag)
    look: tuple[Do, ...] = (do("get_flight", flight=flight.id),) if level > 2 else ()
    says = "One bag." if bags == 1 else f"{bags} bags."
    return Case(
        request=say(
            world,
            f"{who} I want to take bags, my booking is {booking.id}.",
            f"{who} Add bags to my booking {booking.id}.",
            f"{who} Booking {booking.id} has no bags yet. I want to bring some.",
        ),
        steps=(
            *found,
            *looked_up(user, [booking]),
            *look,
            Ask("How many bags?"),
            *ask,
            do("add_bags", booking=booking.id, traveller=user.id, bags=bags),
        ),
        reveals=(Reveal(cues=("how many", "number of bags"), says=says), *reveals),
    )


def _new_passport(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user = world.add_traveller()
    passport, until = world.codes.draw(), world.day(1000, 3600)
    who, found = introduced(world, level, user)
    return Case(
        request=say(
            world,
            f"{who} I have a new passport.",
            f"{who} Please write my new passport into my profile.",
            f"{who} My passport has changed.",
        ),
        steps=(
            *found,
            Ask("What is the number of the passport, and until when is it valid?"),
            do("set_passport", traveller=user.id, passport=passport, valid_until=until),
        ),
        reveals=(
            Reveal(cues=("number", "which passport", "passport code", "new passport"), says=f"It is {passport}."),
            Reveal(cues=("valid", "until when", "expire", "expires", "expiry"), says=f"It is valid until {until}."),
        ),
    )


def _cheapest_fare(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    route, day = world.route(), world.day()
    for _ in range(level + rng.randint(0, 1)):
        world.add_flight(route, day, seats=0 if level > 2 and rng.random() < 0.3 else None)
    fare = rng.choice(FARE_NAMES)
    seats = [each.price(fare) for each in world.flights_on(route, day) if each.seats(fare)]
    if not seats:
        return None
    return Case(
        request=say(
            world,
            f"What is the lowest {fare} fare from {route[0]} to {route[1]} on {day}?",
            f"What does the cheapest {fare} seat from {route[0]} to {route[1]} cost on {day}?",
            f"I fly from {route[0]} to {route[1]} on {day}. What is the least I can pay for {fare}?",
        ),
        steps=(do("search_flights", origin=route[0], destination=route[1], date=day),),
        tell=(amount(min(seats)),),
    )


def _last_landing(rng: random.Random, world: TravelWorld, level: int) -> Case:
    route, day = world.route(), world.day()
    for _ in range(level + rng.randint(0, 1)):
        world.add_flight(route, day)
    landing = max(each.arrives for each in world.flights_on(route, day))
    return Case(
        request=say(
            world,
            f"When does the last flight from {route[0]} to {route[1]} land on {day}?",
            f"On {day}, at what time does the last one from {route[0]} arrive in {route[1]}?",
            f"What is the latest arrival in {route[1]} from {route[0]} on {day}?",
        ),
        steps=(do("search_flights", origin=route[0], destination=route[1], date=day),),
        tell=(Fact(value=landing, kind="time"),),
    )


FAMILIES = (
    Family(name="which-booking", levels=(2,), draw=_which_booking),
    Family(name="which-fare", levels=(2, 3), draw=_which_fare),
    Family(name="how-many-bags", levels=(2, 3), draw=_how_many_bags),
    Family(name="new-passport", levels=(2, 3), draw=_new_passport),
    Family(name="cheapest-fare", levels=(2, 3), draw=_cheapest_fare),
    Family(name="last-landing", levels=(2, 3), draw=_last_landing),
)
