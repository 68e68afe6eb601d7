"""Tools over events, guests and rooms. Standard library only, for a box may run them."""

from __future__ import annotations

from typing import Any, Literal

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.workspace.base import WorkspaceTables, checked_day, minutes, short, wall

__all__ = ["CalendarTools"]


class CalendarTools(WorkspaceTables):
    """The calendar of everybody inside."""

    def list_events(self, day: str = "", until: str = "", person: str = "", text: str = "") -> Any:
        """List events of a person, the user's by default, from today on or on a day; not those that they declined.

        Args:
            day: YYYY-MM-DD.
            until: Last day, for a range of days.
            person: Address.
            text: Part of the title.
        """
        first = checked_day(day) if day else self._today
        last = checked_day(until) if until else day
        whom = self._person(person)["address"] if person else self._me()
        wanted = {"g.person = ?": whom, "e.day >= ?": first, "e.day <= ?": last}
        wanted |= {"instr(lower(e.title), lower(?))": text}
        query = (
            "SELECT e.event, e.title, e.day, e.start, e.finish FROM events e "
            "JOIN guests g ON g.event = e.event AND g.reply != 'no'"
        )
        return short(self._select(query, wanted, "e.day, e.start, e.event"))

    def read_event(self, event: str) -> dict[str, Any]:
        """Show an event with its guests and their replies.

        Args:
            event: Its code.
        """
        guests = self._rows("SELECT person, reply FROM guests WHERE event = ? ORDER BY person", event)
        return {**self._event(event), "guests": {each["person"]: each["reply"] for each in guests}}

    def create_event(self, title: str, day: str, start: str, finish: str, people: str, room: str = "") -> str:
        """Create an event of the user and invite people.

        Args:
            title: Free text.
            day: YYYY-MM-DD.
            start: HH:MM.
            finish: HH:MM.
            people: Addresses with commas, without the user.
            room: Code of a room.
        """
        me = self._me()
        invited = self._addresses(people)
        if me in invited:
            raise ToolError("leave out the user, who is there anyway")
        self._check_time(day, start, finish)
        if room:
            self._check_free(room, day, start, finish)
        event = self._next("events", "event")

        def work() -> None:
            values = (event, title, me, day, start, finish, room)
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            for person in [me, *invited]:
                self._add_guest(event, person, "yes" if person == me else "none")

        self._write(work)
        return f"created {event}"

    def move_event(self, event: str, day: str, start: str) -> str:
        """Move an event to another time; it keeps its length and room, and its guests have to reply anew.

        Args:
            event: Its code.
            day: YYYY-MM-DD.
            start: HH:MM.
        """
        found = self._event(event)
        finish = minutes(start) + minutes(found["finish"]) - minutes(found["start"])
        if finish >= 24 * 60:
            raise ToolError("an event must end on the day on which it begins")
        if (day, start) == (found["day"], found["start"]):
            raise ToolError(f"event {event} is there already")
        self._check_time(day, start, wall(finish))
        if found["room"]:
            self._check_free(found["room"], day, start, wall(finish), but=event)

        def work() -> None:
            query = "UPDATE events SET day = ?, start = ?, finish = ? WHERE event = ?"
            self._db.execute(query, (day, start, wall(finish), event))
            query = "UPDATE guests SET reply = 'none' WHERE event = ? AND person != ?"
            self._db.execute(query, (event, found["organiser"]))

        self._write(work)
        return f"event {event} is on {day} from {start} to {wall(finish)}"

    def cancel_event(self, event: str) -> str:
        """Cancel an event for all its guests.

        Args:
            event: Its code.
        """
        self._event(event)

        def work() -> None:
            self._db.execute("DELETE FROM events WHERE event = ?", (event,))
            self._db.execute("DELETE FROM guests WHERE event = ?", (event,))

        self._write(work)
        return f"event {event} is cancelled"

    def answer_event(self, event: str, reply: Literal["yes", "no"]) -> str:
        """Accept or decline an event to which the user is invited.

        Args:
            event: Its code.
            reply: yes or no.
        """
        if reply not in ("yes", "no"):
            raise ToolError("reply must be yes or no")
        self._event(event)
        me = self._me()
        held = self._one(
            f"invitation of the user to {event}", "SELECT * FROM guests WHERE event = ? AND person = ?", event, me
        )
        if held["reply"] == reply:
            raise ToolError(f"the reply to {event} is {reply} already")
        self._db.execute("UPDATE guests SET reply = ? WHERE guest = ?", (reply, held["guest"]))
        return f"replied {reply} to {event}"

    def invite(self, event: str, person: str) -> str:
        """Invite one more person to an event.

        Args:
            event: Its code.
            person: Address.
        """
        self._event(event)
        self._person(person)
        if self._rows("SELECT guest FROM guests WHERE event = ? AND person = ?", event, person):
            raise ToolError(f"{person} is invited to {event} already")
        self._add_guest(event, person, "none")
        return f"invited {person} to {event}"

    def find_rooms(self, day: str, start: str, finish: str, seats: int = 0) -> Any:
        """List the rooms that are free at a time.

        Args:
            day: YYYY-MM-DD.
            start: HH:MM.
            finish: HH:MM.
            seats: At least so many.
        """
        self._check_time(day, start, finish)
        rooms = self._rows("SELECT * FROM rooms WHERE seats >= ? ORDER BY seats, room", seats)
        return short([room for room in rooms if not self._in_use(room["room"], day, start, finish, "")])

    def book_room(self, event: str, room: str) -> str:
        """Book a room for an event, instead of the one that it has.

        Args:
            event: Its code.
            room: Code of the room.
        """
        found = self._event(event)
        if found["room"] == room:
            raise ToolError(f"event {event} has room {room} already")
        self._check_free(room, found["day"], found["start"], found["finish"], but=event)
        self._db.execute("UPDATE events SET room = ? WHERE event = ?", (room, event))
        return f"event {event} has room {room}"

    def _add_guest(self, event: str, person: str, reply: str) -> None:
        values = (self._next("guests", "guest"), event, person, reply)
        self._db.execute("INSERT INTO guests VALUES (?, ?, ?, ?)", values)

    def _check_time(self, day: str, start: str, finish: str) -> None:
        if checked_day(day) < self._today:
            raise ToolError(f"{day} is over")
        if minutes(finish) <= minutes(start):
            raise ToolError(f"it would end at {finish}, before its start at {start}")

    def _check_free(self, room: str, day: str, start: str, finish: str, but: str = "") -> None:
        self._room(room)
        taken = self._in_use(room, day, start, finish, but)
        if taken:
            raise ToolError(f"room {room} is taken by {taken[0]['event']} at that time")

    def _in_use(self, room: str, day: str, start: str, finish: str, but: str) -> list[dict[str, Any]]:
        query = "SELECT event FROM events WHERE room = ? AND day = ? AND start < ? AND finish > ? AND event != ?"
        return self._rows(query, room, day, finish, start, but)
