"""Levels 3 and 4: the log of a web server, counted and added up."""

from __future__ import annotations

from collections import Counter

from agentrl.envs.shell.families.tables import counted, fields
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES", "request_log"]


def request_log(draw: Draw, num: int) -> list[tuple[str, str, str, int, int]]:
    """Draw requests of a web server: address, time, path, status, bytes."""
    hosts = [f"10.{draw.whole(0, 99)}.{draw.whole(0, 99)}.{number}" for number in range(3, 9)]
    paths = [f"/{word}" for word in draw.some("stems", 6)]
    start = draw.moment()
    found = []
    callers = counted(draw, hosts, max(2, num // 8))
    for number, host in enumerate(callers):
        moment = start.replace(minute=0, second=0, hour=number * 20 // len(callers))
        shown = f"{moment:%d/%b/%Y:%H}:{draw.whole(0, 59):02d}:{draw.whole(0, 59):02d} +0000"
        found.append((host, shown, draw.pick(paths), draw.pick([200, 200, 200, 304, 404, 500]), draw.whole(200, 9999)))
    return found


def _logged(rows: list[tuple[str, str, str, int, int]]) -> list[str]:
    return [f'{host} - - [{at}] "GET {path} HTTP/1.1" {status} {size}' for host, at, path, status, size in rows]


@family(
    "top-callers",
    3,
    4,
    train=(
        "Write the $n addresses with the most requests in the web server's log $a to $b, the busiest first.",
        "From the log $a find the $n addresses that asked most often; $b gets one a line, most requests first.",
    ),
    test=("Rank the addresses of the web log $a by number of requests; the $n highest go to $b, one a line.",),
)
def callers(draw: Draw) -> Case:
    log, out, num = draw.file("log"), draw.file(), draw.whole(2, 3)
    rows = request_log(draw, 12 * draw.level)
    ranked = [host for host, _ in Counter(row[0] for row in rows).most_common()]
    return Case(
        params={"a": log, "b": out, "n": num},
        files={log: text(_logged(rows))},
        goal=Goal(checks={out: fields(ranked[:num])}),
        oracle=(f"cut -d' ' -f1 {log} | sort | uniq -c | sort -rn | head -n {num} | awk '{{print $2}}' > {out}",),
        wrong=(
            f"cut -d' ' -f1 {log} | sort | uniq -c | sort -n | head -n {num} | awk '{{print $2}}' > {out}",
            f"cut -d' ' -f1 {log} | sort -u | head -n {num} > {out}",
            f"cut -d' ' -f1 {log} | sort | uniq -c | sort -rn | head -n {num} > {out}",
        ),
    )


@family(
    "errors-by-hour",
    4,
    train=(
        "Count the requests with status 500 in the web log $a by the hour; write lines HH COUNT to $b, by hour.",
        "For each hour with a status 500 in the log $a write HH COUNT to $b, in the order of the hours.",
    ),
    test=("How often did each hour see a 500 in the web log $a? $b lists HH COUNT, early hours first, no empty ones.",),
)
def by_hour(draw: Draw) -> Case:
    log, out = draw.file("log"), draw.file()
    rows = request_log(draw, 90)
    count = '{ split($4, t, ":"); n[t[2]]++ } END { for (h in n) print h, n[h] }'
    hours = Counter(row[1].split(":")[1] for row in rows if row[3] == 500)
    return Case(
        params={"a": log, "b": out},
        files={log: text(_logged(rows))},
        goal=Goal(checks={out: fields(f"{hour} {hours[hour]}" for hour in sorted(hours))}),
        oracle=(f"awk '$9 == 500 {count}' {log} | sort > {out}",),
        wrong=(
            f"grep -c 500 {log} > {out}",
            f"awk '{count}' {log} | sort > {out}",
            f"awk '$9 == 404 {count}' {log} | sort > {out}",
        ),
    )


@family(
    "bytes-by-path",
    4,
    train=("Add up the bytes of each path with status 200 in the web log $a; write BYTES PATH to $b, largest first.",),
    test=("Which path cost most? From the 200s of the web log $a let $b list BYTES PATH, falling, one line a path.",),
)
def by_path(draw: Draw) -> Case:
    log, out = draw.file("log"), draw.file()
    rows = request_log(draw, 80)
    sums: Counter[str] = Counter()
    for row in rows:
        if row[3] == 200:
            sums[row[2]] += row[4]
    script = "$9 == 200 { n[$7] += $10 } END { for (p in n) print n[p], p }"
    return Case(
        params={"a": log, "b": out},
        files={log: text(_logged(rows))},
        goal=Goal(checks={out: fields(f"{size} {path}" for path, size in sums.most_common())}),
        oracle=(f"awk '{script}' {log} | sort -rn > {out}",),
        wrong=(
            f"awk '{script}' {log} | sort -n > {out}",
            f"awk '{script.replace('$9 == 200 ', '')}' {log} | sort -rn > {out}",
            f"awk '{script.replace('+= $10', '+= 1')}' {log} | sort -rn > {out}",
        ),
    )


FAMILIES = (callers, by_hour, by_path)
