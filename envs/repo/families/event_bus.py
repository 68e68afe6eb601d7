"""The kind event-bus: sends events to those who listen to them."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_TOPICS = '''
"""Names of events, with dots."""


def matches(pattern, topic):
    """Return whether a pattern fits: * stands for one part, a last # for any number of them."""
    wanted = pattern.split(".")
    parts = topic.split(".")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        if len(parts) < len(wanted):
            return False
        parts = parts[:len(wanted)]
    if len(wanted) != len(parts):
        return False
    return all(one in ("*", other) for one, other in zip(wanted, parts))
'''

_HANDLERS = '''
"""Who wants to hear what."""

from @topics import matches


class Handler:
    """Somebody who listens to events of a pattern, some number of times."""

    def __init__(self, name, pattern, order=0, times=None):
        self.name = name
        self.pattern = pattern
        self.order = order
        self.times = times

    def wants(self, topic):
        """Return whether an event is for this one."""
        return self.times != 0 and matches(self.pattern, topic)

    def heard(self):
        """Count an event."""
        if self.times is not None:
            self.times -= 1
'''

_BUS = '''
"""Send events to those who listen."""

from @handlers import Handler


class $cls:
    """Handlers, and a log of what each of them heard."""

    def __init__(self):
        self.handlers = []
        self.log = []
        self.lost = []

    def listen(self, name, pattern, order=0, times=None):
        """Add a handler; a low order comes first, else who came first."""
        self.handlers.append(Handler(name, pattern, order, times))
        self.handlers.sort(key=lambda handler: handler.order)

    def once(self, name, pattern):
        """Add a handler for one event only."""
        self.listen(name, pattern, times=1)

    def leave(self, name):
        """Remove the handlers of a name; return how many there were."""
        before = len(self.handlers)
        self.handlers = [handler for handler in self.handlers if handler.name != name]
        return before - len(self.handlers)

    def send(self, topic, value=None):
        """Send an event; return who heard it."""
        heard = []
        for handler in self.handlers:
            if handler.wants(topic):
                handler.heard()
                heard.append(handler.name)
                self.log.append((handler.name, topic, value))
        if not heard:
            self.lost.append(topic)
        return heard

    def history(self, name):
        """Return topics and values that somebody heard."""
        return [(topic, value) for who, topic, value in self.log if who == name]
'''


def _bus(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"bus:{params['cls']}=", [])]
    topics = ["shop.order.new", "shop.order", "shop", "shop.user.new", "mail.new"]
    patterns = ["shop.#", "shop.*.new", "shop.order", "#", "*.new", "shop.order.*", "*.*", "shop.order.#", "mail.new"]
    for _ in range(rng.randrange(2, 5)):
        who, pattern = rng.choice(["ada", "bo", "cy"]), rng.choice(patterns)
        there: Steps = [
            (".listen", [who, pattern]),
            (".listen", [who, pattern, rng.randrange(-1, 3)]),
            (".listen", [who, pattern, 0, rng.randrange(1, 3)]),
            (".once", [who, pattern]),
        ]
        steps.append(rng.choice(there))
    for _ in range(rng.randrange(2, 6)):
        steps.append((".send", [rng.choice(topics), rng.randrange(9)]))
        if rng.random() < 0.15:
            steps.append((".leave", [rng.choice(["ada", "bo"])]))
    return [*steps, (".history", [rng.choice(["ada", "bo"])]), (".lost!", [])]


KIND = Kind(
    name="event-bus",
    about="Sends events to those who listen to them.",
    modules={"topics": _TOPICS, "handlers": _HANDLERS, "bus": _BUS},
    case=_bus,
    packages=("events", "signals_bus", "herald"),
    choices={"cls": ("Bus", "Hub", "Post")},
    bugs=(
        Bug(
            name="rest",
            module="topics",
            old="        if len(parts) < len(wanted):\n            return False\n",
            new="        if len(parts) <= len(wanted):\n            return False\n",
            report="A pattern that ends with # should also fit a topic without any further part.",
        ),
        Bug(
            name="star",
            module="topics",
            old="    if len(wanted) != len(parts):\n        return False\n",
            new="",
            report="Some listeners hear events that their pattern does not fit.",
        ),
        Bug(
            name="times",
            module="handlers",
            old="return self.times != 0 and matches",
            new="return matches",
            report="Listeners for a number of events hear more of them.",
        ),
        Bug(
            name="order",
            module="bus",
            old="key=lambda handler: handler.order)",
            new="key=lambda handler: (handler.order, handler.name))",
            report="Of listeners with the same order, the one who came first should hear an event first.",
        ),
        Bug(
            name="leave",
            module="bus",
            old="return before - len(self.handlers)",
            new="return len(self.handlers) - before",
            report="The number that comes back when somebody leaves is wrong.",
        ),
    ),
)
"""Sends events to those who listen to them."""
