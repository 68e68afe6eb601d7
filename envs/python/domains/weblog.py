"""The log of a web server: short lines, then the common format, then repeats, noise, clients and several zones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from agentrl.envs.python.answers import number, text
from agentrl.envs.python.family import Case, Family, Row, World, grouped, mean, size, top
from agentrl.envs.python.files import Paper, Table
from agentrl.envs.python.words import Draw

__all__ = ["FAMILIES"]

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


def _world(draw: Draw) -> World:
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
        return {"plans.json": json.dumps({"plans": nested}, indent=1).encode()}

    about = "plans.json: the plans, each with its customers."
    return Paper(name="plans", rows=rows, files=files, loader=_PLANS_LOADER, about=about)


def _path_bytes(draw: Draw, world: World) -> Case | None:
    path = draw.pick(world["log"])["path"]
    found = [row["bytes"] for row in world["log"] if row["path"] == path]
    return Case(params={"path": path}, answer=number(sum(found))) if len(found) > 1 else None


def _status_bytes(draw: Draw, world: World) -> Case | None:
    status = draw.pick(world["log"])["status"]
    found = [row["bytes"] for row in world["log"] if row["status"] == status]
    return Case(params={"status": status}, answer=number(sum(found))) if len(found) > 1 else None


def _mean_ms(draw: Draw, world: World) -> Case | None:
    path = draw.pick(world["log"])["path"]
    found = [row["ms"] for row in world["log"] if row["path"] == path and row["status"] == 200]
    if not found:
        return None
    exact = mean(found)
    return Case(params={"path": path}, answer=number(exact, 2), exact=exact)


def _slowest(draw: Draw, world: World) -> Case | None:
    status = draw.pick((200, 301, 404))
    rows = [row for row in world["log"] if row["status"] == status]
    paths = grouped(rows, lambda row: str(row["path"]), lambda row: int(row["ms"]))
    best = top({path: mean(values) for path, values in paths.items()})
    return Case(params={"status": status}, answer=text(best)) if best else None


def _errors(draw: Draw, world: World) -> Case:
    kept = draw.shuffled(sorted({row["path"] for row in world["log"]}))[:5]
    found = [row for row in world["log"] if row["path"] in kept and row["status"] >= 500]
    return Case(params={"paths": ", ".join(sorted(kept))}, answer=number(len(found)))


def _visitors(draw: Draw, world: World) -> Case:
    path = draw.pick(world["log"])["path"]
    return Case(params={"path": path}, answer=number(len({row["ip"] for row in world["log"] if row["path"] == path})))


def _owner(world: World) -> dict[str, str]:
    return {row["ip"]: row["customer"] for row in world["clients"]}


def _customer_bytes(draw: Draw, world: World) -> Case:
    owner, customer = _owner(world), draw.pick(world["clients"])["customer"]
    found = [row["bytes"] for row in world["log"] if owner[row["ip"]] == customer]
    return Case(params={"customer": customer}, answer=number(sum(found)))


def _failing_customer(draw: Draw, world: World) -> Case | None:
    owner, path = _owner(world), draw.pick(world["log"])["path"]
    rows = [row for row in world["log"] if row["path"] == path]
    customers = grouped(rows, lambda row: owner[row["ip"]], lambda row: int(row["bytes"]))
    best = top({name: mean(values) for name, values in customers.items() if len(values) > 2})
    return Case(params={"path": path}, answer=text(best)) if best else None


def _sessions(draw: Draw, world: World) -> Case | None:
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


def _hours(draw: Draw, world: World) -> Case:
    owner, plan_of = _owner(world), {row["customer"]: row["plan"] for row in world["plans"]}
    plan, first = draw.pick(world["plans"])["plan"], draw.whole(0, 16)
    last = first + draw.whole(3, 7)
    found = [
        row["bytes"] for row in world["log"] if plan_of[owner[row["ip"]]] == plan and first <= row["time"].hour < last
    ]
    return Case(params={"plan": plan, "first": f"{first:02d}:00", "last": f"{last:02d}:00"}, answer=number(sum(found)))


def _funnel(draw: Draw, world: World) -> Case | None:
    first, second = draw.shuffled(sorted({row["path"] for row in world["log"]}))[:2]
    town = {row["ip"]: row["town"] for row in world["clients"]}
    left_out = draw.pick(world["clients"])["town"]
    within = draw.whole(3, 30)
    count = 0
    for ip in town:
        rows = [row for row in world["log"] if row["ip"] == ip and town[ip] != left_out]
        starts = [row["time"] for row in rows if row["path"] == first]
        ends = [row["time"] for row in rows if row["path"] == second]
        count += any(timedelta(0) < end - start <= timedelta(hours=within) for start in starts for end in ends)
    return Case(params={"a": first, "b": second, "town": left_out, "hours": within}, answer=number(count))


_OWNER = '\nowner = {c["ip"]: c["customer"] for c in clients}\n'

FAMILIES = (
    Family(
        name="log-bytes-of-path",
        levels=(1, 2, 3),
        world=_world,
        ask=_path_bytes,
        train=("How many bytes were sent for $path in all?", "Add up the bytes of the requests for $path."),
        test=("What is the total of bytes that went out for $path?", "Sum the bytes over all requests to $path."),
        cell='print(sum(r["bytes"] for r in log if r["path"] == $path))',
    ),
    Family(
        name="log-bytes-of-status",
        levels=(1,),
        world=_world,
        ask=_status_bytes,
        train=(
            "How many bytes have the lines with status $status in all?",
            "Add up the bytes where the status is $status.",
        ),
        test=("What do the bytes of all requests that ended with $status come to?", "Sum the bytes of status $status."),
        cell='print(sum(r["bytes"] for r in log if r["status"] == $status))',
    ),
    Family(
        name="log-mean-milliseconds",
        levels=(2, 3),
        world=_world,
        ask=_mean_ms,
        train=(
            "How many milliseconds did requests for $path with status 200 take on average?",
            "What is the mean time in milliseconds of $path, status 200 only?",
        ),
        test=(
            "Among the requests to $path that ended with 200, what is the average of milliseconds?",
            "Find the average milliseconds for $path where the status is 200.",
        ),
        cell="""
found = [r["ms"] for r in log if r["path"] == $path and r["status"] == 200]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="log-slowest-path",
        levels=(2, 3),
        world=_world,
        ask=_slowest,
        train=(
            "Which path took the most milliseconds on average in requests with status $status?",
            "For status $status, name the path with the highest mean of milliseconds.",
        ),
        test=(
            "Where the status is $status, what path is the slowest by its average milliseconds?",
            "Find the path whose requests that ended with $status have the greatest mean duration.",
        ),
        cell="""
times = {}
for r in log:
    if r["status"] == $status:
        times.setdefault(r["path"], []).append(r["ms"])
print(max(times, key=lambda path: sum(times[path]) / len(times[path])))""",
    ),
    Family(
        name="log-errors",
        levels=(3,),
        world=_world,
        ask=_errors,
        train=(
            "How many requests for the paths $paths ended with a status of 500 or more?",
            "Count the requests for $paths whose status is at least 500.",
        ),
        test=(
            "Of the requests to any of $paths, how many failed with a status from 500 up?",
            "What is the number of server errors (status 500 and above) on $paths?",
        ),
        cell='print(sum(r["path"] in $paths.split(", ") and r["status"] >= 500 for r in log))',
    ),
    Family(
        name="log-visitors",
        levels=(3, 4),
        world=_world,
        ask=_visitors,
        train=("How many different addresses requested $path?", "Count the different addresses that asked for $path."),
        test=(
            "From how many distinct addresses was $path visited?",
            "What is the number of distinct visitors, by address, of $path?",
        ),
        cell='print(len({r["ip"] for r in log if r["path"] == $path}))',
    ),
    Family(
        name="log-bytes-of-customer",
        levels=(4,),
        world=_world,
        ask=_customer_bytes,
        train=(
            "How many bytes were sent to the customer $customer in all?",
            "Add up the bytes of all requests from addresses of $customer.",
        ),
        test=(
            "What total of bytes went to addresses that belong to $customer?",
            "Sum what the customer $customer received, in bytes.",
        ),
        cell=_OWNER + 'print(sum(r["bytes"] for r in log if owner[r["ip"]] == $customer))',
    ),
    Family(
        name="log-largest-replies",
        levels=(4, 5),
        world=_world,
        ask=_failing_customer,
        train=(
            "Of the customers with at least three requests for $path, whose requests for it have the most bytes "
            "on average?",
            "For $path, which customer has the highest mean of bytes? Leave out customers with fewer than three "
            "such requests.",
        ),
        test=(
            "Name the customer whose replies to $path are largest by their mean of bytes, among those who asked "
            "for it three times or more.",
            "Who gets the biggest average reply, in bytes, from $path, counting only customers who requested it "
            "thrice or more?",
        ),
        cell=_OWNER
        + """
sizes = {}
for r in log:
    if r["path"] == $path:
        sizes.setdefault(owner[r["ip"]], []).append(r["bytes"])
print(max((c for c in sizes if len(sizes[c]) > 2), key=lambda c: sum(sizes[c]) / len(sizes[c])))""",
    ),
    Family(
        name="log-sessions",
        levels=(5,),
        world=_world,
        ask=_sessions,
        train=(
            "A session of a customer ends where no request of that customer follows within $pause minutes. How "
            "many sessions did the customers of the plan $plan have together?",
            "Count the sessions of all customers of the plan $plan; one ends when the customer is silent for "
            "more than $pause minutes.",
        ),
        test=(
            "Cut each customer's requests into sessions wherever more than $pause minutes pass between two; how "
            "many sessions has the plan $plan in all?",
            "With sessions that are parted by pauses of over $pause minutes, how many do customers on $plan have?",
        ),
        cell=_OWNER
        + """
times = {}
for r in log:
    if plans[owner[r["ip"]]] == $plan:
        times.setdefault(owner[r["ip"]], []).append(r["time"])
count = 0
for each in times.values():
    each.sort()
    count += 1 + sum((b - a).total_seconds() > 60 * $pause for a, b in zip(each, each[1:]))
print(count)""",
    ),
    Family(
        name="log-hours-of-plan",
        levels=(5,),
        world=_world,
        ask=_hours,
        train=(
            "How many bytes were sent to customers of the plan $plan from $first up to but without $last UTC, "
            "over all days?",
            "Add up the bytes for customers of the plan $plan whose requests came at $first or later and before "
            "$last UTC.",
        ),
        test=(
            "In UTC, between $first and $last (the latter left out), what total of bytes did the customers on "
            "$plan get?",
            "Sum the bytes of requests by customers on $plan whose time in UTC is not before $first and is "
            "before $last.",
        ),
        cell=_OWNER
        + """
found = [r for r in log if plans[owner[r["ip"]]] == $plan and int($first[:2]) <= r["time"].hour < int($last[:2])]
print(sum(r["bytes"] for r in found))""",
    ),
    Family(
        name="log-funnel",
        levels=(5,),
        world=_world,
        ask=_funnel,
        train=(
            "How many addresses requested $a and later, within $hours hours of it, $b? Leave out those of "
            "customers in the town $town.",
            "Count the addresses outside the town $town that asked for $b at most $hours hours after they had "
            "asked for $a.",
        ),
        test=(
            "Without the addresses from $town, how many followed a request of $a by one of $b no more than "
            "$hours hours later?",
            "From how many addresses not in $town came a request to $b after one to $a, with $hours hours or "
            "less between?",
        ),
        cell="""
from datetime import timedelta
town = {c["ip"]: c["town"] for c in clients}
visits = {}
for r in log:
    if town[r["ip"]] != $town:
        visits.setdefault(r["ip"], {}).setdefault(r["path"], []).append(r["time"])
def follows(seen):
    return any(timedelta(0) < b - a <= timedelta(hours=$hours) for a in seen.get($a, []) for b in seen.get($b, []))
print(sum(follows(seen) for seen in visits.values()))""",
    ),
)
