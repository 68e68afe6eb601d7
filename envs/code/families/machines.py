"""Families that simulate a machine: a lift, a heater, a vending machine, counting out, two stations in a line."""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _draw_heater(rng: random.Random, level: int) -> dict[str, Any]:
    low = rng.randint(5, 30)
    return {"low": low, "high": low + rng.randint(2, 12)}


def _coins(rng: random.Random, params: Params) -> tuple[Any, ...]:
    events = []
    for _ in range(rng.randint(0, 16)):
        coin = f"coin {rng.choice([params['price'], rng.randint(1, params['price'])])}"
        events.append(rng.choice([coin, coin, "buy", "buy", "cancel"]))
    return (events,)


_LIFT = """def minutes(floors):
    total, here = 0, $start
    for floor in floors:
        if floor != here:
            total += $move * abs(floor - here) + $door
        here = floor
    return total
"""
_HEATER = """def on_time(degrees):
    on, total = False, 0
    for value in degrees:
        if value < $low:
            on = True
        elif value > $high:
            on = False
        total += on
    return total
"""
_VENDING = """def run(events):
    credit = sold = back = 0
    for event in events:
        if event == "cancel":
            back += credit
            credit = 0
        elif event == "buy":
            if credit >= $price and sold < $stock:
                sold += 1
                back += credit - $price
                credit = 0
        else:
            coin = int(event.split()[1])
            if credit + coin > $most:
                back += coin
            else:
                credit += coin
    return [sold, back, credit]
"""
_COUNT_OUT = """def leave(n):
    ring, out, place, step = list(range(1, n + 1)), [], 0, $k
    while ring:
        place = (place + step - 1) % len(ring)
        out.append(ring.pop(place))
        step += $more
    return out
"""
_LINE = """def finished(jobs):
    free, began, ended = 0, [], 0
    for i, (first, second) in enumerate(jobs):
        leaves = free + first
        if i >= $room:
            leaves = max(leaves, began[i - $room])
        free = leaves + $clean
        began.append(max(leaves, ended))
        ended = began[-1] + second + $setup
    return ended
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="lift-minutes",
        topic="simulation",
        levels=(1, 2),
        draw=lambda rng, level: {
            "start": rng.choice([-2, -1, *range(1, 10)]),
            "move": rng.randint(2, 7),
            "door": rng.randint(3, 12),
        },
        signature="minutes(floors: list[int]) -> int",
        statement="A lift stands at floor $start and is called to the floors of the list, one after the other; floors "
        "may be negative. Each time it needs $move seconds for every floor of distance and then $door seconds for "
        "the doors. A call to the floor where it stands takes no time at all. Return all seconds together.",
        reference=_LIFT,
        second=(
            "def minutes(floors):\n    ways = [abs(b - a) for a, b in zip([$start] + floors, floors)]\n"
            "    return $move * sum(ways) + $door * sum(way > 0 for way in ways)\n"
        ),
        wrong=(
            _LIFT.replace("        if floor != here:\n            total +=", "        total +="),
            _LIFT.replace("abs(floor - here)", "(floor - here)"),
            _LIFT.replace("here = 0, $start", "here = 0, 0"),
        ),
        inputs=lambda rng, params: ([rng.randint(-2, 9) for _ in range(rng.randint(0, 9))],),
        edges=lambda params: [([],), ([params["start"]],), ([params["start"] + 1] * 2,), ([-2, 9, -2],)],
    ),
    Family(
        name="heater-switching",
        topic="simulation",
        levels=(2,),
        draw=_draw_heater,
        signature="on_time(degrees: list[int]) -> int",
        statement="A heater is off at first. Every minute it reads the next temperature of the list: below $low it "
        "switches on, above $high it switches off, and from $low to $high (both included) it stays as it is. Return "
        "for how many of the readings the heater is on just after the reading.",
        reference=_HEATER,
        second=(
            "def on_time(degrees):\n    out = 0\n    for i in range(len(degrees)):\n"
            "        clear = [v for v in degrees[: i + 1] if v < $low or v > $high]\n"
            "        out += bool(clear) and clear[-1] < $low\n    return out\n"
        ),
        wrong=(
            "def on_time(degrees):\n    return sum(v < $low for v in degrees)\n",
            _HEATER.replace("value < $low", "value <= $low"),
            _HEATER.replace("value > $high", "value >= $high"),
        ),
        inputs=lambda rng, params: (
            [
                rng.choice([params["low"] - 1, params["low"], params["high"], params["high"] + 1, params["low"] + 1])
                for _ in range(rng.randint(0, 12))
            ],
        ),
        edges=lambda params: [
            ([],),
            ([params["low"]],),
            ([params["low"] - 1, params["high"], params["high"]],),
            ([params["low"] - 1, params["high"] + 1, params["low"]],),
        ],
    ),
    Family(
        name="vending-machine",
        topic="simulation",
        levels=(2, 3),
        draw=lambda rng, level: {
            "price": (price := rng.randint(5, 25)),
            "most": price + rng.randint(1, 10 * level),
            "stock": rng.randint(1, 3),
        },
        signature="run(events: list[str]) -> list[int]",
        statement="A machine sells $stock pieces at $price each and holds a credit of 0 at first. The events are: "
        "`coin` and a number: the coin is added to the credit, but if that would make the credit more than $most, the "
        "coin is given back; `buy`: if the credit is at least $price and a piece is left, one piece is sold, what the "
        "credit exceeds $price by is given back, and the credit is 0 again; otherwise nothing happens; `cancel`: the "
        "whole credit is given back. Return a list of three numbers: pieces sold, all money given back, and the "
        "credit at the end.",
        reference=_VENDING,
        second="""def run(events):
    state = {"credit": 0, "left": $stock, "put in": 0}
    for word, *number in map(str.split, events):
        if word == "coin":
            state["put in"] += int(number[0])
            if state["credit"] + int(number[0]) <= $most:
                state["credit"] += int(number[0])
        elif word == "cancel" or state["credit"] >= $price and state["left"] > 0:
            state["left"] -= word == "buy"
            state["credit"] = 0
    sold = $stock - state["left"]
    return [sold, state["put in"] - sold * $price - state["credit"], state["credit"]]
""",
        wrong=(
            _VENDING.replace(" and sold < $stock", ""),
            _VENDING.replace("credit >= $price", "credit > $price"),
            _VENDING.replace("credit + coin > $most", "credit + coin >= $most"),
            _VENDING.replace("back += credit - $price\n                credit = 0", "credit -= $price"),
        ),
        inputs=_coins,
        edges=lambda p: [
            ([],),
            (["buy"],),
            ([f"coin {p['price']}", "buy"] * 4,),
            ([f"coin {p['price']}", f"coin {p['most'] - p['price']}", "buy"],),
            ([f"coin {p['most']}", "coin 1", "cancel"],),
            ([f"coin {p['price']}", f"coin {p['most'] - p['price']}"],),
        ],
    ),
    Family(
        name="counting-out",
        topic="simulation",
        levels=(3, 4),
        draw=lambda rng, level: {"k": rng.randint(2, 15), "more": rng.randint(1, 5 * level)},
        signature="leave(n: int) -> list[int]",
        statement="n people with the numbers 1 to n stand in a circle, in this order (n may be 0). Counting begins "
        "with number 1 and goes round; the one on whom the count reaches $k leaves the circle. It begins anew with the "
        "next one, but each time it counts $more further than the time before. Return the numbers in the order in "
        "which they leave.",
        reference=_COUNT_OUT,
        second="""from collections import deque


def leave(n):
    ring, out, step = deque(range(1, n + 1)), [], $k
    while ring:
        for _ in range(step - 1):
            ring.append(ring.popleft())
        out.append(ring.popleft())
        step += $more
    return out
""",
        wrong=(
            _COUNT_OUT.replace("        step += $more\n", ""),
            _COUNT_OUT.replace("place + step - 1", "place + step"),
        ),
        inputs=lambda rng, params: (rng.randint(0, 25),),
        edges=lambda params: [(0,), (1,), (2,), (12,)],
    ),
    Family(
        name="two-stations",
        topic="simulation",
        levels=(4, 5),
        draw=lambda rng, level: {
            "room": rng.randint(1, 3),
            "clean": rng.randint(0, 6),
            "setup": rng.randint(0, 3 * level),
        },
        signature="finished(jobs: list[list[int]]) -> int",
        statement="Every job [a, b] passes station one for a minutes and then station two for b minutes; the jobs come "
        "in the order of the list and station one begins at minute 0. A job that is done at station one goes to the "
        "place between the stations, which holds at most $room waiting jobs; while that is full it stays on station "
        "one. After a job has left it, station one is cleaned for $clean minutes before it begins the next. Station "
        "two takes the next waiting job as soon as it is free, and needs $setup more minutes after every job before "
        "it is free; a job that it takes leaves the place between at that moment, and one may move up in the same "
        "minute. Return the minute at which station two is free after the last job; without jobs 0. "
        "a and b are at least 1.",
        reference=_LINE,
        second="""def finished(jobs):
    waiting, todo = [], list(jobs)
    one, one_until, two_until, minute, last = None, 0, 0, 0, 0
    while todo or waiting or one:
        moved = True
        while moved:
            moved = False
            if waiting and two_until <= minute:
                two_until = last = minute + waiting.pop(0) + $setup
                moved = True
            if one and one_until <= minute and len(waiting) < $room:
                waiting.append(one[1])
                one, one_until = None, minute + $clean
                moved = True
            if not one and todo and one_until <= minute:
                one = todo.pop(0)
                one_until = minute + one[0]
                moved = True
        minute += 1
    return last
""",
        wrong=(
            _LINE.replace("        if i >= $room:\n            leaves = max(leaves, began[i - $room])\n", ""),
            _LINE.replace("free = leaves + $clean", "free += first + $clean"),
            _LINE.replace("i - $room", "i - $room - 1").replace("i >= $room", "i > $room"),
        ),
        inputs=lambda rng, params: (
            [
                [rng.randint(1, rng.choice([5, 40])), rng.randint(1, rng.choice([5, 30]))]
                for _ in range(rng.randint(0, 10))
            ],
        ),
        edges=lambda params: [
            ([],),
            ([[3, 4]],),
            ([[20, 1]] * 4,),
            # Blocking shows only where a long first part comes after it.
            *(([[1, 60], *[[1, 1]] * k, [80, 1]],) for k in range(1, 6)),
        ],
    ),
)
