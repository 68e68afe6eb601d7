"""Flights booked under the policy, each beside a twin that has to be refused: passports, parties, vouchers, waits."""

from __future__ import annotations

import random
from functools import partial

from agentrl.envs.tooluse.case import Case, Do, Fact, Family
from agentrl.envs.tooluse.travel.families.wordings import confirmed, do, introduced, say, time
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.records import Fare, Flight, Traveller
from agentrl.envs.tooluse.travel.rules import MAX_PARTY, MIN_WAIT, PASSPORT_DAYS
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES"]


def _passport(rng: random.Random, world: TravelWorld, level: int, short: bool = False) -> Case | None:
    abroad = short or rng.random() < 0.6
    route = world.route(abroad=abroad)
    day = world.day()
    flight = max((world.add_flight(route, day) for _ in range(level - 2)), key=lambda each: each.departs)
    if sum(each.departs >= flight.departs for each in world.flights_on(route, day)) > 1:
        return None
    enough = abroad and not short
    days = rng.randint(PASSPORT_DAYS, PASSPORT_DAYS + 90) if enough else rng.randint(10, PASSPORT_DAYS - 1)
    user = world.add_traveller(valid_until=shifted(day, days))
    fare = rng.choice(FARE_NAMES)
    who, found = introduced(world, level, user)
    steps: tuple[Do, ...] = (*found, do("get_traveller", traveller=user.id))
    if level == 3:
        which = f"flight {flight.id}"
    else:
        which = f"the last flight from {route[0]} to {route[1]} on {day}"
        steps = (*steps, do("search_flights", origin=route[0], destination=route[1], date=day))
    request = _booked(world, who, which, fare)
    steps = (*steps, do("get_flight", flight=flight.id))
    if short:
        fact = Fact(value=user.valid_until, kind="date")
        return Case(request=request, steps=steps, tell=(fact,), refuse="passport")
    return _paid(level, request, steps, user, [flight], fare)


def _party(rng: random.Random, world: TravelWorld, level: int, large: bool = False) -> Case:
    flight = world.add_flight(world.route(abroad=False))
    user = world.add_traveller()
    size = MAX_PARTY + rng.randint(1, 2) if large else rng.randint(MAX_PARTY - 1, MAX_PARTY)
    others = [world.add_traveller() for _ in range(size - 1)]
    fare = rng.choice(FARE_NAMES)
    who, found = introduced(world, level, user)
    codes = ", ".join(each.id for each in others)
    request = say(
        world,
        f"{who} Book {fare} seats on flight {flight.id} for me and travellers {codes}.",
        f"{who} On flight {flight.id} I want {fare} seats for myself and for {codes}.",
        f"{who} I travel with {codes}. Book all of us on flight {flight.id}, fare {fare}.",
        f"{who} We are {codes} and I, and want flight {flight.id} in {fare}, in one booking.",
    )
    steps = (*found, do("get_flight", flight=flight.id))
    if large:
        return Case(request=request, steps=steps, tell=(Fact(value=flight.desk, kind="code"),), refuse="party")
    return _paid(level, request, steps, user, [flight], fare, others=others)


def _voucher(rng: random.Random, world: TravelWorld, level: int, expired: bool = False) -> Case:
    day = world.day(8, 60)
    flight = world.add_flight(world.route(abroad=False), day)
    user = world.add_traveller()
    until = shifted(world.today, rng.randint(2, 7)) if expired else shifted(day, rng.randint(0, 60))
    voucher = world.add_voucher(user, valid_until=until)
    if level > 3:  # one that is used up, too
        world.add_voucher(user, status="used")
    fare = rng.choice(FARE_NAMES)
    who, found = introduced(world, level, user)
    request = say(
        world,
        f"{who} Book flight {flight.id} for me, fare {fare}, and use my voucher.",
        f"{who} I want a {fare} seat on flight {flight.id}, paid with my voucher.",
        f"{who} I have a voucher. Take it for flight {flight.id}, fare {fare}.",
        f"{who} My voucher should pay for a {fare} seat on flight {flight.id}.",
    )
    steps = (*found, do("get_traveller", traveller=user.id), do("get_flight", flight=flight.id))
    if expired:
        return Case(request=request, steps=steps, tell=(Fact(value=until, kind="date"),), refuse="voucher")
    return _paid(level, request, steps, user, [flight], fare, voucher=voucher.id, credit=voucher.amount)


def _connection(rng: random.Random, world: TravelWorld, level: int, short: bool = False) -> Case:
    via = rng.choice(world.cities)
    ends = rng.sample([city for city in world.cities if city != via], 2)
    day = world.day()
    departs, minutes = 5 * rng.randint(72, 130), 5 * rng.randint(10, 40)
    wait = 5 * rng.randint(3, MIN_WAIT // 5 - 1) if short else 5 * rng.randint(MIN_WAIT // 5, 24)
    first = world.add_flight((ends[0], via), day, departs=departs, minutes=minutes)
    second = world.add_flight((via, ends[1]), day, departs=departs + minutes + wait)
    user = world.add_traveller()
    fare = rng.choice(FARE_NAMES)
    who, found = introduced(world, level, user)
    request = _booked(world, who, f"flight {first.id} and then flight {second.id}", fare)
    steps = (
        *found,
        do("get_traveller", traveller=user.id),
        do("get_flight", flight=first.id),
        do("get_flight", flight=second.id),
    )
    if short:
        return Case(request=request, steps=steps, tell=(time(first.arrives),), refuse="connection")
    return _paid(level, request, steps, user, [first, second], fare)


def _booked(world: TravelWorld, who: str, which: str, fare: Fare) -> str:
    return say(
        world,
        f"{who} Book {which} for me, fare {fare}.",
        f"{who} I want a {fare} seat on {which}.",
        f"{who} Please book me on {which} at the {fare} fare.",
        f"{who} Get me {which}, and make it {fare}.",
    )


def _paid(
    level: int,
    request: str,
    steps: tuple[Do, ...],
    user: Traveller,
    flights: list[Flight],
    fare: Fare,
    *,
    others: list[Traveller] | None = None,
    voucher: str = "",
    credit: int = 0,
) -> Case:
    """End a case by the confirmation of the price and the booking."""
    people = others or []
    ask, reveals = confirmed(level, sum(each.price(fare) for each in flights) * (1 + len(people)) - credit)
    arguments = {"traveller": user.id, "flights": ",".join(each.id for each in flights), "fare": fare}
    if people:
        arguments["others"] = ",".join(each.id for each in people)
    if voucher:
        arguments["voucher"] = voucher
    return Case(request=request, steps=(*steps, *ask, do("book_flight", **arguments)), reveals=reveals)


FAMILIES = (
    Family(name="passport-valid", levels=(3, 4), draw=_passport),
    Family(name="passport-too-short", levels=(3, 4), draw=partial(_passport, short=True)),
    Family(name="party-fits", levels=(3, 4), draw=_party),
    Family(name="party-too-large", levels=(3, 4), draw=partial(_party, large=True)),
    Family(name="voucher-valid", levels=(3, 4), draw=_voucher),
    Family(name="voucher-expired", levels=(3, 4), draw=partial(_voucher, expired=True)),
    Family(name="connection-fits", levels=(3, 4), draw=_connection),
    Family(name="connection-too-short", levels=(3, 4), draw=partial(_connection, short=True)),
)
