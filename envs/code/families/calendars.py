"""Families over dates and times as texts: move by days, find a weekday, months between, minutes within hours.

Dates are written like 2026-03-09 and lie between 1990 and 2060.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_FIRST = date(1995, 1, 1)


def _date(rng: random.Random) -> str:
    return (_FIRST + timedelta(days=rng.randint(0, 20_000))).isoformat()


def _draw_weekday(rng: random.Random, level: int) -> dict[str, Any]:
    return {"day": rng.choice(_DAYS), "k": rng.randint(1, 40)}


def _draw_hours(rng: random.Random, level: int) -> dict[str, Any]:
    opens = rng.randint(10, 22) * 30
    return {"opens": opens, "closes": opens + rng.randint(8, 18) * 30, "shut": rng.choice(_DAYS)}


def _moments(rng: random.Random, params: Params) -> tuple[Any, ...]:
    start = rng.randint(0, 9 * 1440)
    return _moment(start), _moment(start + rng.choice([rng.randint(0, 900), rng.randint(0, 4000), 5 * 1440]))


def _moment(minutes: int) -> str:
    day = date(2026, 2, 23) + timedelta(days=minutes // 1440)
    return f"{day.isoformat()} {minutes % 1440 // 60:02d}:{minutes % 60:02d}"


_OPEN = """from datetime import datetime, timedelta

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def open_minutes(start, end):
    low, high = (datetime.fromisoformat(text) for text in (start, end))
    day, total = low.replace(hour=0, minute=0), 0
    while day < high:
        if DAYS[day.weekday()] != "$shut":
            begin = max(low, day + timedelta(minutes=$opens))
            finish = min(high, day + timedelta(minutes=$closes))
            total += max(0, int((finish - begin).total_seconds()) // 60)
        day += timedelta(days=1)
    return total
"""
_MONTHS = """from datetime import date


def months(start, end):
    a, b = date.fromisoformat(start), date.fromisoformat(end)
    whole = 12 * (b.year - a.year) + b.month - a.month
    if b.day < a.day + $grace:
        whole -= 1
    return max(0, whole) * $fee
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="date-after-days",
        topic="dates",
        levels=(1,),
        draw=lambda rng, level: {"k": rng.randint(20, 400)},
        signature="later(day: str) -> str",
        statement="The argument is a date such as 2026-03-09 (year, month, day). Return the date $k days later, "
        "written in the same way.",
        reference=(
            "from datetime import date, timedelta\n\n\ndef later(day):\n"
            "    return (date.fromisoformat(day) + timedelta(days=$k)).isoformat()\n"
        ),
        second=(
            "def later(day):\n    year, month, number = map(int, day.split('-'))\n    number += $k\n    while True:\n"
            "        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n"
            "        length = [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]\n"
            "        if number <= length:\n            return f'{year:04}-{month:02}-{number:02}'\n"
            "        number -= length\n        year, month = year + month // 12, month % 12 + 1\n"
        ),
        wrong=(
            "from datetime import date\n\n\ndef later(day):\n    moved = date.fromisoformat(day)\n"
            "    return moved.replace(day=moved.day + $k).isoformat()\n",
            "def later(day):\n    year, month, number = map(int, day.split('-'))\n    number += $k\n"
            "    while number > 30:\n        number -= 30\n        year, month = year + month // 12, month % 12 + 1\n"
            "    return f'{year:04}-{month:02}-{number:02}'\n",
        ),
        inputs=lambda rng, params: (_date(rng),),
        edges=lambda params: [("2023-12-31",), ("2024-02-28",), ("2000-02-29",), ("2026-01-01",)],
    ),
    Family(
        name="weekday-after-days",
        topic="dates",
        levels=(1, 2),
        draw=_draw_weekday,
        signature="next_day(day: str) -> str",
        statement="The argument is a date such as 2026-03-09 (year, month, day). Go $k days on from it, and from there "
        "to the first $day that is not earlier (the day reached counts if it is a $day). Return that date, written in "
        "the same way.",
        reference=(
            f"from datetime import date, timedelta\n\nDAYS = {_DAYS}\n\n\ndef next_day(day):\n"
            "    reached = date.fromisoformat(day) + timedelta(days=$k)\n"
            "    return (reached + timedelta(days=(DAYS.index('$day') - reached.weekday()) % 7)).isoformat()\n"
        ),
        second=(
            f"from datetime import date\n\nDAYS = {_DAYS}\n\n\ndef next_day(day):\n"
            "    number = date.fromisoformat(day).toordinal() + $k\n"
            '    while DAYS[(number - 1) % 7] != "$day":\n        number += 1\n'
            "    return str(date.fromordinal(number))\n"
        ),
        wrong=(
            f"from datetime import date, timedelta\n\nDAYS = {_DAYS}\n\n\ndef next_day(day):\n"
            "    reached = date.fromisoformat(day) + timedelta(days=$k)\n"
            "    return (reached + timedelta(days=(DAYS.index('$day') - reached.weekday() - 1) % 7 + 1)).isoformat()\n",
            f"from datetime import date, timedelta\n\nDAYS = {_DAYS}\n\n\ndef next_day(day):\n"
            "    reached = date.fromisoformat(day) + timedelta(days=$k)\n"
            "    return (reached + timedelta(days=(reached.weekday() - DAYS.index('$day')) % 7)).isoformat()\n",
        ),
        inputs=lambda rng, params: (_date(rng),),
        edges=lambda params: [(f"2026-02-{day}",) for day in range(18, 25)],
    ),
    Family(
        name="whole-months",
        topic="dates",
        levels=(2, 3),
        draw=lambda rng, level: {"fee": rng.randint(3, 60), "grace": rng.randint(1, 2 * level)},
        signature="months(start: str, end: str) -> int",
        statement="Both arguments are dates such as 2026-03-09 (year, month, day). Count the calendar months from the "
        "month of start to that of end (from January to March of one year there are 2, whatever the days), less one if "
        "the day number of end is below the day number of start plus $grace. Return $fee times that count, or 0 if the "
        "count is negative.",
        reference=_MONTHS,
        second="""def months(start, end):
    (y, m, d), (year, month, day) = (tuple(map(int, text.split("-"))) for text in (start, end))
    count = 0
    while (y, m) < (year, month):
        m += 1
        if m == 13:
            y, m = y + 1, 1
        count += 1
    return $fee * max(0, count - (day - d < $grace))
""",
        wrong=(
            _MONTHS.replace("b.day < a.day + $grace", "b.day <= a.day + $grace"),
            _MONTHS.replace("max(0, whole)", "whole"),
            _MONTHS.replace("b.day < a.day + $grace", "b.day < a.day"),
        ),
        inputs=lambda rng, params: tuple(
            f"20{rng.randint(20, 22)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}" for _ in "ab"
        ),
        edges=lambda p: [
            ("2024-01-05", f"2024-02-{5 + p['grace']:02}"),
            ("2024-01-05", f"2025-01-{4 + p['grace']:02}"),
            ("2024-01-05", "2024-02-05"),
            ("2024-01-05", "2024-01-05"),
            ("2024-05-05", "2023-01-30"),
        ],
    ),
    Family(
        name="open-minutes",
        topic="dates",
        levels=(4, 5),
        draw=_draw_hours,
        signature="open_minutes(start: str, end: str) -> int",
        statement="A shop is open every day but $shut, from $opens minutes after midnight until $closes minutes after "
        "midnight of the same day. Both arguments are moments such as 2026-03-09 14:05 (year, month, day, hour, "
        "minute); end is not before start, and they may be months apart. Return for how many minutes between start "
        "and end the shop is open.",
        reference=_OPEN,
        second="""from datetime import date

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def open_minutes(start, end):
    def before(text):
        day, hour, minute = text[:10], int(text[11:13]), int(text[14:])
        number = date.fromisoformat(day).toordinal()
        today = min(max(hour * 60 + minute - $opens, 0), $closes - $opens)
        if DAYS[(number - 1) % 7] == "$shut":
            today = 0
        # Open days since a fixed day, so that both ends are counted from the same moment.
        base = date(2026, 1, 1).toordinal()
        days = sum(DAYS[(d - 1) % 7] != "$shut" for d in range(base, number))
        return days * ($closes - $opens) + today

    return before(end) - before(start)
""",
        wrong=(
            _OPEN.replace('if DAYS[day.weekday()] != "$shut":', "if True:"),
            _OPEN.replace(
                "max(0, int((finish - begin).total_seconds()) // 60)", "int((finish - begin).total_seconds()) // 60"
            ),
            _OPEN.replace("day, total = low.replace(hour=0, minute=0), 0", "day, total = low, 0")
            .replace("day + timedelta(minutes=$opens)", "day.replace(hour=0, minute=0) + timedelta(minutes=$opens)")
            .replace("day + timedelta(minutes=$closes)", "day.replace(hour=0, minute=0) + timedelta(minutes=$closes)"),
        ),
        inputs=_moments,
        edges=lambda p: [
            ("2026-03-09 00:00", "2026-03-09 00:00"),
            ("2026-03-09 23:00", "2026-03-10 06:00"),
            ("2026-03-02 22:00", "2026-03-06 12:00"),
            ("2026-03-04 12:30", "2026-03-04 13:00"),
            ("2026-03-01 00:00", "2026-04-20 00:00"),
        ],
    ),
)
