"""The kind lru-cache: a cache that forgets what was not used for the longest time, and what is too old."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_ORDER = '''
"""Keys in the order of their last use."""


class Order:
    """The key that was used last comes last."""

    def __init__(self):
        self.keys = []

    def touch(self, key):
        """Note that a key was used."""
        if key in self.keys:
            self.keys.remove(key)
        self.keys.append(key)

    def drop(self, key):
        """Forget a key."""
        if key in self.keys:
            self.keys.remove(key)

    def oldest(self):
        """Return the key that was not used for the longest time."""
        return self.keys[0]
'''

_EXPIRY = '''
"""When things get too old."""


class Expiry:
    """Things live for some seconds after they were written."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.ends = {}

    def start(self, key, now):
        """Let the time of a key begin."""
        self.ends[key] = now + self.seconds

    def is_over(self, key, now):
        """Return whether the time of a key is over."""
        return key in self.ends and now >= self.ends[key]

    def drop(self, key):
        """Forget a key."""
        self.ends.pop(key, None)
'''

_CACHE = '''
"""A cache of a few values."""

from @expiry import Expiry
from @order import Order


class $cls:
    """Keeps as many values as it has room for, each for some seconds."""

    def __init__(self, room=$room, seconds=$seconds):
        if room < 1:
            raise ValueError("there has to be room for one value")
        self.room = room
        self.values = {}
        self.order = Order()
        self.expiry = Expiry(seconds)
        self.hits = 0
        self.misses = 0

    def put(self, key, value, now):
        """Keep a value; the one that was not used for the longest time has to go where there is no room."""
        if key not in self.values and len(self.values) >= self.room:
            self.drop(self.order.oldest())
        self.values[key] = value
        self.order.touch(key)
        self.expiry.start(key, now)

    def get(self, key, now, default=None):
        """Return a value, the default where it is not there or too old."""
        if key in self.values and self.expiry.is_over(key, now):
            self.drop(key)
        if key not in self.values:
            self.misses += 1
            return default
        self.hits += 1
        self.order.touch(key)
        return self.values[key]

    def drop(self, key):
        """Forget a value."""
        self.values.pop(key, None)
        self.order.drop(key)
        self.expiry.drop(key)

    def stats(self):
        """Return hits, misses and the keys, the oldest first."""
        return self.hits, self.misses, list(self.order.keys)
'''


def _cache(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [
        (f"cache:{params['cls']}=", [] if rng.random() < 0.4 else [rng.randrange(1, 4), rng.randrange(3, 9)])
    ]
    now = 0
    for _ in range(rng.randrange(4, 11)):
        now += rng.choice([0, 1, 2, int(params["seconds"])]) if rng.random() < 0.8 else 3
        key = rng.choice("aabbcd")
        there: Steps = [
            (".put", [key, rng.choice([rng.randrange(9), 0, None]), now]),
            (".get", [key, now]),
            (".get", [key, now, "-"]),
        ]
        steps.append(rng.choice(there))
        if rng.random() < 0.1:
            steps.append((".drop", [key]))
    return [*steps, (".stats", [])]


KIND = Kind(
    name="lru-cache",
    about="A cache that forgets what was not used for the longest time, and what is too old.",
    modules={"order": _ORDER, "expiry": _EXPIRY, "cache": _CACHE},
    case=_cache,
    packages=("caching", "memo", "keepsake"),
    choices={"cls": ("Cache", "Memory"), "room": ("2", "3"), "seconds": ("5", "8", "10")},
    bugs=(
        Bug(
            name="no-touch",
            module="order",
            old="        if key in self.keys:\n            self.keys.remove(key)\n        self.keys.append(key)",
            new="        if key not in self.keys:\n            self.keys.append(key)",
            report="The cache throws out values that were used a moment ago.",
        ),
        Bug(
            name="edge",
            module="expiry",
            old="now >= self.ends[key]",
            new="now > self.ends[key]",
            report="Values are still given at the second at which their time is over.",
        ),
        Bug(
            name="renew",
            module="expiry",
            old="self.ends[key] = now + self.seconds",
            new="self.ends.setdefault(key, now + self.seconds)",
            report="A value that was written anew gets lost too early.",
        ),
        Bug(
            name="again",
            module="cache",
            old="if key not in self.values and len(self.values) >= self.room:",
            new="if len(self.values) >= self.room:",
            report="When I write a key anew into a full cache, another one is lost.",
        ),
        Bug(
            name="none",
            module="cache",
            old="        if key not in self.values:\n            self.misses",
            new="        if self.values.get(key) is None:\n            self.misses",
            report="A value of None that was put into the cache counts as a miss.",
        ),
    ),
)
"""A cache that forgets what was not used for the longest time, and what is too old."""
