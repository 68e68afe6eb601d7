"""Readings of thermometers: one table, then also where each hangs, and at level 5 sites with clocks of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from agentrl.envs.python.answers import any_order, day, number, text
from agentrl.envs.python.family import Case, Family, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table
from agentrl.envs.python.words import Draw

__all__ = ["FAMILIES"]

_SITES_LOADER = """
sites = {}
for site in json.load(open("sites.json")):
    for room in site["rooms"]:
        sites[room["name"]] = {"site": site["site"], "clock": site["clock"], "floor": room["floor"]}
"""


def _world(draw: Draw) -> World:
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
        return {"sites.json": json.dumps(nested, indent=1).encode()}

    about = "sites.json: the sites with their rooms; clock is what the site's local time is ahead of UTC."
    return Paper(name="sites", rows=rows, files=files, loader=_SITES_LOADER, about=about)


def _mean(draw: Draw, world: World) -> Case:
    sensor = draw.pick(world["readings"])["sensor"]
    exact = mean(row["value"] for row in world["readings"] if row["sensor"] == sensor) / 10
    return Case(params={"sensor": sensor}, answer=number(exact, 2), exact=exact)


def _range(draw: Draw, world: World) -> Case | None:
    sensor = draw.pick(world["readings"])["sensor"]
    values = [row["value"] for row in world["readings"] if row["sensor"] == sensor]
    exact = Fraction(max(values) - min(values), 10)
    return Case(params={"sensor": sensor}, answer=number(exact, 1), exact=exact) if len(values) > 1 else None


def _above(draw: Draw, world: World) -> Case:
    sensor = draw.pick(world["readings"])["sensor"]
    limit = draw.whole(200, 270)
    found = [row for row in world["readings"] if row["sensor"] == sensor and row["value"] > limit]
    return Case(params={"sensor": sensor, "limit": limit / 10}, answer=number(len(found)))


def _warmest_day(draw: Draw, world: World) -> Case | None:
    sensor = draw.pick(world["readings"])["sensor"]
    rows = [row for row in world["readings"] if row["sensor"] == sensor]
    days = grouped(rows, lambda row: row["time"].date(), lambda row: int(row["value"]))
    best = top({each: mean(values) for each, values in days.items()})
    return Case(params={"sensor": sensor}, answer=day(best)) if best else None


def _gap(draw: Draw, world: World) -> Case | None:
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


def _room_mean(draw: Draw, world: World) -> Case:
    rows = _corrected(world)
    room = draw.pick(rows)["room"]
    exact = mean(row["value"] for row in rows if row["room"] == room) / 10
    return Case(params={"room": room}, answer=number(exact, 3), exact=exact)


def _warm_rooms(draw: Draw, world: World) -> Case | None:
    rooms = grouped(_corrected(world), lambda row: str(row["room"]), lambda row: int(row["value"]))
    means = {room: mean(values) / 10 for room, values in rooms.items()}
    order = sorted(means.values())
    limit = round((order[len(order) // 2] + order[len(order) // 2 - 1]) / 2, 2)
    found = [room for room, value in means.items() if value > limit]
    if min(abs(value - limit) for value in means.values()) < Fraction(1, 1000) or not 1 < len(found) < len(means):
        return None
    return Case(params={"limit": float(limit)}, answer=any_order(found))


def _local_day(draw: Draw, world: World) -> Case | None:
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


def _local_night(draw: Draw, world: World) -> Case | None:
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


def _spread_floor(draw: Draw, world: World) -> Case | None:
    floors = {row["room"]: row["floor"] for row in world["sites"]}
    by_room = grouped(_corrected(world), lambda row: str(row["room"]), lambda row: int(row["value"]))
    floor = draw.pick(world["sites"])["floor"]
    spread = {room: Fraction(max(values) - min(values)) for room, values in by_room.items() if floors[room] >= floor}
    best = top(spread) if len(spread) > 3 else None
    return Case(params={"floor": floor}, answer=text(best)) if best else None


_ROOMS = """
sensor = {s["sensor"]: s for s in sensors}
for r in readings:
    r["room"] = sensor[r["sensor"]]["room"]
    r["value"] += sensor[r["sensor"]]["offset"]
"""
_LOCAL = """
from datetime import datetime, timedelta
def local(r):
    clock = sites[r["room"]]["clock"]
    ahead = timedelta(hours=int(clock[1:3]), minutes=int(clock[4:]))
    return datetime.fromisoformat(r["time"]) + (ahead if clock[0] == "+" else -ahead)
"""

FAMILIES = (
    Family(
        name="sensor-mean",
        levels=(1, 2),
        world=_world,
        ask=_mean,
        train=("What is the mean value of the sensor $sensor?", "What does the sensor $sensor read on average?"),
        test=(
            "Find the average of all readings of $sensor.",
            "Take the readings of sensor $sensor: what is their mean?",
        ),
        cell="""
found = [r["value"] for r in readings if r["sensor"] == $sensor]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="sensor-range",
        levels=(1,),
        world=_world,
        ask=_range,
        train=(
            "What is the difference between the highest and the lowest value of the sensor $sensor?",
            "By how much does the largest value of $sensor exceed its smallest?",
        ),
        test=(
            "Subtract the lowest reading of sensor $sensor from its highest one.",
            "How far apart are the extreme readings of $sensor?",
        ),
        cell="""
found = [r["value"] for r in readings if r["sensor"] == $sensor]
print(round(max(found) - min(found), 1))""",
    ),
    Family(
        name="sensor-above",
        levels=(2, 3),
        world=_world,
        ask=_above,
        train=("How many readings of the sensor $sensor are above $limit?", "Count the values of $sensor over $limit."),
        test=(
            "In how many cases does $sensor read more than $limit?",
            "What is the number of readings of $sensor greater than $limit?",
        ),
        cell='print(sum(r["sensor"] == $sensor and r["value"] > $limit for r in readings))',
    ),
    Family(
        name="sensor-warmest-day",
        levels=(2, 3),
        world=_world,
        ask=_warmest_day,
        train=(
            "On which day was the mean value of the sensor $sensor the highest?",
            "Which day has the highest average of the sensor $sensor?",
        ),
        test=(
            "Find the day whose readings of $sensor have the greatest mean.",
            "When, by daily average, did sensor $sensor read the most?",
        ),
        cell="""
days = {}
for r in readings:
    if r["sensor"] == $sensor:
        days.setdefault(r["time"][:10], []).append(r["value"])
print(max(days, key=lambda day: sum(days[day]) / len(days[day])))""",
    ),
    Family(
        name="sensor-gap",
        levels=(3, 4),
        world=_world,
        ask=_gap,
        train=(
            "What is the longest time, in minutes, between two readings of the sensor $sensor that follow each other?",
            "For how many minutes at most was the sensor $sensor silent between two of its readings?",
        ),
        test=(
            "Order the readings of $sensor by time: how many minutes is the widest gap?",
            "How long, in minutes, did sensor $sensor pause at most from one reading to its next?",
        ),
        cell="""
from datetime import datetime
times = sorted(datetime.fromisoformat(r["time"]) for r in readings if r["sensor"] == $sensor)
print(int(max((b - a).total_seconds() for a, b in zip(times, times[1:])) // 60))""",
    ),
    Family(
        name="sensor-room-mean",
        levels=(4,),
        world=_world,
        ask=_room_mean,
        train=(
            "What is the mean of the corrected values in the $room?",
            "Correct all readings; what do those of the $room average to?",
        ),
        test=(
            "After adding the offsets, find the average reading of the $room.",
            "How warm is the $room on average, once offsets are added?",
        ),
        cell=_ROOMS
        + """
found = [r["value"] for r in readings if r["room"] == $room]
print(round(sum(found) / len(found), 3))""",
    ),
    Family(
        name="sensor-warm-rooms",
        levels=(4, 5),
        world=_world,
        ask=_warm_rooms,
        train=(
            "In which rooms is the mean of the corrected values above $limit?",
            "Name the rooms whose corrected readings average more than $limit.",
        ),
        test=(
            "What rooms have a mean over $limit, offsets added?",
            "Add the offsets: which rooms exceed $limit on average?",
        ),
        cell=_ROOMS
        + """
rooms = {}
for r in readings:
    rooms.setdefault(r["room"], []).append(r["value"])
print(", ".join(room for room, values in rooms.items() if sum(values) / len(values) > $limit))""",
    ),
    Family(
        name="sensor-local-day",
        levels=(5,),
        world=_world,
        ask=_local_day,
        train=(
            "On which local day is the sum of the corrected values of all sensors at the site $site the highest?",
            "By the local date at $site, which day has the largest sum of corrected readings from that site?",
        ),
        test=(
            "Going by the clock of $site, find the day on which its readings, offsets added, sum to the most.",
            "When does the total of the site $site's corrected readings peak, counted by days of its own local time?",
        ),
        cell=_ROOMS
        + _LOCAL
        + """
days = {}
for r in readings:
    if sites[r["room"]]["site"] == $site:
        days[local(r).date()] = days.get(local(r).date(), 0) + r["value"]
print(max(days, key=days.get))""",
    ),
    Family(
        name="sensor-local-night",
        levels=(5,),
        world=_world,
        ask=_local_night,
        train=(
            "What is the mean of the corrected values at the site $site between midnight and $until local time "
            "($until itself not included)?",
            "At $site, what do the corrected readings average to from 00:00 up to but without $until by the "
            "local clock?",
        ),
        test=(
            "Take the readings at $site whose local time is before $until on any day: what is their average, "
            "offsets added?",
            "Before $until in the morning, by the site's own time, how warm is $site on average after correction?",
        ),
        cell=_ROOMS
        + _LOCAL
        + """
found = [r["value"] for r in readings if sites[r["room"]]["site"] == $site and local(r).hour < int($until[:2])]
print(round(sum(found) / len(found), 3))""",
    ),
    Family(
        name="sensor-widest-room",
        levels=(5,),
        world=_world,
        ask=_spread_floor,
        train=(
            "Of the rooms on floor $floor or higher, which has the largest difference between its highest and "
            "lowest corrected value?",
            "On floor $floor and above, in which room do the corrected readings differ the most from lowest to "
            "highest?",
        ),
        test=(
            "Leave out rooms below floor $floor: where do corrected readings span the widest range?",
            "Among rooms not lower than floor $floor, name the one with the greatest span of readings, offsets added.",
        ),
        cell=_ROOMS
        + """
rooms = {}
for r in readings:
    if sites[r["room"]]["floor"] >= $floor:
        rooms.setdefault(r["room"], []).append(r["value"])
print(max(rooms, key=lambda room: round(max(rooms[room]) - min(rooms[room]), 1)))""",
    ),
)
