"""The kind payroll: shifts, pauses and wages of a week."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_CLOCK = '''
"""Times of the day in minutes."""


def minutes(text):
    """Return the minutes since midnight of a time such as 9:05."""
    hours, _, rest = text.partition(":")
    value = int(hours) * 60 + int(rest or "0")
    if not 0 <= value <= 24 * 60 or int(rest or "0") > 59:
        raise ValueError("no time: " + text)
    return value


def between(start, end):
    """Return the minutes from one time to another, past midnight where it is earlier."""
    span = minutes(end) - minutes(start)
    return span if span >= 0 else span + 24 * 60


def rounded(span, step=$step):
    """Return minutes rounded to the next full step, half of it upwards."""
    return (span + step // 2) // step * step
'''

_SHIFTS = '''
"""Shifts of one person."""

from @clock import between, minutes, rounded


class Shift:
    """From when to when, with a pause."""

    def __init__(self, day, start, end, pause=0):
        self.day = day
        self.span = between(start, end)
        if pause > self.span:
            raise ValueError("the pause is longer than the shift")
        if self.span - pause > $long and pause < $least_pause:
            pause = $least_pause
        self.worked = rounded(self.span - pause)
        self.is_late = minutes(start) >= $late * 60
'''

_PAY = '''
"""Wages of a week."""

from @shifts import Shift

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class $cls:
    """The shifts of a week, paid by the hour."""

    def __init__(self, rate):
        self.rate = rate
        self.shifts = []

    def work(self, day, start, end, pause=0):
        """Note a shift; return the minutes that count."""
        if day not in DAYS:
            raise ValueError("no day: " + day)
        shift = Shift(day, start, end, pause)
        self.shifts.append(shift)
        return shift.worked

    def minutes(self, day=None):
        """Return the minutes of a day, or of all."""
        return sum(shift.worked for shift in self.shifts if day in (None, shift.day))

    def extra(self):
        """Return the minutes beyond what a week has."""
        return max(0, self.minutes() - $week * 60)

    def pay(self):
        """Return the wage in cents: half more on sunday, a quarter more late, a quarter more for extra time."""
        whole = 0
        for shift in self.shifts:
            factor = 150 if shift.day == "sun" else 125 if shift.is_late else 100
            whole += shift.worked * self.rate * factor
        whole += self.extra() * self.rate * 25
        return whole // 6000
'''


def _pay(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"payroll:{params['cls']}=", [rng.randrange(10, 40) * 100])]
    for _ in range(rng.randrange(1, 6)):
        start = rng.choice([rng.randrange(5, 12), rng.randrange(16, 24)])
        end = (start + rng.randrange(2, 12)) % 24
        args = [rng.choice(["mon", "tue", "sun", "sat", "day"]), f"{start}:{rng.randrange(0, 60):02}"]
        args.append(rng.choice([f"{end}:{rng.randrange(0, 60):02}", str(end), "24:00", "12:75"]))
        if rng.random() < 0.3:  # about as long as a shift may be without a pause
            args[1:] = ["8", f"{8 + int(params['long']) // 60}:{rng.choice(['00', '05', '10', '20', '40'])}"]
        steps.append((".work", [*args, *([rng.choice([0, 15, 30, 45])] if rng.random() < 0.6 else [])]))
    return [*steps, (".minutes", [rng.choice(["mon", "tue", "sun"])]), (".extra", []), (".pay", [])]


KIND = Kind(
    name="payroll",
    about="Shifts, pauses and wages of a week.",
    modules={"clock": _CLOCK, "shifts": _SHIFTS, "payroll": _PAY},
    case=_pay,
    packages=("wages", "timesheet", "rota"),
    choices={
        "cls": ("Week", "Sheet"),
        "step": ("5", "15"),
        "long": ("360", "300"),
        "least_pause": ("30", "45"),
        "late": ("20", "21"),
        "week": ("20", "30"),
    },
    bugs=(
        Bug(
            name="midnight",
            module="clock",
            old="return span if span >= 0 else span + 24 * 60",
            new="return abs(span)",
            report="Shifts that go past midnight are counted wrongly.",
        ),
        Bug(
            name="down",
            module="clock",
            old="(span + step // 2) // step * step",
            new="span // step * step",
            report="Some shifts count a few minutes too little.",
        ),
        Bug(
            name="pause",
            module="shifts",
            old="if self.span - pause > $long and",
            new="if self.span > $long and",
            report="A pause is taken off from shifts that are not longer than $long minutes without their pause.",
        ),
        Bug(
            name="late",
            module="shifts",
            old="minutes(start) >= $late * 60",
            new="minutes(start) > ($late + 1) * 60",
            report="Late shifts, from $late:00 on, are not always paid as such.",
        ),
        Bug(
            name="sunday",
            module="payroll",
            old='150 if shift.day == "sun" else 125 if shift.is_late else 100',
            new='125 if shift.is_late else 150 if shift.day == "sun" else 100',
            report="On sundays the wage is sometimes too low.",
        ),
        Bug(
            name="extra",
            module="payroll",
            old="return max(0, self.minutes() - $week * 60)",
            new="return self.minutes() - $week * 60",
            report="The wage of a short week is too low.",
        ),
    ),
)
"""Shifts, pauses and wages of a week."""
