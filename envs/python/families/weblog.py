"""What is asked of the log of a web server: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import weblog as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_OWNER = '\nowner = {c["ip"]: c["customer"] for c in clients}\n'

FAMILIES = (
    Family(
        name="log-bytes-of-path",
        levels=(1, 2, 3),
        world=data.world,
        ask=data.ask_path_bytes,
        train=("How many bytes were sent for $path in all?", "Add up the bytes of the requests for $path."),
        test=("What is the total of bytes that went out for $path?", "Sum the bytes over all requests to $path."),
        cell='print(sum(r["bytes"] for r in log if r["path"] == $path))',
    ),
    Family(
        name="log-bytes-of-status",
        levels=(1,),
        world=data.world,
        ask=data.ask_status_bytes,
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
        world=data.world,
        ask=data.ask_mean_ms,
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
        world=data.world,
        ask=data.ask_slowest,
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
        world=data.world,
        ask=data.ask_errors,
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
        world=data.world,
        ask=data.ask_visitors,
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
        world=data.world,
        ask=data.ask_customer_bytes,
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
        world=data.world,
        ask=data.ask_failing_customer,
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
        world=data.world,
        ask=data.ask_sessions,
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
        world=data.world,
        ask=data.ask_hours,
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
        world=data.world,
        ask=data.ask_funnel,
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
