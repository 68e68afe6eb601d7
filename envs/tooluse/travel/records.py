"""The rows of the travel world as objects: their fields are the columns of `reading.Reading.schema`, in order."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Booking", "Fare", "Flight", "Hotel", "Passenger", "Room", "Segment", "Stay", "Traveller", "Voucher"]

Fare = Literal["basic", "flex", "business"]


class Traveller(NamedTuple):
    """Someone with a profile."""

    id: str
    name: str
    email: str
    birth: str
    miles: int
    passport: str
    valid_until: str


class Flight(NamedTuple):
    """A flight with its fares in cents and the seats that are left of each."""

    id: str
    airline: str
    origin: str
    destination: str
    date: str
    departs: str
    arrives: str
    basic: int
    flex: int
    business: int
    basic_left: int
    flex_left: int
    business_left: int
    bag: int
    insurance: int
    desk: str

    def price(self, fare: Fare) -> int:
        """Return the price of a fare in cents."""
        return {"basic": self.basic, "flex": self.flex, "business": self.business}[fare]

    def seats(self, fare: Fare) -> int:
        """Return the seats left of a fare."""
        return {"basic": self.basic_left, "flex": self.flex_left, "business": self.business_left}[fare]


class Booking(NamedTuple):
    """Who paid for which fare; its flights and passengers stand in tables of their own."""

    id: str
    payer: str
    fare: Fare
    status: str
    insured: int
    paid: int


class Segment(NamedTuple):
    """A flight of a booking."""

    id: str
    booking: str
    flight: str


class Passenger(NamedTuple):
    """A ticket: a traveller on a booking, under the name that is printed."""

    id: str
    booking: str
    traveller: str
    name: str
    bags: int


class Voucher(NamedTuple):
    """Credit of a traveller."""

    id: str
    traveller: str
    amount: int
    valid_until: str
    status: str


class Hotel(NamedTuple):
    """A hotel and its term of cancellation."""

    id: str
    name: str
    city: str
    stars: int
    cancel_days: int


class Room(NamedTuple):
    """The rooms of one kind in one night."""

    id: str
    hotel: str
    kind: str
    night: str
    price: int
    rooms_left: int


class Stay(NamedTuple):
    """A booked room for some nights."""

    id: str
    traveller: str
    hotel: str
    kind: str
    arrives: str
    nights: int
    paid: int
    status: str
