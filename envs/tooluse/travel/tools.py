"""The tools of travel booking that write. They check what an airline's API checks, never the desk's policy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.travel.reading import FARES, Reading, money, shifted

__all__ = ["TravelTools"]


class TravelTools(Reading):
    """All tools of the travel desk."""

    def book_flight(
        self,
        traveller: str,
        flights: str,
        fare: Literal["basic", "flex", "business"],
        others: str = "",
        voucher: str = "",
    ) -> dict[str, Any]:
        """Book flights.

        Args:
            traveller: Who travels and pays.
            flights: Codes with commas, in order.
            others: Who else travels: codes with commas.
            voucher: Pays a part.
        """
        people = [traveller, *_split(others)]
        for each in people:
            self._traveller(each)
        if len(set(people)) < len(people):
            raise ToolError("a traveller is named twice")
        chosen = [self._flight(each) for each in _split(flights)]
        self._check_chain(chosen)
        self._check_seats(chosen, fare, len(people))
        price = sum(each[fare] for each in chosen) * len(people)
        credit = self._credit(voucher, traveller) if voucher else 0
        booking = self._next("bookings", "booking")

        def work() -> None:
            values = (booking, traveller, fare, "booked", 0, max(0, price - credit))
            self._db.execute("INSERT INTO bookings VALUES (?, ?, ?, ?, ?, ?)", values)
            for each in chosen:
                self._insert("segments", booking, each["id"])
                self._seats(each["id"], fare, -len(people))
            for person in people:
                self._insert("passengers", booking, person, self._traveller(person)["name"], 0)
            self._db.execute("UPDATE vouchers SET status = 'used' WHERE id = ?", (voucher,))

        self._write(work)
        return {"booking": booking, "paid": money(max(0, price - credit))}

    def change_flight(self, booking: str, old_flight: str, new_flight: str) -> dict[str, Any]:
        """Move a booking to another flight between the same cities; the difference is paid or given back."""
        found = self._active(booking)
        flights = self._flights_of(booking)
        old, new = self._flight(old_flight), self._flight(new_flight)
        if old_flight not in [each["id"] for each in flights]:
            raise ToolError(f"flight {old_flight} is not in booking {booking}")
        if new_flight in [each["id"] for each in flights]:
            raise ToolError(f"flight {new_flight} is in booking {booking} already")
        if (old["origin"], old["destination"]) != (new["origin"], new["destination"]):
            raise ToolError(f"flight {new_flight} goes from {new['origin']} to {new['destination']}")
        moved = [new if each["id"] == old_flight else each for each in flights]
        self._check_chain(moved)
        people, fare = self._num_people(booking), found["fare"]
        self._check_seats([new], fare, people)
        difference = (new[fare] - old[fare]) * people
        paid = max(0, found["paid"] + difference)

        def work() -> None:
            self._db.execute(
                "UPDATE segments SET flight = ? WHERE booking = ? AND flight = ?", (new_flight, booking, old_flight)
            )
            self._seats(old_flight, fare, people)
            self._seats(new_flight, fare, -people)
            self._db.execute("UPDATE bookings SET paid = ? WHERE id = ?", (paid, booking))

        self._write(work)
        return {"booking": booking, "flight": new_flight, "paid": money(paid)}

    def cancel_booking(self, booking: str) -> str:
        """Cancel a booking; money is paid back by `pay_back` only."""
        found = self._active(booking)
        people = self._num_people(booking)

        def work() -> None:
            self._db.execute("UPDATE bookings SET status = 'cancelled' WHERE id = ?", (booking,))
            for each in self._flights_of(booking):
                self._seats(each["id"], found["fare"], people)

        self._write(work)
        return f"booking {booking} is cancelled"

    def pay_back(self, booking: str, amount: float, how: Literal["money", "voucher"]) -> str:
        """Pay back for a cancelled booking."""
        found = self._booking(booking)
        if found["status"] != "cancelled":
            raise ToolError(f"booking {booking} is not cancelled")
        cents = round(amount * 100)
        before = self._rows("SELECT amount FROM paybacks WHERE booking = ?", booking)
        rest = found["paid"] - sum(row["amount"] for row in before)
        if not 0 < cents <= rest:
            raise ToolError(f"{money(rest)} of booking {booking} can be paid back, not {amount}")
        if how not in ("money", "voucher"):
            raise ToolError(f"how={how!r} is neither money nor voucher")

        def work() -> None:
            self._insert("paybacks", booking, how, cents, self._today)
            if how == "voucher":
                self._insert("vouchers", found["payer"], cents, shifted(self._today, 365), "open")

        self._write(work)
        return f"{money(cents)} paid back as {how}"

    def add_bags(self, booking: str, traveller: str, bags: int) -> dict[str, Any]:
        """Add bags for a passenger on all flights of a booking; the price is paid."""
        found = self._active(booking)
        passenger = self._passenger(booking, traveller)
        if not 1 <= bags <= 9:
            raise ToolError(f"bags={bags} is not between 1 and 9")
        price = bags * sum(each["bag"] for each in self._flights_of(booking))

        def work() -> None:
            self._db.execute("UPDATE passengers SET bags = bags + ? WHERE id = ?", (bags, passenger["id"]))
            self._db.execute("UPDATE bookings SET paid = ? WHERE id = ?", (found["paid"] + price, booking))

        self._write(work)
        return {"bags": passenger["bags"] + bags, "price": money(price)}

    def insure_booking(self, booking: str) -> dict[str, Any]:
        """Insure all passengers on all flights of a booking; the price is paid."""
        found = self._active(booking)
        if found["insured"]:
            raise ToolError(f"booking {booking} is insured already")
        price = self._num_people(booking) * sum(each["insurance"] for each in self._flights_of(booking))
        self._db.execute("UPDATE bookings SET insured = 1, paid = ? WHERE id = ?", (found["paid"] + price, booking))
        return {"booking": booking, "price": money(price)}

    def set_name(self, booking: str, traveller: str, name: str) -> str:
        """Write another name on a passenger's ticket."""
        self._active(booking)
        passenger = self._passenger(booking, traveller)
        if not name.strip():
            raise ToolError("the name is empty")
        if passenger["name"] == name:
            raise ToolError(f"the ticket has the name {name} already")
        self._db.execute("UPDATE passengers SET name = ? WHERE id = ?", (name, passenger["id"]))
        return f"the ticket has the name {name}"

    def set_passport(self, traveller: str, passport: str, valid_until: str) -> str:
        """Write a new passport into a profile."""
        self._traveller(traveller)
        if not passport.strip():
            raise ToolError("the passport is empty")
        if shifted(valid_until, 0) <= self._today:
            raise ToolError(f"a passport valid until {valid_until} has expired")
        self._db.execute(
            "UPDATE travellers SET passport = ?, valid_until = ? WHERE id = ?", (passport, valid_until, traveller)
        )
        return f"traveller {traveller} has passport {passport}"

    def book_room(
        self, traveller: str, hotel: str, kind: Literal["single", "double"], arrives: str, nights: int = 1
    ) -> dict[str, Any]:
        """Book a hotel room from a day on."""
        self._traveller(traveller)
        self._hotel(hotel)
        if shifted(arrives, 0) < self._today:
            raise ToolError(f"{arrives} has passed")
        rows = self._nights(hotel, kind, arrives, nights)
        if len(rows) < nights or not all(row["rooms_left"] for row in rows):
            raise ToolError(f"hotel {hotel} has no {kind} room on all of these nights")
        price = sum(row["price"] for row in rows)
        stay = self._next("stays", "stay")

        def work() -> None:
            values = (stay, traveller, hotel, kind, arrives, nights, price, "booked")
            self._db.execute("INSERT INTO stays VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            for row in rows:
                self._db.execute("UPDATE rooms SET rooms_left = rooms_left - 1 WHERE id = ?", (row["id"],))

        self._write(work)
        return {"stay": stay, "paid": money(price)}

    def cancel_stay(self, stay: str) -> str:
        """Cancel a hotel stay; all that was paid is given back."""
        found = self._stay(stay)
        if found["status"] != "booked":
            raise ToolError(f"stay {stay} is cancelled already")

        def work() -> None:
            self._db.execute("UPDATE stays SET status = 'cancelled' WHERE id = ?", (stay,))
            for row in self._nights(found["hotel"], found["kind"], found["arrives"], found["nights"]):
                self._db.execute("UPDATE rooms SET rooms_left = rooms_left + 1 WHERE id = ?", (row["id"],))

        self._write(work)
        return f"stay {stay} is cancelled"

    def _active(self, booking: str) -> dict[str, Any]:
        found = self._booking(booking)
        if found["status"] != "booked":
            raise ToolError(f"booking {booking} is cancelled")
        return found

    def _passenger(self, booking: str, traveller: str) -> dict[str, Any]:
        return self._one(
            f"passenger {traveller!r} on booking {booking}",
            "SELECT * FROM passengers WHERE booking = ? AND traveller = ?",
            *(booking, traveller),
        )

    def _num_people(self, booking: str) -> int:
        return len(self._rows("SELECT id FROM passengers WHERE booking = ?", booking))

    def _check_chain(self, flights: list[dict[str, Any]]) -> None:
        if not flights:
            raise ToolError("no flight is named")
        if len({each["id"] for each in flights}) < len(flights):
            raise ToolError("a flight is named twice")
        for first, second in pairwise(flights):
            if first["destination"] != second["origin"]:
                raise ToolError(f"flight {second['id']} does not leave from {first['destination']}")
            if (first["date"], first["arrives"]) >= (second["date"], second["departs"]):
                raise ToolError(f"flight {second['id']} leaves before flight {first['id']} lands")
        if flights[0]["date"] < self._today:
            raise ToolError(f"flight {flights[0]['id']} has left")

    def _check_seats(self, flights: list[dict[str, Any]], fare: str, people: int) -> None:
        if fare not in FARES:
            raise ToolError(f"there is no fare {fare!r}; the fares are {', '.join(FARES)}")
        for each in flights:
            if each[f"{fare}_left"] < people:
                raise ToolError(f"flight {each['id']} has {each[f'{fare}_left']} {fare} seats left")

    def _credit(self, voucher: str, traveller: str) -> int:
        found = self._one(
            f"voucher {voucher!r} of traveller {traveller}",
            "SELECT * FROM vouchers WHERE id = ? AND traveller = ?",
            *(voucher, traveller),
        )
        if found["status"] != "open":
            raise ToolError(f"voucher {voucher} is used")
        return int(found["amount"])

    def _seats(self, flight: str, fare: str, change: int) -> None:
        self._db.execute(f"UPDATE flights SET {fare}_left = {fare}_left + ? WHERE id = ?", (change, flight))

    def _insert(self, table: str, *values: Any) -> None:
        marks = ", ".join("?" * (len(values) + 1))
        self._db.execute(f"INSERT INTO {table} VALUES ({marks})", (self._next(table, "new"), *values))


def _split(codes: str) -> list[str]:
    return [code.strip() for code in codes.split(",") if code.strip()]
