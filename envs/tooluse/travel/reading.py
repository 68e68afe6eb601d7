"""The database of travel booking, and the tools that read it. Standard library only, for a box may run it.

Money is whole cents in the database and text such as "123.50" in what a tool returns. Flights land on the day on which
they leave, and there is one time zone.
"""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.tables import Tables

__all__ = ["FARES", "Reading", "money", "shifted"]

FARES = ("basic", "flex", "business")

_SCHEMA = """
CREATE TABLE cities (name TEXT PRIMARY KEY, country TEXT);
CREATE TABLE travellers (id TEXT PRIMARY KEY, name TEXT, email TEXT, birth TEXT, miles INTEGER, passport TEXT,
  valid_until TEXT);
CREATE TABLE flights (id TEXT PRIMARY KEY, airline TEXT, origin TEXT, destination TEXT, date TEXT, departs TEXT,
  arrives TEXT, basic INTEGER, flex INTEGER, business INTEGER, basic_left INTEGER, flex_left INTEGER,
  business_left INTEGER, bag INTEGER, insurance INTEGER, desk TEXT);
CREATE TABLE bookings (id TEXT PRIMARY KEY, payer TEXT, fare TEXT, status TEXT, insured INTEGER, paid INTEGER);
CREATE TABLE segments (id TEXT PRIMARY KEY, booking TEXT, flight TEXT);
CREATE TABLE passengers (id TEXT PRIMARY KEY, booking TEXT, traveller TEXT, name TEXT, bags INTEGER);
CREATE TABLE paybacks (id TEXT PRIMARY KEY, booking TEXT, how TEXT, amount INTEGER, date TEXT);
CREATE TABLE vouchers (id TEXT PRIMARY KEY, traveller TEXT, amount INTEGER, valid_until TEXT, status TEXT);
CREATE TABLE hotels (id TEXT PRIMARY KEY, name TEXT, city TEXT, stars INTEGER, cancel_days INTEGER);
CREATE TABLE rooms (id TEXT PRIMARY KEY, hotel TEXT, kind TEXT, night TEXT, price INTEGER, rooms_left INTEGER);
CREATE TABLE stays (id TEXT PRIMARY KEY, traveller TEXT, hotel TEXT, kind TEXT, arrives TEXT, nights INTEGER,
  paid INTEGER, status TEXT);
"""


def money(cents: int) -> str:
    """Write an amount as the tools do.

    >>> money(12305)
    '123.05'
    """
    return f"{cents // 100}.{cents % 100:02d}"


def shifted(date: str, days: int) -> str:
    """Return the day so many days later.

    Raises:
        ToolError: It is no date.

    >>> shifted("2026-02-27", 2)
    '2026-03-01'
    """
    try:
        return (datetime.date.fromisoformat(date) + datetime.timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        raise ToolError(f"{date!r} is no date; write YYYY-MM-DD") from None


class Reading(Tables):
    """What can be looked up."""

    schema: ClassVar[str] = _SCHEMA

    def find_travellers(self, name: str = "", email: str = "") -> list[dict[str, Any]]:
        """Find travellers by full name or by email."""
        if not name and not email:
            raise ToolError("give a name or an email")
        return self._rows(
            "SELECT id, name, email, birth FROM travellers WHERE (? = '' OR name = ? COLLATE NOCASE)"
            " AND (? = '' OR email = ? COLLATE NOCASE) ORDER BY id",
            *(name, name, email, email),
        )

    def get_traveller(self, traveller: str) -> dict[str, Any]:
        """Show a traveller's profile, bookings, stays and vouchers."""
        found = self._traveller(traveller)
        vouchers = self._rows(
            "SELECT id, amount, valid_until, status FROM vouchers WHERE traveller = ? ORDER BY id", traveller
        )
        bookings = self._rows(
            "SELECT DISTINCT b.id FROM bookings b LEFT JOIN passengers p ON p.booking = b.id"
            " WHERE b.payer = ? OR p.traveller = ? ORDER BY b.id",
            *(traveller, traveller),
        )
        stays = self._rows("SELECT id FROM stays WHERE traveller = ? ORDER BY id", traveller)
        return {
            **found,
            "bookings": [row["id"] for row in bookings],
            "stays": [row["id"] for row in stays],
            "vouchers": [{**row, "amount": money(row["amount"])} for row in vouchers],
        }

    def get_booking(self, booking: str) -> dict[str, Any]:
        """Show a booking with its flights and passengers."""
        found = self._booking(booking)
        return {
            **found,
            "insured": bool(found["insured"]),
            "paid": money(found["paid"]),
            "flights": [
                {name: each[name] for name in ("id", "origin", "destination", "date", "departs")}
                for each in self._flights_of(booking)
            ],
            "passengers": self._rows(
                "SELECT traveller, name, bags FROM passengers WHERE booking = ? ORDER BY traveller", booking
            ),
        }

    def get_flight(self, flight: str) -> dict[str, Any]:
        """Show a flight: times, fares, seats left, price of a bag and of insurance."""
        return self._shown(self._flight(flight))

    def search_flights(self, origin: str, destination: str, date: str) -> list[dict[str, Any]]:
        """List the non-stop flights between two cities on a day (YYYY-MM-DD)."""
        found = self._rows(
            "SELECT * FROM flights WHERE origin = ? COLLATE NOCASE AND destination = ? COLLATE NOCASE AND date = ?"
            " ORDER BY departs, id",
            *(self._city(origin), self._city(destination), shifted(date, 0)),
        )
        names = ("id", "airline", "departs", "arrives", "fares", "seats_left")
        return [{name: shown[name] for name in names} for shown in map(self._shown, found)]

    def search_connections(self, origin: str, destination: str, date: str) -> list[dict[str, Any]]:
        """List pairs of flights with one stop on a day; `wait` is the minutes between them."""
        found = self._rows(
            "SELECT a.id AS first, b.id AS second, a.destination AS via, a.departs, b.arrives,"
            " a.arrives AS lands, b.departs AS leaves FROM flights a JOIN flights b ON a.destination = b.origin"
            " AND a.date = b.date AND a.arrives < b.departs WHERE a.origin = ? COLLATE NOCASE"
            " AND b.destination = ? COLLATE NOCASE AND a.date = ? ORDER BY a.departs, b.departs, a.id, b.id",
            *(self._city(origin), self._city(destination), shifted(date, 0)),
        )
        for row in found:
            lands, leaves = (60 * int(at[:2]) + int(at[3:]) for at in (row.pop("lands"), row.pop("leaves")))
            row["wait"] = leaves - lands
        return found

    def search_hotels(self, city: str) -> list[dict[str, Any]]:
        """List a city's hotels; a stay can be cancelled until `cancel_days` before arrival."""
        return self._rows("SELECT * FROM hotels WHERE city = ? COLLATE NOCASE ORDER BY id", self._city(city))

    def list_rooms(self, hotel: str, arrives: str, nights: int = 1) -> list[dict[str, Any]]:
        """List the rooms free on all nights of a stay, with the price of all nights."""
        self._hotel(hotel)
        free = []
        for kind in ("single", "double"):
            rows = self._nights(hotel, kind, arrives, nights)
            if len(rows) == nights and all(row["rooms_left"] for row in rows):
                free.append({"kind": kind, "price": money(sum(row["price"] for row in rows))})
        return free

    def get_stay(self, stay: str) -> dict[str, Any]:
        """Show a hotel stay and until when it can be cancelled."""
        found = self._stay(stay)
        hotel = self._hotel(found["hotel"])
        return {**found, "paid": money(found["paid"]), "city": hotel["city"], "cancel_days": hotel["cancel_days"]}

    def _traveller(self, traveller: str) -> dict[str, Any]:
        return self._one(f"traveller {traveller!r}", "SELECT * FROM travellers WHERE id = ?", traveller)

    def _booking(self, booking: str) -> dict[str, Any]:
        return self._one(f"booking {booking!r}", "SELECT * FROM bookings WHERE id = ?", booking)

    def _flight(self, flight: str) -> dict[str, Any]:
        return self._one(f"flight {flight!r}", "SELECT * FROM flights WHERE id = ?", flight)

    def _hotel(self, hotel: str) -> dict[str, Any]:
        return self._one(f"hotel {hotel!r}", "SELECT * FROM hotels WHERE id = ?", hotel)

    def _stay(self, stay: str) -> dict[str, Any]:
        return self._one(f"stay {stay!r}", "SELECT * FROM stays WHERE id = ?", stay)

    def _city(self, city: str) -> str:
        names = [row["name"] for row in self._rows("SELECT name FROM cities ORDER BY name")]
        if city.casefold() not in (name.casefold() for name in names):
            raise ToolError(f"there is no city {city!r}; the cities are {', '.join(names)}")
        return city

    def _flights_of(self, booking: str) -> list[dict[str, Any]]:
        return self._rows(
            "SELECT f.* FROM segments s JOIN flights f ON f.id = s.flight WHERE s.booking = ? ORDER BY date, departs",
            booking,
        )

    def _nights(self, hotel: str, kind: str, arrives: str, nights: int) -> list[dict[str, Any]]:
        if not 1 <= nights <= 30:
            raise ToolError(f"nights={nights} is not between 1 and 30")
        last = shifted(arrives, nights - 1)
        return self._rows(
            "SELECT * FROM rooms WHERE hotel = ? AND kind = ? AND night BETWEEN ? AND ? ORDER BY night",
            *(hotel, kind, shifted(arrives, 0), last),
        )

    def _shown(self, flight: dict[str, Any]) -> dict[str, Any]:
        countries = {row["name"]: row["country"] for row in self._rows("SELECT * FROM cities")}
        names = ("id", "airline", "origin", "destination", "date", "departs", "arrives")
        return {
            **{name: flight[name] for name in names},
            "abroad": countries[flight["origin"]] != countries[flight["destination"]],
            "fares": {fare: money(flight[fare]) for fare in FARES},
            "seats_left": {fare: flight[f"{fare}_left"] for fare in FARES},
            "bag": money(flight["bag"]),
            "insurance": money(flight["insurance"]),
            "group_desk": flight["desk"],
        }
