"""Draw a world of travel: cities, flights, travellers, bookings and hotels, and add what a family needs beside them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agentrl.envs.tooluse.case import World
from agentrl.envs.tooluse.travel.reading import shifted
from agentrl.envs.tooluse.travel.records import (
    Booking,
    Fare,
    Flight,
    Hotel,
    Passenger,
    Room,
    Segment,
    Stay,
    Traveller,
    Voucher,
)
from agentrl.envs.tooluse.words import Codes, person

__all__ = ["AIRLINES", "CITIES", "FARE_NAMES", "TravelWorld", "clock", "populate"]

_T = TypeVar("_T")

CITIES = {
    "Arvenia": ("Lumora", "Tessel", "Kavran", "Ostrell"),
    "Boreland": ("Mirhaven", "Duskwell", "Norwick", "Halden"),
    "Cestria": ("Quilla", "Zarvos", "Sorrin", "Brimley"),
    "Dorlan": ("Veldane", "Arkona", "Calden", "Pellworth"),
}
AIRLINES = ("Skylark", "Northwind", "Bluejet", "Orbit Air", "Sunwing", "Terra Air")
FARE_NAMES: tuple[Fare, ...] = ("basic", "flex", "business")
_HOTEL_NAMES = (
    "Grand Plaza,Old Mill,Harbour View,Park Lodge,City Nest,Royal Court,Garden House,Station Inn,Bell Tower,Lake Rest,"
    "Market Hall,White Swan,Golden Key,Hill Crest,Bridge House,North Star"
).split(",")
_MILES = ((1_000, 19_999), (20_000, 49_999), (50_000, 160_000))  # of those who may have one, two and three bags

# Rows by level: travellers, flights, bookings, hotels, nights of each hotel, cities.
_SIZES = {
    1: (2, 3, 2, 1, 3, 4),
    2: (3, 6, 3, 2, 4, 4),
    3: (6, 20, 8, 4, 8, 8),
    4: (10, 40, 16, 6, 10, 12),
    5: (20, 90, 40, 10, 8, 16),
}


def clock(minutes: int) -> str:
    """Write minutes after midnight as a time.

    >>> clock(545)
    '09:05'
    """
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


@dataclass(kw_only=True)
class TravelWorld(World):
    """The rows, and the same things as objects. What an `add_` method is not told it draws."""

    rng: random.Random
    codes: Codes
    cities: list[str] = field(default_factory=list)
    countries: dict[str, str] = field(default_factory=dict)
    desks: dict[str, str] = field(default_factory=dict)
    travellers: list[Traveller] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    hotels: list[Hotel] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)

    def day(self, first: int = 5, last: int = 60) -> str:
        """Draw a day so many days from today."""
        return shifted(self.today, self.whole(first, last))

    def cents(self, first: int, last: int) -> int:
        """Draw an even number of cents between two amounts in whole units, never a whole amount."""
        random = self.rng.random
        return 100 * (first + int(random() * (last - first))) + 2 + 2 * int(random() * 49)

    def whole(self, first: int, last: int) -> int:
        """Draw a whole number between two, both included; three times as fast as `randint`."""
        return first + int(self.rng.random() * (last - first + 1))

    def one(self, of: Sequence[_T]) -> _T:
        """Draw one of several."""
        return of[int(self.rng.random() * len(of))]

    def route(self, *, abroad: bool | None = None) -> tuple[str, str]:
        """Draw two cities, in two countries or in one."""
        while True:
            origin, destination = self.one(self.cities), self.one(self.cities)
            if origin == destination:
                continue
            if abroad is None or abroad == (self.countries[origin] != self.countries[destination]):
                return origin, destination

    def flights_on(self, route: tuple[str, str], date: str) -> list[Flight]:
        """Return the flights between two cities on a day."""
        return [each for each in self.flights if (each.origin, each.destination, each.date) == (*route, date)]

    def stay_price(self, hotel: Hotel, kind: str, arrives: str, nights: int) -> int | None:
        """Return the price of a stay in cents; None: a room is missing in one of the nights."""
        dates = [shifted(arrives, index) for index in range(nights)]
        free = [
            room.price
            for room in self.rooms
            if room.hotel == hotel.id and room.kind == kind and room.night in dates and room.rooms_left
        ]
        return sum(free) if len(free) == nights else None

    def new_name(self) -> str:
        """Draw a name that no traveller has."""
        taken = {each.name for each in self.travellers}
        while True:
            name = " ".join(person(self.rng))
            if name not in taken:
                return name

    def add_traveller(self, *, name: str = "", tier: int = 0, valid_until: str = "") -> Traveller:
        """Add a traveller.

        Args:
            name: Full name; a new one by default.
            tier: How many bags the miles allow, 1 to 3; 0: drawn.
            valid_until: Of the passport; some years away by default.
        """
        same = sum(each.name == name for each in self.travellers)
        name = name or self.new_name()
        born = f"{self.whole(1950, 2004)}-{self.whole(1, 12):02d}-{self.whole(1, 28):02d}"
        traveller = Traveller(
            id=self.codes.draw(),
            name=name,
            email=f"{name.lower().replace(' ', '.')}{same or ''}@mail.test",
            birth=born,
            miles=self.whole(*_MILES[(tier or self.whole(1, 3)) - 1]),
            passport=self.codes.draw(),
            valid_until=valid_until or self.day(500, 3000),
        )
        self.travellers.append(traveller)
        self._append("travellers", traveller)
        return traveller

    def add_flight(
        self,
        route: tuple[str, str] | None = None,
        date: str = "",
        *,
        departs: int = 0,
        minutes: int = 0,
        seats: int | None = None,
        price: int = 0,
    ) -> Flight:
        """Add a flight.

        Args:
            route: From where to where.
            date: Day of the flight.
            departs: Minutes after midnight.
            minutes: How long it flies.
            seats: How many are left of each fare; drawn by default, at least six.
            price: The basic fare in cents.
        """
        origin, destination = route or self.route()
        departs = departs or 5 * self.whole(60, 215)
        minutes = minutes or 5 * self.whole(11, 60)
        basic = price or self.cents(40, 200)
        flex = basic + self.cents(30, 80)
        left = [self.whole(6, 30) if seats is None else seats for _ in FARE_NAMES]
        airline = self.one(AIRLINES)
        flight = Flight(
            id=self.codes.draw(),
            airline=airline,
            origin=origin,
            destination=destination,
            date=date or self.day(),
            departs=clock(departs),
            arrives=clock(departs + minutes),
            basic=basic,
            flex=flex,
            business=flex + self.cents(100, 300),
            basic_left=left[0],
            flex_left=left[1],
            business_left=left[2],
            bag=self.cents(15, 45),
            insurance=self.cents(8, 30),
            desk=self.desks[airline],
        )
        self.flights.append(flight)
        self._append("flights", flight)
        return flight

    def add_booking(
        self,
        people: Sequence[Traveller],
        flights: Sequence[Flight],
        *,
        fare: Fare | None = None,
        insured: bool | None = None,
        bags: int = 0,
        name: str = "",
        status: str = "booked",
    ) -> Booking:
        """Add a booking that the first of some people paid.

        Args:
            people: Who travels.
            flights: In their order.
            fare: Of all flights.
            insured: Whether it is.
            bags: Of the first passenger.
            name: On the ticket of the first passenger; that of the profile by default.
            status: booked or cancelled.
        """
        chosen = self.one(FARE_NAMES) if fare is None else fare
        is_insured = self.rng.random() < 0.3 if insured is None else insured
        paid = sum(each.price(chosen) + (each.insurance if is_insured else 0) for each in flights) * len(people)
        paid += bags * sum(each.bag for each in flights)
        booking = Booking(self.codes.draw(), people[0].id, chosen, status, int(is_insured), paid)
        self.bookings.append(booking)
        self._append("bookings", booking)
        for flight in flights:
            self._append("segments", Segment(self._key("segments"), booking.id, flight.id))
        for index, each in enumerate(people):
            ticket = name if name and index == 0 else each.name
            key = self._key("passengers")
            self._append("passengers", Passenger(key, booking.id, each.id, ticket, 0 if index else bags))
        return booking

    def add_voucher(self, traveller: Traveller, *, valid_until: str = "", status: str = "open") -> Voucher:
        """Add a voucher of a traveller."""
        until = valid_until or self.day(100, 300)
        voucher = Voucher(self.codes.draw(), traveller.id, self.cents(10, 39), until, status)
        self._append("vouchers", voucher)
        return voucher

    def add_hotel(
        self, city: str, first: str, nights: int, *, stars: int = 0, cancel_days: int = 0, sold_out: int | None = None
    ) -> Hotel:
        """Add a hotel with rooms.

        Args:
            city: Where it is.
            first: The first night that can be booked.
            nights: How many can.
            stars: 2 to 5.
            cancel_days: The term of cancellation.
            sold_out: The night, counted from 0, in which nothing is left.
        """
        taken = {each.name for each in self.hotels if each.city == city}
        name = self.one([each for each in _HOTEL_NAMES if each not in taken])
        days = cancel_days or self.whole(2, 20)
        hotel = Hotel(self.codes.draw(), name, city, stars or self.whole(2, 5), days)
        self.hotels.append(hotel)
        self._append("hotels", hotel)
        dates = [shifted(first, night) for night in range(nights)]
        for kind, least in (("single", 40), ("double", 70)):
            for night, date in enumerate(dates):
                left = 0 if night == sold_out else self.whole(1, 6)
                price = self.cents(least, least + 60)
                room = Room(self._key("rooms"), hotel.id, kind, date, price, left)
                self.rooms.append(room)
                self._append("rooms", room)
        return hotel

    def add_stay(
        self, traveller: Traveller, hotel: Hotel, arrives: str, nights: int, *, status: str = "booked"
    ) -> Stay:
        """Add a stay in a single or double room."""
        kind = self.rng.choice(("single", "double"))
        stay = Stay(self.codes.draw(), traveller.id, hotel.id, kind, arrives, nights, self.cents(60, 500), status)
        self._append("stays", stay)
        return stay

    def _append(self, table: str, row: tuple[Any, ...]) -> None:
        self.rows[table].append(list(row))

    def _key(self, table: str) -> str:
        return f"{table[0]}{len(self.rows[table]) + 1}"


def populate(rng: random.Random, split: str, level: int) -> TravelWorld:
    """Draw a world, from a few rows at level 1 to hundreds at level 5."""
    num_travellers, num_flights, num_bookings, num_hotels, nights, num_cities = _SIZES[level]
    tables = "cities travellers flights bookings segments passengers paybacks vouchers hotels rooms stays".split()
    today = shifted("2026-01-01", rng.randrange(330))
    world = TravelWorld(rows={name: [] for name in tables}, today=today, split=split, rng=rng, codes=Codes(rng))
    places = [(city, country) for country, cities in CITIES.items() for city in cities][:num_cities]
    if num_cities == 4:  # two countries in a small world
        places = [(city, country) for country in ("Arvenia", "Boreland") for city in CITIES[country][:2]]
    world.cities = [city for city, _ in places]
    world.countries = dict(places)
    world.rows["cities"] = [list(place) for place in places]
    world.desks = {name: world.codes.draw() for name in AIRLINES}
    for _ in range(num_travellers):
        traveller = world.add_traveller()
        if level > 2 and rng.random() < 0.3:
            world.add_voucher(traveller)
    for _ in range(num_flights):
        world.add_flight()
    for _ in range(num_bookings):
        people = rng.sample(world.travellers, 1 + (level > 2 and rng.random() < 0.3))
        world.add_booking(people, [rng.choice(world.flights)])
    for _ in range(num_hotels):
        first = world.day(3, 40)
        hotel = world.add_hotel(rng.choice(world.cities), first, nights)
        world.add_stay(rng.choice(world.travellers), hotel, first, rng.randint(1, nights))
    return world
