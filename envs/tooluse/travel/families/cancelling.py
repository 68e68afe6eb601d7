"""Cancelled bookings and what is paid back for them, and sums of it."""

from __future__ import annotations

import random
from functools import partial

from agentrl.envs.tooluse.case import Ask, Case, Do, Family, Reveal
from agentrl.envs.tooluse.travel.families.wordings import amount, back, do, introduced, looked_up, say, time
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.records import Booking, Fare, Flight, Traveller
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES", "cancelled", "several"]


def cancelled(booking: Booking) -> tuple[Do, Do]:
    """Write how a booking is cancelled and paid back for."""
    cents, how = back(booking)
    return (
        do("cancel_booking", booking=booking.id),
        do("pay_back", booking=booking.id, amount=cents / 100, how=how),
    )


def several(
    world: TravelWorld, user: Traveller, count: int, *, fares: tuple[Fare, ...] = ()
) -> list[tuple[Booking, Flight]]:
    """Add bookings of a traveller, each to a city of its own; the first are of given fares, without insurance."""
    found = []
    for index, city in enumerate(world.rng.sample(world.cities, count)):
        origin = world.rng.choice([each for each in world.cities if each != city])
        flight = world.add_flight((origin, city))
        fare = fares[index] if index < len(fares) else None
        found.append((world.add_booking([user], [flight], fare=fare, insured=False if fare else None), flight))
    return found


def _money_back(rng: random.Random, world: TravelWorld, level: int, refused: bool = False) -> Case:
    user = world.add_traveller()
    fare: Fare = "basic" if refused else rng.choice(FARE_NAMES)
    flights = [world.add_flight()]
    if level == 5:
        first = flights[0]
        flights.append(world.add_flight((first.destination, first.origin), shifted(first.date, rng.randint(2, 9))))
    people = [user, *(world.add_traveller() for _ in range(level - 3))]
    booking = world.add_booking(people, flights, fare=fare, insured=fare == "basic" and not refused)
    request = say(
        world,
        f"Cancel booking {booking.id}, but only if I get money back and no voucher.",
        f"I want money for booking {booking.id}. If it is only a voucher, keep the booking; else cancel it.",
        f"If booking {booking.id} is paid back in money, cancel it. I do not want a voucher.",
        f"Please cancel {booking.id} for money. With nothing but a voucher I would rather keep it.",
    )
    look = do("get_booking", booking=booking.id)
    if refused:
        return Case(request=request, steps=(look,), tell=(amount(back(booking)[0]),), refuse="refund")
    return Case(request=request, steps=(look, *cancelled(booking)))


def _one_of_several(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user = world.add_traveller()
    found = several(world, user, level - 1)
    booking, flight = rng.choice(found)
    who, steps = introduced(world, level, user)
    return Case(
        request=say(
            world,
            f"{who} Cancel my flight to {flight.destination} and tell me how much I get back.",
            f"{who} I do not fly to {flight.destination} any more. Cancel that booking. How much is paid back?",
            f"{who} My trip to {flight.destination} is off, please cancel it. What do I get for it?",
        ),
        steps=(*steps, *looked_up(user, [each for each, _ in found]), *cancelled(booking)),
        tell=(amount(back(booking)[0]),),
    )


def _too_late(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user = world.add_traveller()
    found = several(world, user, level - 2)
    city = rng.choice([each for each in world.cities if each not in [flight.destination for _, flight in found]])
    origin = rng.choice([each for each in world.cities if each != city])
    flight = world.add_flight((origin, city), shifted(world.today, rng.randint(0, 1)))
    booking = world.add_booking([user], [flight])
    who, steps = introduced(world, level, user)
    return Case(
        request=say(
            world,
            f"{who} Cancel my flight to {city} and tell me how much I get back.",
            f"{who} I do not fly to {city} any more. Cancel that booking. How much is paid back?",
            f"{who} My trip to {city} is off, please cancel it. What do I get for it?",
        ),
        steps=(*steps, *looked_up(user, [*(each for each, _ in found), booking])),
        tell=(time(flight.departs),),
        refuse="soon",
    )


def _paid_sum(rng: random.Random, world: TravelWorld, level: int, if_cancelled: bool = False) -> Case:
    user = world.add_traveller()
    mixed: tuple[Fare, ...] = ("basic", "flex") if if_cancelled else ()  # one for a voucher, one for money
    bookings = [booking for booking, _ in several(world, user, level - 1, fares=mixed)]
    off = [world.add_booking([user], [world.add_flight()], status="cancelled")] if level > 3 else []
    who, steps = introduced(world, level, user)
    if if_cancelled:
        due = [cents for cents, how in map(back, bookings) if how == "money"]
        request = say(
            world,
            f"{who} How much money, vouchers apart, would I get if I cancelled all bookings that I still have?",
            f"{who} Say I cancel everything that I have booked to fly. What comes back in money, without vouchers?",
            f"{who} I may cancel all my flights. What would be paid back to me in money, leaving vouchers out?",
        )
    else:
        due = [booking.paid for booking in bookings]
        request = say(
            world,
            f"{who} How much have I paid in all for the flights that are not cancelled?",
            f"{who} What do all my bookings of flights come to, without what is cancelled?",
            f"{who} Please add up what I paid for flights that I still have.",
        )
    look = looked_up(user, [*bookings, *off])
    return Case(request=request, steps=(*steps, *look), tell=(amount(sum(due)),))


def _namesakes(rng: random.Random, world: TravelWorld, level: int) -> Case | None:
    name = world.new_name()
    users = [world.add_traveller(name=name) for _ in range(level - 1)]
    if len({each.birth for each in users}) < len(users):
        return None
    city = rng.choice(world.cities)
    origins = [each for each in world.cities if each != city]
    bookings = [world.add_booking([each], [world.add_flight((rng.choice(origins), city))]) for each in users]
    index = rng.randrange(len(users))
    user, booking = users[index], bookings[index]
    steps: tuple[Do | Ask, ...] = (
        do("find_travellers", name=name),
        Ask("There are several travellers of this name. What is your date of birth, or your email?"),
        *looked_up(user, [booking]),
        *cancelled(booking),
    )
    return Case(
        request=say(
            world,
            f"I am {name}. Cancel my flight to {city}.",
            f"My name is {name}. I do not fly to {city} any more, please cancel.",
            f"Please cancel the trip to {city} of {name}, that is me.",
        ),
        steps=steps,
        reveals=(
            Reveal(cues=("birth", "birthday", "born"), says=f"I was born on {user.birth}."),
            Reveal(cues=("email", "e-mail", "mail"), says=f"My email is {user.email}."),
        ),
    )


FAMILIES = (
    Family(name="money-back", levels=(3, 4, 5), draw=_money_back),
    Family(name="only-voucher-back", levels=(3, 4, 5), draw=partial(_money_back, refused=True)),
    Family(name="cancel-one", levels=(3, 4, 5), draw=_one_of_several),
    Family(name="cancel-too-late", levels=(3, 4, 5), draw=_too_late),
    Family(name="sum-paid", levels=(3, 4), draw=_paid_sum),
    Family(name="sum-back", levels=(4, 5), draw=partial(_paid_sum, if_cancelled=True)),
    Family(name="namesakes", levels=(4, 5), draw=_namesakes),
)
