"""The tables of the workspace, and what all of its tools share. Standard library only, for a box may run it."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, ClassVar

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.tables import Tables

__all__ = ["ACCESS", "FOLDERS", "HOME", "LABELS", "NOW", "WorkspaceTables", "checked_day", "minutes", "short", "wall"]

HOME = "firm.test"
"""The host of all addresses inside."""
NOW = "08:00"
"""The time at which an episode plays; what is sent in it is sent then."""
FOLDERS = ("inbox", "archive", "sent", "drafts", "trash")
LABELS = ("", "sealed", "invoice", "travel", "urgent")
ACCESS = ("view", "edit")

_MOST = 30  # rows in one reply


class WorkspaceTables(Tables):
    """The schema, and reading by key."""

    schema: ClassVar[str] = """
        CREATE TABLE me (address TEXT PRIMARY KEY);
        CREATE TABLE people (address TEXT PRIMARY KEY, name TEXT, company TEXT, team TEXT, manager TEXT, phone TEXT,
            lunch TEXT);
        CREATE TABLE rooms (room TEXT PRIMARY KEY, floor INTEGER, seats INTEGER);
        CREATE TABLE events (event TEXT PRIMARY KEY, title TEXT, organiser TEXT, day TEXT, start TEXT, finish TEXT,
            room TEXT);
        CREATE TABLE guests (guest TEXT PRIMARY KEY, event TEXT, person TEXT, reply TEXT);
        CREATE TABLE mails (mail TEXT PRIMARY KEY, thread TEXT, folder TEXT, label TEXT, sender TEXT, day TEXT,
            time TEXT, subject TEXT, body TEXT, file TEXT, forwards TEXT);
        CREATE TABLE recipients (recipient TEXT PRIMARY KEY, mail TEXT, person TEXT);
        CREATE TABLE files (file TEXT PRIMARY KEY, name TEXT, folder TEXT, owner TEXT, day TEXT, mb INTEGER,
            version INTEGER, confidential_since TEXT, hold TEXT);
        CREATE TABLE shares (share TEXT PRIMARY KEY, file TEXT, person TEXT, access TEXT);
        CREATE TABLE versions (entry TEXT PRIMARY KEY, file TEXT, version INTEGER, day TEXT, author TEXT, mb INTEGER);
    """
    volatile: ClassVar[dict[str, tuple[str, ...]]] = {"mails": ("subject", "body"), "events": ("title",)}

    def _me(self) -> str:
        found: str = self._one("account", "SELECT address FROM me")["address"]
        return found

    def _person(self, address: str) -> dict[str, Any]:
        return self._one(f"person with the address {address!r}", "SELECT * FROM people WHERE address = ?", address)

    def _event(self, event: str) -> dict[str, Any]:
        return self._one(f"event {event!r}", "SELECT * FROM events WHERE event = ?", event)

    def _file(self, file: str) -> dict[str, Any]:
        return self._one(f"file {file!r}", "SELECT * FROM files WHERE file = ?", file)

    def _mail(self, mail: str) -> dict[str, Any]:
        return self._one(f"mail {mail!r}", "SELECT * FROM mails WHERE mail = ?", mail)

    def _room(self, room: str) -> dict[str, Any]:
        return self._one(f"room {room!r}", "SELECT * FROM rooms WHERE room = ?", room)

    def _addresses(self, text: str) -> list[str]:
        """Read addresses separated by commas; each must be somebody's, none twice."""
        found = [each.strip() for each in text.split(",") if each.strip()]
        if not found:
            raise ToolError("give at least one address")
        for each in found:
            self._person(each)
        if len(set(found)) < len(found):
            raise ToolError("an address stands there twice")
        return found

    def _select(self, query: str, wanted: dict[str, Any], order: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT for which all conditions with a value hold."""
        held = {condition: value for condition, value in wanted.items() if value not in ("", 0)}
        where = " AND ".join(["1", *held])
        return self._rows(f"{query} WHERE {where} ORDER BY {order}", *held.values())


def short(rows: list[dict[str, Any]]) -> Any:
    """Return rows without empty values, no more than fit into a reply."""
    shown = [{name: value for name, value in row.items() if value not in ("", None)} for row in rows]
    if len(shown) > _MOST:
        return {"first": shown[:_MOST], "left out": len(shown) - _MOST, "hint": "search for less"}
    return shown


def minutes(time: str) -> int:
    """Read a time of day.

    >>> minutes("09:30")
    570
    """
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", time)
    if not match:
        raise ToolError(f"{time!r} is no time; write it as 09:30")
    return int(match[1]) * 60 + int(match[2])


def wall(count: int) -> str:
    """Write minutes after midnight as a time of day.

    >>> wall(570)
    '09:30'
    """
    return f"{count // 60:02d}:{count % 60:02d}"


def checked_day(day: str) -> str:
    """Return a day that is written well.

    Raises:
        ToolError: It is none.
    """
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise ToolError(f"{day!r} is no day; write it as 2026-03-09") from None
