"""Users who think again when they hear the price."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Family, Reveal
from agentrl.envs.tooluse.travel.families.wordings import CONFIRM, allowance, do, introduced, looked_up, say
from agentrl.envs.tooluse.travel.reading import money, shifted
from agentrl.envs.tooluse.travel.world import FARE_NAMES, TravelWorld

__all__ = ["FAMILIES", "rethought"]


def rethought(first: int, second: int, says: str) -> tuple[tuple[Ask, Ask], tuple[Reveal, ...]]:
    """Write how a user hears a price in cents, wants something else, and agrees to the price of that."""

    def asked(cents: int) -> Ask:
        price = f"That comes to {money(cents)}" if cents >= 0 else f"You get back {money(-cents)}"
        return Ask(f"{price}. Do you confirm?")

    return (asked(first), asked(second)), (Reveal(cues=CONFIRM, says=says, again=f"Yes, please do. {says}"),)


def _fare(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flight, user = world.add_flight(), world.add_traveller()
    before, after = rng.sample(FARE_NAMES, 2)
    says = say(world, f"No, take {after} instead.", f"Then I want the {after} fare.", f"Make it {after} after all.")
    asks, reveals = rethought(flight.price(before), flight.price(after), says)
    who, steps = introduced(world, level, user)
    return Case(
        request=say(
            world,
            f"{who} Book flight {flight.id} for me, fare {before}.",
            f"{who} I want a {before} seat on flight {flight.id}.",
            f"{who} Please book me on flight {flight.id} at the {before} fare.",
            f"{who} Get me flight {flight.id}, and make it {before}.",
        ),
        steps=(
            *steps,
            do("get_traveller", traveller=user.id),
            do("get_flight", flight=flight.id),
            *asks,
            do("book_flight", traveller=user.id, flights=flight.id, fare=after),
        ),
        reveals=reveals,
    )


def _flight(rng: random.Random, world: TravelWorld, level: int) -> Case:
    route, day = world.route(), world.day()
    old = world.add_flight(route, day)
    new, last = (world.add_flight(route, shifted(day, days)) for days in rng.sample(range(1, 9), 2))
    user = world.add_traveller()
    fare = rng.choice(FARE_NAMES[1:])
    booking = world.add_booking([user], [old], fare=fare)
    says = say(
        world,
        f"Then I want flight {last.id} instead.",
        f"No, take flight {last.id}.",
        f"Put me on flight {last.id} after all.",
    )
    differences = [each.price(fare) - old.price(fare) for each in (new, last)]
    asks, reveals = rethought(differences[0], differences[1], says)
    return Case(
        request=say(
            world,
            f"Move my booking {booking.id} to flight {new.id}.",
            f"I want flight {new.id} for booking {booking.id}.",
            f"Please put booking {booking.id} on flight {new.id}.",
            f"Booking {booking.id} should be on flight {new.id}, please move it.",
        ),
        steps=(
            do("get_booking", booking=booking.id),
            do("get_flight", flight=old.id),
            do("get_flight", flight=new.id),
            asks[0],
            do("get_flight", flight=last.id),
            asks[1],
            do("change_flight", booking=booking.id, old_flight=old.id, new_flight=last.id),
        ),
        reveals=reveals,
    )


def _bags(rng: random.Random, world: TravelWorld, level: int) -> Case:
    flights, user = [world.add_flight()], world.add_traveller(tier=3)
    if level > 3:
        first = flights[0]
        flights.append(world.add_flight((first.destination, first.origin), shifted(first.date, rng.randint(2, 9))))
    booking = world.add_booking([user], flights)
    before, after = rng.sample(range(1, allowance(user) + 1), 2)
    each = sum(flight.bag for flight in flights)
    count = "one bag" if after == 1 else f"{after} bags"
    says = say(world, f"Then take {count}.", f"I want {count} after all.", f"Make it {count}.")
    asks, reveals = rethought(before * each, after * each, says)
    who, steps = introduced(world, level, user)
    return Case(
        request=say(
            world,
            f"{who} I want bags on booking {booking.id}, {before} of them.",
            f"{who} Please add bags to my booking {booking.id}: {before}.",
            f"{who} Booking {booking.id}: I have bags to bring, {before} in number.",
        ),
        steps=(
            *steps,
            *looked_up(user, [booking]),
            *(do("get_flight", flight=flight.id) for flight in flights),
            *asks,
            do("add_bags", booking=booking.id, traveller=user.id, bags=after),
        ),
        reveals=reveals,
    )


def _nights(rng: random.Random, world: TravelWorld, level: int) -> Case:
    user, city, day = world.add_traveller(), rng.choice(world.cities), world.day()
    before, after = rng.sample(range(1, 6), 2)
    hotel = world.add_hotel(city, day, 6)
    kind = rng.choice(("single", "double"))
    prices = [world.stay_price(hotel, kind, day, nights) or 0 for nights in (before, after)]
    count = "one night" if after == 1 else f"{after} nights"
    says = say(world, f"Then I stay {count}.", f"No, book {count}.", f"Make it {count} after all.")
    asks, reveals = rethought(prices[0], prices[1], says)
    who, steps = introduced(world, level, user)
    length = "one night" if before == 1 else f"{before} nights"
    return Case(
        request=say(
            world,
            f"{who} Book a {kind} room in the {hotel.name} in {city} from {day} for {length}.",
            f"{who} I want a {kind} room for {length} from {day}, in {city}, at the {hotel.name}.",
            f"{who} From {day} I am in {city} for {length}. Get me a {kind} room at the {hotel.name}.",
        ),
        steps=(
            *steps,
            do("search_hotels", city=city),
            do("list_rooms", hotel=hotel.id, arrives=day, nights=before),
            asks[0],
            do("list_rooms", hotel=hotel.id, arrives=day, nights=after),
            asks[1],
            do("book_room", traveller=user.id, hotel=hotel.id, kind=kind, arrives=day, nights=after),
        ),
        reveals=reveals,
    )


FAMILIES = (
    Family(name="another-fare", levels=(3, 4), draw=_fare),
    Family(name="another-flight", levels=(3, 4), draw=_flight),
    Family(name="fewer-bags", levels=(3, 4), draw=_bags),
    Family(name="other-nights", levels=(4, 5), draw=_nights),
)
