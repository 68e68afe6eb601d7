"""The kind vending: a vending machine."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_STATES = '''
"""States and what leads from one to another."""

MOVES = {
    ("idle", "coin"): "paying",
    ("paying", "coin"): "paying",
    ("paying", "select"): "serving",
    ("paying", "cancel"): "idle",
    ("serving", "done"): "idle",
    ("idle", "$service"): "closed",
    ("closed", "$service"): "idle",
}


def follow(state, event):
    """Return the next state."""
    if (state, event) not in MOVES:
        raise ValueError(event + " is not possible while " + state)
    return MOVES[state, event]
'''

_SLOTS = '''
"""Slots with goods."""


class Slot:
    """Some pieces of one thing at one price."""

    def __init__(self, name, price, count):
        self.name = name
        self.price = price
        self.count = count

    def is_empty(self):
        """Return whether nothing is left."""
        return self.count == 0

    def drop(self):
        """Take a piece out."""
        self.count -= 1
        return self.name


class Coins:
    """The coins in the machine."""

    def __init__(self, kinds):
        self.counts = {kind: $start for kind in kinds}

    def put(self, coin):
        """Add a coin."""
        if coin not in self.counts:
            raise ValueError("no such coin")
        self.counts[coin] += 1

    def change(self, amount):
        """Take coins of an amount out, large ones first; None where that cannot be done."""
        taken = []
        for kind in sorted(self.counts, reverse=True):
            while amount >= kind and self.counts[kind] > taken.count(kind):
                taken.append(kind)
                amount -= kind
        if amount:
            return None
        for coin in taken:
            self.counts[coin] -= 1
        return taken
'''

_VENDING = '''
"""A vending machine."""

from @slots import Coins, Slot
from @states import follow


class $cls:
    """Takes coins, gives goods and change."""

    def __init__(self, kinds=(10, 20, 50, 100)):
        self.state = "idle"
        self.paid = 0
        self.slots = {}
        self.coins = Coins(kinds)
        self.sold = []

    def fill(self, key, name, price, count):
        """Put goods into a slot."""
        self.slots[key] = Slot(name, price, count)

    def insert(self, coin):
        """Take a coin; return what was paid so far."""
        state = follow(self.state, "coin")
        self.coins.put(coin)
        self.state = state
        self.paid += coin
        return self.paid

    def select(self, key):
        """Return the name of what comes out and the change; the state stays where nothing can be given."""
        state = follow(self.state, "select")
        slot = self.slots.get(key)
        if slot is None or slot.is_empty():
            return None, []
        if self.paid < slot.price:
            return None, []
        change = self.coins.change(self.paid - slot.price)
        if change is None:
            return None, []
        self.state = follow(state, "done")
        self.paid = 0
        self.sold.append(slot.name)
        return slot.drop(), change

    def cancel(self):
        """Give back what was paid."""
        self.state = follow(self.state, "cancel")
        back = self.coins.change(self.paid)
        self.paid = 0
        return back

    def service(self):
        """Close or open the machine; return the new state."""
        self.state = follow(self.state, "$service")
        return self.state
'''


def _vending(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"vending:{params['cls']}=", [])]
    steps.append((".fill", ["A", "tea", rng.choice([30, 50, 70]), rng.randrange(0, 3)]))
    steps.append((".fill", ["B", "nuts", rng.choice([20, 60, 90, 110]), rng.randrange(1, 3)]))
    for _ in range(rng.randrange(1, 5)):
        for _ in range(rng.randrange(1, 4)):
            steps.append((".insert", [rng.choice([10, 20, 50, 50, 100, 100, 5])]))
        steps.append(rng.choice([(".cancel", []), *[(".select", [rng.choice("AABBC")])] * 4]))
        if rng.random() < 0.15:
            steps.append((".service", []))
    return [*steps, (".state!", []), (".paid!", []), (".sold!", [])]


KIND = Kind(
    name="vending",
    about="A vending machine.",
    modules={"states": _STATES, "slots": _SLOTS, "vending": _VENDING},
    case=_vending,
    packages=("snackbox", "automat", "kiosk"),
    choices={"cls": ("Machine", "Automat"), "service": ("service", "key"), "start": ("0", "1")},
    bugs=(
        Bug(
            name="more-coins",
            module="states",
            old='    ("paying", "coin"): "paying",\n',
            new="",
            report="Only one coin can be put in.",
        ),
        Bug(
            name="never-done",
            module="states",
            old='("serving", "done"): "idle"',
            new='("serving", "done"): "paying"',
            report="After something was sold the machine takes the next selection without any coin.",
        ),
        Bug(
            name="change-count",
            module="slots",
            old="self.counts[kind] > taken.count(kind)",
            new="self.counts[kind] > 0",
            report="The machine gives change with coins that it does not have.",
        ),
        Bug(
            name="kept-coins",
            module="slots",
            old="        for coin in taken:\n            self.counts[coin] -= 1\n",
            new="",
            report="The machine gives change as if it never ran out of coins.",
        ),
        Bug(
            name="exact",
            module="vending",
            old="if self.paid < slot.price:",
            new="if self.paid <= slot.price:",
            report="Who pays the exact price gets nothing.",
        ),
    ),
)
"""A vending machine."""
