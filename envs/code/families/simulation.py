"""Families that follow a small system step by step: queues, caches, cells, a robot, a scheduler, a store.

Time is a whole number and every tie is settled in the statement.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _in_queue(rng: random.Random, params: Params) -> tuple[Any, ...]:
    now, out = 0, []
    for _ in range(rng.randint(4, 20)):
        now += rng.choice([0, 0, 1, 1, 2, params["service"] // 2])
        out.append(now)
    return (out,)


_QUEUE = Family(
    name="counter-queue",
    topic="simulation",
    levels=(4, 5),
    draw=lambda rng, level: {
        "desks": rng.randint(1, level - 1),
        "service": rng.randint(4, 12),
        "room": rng.randint(1, 6),
    },
    signature="waits(arrivals: list[int]) -> list[int]",
    statement="""A bank has $desks desks; serving a customer takes $service minutes. `arrivals` holds the minutes at which customers arrive, in ascending order, perhaps with repeats (then the earlier in the list comes first). At an arrival, all services that end at that minute or before have ended, and waiting customers have taken the freed desks in the order in which they came. A customer who then finds a free desk starts at once. Otherwise the customer waits, unless $room customers are waiting already: then the customer leaves. Return for each customer the minutes of waiting, or -1 for one who leaves.""",  # noqa: E501
    reference="""import heapq

def waits(arrivals):
    free = [0] * $desks
    starts, out = [], []
    for now in arrivals:
        if sum(start > now for start in starts) >= $room and free[0] > now:
            out.append(-1)
            continue
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + $service)
        starts.append(start)
        out.append(start - now)
    return out
""",
    second="""def waits(arrivals):
    out = [None] * len(arrivals)
    desks, line, now, i = [], [], 0, 0
    while None in out:
        desks = [end for end in desks if end > now]
        while line and len(desks) < $desks:
            who = line.pop(0)
            out[who] = now - arrivals[who]
            desks.append(now + $service)
        while i < len(arrivals) and arrivals[i] == now:
            if len(desks) < $desks:
                out[i] = 0
                desks.append(now + $service)
            elif len(line) < $room:
                line.append(i)
            else:
                out[i] = -1
            i += 1
        now += 1
    return out
""",
    wrong=(
        """def waits(arrivals):
    free, out = [0] * $desks, []
    for now in arrivals:
        free.sort()
        start = max(now, free[0])
        free[0] = start + $service
        out.append(start - now)
    return out
""",
    ),
    inputs=_in_queue,
    edges=lambda params: [([],), ([0] * 12,), ([0, 0, 0, params["service"], params["service"]],)],
)

_CACHE = Family(
    name="cache-hits",
    topic="simulation",
    levels=(3, 4),
    draw=lambda rng, level: {"size": rng.randint(2, 5), "pin": rng.randint(2, 9), "cost": rng.randint(3, 9)},
    signature="cost(keys: list[int]) -> int",
    statement="""A cache holds at most $size keys and is empty at first. For each key asked for, in order: if it is in the cache, this costs 1. If not, it costs $cost and the key is put into the cache; if the cache is full, first the key that was asked for longest ago is thrown out (being found counts as being asked for). A key that is a multiple of $pin (0 is one) is never put into the cache and always costs $cost. Return the total cost.""",  # noqa: E501
    reference="""from collections import OrderedDict

def cost(keys):
    cache, total = OrderedDict(), 0
    for key in keys:
        if key in cache:
            cache.move_to_end(key)
            total += 1
            continue
        total += $cost
        if key % $pin:
            if len(cache) == $size:
                cache.popitem(last=False)
            cache[key] = True
    return total
""",
    second="""def cost(keys):
    # A key is found if fewer than the size other cacheable keys were asked for since its last time.
    total, asked = 0, [key for key in keys if key % $pin]
    total = $cost * (len(keys) - len(asked))
    for i, key in enumerate(asked):
        between = set()
        j = i - 1
        while j >= 0 and asked[j] != key:
            between.add(asked[j])
            j -= 1
        total += 1 if j >= 0 and len(between) < $size else $cost
    return total
""",
    wrong=(
        """def cost(keys):
    cache, total = [], 0
    for key in keys:
        if key in cache:
            total += 1
            continue
        total += $cost
        if key % $pin:
            if len(cache) == $size:
                cache.pop(0)
            cache.append(key)
    return total
""",
    ),
    inputs=lambda rng, params: ([rng.randint(0, 2 * params["size"] + 2) for _ in range(rng.randint(5, 40))],),
    edges=lambda params: [([],), ([0, 0, 0],), ([params["pin"]] * 3,), ([1, 1, 1],)],
)

_CELLS = Family(
    name="cell-row",
    topic="simulation",
    levels=(3, 4),
    draw=lambda rng, level: {
        "born": sorted(rng.sample([1, 2, 3, 4], rng.randint(1, 2))),
        "stay": sorted(rng.sample([0, 1, 2, 3, 4], rng.randint(1, 3))),
        "steps": rng.randint(2, 3 + level),
    },
    signature="evolve(row: str) -> str",
    statement="""`row` is a row of cells: `#` is alive, `.` is dead. The neighbours of a cell are the two cells to its left and the two cells to its right, as far as they exist; the row has ends. In one step, all cells change at the same time: a dead cell comes alive if its number of living neighbours is in $born; a living cell stays alive if that number is in $stay, and dies otherwise. Return the row after $steps steps. The row may be empty.""",  # noqa: E501
    reference="""def evolve(row):
    for _ in range($steps):
        after = ""
        for i, cell in enumerate(row):
            near = (row[max(0, i - 2):i] + row[i + 1:i + 3]).count("#")
            after += "#" if near in ($stay if cell == "#" else $born) else "."
        row = after
    return row
""",
    second="""def evolve(row):
    alive = {i for i, cell in enumerate(row) if cell == "#"}
    for _ in range($steps):
        near = {i: len({i - 2, i - 1, i + 1, i + 2} & alive) for i in range(len(row))}
        alive = {i for i in near if i in alive and near[i] in $stay or i not in alive and near[i] in $born}
    return "".join("#" if i in alive else "." for i in range(len(row)))
""",
    wrong=(
        """def evolve(row):
    cells = list(row)
    for _ in range($steps):
        for i, cell in enumerate(cells):
            near = (cells[max(0, i - 2):i] + cells[i + 1:i + 3]).count("#")
            cells[i] = "#" if near in ($stay if cell == "#" else $born) else "."
    return "".join(cells)
""",
    ),
    inputs=lambda rng, params: ("".join(rng.choice(".#") for _ in range(rng.randint(3, 24))),),
    edges=lambda params: [("",), ("#",), (".",), ("#####",), (".....#.....",), ("##.##",)],
)

_ROBOT = Family(
    name="robot-on-table",
    topic="simulation",
    levels=(2, 3),
    draw=lambda rng, level: {"wide": rng.randint(3, 9), "high": rng.randint(3, 9), "jump": rng.randint(2, 2 + level)},
    signature="drive(orders: str) -> list[int]",
    statement="""A robot stands on a table of $wide columns (x from 0) and $high rows (y from 0), at x = 0, y = 0, and looks north. Each character of `orders` is an order: `L` and `R` turn it left and right on its place, `F` moves it one field ahead (north is y + 1, east is x + 1), `J` moves it $jump fields ahead in one jump. A move that would end off the table is not made at all, and counts as a refusal. Other characters are ignored. Return [x, y, number of refusals].""",  # noqa: E501
    reference="""def drive(orders):
    x = y = refused = 0
    dx, dy = 0, 1
    for order in orders:
        if order == "L":
            dx, dy = -dy, dx
        elif order == "R":
            dx, dy = dy, -dx
        elif order in "FJ":
            far = 1 if order == "F" else $jump
            if 0 <= x + far * dx < $wide and 0 <= y + far * dy < $high:
                x, y = x + far * dx, y + far * dy
            else:
                refused += 1
    return [x, y, refused]
""",
    second="""def drive(orders):
    place, look, refused = complex(0, 0), complex(0, 1), 0
    for order in orders:
        look *= {"L": 1j, "R": -1j}.get(order, 1)
        step = {"F": 1, "J": $jump}.get(order, 0)
        goal = place + step * look
        if int(goal.real) in range($wide) and int(goal.imag) in range($high):
            place = goal
        else:
            refused += 1
    return [int(place.real), int(place.imag), refused]
""",
    wrong=(
        """def drive(orders):
    x = y = refused = 0
    dx, dy = 0, 1
    for order in orders:
        if order == "L":
            dx, dy = -dy, dx
        elif order == "R":
            dx, dy = dy, -dx
        elif order in "FJ":
            for _ in range(1 if order == "F" else $jump):
                if 0 <= x + dx < $wide and 0 <= y + dy < $high:
                    x, y = x + dx, y + dy
                else:
                    refused += 1
    return [x, y, refused]
""",
    ),
    inputs=lambda rng, params: ("".join(rng.choice("LRFFFJJx") for _ in range(rng.randint(5, 40))),),
    edges=lambda params: [("",), ("LF",), ("RFFFFFFFFF",), ("JJJJJ",), ("f j",)],
)

_TURNS = Family(
    name="round-robin",
    topic="simulation",
    levels=(3, 4),
    draw=lambda rng, level: {"slice": rng.randint(2, 6 + 3 * level), "switch": rng.randint(1, 12)},
    signature="finish(jobs: list[int]) -> list[int]",
    statement="""One machine works on `jobs`, a list of the units of time that each job needs (0 or more). All jobs stand in a queue in the order of the list. The machine takes the first job of the queue and works on it for $slice units, or for less if the job ends before; a job that has not ended goes to the end of the queue. Whenever the machine takes a job other than the one it worked on just before, this first costs $switch units; the very first job costs nothing. A job of 0 units does not enter the queue and has the result 0. Return for each job the time at which it ends, counted from 0.""",  # noqa: E501
    reference="""from collections import deque

def finish(jobs):
    out, left = [0] * len(jobs), list(jobs)
    queue = deque(i for i, need in enumerate(jobs) if need)
    now, last = 0, None
    while queue:
        i = queue.popleft()
        if last is not None and last != i:
            now += $switch
        last = i
        work = min($slice, left[i])
        now += work
        left[i] -= work
        if left[i]:
            queue.append(i)
        else:
            out[i] = now
    return out
""",
    second="""def finish(jobs):
    # Turn t of a job comes after turn t - 1 of all jobs, and within a turn in the order of the list.
    turns = sorted((t, i) for i, need in enumerate(jobs) for t in range(-(-need // $slice)))
    out, now = [0] * len(jobs), 0
    for k, (t, i) in enumerate(turns):
        if k and turns[k - 1][1] != i:
            now += $switch
        now += min($slice, jobs[i] - t * $slice)
        out[i] = now
    return out
""",
    wrong=(
        """from collections import deque

def finish(jobs):
    out, left, now = [0] * len(jobs), list(jobs), 0
    queue = deque(i for i, need in enumerate(jobs) if need)
    while queue:
        i = queue.popleft()
        work = min($slice, left[i])
        now += work
        left[i] -= work
        if left[i]:
            queue.append(i)
        else:
            out[i] = now
        now += $switch
    return out
""",
    ),
    inputs=lambda rng, params: ([rng.randint(0, 4 * params["slice"]) for _ in range(rng.randint(1, 8))],),
    edges=lambda params: [
        ([],),
        ([0, 0],),
        ([5 * params["slice"]],),
        ([1, 5 * params["slice"]],),
        ([params["slice"]] * 3,),
    ],
)


def _in_bucket(rng: random.Random, params: Params) -> tuple[Any, ...]:
    now, out = rng.randint(0, 9), []
    for _ in range(rng.randint(4, 25)):
        out.append(now)
        now += rng.choice([0, 0, 0, 0, 1, 1, params["every"], 4 * params["every"]])
    return (out,)


_BUCKET = Family(
    name="token-bucket",
    topic="simulation",
    levels=(2, 3),
    draw=lambda rng, level: {"size": rng.randint(2, 6), "more": rng.randint(1, level), "every": rng.randint(3, 16)},
    signature="allowed(times: list[int]) -> list[bool]",
    statement="""A bucket holds at most $size tokens and is full at minute 0. At each of the minutes $every, 2 * $every, 3 * $every, ... $more token(s) are put in, but what does not fit is lost. `times` holds the minutes (0 or more) of requests, in ascending order, perhaps with repeats. Tokens of a minute are put in before the requests of that minute. A request takes one token and is allowed; if the bucket is empty, it is not allowed. Return for each request whether it is allowed.""",  # noqa: E501
    reference="""def allowed(times):
    tokens, filled, out = $size, 0, []
    for now in times:
        turns = now // $every
        tokens = min($size, tokens + $more * (turns - filled))
        filled = turns
        out.append(tokens > 0)
        tokens -= tokens > 0
    return out
""",
    second="""def allowed(times):
    out, tokens = [], $size
    for minute in range(max(times, default=0) + 1):
        if minute and minute % $every == 0:
            for _ in range($more):
                if tokens < $size:
                    tokens += 1
        for _ in range(times.count(minute)):
            out.append(tokens != 0)
            if tokens:
                tokens -= 1
    return out
""",
    wrong=(
        """def allowed(times):
    taken, out = 0, []
    for now in times:
        fine = taken < $size + $more * (now // $every)
        taken += fine
        out.append(fine)
    return out
""",
    ),
    inputs=_in_bucket,
    edges=lambda params: [
        ([],),
        ([0] * 7,),
        ([0] * 6 + [params["every"] - 1] + [params["every"]] * 3,),
        ([9 * params["every"]] * 9,),
    ],
)

FAMILIES: tuple[Family, ...] = (_QUEUE, _CACHE, _CELLS, _ROBOT, _TURNS, _BUCKET)
