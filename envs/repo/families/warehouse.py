"""The kind warehouse: a warehouse with batches, reserved pieces and rules of ordering."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

ITEMS = "bolt lamp rope chair brush kettle tile hinge".split()

_STOCK = '''
"""What lies on the shelves."""


class Stock:
    """Counts of things, first come first out."""

    def __init__(self):
        self.batches = {}

    def put(self, name, count, price):
        """Add a batch that was bought at a price."""
        if count <= 0:
            raise ValueError("a batch has at least one piece")
        self.batches.setdefault(name, []).append([count, price])

    def count(self, name):
        """Return how many there are."""
        return sum(count for count, _ in self.batches.get(name, []))

    def take(self, name, count):
        """Take pieces, the oldest first; return what they were bought for."""
        if count > self.count(name):
            raise ValueError("not enough of " + name)
        cost = 0
        rest = self.batches[name] if name in self.batches else []
        while count > 0:
            batch = rest[0]
            taken = min(count, batch[0])
            cost += taken * batch[1]
            batch[0] -= taken
            count -= taken
            if batch[0] == 0:
                rest.pop(0)
        return cost

    def value(self, name):
        """Return what the pieces on the shelf were bought for."""
        return sum(count * price for count, price in self.batches.get(name, []))
'''

_RULES = '''
"""When to order again."""


class Rule:
    """Order up to a mark when the count is at another mark or below."""

    def __init__(self, least=$least, up_to=$most):
        if up_to <= least:
            raise ValueError("the upper mark is above the lower one")
        self.least = least
        self.up_to = up_to

    def wanted(self, count):
        """Return how many to order."""
        return self.up_to - count if count <= self.least else 0
'''

_WAREHOUSE = '''
"""A warehouse."""

from @stock import Stock
from @reorder import Rule


class $cls:
    """Things, rules of ordering, and reserved pieces."""

    def __init__(self):
        self.stock = Stock()
        self.rules = {}
        self.reserved = {}

    def receive(self, name, count, price):
        """Put a delivery on the shelf."""
        self.stock.put(name.lower(), count, price)

    def rule(self, name, least, up_to):
        """Set the rule of ordering for a thing."""
        self.rules[name.lower()] = Rule(least, up_to)

    def free(self, name):
        """Return how many are there and not reserved."""
        name = name.lower()
        return self.stock.count(name) - self.reserved.get(name, 0)

    def reserve(self, name, count):
        """Keep pieces for somebody; return whether there are enough."""
        if count > self.free(name):
            return False
        self.reserved[name.lower()] = self.reserved.get(name.lower(), 0) + count
        return True

    def ship(self, name, count):
        """Send reserved pieces; return what they were bought for."""
        name = name.lower()
        if count > self.reserved.get(name, 0):
            raise ValueError("not reserved")
        self.reserved[name] -= count
        return self.stock.take(name, count)

    def value(self):
        """Return the value of all that is there."""
        return sum(self.stock.value(name) for name in self.stock.batches)

    def orders(self):
        """Return what is to be ordered, by name."""
        found = {}
        for name in sorted(set(self.stock.batches) | set(self.rules)):
            wanted = self.rules.get(name, Rule()).wanted(self.free(name))
            if wanted:
                found[name] = wanted
        return found
'''


def _warehouse(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"warehouse:{params['cls']}=", [])]
    names = rng.sample(ITEMS, 2)
    for _ in range(rng.randrange(0, 4)):
        steps.append((".receive", [names[0], rng.randrange(1, 6), rng.randrange(1, 9)]))
    if rng.random() < 0.6:
        steps += [(".reserve", [names[0], rng.randrange(2, 8)]), (".ship", [names[0], rng.randrange(1, 6)])]
    for _ in range(rng.randrange(1, 5)):
        name = rng.choice([*names, names[0].title()])
        count = rng.randrange(0, 9)
        there: Steps = [
            (".receive", [name, count, rng.randrange(1, 9)]),
            (".receive", [name, count + 1, rng.randrange(1, 9)]),
            (".reserve", [name, count]),
            (".reserve", [name, count]),
            (".ship", [name, rng.randrange(1, 5)]),
            (".rule", [name, rng.randrange(0, 4), rng.randrange(3, 9)]),
        ]
        steps.append(rng.choice(there))
    return [*steps, (".free", [names[0]]), (".value", []), (".orders", [])]


KIND = Kind(
    name="warehouse",
    about="A warehouse with batches, reserved pieces and rules of ordering.",
    modules={"stock": _STOCK, "reorder": _RULES, "warehouse": _WAREHOUSE},
    case=_warehouse,
    packages=("storehouse", "depot", "stockroom"),
    choices={"cls": ("Warehouse", "Depot", "Store"), "least": ("2", "3"), "most": ("6", "8")},
    bugs=(
        Bug(
            name="newest",
            module="stock",
            old="            batch = rest[0]\n",
            new="            batch = rest[-1]\n",
            report="What goods were bought for is wrong when there were several deliveries, or sending fails.",
        ),
        Bug(
            name="edge",
            module="reorder",
            old="count <= self.least",
            new="count < self.least",
            report="Orders are made too late.",
        ),
        Bug(
            name="reserved",
            module="warehouse",
            old="        self.reserved[name] -= count\n",
            new="",
            report="After something was sent, the count of free pieces is too low.",
        ),
        Bug(
            name="case",
            module="warehouse",
            old="        name = name.lower()\n        return self.stock.count(name)",
            new="        return self.stock.count(name)",
            report="Things that are written with a capital are not found.",
        ),
        Bug(
            name="cost",
            module="stock",
            old="cost += taken * batch[1]",
            new="cost += count * batch[1]",
            report="The costs of what was sent are too high.",
        ),
        Bug(
            name="empty-batch",
            module="stock",
            old="        if count <= 0:\n",
            new="        if count < 0:\n",
            report="A delivery of nothing is accepted.",
        ),
    ),
)
"""A warehouse with batches, reserved pieces and rules of ordering."""
