"""Families about dates: ISO text in, ISO text or counts out, never the clock.

All dates lie between 1960 and 2060, so that no calendar but the present one matters.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NAMES = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heron", "iris", "juniper")


def _day(rng: random.Random, low: int = 1990, high: int = 2030) -> date:
    return date(low, 1, 1) + timedelta(days=rng.randrange((high - low) * 365))


def _draw_delivery(rng: random.Random, level: int) -> dict[str, Any]:
    first, second = rng.choice([(5, 6), (4, 5), (6, 0), (2, 6), (1, 4), (0, 3), (1, 2), (3, 5)])
    free = {"first": first, "second": second, "free_one": _DAYS[first], "free_two": _DAYS[second]}
    return {"n": rng.randint(3, 9 + 6 * level), **free}


def _in_delivery(rng: random.Random, params: Params) -> tuple[Any, ...]:
    start = _day(rng)
    holidays = [
        (start + timedelta(days=rng.randint(-3, 2 * params["n"]))).isoformat() for _ in range(rng.randint(0, 6))
    ]
    return start.isoformat(), holidays


_DELIVERY = Family(
    name="delivery-day",
    topic="dates",
    levels=(2, 3),
    draw=_draw_delivery,
    signature="deliver(start: str, holidays: list[str]) -> str",
    statement="""Return the date (YYYY-MM-DD) of the working day number $n after `start`, which is an ISO date.
A day is a working day if it is neither a $free_one nor a $free_two and is not listed in `holidays`, a list of ISO dates in any order, perhaps with repeats. The day `start` itself is never counted, whether it is a working day or not; the first working day after it is number 1.""",  # noqa: E501
    reference="""from datetime import date, timedelta

def deliver(start, holidays):
    closed = set(holidays)
    day = date.fromisoformat(start)
    left = $n
    while left:
        day += timedelta(days=1)
        if day.weekday() not in ($first, $second) and day.isoformat() not in closed:
            left -= 1
    return day.isoformat()
""",
    second="""import datetime

def deliver(start, holidays):
    base = datetime.date.fromisoformat(start).toordinal()
    off = {datetime.date.fromisoformat(h).toordinal() for h in holidays}
    # Ordinal 1 is a Monday.
    open_days = [d for d in range(base + 1, base + 30 + 2 * $n + len(off)) if (d - 1) % 7 not in [$first, $second] and d not in off]
    return datetime.date.fromordinal(open_days[$n - 1]).isoformat()
""",  # noqa: E501
    wrong=(
        """from datetime import date, timedelta

def deliver(start, holidays):
    day = date.fromisoformat(start)
    left = $n
    while left:
        if day.weekday() not in ($first, $second) and day.isoformat() not in holidays:
            left -= 1
        day += timedelta(days=1)
    return day.isoformat()
""",
    ),
    inputs=_in_delivery,
    edges=lambda params: [
        ("2024-02-23", []),
        ("2023-12-28", ["2024-01-01", "2024-01-01"]),
        ("2024-06-01", ["2024-06-01"]),
    ],
)


def _draw_meetings(rng: random.Random, level: int) -> dict[str, Any]:
    weekday = rng.randrange(7)
    return {"weekday": weekday, "name": _DAYS[weekday], "nth": rng.randint(2, 5), "pause": rng.randint(1, 12)}


_MEETINGS = Family(
    name="monthly-meetings",
    topic="dates",
    levels=(2, 3),
    draw=_draw_meetings,
    signature="meetings(first_year: int, last_year: int) -> list[str]",
    statement="""A club meets on ${name} number $nth of every month (number 1 is the first $name of the month).
Return the ISO dates of all its meetings from January of `first_year` to December of `last_year`, both included, in order. Month $pause (1 is January) has no meeting, and neither has a month with fewer than $nth such days. If `last_year` is before `first_year`, return an empty list.""",  # noqa: E501
    reference="""import calendar

def meetings(first_year, last_year):
    out = []
    for year in range(first_year, last_year + 1):
        for month in range(1, 13):
            start, length = calendar.monthrange(year, month)
            day = 1 + ($weekday - start) % 7 + 7 * ($nth - 1)
            if day <= length and month != $pause:
                out.append(f"{year:04d}-{month:02d}-{day:02d}")
    return out
""",
    second="""from datetime import date, timedelta

def meetings(first_year, last_year):
    day, found, out = date(first_year, 1, 1), 0, []
    while day.year <= last_year:
        if day.day == 1:
            found = 0
        if day.weekday() == $weekday:
            found += 1
            if found == $nth and day.month != $pause:
                out.append(day.isoformat())
        day += timedelta(days=1)
    return out
""",
    wrong=(
        """import calendar

def meetings(first_year, last_year):
    out = []
    for year in range(first_year, last_year + 1):
        for month in range(1, 13):
            start, length = calendar.monthrange(year, month)
            day = 1 + ($weekday - start) % 7 + 7 * ($nth - 1)
            if day <= length and month - 1 != $pause:
                out.append(f"{year:04d}-{month:02d}-{day:02d}")
    return out
""",
    ),
    inputs=lambda rng, params: (year := rng.randint(1990, 2030), year + rng.randint(0, 2)),
    edges=lambda params: [(2024, 2024), (2024, 2023), (2000, 2001)],
)


def _draw_payments(rng: random.Random, level: int) -> dict[str, Any]:
    return {"step": rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), "grace": rng.randint(0, 12 + level)}


def _in_payments(rng: random.Random, params: Params) -> tuple[Any, ...]:
    return _day(rng).replace(day=rng.choice([1, 15, 28])).isoformat()[:8] + rng.choice(["05", "28", "28"]), rng.randint(
        1, 9
    )


_PAYMENTS = Family(
    name="payment-plan",
    topic="dates",
    levels=(3, 4),
    draw=_draw_payments,
    signature="payments(start: str, count: int) -> list[str]",
    statement="""Return the ISO dates of `count` payments. Payment i (from 0) is due i * $step months after the ISO date `start`: on the same day of the month as `start`, or on the last day of the month where the month is too short. Being moved back once does not change the later due dates: from January 31 one month leads to the end of February, two months to March 31. Each payment is returned $grace days after its due date. For `count` 0 return an empty list.""",  # noqa: E501
    reference="""import calendar
from datetime import date, timedelta

def payments(start, count):
    first = date.fromisoformat(start)
    out = []
    for i in range(count):
        months = first.month - 1 + i * $step
        year, month = first.year + months // 12, months % 12 + 1
        day = min(first.day, calendar.monthrange(year, month)[1])
        out.append((date(year, month, day) + timedelta(days=$grace)).isoformat())
    return out
""",
    second="""from datetime import date, timedelta

def payments(start, count):
    year, month, want = (int(part) for part in start.split("-"))
    out = []
    while len(out) < count:
        day = want
        while True:
            try:
                due = date(year, month, day)
                break
            except ValueError:
                day -= 1
        out.append(str(due + timedelta($grace)))
        month += $step
        if month > 12:
            year, month = year + 1, month - 12
    return out
""",
    wrong=(
        """import calendar
from datetime import date, timedelta

def payments(start, count):
    due = date.fromisoformat(start)
    out = []
    for _ in range(count):
        out.append((due + timedelta(days=$grace)).isoformat())
        months = due.month - 1 + $step
        year, month = due.year + months // 12, months % 12 + 1
        due = date(year, month, min(due.day, calendar.monthrange(year, month)[1]))
    return out
""",
    ),
    inputs=_in_payments,
    edges=lambda params: [
        ("2024-01-31", 13),
        ("2023-08-31", 12),
        ("2024-02-29", 13),
        ("2023-12-30", 8),
        ("2024-05-05", 0),
    ],
)


def _draw_ticket(rng: random.Random, level: int) -> dict[str, Any]:
    child, senior = rng.randint(5, 17), rng.randint(60, 70)
    return {"child": child, "senior": senior, "low": rng.randint(2, 9), "full": rng.randint(12, 20)}


def _in_ticket(rng: random.Random, params: Params) -> tuple[Any, ...]:
    birth = _day(rng, 1950, 1975)
    age = rng.choice([params["child"], params["senior"], rng.randint(0, 80)])
    near = date(birth.year + age, birth.month, min(birth.day, 28)) + timedelta(days=rng.choice([-40, -1, 0, 1, 200]))
    return birth.isoformat(), max(near, birth).isoformat()


_TICKET = Family(
    name="ticket-price",
    topic="dates",
    levels=(2, 3),
    draw=_draw_ticket,
    signature="price(birth: str, visit: str) -> int",
    statement="""Return the price of a ticket on the ISO date `visit` for someone born on the ISO date `birth`. Their age is the number of birthdays they have had after the day of birth, up to and including the day of the visit; who was born on February 29 has the birthday on March 1 in years without that day. Below age $child the price is $low, from age $senior on it is $low too, otherwise $full. If `visit` is before `birth`, return -1.""",  # noqa: E501
    reference="""def price(birth, visit):
    if visit < birth:
        return -1
    age = int(visit[:4]) - int(birth[:4]) - (visit[5:] < birth[5:])
    return $full if $child <= age < $senior else $low
""",
    second="""from datetime import date

def price(birth, visit):
    b, v = date.fromisoformat(birth), date.fromisoformat(visit)
    if v < b:
        return -1
    age = 0
    for year in range(b.year + 1, v.year + 1):
        try:
            birthday = b.replace(year=year)
        except ValueError:
            birthday = date(year, 3, 1)
        age += birthday <= v
    if age < $child or age >= $senior:
        return $low
    return $full
""",
    wrong=(
        """from datetime import date

def price(birth, visit):
    days = (date.fromisoformat(visit) - date.fromisoformat(birth)).days
    if days < 0:
        return -1
    return $full if $child <= days // 365 < $senior else $low
""",
    ),
    inputs=_in_ticket,
    edges=lambda params: [
        ("1960-02-29", f"{1960 + params['senior']}-02-28"),
        ("1961-06-15", f"{1961 + params['child']}-06-14"),
        ("1961-06-15", f"{1961 + params['child']}-06-15"),
        ("2000-01-02", "2000-01-01"),
        ("2000-01-02", "2000-01-02"),
    ],
)


def _draw_rota(rng: random.Random, level: int) -> dict[str, Any]:
    return {
        "crew": rng.sample(_NAMES, rng.randint(3, 4 + level)),
        "turn": rng.randint(2, 9),
        "anchor": _day(rng).isoformat(),
    }


_ROTA = Family(
    name="rota",
    topic="dates",
    levels=(2, 3),
    draw=_draw_rota,
    signature="on_duty(day: str) -> str",
    statement="""The crews $crew take turns in this order, without end and without beginning; each turn lasts $turn days. On $anchor the first crew of the list began a turn. Return the crew on duty on the ISO date `day`, which may lie before or after that date.""",  # noqa: E501
    reference="""from datetime import date

def on_duty(day):
    crew = $crew
    gone = (date.fromisoformat(day) - date.fromisoformat("$anchor")).days
    return crew[gone // $turn % len(crew)]
""",
    second="""from datetime import date, timedelta

def on_duty(day):
    days = [name for name in $crew for _ in range($turn)]
    now, goal = date.fromisoformat("$anchor"), date.fromisoformat(day)
    place = 0
    while now != goal:
        step = 1 if goal > now else -1
        now += timedelta(days=step)
        place = (place + step) % len(days)
    return days[place]
""",
    wrong=(
        """from datetime import date

def on_duty(day):
    crew = $crew
    gone = abs((date.fromisoformat(day) - date.fromisoformat("$anchor")).days)
    return crew[gone // $turn % len(crew)]
""",
    ),
    inputs=lambda rng, params: (
        (date.fromisoformat(params["anchor"]) + timedelta(days=rng.randint(-400, 400))).isoformat(),
    ),
    edges=lambda params: [
        ((date.fromisoformat(params["anchor"]) + timedelta(days=shift)).isoformat(),)
        for shift in (-1, 0, -params["turn"], params["turn"], -params["turn"] - 1)
    ],
)


def _draw_week(rng: random.Random, level: int) -> dict[str, Any]:
    start, mark = rng.randrange(7), rng.choice("W wk # w KW week".split())
    return {"start": start, "name": _DAYS[start], "pin": rng.randint(1, 7), "mark": mark}


def _in_week(rng: random.Random, params: Params) -> tuple[Any, ...]:
    year = rng.randint(1980, 2040)
    return ((date(year, 1, 1) + timedelta(days=rng.choice([rng.randint(-9, 9), rng.randint(10, 350)]))).isoformat(),)


_WEEK = Family(
    name="week-label",
    topic="dates",
    levels=(4, 5),
    draw=_draw_week,
    signature="week(day: str) -> str",
    statement="""Weeks begin on a $name. Week 1 of a year is the week that contains January $pin of that year, and the weeks are numbered from there, until week 1 of the next year begins. Return the label of the week of the ISO date `day`: the year to which the week belongs in four digits, a hyphen, the text $mark, and the number of the week in two digits. The first or last days of a calendar year may belong to a week of the neighbouring year.""",  # noqa: E501
    reference="""from datetime import date, timedelta

def _begin(year):
    pin = date(year, 1, $pin)
    return pin - timedelta(days=(pin.weekday() - $start) % 7)

def week(day):
    now = date.fromisoformat(day)
    year = max(y for y in (now.year - 1, now.year, now.year + 1) if _begin(y) <= now)
    return f"{year:04d}-$mark{(now - _begin(year)).days // 7 + 1:02d}"
""",
    second="""from datetime import date, timedelta

def week(day):
    now, goal = date(int(day[:4]) - 2, 6, 1), date.fromisoformat(day)
    while now.weekday() != $start:
        now += timedelta(days=1)
    year, number = now.year, 0
    while True:
        days = [now + timedelta(days=i) for i in range(7)]
        number += 1
        for d in days:
            if (d.month, d.day) == (1, $pin):
                year, number = d.year, 1
        if goal in days:
            return "%04d-$mark%02d" % (year, number)
        now += timedelta(days=7)
""",
    wrong=(
        """from datetime import date, timedelta

def week(day):
    now = date.fromisoformat(day)
    pin = date(now.year, 1, $pin)
    begin = pin - timedelta(days=(pin.weekday() - $start) % 7)
    return f"{now.year:04d}-$mark{(now - begin).days // 7 + 1:02d}"
""",
    ),
    inputs=_in_week,
    edges=lambda params: [
        (f"{year}-{end}",) for year in (2019, 2020, 2021, 2024) for end in ("01-01", "01-06", "12-26", "12-31")
    ],
)

FAMILIES: tuple[Family, ...] = (_DELIVERY, _MEETINGS, _PAYMENTS, _TICKET, _ROTA, _WEEK)
