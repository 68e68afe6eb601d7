"""The kind rate-limiter: limits how much each user may do."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_BUCKET = '''
"""Buckets of tokens."""


class Bucket:
    """Holds some tokens; new ones drop in as time goes by."""

    def __init__(self, size, per_second):
        self.size = size
        self.per_second = per_second
        self.tokens = size
        self.time = 0

    def refill(self, now):
        """Add what dropped in since the last time; the clock may not go back."""
        if now > self.time:
            self.tokens = min(self.size, self.tokens + (now - self.time) * self.per_second)
            self.time = now

    def take(self, count, now):
        """Take tokens; return whether there were enough."""
        self.refill(now)
        if count > self.tokens:
            return False
        self.tokens -= count
        return True

    def wait(self, count, now):
        """Return the seconds until there are enough tokens, -1 where that never happens."""
        self.refill(now)
        if count > self.size:
            return -1
        missing = count - self.tokens
        if missing <= 0:
            return 0
        return -(-missing // self.per_second)
'''

_PLANS = '''
"""What a user may do."""

PLANS = {"free": ($small, 1), "$paid": ($large, $speed)}
COSTS = {"read": 1, "write": 2, "search": $search}


def plan(name):
    """Return the size of the bucket and the tokens of a second."""
    return PLANS.get(name, PLANS["free"])


def cost(action):
    """Return the tokens of an action."""
    if action not in COSTS:
        raise KeyError(action)
    return COSTS[action]
'''

_LIMITER = '''
"""Limit what users do."""

from @bucket import Bucket
from @plans import cost, plan


class $cls:
    """A bucket for each user."""

    def __init__(self):
        self.buckets = {}
        self.refused = {}

    def join(self, user, name="free"):
        """Give a user a plan and a full bucket."""
        size, speed = plan(name)
        self.buckets[user] = Bucket(size, speed)

    def allow(self, user, action, now):
        """Return whether a user may do something now."""
        if user not in self.buckets:
            self.join(user)
        is_allowed = self.buckets[user].take(cost(action), now)
        if not is_allowed:
            self.refused[user] = self.refused.get(user, 0) + 1
        return is_allowed

    def retry_after(self, user, action, now):
        """Return the seconds until a user may do something."""
        if user not in self.buckets:
            return 0
        return self.buckets[user].wait(cost(action), now)

    def report(self):
        """Return how often each user was refused, the most often first."""
        return sorted(self.refused.items(), key=lambda pair: (-pair[1], pair[0]))
'''


def _limiter(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"limiter:{params['cls']}=", [])]
    now = rng.randrange(0, 5)
    if rng.random() < 0.8:
        steps.append((".join", ["ada", rng.choice(["free", params["paid"], params["paid"], "gold"])]))
    for _ in range(rng.randrange(4, 11)):
        now += rng.choice([0, 0, 0, 1, 2, -1, 9])
        user, action = rng.choice(["ada", "ada", "bo"]), rng.choice(["read", "write", "search", "search"])
        steps.append((rng.choice([".allow", ".allow", ".retry_after"]), [user, action, now]))
    if rng.random() < 0.6:
        steps += [(".allow", ["ada", "search", now])] * rng.randrange(1, 5)
        steps += [(".retry_after", ["ada", action, now]) for action in ("write", "search")]
    return [*steps, (".report", [])]


KIND = Kind(
    name="rate-limiter",
    about="Limits how much each user may do.",
    modules={"bucket": _BUCKET, "plans": _PLANS, "limiter": _LIMITER},
    case=_limiter,
    packages=("throttle", "quota", "limits"),
    choices={
        "cls": ("Limiter", "Throttle", "Gate"),
        "small": ("4", "5"),
        "large": ("9", "12"),
        "speed": ("2", "3"),
        "paid": ("pro", "team"),
        "search": ("3", "4"),
    },
    bugs=(
        Bug(
            name="overflow",
            module="bucket",
            old="min(self.size, self.tokens + (now - self.time) * self.per_second)",
            new="self.tokens + (now - self.time) * self.per_second",
            report="After a quiet time users may do more than their plan has.",
        ),
        Bug(
            name="back",
            module="bucket",
            old="        if now > self.time:\n            self.tokens = min(self.size, self.tokens + (now - self.time) "
            "* self.per_second)\n            self.time = now",
            new="        self.tokens = min(self.size, self.tokens + (now - self.time) * self.per_second)\n"
            "        self.time = now",
            report="When the clock goes back a little, users are refused, or it takes effect later.",
        ),
        Bug(
            name="last-token",
            module="bucket",
            old="if count > self.tokens:",
            new="if count >= self.tokens:",
            report="Users are refused one action too early.",
        ),
        Bug(
            name="round",
            module="bucket",
            old="return -(-missing // self.per_second)",
            new="return missing // self.per_second",
            report="The time to wait is too short for some users.",
        ),
        Bug(
            name="plan",
            module="plans",
            old='PLANS.get(name, PLANS["free"])',
            new='PLANS.get(name, PLANS["$paid"])',
            report="Users of a plan that does not exist should get the free one.",
        ),
        Bug(
            name="report-count",
            module="limiter",
            old="self.refused.get(user, 0) + 1",
            new="1",
            report="The report says that nobody was refused more than once.",
        ),
    ),
)
"""Limits how much each user may do."""
