"""Flights: one table, then local times with airports in several zones, and at level 5 planes and connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from agentrl.envs.python.answers import number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_best_pilot",
    "ask_connections",
    "ask_country_minutes",
    "ask_fullest",
    "ask_late",
    "ask_longest",
    "ask_mean_delay",
    "ask_occupancy",
    "ask_passengers",
    "ask_pilot_hours",
    "ask_route_time",
    "world",
]

_AIRPORTS_LOADER = """
airports = {}
for country in json.load(open("airports.json")):
    for airport in country["airports"]:
        airports[airport["city"]] = {"country": country["country"], "zone": airport["utc"]}
from datetime import datetime, timedelta
def utc(time, city):
    zone = airports[city]["zone"]
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
    return datetime.fromisoformat(time) - (ahead if zone[0] == "+" else -ahead)
def minutes(f):
    return int((utc(f["lands"], f["to"]) - utc(f["departs"], f["origin"])).total_seconds() // 60)
"""


def world(draw: Draw) -> World:
    """Draw flights; from level 4 on with airports in several zones, at level 5 with planes and their pilots too."""
    level = draw.level
    cities = draw.some("places", (4, 7, 8, 9, 10)[level - 1])
    zone = {city: 30 * draw.whole(-20, 24) for city in cities}
    length = {(a, b): draw.whole(60, 700) for a in cities for b in cities}
    planes = [f"N{draw.whole(100, 999)}{letter}" for letter in "ABCDEFGHJKLMNPQRSTU"]
    start = datetime.combine(draw.day(), datetime.min.time())
    rows: list[Row] = []
    for index in range(size(draw)):
        origin, to = draw.shuffled(cities)[:2]
        began = start + timedelta(minutes=draw.whole(0, 30 * 1440))
        taken = length[origin, to] + draw.whole(0, 45)
        row: Row = {
            "id": f"F{1000 + index}",
            "flight": f"Q{1000 + index}",
            "origin": origin,
            "to": to,
            "taken": taken,
            "began": began,
        }
        row |= {"departs": began + timedelta(minutes=zone[origin]), "plane": draw.pick(planes)}
        row |= {"lands": began + timedelta(minutes=taken + zone[to]), "passengers": draw.whole(30, 240)}
        rows.append({**row, "day": row["departs"].date(), "delay": draw.whole(0, 90) if draw.chance(0.6) else 0})
    if level == 1:
        columns = {"to": "name", "passengers": "whole", "delay": "whole"}
    elif level < 4:
        columns = {"day": "day", "origin": "name", "to": "name", "passengers": "whole", "delay": "whole"}
    else:
        columns = {"flight": "text", "origin": "name", "departs": "time", "to": "name", "lands": "time"}
        columns |= {"passengers": "whole", "delay": "whole"} | ({"plane": "text"} if level == 5 else {})
    if level > 2:
        columns = {"id": "id", **columns}
    ending = draw.pick(("csv", "json") if level == 1 else ("csv", "tsv", "txt", "jsonl"))
    about = "one row for each flight; delay is in minutes" + (
        ", departs and lands are local times." if level > 3 else "."
    )
    flights = Table(name="flights", columns=columns, rows=rows, file=f"flights.{ending}", dirty=level > 2, about=about)
    if level < 4:
        return World(tables=(flights,))
    papers = (_airports(draw, cities, zone),)
    return World(tables=(flights, _planes(draw, planes)) if level == 5 else (flights,), papers=papers)


def _airports(draw: Draw, cities: Sequence[str], zone: Mapping[str, int]) -> Paper:
    countries = draw.some("nouns", 4)
    rows: list[Row] = [{"city": city, "country": draw.pick(countries), "zone": zone[city]} for city in cities]

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {
                "country": country,
                "airports": [
                    {
                        "city": row["city"],
                        "utc": f"{'-' if row['zone'] < 0 else '+'}{abs(row['zone']) // 60:02d}:{row['zone'] % 60:02d}",
                    }
                    for row in rows
                    if row["country"] == country
                ],
            }
            for country in countries
        ]
        return {"airports.json": pretty(nested)}

    about = "airports.json: countries with their airports; utc is what the local time there is ahead of UTC."
    return Paper(name="airports", rows=rows, files=files, loader=_AIRPORTS_LOADER, about=about)


def _planes(draw: Draw, planes: Sequence[str]) -> Table:
    pilots, makers = draw.some("surnames", 12), [name.lower() for name in draw.some("adjectives", 4)]
    rows: list[Row] = [
        {"plane": plane, "seats": draw.whole(24, 60) * 10, "model": draw.pick(makers), "pilot": draw.pick(pilots)}
        for plane in planes
    ]
    return Table(
        name="planes",
        columns={"plane": "text", "seats": "whole", "model": "text", "pilot": "text"},
        rows=rows,
        file="planes.db",
        about="one row for each plane, with the pilot who flies it.",
    )


def ask_passengers(draw: Draw, world: World) -> Case | None:
    """Ask for the passengers to a city, above level 1 on one route; None where a single flight would tell."""
    row = draw.pick(world["flights"])
    found = [r for r in world["flights"] if r["to"] == row["to"] and (draw.level == 1 or r["origin"] == row["origin"])]
    params = {"to": row["to"]} if draw.level == 1 else {"to": row["to"], "origin": row["origin"]}
    return Case(params=params, answer=number(sum(r["passengers"] for r in found))) if len(found) > 1 else None


def ask_mean_delay(draw: Draw, world: World) -> Case | None:
    """Ask for the mean delay of the flights to a city; None where there are fewer than three."""
    to = draw.pick(world["flights"])["to"]
    found = [row["delay"] for row in world["flights"] if row["to"] == to]
    if len(found) < 3:
        return None
    exact = mean(found)
    return Case(params={"to": to}, answer=number(exact, 2), exact=exact)


def ask_late(draw: Draw, world: World) -> Case:
    """Ask how many flights from a city were later than a limit; there may be none."""
    origin, limit = draw.pick(world["flights"])["origin"], draw.whole(6, 49)
    found = [row for row in world["flights"] if row["origin"] == origin and row["delay"] > limit]
    return Case(params={"origin": origin, "limit": limit}, answer=number(len(found)))


def ask_fullest(draw: Draw, world: World) -> Case | None:
    """Ask which goal's flights carry the most on average, late ones left out; None where two goals are near."""
    origin, limit = draw.pick(world["flights"])["origin"], draw.whole(5, 40)
    rows = [row for row in world["flights"] if row["origin"] == origin and row["delay"] <= limit]
    best = top({to: mean(v) for to, v in grouped(rows, lambda r: str(r["to"]), lambda r: int(r["passengers"])).items()})
    return Case(params={"origin": origin, "limit": limit}, answer=text(best)) if best else None


def ask_route_time(draw: Draw, world: World) -> Case:
    """Ask how long a route takes on average, which local times tell by the zones of both ends."""
    row = draw.pick(world["flights"])
    found = [r["taken"] for r in world["flights"] if r["origin"] == row["origin"] and r["to"] == row["to"]]
    exact = mean(found)
    return Case(params={"origin": row["origin"], "to": row["to"]}, answer=number(exact, 2), exact=exact)


def ask_longest(draw: Draw, world: World) -> Case | None:
    """Ask for the longest flight from a city, one goal left out; None where two take equally long."""
    row = draw.pick(world["flights"])
    rows = [r for r in world["flights"] if r["origin"] == row["origin"] and r["to"] != row["to"]]
    best = top({str(r["flight"]): int(r["taken"]) for r in rows})
    return Case(params={"origin": row["origin"], "to": row["to"]}, answer=text(best)) if best else None


def ask_country_minutes(draw: Draw, world: World) -> Case | None:
    """Ask for the minutes into a country from abroad in a month of UTC; None for fewer than three flights."""
    country = {row["city"]: row["country"] for row in world["airports"]}
    chosen, month = draw.pick(world["airports"])["country"], f"{draw.pick(world['flights'])['began']:%Y-%m}"
    found = [
        row["taken"]
        for row in world["flights"]
        if country[row["to"]] == chosen != country[row["origin"]] and f"{row['began']:%Y-%m}" == month
    ]
    return Case(params={"country": chosen, "month": month}, answer=number(sum(found))) if len(found) > 2 else None


def ask_pilot_hours(draw: Draw, world: World) -> Case | None:
    """Ask for a pilot's hours out of a country; None for fewer than three flights."""
    pilot = {row["plane"]: row["pilot"] for row in world["planes"]}
    country = {row["city"]: row["country"] for row in world["airports"]}
    params = {"pilot": draw.pick(world["planes"])["pilot"], "country": draw.pick(world["airports"])["country"]}
    found = [
        row["taken"]
        for row in world["flights"]
        if pilot[row["plane"]] == params["pilot"] and country[row["origin"]] == params["country"]
    ]
    exact = Fraction(sum(found), 60)
    return Case(params=params, answer=number(exact, 2), exact=exact) if len(found) > 2 else None


def ask_occupancy(draw: Draw, world: World) -> Case | None:
    """Ask for the share of taken seats of a model on flights to a city; None for fewer than four flights."""
    planes = {row["plane"]: row for row in world["planes"]}
    model, city = draw.pick(world["planes"])["model"], draw.pick(world["airports"])["city"]
    rows = [row for row in world["flights"] if row["to"] == city and planes[row["plane"]]["model"] == model]
    if len(rows) < 4:
        return None
    exact = Fraction(100 * sum(row["passengers"] for row in rows), sum(planes[row["plane"]]["seats"] for row in rows))
    return Case(params={"model": model, "city": city}, answer=number(exact, 2), exact=exact)


def ask_connections(draw: Draw, world: World) -> Case:
    """Ask how many pairs of flights join two cities with one stop of a given length; there may be none."""
    a, b = draw.shuffled(sorted({row["city"] for row in world["airports"]}))[:2]
    least, most = 5 * draw.whole(6, 12), 60 * draw.whole(3, 12)
    ends: dict[str, list[datetime]] = {}
    for row in world["flights"]:
        if row["origin"] == a and row["to"] != b:
            ends.setdefault(row["to"], []).append(row["began"] + timedelta(minutes=row["taken"]))
    found = [
        least <= (row["began"] - end).total_seconds() / 60 <= most
        for row in world["flights"]
        if row["to"] == b
        for end in ends.get(row["origin"], [])
    ]
    return Case(params={"a": a, "b": b, "least": least, "most": most}, answer=number(sum(found)))


def ask_best_pilot(draw: Draw, world: World) -> Case | None:
    """Ask whose flights to a city have the highest mean delay; None where two pilots are near."""
    pilot, to = {row["plane"]: str(row["pilot"]) for row in world["planes"]}, draw.pick(world["airports"])["city"]
    rows = [row for row in world["flights"] if row["to"] == to]
    best = top(
        {name: mean(v) for name, v in grouped(rows, lambda r: pilot[r["plane"]], lambda r: int(r["delay"])).items()}
    )
    return Case(params={"to": to}, answer=text(best)) if best else None
