"""The log of a web server: short lines, then the common format, then repeats, noise, clients and several zones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from agentrl.envs.python.answers import number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_customer_bytes",
    "ask_errors",
    "ask_failing_customer",
    "ask_funnel",
    "ask_hours",
    "ask_mean_ms",
    "ask_path_bytes",
    "ask_sessions",
    "ask_slowest",
    "ask_status_bytes",
    "ask_visitors",
    "world",
]

_SHORT_LOADER = """
log = []
for line in open("access.log"):
    day, time, path, status, size = line.split()
    log.append({"path": path, "status": int(status), "bytes": int(size)})
"""
_LOADER = """
from datetime import datetime, timezone
shape = re.compile(r'(\\S+) \\S+ \\S+ \\[(.+?)\\] "\\S+ (\\S+) .*?" (\\d+) (\\d+) (\\d+)(?: id=(\\w+))?')
seen, log = set(), []
for line in open("access.log"):
    found = shape.match(line)
    if not found or (found[7] and found[7] in seen):
        continue
    seen.add(found[7])
    when = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z").astimezone(timezone.utc)
    row = {"ip": found[1], "time": when, "path": found[3], "status": int(found[4])}
    log.append({**row, "bytes": int(found[5]), "ms": int(found[6])})
"""
_PLANS_LOADER = """
plans = {}
for plan in json.load(open("plans.json"))["plans"]:
    for customer in plan["customers"]:
        plans[customer["name"]] = plan["name"]
"""
_NOISE = ("# log rotated", "-- worker restarted --", "warning: disk is nearly full", "")


def world(draw: Draw) -> World:
    """Draw requests; with the addresses' customers from level 4 on, with plans and several zones at 5."""
    level = draw.level
    paths = [f"/{path}" for path in draw.some("paths", (3, 9, 12, 14, 16)[level - 1])]
    slow = {path: draw.whole(10, 900) for path in paths}
    num_clients = (4, 30, 60, 40, 70)[level - 1]
    clients = list(
        dict.fromkeys(f"10.{draw.whole(0, 99)}.{draw.whole(0, 255)}.{draw.whole(1, 254)}" for _ in range(num_clients))
    )
    moment = datetime.combine(draw.day(), datetime.min.time())
    rows: list[Row] = []
    for index in range(size(draw)):
        moment += timedelta(seconds=draw.whole(5, 400 if level < 5 else 700))
        path = draw.pick(paths)
        status = 200 if draw.chance(0.6) else draw.pick((301, 404, 500, 502, 503))
        row = {"id": f"q{7000 + index}", "time": moment, "ip": draw.pick(clients), "path": path, "status": status}
        rows.append({**row, "bytes": draw.whole(90, 50_000), "ms": slow[path] + draw.whole(1, 400)})
    log = _short(rows) if level == 1 else _log(rows, level)
    if level < 4:
        return World(papers=(log,))
    names = draw.some("surnames", max(8, num_clients // 4))
    places = draw.some("places", 6)
    town = {name: draw.pick(places) for name in names}
    owners: list[Row] = [
        {"ip": ip, "customer": name, "town": town[name]} for ip in clients for name in [draw.pick(names)]
    ]
    table = Table(
        name="clients",
        columns={"ip": "text", "customer": "text", "town": "text"},
        rows=owners,
        file="clients.db" if level == 5 or draw.chance(0.5) else "clients.json",
        about="which customer an address belongs to; a customer may have several.",
    )
    return World(tables=(table,), papers=(log, _plans(draw, names)) if level == 5 else (log,))


def _short(rows: list[Row]) -> Paper:
    def files(draw: Draw) -> Mapping[str, bytes]:
        lines = [f"{row['time']} {row['path']} {row['status']} {row['bytes']}\n" for row in rows]
        return {"access.log": "".join(lines).encode()}

    shown = "access.log (each line: day time path status bytes)"
    return Paper(name="log", rows=rows, files=files, loader=_SHORT_LOADER, shown=shown)


def _log(rows: list[Row], level: int) -> Paper:
    def line(draw: Draw, row: Row) -> str:
        ahead = 60 * draw.whole(-8, 9) if level == 5 else 0
        zone = f"{'-' if ahead < 0 else '+'}{abs(ahead) // 60:02d}{abs(ahead) % 60:02d}"
        time = f"{row['time'] + timedelta(minutes=ahead):%d/%b/%Y:%H:%M:%S} {zone}"
        tail = f" id={row['id']}" if level > 2 else ""
        return f'{row["ip"]} - - [{time}] "GET {row["path"]} HTTP/1.1" {row["status"]} {row["bytes"]} {row["ms"]}{tail}'

    def files(draw: Draw) -> Mapping[str, bytes]:
        lines = [line(draw, row) for row in rows]
        for _ in range(len(lines) // 20 if level > 2 else 0):
            at = draw.whole(0, len(lines) - 1)
            lines.insert(at, draw.pick(lines[max(0, at - 9) : at + 1]))
            lines.insert(draw.whole(0, len(lines)), draw.pick(_NOISE))
        return {"access.log": "".join(f"{each}\n" for each in lines).encode()}

    about = (
        "access.log: one request a line: address, -, -, [time], request, status, bytes, milliseconds, id. A request "
        "may be logged twice with the same id and counts once; other lines are no requests."
    )
    if level == 5:
        about += " Times are in the zone that stands behind them; convert them to UTC."
    shown = "access.log (common log format; bytes and milliseconds end each line)"
    return Paper(name="log", rows=rows, files=files, loader=_LOADER, shown=shown, about=about)


def _plans(draw: Draw, names: list[str]) -> Paper:
    plans = [name.lower() for name in draw.some("adjectives", 4)]
    rows: list[Row] = [{"customer": name, "plan": draw.pick(plans)} for name in names]

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {"name": plan, "customers": [{"name": row["customer"]} for row in rows if row["plan"] == plan]}
            for plan in plans
        ]
        return {"plans.json": pretty({"plans": nested})}

    about = "plans.json: the plans, each with its customers."
    return Paper(name="plans", rows=rows, files=files, loader=_PLANS_LOADER, about=about)


def ask_path_bytes(draw: Draw, world: World) -> Case | None:
    """Ask for the bytes sent for a path; None where a single request would tell."""
    path = draw.pick(world["log"])["path"]
    found = [row["bytes"] for row in world["log"] if row["path"] == path]
    return Case(params={"path": path}, answer=number(sum(found))) if len(found) > 1 else None


def ask_status_bytes(draw: Draw, world: World) -> Case | None:
    """Ask for the bytes sent with a status; None where a single request would tell."""
    status = draw.pick(world["log"])["status"]
    found = [row["bytes"] for row in world["log"] if row["status"] == status]
    return Case(params={"status": status}, answer=number(sum(found))) if len(found) > 1 else None


def ask_mean_ms(draw: Draw, world: World) -> Case | None:
    """Ask how long the successful requests for a path took on average; None where there is none."""
    path = draw.pick(world["log"])["path"]
    found = [row["ms"] for row in world["log"] if row["path"] == path and row["status"] == 200]
    if not found:
        return None
    exact = mean(found)
    return Case(params={"path": path}, answer=number(exact, 2), exact=exact)


def ask_slowest(draw: Draw, world: World) -> Case | None:
    """Ask which path took the longest on average with a status; None where two paths are near."""
    status = draw.pick((200, 301, 404))
    rows = [row for row in world["log"] if row["status"] == status]
    paths = grouped(rows, lambda row: str(row["path"]), lambda row: int(row["ms"]))
    best = top({path: mean(values) for path, values in paths.items()})
    return Case(params={"status": status}, answer=text(best)) if best else None


def ask_errors(draw: Draw, world: World) -> Case:
    """Ask how many requests for some paths ended in a server error; there may be none."""
    kept = draw.shuffled(sorted({row["path"] for row in world["log"]}))[:5]
    found = [row for row in world["log"] if row["path"] in kept and row["status"] >= 500]
    return Case(params={"paths": ", ".join(sorted(kept))}, answer=number(len(found)))


def ask_visitors(draw: Draw, world: World) -> Case:
    """Ask how many different addresses asked for a path."""
    path = draw.pick(world["log"])["path"]
    return Case(params={"path": path}, answer=number(len({row["ip"] for row in world["log"] if row["path"] == path})))


def _owner(world: World) -> dict[str, str]:
    return {row["ip"]: row["customer"] for row in world["clients"]}


def ask_customer_bytes(draw: Draw, world: World) -> Case:
    """Ask for the bytes sent to all addresses of a customer; they may be 0."""
    owner, customer = _owner(world), draw.pick(world["clients"])["customer"]
    found = [row["bytes"] for row in world["log"] if owner[row["ip"]] == customer]
    return Case(params={"customer": customer}, answer=number(sum(found)))


def ask_failing_customer(draw: Draw, world: World) -> Case | None:
    """Ask whose replies for a path are the largest by their mean; None where two customers are near."""
    owner, path = _owner(world), draw.pick(world["log"])["path"]
    rows = [row for row in world["log"] if row["path"] == path]
    customers = grouped(rows, lambda row: owner[row["ip"]], lambda row: int(row["bytes"]))
    best = top({name: mean(values) for name, values in customers.items() if len(values) > 2})
    return Case(params={"path": path}, answer=text(best)) if best else None


def ask_sessions(draw: Draw, world: World) -> Case | None:
    """Ask how many sessions the customers of a plan had, parted by pauses; None where they made no request."""
    owner, plan_of = _owner(world), {row["customer"]: row["plan"] for row in world["plans"]}
    plan, pause = draw.pick(world["plans"])["plan"], 10 * draw.whole(2, 9)
    times: dict[str, list[datetime]] = {}
    for row in world["log"]:
        if plan_of[owner[row["ip"]]] == plan:
            times.setdefault(owner[row["ip"]], []).append(row["time"])
    if not times:
        return None
    breaks = [
        later - first > timedelta(minutes=pause) for each in times.values() for first, later in pairwise(sorted(each))
    ]
    return Case(params={"plan": plan, "pause": pause}, answer=number(len(times) + sum(breaks)))


def ask_hours(draw: Draw, world: World) -> Case:
    """Ask for the bytes sent to customers of a plan between two hours of UTC; they may be 0."""
    owner, plan_of = _owner(world), {row["customer"]: row["plan"] for row in world["plans"]}
    plan, first = draw.pick(world["plans"])["plan"], draw.whole(0, 16)
    last = first + draw.whole(3, 7)
    found = [
        row["bytes"] for row in world["log"] if plan_of[owner[row["ip"]]] == plan and first <= row["time"].hour < last
    ]
    return Case(params={"plan": plan, "first": f"{first:02d}:00", "last": f"{last:02d}:00"}, answer=number(sum(found)))


def ask_funnel(draw: Draw, world: World) -> Case | None:
    """Ask how many addresses, a town's left out, asked for one path and within some hours for another."""
    first, second = draw.shuffled(sorted({row["path"] for row in world["log"]}))[:2]
    town = {row["ip"]: row["town"] for row in world["clients"]}
    left_out = draw.pick(world["clients"])["town"]
    within = draw.whole(20, 120)
    count = 0
    for ip in town:
        rows = [row for row in world["log"] if row["ip"] == ip and town[ip] != left_out]
        starts = [row["time"] for row in rows if row["path"] == first]
        ends = [row["time"] for row in rows if row["path"] == second]
        count += any(timedelta(0) < end - start <= timedelta(hours=within) for start in starts for end in ends)
    return Case(params={"a": first, "b": second, "town": left_out, "hours": within}, answer=number(count))
