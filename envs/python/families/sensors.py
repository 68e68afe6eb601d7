"""What is asked of readings: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import sensors as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

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
        world=data.world,
        ask=data.ask_mean,
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
        world=data.world,
        ask=data.ask_range,
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
        world=data.world,
        ask=data.ask_above,
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
        world=data.world,
        ask=data.ask_warmest_day,
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
        world=data.world,
        ask=data.ask_gap,
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
        world=data.world,
        ask=data.ask_room_mean,
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
        world=data.world,
        ask=data.ask_warm_rooms,
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
        world=data.world,
        ask=data.ask_local_day,
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
        world=data.world,
        ask=data.ask_local_night,
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
        name="sensor-steadiest-room",
        levels=(5,),
        world=data.world,
        ask=data.ask_steadiest,
        train=(
            "Of the rooms on floor $floor or higher, which has the smallest difference between its highest and lowest "
            "corrected value?",
            "On floor $floor and above, in which room do corrected readings differ the least from lowest to highest?",
        ),
        test=(
            "Leave out rooms below floor $floor: where do corrected readings span the narrowest range?",
            "Among rooms not lower than floor $floor, name the one with the least span of readings, offsets added.",
        ),
        cell=_ROOMS
        + """
rooms = {}
for r in readings:
    if sites[r["room"]]["floor"] >= $floor:
        rooms.setdefault(r["room"], []).append(r["value"])
print(min(rooms, key=lambda room: round(max(rooms[room]) - min(rooms[room]), 1)))""",
    ),
)
