"""Readings of thermometers: one table, then also where each hangs, and at level 5 sites with clocks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from agentrl.envs.python.answers import any_order, day, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_above",
    "ask_gap",
    "ask_local_day",
    "ask_local_night",
    "ask_mean",
    "ask_range",
    "ask_room_mean",
    "ask_steadiest",
    "ask_warm_rooms",
    "ask_warmest_day",
    "world",
]

_SITES_LOADER = """
sites = {}
for site in json.load(open("sites.json")):
    for room in site["rooms"]:
        sites[room["name"]] = {"site": site["site"], "clock": site["clock"], "floor": room["floor"]}
"""


def world(draw: Draw) -> World:
    """Draw readings; from level 4 on with rooms and offsets, at level 5 with sites in several zones."""
    level = draw.level
    names = [f"{letter}{draw.whole(10, 99)}" for letter in "ABCDEFGHJKLM"[: (3, 5, 6, 8, 10)[level - 1]]]
    moment = datetime.combine(draw.day(), datetime.min.time())
    rows: list[Row] = []
    for index in range(size(draw)):
        moment += timedelta(minutes=draw.whole(4, 60 if level < 5 else 25))
        warm = 180 + 25 * ((13 - abs(moment.hour - 13)) // 2)
        row = {
            "id": f"R{1000 + index}",
            "time": moment,
            "sensor": draw.pick(names),
            "value": warm + draw.whole(-60, 60),
        }
        rows.append(row)
    columns = {"time": "time", "sensor": "text", "value": "tenth"}
    if level > 2:
        columns = {"id": "id", **columns}
    ending = draw.pick(("csv", "json") if level == 1 else ("csv", "tsv", "jsonl"))
    about = "one row for each reading, in degrees Celsius" + (", times in UTC." if level == 5 else ".")
    readings = Table(
        name="readings", columns=columns, rows=rows, file=f"readings.{ending}", dirty=level > 2, about=about
    )
    if level < 4:
        return World(tables=(readings,))
    rooms = draw.some("rooms", max(4, len(names) * 2 // 3))
    where: list[Row] = [
        {"sensor": name, "room": rooms[at] if at < len(rooms) else draw.pick(rooms), "offset": draw.whole(-19, 19)}
        for at, name in enumerate(names)
    ]
    sensors = Table(
        name="sensors",
        columns={"sensor": "text", "room": "text", "offset": "tenth"},
        rows=where,
        file="sensors.db" if level == 5 or draw.chance(0.5) else "sensors.json",
        about="where each sensor hangs; offset is to be added to each of its readings to correct it.",
    )
    return World(tables=(readings, sensors), papers=(_sites(draw, rooms),) if level == 5 else ())


def _sites(draw: Draw, rooms: list[str]) -> Paper:
    sites = draw.some("places", 4)
    clocks = {site: 30 * draw.whole(-18, 22) for site in sites}
    rows: list[Row] = [{"room": room, "site": draw.pick(sites), "floor": draw.whole(1, 9)} for room in rooms]
    for row in rows:
        row["minutes"] = clocks[row["site"]]

    def clock(minutes: int) -> str:
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {
                "site": site,
                "clock": clock(clocks[site]),
                "rooms": [{"name": row["room"], "floor": row["floor"]} for row in rows if row["site"] == site],
            }
            for site in sites
        ]
        return {"sites.json": pretty(nested)}

    about = "sites.json: the sites with their rooms; clock is what the site's local time is ahead of UTC."
    return Paper(name="sites", rows=rows, files=files, loader=_SITES_LOADER, about=about)


def ask_mean(draw: Draw, world: World) -> Case:
    """Ask for the mean of a sensor's readings."""
    sensor = draw.pick(world["readings"])["sensor"]
    exact = mean(row["value"] for row in world["readings"] if row["sensor"] == sensor) / 10
    return Case(params={"sensor": sensor}, answer=number(exact, 2), exact=exact)


def ask_range(draw: Draw, world: World) -> Case | None:
    """Ask for the range of a sensor; None where it has a single reading."""
    sensor = draw.pick(world["readings"])["sensor"]
    values = [row["value"] for row in world["readings"] if row["sensor"] == sensor]
    exact = Fraction(max(values) - min(values), 10)
    return Case(params={"sensor": sensor}, answer=number(exact, 1), exact=exact) if len(values) > 1 else None


def ask_above(draw: Draw, world: World) -> Case:
    """Ask how many readings of a sensor are above a limit; there may be none."""
    sensor = draw.pick(world["readings"])["sensor"]
    limit = draw.whole(200, 270)
    found = [row for row in world["readings"] if row["sensor"] == sensor and row["value"] > limit]
    return Case(params={"sensor": sensor, "limit": limit / 10}, answer=number(len(found)))


def ask_warmest_day(draw: Draw, world: World) -> Case | None:
    """Ask on which day a sensor's mean was the highest; None where two days are near."""
    sensor = draw.pick(world["readings"])["sensor"]
    rows = [row for row in world["readings"] if row["sensor"] == sensor]
    days = grouped(rows, lambda row: row["time"].date(), lambda row: int(row["value"]))
    best = top({each: mean(values) for each, values in days.items()})
    return Case(params={"sensor": sensor}, answer=day(best)) if best else None


def ask_gap(draw: Draw, world: World) -> Case | None:
    """Ask for the longest pause between two readings of a sensor; None where it has a single one."""
    sensor = draw.pick(world["readings"])["sensor"]
    times = [row["time"] for row in world["readings"] if row["sensor"] == sensor]
    gaps = [int((later - first).total_seconds()) // 60 for first, later in pairwise(sorted(times))]
    return Case(params={"sensor": sensor}, answer=number(max(gaps))) if gaps else None


def _corrected(world: World) -> list[Row]:
    sensors = {row["sensor"]: row for row in world["sensors"]}
    return [
        {**row, "room": sensors[row["sensor"]]["room"], "value": row["value"] + sensors[row["sensor"]]["offset"]}
        for row in world["readings"]
    ]


def ask_room_mean(draw: Draw, world: World) -> Case:
    """Ask for the mean of a room's corrected readings."""
    rows = _corrected(world)
    room = draw.pick(rows)["room"]
    exact = mean(row["value"] for row in rows if row["room"] == room) / 10
    return Case(params={"room": room}, answer=number(exact, 3), exact=exact)


def ask_warm_rooms(draw: Draw, world: World) -> Case | None:
    """Ask which rooms' means are above a limit; None for one or all, or a mean too close to the limit."""
    rooms = grouped(_corrected(world), lambda row: str(row["room"]), lambda row: int(row["value"]))
    means = {room: mean(values) / 10 for room, values in rooms.items()}
    order = sorted(means.values())
    limit = round((order[len(order) // 2] + order[len(order) // 2 - 1]) / 2, 2)
    found = [room for room, value in means.items() if value > limit]
    if min(abs(value - limit) for value in means.values()) < Fraction(1, 1000) or not 1 < len(found) < len(means):
        return None
    return Case(params={"limit": float(limit)}, answer=any_order(found))


def ask_local_day(draw: Draw, world: World) -> Case | None:
    """Ask on which local day a site's corrected readings sum to the most; None where two days are near."""
    sites = {row["room"]: row for row in world["sites"]}
    site = draw.pick(world["sites"])["site"]
    rows = [row for row in _corrected(world) if sites[row["room"]]["site"] == site]
    days = grouped(
        rows,
        lambda row: (row["time"] + timedelta(minutes=sites[row["room"]]["minutes"])).date(),
        lambda row: int(row["value"]),
    )
    best = top({each: sum(values) for each, values in days.items()})
    return Case(params={"site": site}, answer=day(best)) if best else None


def ask_local_night(draw: Draw, world: World) -> Case | None:
    """Ask for the mean of a site's corrected readings early in the local day; None for fewer than four."""
    sites = {row["room"]: row for row in world["sites"]}
    site = draw.pick(world["sites"])["site"]
    until = draw.whole(4, 8)
    values = [
        row["value"]
        for row in _corrected(world)
        if sites[row["room"]]["site"] == site
        and (row["time"] + timedelta(minutes=sites[row["room"]]["minutes"])).hour < until
    ]
    if len(values) < 4:
        return None
    exact = mean(values) / 10
    return Case(params={"site": site, "until": f"{until:02d}:00"}, answer=number(exact, 3), exact=exact)


def ask_steadiest(draw: Draw, world: World) -> Case | None:
    """Ask which room from a floor up has the least range; None for fewer than four rooms, or where two are near."""
    floors = {row["room"]: row["floor"] for row in world["sites"]}
    by_room = grouped(_corrected(world), lambda row: str(row["room"]), lambda row: int(row["value"]))
    floor = draw.pick(world["sites"])["floor"]
    spread = {room: Fraction(min(values) - max(values)) for room, values in by_room.items() if floors[room] >= floor}
    best = top(spread) if len(spread) > 3 else None
    return Case(params={"floor": floor}, answer=text(best)) if best else None
