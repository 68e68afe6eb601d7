"""Changes to what is booked, each beside a twin that asks for nearly the same and has to be refused."""

from __future__ import annotations

import random
from functools import partial

from agentrl.envs.tooluse.case import Ask, Case, Do, Fact, Family, Reveal
from agentrl.envs.tooluse.travel.families.wordings import (
    allowance,
    amount,
    confirmed,
    do,
    introduced,
    looked_up,
    say,
    time,
)
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.records import Fare
from agentrl.envs.tooluse.travel.world import TravelWorld

__all__ = ["FAMILIES", "misspelled"]


def _move(rng: random.Random, world: TravelWorld, level: int, refused: str = "") -> Case | None:
    route = world.route()
    day = shifted(world.today, rng.randint(0, 1)) if refused == "soon" else world.day()
    fare: Fare = "basic" if refused == "basic" else rng.choice(("flex", "business"))
    old = world.add_flight(route, day)
    later = shifted(day, rng.randint(1, 9))
    new = min((world.add_flight(route, later) for _ in range(level - 1)), key=lambda each: each.departs)
    if sum(each.departs <= new.departs for each in world.flights_on(route, later)) > 1:
        return None
    user = world.add_traveller()
    people = [user, *(world.add_traveller() for _ in range(level - 3))]
    booking = world.add_booking(people, [old], fare=fare)
    bookings = [booking]
    steps: tuple[Do | Ask, ...]
    reveals: tuple[Reveal, ...] = ()
    if level == 2:
        steps = (do("get_booking", booking=booking.id),)
        request = say(
            world,
            f"Move my booking {booking.id} to flight {new.id}.",
            f"I want flight {new.id} for booking {booking.id}.",
            f"Please put booking {booking.id} on flight {new.id}.",
            f"Booking {booking.id} should be on flight {new.id}, please move it.",
        )
    else:
        other = world.add_flight(world.route(), world.day())
        if (other.origin, other.destination) == route:
            return None
        bookings.append(world.add_booking([user], [other]))
        who, found = introduced(world, level, user)
        steps = (*found, *looked_up(user, bookings))
        which = f"flight {new.id}" if level == 3 else f"the first flight on {later}"
        trip = f"from {route[0]} to {route[1]}"
        request = say(
            world,
            f"{who} Move my flight {trip} to {which}.",
            f"{who} I have a flight {trip}, I want {which} instead.",
            f"{who} Instead of my flight {trip}, book me on {which}.",
            f"{who} Can you put me on {which}? It is about my flight {trip}.",
        )
    if refused == "basic":
        paid = amount(booking.paid)
        return Case(request=request, steps=steps, tell=(paid,), refuse="basic", tempts=("change_flight",))
    if refused == "soon":
        leaves = time(old.departs)
        return Case(request=request, steps=steps, tell=(leaves,), refuse="soon", tempts=("change_flight",))
    if level > 2:
        seen = do("search_flights", origin=route[0], destination=route[1], date=later)
        steps = (*steps, do("get_flight", flight=old.id), seen if level > 3 else do("get_flight", flight=new.id))
        ask, reveals = confirmed(level, (new.price(fare) - old.price(fare)) * len(people))
        steps = (*steps, *ask)
    write = do("change_flight", booking=booking.id, old_flight=old.id, new_flight=new.id)
    return Case(request=request, steps=(*steps, write), reveals=reveals)


def _stay(rng: random.Random, world: TravelWorld, level: int, late: bool = False) -> Case:
    user = world.add_traveller()
    days = rng.randint(6, 28)
    arrives = shifted(world.today, rng.randint(1, days - 1) if late else rng.randint(days, 50))
    nights = rng.randint(1, 4)
    cities = rng.sample(world.cities, min(level, 3) - 1)
    hotel = world.add_hotel(cities[0], arrives, nights, cancel_days=days)
    stays = [world.add_stay(user, hotel, arrives, nights)]
    for city in cities[1:]:
        first = world.day()
        stays.append(world.add_stay(user, world.add_hotel(city, first, 3), first, rng.randint(1, 3)))
    steps: tuple[Do, ...] = ()
    if level == 2:
        request = say(
            world,
            f"Cancel my stay {stays[0].id}.",
            f"I do not need stay {stays[0].id}, please cancel it.",
            f"Please cancel my hotel, stay {stays[0].id}.",
        )
    else:
        who, found = introduced(world, level, user)
        steps = (*found, do("get_traveller", traveller=user.id))
        request = say(
            world,
            f"{who} Cancel my hotel in {cities[0]}.",
            f"{who} I do not need the room in {cities[0]}, please cancel it.",
            f"{who} My stay in {cities[0]} is off. Please cancel it.",
        )
    steps = (*steps, *(do("get_stay", stay=each.id) for each in stays))
    if late:
        return Case(
            request=request,
            steps=steps,
            tell=(Fact(value=shifted(arrives, -days), kind="date"),),
            refuse="stay",
            tempts=("cancel_stay",),
        )
    return Case(request=request, steps=(*steps, do("cancel_stay", stay=stays[0].id)))


def _bags(rng: random.Random, world: TravelWorld, level: int, too_many: bool = False) -> Case:
    user = world.add_traveller(tier=rng.randint(1, 3))
    most = allowance(user)
    has = rng.randint(0, most) if too_many else rng.randint(0, most - 1)
    bags = most - has + 1 if too_many else rng.randint(1, most - has)
    first = world.add_flight()
    booking = world.add_booking([user], [first], bags=has)
    more = "one more bag" if bags == 1 else f"{bags} more bags"
    who, found = introduced(world, level, user)
    request = say(
        world,
        f"{who} I want {more} on booking {booking.id}.",
        f"{who} Please add {more} to my booking {booking.id}.",
        f"{who} Booking {booking.id}: I have {more} to bring.",
        f"{who} Can I take {more}? My booking is {booking.id}.",
    )
    steps: tuple[Do | Ask, ...] = (*found, *looked_up(user, [booking]))
    if too_many:
        miles = Fact(value=str(user.miles), kind="number")
        return Case(request=request, steps=steps, tell=(miles,), refuse="bags", tempts=("add_bags",))
    ask, reveals = confirmed(level, bags * first.bag)
    if level > 2:
        steps = (*steps, do("get_flight", flight=first.id), *ask)
    return Case(
        request=request,
        steps=(*steps, do("add_bags", booking=booking.id, traveller=user.id, bags=bags)),
        reveals=reveals,
    )


def _name(rng: random.Random, world: TravelWorld, level: int, other: bool = False) -> Case | None:
    user = world.add_traveller()
    first, last = user.name.split()
    others = [world.add_traveller() for _ in range(level - 2)]
    if other:
        printed = user.name
        wanted = f"{world.new_name().split()[0]} {last}" if level > 2 else world.new_name()
        if wanted == printed:
            return None
    else:
        printed, wanted = f"{first} {misspelled(rng, last)}", user.name
    booking = world.add_booking([user, *others], [world.add_flight()], name=printed)
    steps = (do("get_booking", booking=booking.id), do("get_traveller", traveller=user.id))
    request = say(
        world,
        f"On booking {booking.id} change {printed} to {wanted}.",
        f"The ticket of {printed} in booking {booking.id} should be for {wanted}.",
        f"Booking {booking.id} says {printed}. Write {wanted} on it.",
        f"Please make it {wanted}, not {printed}, in booking {booking.id}.",
    )
    if other:
        code = Fact(value=user.id, kind="code")
        return Case(request=request, steps=steps, tell=(code,), refuse="name", tempts=("set_name",))
    write = do("set_name", booking=booking.id, traveller=user.id, name=wanted)
    return Case(request=request, steps=(*steps, write))


def misspelled(rng: random.Random, name: str) -> str:
    """Swap two neighbouring letters that differ."""
    places = [index for index in range(len(name) - 1) if name[index].lower() != name[index + 1].lower()]
    place = rng.choice([index for index in places if index > 0] or places)
    return name[:place] + name[place + 1] + name[place] + name[place + 2 :]


FAMILIES = (
    Family(name="move-flight", levels=(2, 3, 4), draw=_move),
    Family(name="move-basic-fare", levels=(2, 3, 4), draw=partial(_move, refused="basic")),
    Family(name="move-too-late", levels=(2, 3, 4), draw=partial(_move, refused="soon")),
    Family(name="drop-stay", levels=(2, 3, 4), draw=_stay),
    Family(name="drop-stay-too-late", levels=(2, 3, 4), draw=partial(_stay, late=True)),
    Family(name="more-bags", levels=(2, 3), draw=_bags),
    Family(name="too-many-bags", levels=(2, 3), draw=partial(_bags, too_many=True)),
    Family(name="fix-name", levels=(2, 3, 4), draw=_name),
    Family(name="pass-ticket-on", levels=(2, 3, 4), draw=partial(_name, other=True)),
)
