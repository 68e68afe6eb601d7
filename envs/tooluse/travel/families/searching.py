"""What has to be searched for: cheapest flights, shortest waits, rooms for the nights of a trip."""

from __future__ import annotations

import random
from itertools import product

from agentrl.envs.tooluse.case import Case, Fact, Family
from agentrl.envs.tooluse.travel.families.wordings import confirmed, do, introduced, say
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.records import Fare, Flight, Hotel
from agentrl.envs.tooluse.travel.rules import MIN_WAIT
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES", "cheapest_flight", "cheapest_hotel"]


def cheapest_flight(flights: list[Flight], fare: Fare, *, seats: int = 1, by: str = "24:00") -> Flight | None:
    """Return the cheapest flight with seats that lands in time; None: there is none, or there are two."""
    fit = [each for each in flights if each.seats(fare) >= seats and each.arrives <= by]
    least = [each for each in fit if each.price(fare) == min(one.price(fare) for one in fit)]
    return least[0] if len(least) == 1 else None


def cheapest_hotel(
    world: TravelWorld, city: str, kind: str, arrives: str, nights: int, *, stars: int = 0
) -> tuple[Hotel, int] | None:
    """Return the hotel of a city with the cheapest stay, and its price; None: there is none, or there are two."""
    hotels = [each for each in world.hotels if each.city == city and each.stars >= stars]
    prices = [(world.stay_price(each, kind, arrives, nights), each) for each in hotels]
    free = [(price, each) for price, each in prices if price is not None]
    least = [(each, price) for price, each in free if price == min(one for one, _ in free)]
    return least[0] if len(least) == 1 else None


def _cheapest(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    route, day = world.route(), world.day()
    fare = rng.choice(FARE_NAMES)
    user = world.add_traveller()
    others = [world.add_traveller() for _ in range(min(level - 3, 2))]
    for _ in range(level + 1):
        world.add_flight(route, day, seats=rng.choice((None, None, 0, 1)))
    flights = world.flights_on(route, day)
    seats = 1 + len(others)
    limits = {by: cheapest_flight(flights, fare, seats=seats, by=by) for by in sorted(each.arrives for each in flights)}
    least = min(each.price(fare) for each in flights)
    # Above level 3 the cheapest of all is one that does not fit.
    fit = [(by, each) for by, each in limits.items() if each and (level == 3 or each.price(fare) > least)]
    if not fit:
        return None
    by, flight = rng.choice(fit)
    who, steps = introduced(world, level, user)
    we = f"for me and {' and '.join(each.id for each in others)}" if others else "for me"
    ask, reveals = confirmed(level, flight.price(fare) * (1 + len(others)))
    arguments = {"traveller": user.id, "flights": flight.id, "fare": fare}
    if others:
        arguments["others"] = ",".join(each.id for each in others)
    return Case(
        request=say(
            world,
            f"{who} Book the cheapest {fare} flight {we} from {route[0]} to {route[1]} on {day} that lands by {by}.",
            f"{who} On {day} I have to be in {route[1]} by {by}, from {route[0]}. Book the lowest {fare} fare {we}.",
            f"{who} Find {we} what costs least in {fare} from {route[0]} to {route[1]} on {day}, there by {by}, and "
            "book it.",
        ),
        steps=(
            *steps,
            *(do("get_traveller", traveller=each.id) for each in (user, *others)),
            do("search_flights", origin=route[0], destination=route[1], date=day),
            *ask,
            do("book_flight", **arguments),
        ),
        reveals=reveals,
    )


def _connection(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    start, end, *vias = rng.sample(world.cities, level)
    day = world.day()
    waits = [5 * rng.randint(2, MIN_WAIT // 5 - 1), *rng.sample(range(MIN_WAIT, 150, 5), 2 * len(vias) - 1)]
    rng.shuffle(waits)
    for via in vias:
        departs, minutes = 5 * rng.randint(72, 110), 5 * rng.randint(10, 30)
        world.add_flight((start, via), day, departs=departs, minutes=minutes)
        for wait in (waits.pop(), waits.pop()):
            world.add_flight((via, end), day, departs=departs + minutes + wait)
    pairs = [
        (_minutes(second.departs) - _minutes(first.arrives), first, second)
        for first, second in product(world.flights, world.flights)
        if first.origin == start and second.destination == end and first.destination == second.origin
        if first.date == second.date == day
    ]
    fit = [pair for pair in pairs if pair[0] >= MIN_WAIT]
    if not fit or len(fit) == len(pairs):
        return None
    least = [pair for pair in fit if pair[0] == min(each[0] for each in fit)]
    if len(least) > 1:
        return None
    _, first, second = least[0]
    fare = rng.choice(FARE_NAMES)
    user = world.add_traveller()
    who, steps = introduced(world, level, user)
    ask, reveals = confirmed(level, first.price(fare) + second.price(fare))
    return Case(
        request=say(
            world,
            f"{who} Book me from {start} to {end} on {day} with one stop and the shortest wait there, fare {fare}.",
            f"{who} From {start} to {end} on {day} I want to change once. Take the connection with the shortest wait, "
            f"in {fare}.",
            f"{who} I go from {start} to {end} on {day} and change once. Book {fare}, with as short a wait as is "
            "allowed.",
        ),
        steps=(
            *steps,
            do("get_traveller", traveller=user.id),
            do("search_connections", origin=start, destination=end, date=day),
            do("get_flight", flight=first.id),
            do("get_flight", flight=second.id),
            *ask,
            do("book_flight", traveller=user.id, flights=f"{first.id},{second.id}", fare=fare),
        ),
        reveals=reveals,
    )


def _same_nights(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    route, day, nights = world.route(), world.day(), rng.randint(2, 5)
    user = world.add_traveller()
    home = shifted(day, nights)
    out, back = world.add_flight(route, day), world.add_flight((route[1], route[0]), home)
    booking = world.add_booking([user], [out, back])
    for index in range(level):
        missing = rng.randrange(nights) if index == 0 else None
        world.add_hotel(route[1], day, nights + rng.randint(0, 1), sold_out=missing)
    kind = rng.choice(("single", "double"))
    best = {stars: cheapest_hotel(world, route[1], kind, day, nights, stars=stars) for stars in (0, 3, 4, 5)}
    # Above level 3 the cheapest of all has too few stars.
    fit = [(stars, *each) for stars, each in best.items() if each and (stars == 0 if level == 3 else each != best[0])]
    if not fit:
        return None
    stars, hotel, price = rng.choice(fit)
    hotels = [each for each in world.hotels if each.city == route[1] and each.stars >= stars]
    ask, reveals = confirmed(level, price)
    least = f" with {stars} stars or more" if stars else ""
    there = f"in {route[1]}"
    return Case(
        request=say(
            world,
            f"I have booking {booking.id}. Book the cheapest {kind} room{least} {there} for the nights between the "
            "flights.",
            f"For the nights of my trip, booking {booking.id}, I want a {kind} room {there}: the cheapest{least}.",
            f"Please book a {kind} room{least} {there} from my flight there to my flight back, as cheap as can be. The "
            f"booking is {booking.id}.",
        ),
        steps=(
            do("get_booking", booking=booking.id),
            do("search_hotels", city=route[1]),
            *(do("list_rooms", hotel=each.id, arrives=day, nights=nights) for each in hotels),
            *ask,
            do("book_room", traveller=user.id, hotel=hotel.id, kind=kind, arrives=day, nights=nights),
        ),
        reveals=reveals,
    )


def _cheapest_day(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    route, first = world.route(), world.day()
    days = [shifted(first, index) for index in range(level + 2)]
    fare = rng.choice(FARE_NAMES)
    for day in days:
        for _ in range(rng.randint(1, 2)):
            world.add_flight(route, day, seats=rng.choice((None, None, 0)))
    flights = [each for day in days for each in world.flights_on(route, day)]
    flight = cheapest_flight(flights, fare)
    if flight is None or flight.date == first:  # the answer does not stand in the request
        return None
    count = len(days)
    trip = f"from {route[0]} to {route[1]}"
    return Case(
        request=say(
            world,
            f"On which of the {count} days from {first} on is the {fare} fare {trip} lowest, with a seat left?",
            f"I can fly {trip} on {first} or any of the {count - 1} days after it. Which has the cheapest free "
            f"{fare} seat?",
            f"When, in the {count} days that begin with {first}, do I pay least for a free {fare} seat {trip}?",
        ),
        steps=tuple(do("search_flights", origin=route[0], destination=route[1], date=day) for day in days),
        tell=(Fact(value=flight.date, kind="date"),),
    )


def _minutes(at: str) -> int:
    return 60 * int(at[:2]) + int(at[3:])


FAMILIES = (
    Family(name="cheapest-flight", levels=(3, 4, 5), draw=_cheapest),
    Family(name="shortest-wait", levels=(4, 5), draw=_connection),
    Family(name="room-for-trip", levels=(3, 4, 5), draw=_same_nights),
    Family(name="cheapest-day", levels=(3, 4, 5), draw=_cheapest_day),
)
