"""Two or three goals in one request: both allowed, or one allowed and one that has to be refused."""

from __future__ import annotations

import random
from functools import partial

from agentrl.envs.tooluse.case import Ask, Case, Do, Fact, Family
from agentrl.envs.tooluse.travel.families.cancelling import cancelled, several
from agentrl.envs.tooluse.travel.families.changing import misspelled
from agentrl.envs.tooluse.travel.families.searching import cheapest_flight, cheapest_hotel
from agentrl.envs.tooluse.travel.families.wordings import (
    allowance,
    amount,
    back,
    confirmed,
    do,
    introduced,
    looked_up,
    say,
)
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES"]


def _trip(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    route, day, nights = world.route(), world.day(), rng.randint(2, 4)
    user = world.add_traveller()
    for _ in range(3):
        world.add_flight(route, day, seats=rng.choice((None, None, 0)))
    for index in range(3):
        world.add_hotel(route[1], day, nights, sold_out=rng.randrange(nights) if index == 0 else None)
    fare, kind = rng.choice(FARE_NAMES), rng.choice(("single", "double"))
    flight = cheapest_flight(world.flights_on(route, day), fare)
    found = cheapest_hotel(world, route[1], kind, day, nights)
    if flight is None or found is None:
        return None
    hotel, price = found
    who, steps = introduced(world, level, user)
    ask, reveals = confirmed(level, flight.price(fare) + price)
    hotels = [each for each in world.hotels if each.city == route[1]]
    return Case(
        request=say(
            world,
            f"{who} Book the cheapest {fare} seat from {route[0]} to {route[1]} on {day}, and the cheapest {kind} room "
            f"there for {nights} nights from that day.",
            f"{who} I fly from {route[0]} to {route[1]} on {day} and stay {nights} nights. Book the lowest {fare} fare "
            f"and the cheapest {kind} room.",
            f"{who} For {day} I need a flight from {route[0]} to {route[1]}, {fare}, and a {kind} room there for "
            f"{nights} nights, both as cheap as can be.",
        ),
        steps=(
            *steps,
            do("get_traveller", traveller=user.id),
            do("search_flights", origin=route[0], destination=route[1], date=day),
            do("search_hotels", city=route[1]),
            *(do("list_rooms", hotel=each.id, arrives=day, nights=nights) for each in hotels),
            *ask,
            do("book_flight", traveller=user.id, flights=flight.id, fare=fare),
            do("book_room", traveller=user.id, hotel=hotel.id, kind=kind, arrives=day, nights=nights),
        ),
        reveals=reveals,
    )


def _rebook(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user = world.add_traveller()
    found = several(world, user, 3)
    booking, gone = rng.choice(found)
    flight = world.add_flight(world.route())
    fare = rng.choice(FARE_NAMES)
    who, steps = introduced(world, level, user)
    ask, reveals = confirmed(level, flight.price(fare))
    return Case(
        request=say(
            world,
            f"{who} Cancel my flight to {gone.destination} and book flight {flight.id} in {fare} for me. How much do I "
            "get back for the old one?",
            f"{who} I do not go to {gone.destination}: cancel it and tell me what is paid back. Then get me a {fare} "
            f"seat on flight {flight.id}.",
            f"{who} Book me a {fare} seat on flight {flight.id}, and cancel the booking to {gone.destination}. What "
            "comes back for that?",
        ),
        steps=(
            *steps,
            *looked_up(user, [each for each, _ in found]),
            *cancelled(booking),
            do("get_flight", flight=flight.id),
            *ask,
            do("book_flight", traveller=user.id, flights=flight.id, fare=fare),
        ),
        tell=(amount(back(booking)[0]),),
        reveals=reveals,
    )


def _bags_for_two(rng: random.Random, world: TravelWorld, level: int, partly: bool = False) -> Case:
    user, friend = world.add_traveller(tier=rng.randint(2, 3)), world.add_traveller(tier=1 if partly else 3)
    bags = rng.randint(2, allowance(user))
    flight = world.add_flight()
    booking = world.add_booking([user, friend], [flight])
    who, steps = introduced(world, level, user)
    people = [user] if partly else [user, friend]
    ask, reveals = confirmed(level, bags * flight.bag * len(people))
    return Case(
        request=say(
            world,
            f"{who} On booking {booking.id} add {bags} bags for me and {bags} for {friend.name}, where it is allowed.",
            f"{who} {friend.name} and I want to take {bags} bags each on booking {booking.id}. Add what is allowed.",
            f"{who} Please add bags to booking {booking.id}: {bags} for {friend.name}, {bags} for me. Leave out what "
            "is forbidden.",
            f"{who} Booking {booking.id}: {bags} bags for each of us, {friend.name} and me, as far as that is allowed.",
        ),
        steps=(
            *steps,
            *looked_up(user, [booking]),
            do("get_traveller", traveller=friend.id),
            do("get_flight", flight=flight.id),
            *ask,
            *(do("add_bags", booking=booking.id, traveller=each.id, bags=bags) for each in people),
        ),
        tell=(Fact(value=str(friend.miles), kind="number"),) if partly else (),
        refuse="bags" if partly else None,
        reveals=reveals,
    )


def _all_off(rng: random.Random, world: TravelWorld, level: int, partly: bool = False) -> Case:
    user = world.add_traveller()
    found = several(world, user, 2)
    booking, flight = rng.choice(found)
    ahead = rng.randint(6, 12)
    arrives = shifted(world.today, ahead)
    days = rng.randint(ahead + 1, ahead + 25) if partly else rng.randint(2, ahead)
    stay = world.add_stay(user, world.add_hotel(flight.destination, arrives, 3, cancel_days=days), arrives, 2)
    who, steps = introduced(world, level, user)
    city = flight.destination
    last: tuple[Do, ...] = () if partly else (do("cancel_stay", stay=stay.id),)
    return Case(
        request=say(
            world,
            f"{who} Cancel my flight to {city} and my hotel there, or the one that can be.",
            f"{who} I do not go to {city}. Cancel what can be cancelled of flight and hotel.",
            f"{who} My trip to {city} is off: please cancel the hotel and the flight, if not both then one.",
            f"{who} Please call off the hotel in {city} and the flight there, each if it can be.",
        ),
        steps=(
            *steps,
            *looked_up(user, [each for each, _ in found]),
            do("get_stay", stay=stay.id),
            *cancelled(booking),
            *last,
        ),
        tell=(Fact(value=shifted(arrives, -days), kind="date"),) if partly else (),
        refuse="stay" if partly else None,
    )


def _name_and_cover(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user = world.add_traveller()
    first, last = user.name.split()
    printed = f"{first} {misspelled(rng, last)}"
    flights = [world.add_flight()]
    home = shifted(flights[0].date, rng.randint(2, 9))
    flights.append(world.add_flight((flights[0].destination, flights[0].origin), home))
    people = [user, *(world.add_traveller() for _ in range(rng.randint(0, 2)))]
    booking = world.add_booking(people, flights, name=printed, insured=False)
    ask, reveals = confirmed(level, len(people) * sum(each.insurance for each in flights))
    return Case(
        request=say(
            world,
            f"Booking {booking.id} says {printed}. It should be {user.name}. Insure the booking, too.",
            f"Please insure booking {booking.id}, and write {user.name} on the ticket of {printed}.",
            f"I want insurance for booking {booking.id}. And the name {printed} on it is wrong, it is {user.name}.",
        ),
        steps=(
            do("get_booking", booking=booking.id),
            do("get_traveller", traveller=user.id),
            *(do("get_flight", flight=each.id) for each in flights),
            do("set_name", booking=booking.id, traveller=user.id, name=user.name),
            *ask,
            do("insure_booking", booking=booking.id),
        ),
        reveals=reveals,
    )


def _renew_and_book(rng: random.Random, world: TravelWorld, level: int) -> Case:
    route, day = world.route(abroad=True), world.day(20, 60)
    flight = world.add_flight(route, day)
    user = world.add_traveller(valid_until=shifted(day, rng.randint(10, 150)))
    passport, until, fare = world.codes.draw(), shifted(day, rng.randint(400, 3000)), rng.choice(FARE_NAMES)
    who, steps = introduced(world, level, user)
    ask, reveals = confirmed(level, flight.price(fare))
    price: tuple[Do | Ask, ...] = (do("get_flight", flight=flight.id), *ask)
    return Case(
        request=say(
            world,
            f"{who} My new passport is {passport}, valid until {until}. Book flight {flight.id} in {fare} for me.",
            f"{who} Book me a {fare} seat on flight {flight.id}. My new passport is {passport}, valid until {until}.",
            f"{who} I want flight {flight.id}, fare {fare}. My new passport is {passport}, it is valid until {until}.",
        ),
        steps=(
            *steps,
            do("get_traveller", traveller=user.id),
            do("set_passport", traveller=user.id, passport=passport, valid_until=until),
            *price,
            do("book_flight", traveller=user.id, flights=flight.id, fare=fare),
        ),
        reveals=reveals,
    )


FAMILIES = (
    Family(name="flight-and-room", levels=(4, 5), draw=_trip),
    Family(name="cancel-and-book", levels=(4, 5), draw=_rebook),
    Family(name="bags-for-two", levels=(4, 5), draw=_bags_for_two),
    Family(name="bags-for-one-of-two", levels=(4, 5), draw=partial(_bags_for_two, partly=True)),
    Family(name="trip-off", levels=(4, 5), draw=_all_off),
    Family(name="trip-partly-off", levels=(4, 5), draw=partial(_all_off, partly=True)),
    Family(name="name-and-insurance", levels=(4, 5), draw=_name_and_cover),
    Family(name="passport-and-flight", levels=(4, 5), draw=_renew_and_book),
)
